//! `edge-observer routes import`: from an API description to the route table of a plugin configuration.
//!
//! Steps: [`source`](self) reads the bytes; [`openapi`] and [`django`] make a [`Description`] of them, without any I/O of their own; the
//! operations become routes, and what the hand-written ones have already is left out; the text of the configuration is edited, parsed again
//! and compared with what it should be. One bad path never fails an import: it is left out, with the reason.

mod collect;
pub mod django;
mod edit;
mod node;
pub mod openapi;
mod render;
mod report;
mod run;
mod source;
mod template;

use indexmap::{IndexMap, IndexSet};
use telemetry::method::Method;

pub use self::report::{Changes, Report};
pub use self::run::{Destination, ImportOptions, Imported, run};

/// So many findings of one kind are kept; the others are counted.
const MAX_FINDINGS: usize = 1_000;

/// How the source is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// By what is in it.
    #[default]
    Auto,
    /// OpenAPI 3 or Swagger 2, JSON or YAML.
    #[value(name = "openapi")]
    OpenApi,
    /// Django's list of URLs.
    Django,
}

/// What a description turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// OpenAPI or Swagger, with its version.
    OpenApi {
        /// As it reads: `OpenAPI 3.0.3`.
        version: String,
    },
    /// Django's list of URLs.
    Django,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Kind::OpenApi { version } => f.write_str(version),
            Kind::Django => f.write_str("Django's list of URLs"),
        }
    }
}

/// One operation of a description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Its method; `None` where the description has none.
    pub method: Option<Method>,
    /// Its path, as the route table writes it.
    pub template: String,
    /// OpenAPI's `operationId`, or Django's `url_name`.
    pub name: Option<String>,
    /// Where it is in the description, for messages: `GET /users/{id}`.
    pub place: String,
}

/// Something to be told about one place of a description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The place.
    pub place: String,
    /// What was found there.
    pub message: String,
}

/// Findings of one kind: the first thousand, and how many there are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    /// Those that are kept.
    pub listed: Vec<Finding>,
    /// How many there are.
    pub total: u64,
}

impl Findings {
    fn push(&mut self, place: &str, message: &str) {
        self.total += 1;
        if self.listed.len() < MAX_FINDINGS {
            self.listed.push(Finding { place: template::short(place), message: message.to_owned() });
        }
    }
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// What it turned out to be.
    pub kind: Kind,
    /// The title of the API.
    pub title: Option<String>,
    /// How many operations it has, those that were left out included.
    pub read: u64,
    /// Those that can be routes, in its order.
    pub operations: Vec<Operation>,
    /// What cannot be a route, and why.
    pub left_out: Findings,
    /// What is not in the table as it is in the description.
    pub changed: Findings,
    /// How many operations have no name.
    pub unnamed: u64,
    /// The base paths that were put before paths, each with the number of operations.
    pub base_paths: IndexMap<String, u64>,
    /// Base paths of further servers.
    pub other_bases: IndexSet<String>,
}

impl Description {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            title: None,
            read: 0,
            operations: Vec::new(),
            left_out: Findings::default(),
            changed: Findings::default(),
            unnamed: 0,
            base_paths: IndexMap::new(),
            other_bases: IndexSet::new(),
        }
    }
}

/// Reads a description in either format, which is found out by its content.
///
/// # Errors
/// What was found instead of a description, and the cure.
pub fn read(
    bytes: &[u8],
    format: Format,
    options: &openapi::Options,
    resolver: &mut dyn openapi::Resolver,
) -> Result<Description, String> {
    match format {
        Format::OpenApi => return openapi::read(bytes, options, resolver),
        Format::Django => return django::read(bytes),
        Format::Auto => {}
    }
    let start = bytes.trim_ascii_start();
    if start.is_empty() {
        return Err("nothing in it; give an OpenAPI or Swagger document, or Django's URL list".to_owned());
    }
    if start.starts_with(b"<") {
        return Err("this is a web page or XML; give the address of the description itself, often `…/openapi.json` or `…/schema/`".to_owned());
    }
    if !start.starts_with(b"{") && !start.starts_with(b"[") && django::is_list(bytes) {
        return django::read(bytes);
    }
    let mut reader = node::Reader::new();
    let root = reader.read(bytes).map_err(|error| error.to_string())?;
    if django::is_json_list(&root) {
        return django::from_json(&root);
    }
    openapi::read_tree(root, reader, options, resolver)
}
