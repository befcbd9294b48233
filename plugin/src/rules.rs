//! Rules at the end of a stream: what they ask of the proxy, and the bodies that are read for them.

use siem::event::Event;
use telemetry::filter::Logged;
use telemetry::recent::Secret;
use telemetry::rule::body::Body;
use telemetry::rule::fire::{Ask, Firing, Occurrence, Proxy};
use telemetry::rule::{Burst, Once, Rule, RuleSet};
use telemetry::stream_info::StreamInfo;

use crate::faults::Faults;
use crate::flush::{HostMetrics, HostShared};
use crate::host::{self, HeaderMap, HostBuffer};
use crate::random::Random;
use crate::root::Instance;
use crate::shared;
use crate::stream::show;
use crate::vm::Tools;

/// The longest value that is taken from a header.
const MAX_VALUE: usize = 4096;
/// How much of a body is looked at in one piece.
const PIECE: usize = 64 * 1024;
/// How many bodies' memory is kept for the next ones.
const MAX_SPARE: usize = 16;

/// Memory for the reading of bodies.
#[derive(Debug, Default)]
#[allow(clippy::vec_box, reason = "each goes to a stream, which holds no more than a pointer")]
pub(crate) struct SpareBodies(Vec<Box<Body>>);

impl SpareBodies {
    fn take(&mut self) -> Box<Body> {
        self.0.pop().unwrap_or_default()
    }

    /// Gives back what a stream no longer needs.
    pub(crate) fn put(&mut self, body: Option<Box<Body>>) {
        if let Some(body) = body
            && self.0.len() < MAX_SPARE
        {
            self.0.push(body);
        }
    }
}

/// Begins to read the body of a request that rules may want a value of.
#[cold]
pub(crate) fn begin_body(
    filter: &telemetry::filter::Filter,
    spare: &mut SpareBodies,
    buffer: &mut HostBuffer,
    faults: &mut Faults,
) -> Box<Body> {
    let encoding = faults.catch(host::header_value(HeaderMap::Request, b"content-encoding", buffer)).flatten();
    let mut body = spare.take();
    body.begin(filter.config().rules(), encoding);
    body
}

/// Reads a piece of a body, `size` bytes of which have come.
#[cold]
pub(crate) fn feed_body(body: &mut Body, size: usize, instance: &mut Instance, buffer: &mut HostBuffer) {
    let rules = instance.filter.config().rules();
    let mut start = 0;
    while start < size {
        let wanted = body.wants(rules).min(size - start).min(PIECE);
        if wanted == 0 {
            return;
        }
        let Some(piece) = instance.faults.catch(host::request_body(start, wanted, buffer)) else {
            return;
        };
        if piece.is_empty() {
            return;
        }
        start += piece.len();
        body.feed(rules, piece);
    }
}

/// Runs the rules that may be about a stream that has ended.
#[cold]
pub(crate) fn fire(
    candidates: RuleSet,
    logged: &Logged,
    info: Option<&StreamInfo>,
    body: Option<&mut Body>,
    instance: &mut Instance,
    tools: &mut Tools,
) {
    let Instance { filter, state, filter_state, shared, succession, faults, delivery, .. } = instance;
    let endpoint = state.endpoint_label(filter, logged.endpoint).to_owned();
    let Tools { value: buffer, random, secret, .. } = tools;
    let mut proxy =
        HostProxy { buffer, faults, prefix: &shared.recent, random, secret, clock_ns: None, events: Vec::new() };
    let mut firing = Firing::new(filter, &endpoint, logged, info, body, &mut proxy);
    firing.run(candidates, state);
    let mut shown = Vec::new();
    if filter.shows_facts(info, logged) {
        shown.extend(filter_state.facts.iter().filter_map(|(key, fact)| Some((key, firing.fact(*fact)?.clone()))));
    }
    let events = core::mem::take(&mut proxy.events);
    let now_ns = proxy.clock_ns.unwrap_or_default();
    for (key, value) in shown {
        show(key, value.as_bytes(), faults);
    }
    if !events.is_empty() {
        let seed = tools.random.as_mut().map(Random::seed);
        delivery.begin(filter.config(), seed, now_ns, tools.for_events(), faults);
    }
    for event in events {
        delivery.emit(event, now_ns, tools.for_events(), faults);
    }
    // Of a gauge the latest value counts, and another worker may have a later one before the next tick; and what is said of events should not go
    // with a VM that dies.
    if delivery.report(now_ns, state.registry_mut()) || state.registry().has_fresh_gauge() {
        let config = filter.config();
        state.registry_mut().drain_rules(config.rules(), config.polls(), &mut HostMetrics::all(succession, faults));
    }
}

/// The proxy, as rules see it.
struct HostProxy<'a> {
    buffer: &'a mut HostBuffer,
    faults: &'a mut Faults,
    /// What the keys of remembered occurrences begin with.
    prefix: &'a str,
    random: &'a mut Option<Random>,
    secret: &'a mut Option<Secret>,
    /// The time, once it was asked for.
    clock_ns: Option<u64>,
    /// What the rules have made.
    events: Vec<Event>,
}

/// Where the secret lies that the keys of what is remembered are hashed with.
const SECRET_KEY: &str = "edge_observer.secret";

impl HostProxy<'_> {
    /// The hash of a key; `None` where the proxy's shared data cannot be used.
    fn hash(&mut self, key: &[&[u8]]) -> Option<u64> {
        if self.secret.is_none() {
            let seed = self.random.as_mut()?.seed();
            *self.secret = shared::secret(SECRET_KEY, seed, &mut self.shared());
        }
        self.secret.as_ref().map(|secret| secret.hash(key))
    }

    fn shared(&mut self) -> HostShared<'_> {
        HostShared { buffer: self.buffer, faults: self.faults }
    }

    fn now_ns(&mut self) -> Option<u64> {
        if self.clock_ns.is_none() {
            self.clock_ns = self.faults.catch(host::wall_clock_ns());
        }
        self.clock_ns
    }

    fn now_s(&mut self) -> Option<u64> {
        self.now_ns().map(|now_ns| now_ns / 1_000_000_000)
    }
}

impl Proxy for HostProxy<'_> {
    fn ask(&mut self, what: Ask<'_>, to: &mut Vec<u8>) -> bool {
        let header = |map, name: &str, buffer| host::header_value(map, name.as_bytes(), buffer);
        let found = match what {
            Ask::RequestHeader(name) => header(HeaderMap::Request, name, &mut *self.buffer),
            Ask::ResponseHeader(name) => header(HeaderMap::Response, name, &mut *self.buffer),
            Ask::ResponseTrailer(name) => header(HeaderMap::ResponseTrailers, name, &mut *self.buffer),
            Ask::Property(path) => host::property(path, self.buffer),
        };
        match self.faults.catch(found).flatten() {
            Some(value) => {
                to.extend_from_slice(value.get(..MAX_VALUE).unwrap_or(value));
                true
            }
            None => false,
        }
    }

    fn occurrence(&mut self, rule: &Rule, once: &Once, key: &[&[u8]]) -> Occurrence {
        let (Some(now_s), Some(hash)) = (self.now_s(), self.hash(key)) else {
            return Occurrence::Unknown;
        };
        let prefix = format!("{}{}.", self.prefix, rule.name);
        shared::once(&prefix, once.window(), hash, now_s, &mut self.shared())
    }

    fn burst(&mut self, rule: &Rule, burst: &Burst, sender: &[u8]) -> Option<u32> {
        let (Some(now_s), Some(hash)) = (self.now_s(), self.hash(&[sender])) else {
            return None;
        };
        let prefix = format!("{}{}.burst.", self.prefix, rule.name);
        shared::burst(&prefix, burst.window(), burst.count, hash, now_s, &mut self.shared())
    }

    fn now_and_seed(&mut self) -> (u64, [u8; 16]) {
        (self.now_ns().unwrap_or_default(), self.random.as_mut().map(Random::seed).unwrap_or_default())
    }

    fn emit(&mut self, event: Event) {
        self.events.push(event);
    }
}
