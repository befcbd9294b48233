//! The counts of declared metrics.

use super::MetricSink;
use super::gauge::Gauge;
use super::series::{Naming, Series};
use crate::metrics::{Buckets, MetricKind};
use crate::rule::MetricSpec;
use crate::sorted::SortedMap;

/// The counts of one declared metric, by the number of the combination of label values.
#[derive(Debug, Default)]
pub(super) struct Declared {
    counted: SortedMap<u64, Counted>,
    /// The proxy knows every series of a counter.
    is_announced: bool,
}

/// What one combination of label values has.
#[derive(Debug)]
enum Counted {
    Counter(Series),
    Gauge(Gauge),
    Histogram(Box<Histogram>),
}

/// Counts of values, in millionths of the unit.
#[derive(Debug)]
struct Histogram {
    /// One for each bucket, cumulative.
    cumulative: Box<[Series]>,
    count: Series,
    sum: Series,
    /// What is not yet a whole unit of the sum.
    rest: u64,
}

const MILLION: u64 = 1_000_000;

/// A sum of durations is a counter of microseconds, as that of the requests is; another one has the metric's unit.
fn sum_name(name: &str) -> (String, u64) {
    match name.strip_suffix("_seconds") {
        Some(stem) => (format!("{stem}_microseconds_total"), 1),
        None => (format!("{name}_sum"), MILLION),
    }
}

impl Declared {
    /// Adds to a counter, sets a gauge, or counts a value in a histogram.
    #[inline]
    pub(super) fn record(&mut self, spec: &MetricSpec, combination: u64, value: u64) {
        let counted = self.counted.get_or_insert_with(combination, || Counted::new(spec));
        match counted {
            Counted::Counter(series) => series.owe(value),
            Counted::Gauge(gauge) => gauge.set(value),
            Counted::Histogram(histogram) => {
                if let Some(buckets) = &spec.buckets {
                    histogram.observe(buckets, value, &spec.name);
                }
            }
        }
    }

    pub(super) fn has_fresh_gauge(&self) -> bool {
        self.counted.iter().any(|(_, counted)| matches!(counted, Counted::Gauge(gauge) if !gauge.is_settled()))
    }

    pub(super) fn is_settled(&self) -> bool {
        self.counted.iter().all(|(_, counted)| match counted {
            Counted::Counter(series) => series.is_settled(),
            Counted::Gauge(gauge) => gauge.is_settled(),
            Counted::Histogram(histogram) => histogram.count.is_settled() && histogram.sum.is_settled(),
        })
    }

    /// Hands over what is owed. Every series of a counter is made known before the first of them counts, so that Prometheus sees the step from 0.
    pub(super) fn settle(&mut self, spec: &MetricSpec, naming: &mut Naming, sink: &mut dyn MetricSink) {
        if !self.is_announced && spec.kind == MetricKind::Counter {
            for combination in 0..spec.combinations() {
                if sink.is_sated() {
                    return;
                }
                if let Counted::Counter(series) = self.counted.get_or_insert_with(combination, || Counted::new(spec)) {
                    series.announce(naming, sink, |naming| naming.declared(&spec.name, spec, combination, None));
                }
            }
            self.is_announced = true;
        }
        for (combination, counted) in self.counted.iter_mut() {
            match counted {
                Counted::Counter(series) => {
                    series.settle_with(naming, sink, |naming| naming.declared(&spec.name, spec, *combination, None));
                }
                Counted::Gauge(gauge) => {
                    gauge.settle(naming, sink, |naming| naming.declared(&spec.name, spec, *combination, None))
                }
                Counted::Histogram(histogram) => histogram.settle(spec, *combination, naming, sink),
            }
        }
    }
}

impl Counted {
    fn new(spec: &MetricSpec) -> Self {
        match (spec.kind, &spec.buckets) {
            (MetricKind::Histogram, Some(buckets)) => Self::Histogram(Box::new(Histogram {
                cumulative: vec![Series::default(); buckets.labels().len()].into_boxed_slice(),
                count: Series::default(),
                sum: Series::default(),
                rest: 0,
            })),
            (MetricKind::Gauge, _) => Self::Gauge(Gauge::default()),
            (MetricKind::Counter | MetricKind::Histogram, _) => Self::Counter(Series::default()),
        }
    }
}

impl Histogram {
    #[inline]
    fn observe(&mut self, buckets: &Buckets, millionths: u64, name: &str) {
        let first = buckets.find(millionths);
        self.cumulative.iter_mut().skip(first).for_each(|series| series.owe(1));
        self.count.owe(1);
        let (_, unit) = sum_name(name);
        self.rest = self.rest.saturating_add(millionths);
        self.sum.owe(self.rest / unit);
        self.rest %= unit;
    }

    /// The largest bucket first, so that no scrape sees more under a bound than under the next.
    fn settle(&mut self, spec: &MetricSpec, combination: u64, naming: &mut Naming, sink: &mut dyn MetricSink) {
        let Some(buckets) = &spec.buckets else { return };
        let count = format!("{}_count", spec.name);
        self.count.settle_with(naming, sink, |naming| naming.declared(&count, spec, combination, None));
        let bucket = format!("{}_bucket", spec.name);
        for (series, le) in self.cumulative.iter_mut().zip(buckets.labels()).rev() {
            series.settle_with(naming, sink, |naming| naming.declared(&bucket, spec, combination, Some(le)));
        }
        let (sum, _) = sum_name(&spec.name);
        self.sum.settle_with(naming, sink, |naming| naming.declared(&sum, spec, combination, None));
    }
}
