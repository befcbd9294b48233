//! The proxy's stats store: counters, gauges and histograms by name, shared by all VMs and by the proxy around them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::abi::MetricType;

/// All stats of a host by kind and name. A module's own metrics are named `wasmcustom.<name>`, as in Envoy.
#[derive(Debug, Default)]
pub struct Stats {
    stats: RwLock<BTreeMap<(String, MetricType), Metric>>,
    /// What the names take that modules have made up.
    module_bytes: AtomicUsize,
}

/// The most that names of modules' stats may take; Envoy has no bound.
const MAX_MODULE_BYTES: usize = 64 << 20;
/// What a stat takes besides its name, about.
const STAT: usize = 128;

/// One stat.
#[derive(Debug, Clone)]
pub enum Metric {
    /// Only grows.
    Counter(Counter),
    /// Goes up and down.
    Gauge(Gauge),
    /// Observations by size.
    Histogram(Histogram),
}

/// A handle to a counter; clones count into the same one.
#[derive(Debug, Clone, Default)]
pub struct Counter(Arc<AtomicU64>);

/// A handle to a gauge; clones set the same one.
#[derive(Debug, Clone, Default)]
pub struct Gauge(Arc<AtomicU64>);

/// A handle to a histogram with two significant decimal digits, as Envoy's; clones record into the same one.
#[derive(Debug, Clone, Default)]
pub struct Histogram(Arc<Mutex<BTreeMap<u64, u64>>>);

/// Prefix of the stats that modules define.
pub const MODULE_PREFIX: &str = "wasmcustom.";

impl Stats {
    /// The counter `name`, made when there is none.
    pub fn counter(&self, name: &str) -> Counter {
        match self.metric(name, MetricType::Counter) {
            Metric::Counter(counter) => counter,
            Metric::Gauge(_) | Metric::Histogram(_) => Counter::default(),
        }
    }

    /// The gauge `name`, made when there is none.
    pub fn gauge(&self, name: &str) -> Gauge {
        match self.metric(name, MetricType::Gauge) {
            Metric::Gauge(gauge) => gauge,
            Metric::Counter(_) | Metric::Histogram(_) => Gauge::default(),
        }
    }

    /// The histogram `name`, made when there is none.
    pub fn histogram(&self, name: &str) -> Histogram {
        match self.metric(name, MetricType::Histogram) {
            Metric::Histogram(histogram) => histogram,
            Metric::Counter(_) | Metric::Gauge(_) => Histogram::default(),
        }
    }

    /// The stat of this kind and name, made when there is none.
    pub fn metric(&self, name: &str, kind: MetricType) -> Metric {
        let key = (name.to_owned(), kind);
        if let Some(metric) = self.stats.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return metric.clone();
        }
        let mut stats = self.stats.write().unwrap_or_else(PoisonError::into_inner);
        stats
            .entry(key)
            .or_insert_with(|| match kind {
                MetricType::Counter => Metric::Counter(Counter::default()),
                MetricType::Gauge => Metric::Gauge(Gauge::default()),
                MetricType::Histogram => Metric::Histogram(Histogram::default()),
            })
            .clone()
    }

    /// The same for a module, which may not make more than so many.
    pub(crate) fn of_module(&self, name: &str, kind: MetricType) -> Option<Metric> {
        if let Some(known) = self.find(name, kind) {
            return Some(known);
        }
        let size = name.len() + STAT;
        if self.module_bytes.fetch_add(size, Ordering::Relaxed) + size > MAX_MODULE_BYTES {
            self.module_bytes.fetch_sub(size, Ordering::Relaxed);
            return None;
        }
        Some(self.metric(name, kind))
    }

    /// All stats, ordered by name.
    #[must_use]
    pub fn snapshot(&self) -> Vec<(String, Metric)> {
        let stats = self.stats.read().unwrap_or_else(PoisonError::into_inner);
        stats.iter().map(|((name, _), metric)| (name.clone(), metric.clone())).collect()
    }

    /// The stat of this kind and name, if there is one.
    #[must_use]
    pub fn find(&self, name: &str, kind: MetricType) -> Option<Metric> {
        self.stats.read().unwrap_or_else(PoisonError::into_inner).get(&(name.to_owned(), kind)).cloned()
    }
}

impl Counter {
    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `delta`; wraps past `u64::MAX`.
    pub fn add(&self, delta: u64) {
        self.0.fetch_add(delta, Ordering::Relaxed);
    }

    /// The current value.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counter {
    /// Sets the value, as the specification of the ABI has it.
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

impl Gauge {
    /// Sets the value.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Adds `delta`, which may be negative; wraps below zero, as Envoy's does.
    pub fn add(&self, delta: i64) {
        self.0.fetch_add(delta.cast_unsigned(), Ordering::Relaxed);
    }

    /// The current value.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Histogram {
    /// Records one observation.
    pub fn record(&self, value: u64) {
        let mut bins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *bins.entry(lower_bound(value)).or_default() += 1;
    }

    /// How many observations there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }

    /// The bins that hold observations: lower bound, upper bound (exclusive), number.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a bin's lower bound has two significant digits")]
    pub fn bins(&self) -> Vec<(f64, f64, u64)> {
        let bins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bin = |(lower, count): (&u64, &u64)| {
            // Two significant digits: below 10 a bin is a tenth wide, though only whole numbers are ever recorded.
            let width = if *lower < 10 { 0.1 } else { width(*lower) as f64 };
            (*lower as f64, *lower as f64 + width, *count)
        };
        bins.iter().map(bin).collect()
    }

    /// The sum as Envoy reports it: every observation counts as the middle of its bin.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a sum of bin middles is an approximation already")]
    pub fn approximate_sum(&self) -> f64 {
        // The middle by harmonic mean, which is what the circular log-linear histogram of Envoy uses.
        let middle = |lower: f64, upper: f64| {
            if lower == 0.0 { 0.0 } else { lower + (upper - lower) * (lower / (lower + upper)) }
        };
        self.bins().iter().map(|(lower, upper, count)| middle(*lower, *upper) * *count as f64).sum()
    }

    /// Observations in bins that begin at or below `bound`: what Envoy writes into a `le` bucket.
    #[must_use]
    pub fn count_below(&self, bound: f64) -> u64 {
        self.bins().iter().filter(|(lower, ..)| *lower <= bound).map(|(_, _, count)| count).sum()
    }
}

/// The width of the bin that begins at `lower`: one unit of its second significant digit.
fn width(lower: u64) -> u64 {
    let mut width = 1;
    while lower / width >= 100 {
        width *= 10;
    }
    width
}

/// The bin of a value: the value with all but two significant digits cleared.
fn lower_bound(value: u64) -> u64 {
    let width = width(value);
    value / width * width
}
