//! `edge-observer check`: every mistake of a plugin configuration at once, or what it amounts to.

pub mod explain;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use telemetry::config::{Budget, Config};

use crate::config_file::{self, Loaded, Mistake, Problem};
use crate::table::{Column, Table, count, plural, printable};

/// What was found in one file.
#[derive(Debug, Clone)]
pub struct Report {
    /// The file, as it was named.
    pub file: String,
    /// The outcome.
    pub outcome: Outcome,
}

/// The outcome of checking one file.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// A valid configuration.
    Valid(Box<Config>),
    /// Its mistakes, at least one.
    Invalid(Vec<Mistake>),
    /// It cannot be read.
    Unreadable(String),
}

/// Checks one file; `-` is standard input.
pub fn file(path: &Path) -> Report {
    let name =
        if path.as_os_str() == config_file::STDIN { "standard input".to_owned() } else { path.display().to_string() };
    report(name, config_file::load(path))
}

/// Checks a text.
pub fn text(name: &str, text: &[u8]) -> Report {
    report(name.to_owned(), config_file::parse(text).map_err(Problem::Mistakes))
}

/// Checks several files.
pub fn files(paths: &[PathBuf]) -> Vec<Report> {
    paths.iter().map(|path| file(path)).collect()
}

/// The exit code that reports deserve: 0 all valid, 1 some invalid, 2 some unreadable.
pub fn exit_code(reports: &[Report]) -> u8 {
    reports
        .iter()
        .map(|report| match report.outcome {
            Outcome::Valid(_) => 0,
            Outcome::Invalid(_) => 1,
            Outcome::Unreadable(_) => 2,
        })
        .max()
        .unwrap_or(0)
}

/// The JSON Schema of a plugin configuration.
pub fn schema() -> Value {
    telemetry::config::schema()
}

fn report(file: String, loaded: Result<Loaded, Problem>) -> Report {
    let outcome = match loaded {
        Ok(loaded) => Outcome::Valid(Box::new(loaded.config)),
        Err(Problem::Mistakes(mistakes)) => Outcome::Invalid(mistakes),
        Err(Problem::Unreadable(error)) => Outcome::Unreadable(error.to_string()),
    };
    Report { file, outcome }
}

impl Report {
    /// The report for people.
    pub fn to_text(&self) -> String {
        let file = &printable(&self.file);
        let mut out = String::new();
        // Writing to a `String` does not fail.
        let _ = match &self.outcome {
            Outcome::Unreadable(why) => writeln!(out, "{file}: cannot be read: {why}"),
            Outcome::Invalid(mistakes) => {
                for mistake in mistakes {
                    let _ = writeln!(out, "{file}: {}", printable(&mistake.to_string()));
                }
                writeln!(out, "{file}: {}", plural(mistakes.len() as u64, "mistake"))
            }
            Outcome::Valid(config) => {
                let routes = config.routes().specs().len();
                let _ = writeln!(
                    out,
                    "{file}: OK, digest {}, namespace {}, {}, {} endpoint labels at most",
                    config.digest(),
                    config.namespace(),
                    plural(routes as u64, "route"),
                    count(config.max_endpoints() as u64)
                );
                let _ = write!(out, "\n{}", budget_table(config.budget(), config.metrics().series_budget()));
                write!(out, "{}", explain::Explained::new(config).to_text())
            }
        };
        out
    }

    /// The report for machines.
    pub fn to_json(&self) -> Value {
        match &self.outcome {
            Outcome::Unreadable(why) => json!({ "file": self.file, "ok": false, "unreadable": why }),
            Outcome::Invalid(mistakes) => {
                let mistakes: Vec<Value> = mistakes
                    .iter()
                    .map(|mistake| json!({ "path": mistake.path, "message": mistake.message }))
                    .collect();
                json!({ "file": self.file, "ok": false, "mistakes": mistakes })
            }
            Outcome::Valid(config) => {
                let budget = config.budget();
                let terms: Vec<Value> = budget
                    .terms()
                    .iter()
                    .map(|term| json!({ "what": term.what, "how": term.how, "series": term.series }))
                    .collect();
                let explained = explain::Explained::new(config);
                json!({
                    "rules": explained.rules,
                    "polls": explained.polls,
                    "sinks": explained.sinks,
                    "stats_tags": explained.stats_tags,
                    "file": self.file,
                    "ok": true,
                    "digest": config.digest(),
                    "namespace": config.namespace(),
                    "routes": config.routes().specs().len(),
                    "endpoints": config.max_endpoints(),
                    "series": { "terms": terms, "total": budget.total(), "budget": config.metrics().series_budget() },
                })
            }
        }
    }
}

/// The most series that a configuration can lead to, and how the number comes about.
pub(crate) fn budget_table(budget: &Budget, limit: u64) -> String {
    let mut table = Table::new([("series at most", Column::Text), ("number", Column::Number), ("how", Column::Text)]);
    for term in budget.terms() {
        table.row([term.what.to_owned(), count(term.series), term.how.clone()]);
    }
    let of = format!("of {} allowed (metrics.series_budget)", count(limit));
    table.row(["all".to_owned(), count(budget.total()), of]);
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_file_says_what_it_amounts_to() {
        let report = text("eucora.yaml", crate::envoy::PROFILE.as_bytes());
        let shown = report.to_text();
        assert!(shown.starts_with("eucora.yaml: OK, digest "), "{shown}");
        assert!(shown.contains("namespace eucora, 6"), "{shown}");
        assert!(shown.contains("\nall ") && shown.contains("of 60,000 allowed"), "{shown}");
        assert_eq!(exit_code(std::slice::from_ref(&report)), 0);
        let json = report.to_json();
        assert_eq!(json["ok"], true);
        assert_eq!(json["digest"].as_str().map(str::len), Some(12));
    }

    #[test]
    fn an_invalid_file_lists_every_mistake_with_its_name() {
        let report = text("bad.yaml", b"namespace: Shop\nmetrics: {flush_interval_ms: 5}\n");
        let shown = report.to_text();
        assert_eq!(shown.lines().count(), 3, "{shown}");
        assert!(shown.lines().all(|line| line.starts_with("bad.yaml: ")), "{shown}");
        assert!(shown.contains("bad.yaml: namespace: "), "{shown}");
        assert!(shown.ends_with("bad.yaml: 2 mistakes\n"), "{shown}");
        assert_eq!(exit_code(std::slice::from_ref(&report)), 1);
        assert_eq!(report.to_json()["mistakes"].as_array().map(Vec::len), Some(2));
    }

    #[test]
    fn a_file_name_cannot_steer_the_terminal() {
        let shown = text("a\u{1b}[31mb.yaml", b"namespace: Shop\n").to_text();
        assert!(!shown.contains('\u{1b}'), "{shown}");
    }

    #[test]
    fn a_missing_file_is_wrong_usage() {
        let reports = files(&[PathBuf::from("/nonexistent/x.yaml")]);
        assert!(reports[0].to_text().starts_with("/nonexistent/x.yaml: cannot be read: "));
        assert_eq!(exit_code(&reports), 2);
    }
}
