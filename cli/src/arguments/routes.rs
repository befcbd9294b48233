//! `edge-observer routes …` on the command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct Routes {
    #[command(subcommand)]
    pub(crate) command: RoutesCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RoutesCommand {
    /// Explain which endpoint a request has, step by step.
    Match(Match),
    /// Show how many series a configuration can lead to at most, metric by metric, and what would change it.
    ///
    /// Exit code 1 when that is more than its budget allows.
    Budget(Budget),
}

#[derive(Debug, Args)]
pub(crate) struct Match {
    /// Plugin configuration, YAML or JSON; `-` is standard input.
    #[arg(value_name = "CONFIG")]
    pub(crate) config: PathBuf,
    /// The request's method, such as GET.
    #[arg(value_name = "METHOD")]
    pub(crate) method: OsString,
    /// The request's target, such as /api/v1/users/42?full=1.
    #[arg(value_name = "PATH")]
    pub(crate) path: OsString,
    /// Exit with 1 unless this is the endpoint.
    #[arg(long, value_name = "ENDPOINT")]
    pub(crate) expect: Option<String>,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Budget {
    /// Plugin configuration, YAML or JSON; `-` is standard input.
    #[arg(value_name = "CONFIG")]
    pub(crate) config: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
