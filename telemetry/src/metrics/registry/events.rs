//! What became of security events, by sink.

use siem::sender::{Counts, Reason};

use super::gauge::Gauge;
use super::series::{Naming, Series};
use super::{MetricKind, MetricSink};
use crate::metrics::catalogue::{self, LOG_REASONS};

/// What became of one sink's events so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventTotals {
    /// Events made here; what another worker has left behind is not made again.
    pub made: u64,
    /// Events that the receiver has.
    pub delivered: u64,
    /// Events that went to the proxy's log, by reason: those of [`Reason::ALL`], then for want of a sink.
    pub logged: [u64; LOG_REASONS],
    /// Batches sent for the first time.
    pub first: u64,
    /// Batches sent again.
    pub again: u64,
    /// Events that wait or are under way.
    pub queued: u64,
    /// The age of the oldest of these, in seconds.
    pub age_s: u64,
}

/// What stands for a sink where there is none.
pub(super) const LOG: &str = "log";
/// The reason for the log where there is no sink.
const NO_SINK: &str = "no_sink";

impl EventTotals {
    /// The totals of a sender, `adopted` of whose events others have made.
    #[must_use]
    pub fn of(counts: &Counts, adopted: u64, now_ns: u64) -> Self {
        let mut logged = [0; LOG_REASONS];
        logged.iter_mut().zip(counts.logged).for_each(|(slot, count)| *slot = count);
        Self {
            made: counts.made.saturating_sub(adopted),
            delivered: counts.delivered,
            logged,
            first: counts.batches,
            again: counts.retries,
            queued: u64::try_from(counts.queued).unwrap_or(u64::MAX),
            age_s: counts.oldest_ns.map_or(0, |oldest_ns| now_ns.saturating_sub(oldest_ns) / 1_000_000_000),
        }
    }

    /// Counts one event that went to the log for want of a sink.
    pub fn log(&mut self) {
        self.made = self.made.saturating_add(1);
        if let Some(last) = self.logged.last_mut() {
            *last = last.saturating_add(1);
        }
    }
}

/// The counts of one sink.
#[derive(Debug)]
pub(super) struct SinkCounts {
    name: Box<str>,
    seen: EventTotals,
    made: Series,
    delivered: Series,
    logged: Series,
    reasons: [Series; LOG_REASONS],
    first: Series,
    again: Series,
    queued: Gauge,
    age: Gauge,
}

impl SinkCounts {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: Box::from(name),
            seen: EventTotals::default(),
            made: Series::default(),
            delivered: Series::default(),
            logged: Series::default(),
            reasons: std::array::from_fn(|_| Series::default()),
            first: Series::default(),
            again: Series::default(),
            queued: Gauge::default(),
            age: Gauge::default(),
        }
    }

    /// Takes over what has happened since the last time.
    pub(super) fn update(&mut self, totals: &EventTotals) {
        let since = |now: u64, then: u64| now.saturating_sub(then);
        let seen = self.seen;
        self.made.owe(since(totals.made, seen.made));
        self.delivered.owe(since(totals.delivered, seen.delivered));
        for (series, (now, then)) in self.reasons.iter_mut().zip(totals.logged.into_iter().zip(seen.logged)) {
            series.owe(since(now, then));
            self.logged.owe(since(now, then));
        }
        self.first.owe(since(totals.first, seen.first));
        self.again.owe(since(totals.again, seen.again));
        // Also where nothing waits: who had the number before may have died, or have another by now. In the log nothing ever waits.
        if *self.name != *LOG || totals.made > 0 {
            self.queued.change(totals.queued);
            self.age.change(totals.age_s);
        }
        self.seen = *totals;
    }

    pub(super) fn is_of(&self, sink: &str) -> bool {
        *self.name == *sink
    }

    /// Counts one event that was made elsewhere and went to the log.
    pub(super) fn abandon(&mut self) {
        self.logged.owe(1);
        let at = Reason::ALL.iter().position(|reason| *reason == Reason::Abandoned);
        if let Some(series) = at.and_then(|at| self.reasons.get_mut(at)) {
            series.owe(1);
        }
    }

    /// The worker has another number from now on.
    pub(super) fn forget_worker(&mut self) {
        self.queued.forget_name();
        self.age.forget_name();
    }

    /// Nothing waits in another worker.
    pub(super) fn bury(&self, worker: &str, naming: &mut Naming, sink: &mut dyn MetricSink) {
        for metric in [&catalogue::EVENTS_QUEUED, &catalogue::EVENT_QUEUE_AGE] {
            if let Some(id) = sink.define(MetricKind::Gauge, naming.name(metric, &[&self.name, worker])) {
                sink.set(id, 0);
            }
        }
    }

    pub(super) fn is_settled(&self) -> bool {
        [&self.made, &self.delivered, &self.logged, &self.first, &self.again].into_iter().all(Series::is_settled)
            && self.reasons.iter().all(Series::is_settled)
    }

    pub(super) fn settle(&mut self, worker: &str, naming: &mut Naming, sink: &mut dyn MetricSink) {
        let name = &*self.name;
        for (series, state) in
            [(&mut self.made, "made"), (&mut self.delivered, "delivered"), (&mut self.logged, "logged")]
        {
            series.settle(naming, &catalogue::EVENTS, &[name, state], sink);
        }
        let reasons = Reason::ALL.into_iter().map(Reason::as_str).chain([NO_SINK]);
        for (series, reason) in self.reasons.iter_mut().zip(reasons) {
            series.settle(naming, &catalogue::EVENTS_LOGGED, &[name, reason], sink);
        }
        for (series, state) in [(&mut self.first, "first"), (&mut self.again, "again")] {
            series.settle(naming, &catalogue::EVENT_BATCHES, &[name, state], sink);
        }
        // Under the number of another worker they would stay there.
        if worker.is_empty() {
            return;
        }
        self.queued.settle(naming, sink, |naming| naming.name(&catalogue::EVENTS_QUEUED, &[name, worker]));
        self.age.settle(naming, sink, |naming| naming.name(&catalogue::EVENT_QUEUE_AGE, &[name, worker]));
    }
}
