//! `edge-observer routes …` on the command line.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct Routes {
    #[command(subcommand)]
    pub(crate) command: RoutesCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RoutesCommand {
    /// Show what a configuration makes of an access log: endpoints, what no template covers, and templates for it.
    ///
    /// The log is in the common or combined format, or the JSON lines of envoy/bootstrap.yaml; each line says which.
    Try(Try),
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
