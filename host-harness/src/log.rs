//! The module's log: `proxy_log`, and what it writes to standard output and error.

use std::sync::{Arc, Mutex, PoisonError};

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
    pub role: crate::Role,
}

/// Where log lines go.
#[derive(Clone, Default)]
pub enum LogSink {
    /// Kept in memory, the newest 65,536 of them, for `Shared::logs`.
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

/// The lines kept in memory.
#[derive(Debug, Default)]
pub(crate) struct LogMemory(Mutex<std::collections::VecDeque<LogEntry>>);

const KEPT: usize = 65_536;

impl LogMemory {
    pub(crate) fn push(&self, entry: LogEntry) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT {
            lines.pop_front();
        }
        lines.push_back(entry);
    }

    pub(crate) fn all(&self) -> Vec<LogEntry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}
