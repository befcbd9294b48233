//! What expressions name: metrics that exist, with labels that they have, over windows that make sense.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Duration;

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{Expr, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};
use serde_json::Value;
use telemetry::metrics::METRICS;

use super::files::{root, rules};

/// Metrics that are not the filter's: Prometheus' own, Envoy's and the exporters', as they are called there.
const ELSEWHERE: &[&str] = &[
    "ALERTS",
    "up",
    // Envoy.
    "envoy_cluster_ssl_certificate_expiration_unix_time_seconds",
    "envoy_extension_config_discovery_http_filter_edge_observer_config_fail",
    "envoy_extension_config_discovery_http_filter_edge_observer_update_rejected",
    "envoy_extension_config_discovery_http_filter_edge_observer_update_success",
    "envoy_http_downstream_rq_completed",
    "envoy_listener_ssl_certificate_expiration_unix_time_seconds",
    "envoy_server_concurrency",
    "envoy_server_live",
    "envoy_server_uptime",
    "envoy_wasm_edge_observer_vm_reload_failure",
    "envoy_wasm_edge_observer_vm_reload_success",
    "envoy_wasm_remote_load_fetch_failures",
    // postgres_exporter.
    "pg_settings_max_connections",
    "pg_settings_superuser_reserved_connections",
    "pg_stat_activity_count",
    "pg_stat_database_numbackends",
    "pg_up",
    // redis_exporter.
    "redis_evicted_keys_total",
    "redis_memory_max_bytes",
    "redis_memory_used_bytes",
    "redis_up",
    // The exporter of Celery.
    "celery_queue_length",
    "celery_worker_up",
    // The filter's gauge of its own budget.
];

/// Labels that a scrape adds to every series.
const OF_THE_SCRAPE: &[&str] = &["job", "service", "instance"];

/// Prometheus needs some samples in a window: four of a scrape each 15 s.
const SHORTEST: Duration = Duration::from_secs(60);

/// Names that expressions may use, and the labels of those whose labels are known.
pub(super) fn known() -> BTreeMap<String, Option<BTreeSet<String>>> {
    let labels = |labels: &[&str]| Some(labels.iter().chain(OF_THE_SCRAPE).map(|label| (*label).to_owned()).collect());
    let mut known: BTreeMap<String, Option<BTreeSet<String>>> =
        METRICS.iter().map(|metric| (format!("eucora_{}", metric.suffix), labels(metric.labels))).collect();
    known.extend(ELSEWHERE.iter().map(|name| ((*name).to_owned(), None)));
    known.extend(rules().into_iter().filter_map(|rule| rule.record).map(|name| (name, None)));
    // What the profile declares.
    let profile = std::fs::read_to_string(root().join("envoy/plugin-config/eucora.yaml")).unwrap();
    let profile: Value = serde_yaml_ng::from_str(&profile).unwrap();
    let mut declare = |metric: &Value| {
        let names: Vec<&str> =
            metric["labels"].as_object().into_iter().flat_map(|object| object.keys()).map(String::as_str).collect();
        known.insert(format!("eucora_{}", metric["name"].as_str().unwrap()), labels(&names));
    };
    for rule in profile["rules"].as_array().unwrap() {
        if rule.get("metric").is_some() {
            declare(&rule["metric"]);
        }
    }
    for poll in profile["polls"].as_array().unwrap() {
        for gauge in poll["gauges"].as_array().unwrap() {
            declare(gauge);
        }
    }
    known
}

/// Walks an expression and collects what is wrong with it.
struct Critic<'a> {
    known: &'a BTreeMap<String, Option<BTreeSet<String>>>,
    faults: Vec<String>,
    names: usize,
}

impl Critic<'_> {
    fn selector(&mut self, selector: &VectorSelector) {
        let matchers = &selector.matchers.matchers;
        let mut names: Vec<&str> = selector.name.iter().map(String::as_str).collect();
        for matcher in matchers.iter().filter(|matcher| matcher.name == "__name__") {
            names.extend(listed(matcher));
        }
        if selector.offset.is_some() || selector.at.is_some() {
            self.faults.push(format!("{names:?} is of another time: a shortened copy of the rules could not follow"));
        }
        for name in names {
            self.names += 1;
            let Some(labels) = self.known.get(name) else {
                self.faults.push(format!("no metric is called {name}"));
                continue;
            };
            for matcher in matchers.iter().filter(|matcher| matcher.name != "__name__") {
                if labels.as_ref().is_some_and(|labels| !labels.contains(&matcher.name)) {
                    self.faults.push(format!("{name} has no label {}", matcher.name));
                }
                if matcher.name == "job" && name.contains("eucora_") {
                    self.faults.push(format!("{name} by job: behind Istio one job has everything"));
                }
            }
        }
    }
}

/// The names in `__name__="a"` or `__name__=~"a|b"`; of a pattern that is more than a list, none.
fn listed(matcher: &Matcher) -> Vec<&str> {
    let list = matcher.value.split('|').collect::<Vec<_>>();
    let plain = list.iter().all(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    if plain && matches!(matcher.op, MatchOp::Equal | MatchOp::Re(_)) { list } else { Vec::new() }
}

impl ExprVisitor for Critic<'_> {
    type Error = Infallible;

    fn pre_visit(&mut self, expr: &Expr) -> Result<bool, Infallible> {
        match expr {
            Expr::VectorSelector(selector) => self.selector(selector),
            Expr::MatrixSelector(matrix) => {
                self.selector(&matrix.vs);
                if matrix.range < SHORTEST {
                    self.faults.push(format!("a window of {:?} has too few samples", matrix.range));
                }
            }
            Expr::Subquery(_) => self.faults.push("a subquery, where a recorded series would do".to_owned()),
            _ => {}
        }
        Ok(true)
    }
}

/// What is wrong with an expression, and how many metrics it names.
pub(super) fn faults(expr: &Expr, known: &BTreeMap<String, Option<BTreeSet<String>>>) -> (Vec<String>, usize) {
    let mut critic = Critic { known, faults: Vec::new(), names: 0 };
    let _ = walk_expr(&mut critic, expr);
    (critic.faults, critic.names)
}

#[test]
fn rules_name_metrics_and_labels_that_exist() {
    let known = known();
    let mut found = Vec::new();
    let mut names = 0;
    for rule in rules() {
        let (faults, named) = faults(&rule.parsed(), &known);
        found.extend(faults.into_iter().map(|fault| format!("{}: {fault}", rule.name())));
        names += named;
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert!(names > 100, "{names}");
}

#[test]
fn what_does_not_exist_is_found() {
    let known = known();
    let of = |text: &str| faults(&promql_parser::parser::parse(text).unwrap(), &known).0;
    assert_eq!(of("rate(eucora_http_requests_total{status=\"500\"}[5m])"), Vec::<String>::new());
    assert_eq!(of("eucora_http_request_total"), ["no metric is called eucora_http_request_total"]);
    assert_eq!(of("{__name__=~\"up|eucora_nothing\"}"), ["no metric is called eucora_nothing"]);
    assert_eq!(of("eucora_http_requests_total{code=\"500\"}"), ["eucora_http_requests_total has no label code"]);
    assert_eq!(
        of("eucora_edge_heartbeat_total{job=\"edge\"}"),
        ["eucora_edge_heartbeat_total by job: behind Istio one job has everything"]
    );
    assert_eq!(of("rate(up[30s])"), ["a window of 30s has too few samples"]);
    assert_eq!(of("max_over_time(rate(up[5m])[1h:])"), ["a subquery, where a recorded series would do"]);
    assert_eq!(of("up offset 5m").len(), 1);
}
