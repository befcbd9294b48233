//! `cargo xtask bench envoy`: builds our module and its rivals, and runs them in real Envoys.
//!
//! The measuring is done by the program of the package `envoy-bench`, so that this one stays quick to build.

use std::path::PathBuf;

use anyhow::Result;

use crate::build::{TARGET, install_target, make, rust_flags};
use crate::workspace::{cargo, root, run, step, target_dir, write_atomically};

/// Where the module lies that is measured, and how the packages of the rivals are called.
const MODULE: &str = "edge-observer/bench_module.wasm";
const SDK_FILTERS: &str = "sdk-filters";
const FLOOR_FILTER: &str = "floor-filter";
/// GitHub's routes, as `edge-observer routes import` wrote them.
const GITHUB: &str = "tests/data/github.yaml";

/// Options of `cargo xtask bench envoy`.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Options {
    /// Few and short rounds: the main ratios.
    #[arg(long)]
    quick: bool,
    /// What is sent, separated by commas: tiny, headers, http2, proxied, streamed [default: all, with `--quick` tiny].
    #[arg(long)]
    workload: Option<String>,
    /// How often the proxies are started, instead of the usual number.
    #[arg(long)]
    starts: Option<u32>,
    /// Rounds after each start, instead of the usual number.
    #[arg(long)]
    rounds: Option<u32>,
    /// Another build of our module, to be measured beside the present one.
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// The figures as JSON.
    #[arg(long)]
    json: bool,
    /// The plugin configuration whose routes are the large table.
    #[arg(long, value_name = "FILE")]
    routes: Option<PathBuf>,
}

/// Measures the filter in Envoy.
pub(crate) fn envoy(options: &Options) -> Result<()> {
    let module = target_dir().join(MODULE);
    install_target(TARGET)?;
    write_atomically(&module, &make(root(), &target_dir())?)?;
    let sdk = compile(SDK_FILTERS)?;
    let floor = compile(FLOOR_FILTER)?;
    step("compiling the driver");
    // Chosen from the whole workspace, as the tests are: alone it would have other features, and so its dependencies would be compiled again.
    run(cargo().args(["build", "--quiet", "--locked", "--workspace", "--bin", "envoy-bench"]))?;
    step("measuring");
    let mut measure = std::process::Command::new(target_dir().join("debug/envoy-bench"));
    measure.arg("--module").arg(&module).arg("--sdk-filters").arg(&sdk).arg("--floor-filter").arg(&floor);
    measure.arg("--routes").arg(options.routes.clone().unwrap_or_else(|| root().join(GITHUB)));
    if options.quick {
        measure.arg("--quick");
    }
    if options.json {
        measure.arg("--json");
    }
    if let Some(other) = &options.against {
        measure.arg("--against").arg(other);
    }
    if let Some(workload) = &options.workload {
        measure.args(["--workload", workload]);
    }
    for (name, number) in [("--starts", options.starts), ("--rounds", options.rounds)] {
        if let Some(number) = number {
            measure.args([name, &number.to_string()]);
        }
    }
    run(&mut measure)
}

/// A rival, with the flags and the profile of the module that ships.
fn compile(package: &str) -> Result<PathBuf> {
    install_target(TARGET)?;
    step(&format!("compiling {package} for {TARGET}"));
    let target_dir = target_dir();
    let mut build = cargo();
    build.args(["rustc", "--quiet", "--locked", "--package", package, "--lib", "--crate-type", "cdylib"]);
    build.args(["--target", TARGET, "--profile", "module", "--target-dir"]).arg(&target_dir);
    build.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", rust_flags(root())?);
    run(&mut build)?;
    Ok(target_dir.join(TARGET).join("module").join(package.replace('-', "_")).with_extension("wasm"))
}
