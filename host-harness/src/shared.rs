//! What all VMs of a host share: clock, randomness, log, stats, shared data, faults and trace.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::abi::Status;
use crate::fault::Faults;
use crate::log::LogMemory;
use crate::queue::SharedQueues;
use crate::{
    Clock, Cluster, Conformance, EngineOptions, Fault, ForeignFunctions, LogEntry, LogLevel, LogSink, Stats, Trace, Xds,
};

/// How a host is set up.
#[derive(Debug, Clone, Default)]
pub struct SharedOptions {
    /// Where time comes from.
    pub clock: Clock,
    /// Seed of `random_get`; the operating system's randomness when `None`.
    pub seed: Option<u64>,
    /// Where the module's log goes.
    pub log: LogSink,
    /// The level that `proxy_get_log_level` answers, and below which lines are dropped; info when `None`.
    pub log_level: Option<LogLevel>,
    /// Bounds on what a module may use.
    pub limits: Limits,
    /// Whose behaviour the host has.
    pub conformance: Conformance,
    /// Where callouts may go.
    pub clusters: Vec<Cluster>,
    /// What modules may call by name.
    pub foreign_functions: ForeignFunctions,
    /// What configuration calls things.
    pub xds: Xds,
    /// Whether callbacks and hostcalls are written down from the start; see [`Shared::trace`].
    pub trace: bool,
}

/// Bounds on what a module may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of linear memory.
    pub memory: usize,
    /// Fuel for one callback; none is not metered.
    pub fuel_per_callback: Option<u64>,
    /// Wall-clock time for one callback, in steps of 10 ms; none is not bounded.
    pub deadline: Option<std::time::Duration>,
    /// Bytes of a body that the host keeps while the module holds it; and of one direction of a TCP connection, which is read no more
    /// then.
    pub body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        // Envoy's: 1 GiB for a VM, 1 MiB for a buffer.
        Self { memory: 1 << 30, fuel_per_callback: None, deadline: None, body: 1 << 20 }
    }
}

impl Limits {
    /// How code must be compiled for these limits to hold.
    pub(crate) fn engine(&self) -> EngineOptions {
        EngineOptions { fuel: self.fuel_per_callback.is_some(), deadline: self.deadline.is_some() }
    }
}

/// State that all VMs of a host share.
#[derive(Debug)]
pub struct Shared {
    pub(crate) options: SharedOptions,
    pub(crate) stats: Arc<Stats>,
    pub(crate) log_memory: LogMemory,
    pub(crate) data: SharedData,
    pub(crate) queues: SharedQueues,
    pub(crate) faults: Faults,
    pub(crate) trace: Trace,
}

impl Shared {
    /// A host's shared state, empty.
    #[must_use]
    pub fn new(options: SharedOptions) -> Arc<Self> {
        let trace = Trace::new(options.trace);
        Arc::new(Self {
            options,
            stats: Arc::default(),
            log_memory: LogMemory::default(),
            data: SharedData::default(),
            queues: SharedQueues::default(),
            faults: Faults::default(),
            trace,
        })
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

    /// The level of the log.
    #[must_use]
    pub fn log_level(&self) -> LogLevel {
        self.options.log_level.unwrap_or(LogLevel::Info)
    }

    /// The trace of callbacks and hostcalls.
    #[must_use]
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// The value of a key that VMs of `vm_id` share.
    #[must_use]
    pub fn shared_data(&self, vm_id: &str, key: impl AsRef<[u8]>) -> Option<Vec<u8>> {
        self.data.get(vm_id, key.as_ref()).ok().map(|(value, _)| value)
    }

    /// Puts a fault into all VMs.
    pub fn add_fault(&self, fault: Fault) {
        self.faults.add(fault);
    }

    /// Takes all faults out again.
    pub fn clear_faults(&self) {
        self.faults.clear();
    }
}

/// Values by `vm_id` and key, each with its compare-and-swap number.
#[derive(Debug, Default)]
pub(crate) struct SharedData(Mutex<SharedDataInner>);

#[derive(Debug, Default)]
struct SharedDataInner {
    by_vm: HashMap<String, Values>,
    /// The last number given out: one sequence over all keys of all `vm_id`s.
    cas: u32,
    bytes: usize,
}

/// Value and compare-and-swap number by key.
type Values = HashMap<Vec<u8>, (Vec<u8>, u32)>;

/// The most that all shared data may take; Envoy has no bound.
const MAX_SHARED_DATA: usize = 256 << 20;
/// What an entry takes besides its key and value, about.
const ENTRY: usize = 128;

impl SharedData {
    pub(crate) fn get(&self, vm_id: &str, key: &[u8]) -> Result<(Vec<u8>, u32), Status> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.by_vm.get(vm_id).and_then(|values| values.get(key)).cloned().ok_or(Status::NotFound)
    }

    /// What everything takes.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }

    /// A number of 0 sets unconditionally, and a missing key may be set with any number where the host says so.
    pub(crate) fn set(
        &self,
        conformance: Conformance,
        vm_id: &str,
        (key, value): (&[u8], &[u8]),
        cas: u32,
    ) -> Result<(), Status> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let SharedDataInner { by_vm, cas: last, bytes } = &mut *inner;
        if !by_vm.contains_key(vm_id) {
            by_vm.insert(vm_id.to_owned(), HashMap::new());
        }
        let Some(values) = by_vm.get_mut(vm_id) else {
            return Err(Status::InternalFailure);
        };
        let old = values.get(key);
        let differs = match old {
            Some((_, number)) => cas != *number,
            None => conformance.cas_needs_a_key(),
        };
        if cas != 0 && differs {
            return Err(Status::CasMismatch);
        }
        let freed = old.map_or(0, |(value, _)| value.len() + key.len() + ENTRY);
        let sum = *bytes - freed + value.len() + key.len() + ENTRY;
        if sum > MAX_SHARED_DATA {
            return Err(Status::InternalFailure);
        }
        *bytes = sum;
        *last = last.wrapping_add(1).max(1);
        values.insert(key.to_vec(), (value.to_vec(), *last));
        Ok(())
    }
}
