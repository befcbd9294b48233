//! The judge of rollouts on simulated fleets: how often it stops a build that changes nothing, and how often it lets one pass that does harm.
//!
//! The looks are made by the judge's own queries, which a fleet answers that is not there, and judged as the engine has them judged. All gates are on, and
//! a bad build does the harm of all of them at once: the harm of one does not show in another. Every run is made of a seed, so that it can be repeated.
//!
//! What is promised of each compared gate is tested at 1 % for false stops, rather than at the far smaller part that a real rollout leaves to it: a share
//! of one in a thousand cannot be told from twice that in a few hundred runs. It ends with 1 when a promise is not held.

mod fleet;
mod run;
mod scenario;
mod table;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use crate::run::Outcome;
use crate::scenario::Scenario;
use crate::table::Line;

/// Gates that rest on statistics: these share `policy.false_stop`.
const COMPARED: [&str; 6] = ["errors", "latency", "cpu", "memory", "traps", "overflow"];
/// Gates that do not: one that fails without a cause is wrong, whatever was promised.
const CERTAIN: [&str; 4] = ["series", "liveness", "refusals", "restarts"];
/// Gates whose harm is simulated.
const HARMED: [&str; 8] = ["errors", "latency", "cpu", "memory", "traps", "overflow", "completeness", "series"];
/// A false stop of a compared gate, and a pass of a gate in spite of harm.
const ALPHA: f64 = 0.01;
const MISSED: f64 = 0.05;
const RINGS: f64 = 2.0;
const THREADS: usize = 2;

#[derive(Debug, Parser)]
#[command(about = "The judge of rollouts on simulated fleets")]
struct Options {
    /// Runs of each scenario and size of harm.
    #[arg(long, default_value_t = 300)]
    runs: u32,
    /// What all chance is made of.
    #[arg(long, default_value_t = 8)]
    seed: u64,
    /// Few runs, for CI.
    #[arg(long)]
    quick: bool,
    /// Only scenarios whose name has this in it.
    #[arg(long)]
    only: Option<String>,
    /// The table as JSON.
    #[arg(long)]
    json: bool,
}

/// One scenario with one size of harm.
#[derive(Debug, Clone, Copy)]
struct Cell {
    scenario: Scenario,
    harm: &'static str,
    times: f64,
}

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    let runs = if options.quick { options.runs.min(6) } else { options.runs }.max(1);
    let only = |scenario: &Scenario| options.only.as_ref().is_none_or(|only| scenario.name().contains(only.as_str()));
    let cells: Vec<Cell> = Scenario::ALL
        .into_iter()
        .filter(only)
        .flat_map(|scenario| {
            let harms = [("none", 0.0), ("smallest", 1.0), ("twice", 2.0)];
            // A ring in which the build does not run everywhere is not asked how harmful it is.
            let harms = if scenario == Scenario::Mixed { &harms[..1] } else { &harms[..] };
            harms.iter().map(move |(harm, times)| Cell { scenario, harm, times: *times }).collect::<Vec<_>>()
        })
        .collect();
    let outcomes = simulate(&cells, runs, options.seed)?;
    let lines: Vec<Line> = cells.iter().zip(&outcomes).flat_map(|(cell, outcomes)| lines(*cell, outcomes)).collect();
    let text = if options.json { serde_json::to_string_pretty(&lines)? } else { table::table(&lines) };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    let broken = lines.iter().filter(|line| !line.held).count();
    if !options.json {
        writeln!(
            out,
            "\n{} of {} promises held, {runs} runs each, seed {}",
            lines.len() - broken,
            lines.len(),
            options.seed
        )?;
    }
    Ok(if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What each gate came to in each run, by cell and gate.
fn simulate(cells: &[Cell], runs: u32, seed: u64) -> Result<Vec<BTreeMap<String, Vec<Outcome>>>> {
    let plans = cells
        .iter()
        .map(|cell| cell.scenario.plan(ALPHA * COMPARED.len() as f64 * RINGS, MISSED))
        .collect::<Result<Vec<_>>>()?;
    let jobs: Vec<(usize, u32)> = (0..cells.len()).flat_map(|cell| (0..runs).map(move |run| (cell, run))).collect();
    let bar = ProgressBar::new(jobs.len() as u64);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos} of {len} rings, {eta} left")?);
    let next = AtomicUsize::new(0);
    let results = Mutex::new(vec![BTreeMap::<String, Vec<Outcome>>::new(); cells.len()]);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some((index, run)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (Some(cell), Some(plan)) = (cells.get(*index), plans.get(*index)) else { return };
                    // The same for each size of harm, so that only that differs.
                    let seed =
                        seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ ((cell.scenario as u64) << 32) ^ u64::from(*run);
                    let gates = run::run(plan, cell.scenario, cell.times, seed).unwrap_or_default();
                    let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(cell) = results.get_mut(*index) {
                        for (gate, outcome) in gates {
                            cell.entry(gate).or_default().push(outcome);
                        }
                    }
                    bar.inc(1);
                }
            });
        }
    });
    bar.finish_and_clear();
    Ok(results.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// The lines of a cell, each with what is promised there.
fn lines(cell: Cell, outcomes: &BTreeMap<String, Vec<Outcome>>) -> Vec<Line> {
    let harmful = cell.times > 0.0;
    let line = |gate: &str, harmful: bool, allowed: Option<f64>| {
        let outcomes = outcomes.get(gate).map_or(&[][..], Vec::as_slice);
        Line::new((cell.scenario.name(), cell.harm, harmful), gate, outcomes, allowed)
    };
    if cell.scenario == Scenario::Mixed {
        // It must never pass.
        return vec![line("ring", true, Some(0.0)), line("liveness", true, Some(0.0))];
    }
    if harmful {
        let mut lines: Vec<Line> = HARMED.iter().map(|gate| line(gate, true, Some(MISSED))).collect();
        lines.push(line("ring", true, Some(MISSED)));
        return lines;
    }
    let compared = COMPARED.iter().map(|gate| line(gate, false, Some(ALPHA)));
    let certain = CERTAIN.iter().map(|gate| line(gate, false, Some(0.0)));
    // What it takes for certain is so within four standard deviations; and counters that are reset twice in a row may look as if they never were.
    let completeness = line("completeness", false, Some(ALPHA));
    compared
        .chain([completeness])
        .chain(certain)
        .chain([line("ring", false, Some(ALPHA * COMPARED.len() as f64))])
        .collect()
}
