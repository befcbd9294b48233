//! `test`: suites of cases in the embedded host, or in a real Envoy.

mod junit;
mod signals;
mod text;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use host_harness::Conformance;
use host_harness::suite::{self, Against, Interrupt, RunOptions, Suite, SuiteReport};

use super::cache::CacheArguments;
use super::conformance::ConformanceArguments;

/// Arguments of the command.
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Files of cases; SUITES.md describes the format
    #[arg(value_name = "SUITE", required = true)]
    suites: Vec<PathBuf>,
    /// The module, in place of those that the suites name
    #[arg(long, value_name = "FILE")]
    module: Option<PathBuf>,
    /// Only cases whose names match
    #[arg(long, value_name = "REGEX")]
    filter: Option<fancy_regex::Regex>,
    /// Write the results to this file as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print the results as JSON
    #[arg(long)]
    json: bool,
    /// Print the traces of cases that pass, too
    #[arg(long)]
    trace: bool,
    #[command(flatten)]
    conformance: ConformanceArguments,
    /// The proxy that the cases run in
    #[arg(long, value_name = "PROXY", default_value = "harness")]
    against: Proxy,
    /// Envoy's executable; without it the variable ENVOY_BIN, or `envoy` in the path
    #[arg(long, value_name = "PATH")]
    envoy: Option<PathBuf>,
    /// How many cases run at a time; as many as there are processors when 0
    #[arg(long, value_name = "N", default_value_t = 0)]
    jobs: usize,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Proxy {
    Harness,
    Envoy,
}

/// How the command ends.
pub(crate) enum Ended {
    /// Whether no case failed.
    Well(bool),
    /// By this signal.
    Signalled(u8),
}

/// Runs the cases.
pub(crate) fn run(arguments: &Test, cache: &CacheArguments) -> anyhow::Result<Ended> {
    let (mut suites, mut mistakes) = (Vec::new(), Vec::new());
    for path in &arguments.suites {
        match Suite::read(path, arguments.module.as_deref()) {
            Ok(suite) => suites.push(suite),
            Err(error) => mistakes.push(error.to_string()),
        }
    }
    anyhow::ensure!(mistakes.is_empty(), "{}", mistakes.join("\n"));
    if let Some(filter) = &arguments.filter {
        let is_there = suites.iter().flat_map(Suite::cases).any(|name| filter.is_match(name).unwrap_or(false));
        anyhow::ensure!(is_there, "no case has a name that matches `{}`", filter.as_str());
    }
    let against = match arguments.against {
        Proxy::Harness => Against::Harness,
        Proxy::Envoy => Against::Envoy(suite::find_envoy(arguments.envoy.as_deref()).map_err(anyhow::Error::msg)?),
    };
    let conformance = arguments.conformance.given();
    anyhow::ensure!(
        against == Against::Harness || conformance != Some(Conformance::Spec),
        "Envoy does as Envoy does; leave `--conformance spec` away, or `--against envoy`"
    );
    let interrupt = Interrupt::default();
    let signalled = signals::stop(&interrupt)?;
    let options = RunOptions {
        against,
        filter: arguments.filter.clone(),
        jobs: arguments.jobs,
        // A trace costs time only where it is looked at.
        traces: arguments.trace,
        cache: cache.open(),
        conformance,
        interrupt,
    };
    let began = std::time::Instant::now();
    let mut text = text::Text::new(&suites);
    let reports = suite::run(&suites, &options, |suite, case| {
        if !arguments.json {
            print(&text.case(suite, case));
        }
    });
    if let Some(signal) = signalled.get() {
        return Ok(Ended::Signalled(*signal));
    }
    if arguments.json {
        print(&serde_json::to_string_pretty(&reports)?);
    } else {
        print(&text::summary(&reports, began.elapsed()));
    }
    if let Some(path) = &arguments.junit {
        let xml = junit::xml(&reports, began.elapsed())?;
        std::fs::write(path, xml).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(Ended::Well(reports.iter().all(SuiteReport::passed)))
}

/// The status of a command that a signal has ended, as shells have it.
pub(crate) fn status(signal: u8) -> u8 {
    128 + signal
}

#[allow(clippy::print_stdout, reason = "it is what the command is for")]
fn print(text: &str) {
    println!("{text}");
}
