//! Hostcalls that failed: counted at once, reported once a tick, never acted on.

use telemetry::log::{Level, LineWriter};
use telemetry::metrics::Registry;

use crate::LOGGER;
use crate::host::{self, Fault, Hostcall};

/// The time between two log lines about the same hostcall. A fault that repeats with every request must not fill the
/// operator's disk; the metric has the number.
const QUIET_NS: u64 = 60_000_000_000;

/// What failed and was not reported yet. A fixed number of numbers: a fault on the request path allocates nothing.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// By `Hostcall`.
    entries: [Entry; Hostcall::ALL.len()],
    /// Whether there may be something to report.
    any: bool,
}

#[derive(Debug, Default)]
struct Entry {
    /// Not yet in the metric.
    fresh: u64,
    /// Not yet in the log.
    silent: u64,
    /// What the host answered last.
    status: u32,
    /// When the log last had a line about it.
    logged_ns: Option<u64>,
}

impl Faults {
    /// The value of a hostcall that worked; a fault is noted.
    pub(crate) fn catch<T>(&mut self, result: Result<T, Fault>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(fault) => {
                self.note(fault);
                None
            }
        }
    }

    /// Notes a fault.
    #[cold]
    fn note(&mut self, fault: Fault) {
        self.any = true;
        if let Some(entry) = self.entries.get_mut(fault.hostcall as usize) {
            entry.fresh = entry.fresh.saturating_add(1);
            entry.silent = entry.silent.saturating_add(1);
            entry.status = fault.status;
        }
    }

    /// Moves what was noted into the metric, and into the log as far as it has been quiet.
    pub(crate) fn report(&mut self, now_ns: u64, registry: &mut Registry, lines: &mut LineWriter) {
        if !self.any {
            return;
        }
        self.any = false;
        for (entry, hostcall) in self.entries.iter_mut().zip(Hostcall::ALL) {
            for _ in 0..core::mem::take(&mut entry.fresh) {
                registry.hostcall_fault(hostcall.as_str());
            }
            if entry.silent == 0 {
                continue;
            }
            if entry.logged_ns.is_some_and(|logged| now_ns.saturating_sub(logged) < QUIET_NS) {
                self.any = true;
                continue;
            }
            let line = lines
                .line(now_ns, Level::Warn, LOGGER, "the proxy refused a hostcall; the requests went on")
                .text("hostcall", hostcall.as_str().as_bytes())
                .number("status", u64::from(entry.status))
                .number("count", core::mem::take(&mut entry.silent));
            entry.logged_ns = Some(now_ns);
            host::log(Level::Warn, line.finish());
        }
    }
}

#[cfg(test)]
mod tests {
    use telemetry::config::Config;

    use super::*;

    const FAULT: Fault = Fault { hostcall: Hostcall::SetHeader, status: 10 };
    const SECOND: u64 = 1_000_000_000;

    fn silent(faults: &Faults) -> u64 {
        faults.entries[Hostcall::SetHeader as usize].silent
    }

    #[test]
    fn every_hostcall_has_its_place_and_name() {
        let names: std::collections::BTreeSet<_> = Hostcall::ALL.iter().map(|hostcall| hostcall.as_str()).collect();
        assert_eq!(names.len(), Hostcall::ALL.len());
        assert!(Hostcall::ALL.iter().enumerate().all(|(place, hostcall)| *hostcall as usize == place));
    }

    #[test]
    fn what_worked_is_passed_on_and_what_failed_is_noted() {
        let mut faults = Faults::default();
        assert_eq!(faults.catch(Ok(7)), Some(7));
        assert!(!faults.any);
        assert_eq!(faults.catch::<u32>(Err(FAULT)), None);
        assert_eq!(silent(&faults), 1);
    }

    #[test]
    fn the_log_hears_of_a_fault_once_a_minute_and_the_metric_of_each() {
        let mut registry = Registry::new(&Config::from_json(b"").unwrap());
        let mut lines = LineWriter::default();
        let mut faults = Faults::default();
        faults.catch::<()>(Err(FAULT));
        faults.report(100 * SECOND, &mut registry, &mut lines);
        assert_eq!(silent(&faults), 0);
        assert!(!registry.is_drained());
        faults.catch::<()>(Err(FAULT));
        faults.catch::<()>(Err(FAULT));
        faults.report(101 * SECOND, &mut registry, &mut lines);
        assert_eq!(silent(&faults), 2);
        faults.report(161 * SECOND, &mut registry, &mut lines);
        assert_eq!(silent(&faults), 0);
    }
}
