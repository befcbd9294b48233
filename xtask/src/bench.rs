//! `cargo xtask bench …`: what it costs, and what must hold under load.

mod scanner;

use anyhow::Result;
use clap::Subcommand;

/// What can be measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// A scanner's paths between a steady load on a large route table: what must hold, and whether it does.
    Scanner(scanner::Options),
}

/// Measures.
pub(crate) fn bench(bench: &Bench) -> Result<()> {
    match bench {
        Bench::Scanner(options) => scanner::scanner(options),
    }
}
