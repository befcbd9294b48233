//! `cargo xtask bench envoy`: builds our module and its rivals, and runs them in real Envoys.
//!
//! The measuring is done by the program of the package `envoy-bench`, so that this one stays quick to build.

use std::ffi::OsString;

use anyhow::Result;

use super::{GITHUB, compile_wasm, driver, optimised};
use crate::build::{TARGET, install_target, make};
use crate::workspace::{become_process, root, step, target_dir, write_atomically};

/// Where our module lies while it is measured.
const MODULE: &str = "edge-observer/bench_module.wasm";

/// Options of `cargo xtask bench envoy`: those of `envoy-bench`.
#[derive(clap::Args, Debug)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    /// Passed on to `envoy-bench`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Measures the filter in Envoy. A question for help builds no module.
pub(crate) fn envoy(options: &Options) -> Result<()> {
    let mut measure = std::process::Command::new(driver("envoy-bench")?);
    measure.args(&options.arguments);
    if options.arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        return become_process(measure);
    }
    let module = target_dir().join(MODULE);
    install_target(TARGET)?;
    write_atomically(&module, &make(root(), &target_dir())?)?;
    for (option, package) in [("--sdk-filters", "sdk-filters"), ("--floor-filter", "floor-filter")] {
        measure.arg(option).arg(optimised(&compile_wasm(package, &[])?)?);
    }
    measure.arg("--module").arg(&module);
    if !options.arguments.iter().any(|argument| argument.to_string_lossy().starts_with("--routes")) {
        measure.arg("--routes").arg(root().join(GITHUB));
    }
    step("measuring");
    become_process(measure)
}
