//! `cargo xtask bench`: what things cost, each beside what else would do the job.

mod routes;

use anyhow::Result;
use clap::Subcommand;

/// What is measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// The router beside `matchit`, natively and in Wasm: time, fuel, memory, worst cases.
    Routes(routes::Options),
}

/// Measures it.
pub(crate) fn bench(what: &Bench) -> Result<()> {
    match what {
        Bench::Routes(options) => routes::routes(options),
    }
}
