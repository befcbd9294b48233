//! *EUCORA Control Plane*: the five panels that the API's operators know, and the alerts.

use telemetry::metrics::catalogue::{DURATION_BUCKET, REQUESTS as REQUESTS_TOTAL};

use super::{CONTROL_PLANE, Parts, REQUESTS, increase, quantile, rate, share, sum};
use crate::model::{Chart, Column, Dashboard, Panel, Row};
use crate::names::external::ALERTS;

/// Colours by the first digit of a status.
pub(super) const BY_STATUS: [(&str, &str); 6] = [
    ("^1", "super-light-blue"),
    ("^2", "green"),
    ("^3", "blue"),
    ("^4", "yellow"),
    ("^5", "red"),
    ("^(0|other)$", "purple"),
];

pub(super) fn dashboard(parts: &Parts<'_>) -> Dashboard {
    Dashboard {
        uid: CONTROL_PLANE,
        title: "EUCORA Control Plane",
        description: "The API at a glance: requests, latency, deployments, CAB decisions, connectors, and what fires.",
        tags: &["control-plane"],
        from: "now-6h",
        variables: parts.service_and_instance(&parts.names.metric(REQUESTS_TOTAL)),
        annotations: parts.annotations(),
        rows: vec![
            Row { title: "Requests", panels: vec![request_rate(parts), p95(parts), alerts(parts)] },
            Row { title: "Changes", panels: vec![deployments(parts), decisions(parts), connectors(parts)] },
        ],
    }
}

fn request_rate(parts: &Parts<'_>) -> Panel {
    Panel::new(Chart::Areas, (12, 9), "Request Rate", "reqps")
        .says(
            "Requests a second by status code, every HTTP stream counted once, at its end. Status 0: the client \
             left before an answer.",
        )
        .from_zero()
        .series_colors(&BY_STATUS)
        .asks(sum("status", &rate(&parts.own(REQUESTS_TOTAL, ""))), "{{status}}")
        .runbook(parts.names, "HighErrorRate")
        .data_link("Requests by endpoint", &drill_down(""))
}

fn p95(parts: &Parts<'_>) -> Panel {
    Panel::new(Chart::Gauge, (4, 9), "P95 Latency", "s")
        .says("95 of 100 requests are answered within this time. From exact buckets, and linear inside a bucket.")
        .says(
            "Red or orange from the bound that the alert SlowResponseTime calls slow; that alert counts the slow \
             requests, which is exact.",
        )
        .scale(0.0, 4.0)
        .decimals(2)
        .without_value("no traffic")
        .alert_bound(parts.names, "SlowResponseTime")
        .asks(quantile("0.95", "service", &rate(&parts.own(DURATION_BUCKET, ""))), "{{service}}")
}

fn alerts(parts: &Parts<'_>) -> Panel {
    let firing = format!("sum by (alertname, severity, team, alertstate) ({}{{alertname!=\"Watchdog\"}})", ALERTS.name);
    Panel::new(Chart::Table, (8, 9), "Alerts", "short")
        .says(
            "Alerts that fire, or wait for their time to be over (pending), in every service. Prometheus keeps \
             them; Alertmanager tells the people.",
        )
        .without_value("nothing fires")
        .asks_perhaps(firing, "{{alertname}}", "in health nothing fires")
        .columns(vec![
            text("alertname", "Alert"),
            text("severity", "Severity"),
            text("team", "Team"),
            text("alertstate", "State"),
            Column { field: "Value", title: "Series", unit: "short", steps: Vec::new() },
        ])
        .runbook(parts.names, "Watchdog")
}

fn deployments(parts: &Parts<'_>) -> Panel {
    let active = parts.declared("active_deployments", "");
    Panel::new(Chart::Pie, (8, 9), "Active Deployments", "short")
        .says(
            "Deployments by status, as the API last told. Every proxy asks it: the greatest answer of them \
             counts, not their sum.",
        )
        .asks(sum("status", &format!("max by (service, status, ring) ({active})")), "{{status}}")
        .series_colors(&[
            ("pending", "orange"),
            ("approved", "blue"),
            ("in_progress", "purple"),
            ("completed", "green"),
        ])
        .runbook(parts.names, "StuckDeployments")
}

fn decisions(parts: &Parts<'_>) -> Panel {
    let decided = increase(&parts.declared("cab_approvals_total", ""), "1h");
    Panel::new(Chart::Bars, (8, 9), "CAB Decisions (1h)", "locale")
        .says(
            "Decisions of the change advisory board in the last hour, each counted once, however often a client tried.",
        )
        .from_zero()
        .decimals(0)
        .color("blue")
        .series_colors(&[("approved", "green"), ("rejected", "red"), ("other", "blue")])
        .asks(sum("decision", &decided), "{{decision}}")
        .runbook(parts.names, "CABQueueDepthHigh")
}

fn connectors(parts: &Parts<'_>) -> Panel {
    let operations = |more: &str| increase(&parts.declared("connector_operations_total", more), "1h");
    // As the alert has it: what was skipped was not tried, and what has no outcome has not failed.
    let failed = share("connector", &operations("status=~\"failed|timeout\""), &operations("status!=\"skipped\""));
    Panel::new(Chart::Number, (8, 9), "Connector Health", "percentunit")
        .says(
            "Success Rate by connector: operations of the last hour that did not fail, of those that were tried. \
             Connectors without operations are left out.",
        )
        .scale(0.0, 1.0)
        .decimals(1)
        .without_value("no operations")
        .alert_complement(parts.names, "ConnectorFailures")
        .asks_perhaps(
            format!("1 - {failed}"),
            "Success Rate {{connector}}",
            "a connector without operations has no success rate",
        )
}

/// A column of text.
pub(super) fn text(field: &'static str, title: &'static str) -> Column {
    Column { field, title, unit: "", steps: Vec::new() }
}

/// The dashboard of requests, with the same data source, services and time; `more` sets further variables.
pub(super) fn drill_down(more: &str) -> String {
    format!(
        "/d/{REQUESTS}?${{datasource:queryparam}}&${{service:queryparam}}&${{instance:queryparam}}{more}&${{__url_time_range}}"
    )
}
