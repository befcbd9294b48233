//! What came of the cases, as plain data.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

/// What came of a suite.
#[derive(Debug, Clone, Serialize)]
pub struct SuiteReport {
    /// Its name.
    pub name: String,
    /// Its file.
    pub file: PathBuf,
    /// Its cases, in the file's order.
    pub cases: Vec<CaseReport>,
}

/// What came of a case.
#[derive(Debug, Clone, Serialize)]
pub struct CaseReport {
    /// Its name.
    pub name: String,
    /// Where it stands in the file, like `cases[2]`.
    pub path: String,
    /// Whether it passed.
    pub outcome: Outcome,
    /// How long it took.
    pub seconds: f64,
    /// How many expectations were looked at.
    pub checked: usize,
    /// What was not as expected; empty unless the case failed.
    pub failures: Vec<Failure>,
    /// What was expected and not looked at.
    pub unchecked: Vec<Unchecked>,
    /// What went between host and module, or what Envoy wrote.
    pub trace: String,
}

/// Whether a case passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "is", content = "why")]
pub enum Outcome {
    /// All that was looked at is as expected.
    Passed,
    /// Something is not.
    Failed,
    /// It was not run, for this reason.
    Skipped(String),
}

/// Something that is not as expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Where the expectation stands in the file.
    pub path: String,
    /// What should have been.
    pub expected: String,
    /// What was.
    pub found: String,
}

/// An expectation that was not looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unchecked {
    /// Where it stands in the file.
    pub path: String,
    /// The reason.
    pub why: String,
}

impl SuiteReport {
    /// Whether no case failed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.cases.iter().all(|case| case.outcome != Outcome::Failed)
    }
}

impl CaseReport {
    /// How long it took.
    #[must_use]
    pub fn time(&self) -> Duration {
        Duration::try_from_secs_f64(self.seconds).unwrap_or_default()
    }
}
