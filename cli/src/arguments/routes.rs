//! What can be asked of `edge-observer routes`.

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
