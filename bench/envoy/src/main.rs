//! The driver of `cargo xtask bench envoy`: real Envoys side by side, alike but for their filter, under the same load in turn.
//!
//! Each variant has an Envoy of its own with one worker; all of them share one core, the load generator has another. A round runs each of them
//! once, in a random order, and reads from the scheduler what its process ran meanwhile. That every variant does its work is part of the
//! measure: correlation IDs are looked at, and at the end the counts of Envoy and of the filter have to be what was sent.
//!
//! Exit codes: 0 done, 1 a goal is missed or something failed, 2 wrong usage.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool prints")]

mod footprint;
mod instructions;
mod measure;
mod report;
mod running;
mod tables;
mod upstream;
mod variants;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use edge_observer::goal;

use measure::Pace;
use report::{InstructionReport, Report, TimeReport};
use tables::Tables;
use variants::Modules;
use workload::Workload;

/// Our filter beside its rivals in real Envoys. `cargo xtask bench envoy` builds what this needs and runs it.
#[derive(Debug, Parser)]
#[command(override_usage = "cargo xtask bench envoy [OPTIONS]")]
struct Options {
    /// Our module.
    #[arg(long, hide = true)]
    module: PathBuf,
    /// Another build of our module, to be measured beside the present one.
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// The rivals that are written with the SDK.
    #[arg(long, hide = true)]
    sdk_filters: PathBuf,
    /// The floor.
    #[arg(long, hide = true)]
    floor_filter: PathBuf,
    /// The plugin configuration whose routes are the large table, a hundred or more [default: GitHub's].
    #[arg(long, value_name = "FILE")]
    routes: PathBuf,
    /// What is sent, separated by commas [default: all, with `--quick` tiny].
    #[arg(long, value_name = "KIND", value_enum, value_delimiter = ',')]
    workload: Vec<Workload>,
    /// Only filters whose names contain one of these words, separated by commas, beside Envoy without a filter.
    #[arg(long, value_name = "WORD", value_delimiter = ',')]
    only: Vec<String>,
    /// Few and short rounds: the main ratios.
    #[arg(long)]
    quick: bool,
    /// How often the proxies are started, instead of the usual number.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    starts: Option<u32>,
    /// Rounds after each start, instead of the usual number.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: Option<u32>,
    /// Count instructions with Valgrind's Callgrind, in place of time: the same on a busy machine.
    #[arg(long, conflicts_with_all = ["starts", "rounds"])]
    instructions: bool,
    /// Memory and the size of what Prometheus reads, in place of time.
    #[arg(long, conflicts_with_all = ["instructions", "starts", "rounds", "workload", "quick"])]
    footprint: bool,
    /// The figures as JSON.
    #[arg(long)]
    json: bool,
}

impl Options {
    fn workloads(&self) -> Vec<Workload> {
        match (self.workload.is_empty(), self.quick, self.instructions) {
            (false, _, _) => self.workload.clone(),
            (true, true, _) => vec![Workload::Tiny],
            (true, false, true) => vec![Workload::Tiny, Workload::Headers],
            (true, false, false) => {
                vec![Workload::Tiny, Workload::Headers, Workload::Http2, Workload::Proxied, Workload::Streamed]
            }
        }
    }
}

fn main() -> ExitCode {
    match bench(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn bench(options: &Options) -> Result<bool> {
    let tables = Tables::read(&options.routes)?;
    let modules = Modules {
        ours: &options.module,
        other: options.against.as_deref(),
        sdk: &options.sdk_filters,
        floor: &options.floor_filter,
    };
    let mut variants = variants::all(&tables, &modules)?;
    if !options.only.is_empty() {
        let is_meant = |name: &str| options.only.iter().any(|word| name.contains(word));
        variants.retain(|variant| variant.name == variants::name::BARE || is_meant(variant.name));
        ensure!(variants.len() > 1, "no filter is named like {}", options.only.join(", "));
    }
    let mut pace = if options.quick { Pace::QUICK } else { Pace::FULL };
    pace.starts = options.starts.unwrap_or(pace.starts);
    pace.rounds = options.rounds.unwrap_or(pace.rounds);
    let workloads = options.workloads();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report: Box<dyn Report> = if options.footprint {
        Box::new(runtime.block_on(footprint::measure(&variants, &tables.paths, &options.module))?)
    } else if options.instructions {
        let counts = runtime.block_on(instructions::count(&variants, &tables.paths, &workloads))?;
        Box::new(InstructionReport { workloads, counts })
    } else {
        let figures = runtime.block_on(measure::measure(&variants, &tables.paths, &workloads, pace))?;
        Box::new(TimeReport { workloads, figures, pace })
    };
    let goals = report.goals();
    if options.json {
        let mut json = report.json();
        json.as_object_mut().context("the figures are no object")?.insert("goals".to_owned(), goal::json(&goals));
        println!("{}", serde_json::to_string_pretty(&json)?);
    } else {
        print!("{}\n{}", report.text(), goal::text(&goals));
    }
    Ok(goal::are_met(&goals))
}
