//! Finds the programs that this tool drives: Envoy, Prometheus, Alertmanager and their tools.
//!
//! Order: the environment (`ENVOY_BIN`, `PROMETHEUS_BIN`, `PROMTOOL_BIN`, …), the path, the private folder under the target
//! directory. Only Envoy can be fetched, and only when the caller allows it; every other absence is an error that names the
//! command to run.

mod fetch;

use std::{
    env,
    ffi::OsStr,
    fmt,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The Envoy that this project is tested with and fetches.
pub const ENVOY_VERSION: &str = "1.40.0";

/// What may be done when a program is not on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetch {
    /// Download it into the private folder, with progress on standard error.
    Allowed,
    /// Only look.
    Never,
}

/// Where a program was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Named by an environment variable.
    Environment,
    /// Found on the path.
    Path,
    /// In the private folder, from an earlier fetch.
    Cache,
    /// Fetched just now.
    Fetched,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment => "environment",
            Self::Path => "path",
            Self::Cache => "private folder",
            Self::Fetched => "fetched now",
        })
    }
}

/// A program that runs and has said its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// `envoy`, `prometheus`, `promtool`, `alertmanager`, `amtool` or `process-exporter`.
    pub name: &'static str,
    /// The executable.
    pub path: PathBuf,
    /// As the program prints it, for example `1.40.0`.
    pub version: String,
    /// How it was found.
    pub origin: Origin,
}

/// Why there is no such program.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// Not on this machine, and fetching was not allowed or is not possible for it.
    #[error("{name} is not on this machine: {cure}")]
    Missing {
        /// The program.
        name: &'static str,
        /// What to do about it.
        cure: String,
    },
    /// It is there and does not run, or does not say its version.
    #[error("`{path} --version` failed: {reason}")]
    Broken {
        /// The executable.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// Envoy is older than the shipped configuration needs.
    #[error("{path} is Envoy {found}; the shipped configuration needs {needed} or newer")]
    TooOld {
        /// The executable.
        path: PathBuf,
        /// Its version.
        found: String,
        /// The oldest that will do.
        needed: &'static str,
    },
    /// The fetch failed.
    #[error("Envoy {ENVOY_VERSION} could not be fetched: {reason}; set ENVOY_BIN to an Envoy of your own")]
    Fetch {
        /// What went wrong.
        reason: String,
    },
}

/// The oldest Envoy that reads the shipped files: a Wasm filter's `failure_policy` came with 1.33.
pub const OLDEST_ENVOY: &str = "1.33.0";

/// Looks for programs, and fetches what it may.
#[derive(Debug, Clone)]
pub struct Tools {
    folder: PathBuf,
    fetch: Fetch,
}

impl Tools {
    /// Uses the private folder of this checkout, `<target directory>/edge-observer/tools`.
    pub fn new(fetch: Fetch) -> Self {
        Self::in_folder(target_dir().join("edge-observer").join("tools"), fetch)
    }

    /// Uses `folder` as the private folder.
    pub fn in_folder(folder: impl Into<PathBuf>, fetch: Fetch) -> Self {
        Self { folder: folder.into(), fetch }
    }

    /// Envoy: `ENVOY_BIN`, else `envoy` on the path, else the private folder, else fetched.
    pub fn envoy(&self) -> Result<Tool, ToolError> {
        let cached = self.folder.join(format!("envoy-{ENVOY_VERSION}")).join("envoy");
        let (path, origin) = match find("envoy", "ENVOY_BIN", Some(&cached)) {
            Some(found) => found,
            None if self.fetch == Fetch::Allowed => (fetch::envoy(&cached)?, Origin::Fetched),
            None => {
                return Err(ToolError::Missing {
                    name: "envoy",
                    cure: "run `edge-observer tools --install`, put envoy on the path, or set ENVOY_BIN".into(),
                });
            }
        };
        let version = version_of(&path)?;
        if numbers(&version) < numbers(OLDEST_ENVOY) {
            return Err(ToolError::TooOld { path, found: version, needed: OLDEST_ENVOY });
        }
        Ok(Tool { name: "envoy", path, version, origin })
    }

    /// Prometheus: `PROMETHEUS_BIN`, else the path.
    pub fn prometheus(&self) -> Result<Tool, ToolError> {
        distribution("prometheus", "PROMETHEUS_BIN")
    }

    /// promtool: `PROMTOOL_BIN`, else the path. It comes with Prometheus.
    pub fn promtool(&self) -> Result<Tool, ToolError> {
        distribution("promtool", "PROMTOOL_BIN")
    }

    /// Alertmanager: `ALERTMANAGER_BIN`, else the path, where Debian has it under a name of its own.
    pub fn alertmanager(&self) -> Result<Tool, ToolError> {
        distribution("alertmanager", "ALERTMANAGER_BIN")
            .or_else(|missing| distribution("prometheus-alertmanager", "ALERTMANAGER_BIN").map_err(|_| missing))
            .map(|tool| Tool { name: "alertmanager", ..tool })
    }

    /// amtool: `AMTOOL_BIN`, else the path. It comes with Alertmanager.
    pub fn amtool(&self) -> Result<Tool, ToolError> {
        distribution("amtool", "AMTOOL_BIN")
    }

    /// The exporter of processes' processor time and memory: `PROCESS_EXPORTER_BIN`, else the path, where Debian has it under a name of its own.
    pub fn process_exporter(&self) -> Result<Tool, ToolError> {
        distribution("process-exporter", "PROCESS_EXPORTER_BIN")
            .or_else(|missing| distribution("prometheus-process-exporter", "PROCESS_EXPORTER_BIN").map_err(|_| missing))
            .map(|tool| Tool { name: "process-exporter", ..tool })
    }

    /// Every program, in the order in which `edge-observer tools` lists them.
    pub fn all(&self) -> Vec<Result<Tool, ToolError>> {
        vec![
            self.envoy(),
            self.prometheus(),
            self.promtool(),
            self.alertmanager(),
            self.amtool(),
            self.process_exporter(),
        ]
    }
}

/// `edge-observer tools [--install]`: one line a program; fetches Envoy when it is missing and `install` is given. Whether
/// Envoy is there, which is the only one that other commands cannot do without.
pub fn report(install: bool, out: &mut impl io::Write) -> io::Result<bool> {
    report_on(&Tools::new(if install { Fetch::Allowed } else { Fetch::Never }), out)
}

fn report_on(tools: &Tools, out: &mut impl io::Write) -> io::Result<bool> {
    let mut envoy = false;
    for tool in tools.all() {
        match tool {
            Ok(Tool { name, path, version, origin }) => {
                envoy |= name == "envoy";
                writeln!(out, "{name} {version}, {} ({origin})", path.display())?;
            }
            Err(error) => writeln!(out, "{error}")?,
        }
    }
    Ok(envoy)
}

/// The build directory of this checkout: `CARGO_TARGET_DIR`, else `target` beside the workspace's manifest, else, for a tool
/// that was installed away from its checkout, `target` in the current directory.
pub fn target_dir() -> PathBuf {
    if let Some(dir) = env::var_os("CARGO_TARGET_DIR").filter(|dir| !dir.is_empty()) {
        return PathBuf::from(dir);
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().filter(|dir| dir.join("Cargo.toml").is_file());
    workspace.map_or_else(|| PathBuf::from("target"), |dir| dir.join("target"))
}

/// Whether a missing tool is an error in tests (`EDGE_OBSERVER_REQUIRE_TOOLS=1`) instead of a reason to skip.
pub fn required_in_tests() -> bool {
    env::var_os("EDGE_OBSERVER_REQUIRE_TOOLS").is_some_and(|value| value == "1")
}

/// What a test does that lacks a tool: fails where tools are required, else says on the terminal what it leaves out. The
/// test framework keeps what a passing test prints to itself, so this goes past it.
///
/// # Panics
///
/// Where tools are required; see [`required_in_tests`].
#[allow(clippy::panic, reason = "this is how a test fails")]
pub fn skip_test(reason: &dyn std::fmt::Display) {
    assert!(!required_in_tests(), "required here: {reason}");
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let _ = writeln!(std::io::stderr(), "skipped {test}: {reason}");
}

fn distribution(name: &'static str, variable: &str) -> Result<Tool, ToolError> {
    let package = match name {
        "prometheus" | "promtool" => "prometheus",
        "process-exporter" | "prometheus-process-exporter" => "prometheus-process-exporter",
        _ => "prometheus-alertmanager",
    };
    let Some((path, origin)) = find(name, variable, None) else {
        return Err(ToolError::Missing {
            name,
            cure: format!(
                "install your distribution's `{package}` package (`apt-get install {package}`), or set {variable}"
            ),
        });
    };
    Ok(Tool { name, version: version_of(&path)?, path, origin })
}

fn find(name: &str, variable: &str, cached: Option<&Path>) -> Option<(PathBuf, Origin)> {
    if let Some(path) = env::var_os(variable).filter(|path| !path.is_empty()) {
        // Taken as given: a wrong path must be reported and not be replaced by another Envoy behind the operator's back.
        return Some((PathBuf::from(path), Origin::Environment));
    }
    if let Some(path) = on_path(OsStr::new(name), env::var_os("PATH").as_deref()) {
        return Some((path, Origin::Path));
    }
    cached.filter(|path| path.is_file()).map(|path| (path.to_owned(), Origin::Cache))
}

fn on_path(name: &OsStr, path: Option<&OsStr>) -> Option<PathBuf> {
    env::split_paths(path?).map(|dir| dir.join(name)).find(|candidate| is_executable(candidate))
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(path: &Path) -> bool {
    path.is_file()
}

fn version_of(path: &Path) -> Result<String, ToolError> {
    let broken = |reason: String| ToolError::Broken { path: path.to_owned(), reason };
    let output =
        Command::new(path).arg("--version").stdin(Stdio::null()).output().map_err(|error| broken(error.to_string()))?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    if !output.status.success() {
        return Err(broken(format!("{}: {}", output.status, text.trim())));
    }
    parse_version(&text).ok_or_else(|| broken(format!("no version in `{}`", text.trim())))
}

/// The first `major.minor.patch` after the word `version`, before which Envoy prints its own path, that may have numbers in it:
/// Envoy has `PATH  version: COMMIT/1.40.0/Clean/…`, Prometheus `prometheus, version 2.42.0+ds (…)`.
fn parse_version(text: &str) -> Option<String> {
    let (_, text) = text.split_once(" version")?;
    text.split(|c: char| c.is_whitespace() || matches!(c, '/' | '+' | '-' | ',' | '('))
        .find(|word| {
            let parts: Vec<&str> = word.split('.').collect();
            parts.len() == 3 && parts.iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
        })
        .map(str::to_owned)
}

fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map_while(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests;
