//! `cargo xtask bench …`: what it costs, each part beside what else would do the job, and what must hold under load.

mod routes;
mod scanner;

use anyhow::Result;
use clap::Subcommand;

/// What can be measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// The router beside `matchit`, natively and in Wasm: time, fuel, memory, worst cases.
    Routes(routes::Options),
    /// A scanner's paths between a steady load on a large route table: what must hold, and whether it does.
    Scanner(scanner::Options),
}

/// Measures it.
pub(crate) fn bench(what: &Bench) -> Result<()> {
    match what {
        Bench::Routes(options) => routes::routes(options),
        Bench::Scanner(options) => scanner::scanner(options),
    }
}
