//! Rules about queries: what they name, how they add up, and what their results are called.

use serde_json::Value as Json;

use super::{Report, list, text};
use crate::dashboards::queries::{OPTIONAL_LABELS, legend_labels};
use crate::names::{Known, Names};
use crate::promql::{Expression, Selector, Substitution};

/// Stands for `$__rate_interval`, to be told from every other range.
const RATE_INTERVAL: &str = "4m57s";

/// Functions that a counter may be in: those that see it grow, and those that only ask whether it is there.
const COUNTER_FUNCTIONS: [&str; 7] = ["rate", "irate", "increase", "resets", "absent", "absent_over_time", "count"];

/// What is a constant, and never 0.
const NEVER_ZERO: [&str; 1] = ["slo:error_budget:ratio"];

pub(super) fn lint(panel: &Json, dashboard: &Json, names: &Names, report: &mut Report<'_>) {
    let title = text(panel, "title");
    let has_variable = |name: &str| {
        let variables = dashboard.get("templating").map(|templating| list(templating, "list")).unwrap_or_default();
        variables.iter().any(|variable| text(variable, "name") == name)
    };
    let substitution = Substitution::all(RATE_INTERVAL, "15s", "1h");
    let mut found_labels = std::collections::BTreeSet::new();
    for target in list(panel, "targets") {
        let expr = match Expression::parse(&substitution.apply(text(target, "expr"))) {
            Ok(expr) => expr,
            Err(error) => {
                report.add("target-promql", title, format!("{}: {error}", text(target, "refId")));
                continue;
            }
        };
        // Variables stand in matchers as they are written; after substitution all of them are `.*`.
        let written = written_selectors(text(target, "expr"));
        for selector in expr.selectors() {
            selector_rules(title, &selector, &written, names, report);
        }
        for error in expr.grouping_errors(&|name| names.labels(name)) {
            report.add("names-exist", title, error);
        }
        for divisor in expr.unguarded_divisors() {
            if !NEVER_ZERO.iter().any(|name| divisor.contains(name)) {
                report.add("no-division-by-zero", title, format!("`{divisor}` may be 0"));
            }
        }
        let labels = expr.labels(&|name| names.labels(name));
        for label in legend_labels(text(target, "legendFormat")) {
            if !labels.contains(&label) {
                report.add("legend-labels", title, format!("the legend names `{label}`, which the result has not"));
            }
        }
        found_labels.extend(labels);
    }
    if text(panel, "type") == "table" {
        for column in columns(panel) {
            let is_value = column.starts_with("Value");
            if !is_value && !found_labels.contains(&column) && !OPTIONAL_LABELS.contains(&column.as_str()) {
                report.add("legend-labels", title, format!("no result has the label `{column}` for a column"));
            }
        }
    }
    if !has_variable("service") {
        report.add("target-service", title, "there is no variable `service` to choose by");
    }
}

fn selector_rules(title: &str, selector: &Selector, written: &[Selector], names: &Names, report: &mut Report<'_>) {
    let Some(metric) = &selector.metric else {
        report.add("names-exist", title, "a selector names no metric");
        return;
    };
    let Some(known) = names.get(metric) else {
        report.add("names-exist", title, format!("no metric is called `{metric}`"));
        return;
    };
    for (label, _, _) in selector.matchers.iter().filter(|(label, _, _)| !known.labels.contains(label)) {
        report.add("names-exist", title, format!("`{metric}` has no label `{label}`"));
    }
    if selector.matcher("job").is_some() {
        report.add("no-job", title, format!("`{metric}` is chosen by job"));
    }
    chosen_by("target-service", "service", title, metric, known, written, report);
    chosen_by("target-instance", "instance", title, metric, known, written, report);
    let rate = selector.within.iter().any(|function| function == "rate" || function == "irate");
    let interval = promql_parser::util::parse_duration(RATE_INTERVAL).ok();
    if rate && selector.range.is_some() && selector.range != interval {
        report.add("target-rate-interval", title, format!("a rate of `{metric}` is not over $__rate_interval"));
    }
    if known.is_counter && !selector.within.iter().any(|function| COUNTER_FUNCTIONS.contains(&function.as_str())) {
        report.add("target-counter-agg", title, format!("the counter `{metric}` is looked at as it stands"));
    }
}

/// Every selector of a metric that has the label chooses by the variable of that name.
fn chosen_by(
    rule: &'static str,
    label: &str,
    title: &str,
    metric: &str,
    known: &Known,
    written: &[Selector],
    report: &mut Report<'_>,
) {
    if !known.labels.contains(label) {
        return;
    }
    let variable = format!("${label}");
    let mut selectors = written.iter().filter(|selector| selector.metric.as_deref() == Some(metric));
    if selectors.any(|selector| selector.matcher(label) != Some(("=~", variable.as_str()))) {
        report.add(rule, title, format!("`{metric}` is not chosen by `{label}=~\"{variable}\"`"));
    }
}

/// The selectors with the variables in their matchers as they are written.
fn written_selectors(expr: &str) -> Vec<Selector> {
    let mut substitution = Substitution::all("1m", "15s", "1h");
    for name in ["service", "instance", "endpoint", "method", "slo", "ring"] {
        substitution.variables.insert(name.to_owned(), format!("${name}"));
    }
    Expression::parse(&substitution.apply(expr)).map(|expr| expr.selectors()).unwrap_or_default()
}

/// The fields that a table keeps.
fn columns(panel: &Json) -> Vec<String> {
    let kept = list(panel, "transformations").iter().find(|one| text(one, "id") == "filterFieldsByName");
    let names = kept.and_then(|one| one.pointer("/options/include/names")).and_then(Json::as_array);
    names.into_iter().flatten().filter_map(Json::as_str).map(str::to_owned).collect()
}
