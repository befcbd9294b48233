//! `cargo xtask bench routes`: builds the router's measure for Wasm and natively, and runs it.
//!
//! The measuring is done by the program of the package `routes-bench`, so that this one stays quick to build.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::build::{TARGET, install_target, optimise, rust_flags};
use crate::workspace::{cargo, root, run, shown, step, target_dir, write_atomically};

/// GitHub's routes, as `edge-observer routes import` wrote them.
const GITHUB: &str = "tests/data/github.yaml";

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
    let compiled = compile()?;
    if options.build_only {
        println!("{}", compiled.display());
        return Ok(());
    }
    // As the module that ships: optimised further where there is a tool for it.
    let bytes = std::fs::read(&compiled).with_context(|| format!("cannot read {}", shown(&compiled)))?;
    let module = target_dir().join("edge-observer/routes_bench.wasm");
    write_atomically(&module, &optimise(bytes, &target_dir())?)?;

    step("compiling the measure natively");
    run(cargo()
        .args(["build", "--quiet", "--locked", "--package", "routes-bench", "--bin", "routes-subject"])
        .args(["--no-default-features", "--profile", "module"]))?;
    step("compiling the driver");
    // Chosen from the whole workspace, as the tests are: alone it would have other features, and so its Wasm engine would be compiled again.
    run(cargo().args(["build", "--quiet", "--locked", "--workspace", "--bin", "routes-bench"]))?;
    step("measuring");
    let mut measure = std::process::Command::new(target_dir().join("debug/routes-bench"));
    measure.arg("--module").arg(&module).arg("--native").arg(target_dir().join("module/routes-subject"));
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
    run(&mut measure)
}

/// The measure for Wasm, as the compiler makes it: with the flags and the profile of the module that ships, so that the same sources and
/// toolchain give the same code in any folder.
fn compile() -> Result<PathBuf> {
    install_target(TARGET)?;
    step(&format!("compiling the measure for {TARGET}"));
    let target_dir = target_dir();
    let mut build = cargo();
    build.args(["rustc", "--quiet", "--locked", "--package", "routes-bench", "--lib", "--crate-type", "cdylib"]);
    build.args(["--no-default-features", "--target", TARGET, "--profile", "module", "--target-dir"]).arg(&target_dir);
    build.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", rust_flags(root())?);
    run(&mut build)?;
    Ok(target_dir.join(TARGET).join("module/routes_bench.wasm"))
}
