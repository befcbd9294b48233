//! Every metric there is, with its labels: the filter's own, those that the shipped profile declares, the recorded ones, and those of the programs beside it.

pub mod external;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_yaml_ng::Value as Yaml;
use telemetry::metrics::catalogue::{METRICS, Metric, MetricKind};

use crate::promql::Expression;
use crate::rules::{Alert, Rules};
use crate::{Error, NAMESPACE};

/// The shipped profile, from the root of the repository.
const PROFILE: &str = "envoy/plugin-config/eucora.yaml";

/// The rules, from the root of the repository.
const RULES: &str = "prometheus/rules";

/// The labels that Prometheus gives to everything it scrapes here.
const TARGET_LABELS: [&str; 3] = ["service", "instance", "job"];

/// Where a metric comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The filter's catalogue.
    Catalogue,
    /// A rule or a poll of the shipped profile.
    Profile,
    /// A recording rule.
    Recorded,
    /// Another program, or Prometheus itself.
    External,
}

/// What is known about a metric.
#[derive(Clone, Debug)]
pub struct Known {
    /// Where it comes from.
    pub origin: Origin,
    /// Whether it only grows.
    pub is_counter: bool,
    /// Its labels, those of the target included.
    pub labels: BTreeSet<String>,
}

/// Every metric and every alert. What is asked for and not there is remembered: see [`Names::problems`].
#[derive(Debug)]
pub struct Names {
    metrics: BTreeMap<String, Known>,
    rules: Rules,
    problems: RefCell<BTreeSet<String>>,
}

impl Names {
    /// Reads the profile and the rules of this repository.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or that is not what it should be.
    pub fn read(root: &Path) -> Result<Self, Error> {
        let path = root.join(PROFILE);
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(&path).map_err(|source| Error::Read { path: shown.clone(), source })?;
        Self::new(&text, Rules::read(&root.join(RULES))?).map_err(|reason| Error::Content { path: shown, reason })
    }

    /// From a profile's text, and rules.
    ///
    /// # Errors
    ///
    /// What is wrong with the profile.
    pub fn new(profile: &str, rules: Rules) -> Result<Self, String> {
        let mut metrics = BTreeMap::new();
        for metric in METRICS.iter().filter(|metric| !metric.native) {
            let is_counter = metric.kind == MetricKind::Counter;
            metrics.insert(full(metric.suffix), known(Origin::Catalogue, is_counter, metric.labels));
        }
        let profile: Yaml = serde_yaml_ng::from_str(profile).map_err(|error| error.to_string())?;
        for (name, known) in declared(&profile) {
            metrics.insert(name, known);
        }
        for external in external::ALL {
            metrics.insert(external.name.to_owned(), known(Origin::External, external.is_counter, external.labels));
        }
        let mut names = Self { metrics, rules, problems: RefCell::default() };
        names.learn_records();
        Ok(names)
    }

    /// A recorded series has the labels of its expression; one may be made of another, whatever their order in the files.
    fn learn_records(&mut self) {
        let records: Vec<_> = self.rules.records().cloned().collect();
        for _ in 0..4 {
            for record in &records {
                let Ok(expr) = Expression::parse(&record.expr) else { continue };
                let mut labels = expr.labels(&|name| self.labels(name));
                labels.extend(record.labels.keys().cloned());
                let is_counter = is_counter_name(&record.record);
                let known = self.metrics.entry(record.record.clone()).or_insert_with(|| Known {
                    origin: Origin::Recorded,
                    is_counter,
                    labels: BTreeSet::new(),
                });
                known.labels.extend(labels);
            }
        }
    }

    /// What is known about a metric.
    pub fn get(&self, name: &str) -> Option<&Known> {
        self.metrics.get(name)
    }

    /// Its labels; for `""`, those that everything has.
    pub fn labels(&self, name: &str) -> Option<BTreeSet<String>> {
        if name.is_empty() {
            return Some(TARGET_LABELS.into_iter().map(str::to_owned).collect());
        }
        self.metrics.get(name).map(|known| known.labels.clone())
    }

    /// The rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The full name of a metric of the catalogue.
    pub fn metric(&self, metric: Metric) -> String {
        full(metric.suffix)
    }

    /// The full name of a metric that the profile declares.
    pub fn declared(&self, suffix: &str) -> String {
        let name = full(suffix);
        if self.get(&name).is_none_or(|known| known.origin != Origin::Profile) {
            self.problem(format!("{PROFILE} declares no metric `{suffix}`"));
        }
        name
    }

    /// The name of a recorded series.
    pub fn record(&self, name: &str) -> String {
        if !self.rules.is_recorded(name) {
            self.problem(format!("no rule under {RULES} records `{name}`"));
        }
        name.to_owned()
    }

    /// An alert.
    pub fn alert(&self, name: &str) -> Option<&Alert> {
        let alert = self.rules.alert(name);
        if alert.is_none() {
            self.problem(format!("no alert under {RULES} is called `{name}`"));
        }
        alert
    }

    /// The bounds of the buckets that an alert looks at, itself or through what is recorded: what is slow, in seconds, for an alert on the share of slow
    /// requests.
    pub fn bucket_bounds(&self, alert: &Alert) -> Vec<f64> {
        let (mut seen, mut waiting) = (BTreeSet::new(), vec![alert.expr.clone()]);
        let mut bounds = Vec::new();
        while let Some(expr) = waiting.pop() {
            bounds.extend(crate::rules::bucket_bounds(&expr));
            let named = Expression::parse(&expr).map(|expr| expr.selectors()).unwrap_or_default();
            for record in named.iter().filter_map(|selector| selector.metric.as_deref()) {
                if seen.insert(record.to_owned()) {
                    waiting.extend(
                        self.rules.records().filter(|rule| rule.record == record).map(|rule| rule.expr.clone()),
                    );
                }
            }
        }
        bounds.sort_by(f64::total_cmp);
        bounds.dedup();
        bounds
    }

    /// Remembers that something is missing.
    pub(crate) fn problem(&self, text: String) {
        self.problems.borrow_mut().insert(text);
    }

    /// What was asked for and is not there.
    pub fn problems(&self) -> Vec<String> {
        self.problems.borrow().iter().cloned().collect()
    }
}

fn full(suffix: &str) -> String {
    format!("{NAMESPACE}_{suffix}")
}

fn known(origin: Origin, is_counter: bool, labels: &[&str]) -> Known {
    let labels = labels.iter().chain(&TARGET_LABELS).map(|label| (*label).to_owned()).collect();
    Known { origin, is_counter, labels }
}

/// Whether a recorded series is a counter: named like one, or a sum of counters.
fn is_counter_name(name: &str) -> bool {
    name.ends_with(":sum")
        || !name.contains(':') && ["_total", "_count", "_sum", "_bucket"].iter().any(|end| name.ends_with(end))
}

/// The metrics of rules, and the gauges of polls.
fn declared(profile: &Yaml) -> Vec<(String, Known)> {
    let list = |value: &Yaml, field: &str| value.get(field).and_then(Yaml::as_sequence).cloned().unwrap_or_default();
    let rules = list(profile, "rules").into_iter().filter_map(|rule| rule.get("metric").cloned());
    let gauges = list(profile, "polls").into_iter().flat_map(|poll| list(&poll, "gauges"));
    let metrics = rules.map(|metric| (metric, true)).chain(gauges.map(|gauge| (gauge, false)));
    metrics
        .filter_map(|(metric, is_counter)| {
            let name = metric.get("name")?.as_str()?;
            let labels = metric.get("labels").and_then(Yaml::as_mapping);
            let labels: Vec<&str> = labels.into_iter().flatten().filter_map(|(label, _)| label.as_str()).collect();
            Some((full(name), known(Origin::Profile, is_counter, &labels)))
        })
        .collect()
}

#[cfg(test)]
mod tests;
