//! What all VMs of a host share: clock, randomness, log, stats, shared data and queues.

use std::sync::Arc;
use crate::{Clock, LogEntry, LogSink, Stats};
use crate::log::LogMemory;

/// How a host is set up.
#[derive(Debug, Clone, Default)]
pub struct SharedOptions {
    /// Where time comes from.
    pub clock: Clock,
    /// Seed of `random_get`; the operating system's randomness when `None`.
    pub seed: Option<u64>,
    /// Where the module's log goes.
    pub log: LogSink,
    /// The level that `proxy_get_log_level` answers, and below which lines are dropped.
    pub log_level: Option<crate::LogLevel>,
    /// Bounds on what a module may use.
    pub limits: Limits,
    /// Whether callbacks and hostcalls are written down; see `Shared::trace`.
    pub trace: bool,
}

/// Bounds on what a module may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of linear memory.
    pub memory: usize,
    /// Fuel for one callback; none is not metered.
    pub fuel_per_callback: Option<u64>,
    /// Ticks of the deadline clock (10 ms each) for one callback; none is not bounded.
    pub deadline_ticks: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        // Envoy gives a VM 1 GiB.
        Self { memory: 1 << 30, fuel_per_callback: None, deadline_ticks: None }
    }
}

/// State that all VMs of a host share.
#[derive(Debug)]
pub struct Shared {
    pub(crate) options: SharedOptions,
    pub(crate) stats: Arc<Stats>,
    pub(crate) log_memory: LogMemory,
}

impl Shared {
    /// A host's shared state, empty.
    #[must_use]
    pub fn new(options: SharedOptions) -> Arc<Self> {
        Arc::new(Self { options, stats: Arc::default(), log_memory: LogMemory::default() })
    }

    /// The stats store.
    #[must_use]
    pub fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.options.clock
    }

    /// The log lines kept in memory.
    #[must_use]
    pub fn logs(&self) -> Vec<LogEntry> {
        self.log_memory.all()
    }
}
