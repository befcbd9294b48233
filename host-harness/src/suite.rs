//! Suites: cases of a module as data, in YAML, for the embedded host and for a real Envoy.
//!
//! ```
//! use host_harness::suite::{self, Outcome, RunOptions, Suite};
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("greets.yaml");
//! # std::fs::write(folder.path().join("greets.wat"), r#"(module
//! #     (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
//! #     (memory (export "memory") 1)
//! #     (data (i32.const 0) "serverfilter")
//! #     (func (export "proxy_abi_version_0_2_1"))
//! #     (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
//! #         (call $add (i32.const 2) (i32.const 0) (i32.const 6) (i32.const 6) (i32.const 6))))"#)?;
//! # std::fs::write(&path, "
//! module: greets.wat
//! cases:
//!   - name: names itself
//!     request: GET /users/7
//!     reply: 404
//!     expect: {response: {status: 404, headers: {server: filter}}}
//! # ")?;
//! let suite = Suite::read(&path, None)?;
//! let reports = suite::run(&[suite], &RunOptions::default(), |_, _| ());
//! assert_eq!(reports[0].cases[0].outcome, Outcome::Passed);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The format is described in `SUITES.md` beside this crate. The command `host-harness test` runs suites.

mod check;
mod envoy;
mod format;
mod harness;
mod interrupt;
mod matcher;
mod read;
mod report;
mod runner;

use std::path::Path;

pub use interrupt::Interrupt;
pub use read::{Mistake, SuiteError};
pub use report::{CaseReport, Failure, Outcome, SuiteReport, Unchecked};
pub use runner::{Against, RunOptions, find_envoy};

/// A file of cases, read and found without mistakes.
#[derive(Debug, Clone)]
pub struct Suite(format::Suite);

impl Suite {
    /// Reads a file. A module given here takes the place of those that the file names.
    ///
    /// # Errors
    ///
    /// Every mistake in it.
    pub fn read(path: &Path, module: Option<&Path>) -> Result<Self, SuiteError> {
        read::file(path, module).map(Self)
    }

    /// Its name: what the file says, or the file's own.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The names of its cases, in the file's order.
    pub fn cases(&self) -> impl Iterator<Item = &str> {
        self.0.cases.iter().map(|case| case.name.as_str())
    }
}

/// The format as a JSON Schema (draft 7), for editors; `suite.schema.json` beside this crate is the same.
#[must_use]
pub fn schema() -> serde_json::Value {
    read::schema()
}

/// Runs the cases of suites, several at a time. `done` hears of each case and of the number of its suite, in the files' order.
pub fn run(suites: &[Suite], options: &RunOptions, done: impl FnMut(usize, &CaseReport)) -> Vec<SuiteReport> {
    let suites: Vec<&format::Suite> = suites.iter().map(|suite| &suite.0).collect();
    runner::run(&suites, options, done)
}
