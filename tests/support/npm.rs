//! Files of npm packages, for tests that want what is too large to be kept here.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use edge_observer::tools::{skip_test, target_dir};

/// A file or folder of a package, from an earlier run or with npm; none with a word of why.
pub(crate) fn member(package: &str, member: &str) -> Option<PathBuf> {
    let folder = target_dir().join("edge-observer").join("documents");
    let place = folder.join(member);
    if place.exists() {
        return Some(place);
    }
    match fetch(&folder, package, member) {
        Ok(()) => Some(place),
        Err(reason) => {
            skip_test(&format_args!("{package} cannot be had: {reason}"));
            None
        }
    }
}

/// Puts it under `folder`, by way of a folder of its own, so that a broken download leaves nothing behind.
fn fetch(folder: &Path, package: &str, member: &str) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    let staging = tempfile::tempdir_in(folder).map_err(|error| error.to_string())?;
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program)
            .args(arguments)
            .current_dir(staging.path())
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .map_err(|error| format!("`{program}` cannot be started: {error}"))?;
        // What npm says names its registry, which may carry credentials.
        if !output.status.success() {
            return Err(format!("`{program} {}` ended with {}", arguments[0], output.status));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let archive = run("npm", &["pack", package, "--silent", "--fetch-retries=1", "--fetch-timeout=60000"])?;
    run("tar", &["-xzf", &archive, member])?;
    let place = folder.join(member);
    std::fs::create_dir_all(place.parent().unwrap()).map_err(|error| error.to_string())?;
    std::fs::rename(staging.path().join(member), place).map_err(|error| error.to_string())
}
