//! Every developer command of edge-observer: `cargo xtask <command>`.
//!
//! Exit codes: 0 done, 1 something is bad, 2 wrong usage.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool prints")]

mod bench;
mod build;
mod fuzz;
mod generate;
mod lint;
mod panels;
mod tests;
mod up;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Every developer command of edge-observer.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// The filter in front of an API, with what to look at.
    Up(up::Options),
    /// Install what the tests need, build the module, run every test.
    Test(tests::Options),
    /// Build the module that ships; print its size and SHA-256.
    Build(build::Options),
    /// Measure, beside others and against what is promised.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Formatting, lints for every target, documentation, dependencies.
    Lint,
    /// Regenerate derived files, or fail if one is out of date.
    Gen(generate::Options),
    /// Check the dashboards against Grafana's types, and draw every panel from live data.
    Panels(panels::Options),
    /// Run the fuzz targets of the router, the importers and the embedded host, each for a bounded time.
    Fuzz(fuzz::Options),
    /// What CI runs: lint, gen --check, test, short fuzzing, and two builds with the same bytes.
    Ci,
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Up(options) => up::up(&options),
        Task::Test(options) => tests::test(&options),
        Task::Build(options) => build::build(&options),
        Task::Bench(what) => bench::bench(&what),
        Task::Lint => lint::lint(),
        Task::Gen(options) => generate::generate(&options),
        Task::Panels(options) => panels::panels(&options),
        Task::Fuzz(options) => fuzz::fuzz(&options),
        Task::Ci => ci(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn ci() -> Result<()> {
    // Fetching waits for the network, compiling for the processor.
    let fetching = std::thread::spawn(tests::install);
    let linted = lint::lint();
    if fetching.join().is_err() {
        eprintln!("    installing what tests need failed; it is tried again");
    }
    linted?;
    generate::generate(&generate::Options { check: true })?;
    tests::test(&tests::Options::default())?;
    fuzz::fuzz(&fuzz::Options { seconds: 5, target: fuzz::quick(), keep: false })?;
    build::build(&build::Options { check_reproducible: true })
}
