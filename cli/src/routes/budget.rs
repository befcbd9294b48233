//! `edge-observer routes budget`: the series that a configuration can lead to at the very most, metric by metric, and what would change them.

use std::path::Path;

use serde_json::{Value, json};
use telemetry::config::Config;
use telemetry::route::UndeclaredMethods;

use crate::config_file::{self, Mistake, Problem};
use crate::table::{Column, Table, bytes, count, plural};

/// The largest budget that a configuration may state.
const MOST: u64 = 10_000_000;

/// The arithmetic of one configuration.
#[derive(Debug, Clone)]
pub struct BudgetReport {
    config: Config,
    /// The budget as the file states it.
    allowed: u64,
    levers: Vec<Lever>,
}

/// A change that would save series.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Lever {
    change: String,
    series: u64,
}

/// Reads a configuration, also one that is over its own budget.
///
/// # Errors
/// That it cannot be read, or all of its mistakes.
pub fn report(path: &Path) -> Result<BudgetReport, Problem> {
    of_value(config_file::value(path)?).map_err(Problem::Mistakes)
}

fn of_value(value: Value) -> Result<BudgetReport, Vec<Mistake>> {
    // Over its budget and nothing else is a result, not a mistake.
    let roomy = with(&value, "metrics", "series_budget", json!(MOST));
    let stated = Config::from_value(value.clone());
    let (config, allowed) = match (stated, Config::from_value(roomy.clone())) {
        (Ok(stated), _) => (stated.clone(), stated.metrics().series_budget()),
        (Err(_), Ok(config)) => {
            let default = Config::from_json(b"").map_or(0, |config| config.metrics().series_budget());
            (config, value.pointer("/metrics/series_budget").and_then(Value::as_u64).unwrap_or(default))
        }
        (Err(errors), Err(_)) => return Err(errors.iter().map(Mistake::from).collect()),
    };
    let mut levers = Vec::new();
    let mut lever = |section: &str, field: &str, to: Value, change: String| {
        if let Ok(config) = Config::from_value(with(&roomy, section, field, to)) {
            levers.push(Lever { change, series: config.budget().total() });
        }
    };
    if config.routes().options().undeclared_methods == UndeclaredMethods::Template
        && config.routes().specs().iter().any(|route| route.methods.is_some())
    {
        lever("routes", "undeclared_methods", json!("unknown"), "routes.undeclared_methods: unknown".to_owned());
    }
    let methods: Vec<&str> = config
        .metrics()
        .methods()
        .iter()
        .filter(|method| {
            config
                .routes()
                .specs()
                .iter()
                .any(|route| route.methods.as_ref().is_some_and(|methods| methods.contains(method)))
        })
        .map(|method| method.as_str())
        .collect();
    if !methods.is_empty() && methods.len() < config.metrics().methods().len() {
        let change = format!("metrics.methods: [{}], those of the routes", methods.join(", "));
        lever("metrics", "methods", json!(methods), change);
    }
    if config.metrics().statuses().len() > 40 {
        let common =
            json!([200, 201, 202, 204, 301, 302, 304, 400, 401, 403, 404, 405, 409, 422, 429, 500, 502, 503, 504]);
        lever("metrics", "statuses", common, "metrics.statuses: 19 common ones, 16 more as they appear".to_owned());
    }
    Ok(BudgetReport { config, allowed, levers })
}

/// The value with one field changed.
fn with(value: &Value, section: &str, field: &str, to: Value) -> Value {
    let mut changed = value.clone();
    if let Value::Object(root) = &mut changed
        && let Value::Object(section) = root.entry(section).or_insert_with(|| json!({}))
    {
        section.insert(field.to_owned(), to);
    }
    changed
}

impl BudgetReport {
    /// Whether the configuration is within its budget.
    pub fn is_within(&self) -> bool {
        self.config.budget().total() <= self.allowed
    }

    /// The arithmetic for people.
    pub fn to_text(&self) -> String {
        let budget = self.config.budget();
        let namespace = self.config.namespace();
        let mut metrics =
            Table::new([("metric", Column::Text), ("series at most", Column::Number), ("how", Column::Text)]);
        for term in budget.terms() {
            for (position, (suffix, series)) in term.metrics.iter().enumerate() {
                let how = if position == 0 { term.how.as_str() } else { "" };
                metrics.row([format!("{namespace}_{suffix}"), count(*series), how.to_owned()]);
            }
        }
        let all = budget.total();
        let of = format!("of {} allowed (metrics.series_budget)", count(self.allowed));
        metrics.row(["all".to_owned(), count(all), of]);
        let mut out = metrics.render();

        let routes = self.config.routes();
        let size = routes.table().size();
        out.push_str(&format!(
            "\nendpoints  {}: {} of the table, unknown, _overflow, {} that may be learned\n",
            count(self.config.max_endpoints() as u64),
            count(routes.table().labels().len().saturating_sub(2) as u64),
            count(routes.max_learned() as u64),
        ));
        out.push_str(&format!(
            "table      {}, {} of {}; no path makes a match look at more than {}\n",
            plural(routes.specs().len() as u64, "route"),
            bytes(size.bytes as u64),
            plural(size.nodes as u64, "place"),
            count(size.worst_visits as u64),
        ));
        let verdict = if all <= self.allowed {
            format!("within the budget, {} to spare", count(self.allowed - all))
        } else {
            format!("over the budget by {}: the filter refuses this configuration", count(all - self.allowed))
        };
        out.push_str(&format!("budget     {verdict}\n"));
        if !self.levers.is_empty() {
            let mut levers = Table::new([("what would change it", Column::Text), ("series at most", Column::Number)]);
            for lever in &self.levers {
                levers.row([lever.change.clone(), count(lever.series)]);
            }
            out.push('\n');
            out.push_str(&levers.render());
        }
        out
    }

    /// The arithmetic for machines.
    pub fn to_json(&self) -> Value {
        let budget = self.config.budget();
        let namespace = self.config.namespace();
        let metrics: Vec<Value> = budget
            .terms()
            .iter()
            .flat_map(|term| {
                let how = &term.how;
                term.metrics.iter().map(move |(suffix, series)| {
                    json!({ "metric": format!("{namespace}_{suffix}"), "series": series, "of": term.what, "how": how })
                })
            })
            .collect();
        let levers: Vec<Value> =
            self.levers.iter().map(|lever| json!({ "change": lever.change, "series": lever.series })).collect();
        let size = self.config.routes().table().size();
        json!({
            "metrics": metrics,
            "total": budget.total(),
            "budget": self.allowed,
            "within": self.is_within(),
            "endpoints": self.config.max_endpoints(),
            "routes": self.config.routes().specs().len(),
            "table": { "bytes": size.bytes, "places": size.nodes, "worst_visits": size.worst_visits },
            "changes": levers,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: Value) -> BudgetReport {
        of_value(value).unwrap()
    }

    #[test]
    fn each_metric_has_its_number_and_all_sum_up() {
        let report = of(json!({"routes": {"table": [{"methods": ["GET"], "template": "/a/{id}"}]}}));
        let text = report.to_text();
        assert!(text.contains("eucora_http_requests_total"), "{text}");
        assert!(text.contains("within the budget, "), "{text}");
        assert!(text.contains("routes.undeclared_methods: unknown"), "{text}");
        let json = report.to_json();
        let sum: u64 =
            json["metrics"].as_array().unwrap().iter().map(|metric| metric["series"].as_u64().unwrap()).sum();
        assert_eq!(json["total"], sum);
        assert_eq!(json["within"], true);
    }

    #[test]
    fn over_the_budget_is_a_result_with_what_would_change_it() {
        let routes: Vec<Value> =
            (0..200).map(|number| json!({"methods": ["GET"], "template": format!("/r{number}/{{id}}")})).collect();
        let report = of(json!({"routes": {"table": routes}}));
        assert!(!report.is_within());
        let text = report.to_text();
        assert!(text.contains("over the budget by "), "{text}");
        assert_eq!(report.levers.len(), 3, "{text}");
        assert!(report.levers.iter().all(|lever| lever.series < report.config.budget().total()), "{text}");
    }

    #[test]
    fn any_other_mistake_is_one() {
        let mistakes = of_value(json!({"routes": {"table": [{"template": "a"}]}})).unwrap_err();
        assert_eq!(mistakes.len(), 1);
        assert_eq!(mistakes[0].path, "routes.table[0].template");
    }
}
