//! The module's log: `proxy_log`, and what it writes to standard output and error.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Role;
use crate::kept::{Batch, Kept};

/// Severity of a log line, in the ABI's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// 0.
    Trace,
    /// 1.
    Debug,
    /// 2.
    Info,
    /// 3.
    Warn,
    /// 4.
    Error,
    /// 5.
    Critical,
}

impl LogLevel {
    /// The level with this number.
    #[must_use]
    pub const fn from_code(code: u32) -> Option<Self> {
        Some(match code {
            0 => Self::Trace,
            1 => Self::Debug,
            2 => Self::Info,
            3 => Self::Warn,
            4 => Self::Error,
            5 => Self::Critical,
            _ => return None,
        })
    }

    /// The name that Envoy writes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

/// One line of the module's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// How severe it is.
    pub level: LogLevel,
    /// What the module wrote, made readable where it is not UTF-8.
    pub message: String,
    /// The context in which it was written: the root's id, or a stream's.
    pub context: u32,
    /// The thread whose VM wrote it, as `Role` shows it.
    pub role: Role,
}

/// Where log lines go.
#[derive(Clone, Default)]
pub enum LogSink {
    /// Kept in memory for [`Shared::logs`](crate::Shared::logs): the newest 65,536 lines, and of these the newest 64 MiB. Those of a
    /// callback are there when it has returned.
    #[default]
    Memory,
    /// To the process's `tracing` subscriber, target `wasm`.
    Tracing,
    /// To this function.
    Function(Arc<dyn Fn(&LogEntry) + Send + Sync>),
    /// Nowhere.
    Discard,
}

impl std::fmt::Debug for LogSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Memory => "Memory",
            Self::Tracing => "Tracing",
            Self::Function(_) => "Function",
            Self::Discard => "Discard",
        })
    }
}

impl LogEntry {
    /// Hands the line to the process's `tracing` subscriber.
    pub(crate) fn trace(&self) {
        let Self { level, message, context, role } = self;
        match level {
            LogLevel::Trace => tracing::trace!(target: "wasm", %role, context, "{message}"),
            LogLevel::Debug => tracing::debug!(target: "wasm", %role, context, "{message}"),
            LogLevel::Info => tracing::info!(target: "wasm", %role, context, "{message}"),
            LogLevel::Warn => tracing::warn!(target: "wasm", %role, context, "{message}"),
            LogLevel::Error | LogLevel::Critical => {
                tracing::error!(target: "wasm", %role, context, "{message}")
            }
        }
    }
}

/// The lines kept in memory, the oldest dropped past a number and past a sum of bytes. They are made readable when they are asked for.
#[derive(Debug)]
pub(crate) struct LogMemory(Mutex<Kept<Line>>);

/// What a line is besides its bytes.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) level: LogLevel,
    pub(crate) context: u32,
    pub(crate) role: Role,
}

impl Line {
    /// The whole line.
    pub(crate) fn entry(&self, message: &[u8]) -> LogEntry {
        let Self { level, context, role } = *self;
        LogEntry { level, message: String::from_utf8_lossy(message).into_owned(), context, role }
    }
}

const MAX_LINES: usize = 65_536;
const MAX_BYTES: usize = 64 << 20;

impl Default for LogMemory {
    fn default() -> Self {
        Self(Mutex::new(Kept::new(MAX_LINES, MAX_BYTES)))
    }
}

impl LogMemory {
    /// Adds lines, and leaves none behind.
    pub(crate) fn take(&self, batch: &mut Batch<Line>) {
        if !batch.is_empty() {
            self.kept().append(batch);
        }
    }

    pub(crate) fn all(&self) -> Vec<LogEntry> {
        self.kept().iter().map(|(line, message)| line.entry(message)).collect()
    }

    fn kept(&self) -> MutexGuard<'_, Kept<Line>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
