//! Rules about a panel: what it says, its unit, its colours.

use serde_json::Value as Json;

use super::{Report, is_chosen_datasource, list, text};
use crate::RUNBOOKS;
use crate::model::Limit;
use crate::names::Names;

pub(super) fn lint(panel: &Json, names: &Names, report: &mut Report<'_>) {
    let title = text(panel, "title");
    if title.is_empty() || text(panel, "description").is_empty() {
        report.add("panel-title-description", title, "no title, or no description");
    }
    if panel.pointer("/fieldConfig/defaults/unit").and_then(Json::as_str).is_none_or(str::is_empty) {
        report.add("panel-units", title, "no unit");
    }
    let targets = list(panel, "targets");
    if targets.is_empty() {
        report.add("panel-no-targets", title, "no queries");
    }
    if !is_chosen_datasource(panel) || !targets.iter().all(is_chosen_datasource) {
        report.add("panel-datasource", title, "the panel, or a query, uses another data source than the chosen one");
    }
    thresholds(panel, names, report);
}

/// Every colour but the first begins somewhere, and an alert says where.
fn thresholds(panel: &Json, names: &Names, report: &mut Report<'_>) {
    let title = text(panel, "title");
    let mut limits = Vec::new();
    for link in list(panel, "links") {
        let Some(name) = text(link, "url").strip_prefix(RUNBOOKS).and_then(|rest| rest.strip_suffix(".md")) else {
            continue;
        };
        let name = name.trim_start_matches('/');
        let Some(alert) = names.rules().alert(name) else {
            report.add("runbooks-of-alerts", title, format!("no alert is called `{name}`"));
            continue;
        };
        let comparisons = alert.comparisons().into_iter().filter_map(|comparison| Limit::of(comparison, ""));
        limits.extend(comparisons.flat_map(|limit| [limit.value, limit.complement().value]));
        limits.extend(names.bucket_bounds(alert));
    }
    for step in steps(panel) {
        if !limits.iter().any(|limit| (limit - step).abs() < 1e-12) {
            report.add(
                "thresholds-of-alerts",
                title,
                format!("{step} is no limit of an alert whose runbook it links to"),
            );
        }
    }
}

/// Where colours begin: of the panel, and of its columns.
fn steps(panel: &Json) -> Vec<f64> {
    let own = panel.pointer("/fieldConfig/defaults/thresholds");
    let overrides = panel.get("fieldConfig").map(|config| list(config, "overrides")).unwrap_or_default();
    let properties = overrides.iter().flat_map(|one| list(one, "properties"));
    let theirs = properties.filter(|property| text(property, "id") == "thresholds").filter_map(|one| one.get("value"));
    let steps = own.into_iter().chain(theirs).flat_map(|thresholds| list(thresholds, "steps"));
    steps.filter_map(|step| step.get("value").and_then(Json::as_f64)).collect()
}
