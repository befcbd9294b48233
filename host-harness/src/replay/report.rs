//! What came of a replay.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Skips;
use crate::test::{Exchange, Host};
use crate::{Cost, FinishedStream, LogLevel, MODULE_PREFIX, Metric};

/// What came of a replay.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Streams that the module saw.
    pub streams: u64,
    /// What the recording has and could not be sent, by reason.
    pub skipped: Skips,
    /// Requests that reached the upstream.
    pub forwarded: u64,
    /// Statuses that clients got.
    pub statuses: BTreeMap<u16, u64>,
    /// Responses of the module's own, or of the host on its behalf, by details.
    pub local_replies: BTreeMap<String, u64>,
    /// Streams without a response: reset by the module, or the client left.
    pub unanswered: u64,
    /// Streams that the module held until they timed out.
    pub stuck: u64,
    /// Why a VM failed, if one did.
    pub failure: Option<String>,
    /// Whether all root contexts had ended at the end.
    pub ended: bool,
    /// What the module logged.
    pub log: LogReport,
    /// The module's metrics at the end, by name.
    pub metrics: BTreeMap<String, MetricReport>,
    /// What streams cost.
    pub cost: CostReport,
}

/// One metric of the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MetricReport {
    /// A counter's value.
    Counter(u64),
    /// A gauge's value.
    Gauge(u64),
    /// How many observations a histogram has.
    Histogram(u64),
}

/// What the module logged.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LogReport {
    /// Lines by level. Of a long log only the newest lines are there to be counted.
    pub lines: BTreeMap<&'static str, u64>,
    /// The first lines at warn or above.
    pub complaints: Vec<String>,
}

/// What streams cost: sums over all of them.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CostReport {
    /// Fuel.
    pub fuel: u64,
    /// The most fuel of one stream.
    pub max_fuel: u64,
    /// Callbacks.
    pub callbacks: u64,
    /// Hostcalls by name.
    pub hostcalls: BTreeMap<&'static str, u64>,
    /// Re-entries into the module's allocator.
    pub allocations: u64,
    /// Bytes copied into the module.
    pub bytes_in: u64,
    /// Bytes that the module handed over.
    pub bytes_out: u64,
    /// Bytes of a worker's memory at the end, of the one that has most.
    pub memory: usize,
}

/// How many details of local replies are told apart.
const MAX_DETAILS: usize = 100;
/// How many of the module's complaints are kept.
const COMPLAINTS: usize = 10;

impl Report {
    pub(super) fn exchange(&mut self, exchange: &Exchange) {
        self.stream(&exchange.cost);
        self.forwarded += u64::from(exchange.upstream.is_some());
        self.stuck += u64::from(exchange.stuck);
        match exchange.status() {
            Some(status) => *self.statuses.entry(status).or_default() += 1,
            None => self.unanswered += 1,
        }
        if let Some(details) = &exchange.local_reply {
            // Details may be made of what requests carry.
            let full = self.local_replies.len() >= MAX_DETAILS && !self.local_replies.contains_key(details);
            let details = if full { "(others)" } else { details };
            *self.local_replies.entry(details.to_owned()).or_default() += 1;
        }
    }

    pub(super) fn refused(&mut self, finished: &FinishedStream) {
        self.stream(&finished.cost);
        *self.statuses.entry(400).or_default() += 1;
    }

    fn stream(&mut self, cost: &Cost) {
        self.streams += 1;
        let sum = &mut self.cost;
        sum.fuel += cost.fuel;
        sum.max_fuel = sum.max_fuel.max(cost.fuel);
        sum.callbacks += u64::from(cost.callbacks);
        sum.allocations += u64::from(cost.allocations);
        sum.bytes_in += cost.bytes_in;
        sum.bytes_out += cost.bytes_out;
        for (name, calls) in cost.hostcalls() {
            *sum.hostcalls.entry(name).or_default() += u64::from(calls);
        }
    }

    /// What is to be known at the end.
    pub(super) fn complete(&mut self, host: &mut Host, workers: usize) {
        for worker in 0..workers {
            let worker = host.worker(worker);
            self.cost.memory = self.cost.memory.max(worker.memory_size());
            self.failure = self.failure.take().or_else(|| worker.failed().map(str::to_owned));
        }
        for line in host.logs() {
            *self.log.lines.entry(line.level.as_str()).or_default() += 1;
            if line.level >= LogLevel::Warn && self.log.complaints.len() < COMPLAINTS {
                self.log.complaints.push(line.message);
            }
        }
        for (name, metric) in host.shared().stats().snapshot() {
            let Some(name) = name.strip_prefix(MODULE_PREFIX) else { continue };
            let metric = match metric {
                Metric::Counter(counter) => MetricReport::Counter(counter.value()),
                Metric::Gauge(gauge) => MetricReport::Gauge(gauge.value()),
                Metric::Histogram(histogram) => MetricReport::Histogram(histogram.count()),
            };
            self.metrics.insert(name.to_owned(), metric);
        }
    }
}
