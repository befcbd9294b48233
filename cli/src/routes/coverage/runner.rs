//! Requests through the filter's own decisions, as the proxy would have it: one worker, with its admission pools in memory.

use std::collections::{BTreeMap, BTreeSet};

use telemetry::admission::{Admitted, Pool, Proposal, propose};
use telemetry::config::Config;
use telemetry::correlation::Sender;
use telemetry::filter::{Filter, RequestHead, State, StreamEnd};
use telemetry::metrics::catalogue::{DURATION_BUCKET, DURATION_COUNT, DURATION_SUM, REQUESTS};
use telemetry::metrics::{MetricKind, MetricSink};
use telemetry::route::EndpointId;
use telemetry::stream_info::StreamInfo;

use super::log::Request;

/// Where a request's endpoint comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// A template of the table.
    Template,
    /// A placeholder label that was admitted.
    Learned,
    /// `unknown` or `_overflow`.
    Nothing,
}

/// Requests of one endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) requests: u64,
    /// No answer, 1xx to 5xx, anything else.
    pub(super) classes: [u64; 7],
}

pub(super) struct Runner {
    filter: Filter,
    state: State,
    pools: BTreeMap<Pool, Vec<u8>>,
    counts: BTreeMap<EndpointId, Count>,
}

impl Runner {
    pub(super) fn new(config: Config) -> Self {
        let filter = Filter::new(config);
        let state = State::new(&filter);
        Self { filter, state, pools: BTreeMap::new(), counts: BTreeMap::new() }
    }

    pub(super) fn config(&self) -> &Config {
        self.filter.config()
    }

    /// Runs one request; gives its endpoint.
    pub(super) fn run(&mut self, request: &Request<'_>) -> EndpointId {
        let Self { filter, state, pools, counts } = self;
        let some = |bytes| Some(bytes).filter(|bytes: &&[u8]| !bytes.is_empty());
        let head = RequestHead { method: some(&request.method), path: some(&request.target), ..RequestHead::default() };
        // Neither the ID nor the time has a part in routes, so both are constants. A duration of nothing would leave its sum without a series.
        let mut info = StreamInfo::default();
        filter.on_request(state, &head, &Sender::default(), [0; 16], 0, &mut info);
        let end = StreamEnd { status: Some(request.status), duration_ns: Some(1_000), ..StreamEnd::default() };
        let logged = filter.on_log(state, Some(&info), &end, &mut |pool, item| {
            let pooled = pools.entry(pool).or_default();
            match propose(Some(pooled), item, filter.pool_limits(pool)) {
                Proposal::AlreadyIn => Admitted::Yes,
                Proposal::Append(value) => {
                    *pooled = value;
                    Admitted::Yes
                }
                Proposal::Full => Admitted::Full,
            }
        });
        let count = counts.entry(logged.endpoint).or_default();
        count.requests += 1;
        let class = match request.status {
            0 => 0,
            status @ 100..600 => usize::from(status / 100),
            _ => 6,
        };
        if let Some(class) = count.classes.get_mut(class) {
            *class += 1;
        }
        logged.endpoint
    }

    pub(super) fn label(&self, endpoint: EndpointId) -> &str {
        self.state.endpoint_label(&self.filter, endpoint)
    }

    pub(super) fn source(&self, endpoint: EndpointId) -> Source {
        if endpoint == EndpointId::UNKNOWN || endpoint == EndpointId::OVERFLOW {
            return Source::Nothing;
        }
        let configured = self.config().routes().table().labels().len();
        if endpoint.index() < configured { Source::Template } else { Source::Learned }
    }

    pub(super) fn counts(&self) -> impl Iterator<Item = (EndpointId, &Count)> {
        self.counts.iter().map(|(endpoint, count)| (*endpoint, count))
    }

    /// Requests that a template covers.
    pub(super) fn covered(&self) -> u64 {
        let covered = self.counts().filter(|(endpoint, _)| self.source(*endpoint) == Source::Template);
        covered.map(|(_, count)| count.requests).sum()
    }

    /// The series that came into being, by the terms of the configuration's budget.
    pub(super) fn series(&mut self) -> BTreeMap<&'static str, u64> {
        let mut sink = Names::default();
        let prefix = format!("{}_", self.config().namespace());
        self.state.drain(&self.filter, &mut sink);
        let mut series: BTreeMap<&'static str, u64> = BTreeMap::new();
        for name in &sink.names {
            let metric = name.strip_prefix(&prefix).unwrap_or(name);
            let metric = metric.split_once('.').map_or(metric, |(metric, _)| metric);
            let of = |known: &telemetry::metrics::Metric| known.suffix == metric;
            let term = match metric {
                _ if of(&REQUESTS) => "requests",
                _ if of(&DURATION_BUCKET) || of(&DURATION_COUNT) || of(&DURATION_SUM) => "durations",
                _ => "own metrics",
            };
            *series.entry(term).or_insert(0) += 1;
            // The proxy keeps one histogram for each pair that is timed.
            if of(&DURATION_COUNT) && self.config().metrics().histogram() {
                *series.entry("histogram").or_insert(0) += 1;
            }
        }
        series
    }
}

/// Every name that was asked for.
#[derive(Default)]
struct Names {
    names: BTreeSet<String>,
}

impl MetricSink for Names {
    fn define(&mut self, _kind: MetricKind, stat_name: &str) -> Option<u32> {
        self.names.insert(stat_name.to_owned());
        Some(0)
    }

    fn add(&mut self, _id: u32, _delta: u64) -> bool {
        true
    }

    fn set(&mut self, _id: u32, _value: u64) -> bool {
        true
    }
}
