//! `cargo xtask bench …`: what it costs, each part beside what else would do the job, and what must hold under load.

mod envoy;
mod rollout_judge;
mod routes;
mod scanner;
mod wasm;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Subcommand;

use crate::build::{TARGET, install_target, optimise, rust_flags};
use crate::workspace::{cargo, root, run, shown, step, target_dir, write_atomically};

/// GitHub's routes, as `edge-observer routes import` wrote them.
const GITHUB: &str = "tests/data/github.yaml";

/// What can be measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Our filter beside its rivals in real Envoys: processor time, latency, memory.
    Envoy(envoy::Options),
    /// The judge of rollouts on simulated fleets: how often it stops a good build, and how often it lets a bad one pass.
    RolloutJudge(rollout_judge::Options),
    /// The router beside `matchit`, natively and in Wasm: time, fuel, memory, worst cases.
    Routes(routes::Options),
    /// A scanner's paths between a steady load on a large route table: what must hold, and whether it does.
    Scanner(scanner::Options),
    /// What each stream of the corpus costs in the module: fuel, hostcalls, bytes, memory.
    Wasm(wasm::Options),
}

/// Measures it.
pub(crate) fn bench(what: &Bench) -> Result<()> {
    match what {
        Bench::Envoy(options) => envoy::envoy(options),
        Bench::RolloutJudge(options) => rollout_judge::rollout_judge(options),
        Bench::Routes(options) => routes::routes(options),
        Bench::Scanner(options) => scanner::scanner(options),
        Bench::Wasm(options) => wasm::wasm(options),
    }
}

/// A package's library for Wasm, as the compiler makes it: with the flags and the profile of the module that ships, so that the same sources and
/// toolchain give the same code in any folder.
fn compile_wasm(package: &str, more: &[&str]) -> Result<PathBuf> {
    install_target(TARGET)?;
    step(&format!("compiling {package} for {TARGET}"));
    let target_dir = target_dir();
    let mut build = cargo();
    build.args(["rustc", "--quiet", "--locked", "--package", package, "--lib", "--crate-type", "cdylib"]);
    build.args(["--target", TARGET, "--profile", "module", "--target-dir"]).arg(&target_dir).args(more);
    build.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", rust_flags(root())?);
    run(&mut build)?;
    Ok(target_dir.join(TARGET).join("module").join(package.replace('-', "_")).with_extension("wasm"))
}

/// A compiled module, optimised further as the module that ships, where there is a tool for it.
fn optimised(compiled: &Path) -> Result<PathBuf> {
    let bytes = std::fs::read(compiled).with_context(|| format!("cannot read {}", shown(compiled)))?;
    let name = compiled.file_name().with_context(|| shown(compiled))?;
    let module = target_dir().join("edge-observer").join(name);
    write_atomically(&module, &optimise(bytes, &target_dir())?)?;
    Ok(module)
}

/// The program that measures. It is chosen from the whole workspace, as the tests are: alone it would have other features, and so its
/// dependencies would be compiled again.
fn driver(program: &str) -> Result<PathBuf> {
    step("compiling the driver");
    run(cargo().args(["build", "--quiet", "--locked", "--workspace", "--bin", program]))?;
    Ok(target_dir().join("debug").join(program))
}
