//! `cargo xtask fuzz`: the fuzz targets under `fuzz/`, each for a bounded time, starting from the corpus that is kept.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use crate::workspace::{cargo, is_installed, root, run, step, target_dir};

/// The targets, and the largest input of each in bytes.
const TARGETS: [(&str, u32); 6] =
    [("router", 4096), ("path_rules", 1024), ("openapi", 8192), ("django", 4096), ("json", 2048), ("hostile", 4096)];

/// The one that needs wasmtime, which takes minutes to build with instrumentation. `cargo test` runs its modules from fixed seeds.
const HOST: &str = "hostile";

/// All but that one: for CI.
pub(crate) fn quick() -> Vec<String> {
    TARGETS.iter().map(|(name, _)| *name).filter(|name| *name != HOST).map(str::to_owned).collect()
}

/// Options of `cargo xtask fuzz`.
#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    /// The time for each target.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) seconds: u32,
    /// Only this target; may be given several times.
    #[arg(long, value_name = "NAME", value_parser = TARGETS.map(|(name, _)| name))]
    pub(crate) target: Vec<String>,
    /// Add what was found to the corpus that is kept, instead of a folder under target/.
    #[arg(long)]
    pub(crate) keep: bool,
}

/// Builds the targets and runs them one after the other; the first crash is an error, and its input is under `fuzz/artifacts/`.
pub(crate) fn fuzz(options: &Options) -> Result<()> {
    let path = tools_path()?;
    install_cargo_fuzz()?;
    let build = target_dir().join("fuzz");
    for (name, max_len) in TARGETS {
        if !options.target.is_empty() && !options.target.iter().any(|wanted| wanted == name) {
            continue;
        }
        step(&format!("fuzzing {name} for {} s", options.seconds));
        let kept = root().join("fuzz/corpus").join(name);
        let found = build.join("corpus").join(name);
        std::fs::create_dir_all(&found).with_context(|| format!("cannot make {}", found.display()))?;
        let mut fuzz = cargo();
        // cargo-fuzz needs an unstable flag of the compiler for coverage, which this variable allows on the pinned toolchain. The code has no
        // `unsafe`, so there is nothing for a sanitiser to find.
        fuzz.env("RUSTC_BOOTSTRAP", "1").env("PATH", &path);
        fuzz.args(["fuzz", "run", "--sanitizer", "none", "--target-dir"]).arg(&build);
        if name == HOST {
            fuzz.args(["--features", "host"]);
        }
        fuzz.arg(name);
        // What is new goes to the first folder.
        if options.keep {
            fuzz.arg(&kept);
        } else {
            fuzz.arg(&found).arg(&kept);
        }
        fuzz.arg("--").args([
            format!("-max_total_time={}", options.seconds),
            format!("-max_len={max_len}"),
            "-timeout=20".to_owned(),
            "-rss_limit_mb=2048".to_owned(),
            "-print_final_stats=1".to_owned(),
            "-verbosity=0".to_owned(),
        ]);
        run(&mut fuzz)
            .with_context(|| format!("the target `{name}` failed; its input is under fuzz/artifacts/{name}"))?;
    }
    Ok(())
}

/// The search path with the folder of tools in front.
fn tools_path() -> Result<OsString> {
    let own = tools().join("bin");
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(own).chain(std::env::split_paths(&inherited)))
        .context("the search path is odd")
}

/// Where tools are installed that only this repository needs.
fn tools() -> PathBuf {
    target_dir().join("tools")
}

fn install_cargo_fuzz() -> Result<()> {
    let own = tools().join("bin/cargo-fuzz");
    if own.exists() || is_installed("cargo-fuzz") {
        return Ok(());
    }
    step("installing cargo-fuzz under target/tools");
    run(cargo().args(["install", "cargo-fuzz", "--locked", "--debug", "--root"]).arg(tools()))?;
    ensure!(own.exists(), "cargo-fuzz is not where it should have been installed");
    Ok(())
}
