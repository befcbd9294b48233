//! Where the judge's numbers come from. Nothing here can change anything.

pub mod prometheus;

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One series of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Its labels, the name included where there is one.
    pub labels: BTreeMap<String, String>,
    /// Its value; never NaN or infinite: such a series is in [`Answer::not_numbers`].
    pub value: f64,
}

/// What Prometheus answered.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Answer {
    /// The series.
    pub samples: Vec<Sample>,
    /// Series whose value is no number.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub not_numbers: u32,
    /// What it warned of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "kind", content = "what", rename_all = "snake_case")]
pub enum MetricsError {
    /// Nobody answers.
    #[error("Prometheus does not answer: {0}")]
    Away(String),
    /// It answers and will not say.
    #[error("Prometheus refused the query: {0}")]
    Refused(String),
}

/// Somebody who can be asked.
pub trait Metrics: fmt::Debug {
    /// The value of an expression at a time.
    ///
    /// # Errors
    /// When there is no answer. An empty one is none of these.
    fn query(&self, expression: &str, at: Timestamp) -> Result<Answer, MetricsError>;
}
