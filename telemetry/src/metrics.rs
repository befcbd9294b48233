//! What is counted, how it is named, and the counts themselves.
//!
//! [`catalogue`] is the one table of metrics: stat names, the proxy's `stats_tags` and the reference in the README are all
//! made from it. [`Registry`] keeps the counts in memory, at a few nanoseconds a request, and [`Registry::drain`] hands the
//! differences to the proxy through a [`MetricSink`].

pub mod buckets;
pub mod catalogue;
pub mod label;
pub mod registry;
pub mod stat_name;
pub mod status;

use std::fmt::Write as _;

use crate::config::Config;

pub use buckets::{BucketError, Buckets};
pub use catalogue::{METRICS, Metric, MetricKind};
pub use registry::{EventTotals, Registry};
pub use status::{StatusLabel, StatusSet};

/// Where the registry's counts go: the proxy's counters and gauges.
pub trait MetricSink {
    /// Defines the stat and gives its identifier; `None` when the host refused. Defining a name again gives the same one.
    fn define(&mut self, kind: MetricKind, stat_name: &str) -> Option<u32>;

    /// Whether the host should be spared more new stats for now: what is new is kept, and offered again with the next drain.
    fn is_sated(&self) -> bool {
        false
    }

    /// Adds to a counter. `delta` is never 0 and fits an `i64`. `false` when the host refused: the registry keeps the
    /// difference and offers it again.
    fn add(&mut self, id: u32, delta: u64) -> bool;

    /// Sets a gauge; `false` when the host refused.
    fn set(&mut self, id: u32, value: u64) -> bool;
}

/// The extractors the proxy needs, in catalogue order, then those of what the configuration declares: tag name and regular expression.
///
/// The expression is Istio's own for an `extraStatTags` entry, so one stat name serves Envoy and Istio.
pub fn stats_tags(config: &Config) -> Vec<(&str, String)> {
    let mut tags: Vec<(&str, String)> = Vec::new();
    for label in METRICS.iter().flat_map(|metric| metric.labels.iter().copied()).chain(config.declared_labels()) {
        if !tags.iter().any(|(name, _)| *name == label) {
            tags.push((label, format!("({label}=\\.=(.*?);\\.;)")));
        }
    }
    tags
}

/// The metrics as a Markdown table, for the README.
pub fn reference_markdown(namespace: &str) -> String {
    let mut out = String::from("| metric | kind | labels | what it says |\n|---|---|---|---|\n");
    for metric in METRICS {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { "–".to_owned() } else { labels.join(", ") };
        let kind = if metric.native { "histogram, Envoy's own" } else { metric.kind.as_str() };
        let _ = writeln!(out, "| `{namespace}_{}` | {kind} | {labels} | {} |", metric.suffix, metric.help);
    }
    out
}

#[cfg(test)]
mod tests;
