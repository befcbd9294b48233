//! `host-harness`: runs proxy-wasm modules as Envoy would.

mod command {
    pub(crate) mod bench;
    pub(crate) mod cache;
    pub(crate) mod conformance;
    pub(crate) mod inspect;
    pub(crate) mod run;
    pub(crate) mod serve;
    pub(crate) mod test;
}

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use command::cache::CacheArguments;
use command::{bench, inspect, run, serve, test};

/// Runs proxy-wasm modules as Envoy would.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(flatten)]
    cache: CacheArguments,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Put a module between clients and an upstream.
    Serve(Box<serve::Serve>),
    /// Send recorded traffic through a module: the status is 0 if no VM failed and no stream was held for ever.
    Run(run::Run),
    /// Measure how fast the host is, beside the least that a host on wasmtime can be.
    Bench(bench::Bench),
    /// Say what a module is, and whether Envoy would load it: the status is 0 if it would.
    Inspect(inspect::Inspect),
    /// Run suites of cases, and say what is not as expected: the status is 0 if nothing is.
    Test(test::Test),
}

/// Exit status for a command that was called wrongly, as clap has it.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let Cli { cache, command } = Cli::parse();
    let arguments = match command {
        Command::Serve(arguments) => *arguments,
        Command::Inspect(arguments) => return ended(inspect::run(&arguments, &cache)),
        Command::Bench(arguments) => return ended(bench::run(&arguments).map(|()| true)),
        Command::Run(arguments) => return ended(run::run(&arguments, &cache)),
        Command::Test(arguments) => {
            return match test::run(&arguments, &cache) {
                Ok(test::Ended::Well(well)) => ended(Ok(well)),
                Ok(test::Ended::Signalled(signal)) => ExitCode::from(test::status(signal)),
                Err(error) => ended(Err(error)),
            };
        }
    };
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    match serve::read(arguments, &cache) {
        Err(error) => fail(&error, USAGE),
        Ok(options) => match serve::run(options) {
            Err(error) => fail(&error, 1),
            Ok(()) => ExitCode::SUCCESS,
        },
    }
}

/// The status of a command that finds something well or not.
fn ended(found: anyhow::Result<bool>) -> ExitCode {
    match found {
        Err(error) => fail(&error, USAGE),
        Ok(well) => ExitCode::from(u8::from(!well)),
    }
}

#[allow(clippy::print_stderr, reason = "it is how a command reports an error")]
fn fail(error: &anyhow::Error, code: u8) -> ExitCode {
    eprintln!("host-harness: {error:#}");
    ExitCode::from(code)
}
