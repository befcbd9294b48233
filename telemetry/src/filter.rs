//! The order of steps. Only this module knows it; each step is in its own.
//!
//! The caller gathers values from the proxy, asks, and applies the answer:
//!
//! 1. request headers: [`Filter::request_head`], [`Filter::sender_facts`], [`Filter::on_request`], [`Filter::request_edits`]
//! 2. response headers: [`Filter::cors_head`] where [`Filter::reads_cors`] says so, [`Filter::response_edits`]
//! 3. the end of the stream: [`Filter::on_log`], then a [`Firing`](crate::rule::fire::Firing) for [`Filter::rules_of`] it
//! 4. each tick: [`State::sync`] for each pool, then [`State::drain`]
//!
//! A stream may end at any step, and may show its end alone: another filter or the proxy itself answered before its request headers came here.
//! Whatever happens, one call of [`Filter::on_log`] counts one request and one correlation outcome.

mod edits;
mod names;
mod state;

pub use edits::{CorsHead, Expose, RequestEdits, ResponseEdits};
pub use names::NameLengths;
pub use state::State;

use crate::admission::{Admitted, Limits, Pool};
use crate::config::Config;
use crate::correlation::traceparent::TraceParent;
use crate::correlation::{self, CorrelationId, Generator, Header, Outcome, Sender, TraceMode};
use crate::method::Method;
use crate::metrics::StatusLabel;
use crate::route::{EndpointId, PlaceholderBuffer, RouteMatch};
use crate::rule::RuleSet;
use crate::stream_info::StreamInfo;

/// What the filter reads of a request's headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestHead<'a> {
    /// `:method`
    pub method: Option<&'a [u8]>,
    /// `:path`
    pub path: Option<&'a [u8]>,
    /// The correlation ID's header.
    pub correlation: Header<'a>,
    /// `traceparent`
    pub traceparent: Header<'a>,
    /// Whether there is a `tracestate`.
    pub tracestate: bool,
}

/// Which facts about the sender the caller has to fetch for [`Filter::on_request`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderFacts {
    /// The `source.address` property.
    pub address: bool,
    /// The `connection.mtls` property.
    pub mtls: bool,
}

/// The end of a stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct StreamEnd<'a> {
    /// The response's code; `None` or 0 where the client left before an answer.
    pub status: Option<u16>,
    /// The time, in nanoseconds since 1970.
    pub now_ns: u64,
    /// The request's headers, for a stream that has no [`StreamInfo`].
    pub request: Option<RequestHead<'a>>,
    /// How long the stream took by the proxy's own clock; else it is reckoned from the two times.
    pub duration_ns: Option<u64>,
}

/// What was counted for a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logged {
    /// The request's method.
    pub method: Method,
    /// The endpoint; see [`State::endpoint_label`].
    pub endpoint: EndpointId,
    /// The response's code as it came, 0 without an answer.
    pub status: u16,
    /// What became of the correlation ID.
    pub outcome: Outcome,
    /// How long the stream took.
    pub duration_ns: u64,
}

/// The decisions about HTTP streams, for one configuration.
#[derive(Debug)]
pub struct Filter {
    config: Config,
    request_names: NameLengths,
}

impl Filter {
    /// The filter for this configuration.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let correlation = config.correlation().header().as_bytes();
        let request_names = NameLengths::of(&[b":path", b":method", b"tracestate", b"traceparent", correlation]);
        Self { config, request_names }
    }

    /// The configuration.
    #[inline]
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The names that [`Self::request_head`] looks for are of these lengths; other headers need not be handed to it.
    #[inline]
    #[must_use]
    pub fn request_names(&self) -> NameLengths {
        self.request_names
    }

    /// Picks what the filter needs from a request's headers, in one pass.
    #[inline]
    #[must_use]
    pub fn request_head<'a>(&self, pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> RequestHead<'a> {
        let correlation = self.config.correlation().header().as_bytes();
        let mut head = RequestHead::default();
        for (name, value) in pairs {
            if name.eq_ignore_ascii_case(correlation) {
                head.correlation = head.correlation.and(value);
            }
            match name.len() {
                5 if name == b":path" => head.path = head.path.or(Some(value)),
                7 if name == b":method" => head.method = head.method.or(Some(value)),
                10 if name.eq_ignore_ascii_case(b"tracestate") => head.tracestate = true,
                11 if name.eq_ignore_ascii_case(b"traceparent") => head.traceparent = head.traceparent.and(value),
                _ => {}
            }
        }
        head
    }

    /// Which facts about the sender can change what [`Filter::on_request`] decides: none unless a well-formed ID came and the configuration asks
    /// who sent it.
    #[inline]
    #[must_use]
    pub fn sender_facts(&self, head: &RequestHead<'_>) -> SenderFacts {
        let trust = &self.config.correlation().policy().trust;
        let facts = SenderFacts { address: trust.asks_address(), mtls: trust.asks_mtls() };
        let matters =
            (facts.address || facts.mtls) && matches!(correlation::well_formed(head.correlation), Ok(Some(_)));
        if matters { facts } else { SenderFacts::default() }
    }

    /// Decides about a request, its correlation ID and its endpoint, and leaves in `info` all that is known of the stream. `seed` is 16 random
    /// bytes, `now_ns` the time in nanoseconds since 1970.
    #[inline]
    pub fn on_request(
        &self,
        state: &State,
        head: &RequestHead<'_>,
        sender: &Sender<'_>,
        seed: [u8; 16],
        now_ns: u64,
        info: &mut StreamInfo,
    ) {
        let config = self.config.correlation();
        let reads_trace = config.trace_mode() == TraceMode::Start || config.policy().generator == Generator::TraceId;
        let trace = if reads_trace { TraceParent::parse(head.traceparent) } else { None };
        info.outcome = correlation::judge(config.policy(), head.correlation, sender);
        info.correlation_id = match (info.outcome, head.correlation) {
            (Outcome::Kept, Header::One(value)) if self.shows_ids() => Some(CorrelationId::from_checked(value)),
            (Outcome::Kept, _) => None,
            _ => config.policy().generator.make(trace.as_ref(), seed, now_ns / 1_000_000),
        };
        info.started_trace =
            (config.trace_mode() == TraceMode::Start && trace.is_none()).then(|| TraceParent::start(seed));
        info.method = head.method.map_or(Method::Other, Method::from_bytes);
        info.endpoint = self.route(state, info.method, head.path, &mut info.placeholder);
        info.start_ns = now_ns;
        let rules = self.config.rules();
        info.rules = rules.candidates(info.method, info.endpoint);
        if info.rules != 0 {
            (info.rules, info.probes) = rules.with_path(info.rules, head.path);
        }
    }

    /// Whether an ID that was kept is needed again: on the response or in the filter state.
    #[inline]
    fn shows_ids(&self) -> bool {
        self.config.correlation().respond() || self.config.access_log().correlation_id()
    }

    /// The endpoint of a request. A placeholder label that has yet to be admitted is left in `placeholder`, which else is empty.
    #[inline]
    fn route(
        &self,
        state: &State,
        method: Method,
        path: Option<&[u8]>,
        placeholder: &mut PlaceholderBuffer,
    ) -> EndpointId {
        let found = path.map(|path| self.config.routes().table().find(method, path, placeholder));
        let endpoint = match found {
            Some(RouteMatch::Endpoint(endpoint)) => endpoint,
            Some(RouteMatch::Placeholder) => match state.learned(placeholder.as_bytes()) {
                Some(endpoint) => endpoint,
                None => return EndpointId::UNKNOWN,
            },
            None => EndpointId::UNKNOWN,
        };
        placeholder.clear();
        endpoint
    }

    /// What bounds a pool, proxy-wide.
    #[must_use]
    pub fn pool_limits(&self, pool: Pool) -> Limits {
        match pool {
            Pool::Endpoints => {
                let limits = self.config.routes().table().limits();
                let per_parent = limits.map(|limits| limits.max_per_parent);
                Limits { items: limits.map_or(0, |limits| limits.max_endpoints), per_parent }
            }
            Pool::Statuses => Limits { items: usize::from(self.config.metrics().extra_statuses()), per_parent: None },
        }
    }

    /// Counts a stream that has ended: one request, one duration, one correlation outcome. `info` is what [`Filter::on_request`] gave, if the
    /// stream came that far; `admit` asks for an item's admission proxy-wide, within [`Filter::pool_limits`].
    #[inline]
    pub fn on_log(
        &self,
        state: &mut State,
        info: Option<&StreamInfo>,
        end: &StreamEnd<'_>,
        admit: &mut dyn FnMut(Pool, &[u8]) -> Admitted,
    ) -> Logged {
        let status = end.status.unwrap_or(0);
        let reckoned = info.map_or(0, |info| end.now_ns.saturating_sub(info.start_ns));
        let duration_ns = end.duration_ns.unwrap_or(reckoned);
        let (method, endpoint, outcome) = match info {
            Some(info) => {
                let endpoint = self.resolve(state, info.endpoint, &info.placeholder, status, admit);
                (info.method, endpoint, info.outcome)
            }
            None => {
                let head = end.request.unwrap_or_default();
                let method = head.method.map_or(Method::Other, Method::from_bytes);
                let mut placeholder = PlaceholderBuffer::default();
                let endpoint = self.route(state, method, head.path, &mut placeholder);
                let endpoint = self.resolve(state, endpoint, &placeholder, status, admit);
                (method, endpoint, Outcome::NotSeen)
            }
        };
        let label = self.status_label(state, status, admit);
        let registry = state.registry_mut();
        registry.record(method, endpoint, label, duration_ns / 1000);
        registry.correlation(outcome);
        if endpoint == EndpointId::OVERFLOW {
            registry.endpoint_overflow();
        }
        Logged { method, endpoint, status, outcome, duration_ns }
    }

    /// The endpoint of a stream whose status is known. A placeholder label is not admitted from a 404 or 405, which say that the upstream has no
    /// such endpoint, and not before it was asked for several times: a scanner's paths take up no room, and are `unknown`.
    #[inline]
    fn resolve(
        &self,
        state: &mut State,
        endpoint: EndpointId,
        placeholder: &PlaceholderBuffer,
        status: u16,
        admit: &mut dyn FnMut(Pool, &[u8]) -> Admitted,
    ) -> EndpointId {
        if placeholder.is_empty() {
            return endpoint;
        }
        let text = placeholder.as_bytes();
        if let Some(learned) = state.learned(text) {
            return learned;
        }
        if matches!(status, 404 | 405) {
            return EndpointId::UNKNOWN;
        }
        if !state.has_room(text) {
            return EndpointId::OVERFLOW;
        }
        if !state.hit(text) {
            return EndpointId::UNKNOWN;
        }
        match admit(Pool::Endpoints, text) {
            Admitted::Yes => state.learn_endpoint(self, text).unwrap_or(EndpointId::OVERFLOW),
            Admitted::Full | Admitted::Unavailable => EndpointId::OVERFLOW,
        }
    }

    /// The rules to be run at the end of a stream that was counted as `logged`, with [`Firing`](crate::rule::fire::Firing); 0 for nearly all streams.
    #[inline]
    #[must_use]
    pub fn rules_of(&self, info: Option<&StreamInfo>, logged: &Logged) -> RuleSet {
        let rules = self.config.rules();
        match info {
            Some(info) if info.rules == 0 => 0,
            Some(info) => rules.with_status(info.rules, logged.status),
            None => rules.with_status(rules.candidates(logged.method, logged.endpoint), logged.status),
        }
    }

    /// Whether the access log shows facts of a stream: where there are such, and a rule names its endpoint and method.
    #[inline]
    #[must_use]
    pub fn shows_facts(&self, info: Option<&StreamInfo>, logged: &Logged) -> bool {
        let rules = self.config.rules();
        !self.config.access_log().facts().is_empty()
            && rules.names_endpoint(
                info.map_or_else(|| rules.candidates(logged.method, logged.endpoint), |info| info.rules),
            )
    }

    /// The label of a status code: its own if it is configured or admitted, else `other`.
    #[inline]
    fn status_label(
        &self,
        state: &mut State,
        status: u16,
        admit: &mut dyn FnMut(Pool, &[u8]) -> Admitted,
    ) -> StatusLabel {
        let label = StatusLabel::code(status);
        if self.config.metrics().statuses().contains(status) || state.has_status(status) {
            return label;
        }
        if label == StatusLabel::OTHER || state.is_full(Pool::Statuses) {
            return StatusLabel::OTHER;
        }
        let digits = [status / 100, status / 10 % 10, status % 10]
            .map(|digit| b'0'.saturating_add(u8::try_from(digit).unwrap_or(0)));
        match admit(Pool::Statuses, &digits) {
            Admitted::Yes => {
                state.learn_status(status);
                label
            }
            Admitted::Full | Admitted::Unavailable => StatusLabel::OTHER,
        }
    }
}

#[cfg(test)]
mod tests;
