//! `cargo xtask lint`: formatting, lints for every target the code is built for, documentation, dependencies.

use anyhow::{Result, bail};

use crate::build::{TARGET, install_target};
use crate::workspace::{cargo, is_installed, run, step};

/// The target of the core in a browser.
const BROWSER: &str = "wasm32-unknown-unknown";

/// Runs every check, also after one has failed, and then says which failed.
pub(crate) fn lint() -> Result<()> {
    install_target(TARGET)?;
    install_target(BROWSER)?;
    let mut checks: Vec<(&str, Vec<&str>)> = vec![
        ("formatting", vec!["fmt", "--all", "--check"]),
        ("lints, native", vec!["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]),
        (
            "lints, the module",
            vec![
                "clippy",
                "--locked",
                "-p",
                "telemetry",
                "-p",
                "siem",
                "-p",
                "plugin",
                "-p",
                "floor-filter",
                "-p",
                "probe",
                "-p",
                "sdk-filters",
                "--target",
                TARGET,
                "--",
                "-D",
                "warnings",
            ],
        ),
        (
            "lints, the core in a browser",
            vec!["clippy", "--locked", "-p", "telemetry", "-p", "siem", "--target", BROWSER, "--", "-D", "warnings"],
        ),
        ("documentation", vec!["doc", "--locked", "--workspace", "--no-deps"]),
    ];
    if is_installed("cargo-deny") {
        checks.push(("dependencies", vec!["deny", "--all-features", "check"]));
    } else {
        eprintln!(
            "    cargo-deny is not installed: licences and advisories of dependencies are not checked (`cargo install cargo-deny`)"
        );
    }
    let mut failed = Vec::new();
    for (name, arguments) in checks {
        step(name);
        if let Err(error) = run(cargo().args(arguments).env("RUSTDOCFLAGS", "-D warnings")) {
            eprintln!("error: {error:#}");
            failed.push(name);
        }
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join("; "));
    }
    println!("no complaints");
    Ok(())
}
