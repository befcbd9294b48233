//! The rules: `promtool`'s checks and unit tests, and what every alert has to carry.

mod files;
mod names;
mod oracle;
mod runbooks;

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Output, Stdio};

use edge_observer::tools::Tools;

use files::{Alert, alerts, rules, unit_tests};

/// Dashboards that an alert may lead to, by `uid`.
const DASHBOARDS: &[&str] =
    &["eucora-control-plane", "eucora-edge-requests", "eucora-edge-health", "eucora-slo", "eucora-rings"];

/// Names that dashboards, and whoever takes the rules over, rely on.
const RECORDED: &[&str] = &[
    "eucora_certificate_expiry_days",
    "eucora_edge_series:count",
    "eucora_edge_workers:alive",
    "eucora_http_request_duration_seconds_sum",
    "service:eucora_http_requests:rate5m",
    "service:eucora_http_requests_errors:ratio_rate5m",
    "service_endpoint:eucora_http_request_duration_seconds:p50_5m",
    "service_endpoint:eucora_http_request_duration_seconds:p95_5m",
    "service_endpoint:eucora_http_request_duration_seconds:p99_5m",
    "service_endpoint:eucora_http_requests:rate5m",
    "service_endpoint:eucora_http_requests_errors:ratio_rate5m",
    "slo:current_burn_rate:ratio",
    "slo:error_budget:ratio",
    "slo:objective:ratio",
    "slo:period_burn_rate:ratio",
    "slo:period_error_budget_remaining:ratio",
    "slo:sli_error:ratio_rate1d",
    "slo:sli_error:ratio_rate1h",
    "slo:sli_error:ratio_rate2h",
    "slo:sli_error:ratio_rate30d",
    "slo:sli_error:ratio_rate30m",
    "slo:sli_error:ratio_rate3d",
    "slo:sli_error:ratio_rate5m",
    "slo:sli_error:ratio_rate6h",
];

/// Alerts of the API that keep their names.
const OF_BEFORE: &[&str] =
    &["HighErrorRate", "SlowResponseTime", "StuckDeployments", "ConnectorFailures", "CertificateExpiringSoon"];

fn shown(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn promtool_finds_no_fault_in_the_rules() {
    let Some(promtool) = super::tool(Tools::promtool) else { return };
    let output = Command::new(&promtool)
        .args(["check", "rules", "--lint=all", "--lint-fatal"])
        .args(files::yaml("prometheus/rules"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", shown(&output));
}

/// Each file in a process of its own, all at once: most of the time goes into windows of days.
#[test]
fn the_unit_tests_of_the_rules_pass() {
    let Some(promtool) = super::tool(Tools::promtool) else { return };
    let running: Vec<_> = files::yaml("prometheus/tests")
        .into_iter()
        .map(|path| {
            let child = Command::new(&promtool)
                .args(["test", "rules"])
                .arg(&path)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            (path, child)
        })
        .collect();
    let failed: Vec<_> = running
        .into_iter()
        .filter_map(|(path, child)| {
            let output = child.wait_with_output().unwrap();
            (!output.status.success()).then(|| format!("{}: {}", path.display(), shown(&output)))
        })
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn names_that_others_rely_on_are_there() {
    let recorded: BTreeSet<_> = rules().into_iter().filter_map(|rule| rule.record).collect();
    let missing: Vec<_> = RECORDED.iter().filter(|name| !recorded.contains(**name)).collect();
    assert!(missing.is_empty(), "not recorded: {missing:?}");
    let alerts: BTreeSet<_> = alerts().into_iter().map(|alert| alert.name).collect();
    let missing: Vec<_> = OF_BEFORE.iter().filter(|name| !alerts.contains(**name)).collect();
    assert!(missing.is_empty(), "no such alert: {missing:?}");
}

#[test]
fn names_of_alerts_and_groups_are_unique() {
    let twice = |names: Vec<String>| -> Vec<String> {
        let mut seen = BTreeSet::new();
        names.into_iter().filter(|name| !seen.insert(name.clone())).collect()
    };
    assert_eq!(twice(alerts().into_iter().map(|alert| alert.name).collect()), Vec::<String>::new());
    assert_eq!(twice(files::groups().into_iter().map(|group| group.name).collect()), Vec::<String>::new());
}

#[test]
fn every_alert_says_what_it_has_to() {
    let mut faults = Vec::new();
    let found = alerts();
    assert!(found.len() >= 30, "{} alerts", found.len());
    for alert in &found {
        let mut expect = |holds: bool, what: &str| {
            if !holds {
                faults.push(format!("{}: {what}", alert.name));
            }
        };
        let label = |name: &str| alert.labels.get(name).map_or("", String::as_str);
        let annotation = |name: &str| alert.annotations.get(name).map_or("", String::as_str);
        expect(["critical", "warning", "info", "none"].contains(&label("severity")), "severity");
        expect(["api", "edge", "platform", "connectors"].contains(&label("team")), "team");
        expect(alert.labels.len() == 2, "other labels than severity and team");
        expect(
            alert.annotations.len() == 4,
            "other annotations than summary, description, runbook_url and dashboard_url",
        );
        expect(
            annotation("summary").len() > 10 && !annotation("summary").ends_with('.'),
            "summary, a phrase without a full stop",
        );
        expect(
            annotation("description").ends_with('.') || annotation("description").ends_with("{{ end }}"),
            "description, in sentences",
        );
        expect(!annotation("description").contains("  "), "two blanks in the description");
        let runbook =
            format!("https://github.com/edge-observer/edge-observer/blob/main/docs/runbooks/{}.md", alert.name);
        expect(annotation("runbook_url") == runbook, "runbook_url");
        let dashboard = annotation("dashboard_url").strip_prefix("/d/").unwrap_or_default();
        expect(DASHBOARDS.contains(&dashboard), "dashboard_url");
        // Who reads an alert of a proxy has to be told which; Watchdog is about nobody.
        let texts = format!("{} {}", annotation("summary"), annotation("description"));
        expect(alert.name == "Watchdog" || texts.contains("$labels."), "neither text says what it is about");
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_alert_compares_with_a_plain_number() {
    let without: Vec<_> =
        alerts().into_iter().filter(|alert| alert.threshold().is_none()).map(|alert| alert.name).collect();
    assert!(without.is_empty(), "no threshold is to be seen in {without:?}");
    let of = |name: &str| alerts().iter().find(|alert| alert.name == name).and_then(Alert::threshold).unwrap();
    assert_eq!(of("HighErrorRate"), (">".to_owned(), 0.05));
    assert_eq!(of("StuckDeployments"), (">".to_owned(), 10.0));
    assert_eq!(of("CertificateExpiringSoon"), ("<".to_owned(), 30.0));
    assert_eq!(of("ErrorBudgetBurnFast"), (">".to_owned(), 14.4));
}

/// In `prometheus/tests`: a case in which it fires, with its texts, and one in which it does not.
#[test]
fn every_alert_is_tested_on_both_sides() {
    let mut sides: BTreeMap<String, [usize; 2]> = alerts().into_iter().map(|alert| (alert.name, [0, 0])).collect();
    for test in unit_tests() {
        for case in test.alert_rule_test {
            let side = usize::from(case.exp_alerts.is_empty());
            for alert in &case.exp_alerts {
                assert_eq!(alert.exp_annotations.len(), 4, "{}: {}", test.name, case.alertname);
            }
            let Some(counts) = sides.get_mut(&case.alertname) else {
                panic!("{}: there is no alert {}", test.name, case.alertname)
            };
            counts[side] += 1;
        }
    }
    let untested: Vec<_> = sides
        .iter()
        .filter(|(name, [fires, silent])| *fires == 0 || (*silent == 0 && *name != "Watchdog"))
        .map(|(name, [fires, silent])| format!("{name}: fires in {fires}, is silent in {silent}"))
        .collect();
    assert!(untested.is_empty(), "{}", untested.join("\n"));
}
