//! The rule files of Prometheus, typed: what is recorded, and when an alert fires.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::Error;
use crate::promql::{Comparison, Expression};

/// Every rule of a folder.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// The groups, in the order of the files' names.
    pub groups: Vec<Group>,
}

/// A group of rules, evaluated one after the other.
#[derive(Clone, Debug, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its rules.
    pub rules: Vec<Rule>,
}

/// A rule.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Rule {
    /// When someone is told.
    Alert(Alert),
    /// A series that is kept.
    Record(Record),
}

/// An alerting rule.
#[derive(Clone, Debug, Deserialize)]
pub struct Alert {
    /// Its name.
    pub alert: String,
    /// When it fires.
    pub expr: String,
    /// How long that must hold.
    #[serde(default, rename = "for")]
    pub hold: Option<String>,
    /// What routes it.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// What it says.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

/// A recording rule.
#[derive(Clone, Debug, Deserialize)]
pub struct Record {
    /// The name of the series.
    pub record: String,
    /// What it holds.
    pub expr: String,
    /// Labels that it gets.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct File {
    groups: Vec<Group>,
}

impl Rules {
    /// Reads every `.yml` of this folder.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or is no rule file, or an expression that is no PromQL.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let read = |source| Error::Read { path: folder.display().to_string(), source };
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(read)? {
            let path = entry.map_err(read)?.path();
            if path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml") {
                paths.push(path);
            }
        }
        paths.sort();
        let mut rules = Self::default();
        for path in paths {
            let shown = path.display().to_string();
            let text = std::fs::read_to_string(&path).map_err(|source| Error::Read { path: shown.clone(), source })?;
            rules.groups.extend(Self::parse(&text).map_err(|reason| Error::Content { path: shown, reason })?.groups);
        }
        Ok(rules)
    }

    /// Reads one file's text.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: File = serde_yaml_ng::from_str(text).map_err(|error| error.to_string())?;
        let rules = Self { groups: file.groups };
        for rule in rules.rules() {
            let (name, expr) = match rule {
                Rule::Alert(alert) => (&alert.alert, &alert.expr),
                Rule::Record(record) => (&record.record, &record.expr),
            };
            Expression::parse(expr).map_err(|error| format!("{name}: {error}"))?;
        }
        Ok(rules)
    }

    fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.groups.iter().flat_map(|group| &group.rules)
    }

    /// Every alert.
    pub fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.rules().filter_map(|rule| match rule {
            Rule::Alert(alert) => Some(alert),
            Rule::Record(_) => None,
        })
    }

    /// Every recorded series.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.rules().filter_map(|rule| match rule {
            Rule::Record(record) => Some(record),
            Rule::Alert(_) => None,
        })
    }

    /// The alert of this name.
    pub fn alert(&self, name: &str) -> Option<&Alert> {
        self.alerts().find(|alert| alert.alert == name)
    }

    /// Whether a series of this name is recorded.
    pub fn is_recorded(&self, name: &str) -> bool {
        self.records().any(|record| record.record == name)
    }
}

impl Alert {
    /// The plain number on the right of the leftmost comparison that decides, with its operator: see [`Expression::comparisons`].
    pub fn threshold(&self) -> Option<Comparison> {
        self.comparisons().into_iter().next()
    }

    /// Every comparison that decides, from left to right: more than one where windows have numbers of their own.
    pub fn comparisons(&self) -> Vec<Comparison> {
        Expression::parse(&self.expr).map(|expr| expr.comparisons()).unwrap_or_default()
    }

    /// Its label `severity`.
    pub fn severity(&self) -> &str {
        self.labels.get("severity").map_or("none", String::as_str)
    }
}

/// The finite values of `le` that an expression selects.
pub(crate) fn bucket_bounds(expr: &str) -> Vec<f64> {
    let selectors = Expression::parse(expr).map(|expr| expr.selectors()).unwrap_or_default();
    let mut bounds: Vec<f64> = Vec::new();
    for (operator, value) in selectors.iter().filter_map(|selector| selector.matcher("le")) {
        // `2\.0|2` or `2(\.0)?` in a regular expression.
        let value = value.replace("(?:\\.0)?", "").replace("(\\.0)?", "").replace('\\', "");
        let numbers = value.split('|').filter_map(|value| value.trim_matches(['(', ')']).parse().ok());
        bounds.extend(numbers.filter(|bound: &f64| bound.is_finite() && operator.starts_with('=')));
    }
    bounds.sort_by(f64::total_cmp);
    bounds.dedup();
    bounds
}

#[cfg(test)]
mod tests;
