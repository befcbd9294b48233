//! Whole callbacks against a host that keeps no promise.

use super::*;
use crate::host::fake::{Fake, Lines, allocations, host};

const ROOT: u32 = 1;
const SECOND: u64 = 1_000_000_000;

/// Every hostcall that can be refused.
const HOSTCALLS: [&str; 20] = [
    "get_current_time",
    "clock_time_get",
    "random_get",
    "set_tick_period",
    "get_buffer_bytes",
    "get_header_map_pairs",
    "get_header_map_value",
    "replace_header_map_value",
    "add_header_map_value",
    "remove_header_map_value",
    "get_property",
    "set_property",
    "get_shared_data",
    "set_shared_data",
    "define_metric",
    "increment_metric",
    "record_metric",
    "http_call",
    "environ_sizes_get",
    "environ_get",
];

fn lines(lines: &[(&str, &str)]) -> Option<Lines> {
    Some(lines.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect())
}

/// A VM with one configured root context.
fn started(configuration: &str) -> Vm {
    host(|fake| {
        *fake = Fake { wall_ns: 1_700_000_000 * SECOND, monotonic_ns: 5 * SECOND, ..Fake::default() };
        show_exchange(fake);
    });
    let mut vm = Vm::new();
    assert!(configure(&mut vm, ROOT, configuration));
    vm
}

fn configure(vm: &mut Vm, root: u32, configuration: &str) -> bool {
    host(|fake| fake.configuration = configuration.as_bytes().to_vec());
    vm.on_context_create(root, 0);
    vm.on_configure(root, configuration.len())
}

fn show_exchange(fake: &mut Fake) {
    fake.request = lines(&[(":method", "GET"), (":path", "/a/7"), (":authority", "x"), ("accept", "*/*")]);
    fake.response = lines(&[(":status", "200")]);
}

const ROUTES: &str = r#"{"routes": {"table": [{"template": "/a/{id}"}]}}"#;

/// The same, with all that can be in the filter state.
const SHOWN: &str = r#"{"routes": {"table": [{"template": "/a/{id}"}]},
    "access_log": {"filter_state": ["correlation_id", "endpoint", "outcome"]}}"#;

/// With nothing that the proxy can do as well.
const LEAN: &str = r#"{"routes": {"table": [{"template": "/a/{id}"}]},
    "correlation": {"header": "x-request-id", "generate": "proxy", "respond": false}}"#;

/// One ordinary stream of `root`, which takes 3 ms.
fn exchange(vm: &mut Vm, root: u32, stream: u32) {
    host(show_exchange);
    vm.on_context_create(stream, root);
    vm.on_request_headers(stream);
    host(|fake| fake.monotonic_ns += 3_000_000);
    vm.on_response_headers(stream);
    end(vm, stream);
}

fn end(vm: &mut Vm, stream: u32) {
    vm.on_log(stream);
    vm.on_delete(stream);
}

/// The sum of the counters whose names begin so.
fn counted(prefix: &str) -> u64 {
    host(|fake| fake.counters.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, value)| value).sum())
}

fn requests() -> u64 {
    counted("eucora_http_requests_total")
}

fn shown(key: &str) -> Option<String> {
    host(|fake| fake.filter_state.get(key.as_bytes()).map(|value| String::from_utf8(value.clone()).unwrap()))
}

/// The hostcalls of a request after the first.
fn calls_of_a_request(configuration: &str) -> Vec<&'static str> {
    let mut vm = started(configuration);
    exchange(&mut vm, ROOT, 2);
    host(|fake| fake.calls.clear());
    exchange(&mut vm, ROOT, 3);
    host(|fake| fake.calls.clone())
}

#[test]
fn a_request_costs_these_hostcalls_and_no_more() {
    let expected = [
        // request headers
        "clock_time_get",
        "get_header_map_pairs",
        "replace_header_map_value",
        "set_property",
        // response headers
        "replace_header_map_value",
        // log
        "get_header_map_value",
        "clock_time_get",
    ];
    assert_eq!(calls_of_a_request(ROUTES), expected);
}

#[test]
fn a_lean_configuration_touches_headers_twice() {
    let expected = [
        // request headers
        "clock_time_get",
        "get_header_map_pairs",
        "set_property",
        // log
        "get_header_map_value",
        "clock_time_get",
    ];
    assert_eq!(calls_of_a_request(LEAN), expected);
}

/// A context that no host has keeps no instance alive.
#[test]
fn context_0_is_no_stream() {
    let mut vm = started(ROUTES);
    vm.on_context_create(0, ROOT);
    assert!(configure(&mut vm, 10, "{}"));
    vm.on_delete(ROOT);
    assert_eq!(vm.instances.iter().flatten().count(), 1);
}

#[test]
fn an_id_of_the_proxys_is_counted_and_left_alone() {
    let mut vm = started(LEAN);
    for ids in [&[][..], &["abcdefgh"], &["not an id"], &["abcdefgh", "abcdefgh"]] {
        host(show_exchange);
        let ids: Vec<_> = ids.iter().map(|id| (b"x-request-id".to_vec(), id.as_bytes().to_vec())).collect();
        host(|fake| fake.request.as_mut().unwrap().extend(ids.clone()));
        let before = host(|fake| (fake.request.clone(), fake.response.clone()));
        vm.on_context_create(2, ROOT);
        vm.on_request_headers(2);
        vm.on_response_headers(2);
        end(&mut vm, 2);
        assert_eq!(host(|fake| (fake.request.clone(), fake.response.clone())), before);
    }
    vm.on_tick(ROOT);
    for outcome in ["none;.;reason=.=missing", "kept", "refused;.;reason=.=charset", "refused;.;reason=.=duplicate"] {
        assert_eq!(counted(&format!("eucora_edge_correlation_total.outcome=.={outcome};")), 1, "{outcome}");
    }
    assert_eq!(counted("eucora_edge_correlation_total"), 4);
}

#[test]
fn streams_allocate_nothing_in_the_steady_state() {
    let mut vm = started(ROUTES);
    let before = allocations();
    for stream in 2..50 {
        exchange(&mut vm, ROOT, stream);
    }
    assert_ne!(allocations(), before, "the first streams make what the others use");
    vm.on_tick(ROOT);
    let mut inside = 0;
    for stream in 50..1050 {
        host(show_exchange);
        let before = allocations();
        vm.on_context_create(stream, ROOT);
        vm.on_request_headers(stream);
        vm.on_response_headers(stream);
        end(&mut vm, stream);
        inside += allocations() - before;
    }
    assert_eq!(inside, 0);
    vm.on_tick(ROOT);
    assert_eq!(requests(), 48 + 1000);
}

#[test]
fn counts_arrive_with_the_tick_and_are_exact() {
    let mut vm = started(ROUTES);
    exchange(&mut vm, ROOT, 2);
    exchange(&mut vm, ROOT, 3);
    assert_eq!(requests(), 0);
    vm.on_tick(ROOT);
    assert_eq!(requests(), 2);
    assert_eq!(counted("eucora_http_request_duration_microseconds_total"), 6000);
    assert_eq!(counted("eucora_edge_correlation_total"), 2);
    assert_eq!(counted("eucora_edge_heartbeat_total.worker=.=0"), 1);
    assert_eq!(counted("eucora_edge_build_info"), 1);
    vm.on_tick(ROOT);
    assert_eq!(requests(), 2);
}

#[test]
fn a_tick_without_news_defines_no_metric() {
    let mut vm = started(ROUTES);
    exchange(&mut vm, ROOT, 2);
    vm.on_tick(ROOT);
    let defined = host(|fake| fake.metrics.len());
    for stream in 3..20 {
        exchange(&mut vm, ROOT, stream);
        vm.on_tick(ROOT);
    }
    // The proxy never forgets a definition, not even of a name that it has.
    assert_eq!(host(|fake| fake.metrics.len()), defined);
    assert_eq!(counted("eucora_edge_heartbeat_total.worker=.=0"), 18);
}

#[test]
fn one_id_goes_to_upstream_response_and_filter_state() {
    let mut vm = started(SHOWN);
    exchange(&mut vm, ROOT, 2);
    let id = shown("eucora.correlation_id").unwrap();
    let header = |lines: &Option<Lines>| {
        let lines = lines.as_ref().unwrap();
        let values: Vec<_> =
            lines.iter().filter(|(name, _)| name == b"x-correlation-id").map(|(_, v)| v.clone()).collect();
        assert_eq!(values.len(), 1);
        String::from_utf8(values[0].clone()).unwrap()
    };
    assert_eq!(host(|fake| header(&fake.request)), id);
    assert_eq!(host(|fake| header(&fake.response)), id);
    assert_eq!(shown("eucora.endpoint").as_deref(), Some("/a/{id}"));
    assert_eq!(shown("eucora.outcome").as_deref(), Some("generated"));
}

#[test]
fn a_clock_that_is_set_changes_no_duration() {
    let mut vm = started(ROUTES);
    vm.on_context_create(2, ROOT);
    vm.on_request_headers(2);
    host(|fake| {
        fake.monotonic_ns += 20_000_000;
        fake.wall_ns += 3600 * SECOND;
    });
    vm.on_tick(ROOT);
    end(&mut vm, 2);
    vm.on_tick(ROOT);
    assert_eq!(counted("eucora_http_request_duration_microseconds_total"), 20_000);
}

#[test]
fn a_stream_that_our_clock_missed_is_timed_by_the_proxys() {
    for proxys in [Some(7_000_000_i64), None] {
        for missed_first in [true, false] {
            let mut vm = started(ROUTES);
            host(|fake| {
                if let Some(duration) = proxys {
                    fake.properties.insert(b"request\0duration".to_vec(), duration.to_le_bytes().to_vec());
                }
            });
            vm.on_tick(ROOT);
            let refuse = |refused: bool| host(|fake| fake.refuse = refused.then_some(("clock_time_get", 10)));
            vm.on_context_create(2, ROOT);
            refuse(missed_first);
            vm.on_request_headers(2);
            refuse(!missed_first);
            end(&mut vm, 2);
            refuse(false);
            vm.on_tick(ROOT);
            assert_eq!(requests(), 1);
            let expected = if proxys.is_some() { 7000 } else { 0 };
            assert_eq!(
                counted("eucora_http_request_duration_microseconds_total"),
                expected,
                "{proxys:?} {missed_first}"
            );
        }
    }
}

#[test]
fn a_stream_that_only_ends_is_counted_by_the_proxys_clock() {
    let mut vm = started(SHOWN);
    host(|fake| {
        fake.response = lines(&[(":status", "400")]);
        fake.properties.insert(b"request\0duration".to_vec(), 7_000_000_i64.to_le_bytes().to_vec());
    });
    vm.on_context_create(2, ROOT);
    end(&mut vm, 2);
    vm.on_tick(ROOT);
    let name = "eucora_http_requests_total.method=.=GET;.;endpoint=.=/a/{id};.;status=.=400;.;";
    assert_eq!(counted(name), 1, "{:?}", host(|fake| fake.counters.clone()));
    assert_eq!(counted("eucora_http_request_duration_microseconds_total"), 7000);
    assert_eq!(shown("eucora.endpoint").as_deref(), Some("/a/{id}"));
    assert_eq!(shown("eucora.outcome").as_deref(), Some("none"));
    assert_eq!(shown("eucora.correlation_id"), None);
}

#[test]
fn a_client_that_left_is_status_0() {
    let mut vm = started(ROUTES);
    vm.on_context_create(2, ROOT);
    vm.on_request_headers(2);
    host(|fake| fake.response = None);
    end(&mut vm, 2);
    vm.on_tick(ROOT);
    assert_eq!(counted("eucora_http_requests_total.method=.=GET;.;endpoint=.=/a/{id};.;status=.=0;.;"), 1);
}

#[test]
fn a_replaced_root_context_loses_no_count() {
    let mut vm = started(ROUTES);
    exchange(&mut vm, ROOT, 2);
    vm.on_tick(ROOT);
    // A long stream, and one that is counted but not yet handed over.
    vm.on_context_create(3, ROOT);
    vm.on_request_headers(3);
    exchange(&mut vm, ROOT, 4);
    assert!(configure(&mut vm, 10, r#"{"ring": "1"}"#));
    exchange(&mut vm, 10, 11);
    vm.on_delete(ROOT);
    assert_eq!(requests(), 2);
    assert_eq!(vm.instances.iter().flatten().count(), 2);
    end(&mut vm, 3);
    assert_eq!(requests(), 3);
    assert_eq!(vm.instances.iter().flatten().count(), 1);
    vm.on_tick(10);
    assert_eq!(requests(), 4);
    // One worker, one beat a tick; one build at 1.
    assert_eq!(counted("eucora_edge_heartbeat_total.worker=.=0"), 2);
    assert_eq!(counted("eucora_edge_build_info"), 1);
    assert_eq!(host(|fake| fake.counters.keys().filter(|name| name.contains("build_info")).count()), 2);
}

#[test]
fn what_the_proxy_refuses_at_the_end_of_a_root_context_is_handed_over_later() {
    for refused in ["define_metric", "increment_metric"] {
        let mut vm = started(ROUTES);
        vm.on_context_create(2, ROOT);
        vm.on_request_headers(2);
        exchange(&mut vm, ROOT, 3);
        assert!(configure(&mut vm, 10, r#"{"ring": "1"}"#));
        host(|fake| fake.refuse = Some((refused, 10)));
        vm.on_delete(ROOT);
        end(&mut vm, 2);
        vm.on_tick(10);
        assert_eq!((requests(), vm.instances.iter().flatten().count()), (0, 2));
        host(|fake| fake.refuse = None);
        vm.on_tick(10);
        assert_eq!((requests(), vm.instances.iter().flatten().count()), (2, 1), "{refused}");
    }
}

#[test]
fn a_root_context_that_changes_its_namespace_leaves_the_beats_to_another() {
    let mut vm = started(ROUTES);
    vm.on_tick(ROOT);
    assert!(configure(&mut vm, ROOT, r#"{"namespace": "shop"}"#));
    assert!(configure(&mut vm, 10, "{}"));
    vm.on_tick(ROOT);
    vm.on_tick(10);
    assert_eq!(counted("eucora_edge_heartbeat_total.worker=.=0"), 2);
    assert_eq!(counted("shop_edge_heartbeat_total.worker=.=0"), 1);
}

#[test]
fn a_root_context_that_is_configured_again_keeps_its_streams_apart() {
    let mut vm = started(ROUTES);
    vm.on_context_create(2, ROOT);
    vm.on_request_headers(2);
    exchange(&mut vm, ROOT, 3);
    assert!(configure(&mut vm, ROOT, r#"{"namespace": "shop"}"#));
    assert_eq!(requests(), 1);
    exchange(&mut vm, ROOT, 4);
    end(&mut vm, 2);
    assert_eq!(requests(), 2);
    vm.on_tick(ROOT);
    assert_eq!(counted("shop_http_requests_total"), 1);
    assert_eq!(vm.instances.iter().flatten().count(), 1);
}

#[test]
fn a_configuration_that_comes_back_is_the_build_that_runs() {
    let mut vm = started(ROUTES);
    vm.on_tick(ROOT);
    assert!(configure(&mut vm, 10, "{}"));
    vm.on_tick(10);
    vm.on_tick(ROOT);
    let build = |value: u64| -> Vec<String> {
        let names = |fake: &mut Fake| {
            fake.counters
                .iter()
                .filter(|(n, v)| n.contains("build_info") && **v == value)
                .map(|(n, _)| n.clone())
                .collect()
        };
        host(names)
    };
    let (old, new) = (build(0), build(1));
    assert_eq!((old.len(), new.len()), (1, 1));
    // The proxy goes back without a word: streams come to the old root context and not to the new one.
    exchange(&mut vm, ROOT, 11);
    vm.on_tick(10);
    vm.on_tick(ROOT);
    assert_eq!((build(1), build(0)), (old, new));
}

#[test]
fn every_mistake_in_a_configuration_is_a_line_in_the_log() {
    let mut vm = started("");
    assert!(!configure(&mut vm, 10, r#"{"namespace": "9", "bogus": 1, "metrics": {"flush_interval_ms": 1}}"#));
    let log = host(|fake| fake.log.clone());
    assert_eq!(log.len(), 3, "{log:?}");
    assert!(log.iter().all(|line| line.starts_with("4 {") && line.contains("\"field\":")));
    assert_eq!(host(|fake| fake.counters.len()), 0);
    // The one before it still works.
    exchange(&mut vm, ROOT, 11);
    vm.on_tick(ROOT);
    assert_eq!(requests(), 1);
}

#[test]
fn without_randomness_there_is_no_start() {
    host(|fake| *fake = Fake { refuse: Some(("random_get", 28)), ..Fake::default() });
    let mut vm = Vm::new();
    assert!(!configure(&mut vm, ROOT, ""));
    assert!(host(|fake| fake.log[0].contains("\"hostcall\":\"get_random\",\"status\":28")));
}

#[test]
fn whatever_the_host_refuses_the_stream_is_counted_in_the_end() {
    for refused in HOSTCALLS {
        for status in [1, 2, 6, 10, 12] {
            let mut vm = started(
                r#"{"correlation": {"expose": true, "traceparent": "start", "trust": {"networks": ["10.0.0.0/8"], "mtls": true}}, "metrics": {"histogram": true}, "routes": {"unmatched": "placeholders", "placeholders": {"min_hits": 1}}}"#,
            );
            host(|fake| fake.refuse = Some((refused, status)));
            exchange(&mut vm, ROOT, 2);
            vm.on_tick(ROOT);
            host(|fake| fake.refuse = None);
            vm.on_tick(ROOT);
            assert_eq!(requests(), 1, "{refused} {status}");
        }
    }
}

#[test]
fn a_refused_hostcall_is_counted_and_logged_once() {
    let mut vm = started(ROUTES);
    host(|fake| fake.refuse = Some(("set_property", 10)));
    for stream in 2..12 {
        exchange(&mut vm, ROOT, stream);
    }
    vm.on_tick(ROOT);
    vm.on_tick(ROOT);
    assert_eq!(counted("eucora_edge_hostcall_faults_total.hostcall=.=set_property;.;"), 10);
    let log = host(|fake| fake.log.clone());
    assert_eq!(log.len(), 1, "{log:?}");
    assert!(log[0].starts_with("3 {") && log[0].contains("\"hostcall\":\"set_property\",\"status\":10,\"count\":10"));
}

#[test]
fn any_order_of_callbacks_is_survived_and_no_stream_counts_twice() {
    let mut state = 1_u32;
    let mut random = move |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) % below
    };
    for _ in 0..200 {
        let mut vm = started(ROUTES);
        let mut created = 0;
        for _ in 0..300 {
            let context = random(12);
            match random(8) {
                0 => {
                    created += 1;
                    vm.on_context_create(context, random(3));
                }
                1 => vm.on_request_headers(context),
                2 => vm.on_response_headers(context),
                3 => vm.on_log(context),
                4 if context != ROOT => vm.on_delete(context),
                5 => vm.on_tick(context),
                6 => {
                    vm.on_configure(context, 0);
                }
                _ => host(|fake| fake.refuse = Some((HOSTCALLS[random(17) as usize], random(13)))),
            }
        }
        host(|fake| fake.refuse = None);
        for root in 0..12 {
            vm.on_tick(root);
        }
        assert!(requests() <= created);
    }
}

#[test]
fn hostile_headers_are_only_bytes() {
    let mut vm = started(ROUTES);
    let hostile: Vec<u8> = (0..=255).collect();
    let paths: [&[u8]; 5] = [&hostile, b"", b"\xff\xfe", &[b'/'; 60_000], &b"/a/".repeat(20_000)];
    for (stream, path) in (2..).zip(paths) {
        host(|fake| {
            fake.request = Some(vec![
                (b":path".to_vec(), path.to_vec()),
                (b":method".to_vec(), path.to_vec()),
                (b"x-correlation-id".to_vec(), path.to_vec()),
                (hostile.clone(), hostile.clone()),
                (b"traceparent".to_vec(), path.to_vec()),
            ]);
        });
        vm.on_context_create(stream, ROOT);
        vm.on_request_headers(stream);
        vm.on_response_headers(stream);
        end(&mut vm, stream);
    }
    vm.on_tick(ROOT);
    assert_eq!(counted("eucora_http_requests_total.method=.=OTHER;.;endpoint=.=unknown;.;"), 5);
    assert_eq!(counted("eucora_edge_correlation_total.outcome=.=refused;.;"), 5);
}

#[test]
fn two_plugins_in_one_vm_do_not_mix() {
    let mut vm = started(ROUTES);
    assert!(configure(&mut vm, 10, r#"{"namespace": "shop"}"#));
    exchange(&mut vm, ROOT, 2);
    exchange(&mut vm, 10, 3);
    exchange(&mut vm, 10, 4);
    vm.on_tick(ROOT);
    vm.on_tick(10);
    assert_eq!((requests(), counted("shop_http_requests_total")), (1, 2));
    assert_eq!(counted("eucora_edge_heartbeat_total"), 1);
    assert_eq!(counted("shop_edge_heartbeat_total"), 1);
    assert_eq!(counted("eucora_edge_build_info") + counted("shop_edge_build_info"), 2);
}

#[test]
fn memory_for_a_huge_request_is_given_back() {
    let mut vm = started(ROUTES);
    host(|fake| fake.request = lines(&[(":path", "/a/7"), ("x", &"y".repeat(1 << 20))]));
    vm.on_context_create(2, ROOT);
    vm.on_request_headers(2);
    assert_eq!(vm.tools.headers.size(), 0);
    end(&mut vm, 2);
    vm.on_tick(ROOT);
    assert_eq!(counted("eucora_http_requests_total.method=.=OTHER;.;endpoint=.=/a/{id};.;status=.=200;.;"), 1);
}

/// A configured VM in which streams to so many endpoints have ended.
fn crowd(endpoints: u32) -> Vm {
    let routes: Vec<String> = (0..endpoints).map(|number| format!(r#"{{"template": "/e{number}"}}"#)).collect();
    let table = routes.join(",");
    let mut vm = started(&format!(r#"{{"metrics": {{"series_budget": 1000000}}, "routes": {{"table": [{table}]}}}}"#));
    for number in 0..endpoints {
        request_to(&mut vm, number, 10 + number);
    }
    vm
}

fn request_to(vm: &mut Vm, endpoint: u32, stream: u32) {
    let path = format!("/e{endpoint}");
    host(|fake| fake.request = lines(&[(":method", "GET"), (":path", &path), (":authority", "x")]));
    vm.on_context_create(stream, ROOT);
    vm.on_request_headers(stream);
    vm.on_response_headers(stream);
    end(vm, stream);
}

#[test]
fn new_stats_are_made_in_slices_and_nothing_is_lost() {
    const MILLISECOND: u64 = 1_000_000;
    let mut vm = crowd(50);
    host(|fake| fake.define_ns = MILLISECOND);
    let begun = host(|fake| fake.monotonic_ns);
    let passed = || host(|fake| fake.monotonic_ns) - begun;
    vm.on_tick(ROOT);
    // Ten milliseconds, and what the last endpoint's stats take.
    let first = requests();
    assert!((1..50).contains(&first) && passed() < 40 * MILLISECOND, "{first} after {} ns", passed());

    // A stream that ends before the pause is over makes nothing new, one after it does.
    host(|fake| fake.define_ns = 0);
    let made = host(|fake| fake.metrics.len());
    request_to(&mut vm, 0, 900);
    assert_eq!(host(|fake| fake.metrics.len()), made);
    host(|fake| fake.define_ns = MILLISECOND);
    let mut slices = 0;
    while requests() < 50 {
        host(|fake| fake.monotonic_ns += 40 * MILLISECOND);
        let (before, seen) = (host(|fake| fake.monotonic_ns), requests());
        request_to(&mut vm, 0, 901 + slices);
        assert!(host(|fake| fake.monotonic_ns) - before < 40 * MILLISECOND, "slice {slices}");
        assert!(requests() > seen, "slice {slices}");
        slices += 1;
    }
    vm.on_tick(ROOT);
    assert_eq!(requests(), 51 + u64::from(slices));

    // With nothing left over a stream's end costs no look at the clock.
    host(|fake| fake.calls.clear());
    request_to(&mut vm, 0, 2_000);
    assert_eq!(host(|fake| fake.calls.iter().filter(|call| **call == "clock_time_get").count()), 2);
}

#[test]
fn an_idle_worker_takes_longer_slices() {
    let mut vm = crowd(50);
    host(|fake| fake.define_ns = 1_000_000);
    vm.on_tick(ROOT);
    let busy = requests();
    vm.on_tick(ROOT);
    assert!(requests() - busy > 2 * busy, "{busy}, then {}", requests() - busy);
}

#[test]
fn a_slice_is_short_again_as_soon_as_somebody_waits() {
    const MILLISECOND: u64 = 1_000_000;
    let mut vm = crowd(50);
    host(|fake| fake.define_ns = MILLISECOND);
    vm.on_tick(ROOT);
    let length = |work: &mut dyn FnMut()| {
        let before = host(|fake| fake.monotonic_ns);
        work();
        host(|fake| fake.monotonic_ns) - before
    };
    // A stream is open at the second tick, though none began since the first.
    vm.on_context_create(900, ROOT);
    vm.on_tick(ROOT);
    let took = length(&mut || vm.on_tick(ROOT));
    assert!(took < 40 * MILLISECOND, "{took} ns with an open stream");
    end(&mut vm, 900);
    vm.on_tick(ROOT);
    let took = length(&mut || vm.on_tick(ROOT));
    assert!(took > 100 * MILLISECOND, "{took} ns with none");
    // The worker was idle at its last tick, and is no longer.
    host(|fake| fake.monotonic_ns += 40 * MILLISECOND);
    let took = length(&mut || request_to(&mut vm, 0, 901));
    assert!((10 * MILLISECOND..40 * MILLISECOND).contains(&took), "{took} ns at a stream's end");
}

/// A crowd whose configuration is replaced before its new stats are made, and the context ID of its successor.
fn replaced_crowd(endpoints: u32) -> (Vm, u32) {
    const SUCCESSOR: u32 = 5_000;
    let mut vm = crowd(endpoints);
    assert!(configure(&mut vm, SUCCESSOR, r#"{"ring": "1"}"#));
    host(|fake| fake.define_ns = 1_000_000);
    vm.on_delete(ROOT);
    (vm, SUCCESSOR)
}

#[test]
fn the_crowd_of_a_replaced_configuration_holds_up_nobody() {
    const MILLISECOND: u64 = 1_000_000;
    let begun = host(|fake| fake.monotonic_ns);
    let (mut vm, successor) = replaced_crowd(50);
    let first = requests();
    assert!((1..50).contains(&first) && vm.left_over, "{first} after {} ns", host(|fake| fake.monotonic_ns) - begun);
    // The ends of the successor's streams go on with it, a slice at a time.
    let mut stream = 6_000;
    while requests() < 50 {
        host(|fake| fake.monotonic_ns += 40 * MILLISECOND);
        let (before, seen) = (host(|fake| fake.monotonic_ns), requests());
        exchange(&mut vm, successor, stream);
        assert!(host(|fake| fake.monotonic_ns) - before < 40 * MILLISECOND, "stream {stream}");
        assert!(requests() > seen, "stream {stream}");
        stream += 1;
    }
    assert_eq!(requests(), 50);
    assert_eq!(vm.instances.iter().flatten().count(), 1);
    vm.on_tick(successor);
    assert_eq!(requests(), 50 + u64::from(stream - 6_000));
    assert!(!vm.left_over);
}

#[test]
fn the_ticks_of_a_successor_go_on_with_what_is_left_over() {
    let (mut vm, successor) = replaced_crowd(50);
    for _ in 0..50 {
        host(|fake| fake.monotonic_ns += SECOND);
        vm.on_tick(successor);
    }
    assert_eq!((requests(), vm.instances.iter().flatten().count(), vm.left_over), (50, 1, false));
}

#[test]
fn the_last_root_context_hands_over_what_others_left_over() {
    let (mut vm, successor) = replaced_crowd(50);
    assert!(requests() < 50);
    vm.on_delete(successor);
    assert_eq!(requests(), 50);
}

#[test]
fn a_clock_that_does_not_run_delays_no_stats_for_ever() {
    let mut vm = crowd(200);
    vm.on_tick(ROOT);
    let first = requests();
    assert!((50..200).contains(&first), "{first}");
    host(|fake| fake.refuse = Some(("clock_time_get", 1)));
    for _ in 0..4 {
        vm.on_tick(ROOT);
    }
    assert_eq!(requests(), 200);
}

mod rules;
