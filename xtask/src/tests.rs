//! `cargo xtask test`: everything the tests need, then all of them.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use crate::build;
use crate::workspace::{cargo, is_installed, run, step};

/// Programs that come as packages of the distribution.
const PACKAGES: &[Package] = &[
    Package { program: "wasm-opt", package: "binaryen", without: "the module is built without its last optimisation" },
    Package { program: "promtool", package: "prometheus", without: "the tests that need Prometheus fail" },
];

struct Package {
    program: &'static str,
    package: &'static str,
    without: &'static str,
}

/// Options of `cargo xtask test`.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Options {
    /// Passed on to the test binaries, for example a test's name.
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// Installs what is missing, builds the module, and runs every test; nothing is skipped.
pub(crate) fn test(options: &Options) -> Result<()> {
    install_packages();
    build::build_quietly()?;
    step("looking for Envoy and Prometheus, and fetching what can be fetched");
    run(cargo().args(["run", "--locked", "-p", "edge-observer", "--", "tools", "--install"]))
        .context("the tests need these programs")?;
    step("running the tests");
    let mut tests = cargo();
    tests.args(["test", "--locked", "--workspace", "--"]).args(&options.arguments);
    // A test whose program is missing fails instead of saying what it left out.
    run(tests.env("EDGE_OBSERVER_REQUIRE_TOOLS", "1"))
}

/// Installs packages where that is possible without asking anybody; else says what to do.
fn install_packages() {
    let missing: Vec<_> = PACKAGES.iter().filter(|package| !is_installed(package.program)).collect();
    if missing.is_empty() {
        return;
    }
    let names: Vec<_> = missing.iter().map(|package| package.package).collect();
    if is_root() && is_installed("apt-get") {
        step(&format!("installing {}", names.join(", ")));
        let mut update = Command::new("apt-get");
        let mut install = Command::new("apt-get");
        install
            .args(["install", "--yes", "--no-install-recommends"])
            .args(&names)
            .env("DEBIAN_FRONTEND", "noninteractive");
        let installed = run(update.args(["update", "--quiet"])).and_then(|()| run(&mut install));
        if let Err(error) = installed {
            eprintln!("    {error:#}");
        }
    }
    for package in missing.into_iter().filter(|package| !is_installed(package.program)) {
        eprintln!(
            "    `{}` is not installed, so {}; install the package `{}` (Debian: `apt-get install {}`)",
            package.program, package.without, package.package, package.package
        );
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").stderr(Stdio::null()).output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
