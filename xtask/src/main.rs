//! Every developer command of edge-observer: `cargo xtask <command>`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool prints")]

mod build;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Every developer command of edge-observer.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Build the module that ships; print its size and SHA-256.
    Build(build::Options),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Task::Build(options) => build::build(&options).map(drop),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
