//! Which alert mutes which, asked from a real Alertmanager.

use std::collections::{BTreeMap, BTreeSet};

use serde_yaml_ng::Value;

use super::live::{Alert, Stand, quick};
use super::routes::{alerts, yaml_files};
use super::{root, shipped};

/// An alert: name, severity, team, and more labels.
type Sketch = (&'static str, &'static str, &'static str, &'static [(&'static str, &'static str)]);

/// What fires, what fires with it, and whether the second is muted.
const CASES: &[(Sketch, Sketch, bool)] = &[
    // A page of a service, and tickets about it.
    (("HighErrorRate", "critical", "api", &[]), ("SlowResponseTime", "warning", "api", &[]), true),
    (("HighErrorRate", "critical", "api", &[]), ("Anything", "info", "api", &[]), true),
    (("HighErrorRate", "critical", "api", &[]), ("DatabaseConnectionsHigh", "warning", "platform", &[]), false),
    (("HighErrorRate", "critical", "api", &[]), ("SlowResponseTime", "warning", "api", &[("service", "x")]), false),
    (("HighErrorRate", "critical", "api", &[]), ("SlowResponseTime", "warning", "api", &[("environment", "x")]), false),
    (("HighErrorRate", "critical", "api", &[]), ("ErrorBudgetBurnFast", "critical", "api", &[]), false),
    (("HighErrorRate", "critical", "api", &[("service", "")]), ("Other", "warning", "api", &[("service", "")]), false),
    (("SlowResponseTime", "warning", "api", &[]), ("StuckDeployments", "warning", "api", &[]), false),
    // Nothing mutes the heartbeat.
    (("HighErrorRate", "critical", "platform", &[]), ("Watchdog", "none", "platform", &[]), false),
    (
        ("TargetDown", "critical", "platform", &[("job", "edge"), ("instance", "a")]),
        ("Watchdog", "none", "platform", &[("instance", "a")]),
        false,
    ),
    // The error budget.
    (
        ("ErrorBudgetBurnFast", "critical", "api", &[("slo", "latency")]),
        ("ErrorBudgetBurnSlow", "warning", "platform", &[("slo", "latency")]),
        true,
    ),
    (
        ("ErrorBudgetBurnFast", "critical", "api", &[("slo", "latency")]),
        ("ErrorBudgetBurnSlow", "warning", "platform", &[("slo", "availability")]),
        false,
    ),
    // Certificates.
    (
        ("CertificateExpiringVerySoon", "critical", "edge", &[("certificate", "a")]),
        ("CertificateExpiringSoon", "warning", "edge", &[("certificate", "a")]),
        true,
    ),
    (
        ("CertificateExpiringVerySoon", "critical", "edge", &[("certificate", "a")]),
        ("CertificateExpiringSoon", "warning", "edge", &[("certificate", "b")]),
        false,
    ),
    (
        ("CertificateExpiringVerySoon", "critical", "edge", &[("certificate", "a")]),
        ("EdgeSeriesBudget", "warning", "edge", &[]),
        false,
    ),
    // A proxy without its filter. (Its team is paged, which mutes the team's tickets; so the targets here are another team's.)
    (
        ("EdgeHeartbeatMissing", "critical", "edge", &[("instance", "a")]),
        ("EdgePollStale", "warning", "api", &[("instance", "a")]),
        true,
    ),
    (
        ("EdgeHeartbeatMissing", "critical", "edge", &[("instance", "a")]),
        ("EdgePollStale", "warning", "api", &[("instance", "b")]),
        false,
    ),
    (
        ("EdgeHeartbeatMissing", "critical", "edge", &[("instance", "a")]),
        ("EdgeRequestMetricsAbsent", "critical", "edge", &[("instance", "a")]),
        false,
    ),
    (
        ("EdgeHeartbeatMissing", "critical", "edge", &[("instance", "a")]),
        ("DatabaseConnectionsHigh", "warning", "platform", &[("instance", "a")]),
        false,
    ),
    (
        ("EdgeHeartbeatMissing", "critical", "edge", &[("instance", "a")]),
        ("EdgeHeartbeatMissing", "critical", "edge", &[("instance", "b")]),
        false,
    ),
    // Targets that are not scraped.
    (
        ("TargetDown", "warning", "platform", &[("job", "edge"), ("instance", "a")]),
        ("EdgeEventQueueAge", "warning", "edge", &[("instance", "a")]),
        true,
    ),
    (
        ("TargetDown", "warning", "platform", &[("job", "edge"), ("instance", "a")]),
        ("EdgeHeartbeatMissing", "critical", "edge", &[("instance", "a")]),
        false,
    ),
    (
        ("TargetDown", "warning", "platform", &[("job", "redis"), ("instance", "a")]),
        ("EdgeEventQueueAge", "warning", "edge", &[("instance", "a")]),
        false,
    ),
    (
        ("TargetDown", "warning", "platform", &[("job", "redis"), ("instance", "a")]),
        ("RedisMemoryHigh", "warning", "platform", &[("instance", "b")]),
        true,
    ),
    (
        ("TargetDown", "warning", "api", &[("job", "redis"), ("instance", "a")]),
        ("RedisDown", "critical", "platform", &[("instance", "a")]),
        false,
    ),
    (
        ("TargetDown", "warning", "platform", &[("job", "postgres"), ("instance", "a")]),
        ("DatabaseConnectionsHigh", "warning", "platform", &[]),
        true,
    ),
    (
        ("TargetDown", "warning", "platform", &[("job", "celery"), ("instance", "a")]),
        ("CeleryWorkerDown", "warning", "platform", &[]),
        true,
    ),
    (
        ("TargetDown", "warning", "platform", &[("job", "celery"), ("instance", "a")]),
        ("DatabaseConnectionsHigh", "warning", "platform", &[]),
        false,
    ),
];

/// An alert of a case, which has a cluster of its own.
fn alert(sketch: &Sketch, case: usize) -> Alert {
    let (name, severity, team, labels) = sketch;
    let alert = Alert::new(name, severity).with("team", team).with("cluster", &format!("case-{case}"));
    labels.iter().fold(alert, |alert, (label, value)| alert.with(label, value))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_alert_mutes_what_follows_from_it_and_nothing_else() {
    let Some(stand) = Stand::start(&quick()).await else { return };
    for (number, (cause, consequence, _)) in CASES.iter().enumerate() {
        // The role tells the two of a case apart where all else is the same.
        stand
            .send(&[alert(cause, number).with("role", "cause"), alert(consequence, number).with("role", "consequence")])
            .await;
    }
    let mut state = BTreeMap::new();
    for known in stand.alerts().await {
        let label = |name: &str| known["labels"][name].as_str().unwrap().to_owned();
        state.insert((label("cluster"), label("role")), known["status"]["inhibitedBy"].as_array().unwrap().len());
    }
    assert_eq!(state.len(), 2 * CASES.len());
    for (number, (cause, consequence, muted)) in CASES.iter().enumerate() {
        let by = |role: &str| state[&(format!("case-{number}"), role.to_owned())];
        assert_eq!(by("consequence") > 0, *muted, "case {number}: {cause:?} and {consequence:?}");
        assert_eq!(by("cause"), 0, "case {number}: {cause:?} is muted by {consequence:?}");
    }
    stand.end().await;
}

/// The alerts' names that a matcher of a rule admits; none where the rule names no alert.
fn named(matchers: &Value) -> Option<BTreeSet<String>> {
    let matchers: Vec<_> = matchers.as_sequence().unwrap().iter().map(|matcher| matcher.as_str().unwrap()).collect();
    let pattern =
        |prefix| matchers.iter().find_map(move |matcher: &&str| Some(matcher.strip_prefix(prefix)?.trim_matches('"')));
    if let Some(name) = pattern("alertname=~") {
        let name = fancy_regex::Regex::new(&format!("^(?:{name})$")).unwrap();
        return Some(alerts().into_keys().filter(|alert| name.is_match(alert).unwrap()).collect());
    }
    let name = pattern("alertname=")?;
    assert!(alerts().contains_key(name), "an inhibit rule names {name}, and there is no such alert");
    Some([name.to_owned()].into())
}

/// The labels of each alert in the rules' own tests: those that it has in every one of them.
fn labels_in_tests() -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in yaml_files(&root().join("prometheus/tests")) {
        let file: Value = serde_yaml_ng::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        for case in file["tests"].as_sequence().unwrap() {
            for test in case.get("alert_rule_test").and_then(Value::as_sequence).into_iter().flatten() {
                for expected in test.get("exp_alerts").and_then(Value::as_sequence).into_iter().flatten() {
                    let Some(labels) = expected.get("exp_labels").and_then(Value::as_mapping) else { continue };
                    let labels: BTreeSet<_> = labels.keys().map(|label| label.as_str().unwrap().to_owned()).collect();
                    let known =
                        all.entry(test["alertname"].as_str().unwrap().to_owned()).or_insert_with(|| labels.clone());
                    known.retain(|label| labels.contains(label));
                }
            }
        }
    }
    all
}

#[test]
fn labels_that_have_to_be_equal_are_on_both_sides() {
    let file: Value = serde_yaml_ng::from_str(&std::fs::read_to_string(shipped()).unwrap()).unwrap();
    let known = labels_in_tests();
    let mut checked = 0;
    for rule in file["inhibit_rules"].as_sequence().unwrap() {
        // Prometheus adds these two to every alert; the others have to come from the rule.
        let equal: Vec<_> = rule["equal"].as_sequence().unwrap().iter().map(|label| label.as_str().unwrap()).collect();
        assert!(equal.contains(&"environment") && equal.contains(&"cluster") && equal.contains(&"service"), "{rule:?}");
        for side in ["source_matchers", "target_matchers"] {
            let Some(names) = named(&rule[side]) else { continue };
            assert!(!names.is_empty(), "{rule:?}: no alert is meant");
            for name in names {
                let Some(labels) = known.get(&name) else { panic!("{name} fires in no test of the rules") };
                for label in equal.iter().filter(|label| !["environment", "cluster"].contains(*label)) {
                    // A rule that asks for the label leaves out the alert that lacks it.
                    let asked = rule[side]
                        .as_sequence()
                        .unwrap()
                        .iter()
                        .any(|matcher| matcher.as_str().unwrap().starts_with(*label));
                    assert!(
                        labels.contains(*label) || (asked && side == "target_matchers"),
                        "{name} has no {label}: {rule:?}"
                    );
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 20, "{checked}");
}
