//! The driver of `cargo xtask bench routes`: makes tables and requests, measures both routers natively and in Wasm, and says which goals are met.
//!
//! Exit codes: 0 done, 1 a goal is missed or the routers disagree, 2 wrong usage.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool prints")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "times and counts as they are shown"
)]

mod measure;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser;
use edge_observer::goal;
use routes_bench::tables;
use serde_json::json;
use telemetry::config::Config;

use measure::{Pace, Table};

/// The router beside `matchit`, natively and in Wasm. `cargo xtask bench routes` builds what this needs and runs it.
#[derive(Debug, Parser)]
struct Options {
    /// The measure for Wasm.
    #[arg(long)]
    module: PathBuf,
    /// The native measure: the program `routes-subject`.
    #[arg(long)]
    native: PathBuf,
    /// A plugin configuration whose routes are measured too, in YAML or JSON.
    #[arg(long)]
    routes: Option<PathBuf>,
    /// Few and short rounds: to see that it works, not to judge by.
    #[arg(long)]
    quick: bool,
    /// The figures as JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match bench(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn bench(options: &Options) -> Result<bool> {
    let mut all = Vec::new();
    for size in tables::SIZES {
        let specs = tables::made(size);
        all.push(Table {
            name: edge_observer::table::count(size as u64),
            config: tables::config(&specs, json!({})),
            specs,
        });
    }
    if let Some(path) = &options.routes {
        all.push(from_file(path)?);
    }
    let module = std::fs::read(&options.module).with_context(|| format!("cannot read {}", options.module.display()))?;
    let pace = if options.quick { Pace::QUICK } else { Pace::FULL };
    let figures = measure::measure(&all, &module, &options.native, pace)?;
    let goals = report::goals(&figures);
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report::json(&figures, &goals))?);
    } else {
        print!("{}", report::text(&figures, &goals));
    }
    Ok(goal::are_met(&goals))
}

/// The routes of a plugin configuration, with the default rules.
fn from_file(path: &std::path::Path) -> Result<Table> {
    let name = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    let value: serde_json::Value = serde_yaml_ng::from_str(&text).with_context(|| format!("{name} is not YAML"))?;
    let table = value.pointer("/routes/table").with_context(|| format!("{name} has no `routes.table`"))?;
    // Read as a configuration, with room for any number of series.
    let empty = tables::config(&[], json!({}));
    let mut config: serde_json::Value = serde_json::from_slice(&empty)?;
    if let Some(place) = config.pointer_mut("/routes/table") {
        place.clone_from(table);
    }
    let config = config.to_string().into_bytes();
    let specs =
        Config::from_json(&config).map_err(|errors| anyhow::anyhow!("{name}: {errors}"))?.routes().specs().to_vec();
    let stem = path.file_stem().map_or_else(|| name.to_string(), |stem| stem.to_string_lossy().into_owned());
    Ok(Table { name: stem, config, specs })
}
