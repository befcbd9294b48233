//! The command: reading, merging, checking, writing.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Value, json};
use telemetry::config::Config;
use telemetry::route::{LabelStyle, RouteOptions, RouteSpec, overlaps};

use super::edit::Editor;
use super::template::short;
use super::{Changes, Description, Format, Report, collect, openapi, render, source};
use crate::Usage;
use crate::config_file::{self, STDIN};
use crate::table::{count, plural, printable};

/// The largest `metrics.series_budget` that a configuration may have.
const MAX_BUDGET: u64 = 10_000_000;
/// A budget that is set is a multiple of this, so that the next endpoint needs no new one.
const BUDGET_STEP: u64 = 1_000;
/// So many pairs of templates of each kind are listed.
const MAX_PAIRS: usize = 1_000;

/// Where the routes go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// To standard output.
    Stdout,
    /// Into a new file.
    New {
        /// The file.
        file: PathBuf,
        /// Also over one that is no configuration.
        force: bool,
    },
    /// Into a configuration that is there.
    Into(PathBuf),
}

/// What is to be imported, and how.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// A file, `-`, or a URL.
    pub source: String,
    /// What it is.
    pub format: Format,
    /// The base paths to take instead of the description's.
    pub base_paths: Vec<String>,
    /// Where the routes go.
    pub destination: Destination,
    /// `routes.label` of a new configuration.
    pub label: Option<LabelStyle>,
    /// Raise `metrics.series_budget` to what is needed.
    pub set_budget: bool,
    /// The name between the markers, so that several descriptions may be imported into one configuration.
    pub section: String,
    /// Write nothing.
    pub dry_run: bool,
}

/// What an import came to.
#[derive(Debug, Clone)]
pub struct Imported {
    /// What it did.
    pub report: Report,
    /// What belongs on standard output.
    pub text: Option<String>,
    /// Whether the result is a configuration that may be used.
    pub good: bool,
}

/// A configuration that routes are merged into.
struct Existing {
    text: String,
    json: Value,
    options: RouteOptions,
    specs: Vec<RouteSpec>,
    series_budget: u64,
}

/// Imports.
///
/// # Errors
/// That the source or the configuration cannot be read, that the source is no description, or that the result cannot be written.
pub fn run(options: &ImportOptions) -> anyhow::Result<Imported> {
    let base_paths = base_paths(&options.base_paths)?;
    check_section(&options.section)?;
    // What is wrong with the destination is said before a long download.
    let existing = existing(&options.destination)?;
    let mut source = source::read(&options.source)?;
    let wanted = openapi::Options { base_paths, document_path: source.url_path.take() };
    let mut description = super::read(&source.bytes, options.format, &wanted, &mut *source.resolver)
        .map_err(|problem| anyhow::anyhow!("{}: {}", printable(&source.name), printable(&problem)))?;
    if description.operations.is_empty() {
        let why = description.left_out.listed.first();
        let why = why.map(|finding| format!(" (`{}`: {})", finding.place, finding.message)).unwrap_or_default();
        anyhow::bail!("{}: {} without a path that could be a route{why}", source.name, description.kind);
    }
    let fresh = match &existing {
        Some(_) => None,
        None => Some(new_text(&source.name, &description, options.label)),
    };
    let editor = Editor::new(existing.as_ref().map_or(fresh.as_deref().unwrap_or_default(), |existing| &existing.text));
    let before = editor.before(&options.section).map_err(|problem| named(&options.destination, &problem))?;
    let specs = existing.as_ref().map(|existing| &*existing.specs).unwrap_or_default();
    let imported_before = specs.get(before.entries.clone()).unwrap_or_default();
    let above = specs.get(..before.entries.start).unwrap_or_default();
    let below = specs.get(before.entries.end..).unwrap_or_default();
    let by_hand = [above, below].concat();
    let route_options = existing.as_ref().map_or_else(RouteOptions::default, |existing| existing.options);
    let route_options = RouteOptions { label: options.label.unwrap_or(route_options.label), ..route_options };
    let collected = collect::routes(&mut description, &by_hand, &route_options);
    let edited = editor
        .with_routes(&collected.routes, &options.section, &before)
        .map_err(|problem| named(&options.destination, &problem))?;

    // With the largest budget there is, so that the number needed is known even if it is too large.
    let mut value = value(&edited.text)?;
    let roomy = with_budget(&value, MAX_BUDGET);
    let roomy = Config::from_value(roomy).map_err(|errors| {
        let first: Vec<String> = errors.iter().take(5).map(|error| printable(&error.to_string())).collect();
        let more = if errors.iter().count() > 5 { "\n…" } else { "" };
        anyhow::anyhow!("the result would be no valid configuration:\n{}{more}", first.join("\n"))
    })?;
    let expected = [above, &collected.routes, below].concat();
    anyhow::ensure!(roomy.routes().specs() == expected, named(&options.destination, &not_as_expected()));
    let limit = existing.as_ref().map_or_else(default_budget, |existing| existing.series_budget);
    let needed = roomy.budget().total();
    let mut text = edited.text;
    let mut series_budget = limit;
    let mut outcome = Vec::new();
    if needed > limit && options.set_budget {
        series_budget = needed.next_multiple_of(BUDGET_STEP).min(MAX_BUDGET);
        text =
            Editor::new(&text).with_budget(series_budget).map_err(|problem| named(&options.destination, &problem))?;
        value = self::value(&text)?;
        outcome.push(format!("metrics.series_budget: {} was raised to {}", count(limit), count(series_budget)));
    }
    let good = needed <= series_budget;
    if good {
        let parsed = config_file::parse(text.as_bytes());
        let sound = parsed.is_ok_and(|loaded| loaded.config.routes().specs() == expected);
        let same = existing.as_ref().is_none_or(|existing| outside(&existing.json) == outside(&value));
        anyhow::ensure!(sound && same, named(&options.destination, &not_as_expected()));
    } else {
        outcome.push(format!(
            "metrics.series_budget: found {}, but this table can lead to {} series; give --set-budget to raise it, or shorten `metrics.methods`, `metrics.statuses` or `metrics.buckets_seconds`{}",
            count(limit),
            count(needed),
            if matches!(options.destination, Destination::Stdout) { "" } else { "; nothing was written" },
        ));
    }
    if edited.comments_lost {
        outcome.push(
            "the comments within `routes.table` are lost: it is written in flow style, which has no place for them"
                .to_owned(),
        );
    }
    if !edited.marked && existing.is_some() {
        outcome.push("JSON and flow style have no comments to mark imported routes with: the next import takes these for hand-written".to_owned());
    }
    if good {
        write(options, &text, collected.routes.len(), &mut outcome)?;
    }
    let overlaps = overlaps(&expected, roomy.routes().options(), MAX_PAIRS).unwrap_or_default();
    let report = Report {
        source: source.name,
        routes: collected.routes.len(),
        endpoints: roomy.routes().table().labels().len().saturating_sub(2),
        duplicates: collected.duplicates,
        by_hand: collected.by_hand,
        shared_names: collected.shared_names,
        overlaps,
        changes: existing.as_ref().map(|_| changes(imported_before, &collected.routes, by_hand.len())),
        table: expected,
        budget: roomy.budget().clone(),
        series_budget,
        description,
        outcome,
    };
    let shown = match options.destination {
        Destination::Stdout => true,
        Destination::New { .. } => !good,
        Destination::Into(_) => false,
    };
    Ok(Imported { report, text: shown.then_some(text), good })
}

fn base_paths(given: &[String]) -> anyhow::Result<Vec<String>> {
    given
        .iter()
        .map(|base| {
            let plain =
                base.starts_with('/') && base.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte));
            if !plain {
                return Err(Usage::error(format!(
                    "--base-path: found `{}`; write it as `/api/v1`, or `/` for none",
                    short(base)
                )));
            }
            Ok(base.trim_end_matches('/').to_owned())
        })
        .collect()
}

fn check_section(section: &str) -> anyhow::Result<()> {
    let plain = !section.is_empty()
        && section.len() <= 40
        && section.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if plain {
        return Ok(());
    }
    Err(Usage::error(format!(
        "--section: found `{}`; use at most 40 letters, digits, `-`, `_` and `.`",
        short(section)
    )))
}

/// The configuration that is merged into, or nothing; and that a new file may be written.
fn existing(destination: &Destination) -> anyhow::Result<Option<Existing>> {
    match destination {
        Destination::Stdout => Ok(None),
        Destination::New { file, force } => {
            if file.exists() && !force && config_file::load(file).is_err() {
                return Err(Usage::error(format!(
                    "{} is there and is no valid configuration; give --force to overwrite it, or another file",
                    file.display()
                )));
            }
            Ok(None)
        }
        Destination::Into(file) => {
            if file.as_os_str() == STDIN {
                return Err(Usage::error("--into needs a file to write to; `-` is none"));
            }
            if !file.exists() {
                return Err(Usage::error(format!("{} does not exist; give --output to make it", file.display())));
            }
            let loaded = config_file::require(file)?;
            let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            Ok(Some(Existing {
                text,
                json: serde_json::from_str(&loaded.json)?,
                options: *loaded.config.routes().options(),
                specs: loaded.config.routes().specs().to_vec(),
                series_budget: loaded.config.metrics().series_budget(),
            }))
        }
    }
}

/// The beginning of a new configuration.
fn new_text(source: &str, description: &Description, label: Option<LabelStyle>) -> String {
    let title = description.title.as_ref().map(|title| format!(" of {title}")).unwrap_or_default();
    let source = source.rsplit('/').next().unwrap_or_default();
    let label = match label {
        Some(LabelStyle::Name) => "  label: name\n",
        Some(LabelStyle::Template) => "  label: template\n",
        None => "",
    };
    format!("# Routes{title}: {}, from {}.\n\nroutes:\n{label}  table:\n", description.kind, short(source))
}

fn value(text: &str) -> anyhow::Result<Value> {
    if let Ok(value) = serde_json::from_str(text) {
        return Ok(value);
    }
    let value: Value = serde_yaml_ng::from_str(text).context("the result would be no YAML; nothing was written")?;
    Ok(if value.is_null() { json!({}) } else { value })
}

fn with_budget(value: &Value, budget: u64) -> Value {
    let mut value = value.clone();
    if let Some(root) = value.as_object_mut() {
        let metrics = root.entry("metrics").or_insert_with(|| json!({}));
        if let Some(metrics) = metrics.as_object_mut() {
            metrics.insert("series_budget".to_owned(), budget.into());
        }
    }
    value
}

/// What an import may not change.
fn outside(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(root) = value.as_object_mut() {
        for (section, field) in [("routes", "table"), ("metrics", "series_budget")] {
            let fields = root.get_mut(section).and_then(Value::as_object_mut);
            if fields.is_some_and(|fields| {
                fields.remove(field);
                fields.is_empty()
            }) || root.get(section).is_some_and(Value::is_null)
            {
                root.remove(section);
            }
        }
    }
    value
}

fn default_budget() -> u64 {
    Config::from_json(b"").map_or(0, |config| config.metrics().series_budget())
}

fn not_as_expected() -> String {
    "the edited text would not read as the hand-written routes and the imported ones; nothing was written; write `routes.table` as a block list with one route a line".to_owned()
}

fn named(destination: &Destination, problem: &str) -> anyhow::Error {
    match destination {
        Destination::Stdout => anyhow::anyhow!("{problem}"),
        Destination::New { file, .. } | Destination::Into(file) => anyhow::anyhow!("{}: {problem}", file.display()),
    }
}

/// Compares what an import wrote with what the last one did.
fn changes(before: &[RouteSpec], after: &[RouteSpec], by_hand: usize) -> Changes {
    use std::collections::{HashMap, HashSet};
    let identical: HashSet<String> = before.iter().map(render::yaml).collect();
    let mut gone: HashMap<&str, Vec<&RouteSpec>> = HashMap::new();
    let kept: HashSet<String> = after.iter().map(render::yaml).filter(|line| identical.contains(line)).collect();
    for route in before.iter().filter(|route| !kept.contains(&render::yaml(route))) {
        gone.entry(&route.template).or_default().push(route);
    }
    let mut out = Changes { by_hand: by_hand as u64, unchanged: kept.len() as u64, ..Changes::default() };
    for route in after.iter().filter(|route| !kept.contains(&render::yaml(route))) {
        match gone.get_mut(&*route.template).filter(|old| !old.is_empty()) {
            Some(old) => {
                let old = old.remove(0);
                out.replaced.push(format!("{} (was {})", short_route(route), short_route(old)));
            }
            None => out.added.push(short_route(route)),
        }
    }
    // In the order of the table.
    for route in before {
        if let Some(old) = gone.get_mut(&*route.template)
            && let Some(at) = old.iter().position(|old| *old == route)
        {
            old.remove(at);
            out.removed.push(short_route(route));
        }
    }
    out
}

fn short_route(route: &RouteSpec) -> String {
    let methods = route.methods.as_ref().map_or_else(
        || "any".to_owned(),
        |methods| methods.iter().map(|method| method.as_str()).collect::<Vec<_>>().join(","),
    );
    let name = route.name.as_ref().map(|name| format!(" as {}", short(name))).unwrap_or_default();
    format!("{methods} {}{name}", short(&route.template))
}

fn write(options: &ImportOptions, text: &str, routes: usize, outcome: &mut Vec<String>) -> anyhow::Result<()> {
    let file = match &options.destination {
        Destination::Stdout => return Ok(()),
        Destination::New { file, .. } | Destination::Into(file) => file,
    };
    let what = plural(routes as u64, "route");
    if options.dry_run {
        outcome.push(format!("dry run: {what} would be written to {}", file.display()));
        return Ok(());
    }
    replace(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    outcome.push(format!("{what} written to {}", file.display()));
    Ok(())
}

/// Puts a text in the place of a file at once: who reads it sees the old or the new one, and a failure leaves the old one.
fn replace(file: &Path, text: &str) -> anyhow::Result<()> {
    // The file behind a symbolic link, so that the link stays one.
    let file = if file.exists() { file.canonicalize()? } else { file.to_owned() };
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut new = tempfile::Builder::new().prefix(".import-").tempfile_in(folder)?;
    new.write_all(text.as_bytes())?;
    new.as_file().sync_all()?;
    match fs::metadata(&file) {
        Ok(old) => fs::set_permissions(new.path(), old.permissions())?,
        Err(_) => readable(new.path())?,
    }
    new.persist(&file)?;
    Ok(())
}

/// A temporary file is its owner's alone; a configuration is everybody's to read.
#[cfg(unix)]
fn readable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable(_path: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests;
