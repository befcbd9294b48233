//! `cargo xtask bench …`: what it costs, each part beside what else would do the job, and what must hold under load.

mod envoy;
mod routes;
mod scanner;

use anyhow::Result;
use clap::Subcommand;

/// What can be measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Our filter beside its rivals in real Envoys: processor time, latency, memory.
    Envoy(envoy::Options),
    /// The router beside `matchit`, natively and in Wasm: time, fuel, memory, worst cases.
    Routes(routes::Options),
    /// A scanner's paths between a steady load on a large route table: what must hold, and whether it does.
    Scanner(scanner::Options),
}

/// Measures it.
pub(crate) fn bench(what: &Bench) -> Result<()> {
    match what {
        Bench::Envoy(options) => envoy::envoy(options),
        Bench::Routes(options) => routes::routes(options),
        Bench::Scanner(options) => scanner::scanner(options),
    }
}
