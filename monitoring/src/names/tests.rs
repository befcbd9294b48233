use telemetry::metrics::catalogue::{REQUESTS, SERIES_BUDGET};

use super::*;

const PROFILE_TEXT: &str = "
rules:
- name: decisions
  metric: {name: approvals_total, labels: {decision: fact, risk: other}}
- name: silent
polls:
- name: summary
  gauges: [{name: queue_depth, pointer: /depth}]
";

const RULES_TEXT: &str = r#"
groups:
  - name: a
    rules:
      - record: service:slow:ratio
        expr: service:slow:rate5m / 2
      - record: service:slow:rate5m
        expr: sum by (service) (rate(eucora_http_request_duration_seconds_bucket{le="2.0"}[5m]))
      - record: slo:objective:ratio
        expr: vector(0.99)
        labels: {slo: latency}
      - alert: Slow
        expr: service:slow:ratio > 0.05
"#;

fn names() -> Names {
    Names::new(PROFILE_TEXT, Rules::parse(RULES_TEXT).unwrap()).unwrap()
}

fn labels(name: &str) -> Vec<String> {
    names().labels(name).unwrap().into_iter().collect()
}

#[test]
fn each_source_of_metrics_gives_its_labels() {
    assert_eq!(labels("eucora_http_requests_total"), ["endpoint", "instance", "job", "method", "service", "status"]);
    assert_eq!(labels("eucora_approvals_total"), ["decision", "instance", "job", "risk", "service"]);
    assert_eq!(labels("eucora_queue_depth"), ["instance", "job", "service"]);
    assert_eq!(labels("envoy_server_concurrency"), ["instance", "job", "service"]);
    // One record is made of another that comes after it.
    assert_eq!(labels("service:slow:ratio"), ["service"]);
    assert_eq!(labels("slo:objective:ratio"), ["slo"]);
    assert!(names().get("eucora_nothing").is_none());
    let names = names();
    assert!(names.get("eucora_approvals_total").unwrap().is_counter);
    assert!(!names.get("eucora_queue_depth").unwrap().is_counter);
    assert!(!names.get(&names.metric(SERIES_BUDGET)).unwrap().is_counter);
    assert!(names.get(&names.metric(REQUESTS)).unwrap().is_counter);
}

#[test]
fn what_is_asked_for_in_vain_is_remembered() {
    let names = names();
    assert_eq!(names.declared("approvals_total"), "eucora_approvals_total");
    assert_eq!(names.record("service:slow:ratio"), "service:slow:ratio");
    assert!(names.alert("Slow").is_some());
    assert_eq!(names.problems(), Vec::<String>::new());
    names.declared("http_requests_total");
    names.record("service:fast:ratio");
    assert!(names.alert("Fast").is_none());
    assert_eq!(
        names.problems(),
        [
            "envoy/plugin-config/eucora.yaml declares no metric `http_requests_total`",
            "no alert under prometheus/rules is called `Fast`",
            "no rule under prometheus/rules records `service:fast:ratio`",
        ]
    );
}

#[test]
fn a_bound_is_found_through_what_is_recorded() {
    let names = names();
    assert_eq!(names.bucket_bounds(names.alert("Slow").unwrap()), [2.0]);
}
