//! `edge-observer routes …`: from arguments to the library and to an exit code.

use edge_observer::routes::coverage::{self, CoverageOptions};

use super::{print_json, print_text};
use crate::arguments::routes::{Routes, RoutesCommand, Try};

/// Runs one of the commands about routes; the result is the exit code.
pub(super) fn run(routes: Routes) -> anyhow::Result<u8> {
    match routes.command {
        RoutesCommand::Try(arguments) => run_try(arguments),
    }
}

fn run_try(arguments: Try) -> anyhow::Result<u8> {
    let options = CoverageOptions { config: arguments.config, access_log: arguments.access_log, quiet: arguments.json };
    let coverage = coverage::run(&options)?;
    if arguments.json {
        print_json(&serde_json::to_value(&coverage)?)?;
    } else {
        let top = usize::try_from(arguments.top)?;
        print_text(coverage.to_text(top, arguments.all).trim_end())?;
    }
    Ok(0)
}
