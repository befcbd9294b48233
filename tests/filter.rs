//! The module in the embedded host, on a virtual clock: workers, replaced configurations, recreated VMs, hostcalls that fail.

use std::collections::BTreeMap;
use std::time::Duration;

use host_harness::abi::Status;
use host_harness::test::{Host, HostBuilder, Reply, Request};
use host_harness::{Fault, StreamEnd};

use crate::support::counters;
use crate::support::hostile::Hostile;
use crate::support::proxy::module;

const CONFIG: &str = r#"{"routes": {"table": [{"template": "/users/{id}", "name": "user"}]}}"#;

fn host() -> HostBuilder {
    Host::builder().module(&module()).configuration(CONFIG).workers(2).seed(1)
}

fn stats(host: &Host) -> BTreeMap<String, u64> {
    host.stats().into_iter().collect()
}

fn requests(host: &Host) -> u64 {
    counters::sum(&stats(host), "_http_requests_total")
}

/// All series of a metric, by the value of one label.
fn by_label(host: &Host, metric: &str, label: &str) -> BTreeMap<String, u64> {
    let mut out = BTreeMap::new();
    for (stat, value) in stats(host) {
        let (name, labels) = counters::parse(&stat);
        if name == metric {
            *out.entry(labels.get(label).cloned().unwrap_or_default()).or_default() += value;
        }
    }
    out
}

#[test]
fn counts_of_all_workers_add_up() {
    let mut host = host().start().unwrap();
    for _ in 0..50 {
        host.exchange(Request::get("/users/7"));
    }
    assert_eq!(requests(&host), 0, "nothing is handed over before the tick");
    host.advance(Duration::from_secs(1));
    assert_eq!(requests(&host), 50);
    host.advance(Duration::from_secs(5));
    assert_eq!(requests(&host), 50, "what was handed over is not handed over again");
}

#[test]
fn every_instance_beats_under_a_number_of_its_own() {
    let mut host = host().start().unwrap();
    host.advance(Duration::from_secs(10));
    let beats = by_label(&host, "eucora_edge_heartbeat_total", "worker");
    assert_eq!(beats.len(), 3, "two workers and the main thread: {beats:?}");
    assert!(beats.values().all(|count| (9..=11).contains(count)), "{beats:?}");
}

#[test]
fn a_replaced_configuration_loses_nothing_and_takes_its_streams_to_the_end() {
    let mut host = host().start().unwrap();
    for _ in 0..10 {
        host.exchange(Request::get("/users/1"));
    }
    host.reconfigure(r#"{"ring": "1", "routes": {"table": [{"template": "/users/{name}"}]}}"#).unwrap();
    for _ in 0..10 {
        host.exchange(Request::get("/users/1"));
    }
    host.advance(Duration::from_secs(3));
    let endpoints = by_label(&host, "eucora_http_requests_total", "endpoint");
    assert_eq!(endpoints, BTreeMap::from([("/users/{id}".into(), 10), ("/users/{name}".into(), 10)]));
    let builds = by_label(&host, "eucora_edge_build_info", "ring");
    assert_eq!(builds.get("1"), Some(&1), "{builds:?}");
    assert_eq!(builds.values().sum::<u64>(), 1, "one build stands at 1: {builds:?}");
}

#[test]
fn a_refused_configuration_leaves_the_old_one() {
    let mut host = host().start().unwrap();
    let error = host.reconfigure(r#"{"routes": {"tabel": []}, "ring": 7}"#).unwrap_err().to_string();
    assert!(error.contains("routes.tabel") && error.contains("`table`") && error.contains("ring"), "{error}");
    host.exchange(Request::get("/users/1"));
    host.advance(Duration::from_secs(1));
    assert_eq!(by_label(&host, "eucora_http_requests_total", "endpoint"), BTreeMap::from([("/users/{id}".into(), 1)]));
}

#[test]
fn a_recreated_vm_goes_on_where_the_proxy_s_counters_stand() {
    let mut host = host().start().unwrap();
    for _ in 0..10 {
        host.exchange(Request::get("/users/1"));
    }
    host.advance(Duration::from_secs(2));
    host.recreate(0).unwrap();
    for _ in 0..10 {
        host.exchange(Request::get("/users/1"));
    }
    host.advance(Duration::from_secs(30));
    assert_eq!(requests(&host), 20);
}

#[test]
fn the_end_of_the_root_context_hands_over_what_is_left() {
    let mut host = host().start().unwrap();
    for _ in 0..7 {
        host.exchange(Request::get("/users/1"));
    }
    host.shutdown();
    assert_eq!(requests(&host), 7);
}

#[test]
fn workers_share_what_they_admit() {
    let config = r#"{"metrics": {"extra_statuses": 2}, "routes": {"unmatched": "placeholders", "placeholders": {"max_endpoints": 2, "min_hits": 1}}}"#;
    let mut host = host().configuration(config).start().unwrap();
    for (worker, path, status) in
        [(0, "/a/1", 700), (1, "/b/1", 701), (0, "/c/1", 702), (1, "/a/2", 700), (0, "/b/2", 701), (1, "/c/2", 703)]
    {
        host.exchange_on(worker, Request::get(path).reply(Reply::status(status)));
    }
    host.advance(Duration::from_secs(3));
    let endpoints = by_label(&host, "eucora_http_requests_total", "endpoint");
    assert_eq!(endpoints, BTreeMap::from([("/a/{int}".into(), 2), ("/b/{int}".into(), 2), ("_overflow".into(), 2)]));
    let statuses = by_label(&host, "eucora_http_requests_total", "status");
    assert_eq!(statuses, BTreeMap::from([("700".into(), 2), ("701".into(), 2), ("other".into(), 2)]));
}

/// Each hostcall that a request or a tick makes fails in turn, with each status, once and always: the stream goes on,
/// nothing traps, and once the fault is over nothing that was counted is missing.
#[test]
fn no_failing_hostcall_touches_a_request() {
    let hostcalls = [
        "proxy_get_header_map_pairs",
        "proxy_get_header_map_value",
        "proxy_replace_header_map_value",
        "proxy_add_header_map_value",
        "proxy_remove_header_map_value",
        "proxy_get_property",
        "proxy_set_property",
        "proxy_get_current_time_nanoseconds",
        "proxy_define_metric",
        "proxy_increment_metric",
        "proxy_record_metric",
        "proxy_get_shared_data",
        "proxy_set_shared_data",
        "proxy_log",
        "clock_time_get",
        "allocator",
    ];
    let statuses = [
        Status::NotFound,
        Status::BadArgument,
        Status::SerializationFailure,
        Status::InvalidMemoryAccess,
        Status::Empty,
        Status::CasMismatch,
        Status::InternalFailure,
        Status::Unimplemented,
    ];
    let config = r#"{"correlation": {"expose": true, "traceparent": "start", "trust": {"networks": ["10.0.0.0/8"]}},
        "metrics": {"histogram": true}, "routes": {"unmatched": "placeholders", "placeholders": {"min_hits": 1}}}"#;
    for hostcall in hostcalls {
        for status in statuses {
            for nth in [Some(1), Some(2), Some(3), None] {
                let mut host = host().configuration(config).start().unwrap();
                let mut fault = Fault::hostcall(hostcall).returns(status);
                if let Some(nth) = nth {
                    fault = fault.nth(nth);
                }
                host.add_fault(fault);
                for round in 0..3 {
                    let request = Request::get(format!("/things/{round}"))
                        .header("x-correlation-id", "abcdefgh")
                        .source("10.0.0.1:99".parse().unwrap())
                        .reply(Reply::status(200 + round).header("access-control-allow-origin", "*"));
                    let exchange = host.exchange(request);
                    assert_eq!(exchange.status(), Some(200 + round), "{hostcall} {status:?} {nth:?}\n{}", host.trace());
                    host.log_only(0, StreamEnd { code: Some(400), ..StreamEnd::default() });
                    host.tick();
                }
                if nth.is_some() {
                    host.advance(Duration::from_secs(5));
                    assert_eq!(requests(&host), 6, "{hostcall} {status:?} {nth:?}");
                }
            }
        }
    }
}

#[test]
fn hostile_header_maps_are_counted_and_nothing_else() {
    let mut host = host().start().unwrap();
    let mut hostile = Hostile::new(42);
    for at in 0..50_000_u64 {
        let mut headers = host_harness::HeaderMap::new();
        for (name, value) in hostile.next_request().to_pairs() {
            headers.add(name, value);
        }
        let exchange = host.exchange(Request::get("/").headers(headers));
        assert_eq!(exchange.status(), Some(200), "request {at}");
    }
    host.advance(Duration::from_secs(2));
    assert_eq!(requests(&host), 50_000);
    assert_eq!(counters::sum(&stats(&host), "_edge_correlation_total"), 50_000);
}

#[test]
fn log_lines_of_the_module_are_json() {
    let mut host = host().start().unwrap();
    host.add_fault(Fault::hostcall("proxy_set_property"));
    for _ in 0..20 {
        host.exchange(Request::get("/users/1"));
    }
    host.advance(Duration::from_secs(3));
    let logs = host.logs();
    assert!(!logs.is_empty(), "a failing hostcall is logged");
    assert!(logs.len() < 20, "and not once for each request: {} lines", logs.len());
    for entry in logs {
        let line: serde_json::Value =
            serde_json::from_str(&entry.message).unwrap_or_else(|e| panic!("{e}: {}", entry.message));
        for field in ["timestamp", "level", "logger", "message"] {
            assert!(line[field].is_string(), "{field} in {line}");
        }
    }
}
