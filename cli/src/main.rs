//! The operator's tool.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool prints")]

mod arguments;
mod commands;

use std::process::ExitCode;

use clap::Parser as _;
use edge_observer::Usage;

fn main() -> ExitCode {
    // Wrong usage that the parser sees ends here, with its message and 2.
    let arguments = arguments::Arguments::parse();
    match commands::run(arguments) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("edge-observer: {error:#}");
            ExitCode::from(if error.downcast_ref::<Usage>().is_some() { 2 } else { 1 })
        }
    }
}
