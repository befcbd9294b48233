//! `edge-observer routes …` on the command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use edge_observer::routes::import::Format;

#[derive(Debug, Subcommand)]
pub(crate) enum Routes {
    /// Make the route table from an API description: OpenAPI 3, Swagger 2, or Django's list of URLs.
    ///
    /// The table goes to standard output, a report to standard error. One path that cannot be a route never fails the import: it is left out,
    /// with the reason. A second import into the same configuration replaces what the first one wrote.
    Import(Import),
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
pub(crate) struct Import {
    /// The description: a file, `-` for standard input, or an http(s) URL.
    #[arg(value_name = "FILE|URL")]
    pub(crate) source: String,
    /// What it is.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
    /// Put this before every path, instead of the path of the description's first server; may be given several times [default: the description's].
    #[arg(long, value_name = "PATH")]
    pub(crate) base_path: Vec<String>,
    /// Write a new configuration to this file.
    #[arg(long, value_name = "FILE", conflicts_with = "into")]
    pub(crate) output: Option<PathBuf>,
    /// Overwrite a file that is no configuration.
    #[arg(long, requires = "output")]
    pub(crate) force: bool,
    /// Write the routes into this configuration; its hand-written routes and comments stay as they are.
    #[arg(long, value_name = "CONFIG")]
    pub(crate) into: Option<PathBuf>,
    /// The name of what is imported, so that one configuration can have the routes of several descriptions.
    #[arg(long, value_name = "NAME", default_value = "api")]
    pub(crate) section: String,
    /// `routes.label` of a new configuration.
    #[arg(long, value_enum, conflicts_with = "into")]
    pub(crate) label: Option<Label>,
    /// Raise `metrics.series_budget` to what the table needs.
    #[arg(long)]
    pub(crate) set_budget: bool,
    /// Write no file.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print the report as JSON to standard output, instead of the table.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Label {
    /// The route's template.
    Template,
    /// The route's name: OpenAPI's `operationId`, Django's `url_name`.
    Name,
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
