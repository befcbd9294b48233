//! `cargo xtask up`: builds the module and hands over to `edge-observer up`.

use std::ffi::OsString;

use anyhow::Result;

use crate::build;
use crate::workspace::{become_process, cargo};

/// Options of `cargo xtask up`: those of `edge-observer up`.
#[derive(clap::Args, Debug)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    /// Passed on to `edge-observer up`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Builds, then becomes `edge-observer up`, so that Ctrl-C and the exit code are its own.
pub(crate) fn up(options: &Options) -> Result<()> {
    edge_observer("up", &options.arguments)
}

/// Builds the module, then becomes this command of `edge-observer`. A question for help builds no module.
pub(crate) fn edge_observer(name: &str, arguments: &[OsString]) -> Result<()> {
    let only_asks = arguments.iter().any(|argument| argument == "--help" || argument == "-h");
    if !only_asks {
        build::build_quietly()?;
    }
    let mut command = cargo();
    command.args(["run", "--locked", "-p", "edge-observer", "--", name]).args(arguments);
    become_process(command)
}
