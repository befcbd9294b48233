//! OpenAPI 3.0, 3.1 and 3.2, and Swagger 2: from the description to its operations.
//!
//! - **Base path.** That of the first server of an operation, of its path item or of the document, whichever is nearest; variables stand for
//!   their defaults. Further servers are other ways to the same API, and one proxy stands in one of them: they are named in the report, and
//!   `--base-path` says which to take instead.
//! - **`$ref`** of a path item, of `paths` itself or of a parameter: within the document, or a plain relative path to another one, which a
//!   [`Resolver`] gets. What cannot be followed leaves out its path and nothing else.
//! - **Methods** that the route table cannot name (`QUERY` and whatever `additionalOperations` has): such requests are counted under the
//!   template anyway, so they need no entry, unless nothing else is declared there; then the route is for any method.

mod document;
mod server;

use std::rc::Rc;

use indexmap::{IndexMap, IndexSet};
use telemetry::method::Method;

use self::document::{Documents, Place};
use super::node::{NoDocument, Node, Reader};
use super::template::{self, Spread, short};
use super::{Description, Kind, Operation};

pub use document::{NoFiles, Resolver};

/// The most operations that are read; a table has at most 25,000 routes.
const MAX_OPERATIONS: u64 = 200_000;
/// So many fields and parameters are looked at. References and aliases let a short text have any number.
const MAX_WORK: usize = 20_000_000;
/// So many changes are remembered, in order not to tell them again with the next operation of the path.
const MAX_TOLD: usize = 10_000;

/// What the caller wants of the description.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The base paths to put before every path instead of what the description says; without any, that.
    pub base_paths: Vec<String>,
    /// The path of the URL that the description was read from, for servers that are relative to it.
    pub document_path: Option<String>,
}

/// The fields of a path item that are not operations.
const OTHER_FIELDS: [&str; 6] = ["$ref", "summary", "description", "servers", "parameters", "additionalOperations"];

/// Whether a document looks like an API description of this kind.
pub(super) fn is_description(root: &Node) -> bool {
    ["openapi", "swagger", "paths"].iter().any(|key| root.get(key).is_some())
}

/// Reads a description.
///
/// # Errors
/// That the text is no document, or no API description.
pub fn read(bytes: &[u8], options: &Options, resolver: &mut dyn Resolver) -> Result<Description, String> {
    let mut reader = Reader::new();
    let root = reader.read(bytes).map_err(|NoDocument { place, message }| match place {
        Some(place) => format!("{place}: {message}"),
        None => message,
    })?;
    read_tree(root, reader, options, resolver)
}

/// The same from a document that was read already.
pub(super) fn read_tree(
    root: Rc<Node>,
    reader: Reader,
    options: &Options,
    resolver: &mut dyn Resolver,
) -> Result<Description, String> {
    if !is_description(&root) {
        return Err("no API description: it has neither `openapi` nor `swagger` nor `paths`; give an OpenAPI or Swagger document, or Django's URL list with `--format django`".to_owned());
    }
    let version = root.word_at("openapi").or(root.word_at("swagger")).or(root.word_at("swaggerVersion"));
    if root.get("paths").is_none() && version.is_some_and(|version| version.starts_with("1.")) {
        return Err("Swagger 1 is not read; convert it to OpenAPI 3, for example with `swagger-converter`".to_owned());
    }
    let swagger = root.get("swagger").is_some() && root.get("openapi").is_none();
    let name = if swagger { "Swagger" } else { "OpenAPI" };
    let mut out = Description::new(Kind::OpenApi {
        version: format!("{name} {}", short(version.unwrap_or("without a version"))),
    });
    out.title = root.get("info").and_then(|info| info.word_at("title")).map(short);
    let mut walk = Walk {
        documents: Documents::new(Rc::clone(&root), reader, resolver),
        options,
        swagger,
        root: root.clone(),
        out,
        told: IndexSet::new(),
        default_base: None,
        work: 0,
    };
    let top = Place { document: 0, node: root };
    for field in ["paths", "x-ms-paths"] {
        let Some(paths) = top.get(field) else { continue };
        walk.paths(field, paths);
    }
    let twice = std::mem::take(&mut walk.documents.reader.twice);
    let mut out = walk.out;
    for key in twice {
        out.changed.push(&key, "this key comes twice in one object; the first counts");
    }
    Ok(out)
}

struct Walk<'a> {
    documents: Documents<'a>,
    options: &'a Options,
    swagger: bool,
    root: Rc<Node>,
    out: Description,
    /// What was said already, since every operation of a path says the same about it.
    told: IndexSet<(String, String)>,
    /// The base path of the document, once it was needed.
    default_base: Option<String>,
    /// How many fields and parameters were looked at.
    work: usize,
}

/// A path item: the fields of what it refers to behind its own.
type Item = IndexMap<Box<str>, Place>;

impl Walk<'_> {
    fn paths(&mut self, field: &str, paths: Place) {
        let paths = match self.documents.follow(paths) {
            Ok(paths) => paths,
            Err(problem) => return self.out.left_out.push(field, &problem),
        };
        let Some(entries) = paths.node.entries() else {
            return self.out.left_out.push(field, "this is no object; nothing of it was read");
        };
        for (path, node) in entries {
            if path.starts_with("x-") || &**path == "$ref" {
                continue;
            }
            let place = Place { document: paths.document, node: Rc::clone(node) };
            let item = match template::too_long(path) {
                Some(problem) => Err(problem),
                None => self.item(place),
            };
            match item {
                Ok(item) => self.path(path, &item),
                Err(problem) => self.out.left_out.push(path, &problem),
            }
        }
    }

    /// Counts what is looked at.
    fn spend(&mut self, number: usize) -> Result<(), String> {
        self.work = self.work.saturating_add(number);
        if self.work <= MAX_WORK {
            return Ok(());
        }
        Err("the description leads to more than 20,000,000 fields by its references; this is past what is read"
            .to_owned())
    }

    /// Everything that a path item has, also by reference.
    fn item(&mut self, mut place: Place) -> Result<Item, String> {
        let mut item = Item::new();
        // Where the chain of references ends is for `step` to say.
        for hops in 0.. {
            let Some(entries) = place.node.entries() else {
                let what = if hops == 0 { "the path item" } else { "what `$ref` refers to" };
                return Err(format!("{what} is no object"));
            };
            self.spend(entries.len())?;
            for (key, node) in entries {
                let value = Place { document: place.document, node: Rc::clone(node) };
                item.entry(key.clone()).or_insert(value);
            }
            match self.documents.step(&place, hops)? {
                Some(next) => place = next,
                None => break,
            }
        }
        Ok(item)
    }

    fn path(&mut self, path: &str, item: &Item) {
        let mut operations: Vec<(String, Place)> = Vec::new();
        for (field, place) in item {
            if OTHER_FIELDS.contains(&&**field) || field.starts_with("x-") {
                continue;
            }
            let token = field.to_ascii_uppercase();
            if token == "QUERY" || Method::from_bytes(token.as_bytes()) != Method::Other {
                operations.push((token, place.clone()));
            } else {
                self.out.left_out.push(
                    &format!("{} {path}", short(field)),
                    "this is no method; put it under `additionalOperations`, or before it `x-`",
                );
            }
        }
        if let Some(additional) = item.get("additionalOperations") {
            // Of so many methods none can be declared, and the first few thousand show it.
            let entries = additional.node.entries().into_iter().flat_map(|entries| entries.iter()).take(1_000);
            operations.extend(entries.map(|(token, node)| {
                (token.to_string(), Place { document: additional.document, node: Rc::clone(node) })
            }));
        }
        let known = |token: &str| Some(Method::from_bytes(token.as_bytes())).filter(|method| *method != Method::Other);
        let other_only = operations.iter().all(|(token, _)| known(token).is_none());
        for (number, (token, operation)) in operations.iter().enumerate() {
            if self.out.read >= MAX_OPERATIONS {
                self.out.left_out.push(path, "past the 200,000 operations that are read");
                return;
            }
            let place = format!("{} {path}", short(token));
            self.out.read += 1;
            if !matches!(&*operation.node, Node::Map(_) | Node::Nothing) {
                self.out.left_out.push(&place, "the operation is no object");
                continue;
            }
            let method = known(token);
            if method.is_none() {
                if !other_only || number > 0 {
                    self.out.left_out.push(&place, &format!("{} cannot be declared; such requests get the label of their template, and the method `OTHER`", short(token)));
                    continue;
                }
                self.out
                    .changed
                    .push(&place, &format!("{} cannot be declared; the route is for any method", short(token)));
            }
            self.operation(path, item, method, operation, place);
        }
    }

    fn operation(&mut self, path: &str, item: &Item, method: Option<Method>, operation: &Place, place: String) {
        // An operation is no place for `$ref`, but descriptions have it; nothing is lost where it leads nowhere.
        let operation = self.documents.follow(operation.clone()).unwrap_or_else(|_| operation.clone());
        let spreads = self.spreads(item, &operation, path);
        let name = operation.node.word_at("operationId").map(str::trim).filter(|name| !name.is_empty());
        let bases = if self.options.base_paths.is_empty() {
            vec![self.base(item, &operation)]
        } else {
            self.options.base_paths.clone()
        };
        for base in bases {
            *self.out.base_paths.entry(base.clone()).or_default() += 1;
            let separator = if path.trim_start().starts_with('/') || base.is_empty() { "" } else { "/" };
            let full = format!("{base}{separator}{}", if base.is_empty() { path } else { path.trim_start() });
            match template::convert(&full, &|name| spreads.get(name).cloned().unwrap_or_default()) {
                Err(problem) => self.out.left_out.push(&place, &problem),
                Ok(converted) => {
                    for change in converted.changes {
                        // A path's operations share what there is to say about it.
                        if self.is_new(path, &change) {
                            self.out.changed.push(path, &change);
                        }
                    }
                    self.out.operations.push(Operation {
                        method,
                        template: converted.template,
                        name: name.map(str::to_owned),
                        place: place.clone(),
                    });
                }
            }
        }
        if name.is_none() {
            self.out.unnamed += 1;
        }
    }

    /// Whether this was not said of the path yet.
    fn is_new(&mut self, path: &str, message: &str) -> bool {
        self.told.len() >= MAX_TOLD || self.told.insert((path.to_owned(), message.to_owned()))
    }

    /// What is said of the path parameters, those of the operation before those of its path item.
    fn spreads(&mut self, item: &Item, operation: &Place, path: &str) -> IndexMap<String, Spread> {
        let mut spreads = IndexMap::new();
        let lists = [operation.get("parameters"), item.get("parameters").cloned()];
        for list in lists.into_iter().flatten() {
            if let Err(problem) = self.spend(list.node.items().len()) {
                if self.is_new("parameters", &problem) {
                    self.out.changed.push(path, &problem);
                }
                break;
            }
            let items = list.node.items().iter();
            for parameter in items.map(|node| Place { document: list.document, node: Rc::clone(node) }) {
                let parameter = match self.documents.follow(parameter) {
                    Ok(parameter) => parameter.node,
                    Err(problem) => {
                        let problem = format!("a parameter was not read: {problem}");
                        if self.is_new(path, &problem) {
                            self.out.changed.push(path, &problem);
                        }
                        continue;
                    }
                };
                if parameter.word_at("in") == Some("path")
                    && let Some(name) = parameter.word_at("name")
                    && !spreads.contains_key(name)
                {
                    spreads.insert(name.to_owned(), spread(&parameter));
                }
            }
        }
        spreads
    }

    /// The base path of an operation.
    fn base(&mut self, item: &Item, operation: &Place) -> String {
        if self.swagger {
            return self.root.word_at("basePath").map(server::trimmed).unwrap_or_default();
        }
        let document_path = self.options.document_path.as_deref();
        let own = [operation.get("servers"), item.get("servers").cloned()].into_iter().flatten();
        for servers in own {
            if let Some(base) = server::first(&servers.node, document_path, &mut self.out.other_bases) {
                return base;
            }
        }
        if self.default_base.is_none() {
            let base = self
                .root
                .get("servers")
                .and_then(|servers| server::first(servers, document_path, &mut self.out.other_bases));
            self.default_base = Some(base.unwrap_or_default());
        }
        self.default_base.clone().unwrap_or_default()
    }
}

/// How far a parameter reaches, from the marks that descriptions use for it.
fn spread(parameter: &Node) -> Spread {
    // GitHub's, OpenAPI 3.2's and Azure's word for "may hold slashes".
    if ["x-multi-segment", "allowReserved", "x-ms-skip-url-encoding"].iter().any(|key| parameter.is_true(key)) {
        return Spread::Slashes;
    }
    let values = parameter.get("enum").or_else(|| parameter.get("schema")?.get("enum")).map(|values| values.items());
    if values.is_some_and(|values| !values.is_empty() && values.iter().all(|value| value.word().is_some_and(is_suffix)))
    {
        return Spread::Dotted;
    }
    let pattern = parameter.word_at("pattern").or_else(|| parameter.get("schema")?.word_at("pattern"));
    pattern.map_or(Spread::Segment, spread_of_pattern)
}

fn is_suffix(value: &str) -> bool {
    value.len() > 1 && value.starts_with('.')
}

/// `projects/[^/]+`, as gRPC gateways write it: slashes between segments.
fn spread_of_pattern(pattern: &str) -> Spread {
    if pattern.len() > 1_000 {
        return Spread::Segment;
    }
    let pattern = pattern.strip_prefix('^').unwrap_or(pattern);
    let pattern = pattern.strip_suffix('$').unwrap_or(pattern);
    let form =
        pattern.replace("\\/", "/").replace("[^/]+", "*").replace("[^/]*", "*").replace(".*", "**").replace(".+", "**");
    if !form.contains('/') {
        return Spread::Segment;
    }
    let literal = |segment: &str| {
        !segment.is_empty()
            && segment.chars().all(|found| found.is_ascii_alphanumeric() || matches!(found, '-' | '_' | '~'))
    };
    if form.split('/').all(|segment| matches!(segment, "*" | "**") || literal(segment)) {
        return Spread::Form(form);
    }
    // A slash within `[…]` may be what is excluded; one outside is there.
    let mut inside = false;
    let outside = form.chars().any(|found| {
        match found {
            '[' => inside = true,
            ']' => inside = false,
            _ => {}
        }
        found == '/' && !inside
    });
    if outside { Spread::Slashes } else { Spread::Segment }
}

#[cfg(test)]
mod tests;
