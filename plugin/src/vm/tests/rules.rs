//! Rules, events and polls, through whole callbacks.

use super::*;
use crate::host::fake::HttpCall;

const RULES: &str = r#"{
    "routes": {"table": [{"methods": ["POST"], "template": "/cab/{id}/approve/", "name": "approve"}, {"template": "/a/{id}"}]},
    "facts": [{"name": "risk", "from": "body:/risk", "values": ["low", "high"], "default": "unknown"}, {"name": "deployment_id", "from": "path:id"}],
    "rules": [{"name": "approvals", "when": {"endpoints": ["approve"], "statuses": ["2xx"]}, "once": {},
        "metric": {"name": "approvals_total", "labels": {"risk": "risk"}},
        "event": {"type": "CAB_APPROVAL", "class": "decision", "with": ["deployment_id"]}}],
    "events": {"sinks": [SINKS]}
}"#;

const SINK: &str = r#"{"name": "siem", "cluster": "siem_cluster", "authority": "siem.example", "json": {"path": "/in"}, "limits": {"max_wait_ms": 0}}"#;

fn rules(sinks: &str) -> String {
    RULES.replace("SINKS", sinks)
}

/// A decision whose body comes in these pieces.
fn approve(vm: &mut Vm, stream: u32, id: &str, pieces: &[&str]) {
    host(|fake| {
        fake.request = lines(&[
            (":method", "POST"),
            (":path", &format!("/cab/{id}/approve/")),
            ("x-correlation-id", "correlation-1"),
        ]);
        fake.response = lines(&[(":status", "200")]);
    });
    vm.on_context_create(stream, ROOT);
    vm.on_request_headers(stream);
    for piece in pieces {
        host(|fake| fake.body = piece.as_bytes().to_vec());
        vm.on_request_body(stream, piece.len());
    }
    vm.on_response_headers(stream);
    end(vm, stream);
}

fn approvals(risk: &str) -> u64 {
    counted(&format!("eucora_approvals_total.risk=.={risk};.;"))
}

fn events(state: &str) -> u64 {
    counted("eucora_edge_events_total.") - {
        host(|fake| {
            let others = fake.counters.iter().filter(|(name, _)| {
                name.starts_with("eucora_edge_events_total.") && !name.contains(&format!("state=.={state};"))
            });
            others.map(|(_, value)| value).sum::<u64>()
        })
    }
}

/// The calls that wait for an answer.
fn calls() -> Vec<(u32, HttpCall)> {
    host(|fake| fake.http_calls.iter().map(|(token, call)| (*token, call.clone())).collect())
}

fn answer(vm: &mut Vm, root: u32, token: u32, status: &str, body: &str) {
    host(|fake| {
        fake.http_calls.remove(&token);
        fake.answer = if status.is_empty() { Some(Vec::new()) } else { lines(&[(":status", status)]) };
        fake.answer_body = body.as_bytes().to_vec();
    });
    vm.on_call_response(root, token, body.len());
    host(|fake| fake.answer = None);
}

fn tick(vm: &mut Vm, root: u32) {
    host(|fake| {
        fake.wall_ns += SECOND;
        fake.monotonic_ns += SECOND;
    });
    vm.on_tick(root);
}

fn logged_events() -> Vec<String> {
    host(|fake| fake.log.iter().filter(|line| line.contains("\"security event\"")).cloned().collect())
}

#[test]
fn a_body_is_read_in_pieces_for_the_endpoint_that_asks_and_no_other() {
    let mut vm = started(&rules(""));
    approve(&mut vm, 2, "1", &["{\"ri", "", "sk\": \"hi", "gh\"}"]);
    approve(&mut vm, 3, "2", &[]);
    host(|fake| fake.calls.clear());
    exchange(&mut vm, ROOT, 4);
    vm.on_context_create(5, ROOT);
    host(show_exchange);
    vm.on_request_headers(5);
    vm.on_request_body(5, 100);
    end(&mut vm, 5);
    assert!(!host(|fake| fake.calls.contains(&"get_buffer_bytes")));
    tick(&mut vm, ROOT);
    assert_eq!((approvals("high"), approvals("unknown")), (1, 1));
    assert_eq!(vm.tools.reading, 0);
}

#[test]
fn a_body_without_its_callbacks_and_callbacks_without_a_stream_do_no_harm() {
    let mut vm = started(&rules(""));
    vm.on_request_body(77, 5);
    approve(&mut vm, 2, "1", &["not json"]);
    vm.on_request_body(2, 5);
    vm.on_call_response(ROOT, 9, 100);
    vm.on_call_response(99, 9, 100);
    tick(&mut vm, ROOT);
    assert_eq!(counted("eucora_edge_body_total.outcome=.=malformed"), 1);
}

#[test]
fn a_second_try_counts_once_in_all_workers() {
    let mut one = started(&rules(""));
    let mut other = Vm::new();
    assert!(configure(&mut other, ROOT, &rules("")));
    approve(&mut one, 2, "1", &[]);
    approve(&mut other, 2, "1", &[]);
    approve(&mut one, 3, "2", &[]);
    tick(&mut one, ROOT);
    tick(&mut other, ROOT);
    assert_eq!(approvals("unknown"), 2);
    assert_eq!(counted("eucora_edge_rule_total.rule_name=.=approvals;.;outcome=.=repeated"), 1);
}

#[test]
fn without_a_sink_events_are_lines_of_the_log() {
    let mut vm = started(&rules(""));
    approve(&mut vm, 2, "7\"%0a", &[]);
    let lines = logged_events();
    let line: serde_json::Value = serde_json::from_str(lines[0].split_once(' ').unwrap().1).unwrap();
    assert_eq!((line["sink"].as_str(), line["event"]["EventType"].as_str()), (Some("log"), Some("CAB_APPROVAL")));
    assert_eq!(line["event"]["DeploymentId"], "7\"\n");
    assert_eq!(line["event"]["CorrelationId"], "correlation-1");
    assert_eq!((events("made"), events("logged")), (1, 1));
    assert_eq!(counted("eucora_edge_events_logged_total.sink=.=log;.;reason=.=no_sink"), 1);
}

#[test]
fn events_are_delivered_in_batches() {
    let mut vm = started(&rules(SINK));
    approve(&mut vm, 2, "1", &[]);
    approve(&mut vm, 3, "2", &[]);
    assert_eq!(events("made"), 2);
    tick(&mut vm, ROOT);
    let [(token, call)] = &calls()[..] else { panic!() };
    assert_eq!(call.cluster, "siem_cluster");
    assert_eq!(call.headers[1], (b":path".to_vec(), b"/in".to_vec()));
    let batch: serde_json::Value = serde_json::from_slice(&call.body).unwrap();
    assert_eq!(batch.as_array().unwrap().len(), 2);
    assert_eq!(counted("eucora_edge_events_queued.sink=.=siem;.;worker=.=0"), 2);
    answer(&mut vm, ROOT, *token, "503", "");
    assert_eq!(events("delivered"), 0);
    for _ in 0..5 {
        tick(&mut vm, ROOT);
    }
    let [(token, again)] = &calls()[..] else { panic!() };
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&again.body).unwrap(), batch);
    answer(&mut vm, ROOT, *token, "204", "");
    tick(&mut vm, ROOT);
    assert_eq!((events("made"), events("delivered"), events("logged")), (2, 2, 0));
    assert_eq!(counted("eucora_edge_events_queued"), 0);
    let kept = host(|fake| {
        fake.shared
            .iter()
            .filter(|(key, value)| key.windows(7).any(|part| part == b"outbox.") && !value.0.is_empty())
            .count()
    });
    assert_eq!(kept, 1, "the number of places alone");
}

#[test]
fn what_is_not_delivered_when_the_vm_ends_is_in_the_log() {
    let mut vm = started(&rules(SINK));
    approve(&mut vm, 2, "1", &[]);
    approve(&mut vm, 3, "2", &[]);
    tick(&mut vm, ROOT);
    vm.on_delete(ROOT);
    assert_eq!(logged_events().len(), 2);
    assert!(logged_events().iter().all(|line| line.contains(r#""undelivered":"abandoned""#)));
    assert_eq!((events("made"), events("delivered"), events("logged")), (2, 0, 2));
}

#[test]
fn a_new_configuration_goes_on_with_the_events_of_the_old_one() {
    let mut vm = started(&rules(SINK));
    approve(&mut vm, 2, "1", &[]);
    tick(&mut vm, ROOT);
    // In place, and then beside it.
    assert!(configure(&mut vm, ROOT, &rules(SINK).replace("/in", "/in/2")));
    assert!(configure(&mut vm, 10, &rules(SINK).replace("/in", "/in/3")));
    vm.on_delete(ROOT);
    assert_eq!(logged_events(), [""; 0]);
    host(|fake| fake.http_calls.clear());
    tick(&mut vm, 10);
    let [(token, call)] = &calls()[..] else { panic!() };
    assert_eq!(call.headers[1].1, b"/in/3");
    answer(&mut vm, 10, *token, "200", "");
    tick(&mut vm, 10);
    assert_eq!((events("made"), events("delivered"), events("logged")), (1, 1, 0));
}

#[test]
fn another_worker_takes_over_from_a_vm_that_died() {
    takes_over(|dead| tick(dead, ROOT));
}

#[test]
fn another_worker_takes_over_from_a_vm_that_died_before_its_first_tick() {
    takes_over(|_| ());
}

#[test]
fn the_number_that_an_event_brought_is_the_workers() {
    let mut vm = started(&rules(SINK));
    approve(&mut vm, 2, "1", &[]);
    tick(&mut vm, ROOT);
    assert_eq!(counted("eucora_edge_heartbeat_total.worker=.=0"), 1);
    assert_eq!(counted("eucora_edge_events_queued.sink=.=siem;.;worker=.=0"), 1);
}

fn takes_over(before: impl FnOnce(&mut Vm)) {
    let mut dead = started(&rules(SINK));
    before(&mut dead);
    approve(&mut dead, 2, "1", &[]);
    approve(&mut dead, 3, "2", &[]);
    drop(dead);
    let mut other = Vm::new();
    assert!(configure(&mut other, ROOT, &rules(SINK)));
    for _ in 0..8 {
        tick(&mut other, ROOT);
    }
    let [(token, call)] = &calls()[..] else { panic!("{:?}", calls().len()) };
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&call.body).unwrap().as_array().unwrap().len(), 2);
    answer(&mut other, ROOT, *token, "200", "");
    tick(&mut other, ROOT);
    assert_eq!((events("made"), events("delivered"), events("logged")), (2, 2, 0));
}

#[test]
fn events_of_a_sink_that_is_gone_with_their_vm_are_logged_and_counted() {
    let mut dead = started(&rules(SINK));
    approve(&mut dead, 2, "1", &[]);
    drop(dead);
    let mut other = Vm::new();
    assert!(configure(&mut other, ROOT, &rules(&SINK.replace("\"siem\"", "\"another\""))));
    for _ in 0..8 {
        tick(&mut other, ROOT);
    }
    assert_eq!(logged_events().len(), 1);
    assert_eq!(counted("eucora_edge_events_total.sink=.=siem;.;state=.=logged"), 1);
    assert_eq!(counted("eucora_edge_events_logged_total.sink=.=siem;.;reason=.=abandoned"), 1);
}

#[test]
fn a_secret_comes_from_the_environment_and_is_shown_nowhere() {
    let with_secret = SINK
        .replace(r#""json": {"path": "/in"}"#, r#""json": {"authorization": "bearer"}, "secret_env": "SIEM_TOKEN""#);
    let mut vm = started("{}");
    assert!(!configure(&mut vm, ROOT, &rules(&with_secret)));
    let log = host(|fake| fake.log.join("\n"));
    assert!(log.contains("events.sinks[0].secret_env") && log.contains("the VM has no variable `SIEM_TOKEN`"), "{log}");
    host(|fake| fake.environment = vec!["A=1".into(), "SIEM_TOKEN_2=no".into(), "SIEM_TOKEN=hush".into()]);
    assert!(configure(&mut vm, ROOT, &rules(&with_secret)));
    approve(&mut vm, 2, "1", &[]);
    tick(&mut vm, ROOT);
    assert!(calls()[0].1.headers.contains(&(b"authorization".to_vec(), b"Bearer hush".to_vec())));
    assert!(!host(|fake| fake.log.join("\n")).contains("hush"));
}

const POLLS: &str = r#"{"polls": [{"name": "summary", "cluster": "api", "authority": "api", "path": "/summary", "interval_ms": 1000, "stale_after_ms": 5000,
    "gauges": [{"name": "cab_queue_depth", "pointer": "/queue", "stale": 0}, {"name": "active", "pointer": "/active/{step}", "labels": {"step": ["a", "b"]}}]}]}"#;

#[test]
fn one_worker_asks_for_gauges_and_another_when_it_has_died() {
    let mut one = started(POLLS);
    let mut other = Vm::new();
    assert!(configure(&mut other, ROOT, POLLS));
    let mut asked = Vec::new();
    for _ in 0..3 {
        tick(&mut one, ROOT);
        tick(&mut other, ROOT);
        asked.extend(calls());
        for (token, _) in calls() {
            answer(&mut one, ROOT, token, "200", r#"{"queue": 21, "active": {"b": 3}}"#);
        }
    }
    assert!(!asked.is_empty() && asked[0].1.cluster == "api");
    tick(&mut one, ROOT);
    let gauge = |name: &str| host(|fake| fake.counters.get(name).copied());
    assert_eq!(gauge("eucora_cab_queue_depth"), Some(21));
    assert_eq!(gauge("eucora_active.step=.=a;.;"), Some(0));
    assert_eq!(gauge("eucora_active.step=.=b;.;"), Some(3));
    drop(one);
    host(|fake| fake.http_calls.clear());
    for _ in 0..12 {
        tick(&mut other, ROOT);
    }
    assert!(!calls().is_empty());
    assert_eq!(gauge("eucora_cab_queue_depth"), Some(0), "stale");
    assert!(gauge("eucora_edge_poll_staleness_seconds.poll=.=summary;.;").unwrap() >= 5);
}

/// With facts for the access log.
fn rules_with_log() -> String {
    rules("").replacen('{', r#"{"access_log": {"facts": ["deployment_id", "risk"]},"#, 1)
}

#[test]
fn facts_are_in_the_filter_state_of_requests_that_a_rule_names_whatever_their_status() {
    let mut vm = started(&rules_with_log());
    approve(&mut vm, 2, "d-1", &[r#"{"risk": "high"}"#]);
    assert_eq!(
        (shown("eucora.deployment_id").as_deref(), shown("eucora.risk").as_deref()),
        (Some("d-1"), Some("high"))
    );
    host(|fake| {
        fake.filter_state.clear();
        fake.request = lines(&[(":method", "POST"), (":path", "/cab/d-2/approve/")]);
        fake.response = lines(&[(":status", "500")]);
    });
    vm.on_context_create(3, ROOT);
    vm.on_request_headers(3);
    vm.on_response_headers(3);
    end(&mut vm, 3);
    assert_eq!(
        (shown("eucora.deployment_id").as_deref(), shown("eucora.risk").as_deref()),
        (Some("d-2"), Some("unknown"))
    );
}

#[test]
fn facts_for_the_access_log_cost_other_requests_nothing() {
    assert_eq!(calls_of_a_request(&rules_with_log()), calls_of_a_request(ROUTES));
    assert!(shown("eucora.deployment_id").is_none());
}

#[test]
fn numbers_for_the_access_log_are_declared_texts_once() {
    let config = rules_with_log().replace(
        r#"{"name": "deployment_id", "from": "path:id"}"#,
        r#"{"name": "deployment_id", "from": "path:id", "type": "number"}"#,
    );
    let mut vm = started(&config);
    approve(&mut vm, 2, "7", &[]);
    approve(&mut vm, 3, "8", &[]);
    assert_eq!(host(|fake| fake.declared.clone()), [b"\x0a\x14eucora.deployment_id\x18\x01".to_vec()]);
    host(|fake| fake.declared.clear());
    started(RULES.replace("SINKS", "").as_str());
    assert_eq!(host(|fake| fake.declared.len()), 0);
}
