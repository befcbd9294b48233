//! `cargo xtask bench rollout-judge`: the judge of rollouts on simulated fleets.

use std::ffi::OsString;
use std::process::Command;

use anyhow::Result;

use super::driver;
use crate::workspace::run;

/// Options of `cargo xtask bench rollout-judge`: those of the program `rollout-judge-bench`.
#[derive(clap::Args, Debug)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    /// Passed on: `--runs N`, `--seed N`, `--quick`, `--only SCENARIO`, `--json`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Fails when a promise is not held.
pub(crate) fn rollout_judge(options: &Options) -> Result<()> {
    run(Command::new(driver("rollout-judge-bench")?).args(&options.arguments))
}
