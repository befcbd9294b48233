//! Envoy as a child process, and what it writes.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr, Command};

use super::{admin, bootstrap};
use crate::LogLevel;
use crate::suite::format::Setup;
use crate::suite::interrupt::Interrupt;
use crate::suite::runner::Refusal;

/// A running Envoy; killed when dropped.
#[derive(Debug)]
pub(super) struct Process {
    /// Where clients connect.
    pub(super) listen: SocketAddr,
    pub(super) admin: SocketAddr,
    lines: Arc<Mutex<Vec<Line>>>,
    folder: TempDir,
    child: Arc<Mutex<Child>>,
}

/// A line of Envoy's log.
#[derive(Debug, Clone)]
struct Line {
    level: LogLevel,
    /// Whether the module wrote it.
    of_module: bool,
    text: String,
}

/// How long a start may take.
const STARTS_WITHIN: Duration = Duration::from_secs(30);
/// How long a process that is killed may take to end.
const ENDS_WITHIN: Duration = Duration::from_secs(5);
/// The most of the log that is kept.
const MOST_BYTES: usize = 64 << 20;
/// The longest line that is kept; Envoy has no bound.
const MOST_LINE: usize = 1 << 20;

impl Process {
    pub(super) async fn start(
        binary: &Path,
        folder: TempDir,
        config: &Path,
        setup: &Setup,
        interrupt: &Interrupt,
    ) -> Result<Self, Refusal> {
        let level = setup.log_level.unwrap_or(LogLevel::Info).as_str();
        let admin_file = folder.path().join("admin");
        let spawned = Command::new(binary)
            .arg("-c")
            .arg(config)
            .arg("--admin-address-path")
            .arg(&admin_file)
            .args(["--concurrency", &setup.workers.unwrap_or(1).to_string()])
            .args(["--disable-hot-restart", "--file-flush-interval-msec", "10", "-l", "error"])
            .args(["--component-log-level", &format!("wasm:{level}")])
            .args(["--log-format", "%l|%v", "--log-format-escaped"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) => return Err(refusal(&lines, &format!("cannot start {}: {error}", binary.display()))),
        };
        let stderr = child.stderr.take();
        let child = Arc::new(Mutex::new(child));
        interrupt.ends(&child);
        let prefixes = prefixes(setup);
        let reading = stderr.map(|stderr| tokio::spawn(read(stderr, prefixes, Arc::clone(&lines))));
        let until = Instant::now() + STARTS_WITHIN;
        let (admin, listen) = loop {
            if let Some(found) = listener(&admin_file).await {
                break found;
            }
            if let Some(status) = ended(&child) {
                // Everything that it wrote has been read when it closes its end.
                if let Some(reading) = reading {
                    let _ = reading.await;
                }
                return Err(refusal(&lines, &format!("Envoy ended: {status}")));
            }
            if Instant::now() >= until {
                return Err(refusal(&lines, &format!("Envoy did not listen within {} s", STARTS_WITHIN.as_secs())));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        Ok(Self { listen, admin, lines, folder, child })
    }

    /// Ends it at once.
    pub(super) async fn end(&mut self) {
        // It has ended already, or it cannot be ended.
        let _ = self.child.lock().unwrap_or_else(PoisonError::into_inner).start_kill();
        let until = Instant::now() + ENDS_WITHIN;
        while ended(&self.child).is_none() && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The module's log.
    pub(super) fn log(&self) -> Vec<(LogLevel, String)> {
        log(&self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What Envoy says of a VM that has failed.
    pub(super) fn failed(&self) -> Option<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().find(|line| line.is_failure()).map(|line| line.text.clone())
    }

    /// Everything that it wrote.
    pub(super) fn all_lines(&self) -> String {
        text(&self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The access log's lines, by the client's address.
    pub(super) fn access_log(&self) -> HashMap<SocketAddr, Value> {
        let bytes = std::fs::read(self.folder().join(bootstrap::ACCESS_LOG)).unwrap_or_default();
        let lines = bytes.split(|byte| *byte == b'\n');
        let values = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
        values.filter_map(|value| Some((value.get("client")?.as_str()?.parse().ok()?, value))).collect()
    }

    /// The folder of its files.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Line {
    fn is_failure(&self) -> bool {
        !self.of_module && self.text.contains("Function: ") && self.text.contains(" failed: ")
    }
}

/// How a process has ended, if it has.
fn ended(child: &Mutex<Child>) -> Option<ExitStatus> {
    child.lock().unwrap_or_else(PoisonError::into_inner).try_wait().ok().flatten()
}

fn refusal(lines: &Mutex<Vec<Line>>, error: &str) -> Refusal {
    let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
    let mut told = vec![error.to_owned()];
    told.extend(lines.iter().map(|line| line.text.clone()));
    Refusal { lines: told, log: log(&lines), trace: text(&lines) }
}

fn log(lines: &[Line]) -> Vec<(LogLevel, String)> {
    lines.iter().filter(|line| line.of_module).map(|line| (line.level, line.text.clone())).collect()
}

fn text(lines: &[Line]) -> String {
    lines.iter().fold(String::new(), |mut text, line| {
        let of = if line.of_module { "module" } else { "envoy" };
        text.push_str(&format!("{of} [{}] {}\n", line.level.as_str(), line.text));
        text
    })
}

/// What stands before each line that the module writes: Envoy leaves the plugin's name out while it is configured.
fn prefixes(setup: &Setup) -> [String; 2] {
    let of_vm = [setup.root_id.as_deref().unwrap_or(""), bootstrap::vm_id(setup)];
    let prefix = |names: &[&str]| {
        let names = names.iter().filter(|name| !name.is_empty());
        names.fold("wasm log".to_owned(), |prefix, name| format!("{prefix} {name}")) + ": "
    };
    [prefix(&[&[bootstrap::plugin_name(setup)], of_vm.as_slice()].concat()), prefix(&of_vm)]
}

async fn read(stderr: ChildStderr, prefixes: [String; 2], lines: Arc<Mutex<Vec<Line>>>) {
    let mut stderr = BufReader::new(stderr);
    let (mut line, mut kept) = (Vec::new(), 0);
    loop {
        // An error is the end, too.
        let piece = stderr.fill_buf().await.unwrap_or_default();
        if piece.is_empty() {
            return;
        }
        let end = piece.iter().position(|byte| *byte == b'\n');
        let text = piece.get(..end.unwrap_or(piece.len())).unwrap_or_default();
        line.extend_from_slice(text.get(..MOST_LINE.saturating_sub(line.len())).unwrap_or(text));
        let used = text.len() + usize::from(end.is_some());
        stderr.consume(used);
        if end.is_some() {
            kept += line.len() + size_of::<Line>();
            if kept <= MOST_BYTES {
                let line = read_line(&line, &prefixes);
                lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
            line.clear();
        }
    }
}

fn read_line(bytes: &[u8], prefixes: &[String; 2]) -> Line {
    let text = unescaped(bytes);
    let (level, text) = text.split_once('|').unwrap_or(("", text.as_str()));
    let message = prefixes.iter().find_map(|prefix| text.strip_prefix(prefix.as_str()));
    Line { level: level_of(level), of_module: message.is_some(), text: message.unwrap_or(text).to_owned() }
}

fn level_of(name: &str) -> LogLevel {
    let levels = [LogLevel::Trace, LogLevel::Debug, LogLevel::Warn, LogLevel::Error, LogLevel::Critical];
    levels.into_iter().find(|level| level.as_str() == name).unwrap_or(LogLevel::Info)
}

/// Takes back the escapes of C, in which Envoy writes what would break a line.
fn unescaped(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        if *first != b'\\' {
            out.push(*first);
            continue;
        }
        let octal = more.first_chunk::<3>().filter(|digits| digits.iter().all(|digit| (b'0'..=b'7').contains(digit)));
        if let Some([a, b, c]) = octal {
            out.push((a - b'0').wrapping_mul(64).wrapping_add((b - b'0') * 8 + (c - b'0')));
            rest = more.get(3..).unwrap_or_default();
        } else if let Some((letter, more)) = more.split_first() {
            out.push(match letter {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                other => *other,
            });
            rest = more;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The admin's address and the listener's, once both are there and Envoy is ready.
async fn listener(admin_file: &Path) -> Option<(SocketAddr, SocketAddr)> {
    let admin: SocketAddr = std::fs::read_to_string(admin_file).ok()?.parse().ok()?;
    let listeners = admin::get(admin, "/listeners").await?;
    let listeners = String::from_utf8(listeners).ok()?;
    let mark = format!("{}::", bootstrap::LISTENER);
    let listen = listeners.lines().find_map(|line| line.strip_prefix(&mark)?.parse().ok())?;
    admin::get(admin, "/ready").await?;
    Some((admin, listen))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_taken_back() {
        for (escaped, wanted) in [
            (r"plain", "plain"),
            (r"two\nlines\t\r", "two\nlines\t\r"),
            (r#"\"quoted\" \\ \'"#, "\"quoted\" \\ '"),
            (r"\303\266", "ö"),
            (r"\", ""),
            (r"\777\7", "\u{fffd}7"),
        ] {
            assert_eq!(unescaped(escaped.as_bytes()), wanted, "{escaped}");
        }
    }
}
