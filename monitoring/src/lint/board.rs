//! Rules about a dashboard as a whole: variables, links, annotations, places.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::{Report, is_chosen_datasource, list, panels, text};
use crate::RUNBOOKS;
use crate::model::COLUMNS;
use crate::names::Names;
use crate::promql::{Expression, Substitution};

pub(super) fn lint(dashboard: &Json, uids: &[&str], names: &Names, report: &mut Report<'_>) {
    if dashboard.get("editable") != Some(&Json::Bool(false)) {
        report.add("uneditable", "", "`editable` is not false");
    }
    if dashboard.get("graphTooltip").and_then(Json::as_u64) != Some(1) || text(dashboard, "refresh").is_empty() {
        report.add("tooltip-refresh", "", "`graphTooltip` is not 1, or there is no `refresh`");
    }
    variables(dashboard, names, report);
    links(dashboard, uids, report);
    annotations(dashboard, names, report);
    unique(dashboard, report);
    grid(dashboard, report);
}

fn variables(dashboard: &Json, names: &Names, report: &mut Report<'_>) {
    let variables = dashboard.get("templating").map(|templating| list(templating, "list")).unwrap_or_default();
    let is_datasource = |variable: &Json| {
        text(variable, "name") == "datasource"
            && text(variable, "type") == "datasource"
            && text(variable, "query") == "prometheus"
            && text(variable, "label") == "Data source"
    };
    if !variables.first().is_some_and(is_datasource) {
        report.add("template-datasource", "", "the first variable is not `datasource`, of the type prometheus");
    }
    for (rule, name) in [("template-service", "service"), ("template-instance", "instance")] {
        let is_right = |variable: &&Json| {
            text(variable, "type") == "query"
                && variable.get("multi") == Some(&Json::Bool(true))
                && variable.get("includeAll") == Some(&Json::Bool(true))
                && text(variable, "allValue") == ".+"
                && is_chosen_datasource(variable)
        };
        if !variables.iter().find(|variable| text(variable, "name") == name).as_ref().is_some_and(is_right) {
            report.add(rule, "", format!("no variable `{name}` of a query, with several values and All as `.+`"));
        }
    }
    for variable in variables.iter().filter(|variable| text(variable, "type") == "query") {
        let name = text(variable, "name");
        if variable.get("refresh").and_then(Json::as_u64) != Some(2) {
            report.add("template-on-time-change-reload", "", format!("`{name}`: `refresh` is not 2"));
        }
        let query = variable.pointer("/query/query").and_then(Json::as_str).unwrap_or_default();
        if let Err(what) = label_values(query, names) {
            report.add("template-label-promql", "", format!("`{name}`: {what}"));
        }
    }
}

/// `label_values(selector, label)`.
fn label_values(query: &str, names: &Names) -> Result<(), String> {
    let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
    let (selector, label) =
        inner.and_then(|inner| inner.rsplit_once(", ")).ok_or_else(|| format!("`{query}` is no label_values()"))?;
    let expr = Expression::parse(&Substitution::all("1m", "15s", "1h").apply(selector))?;
    let selectors = expr.selectors();
    let [one] = selectors.as_slice() else { return Err(format!("`{selector}` is not one selector")) };
    let labels = one.metric.as_deref().and_then(|metric| names.labels(metric));
    let labels =
        labels.ok_or_else(|| format!("no metric is called `{}`", one.metric.as_deref().unwrap_or_default()))?;
    if labels.contains(label) { Ok(()) } else { Err(format!("`{selector}` has no label `{label}`")) }
}

fn links(dashboard: &Json, uids: &[&str], report: &mut Report<'_>) {
    let links = list(dashboard, "links");
    let by_tag =
        |link: &Json| text(link, "type") == "dashboards" && list(link, "tags").iter().any(|tag| tag == "eucora");
    if !links.iter().any(by_tag) || !list(dashboard, "tags").iter().any(|tag| tag == "eucora") {
        report.add(
            "dashboard-links",
            "",
            "no link to the dashboards with the tag `eucora`, or it has not that tag itself",
        );
    }
    if !links.iter().any(|link| text(link, "url") == RUNBOOKS) {
        report.add("dashboard-links", "", "no link to the runbooks");
    }
    for panel in panels(dashboard) {
        for url in urls(panel) {
            let Some(rest) = url.strip_prefix("/d/") else { continue };
            let uid = rest.split(['?', '/']).next().unwrap_or_default();
            if !uids.contains(&uid) {
                report.add(
                    "dashboard-links",
                    text(panel, "title"),
                    format!("a link leads to `{uid}`, which is no dashboard"),
                );
            }
        }
    }
}

/// Every address in a panel.
fn urls(json: &Json) -> Vec<&str> {
    match json {
        Json::Object(fields) => {
            let own = fields.get("url").and_then(Json::as_str);
            own.into_iter().chain(fields.values().flat_map(urls)).collect()
        }
        Json::Array(items) => items.iter().flat_map(urls).collect(),
        _ => Vec::new(),
    }
}

fn annotations(dashboard: &Json, names: &Names, report: &mut Report<'_>) {
    let annotations = dashboard.get("annotations").map(|annotations| list(annotations, "list")).unwrap_or_default();
    let mut named = BTreeSet::new();
    for annotation in annotations {
        let name = text(annotation, "name");
        if annotation.get("enable") != Some(&Json::Bool(true)) {
            report.add("annotations", "", format!("`{name}` is not enabled"));
        }
        if annotation.pointer("/datasource/type").and_then(Json::as_str) == Some("grafana") {
            let tags = annotation.get("target").map(|target| list(target, "tags")).unwrap_or_default();
            named.extend(tags.iter().filter_map(Json::as_str).map(|tag| format!("tag:{tag}")));
            continue;
        }
        match Expression::parse(&Substitution::all("1m", "15s", "1h").apply(text(annotation, "expr"))) {
            Ok(expr) => named.extend(expr.selectors().into_iter().filter_map(|selector| selector.metric)),
            Err(error) => report.add("target-promql", "", format!("annotation `{name}`: {error}")),
        }
    }
    for metric in named.iter().filter(|metric| !metric.starts_with("tag:") && names.get(metric).is_none()) {
        report.add("names-exist", "", format!("an annotation names `{metric}`, which is no metric"));
    }
    let build_info = names.metric(telemetry::metrics::catalogue::BUILD_INFO);
    for wanted in ["ALERTS", build_info.as_str(), "tag:rollout"] {
        if !named.contains(wanted) {
            report.add("annotations", "", format!("no annotation of `{wanted}`"));
        }
    }
}

fn unique(dashboard: &Json, report: &mut Report<'_>) {
    let (mut ids, mut titles) = (BTreeSet::new(), BTreeSet::new());
    for panel in list(dashboard, "panels") {
        let title = text(panel, "title");
        let id = panel.get("id").and_then(Json::as_u64);
        if id.is_none_or(|id| !ids.insert(id)) {
            report.add("unique", title, "another panel has this number, or it has none");
        }
        if !titles.insert(title) {
            report.add("unique", title, "another panel has this title");
        }
        let mut letters = BTreeSet::new();
        if !list(panel, "targets").iter().all(|target| letters.insert(text(target, "refId"))) {
            report.add("unique", title, "two queries have the same letter");
        }
    }
}

fn grid(dashboard: &Json, report: &mut Report<'_>) {
    let place = |panel: &Json| -> Option<[u64; 4]> {
        let side = |name: &str| panel.get("gridPos").and_then(|grid| grid.get(name)).and_then(Json::as_u64);
        Some([side("x")?, side("y")?, side("w")?, side("h")?])
    };
    let mut placed: Vec<(&str, [u64; 4])> = Vec::new();
    for panel in list(dashboard, "panels") {
        let title = text(panel, "title");
        let Some([x, y, w, h]) = place(panel) else {
            report.add("grid", title, "it has no place");
            continue;
        };
        if x + w > u64::from(COLUMNS) || w == 0 || h == 0 {
            report.add("grid", title, "it is not within the 24 columns");
        }
        let overlapped = placed.iter().find(|(_, [left, top, width, height])| {
            x < left + width && *left < x + w && y < top + height && *top < y + h
        });
        if let Some((other, _)) = overlapped {
            report.add("grid", title, format!("it overlaps `{other}`"));
        }
        placed.push((title, [x, y, w, h]));
    }
}
