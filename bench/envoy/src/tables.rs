//! Three route tables of one API, each with all of the smaller one's routes, and requests for the routes that all of them have.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow, ensure};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use telemetry::config::Config;
use telemetry::method::Method;
use telemetry::route::{PlaceholderBuffer, RouteMatch};

use crate::variants::REQUEST_ID_HEADER;

/// How many routes are called: those of the smallest table.
const CALLED: usize = 10;
/// How many routes the middle table has.
const MIDDLE: usize = 100;
/// How many paths each called route has.
const PATHS: usize = 20;
/// The namespace of the metrics, ours and the rivals'.
const NAMESPACE: &str = "bench";

/// How much our filter does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// All that it does by default.
    Default,
    /// The proxy makes IDs and echoes them.
    Lean,
}

/// A route table.
#[derive(Debug)]
pub(crate) struct Table {
    /// The routes as a plugin configuration has them.
    entries: Vec<Value>,
}

impl Table {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The plugin configuration with these routes, and room for their series.
    pub(crate) fn configuration(&self, mode: Mode) -> String {
        json!({
            "namespace": NAMESPACE,
            "correlation": match mode {
                Mode::Default => json!({}),
                Mode::Lean => json!({ "header": REQUEST_ID_HEADER, "generate": "proxy", "respond": false }),
            },
            "routes": { "table": self.entries },
            "metrics": { "series_budget": 10_000_000 },
        })
        .to_string()
    }

    /// Method (`*` for any) and template of each route.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().flat_map(|entry| {
            let template = entry.get("template").and_then(Value::as_str).unwrap_or_default();
            let methods = entry.get("methods").and_then(Value::as_array);
            let methods: Vec<&str> =
                methods.map_or_else(|| vec!["*"], |methods| methods.iter().filter_map(Value::as_str).collect());
            methods.into_iter().map(move |method| (method, template))
        })
    }

    fn compiled(&self) -> Result<Config> {
        Config::from_json(self.configuration(Mode::Default).as_bytes()).map_err(|errors| anyhow!("{errors}"))
    }
}

/// The three tables and the requests.
#[derive(Debug)]
pub(crate) struct Tables {
    pub(crate) small: Table,
    pub(crate) middle: Table,
    pub(crate) large: Table,
    /// Paths of `GET` requests.
    pub(crate) paths: Vec<String>,
}

impl Tables {
    /// Tables of the routes in a plugin configuration.
    ///
    /// # Errors
    /// When the file cannot be read, or has too few routes that can be called with `GET`.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let name = file.display();
        let value = edge_observer::config_file::value(file).map_err(|problem| problem.into_error(file))?;
        let entries = value.pointer("/routes/table").and_then(Value::as_array);
        let entries = entries.with_context(|| format!("{name} has no `routes.table`"))?.clone();
        let (gets, others): (Vec<Value>, Vec<Value>) = entries.iter().cloned().partition(is_get);
        ensure!(gets.len() >= CALLED && entries.len() >= MIDDLE, "{name} has too few routes");
        let called: Vec<Value> = spread(&gets, CALLED);
        let more = gets.iter().chain(&others).filter(|entry| !called.contains(entry)).cloned().collect::<Vec<_>>();
        let middle = called.iter().cloned().chain(spread(&more, MIDDLE - CALLED)).collect();
        let mut tables = Self {
            small: Table { entries: called },
            middle: Table { entries: middle },
            large: Table { entries },
            paths: Vec::new(),
        };
        tables.paths = tables.called_paths()?;
        Ok(tables)
    }

    /// Paths of the called routes, in turn; each has the same endpoint in every table.
    fn called_paths(&self) -> Result<Vec<String>> {
        let configs = [&self.small, &self.middle, &self.large].map(Table::compiled);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut paths = Vec::new();
        for _ in 0..PATHS {
            for (_, template) in self.small.pairs() {
                let path = example(template, &mut rng);
                for config in &configs {
                    let table = config.as_ref().map_err(|error| anyhow!("{error:#}"))?.routes().table();
                    let found = match table.find(Method::Get, path.as_bytes(), &mut PlaceholderBuffer::default()) {
                        RouteMatch::Endpoint(id) => table.labels().get(id.index()),
                        RouteMatch::Placeholder => None,
                    };
                    ensure!(
                        found.is_some_and(|label| &**label == template),
                        "{path} is not of {template} in all tables"
                    );
                }
                paths.push(path);
            }
        }
        Ok(paths)
    }
}

/// Whether `GET` calls it.
fn is_get(entry: &Value) -> bool {
    entry.get("methods").and_then(Value::as_array).is_some_and(|methods| methods.iter().any(|method| method == "GET"))
}

/// So many of them, from the first to the last.
fn spread(entries: &[Value], number: usize) -> Vec<Value> {
    (0..number).filter_map(|place| entries.get(place * entries.len() / number).cloned()).collect()
}

/// A path of a template.
pub(crate) fn example(template: &str, rng: &mut ChaCha8Rng) -> String {
    let mut path = String::new();
    let mut rest = template;
    while let Some((text, after)) = rest.split_once('{') {
        path.push_str(text);
        path.push_str(&format!("q{}", rng.random_range(1_000..1_000_000)));
        rest = after.split_once('}').map_or("", |(_, after)| after);
    }
    path.push_str(rest);
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_table_has_the_smaller_ones_routes_and_every_path_its_endpoint_in_all() {
        let tables = Tables::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/github.yaml")).unwrap();
        assert_eq!([&tables.small, &tables.middle, &tables.large].map(Table::len), [10, 100, 1_223]);
        assert!(tables.small.entries.iter().all(|entry| tables.middle.entries.contains(entry)));
        assert!(tables.middle.entries.iter().all(|entry| tables.large.entries.contains(entry)));
        // That a path has its template in every table is looked at while they are made.
        assert_eq!(tables.paths.len(), CALLED * PATHS);
    }

    #[test]
    fn a_file_with_few_routes_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("few.yaml");
        std::fs::write(&file, "routes: {table: [{methods: [GET], template: /a}]}").unwrap();
        let error = Tables::read(&file).unwrap_err().to_string();
        assert!(error.ends_with("few.yaml has too few routes"), "{error}");
    }
}
