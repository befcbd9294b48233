//! The counts in memory, and their way to the proxy.
//!
//! Recording touches one block of one (endpoint, method) pair: an addition to a status, to one bucket and to the sum. It
//! allocates only when a pair or a status is seen for the first time. Draining turns what was added since the last time into
//! counter differences; a difference the proxy refuses is owed until it is taken, so nothing is lost or counted twice.

mod declared;
mod events;
mod gauge;
mod polled;
mod series;

use std::fmt;

use super::{
    Buckets, MetricKind, MetricSink, StatusLabel,
    catalogue::{self, MAX_HOSTCALLS, MAX_WORKERS, Metric},
    stat_name,
};
use crate::config::PollConfig;
use crate::poll::Poller;
use crate::rule::body::BodyOutcome;
use crate::rule::fire::RuleOutcome;
use crate::rule::{MetricSpec, Rules};
use crate::{config::Config, correlation::Outcome, method::Method, route::EndpointId};
use declared::Declared;
pub use events::EventTotals;
use events::SinkCounts;
use polled::Polled;
use series::{Naming, Series};

/// The counts of one filter instance on one thread of the proxy.
pub struct Registry {
    buckets: Buckets,
    /// The column of each method, by `Method::index`; methods outside the configured set share the last.
    columns: Box<[usize]>,
    /// The `method` label of each column.
    column_labels: Box<[&'static str]>,
    /// For each endpoint and column, the block's number plus one; 0 where nothing was counted yet.
    index: Box<[u32]>,
    blocks: Vec<Block>,
    /// The numbers of the blocks that owe something. **Invariant:** its capacity is at least `blocks.len()`, so recording
    /// never allocates here.
    dirty: Vec<u32>,
    /// One for each outcome, in the order of `Outcome::index`.
    correlation: Box<[(Outcome, Series)]>,
    overflow: Series,
    heartbeat: Series,
    /// Empty before it is known.
    worker: Box<str>,
    hostcalls: Vec<(&'static str, Series)>,
    /// For each rule one for each outcome.
    rules: Box<[[Series; RuleOutcome::ALL.len()]]>,
    bodies: [Series; BodyOutcome::ALL.len()],
    /// In the order of the configuration's.
    declared: Box<[Declared]>,
    /// One for each sink, or for the proxy's log alone.
    sinks: Box<[SinkCounts]>,
    /// Sinks of configurations before this one.
    elsewhere: Vec<SinkCounts>,
    /// In the order of the configuration's.
    polled: Box<[Polled]>,
    build_info: Box<str>,
    series_budget: u64,
    naming: Naming,
}

/// As many sinks as a configuration may have.
const MAX_ELSEWHERE: usize = 4;

/// The counts of one endpoint and method.
struct Block {
    endpoint: EndpointId,
    column: usize,
    dirty: bool,
    statuses: Vec<(StatusLabel, Series)>,
    /// What fell into each bucket since the last drain; not cumulative.
    fresh: Box<[u64]>,
    /// What the proxy is owed: one for each bucket, cumulative.
    cumulative: Box<[Series]>,
    count: Series,
    micros: Series,
    /// The proxy's own histogram, when it is on and was asked for.
    histogram: Option<u32>,
}

impl Registry {
    /// An empty registry for this configuration. The numbers of endpoints and methods are fixed by it.
    pub fn new(config: &Config) -> Self {
        let metrics = config.metrics();
        let mut column_labels: Vec<&'static str> = metrics.methods().iter().map(|method| method.as_str()).collect();
        let other = column_labels.len();
        column_labels.push(Method::Other.as_str());
        let columns: Box<[usize]> = Method::ALL
            .iter()
            .map(|method| metrics.methods().iter().position(|known| known == method).unwrap_or(other))
            .collect();
        let mut build_info = String::new();
        stat_name::write(
            &mut build_info,
            config.namespace(),
            &catalogue::BUILD_INFO,
            &[env!("CARGO_PKG_VERSION"), config.digest(), config.ring()],
        );
        Self {
            buckets: metrics.buckets().clone(),
            index: vec![0; config.max_endpoints().saturating_mul(column_labels.len())].into_boxed_slice(),
            columns,
            column_labels: column_labels.into_boxed_slice(),
            blocks: Vec::new(),
            dirty: Vec::new(),
            correlation: Outcome::ALL.iter().map(|outcome| (*outcome, Series::default())).collect(),
            overflow: Series::default(),
            heartbeat: Series::default(),
            worker: Box::from(""),
            hostcalls: Vec::with_capacity(MAX_HOSTCALLS + 1),
            rules: config.rules().rules().iter().map(|_| std::array::from_fn(|_| Series::default())).collect(),
            bodies: std::array::from_fn(|_| Series::default()),
            declared: config.rules().metrics().iter().map(|_| Declared::default()).collect(),
            sinks: match config.events().sinks() {
                [] => Box::from([SinkCounts::new(events::LOG)]),
                sinks => sinks.iter().map(|sink| SinkCounts::new(sink.name())).collect(),
            },
            elsewhere: Vec::new(),
            polled: config.polls().iter().map(Polled::new).collect(),
            build_info: build_info.into_boxed_str(),
            series_budget: config.budget().limit(),
            naming: Naming::new(config.namespace()),
        }
    }

    /// Counts one request: its status, and its duration in whole microseconds.
    #[inline]
    pub fn record(&mut self, method: Method, endpoint: EndpointId, status: StatusLabel, duration_micros: u64) {
        let bucket = self.buckets.find(duration_micros);
        let Some(number) = self.block_number(method, endpoint) else {
            return;
        };
        let Some(block) = self.blocks.get_mut(number) else {
            return;
        };
        if !block.dirty {
            block.dirty = true;
            self.dirty.push(u32::try_from(number).unwrap_or(u32::MAX));
        }
        block.micros.owe(duration_micros);
        if let Some(fresh) = block.fresh.get_mut(bucket) {
            *fresh = fresh.saturating_add(1);
        }
        match block.statuses.iter_mut().find(|(known, _)| *known == status) {
            Some((_, series)) => series.owe(1),
            None => block.statuses.push((status, Series::owing(1))),
        }
    }

    /// The number of the block of this pair, made when it is asked for the first time. An endpoint past the configured
    /// number, which the core never produces, counts as `_overflow`.
    #[inline]
    fn block_number(&mut self, method: Method, endpoint: EndpointId) -> Option<usize> {
        let column = self.columns.get(method.index()).copied().unwrap_or_default();
        let width = self.column_labels.len();
        let at = |endpoint: EndpointId| endpoint.index().checked_mul(width)?.checked_add(column);
        let (endpoint, at) = match at(endpoint).filter(|at| *at < self.index.len()) {
            Some(found) => (endpoint, found),
            None => (EndpointId::OVERFLOW, at(EndpointId::OVERFLOW)?),
        };
        match self.index.get(at).copied()? {
            0 => self.add_block(endpoint, column, at),
            number => usize::try_from(number - 1).ok(),
        }
    }

    #[cold]
    fn add_block(&mut self, endpoint: EndpointId, column: usize, at: usize) -> Option<usize> {
        let number = self.blocks.len();
        self.blocks.push(Block {
            endpoint,
            column,
            dirty: false,
            statuses: Vec::new(),
            fresh: vec![0; self.buckets.count()].into_boxed_slice(),
            cumulative: vec![Series::default(); self.buckets.count()].into_boxed_slice(),
            count: Series::default(),
            micros: Series::default(),
            histogram: None,
        });
        self.dirty.reserve(self.blocks.len() - self.dirty.len());
        *self.index.get_mut(at)? = u32::try_from(self.blocks.len()).ok()?;
        Some(number)
    }

    /// Counts what became of one request's correlation ID.
    #[inline]
    pub fn correlation(&mut self, outcome: Outcome) {
        if let Some((_, series)) = self.correlation.get_mut(outcome.index()) {
            series.owe(1);
        }
    }

    /// Counts one request that went to the endpoint `_overflow`.
    #[inline]
    pub fn endpoint_overflow(&mut self) {
        self.overflow.owe(1);
    }

    /// Counts what became of a rule, whose position this is.
    #[inline]
    pub fn rule(&mut self, rule: usize, outcome: RuleOutcome) {
        if let Some(series) = self.rules.get_mut(rule).and_then(|outcomes| outcomes.get_mut(outcome as usize)) {
            series.owe(1);
        }
    }

    /// Counts what came of reading one body.
    #[inline]
    pub fn body(&mut self, outcome: BodyOutcome) {
        if let Some(series) = self.bodies.get_mut(outcome as usize) {
            series.owe(1);
        }
    }

    /// Takes over what became of the events of a sink, whose position this is; the first where there is none.
    #[inline]
    pub fn events(&mut self, sink: usize, totals: &EventTotals) {
        if let Some(counts) = self.sinks.get_mut(sink) {
            counts.update(totals);
        }
    }

    /// Counts an event that went to the log because its sink is no longer configured. Beyond a few such sinks the last one stands for all: a
    /// configuration has no more than that.
    pub fn abandoned_elsewhere(&mut self, sink: &str) {
        let at = self.elsewhere.iter().position(|counts| counts.is_of(sink));
        let at = at.unwrap_or_else(|| {
            if self.elsewhere.len() < MAX_ELSEWHERE {
                self.elsewhere.push(SinkCounts::new(sink));
            }
            self.elsewhere.len() - 1
        });
        if let Some(counts) = self.elsewhere.get_mut(at) {
            counts.abandon();
        }
    }

    /// Takes over what a poll, whose position this is, has found.
    #[inline]
    pub fn polled(&mut self, poll: usize, poller: &mut Poller) {
        if let Some(polled) = self.polled.get_mut(poll) {
            polled.update(poller);
        }
    }

    /// Counts in a declared metric, whose position this is.
    #[inline]
    pub fn declared(&mut self, metric: usize, spec: &MetricSpec, combination: u64, value: u64) {
        if let Some(declared) = self.declared.get_mut(metric) {
            declared.record(spec, combination, value);
        }
    }

    /// Whether a declared gauge has a value that the proxy does not know yet.
    pub fn has_fresh_gauge(&self) -> bool {
        self.declared.iter().any(Declared::has_fresh_gauge)
    }

    /// Counts one hostcall that the proxy refused. Names past the cap share `other`.
    pub fn hostcall_fault(&mut self, hostcall: &'static str) {
        let full = self.hostcalls.len() >= MAX_HOSTCALLS;
        let known = |name: &'static str| move |entry: &&mut (&'static str, Series)| entry.0 == name;
        if let Some((_, series)) = self.hostcalls.iter_mut().find(known(hostcall)) {
            return series.owe(1);
        }
        let name = if full { "other" } else { hostcall };
        match self.hostcalls.iter_mut().find(known(name)) {
            Some((_, series)) => series.owe(1),
            None => self.hostcalls.push((name, Series::owing(1))),
        }
    }

    /// Says which of the proxy's threads this is; numbers past the cap share `other`. To be called before the first
    /// [`Registry::beat`].
    pub fn set_worker(&mut self, worker: u32) {
        let worker = worker_label(worker);
        // A proxy keeps an entry for every definition, so the same name is not defined again.
        if worker != self.worker {
            self.worker = worker;
            self.heartbeat.forget_name();
            self.sinks.iter_mut().for_each(SinkCounts::forget_worker);
        }
    }

    /// Says that nothing waits any more in a worker that has died: its gauges cannot be set by itself.
    pub fn bury(&mut self, worker: u32, sink: &mut dyn MetricSink) {
        let worker = worker_label(worker);
        for counts in &self.sinks {
            counts.bury(&worker, &mut self.naming, sink);
        }
    }

    /// Counts one tick of this thread.
    pub fn beat(&mut self) {
        self.heartbeat.owe(1);
    }

    /// The stat name of this build's info gauge: what a successor needs in order to set it to 0.
    pub fn build_info(&self) -> &str {
        &self.build_info
    }

    /// Sets this build's info gauge to 1 and `previous`, another build's stat name, to 0, and says how many series its configuration may lead to;
    /// `false` when the proxy refused.
    pub fn report_build(&mut self, previous: Option<&str>, sink: &mut dyn MetricSink) -> bool {
        let mut set = |name: &str, value| sink.define(MetricKind::Gauge, name).is_some_and(|id| sink.set(id, value));
        let cleared = previous.is_none_or(|previous| previous == &*self.build_info || set(previous, 0));
        let budget = set(self.naming.name(&catalogue::SERIES_BUDGET, &[]), self.series_budget);
        set(&self.build_info, 1) && cleared && budget
    }

    /// The proxy's own histogram for this pair, defined when it is asked for the first time. To be called from a stream's
    /// callback and never while configuring: Envoy crashes when a histogram is used before its statsd sink is up.
    #[inline]
    pub fn histogram_id<'label>(
        &mut self,
        method: Method,
        endpoint: EndpointId,
        label: &dyn Fn(EndpointId) -> &'label str,
        sink: &mut dyn MetricSink,
    ) -> Option<u32> {
        let number = self.block_number(method, endpoint)?;
        let block = self.blocks.get_mut(number)?;
        if block.histogram.is_none() {
            let method = self.column_labels.get(block.column)?;
            let name = self.naming.name(&catalogue::DURATION_HISTOGRAM, &[method, label(block.endpoint)]);
            block.histogram = sink.define(MetricKind::Histogram, name);
        }
        block.histogram
    }

    /// Whether the proxy is owed anything.
    pub fn is_drained(&self) -> bool {
        let own = [&self.overflow, &self.heartbeat];
        self.dirty.is_empty()
            && own
                .into_iter()
                .chain(self.correlation.iter().map(|(_, s)| s))
                .chain(self.hostcalls.iter().map(|(_, s)| s))
                .chain(self.rules.iter().flatten())
                .chain(&self.bodies)
                .all(Series::is_settled)
            && self.declared.iter().all(Declared::is_settled)
            && self.sinks.iter().chain(&self.elsewhere).all(SinkCounts::is_settled)
    }

    /// Hands every difference since the last drain to `sink`; a new endpoint's are kept back while the sink is sated. `label` gives an endpoint's label; it is asked only when a
    /// series is named for the first time.
    pub fn drain<'label>(&mut self, label: &dyn Fn(EndpointId) -> &'label str, sink: &mut dyn MetricSink) {
        let Self {
            buckets,
            column_labels,
            blocks,
            dirty,
            correlation,
            overflow,
            heartbeat,
            worker,
            hostcalls,
            naming,
            ..
        } = self;
        heartbeat.settle(naming, &catalogue::HEARTBEAT, &[worker], sink);
        for (outcome, series) in correlation.iter_mut() {
            series.settle(naming, &catalogue::CORRELATION, &[outcome.outcome(), outcome.reason()], sink);
        }
        overflow.settle(naming, &catalogue::ENDPOINT_OVERFLOW, &[], sink);
        for (hostcall, series) in hostcalls.iter_mut() {
            series.settle(naming, &catalogue::HOSTCALL_FAULTS, &[hostcall], sink);
        }
        dirty.retain(|&number| {
            let block = usize::try_from(number).ok().and_then(|number| blocks.get_mut(number));
            let Some(block) = block else { return false };
            if sink.is_sated() && !block.is_named() {
                return true;
            }
            let method = column_labels.get(block.column).copied().unwrap_or_default();
            block.settle(method, label(block.endpoint), buckets, naming, sink);
            block.dirty
        });
    }
}

impl Registry {
    /// Hands over what rules have counted; to be called before [`Registry::drain`], since it is little.
    pub fn drain_rules(&mut self, rules: &Rules, polls: &[PollConfig], sink: &mut dyn MetricSink) {
        let Self { rules: counted, bodies, declared, sinks, elsewhere, polled, worker, naming, .. } = self;
        for (rule, outcomes) in rules.rules().iter().zip(counted) {
            for (outcome, series) in RuleOutcome::ALL.iter().zip(outcomes) {
                series.settle(naming, &catalogue::RULES, &[&rule.name, outcome.as_str()], sink);
            }
        }
        for (outcome, series) in BodyOutcome::ALL.iter().zip(bodies) {
            series.settle(naming, &catalogue::BODIES, &[outcome.as_str()], sink);
        }
        for (spec, declared) in rules.metrics().iter().zip(declared) {
            declared.settle(spec, naming, sink);
        }
        for counts in sinks.iter_mut().chain(elsewhere) {
            counts.settle(worker, naming, sink);
        }
        for (poll, polled) in polls.iter().zip(polled) {
            polled.settle(poll, naming, sink);
        }
    }
}

fn worker_label(worker: u32) -> Box<str> {
    if worker < MAX_WORKERS { worker.to_string().into_boxed_str() } else { Box::from("other") }
}

impl Block {
    /// Whether the proxy knows its series, but perhaps for a few buckets.
    fn is_named(&self) -> bool {
        self.count.is_named() && self.micros.is_named() && self.statuses.iter().all(|(_, series)| series.is_named())
    }

    fn settle(
        &mut self,
        method: &str,
        endpoint: &str,
        buckets: &Buckets,
        naming: &mut Naming,
        sink: &mut dyn MetricSink,
    ) {
        // Bounds of a histogram are read together: a scrape between two additions must not see more requests under a bound
        // than under the next, so the largest bucket goes first. One that nothing fell into is there too, at 0: `histogram_quantile` takes the bound
        // before a bucket for its lower end, and without it 0.
        let mut below = 0u64;
        for (fresh, series) in self.fresh.iter_mut().zip(self.cumulative.iter_mut()) {
            below = below.saturating_add(std::mem::take(fresh));
            series.owe(below);
        }
        self.count.owe(below);
        let mut settled = true;
        for (status, series) in &mut self.statuses {
            // The status is only spelled out for a series that has no name yet.
            settled &= series.settle_with(naming, sink, |naming| {
                naming.name(&catalogue::REQUESTS, &[method, endpoint, &status.to_string()])
            });
        }
        settled &= self.count.settle(naming, &catalogue::DURATION_COUNT, &[method, endpoint], sink);
        for (series, le) in self.cumulative.iter_mut().zip(buckets.labels()).rev() {
            series.announce(naming, sink, |naming| naming.name(&catalogue::DURATION_BUCKET, &[method, endpoint, le]));
            settled &= series.settle(naming, &catalogue::DURATION_BUCKET, &[method, endpoint, le], sink);
        }
        settled &= self.micros.settle(naming, &catalogue::DURATION_SUM, &[method, endpoint], sink);
        self.dirty = !settled;
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("blocks", &self.blocks.len())
            .field("dirty", &self.dirty.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
