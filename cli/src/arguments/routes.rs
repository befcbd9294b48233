//! `edge-observer routes …` on the command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum Routes {
    /// Explain which endpoint a request has, step by step.
    Match(Match),
    /// Show what a configuration makes of an access log: endpoints, what no template covers, and templates for it.
    ///
    /// The log is in the common or combined format, or the JSON lines of envoy/bootstrap.yaml; each line says which.
    Try(Try),
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
pub(crate) struct Try {
    /// Plugin configuration, YAML or JSON; `-` is standard input.
    #[arg(value_name = "CONFIG")]
    pub(crate) config: PathBuf,
    /// The access log; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) access_log: PathBuf,
    /// Rows of each table.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) top: u32,
    /// Show every row, and the endpoints that got no request.
    #[arg(long, conflicts_with = "top")]
    pub(crate) all: bool,
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
