//! Polled gauges, and how the polls fare.

use super::MetricSink;
use super::gauge::Gauge;
use super::series::{Naming, Series};
use crate::config::PollConfig;
use crate::metrics::catalogue;
use crate::poll::{Outcome, Poller};

/// The stats of one poll.
#[derive(Debug)]
pub(super) struct Polled {
    seen: [u64; Outcome::ALL.len()],
    outcomes: [Series; Outcome::ALL.len()],
    staleness: Gauge,
    gauges: Box<[Gauge]>,
}

impl Polled {
    pub(super) fn new(poll: &PollConfig) -> Self {
        Self {
            seen: [0; _],
            outcomes: std::array::from_fn(|_| Series::default()),
            staleness: Gauge::default(),
            gauges: poll.plan().series().iter().map(|_| Gauge::default()).collect(),
        }
    }

    /// Takes over what has changed since the last time.
    pub(super) fn update(&mut self, poller: &mut Poller) {
        for ((series, now), then) in self.outcomes.iter_mut().zip(*poller.outcomes()).zip(self.seen) {
            series.owe(now.saturating_sub(then));
        }
        self.seen = *poller.outcomes();
        if let Some(seconds) = poller.staleness_s() {
            self.staleness.change(seconds);
        }
        for (index, value) in poller.changed() {
            if let Some(gauge) = self.gauges.get_mut(index) {
                gauge.set(value);
            }
        }
    }

    pub(super) fn settle(&mut self, poll: &PollConfig, naming: &mut Naming, sink: &mut dyn MetricSink) {
        for (outcome, series) in Outcome::ALL.into_iter().zip(&mut self.outcomes) {
            series.settle(naming, &catalogue::POLLS, &[poll.name(), outcome.as_str()], sink);
        }
        self.staleness.settle(naming, sink, |naming| naming.name(&catalogue::POLL_STALENESS, &[poll.name()]));
        for (index, gauge) in self.gauges.iter_mut().enumerate() {
            gauge.settle(naming, sink, |naming| match poll.plan().describe(index) {
                Some((spec, labels)) => naming.labelled(&spec.name, &mut labels.into_iter()),
                None => "",
            });
        }
    }
}
