//! `cargo xtask bench scanner`: builds the module and hands over to `edge-observer bench-scanner`.

use std::ffi::OsString;

use anyhow::Result;

use crate::up::edge_observer;

/// Options of `cargo xtask bench scanner`: those of `edge-observer bench-scanner`.
#[derive(clap::Args, Debug)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    /// Passed on to `edge-observer bench-scanner`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Builds, then becomes the run, so that Ctrl-C and the exit code are its own.
pub(crate) fn scanner(options: &Options) -> Result<()> {
    edge_observer("bench-scanner", &options.arguments)
}
