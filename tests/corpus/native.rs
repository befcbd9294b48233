//! The corpus through the core alone, with a sink that adds up what is handed over.

use std::collections::BTreeMap;

use telemetry::admission::{self, Admitted, Pool, Proposal};
use telemetry::config::Config;
use telemetry::correlation::Sender;
use telemetry::filter::{CorsHead, Expose, Filter, RequestHead, State, StreamEnd};
use telemetry::metrics::{MetricKind, MetricSink};
use telemetry::stream_info::StreamInfo;

use super::case::{Driver, Headers, Observed, Step, Text};

/// The core, the state of one worker, and the shared data of a proxy.
pub(crate) struct Native {
    filter: Filter,
    state: State,
    shared: BTreeMap<&'static str, Vec<u8>>,
    seed: [u8; 16],
    stats: Stats,
}

#[derive(Default)]
struct Stats(Vec<(String, u64)>);

impl MetricSink for Stats {
    fn define(&mut self, _: MetricKind, stat_name: &str) -> Option<u32> {
        self.0.push((stat_name.to_owned(), 0));
        Some(self.0.len() as u32 - 1)
    }

    fn add(&mut self, id: u32, delta: u64) -> bool {
        self.0[id as usize].1 += delta;
        true
    }

    fn set(&mut self, id: u32, value: u64) -> bool {
        self.0[id as usize].1 = value;
        true
    }
}

impl Native {
    /// For a configuration.
    pub(crate) fn new(config: &str) -> Self {
        let filter = Filter::new(Config::from_json(config.as_bytes()).unwrap_or_else(|e| panic!("{e}")));
        let state = State::new(&filter);
        Self { filter, state, shared: BTreeMap::new(), seed: [7; 16], stats: Stats::default() }
    }
}

fn pairs(headers: &Headers) -> impl Iterator<Item = (&[u8], &[u8])> {
    headers.iter().map(|(name, value)| (name.as_slice(), value.as_slice()))
}

fn set(headers: &mut Headers, name: &str, value: &[u8]) {
    headers.retain(|(n, _)| n != name.as_bytes());
    headers.push((name.as_bytes().to_vec(), value.to_vec()));
}

impl Driver for Native {
    fn request(&mut self, step: &Step) -> Observed {
        const START: u64 = 1_700_000_000_000_000_000;
        let filter = &self.filter;
        let header = filter.config().correlation().header();
        let shown = filter.config().access_log();
        let mut observed = Observed { upstream: Text::headers(&step.request.headers), ..Observed::default() };
        let request = observed.upstream.clone();
        let head: RequestHead<'_> = filter.request_head(pairs(&request));
        let mut info = None;
        if !step.log_only {
            for byte in &mut self.seed {
                *byte = byte.wrapping_mul(31).wrapping_add(11);
            }
            let sender = Sender { address: step.source.as_deref().map(str::as_bytes), mtls: false };
            let mut stream = StreamInfo::default();
            filter.on_request(&self.state, &head, &sender, self.seed, START, &mut stream);
            let edits = filter.request_edits(&head, &stream);
            if let Some(id) = edits.correlation_id {
                set(&mut observed.upstream, header, id.as_bytes());
            }
            if let Some(trace) = edits.traceparent {
                set(&mut observed.upstream, "traceparent", trace.as_bytes());
            }
            if let Some(id) = stream.correlation_id().filter(|_| shown.correlation_id()) {
                observed.state.insert("correlation_id".into(), id.as_bytes().to_vec());
            }
            info = Some(stream);
        }
        if let (Some(answer), Some(stream), false) = (&step.response, &info, step.abort) {
            observed.response = Text::headers(&answer.headers);
            let upstream_response = observed.response.clone();
            let cors =
                if filter.reads_cors() { filter.cors_head(pairs(&upstream_response)) } else { CorsHead::default() };
            let mut buffer = Vec::new();
            let edits = filter.response_edits(stream, &cors, &mut buffer);
            if let Some(id) = edits.correlation_id {
                set(&mut observed.response, header, id.as_bytes());
            }
            match edits.expose {
                Some(Expose::Set(value)) => set(&mut observed.response, "access-control-expose-headers", value),
                Some(Expose::Add(value)) => {
                    observed.response.push((b"access-control-expose-headers".to_vec(), value.to_vec()));
                }
                None => {}
            }
        }
        let end = StreamEnd {
            status: step.response.as_ref().filter(|_| !step.abort).map(|answer| answer.status),
            now_ns: START + step.duration_us * 1000,
            request: step.log_only.then_some(head),
            duration_ns: step.log_only.then_some(step.duration_us * 1000),
        };
        let shared = &mut self.shared;
        let mut admit = |pool: Pool, item: &[u8]| {
            let name = match pool {
                Pool::Endpoints => "endpoints",
                Pool::Statuses => "statuses",
            };
            match admission::propose(shared.get(name).map(Vec::as_slice), item, filter.pool_limits(pool)) {
                Proposal::AlreadyIn => Admitted::Yes,
                Proposal::Append(value) => {
                    shared.insert(name, value);
                    Admitted::Yes
                }
                Proposal::Full => Admitted::Full,
            }
        };
        let logged = filter.on_log(&mut self.state, info.as_ref(), &end, &mut admit);
        if shown.endpoint() {
            let endpoint = self.state.endpoint_label(filter, logged.endpoint);
            observed.state.insert("endpoint".into(), endpoint.as_bytes().to_vec());
        }
        if shown.outcome() {
            observed.state.insert("outcome".into(), logged.outcome.filter_state().as_bytes().to_vec());
        }
        observed
    }

    fn counters(&mut self) -> BTreeMap<String, u64> {
        self.state.drain(&self.filter, &mut self.stats);
        let mut out = BTreeMap::new();
        for (name, value) in &self.stats.0 {
            *out.entry(name.clone()).or_default() += value;
        }
        out
    }
}
