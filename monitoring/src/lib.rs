//! The source of what Prometheus and Grafana are given: reads the alerting and recording rules under `prometheus/rules`, and makes the dashboards under
//! `grafana/`, with metrics named by the catalogue in `telemetry` and thresholds taken from the alerts.
//!
//! - [`rules`]: the rule files, typed.
//! - [`promql`]: what an expression names, and which labels its result has.
//! - [`names`]: every metric there is, with its labels, and where it comes from.
//! - [`dashboards`]: the dashboards, built from typed parts ([`model`]).
//! - [`grafana`]: the same as JSON, in Grafana's classic form and as the v2 resource.
//! - [`lint`]: the rules that each dashboard keeps.
//! - [`pace`]: the rules with shorter windows, for a test that cannot wait for hours.
//!
//! A metric, a recorded series or an alert that was renamed makes [`dashboards::all`] fail, and with it `cargo xtask gen`: no panel is left dead.

pub mod dashboards;
pub mod grafana;
pub mod lint;
pub mod model;
pub mod names;
pub mod pace;
pub mod promql;
pub mod rules;

/// Where the runbooks are; a runbook is called after its alert.
pub const RUNBOOKS: &str = "https://github.com/edge-observer/edge-observer/blob/main/docs/runbooks";

/// The namespace of the metrics in the rules and dashboards.
pub const NAMESPACE: &str = "eucora";

/// What went wrong while the rules were read or the dashboards were made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file, or the folder.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{path}: {reason}")]
    Content {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The dashboards name what does not exist, or would not be sound.
    #[error("the dashboards cannot be made:\n  {}", .0.join("\n  "))]
    Dashboards(Vec<String>),
}
