//! `cargo xtask bench routes`: builds the router's measure for Wasm and natively, and runs it.
//!
//! The measuring is done by the program of the package `routes-bench`, so that this one stays quick to build.

use std::path::PathBuf;

use anyhow::Result;

use super::{GITHUB, compile_wasm, driver, optimised};
use crate::workspace::{become_process, cargo, root, run, step, target_dir};

/// Options of `cargo xtask bench routes`.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Options {
    /// Few and short rounds: to see that it works, not to judge by.
    #[arg(long)]
    quick: bool,
    /// The figures as JSON.
    #[arg(long)]
    json: bool,
    /// A plugin configuration whose routes are measured too, in YAML or JSON.
    #[arg(long, value_name = "FILE")]
    routes: Option<PathBuf>,
    /// Only build the measure for Wasm, as the compiler makes it, and print where it is.
    #[arg(long)]
    build_only: bool,
}

/// Measures the router.
pub(crate) fn routes(options: &Options) -> Result<()> {
    let compiled = compile_wasm("routes-bench", &["--no-default-features"])?;
    if options.build_only {
        println!("{}", compiled.display());
        return Ok(());
    }
    let module = optimised(&compiled)?;
    step("compiling the measure natively");
    run(cargo()
        .args(["build", "--quiet", "--locked", "--package", "routes-bench", "--bin", "routes-subject"])
        .args(["--no-default-features", "--profile", "module"]))?;
    let mut measure = std::process::Command::new(driver("routes-bench")?);
    measure.arg("--module").arg(&module).arg("--native").arg(target_dir().join("module/routes-subject"));
    step("measuring");
    if options.quick {
        measure.arg("--quick");
    }
    if options.json {
        measure.arg("--json");
    }
    match &options.routes {
        Some(file) => _ = measure.arg("--routes").arg(file),
        None if root().join(GITHUB).exists() => _ = measure.arg("--routes").arg(root().join(GITHUB)),
        None => {}
    }
    become_process(measure)
}
