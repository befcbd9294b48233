//! The rules that each dashboard keeps: those of Grafana's dashboard-linter that are about Prometheus, and our own. They read the generated JSON, so they
//! find what the generator does wrong too.
//!
//! Of the linter's rules, `template-job` and `target-job` are kept for the label `service` instead: behind Istio everything comes from one job, elsewhere
//! from two, so a query that selects a job shows half of the truth. `target-logql` and `target-logql-auto` become [`RULES`]' `panel-datasource`: there is
//! no data source but Prometheus.

mod board;
mod panel;
mod query;

use serde_json::Value as Json;

use crate::names::Names;

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The rule, one of [`RULES`].
    pub rule: &'static str,
    /// The dashboard's uid.
    pub dashboard: String,
    /// The panel's heading; empty for the dashboard itself.
    pub panel: String,
    /// What was found.
    pub what: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}: {}: {}", self.dashboard, self.panel, self.rule, self.what)
    }
}

/// Every rule, and what it wants.
pub const RULES: &[(&str, &str)] = &[
    // Grafana's.
    ("template-datasource", "the first variable chooses the data source"),
    ("template-service", "a variable chooses services: several, or all"),
    ("template-instance", "a variable chooses instances: several, or all"),
    ("template-label-promql", "a variable's query is label_values() of a selector and a label that it has"),
    ("template-on-time-change-reload", "a variable's values are asked for again when the time range changes"),
    ("panel-datasource", "panels and queries use the chosen data source"),
    ("panel-title-description", "a panel has a title and a description"),
    ("panel-units", "a panel has a unit"),
    ("panel-no-targets", "a panel has queries"),
    ("target-promql", "a query is PromQL"),
    ("target-rate-interval", "rate() is over $__rate_interval"),
    ("target-service", "a selector chooses by $service"),
    ("target-instance", "a selector chooses by $instance, where its series have one"),
    ("target-counter-agg", "a counter is looked at through rate() or increase()"),
    ("uneditable", "a dashboard cannot be edited in place"),
    // Our own.
    ("no-job", "no selector chooses by job"),
    ("names-exist", "every metric exists, and every label of a selector or of `by` is one of the metric's"),
    ("legend-labels", "a legend's labels, and a table's columns, are labels of the query's result"),
    ("thresholds-of-alerts", "a colour begins at the limit of an alert whose runbook the panel links to"),
    ("runbooks-of-alerts", "a link to a runbook is to that of an alert there is"),
    ("no-division-by-zero", "what is divided by is kept above 0"),
    ("dashboard-links", "links lead to the other dashboards by tag, to the runbooks, and to dashboards there are"),
    ("annotations", "alerts that fire, new builds and rollouts are marked"),
    ("unique", "uids, panels' numbers and titles, and the letters of a panel's queries are unique"),
    ("grid", "panels are within the grid and do not overlap"),
    ("tooltip-refresh", "a crosshair is shared, and the dashboard refreshes itself"),
];

/// What may break a rule, and why: rule, dashboard, panel (empty: all of it), reason.
const EXCEPTIONS: &[(&str, &str, &str, &str)] = &[
    ("template-instance", "eucora-slo", "", "objectives are of a service, whatever its instances"),
    ("target-instance", "eucora-slo", "", "objectives are of a service, whatever its instances"),
    ("target-service", "eucora-control-plane", "Alerts", "some alerts are of no service"),
    ("target-instance", "eucora-control-plane", "Alerts", "most alerts are of no instance"),
    (
        "thresholds-of-alerts",
        "eucora-slo",
        "Error budget left",
        "below 0 the objective is missed; alerts warn before, by how fast the budget goes",
    ),
];

/// What is wrong with these dashboards, in the classic form.
pub fn lint(dashboards: &[Json], names: &Names) -> Vec<Finding> {
    let mut findings = Vec::new();
    let uids: Vec<&str> = dashboards.iter().map(|dashboard| text(dashboard, "uid")).collect();
    for (number, dashboard) in dashboards.iter().enumerate() {
        let mut report = Report { dashboard: text(dashboard, "uid"), findings: &mut findings };
        if uids.iter().skip(number + 1).any(|uid| *uid == report.dashboard) {
            report.add("unique", "", "another dashboard has this uid");
        }
        board::lint(dashboard, &uids, names, &mut report);
        for panel in panels(dashboard) {
            panel::lint(panel, names, &mut report);
            query::lint(panel, dashboard, names, &mut report);
        }
    }
    findings.sort();
    findings
}

/// The panels, headings left out.
fn panels(dashboard: &Json) -> impl Iterator<Item = &Json> {
    list(dashboard, "panels").iter().filter(|panel| text(panel, "type") != "row")
}

/// Where findings about one dashboard go.
struct Report<'a> {
    dashboard: &'a str,
    findings: &'a mut Vec<Finding>,
}

impl Report<'_> {
    fn add(&mut self, rule: &'static str, panel: &str, what: impl Into<String>) {
        let is_exception = EXCEPTIONS.iter().any(|(excepted, dashboard, of, _)| {
            *excepted == rule && *dashboard == self.dashboard && (of.is_empty() || *of == panel)
        });
        if !is_exception {
            self.findings.push(Finding {
                rule,
                dashboard: self.dashboard.to_owned(),
                panel: panel.to_owned(),
                what: what.into(),
            });
        }
    }
}

fn text<'a>(json: &'a Json, field: &str) -> &'a str {
    json.get(field).and_then(Json::as_str).unwrap_or_default()
}

fn list<'a>(json: &'a Json, field: &str) -> &'a [Json] {
    json.get(field).and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Whether this is the data source that was chosen at the top.
fn is_chosen_datasource(json: &Json) -> bool {
    json.pointer("/datasource/uid").and_then(Json::as_str) == Some("${datasource}")
        && json.pointer("/datasource/type").and_then(Json::as_str) == Some("prometheus")
}
