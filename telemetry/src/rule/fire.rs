//! The end of a stream that a rule may be about: conditions, facts, once, outputs.

#[cfg(feature = "tools")]
mod explain;

use siem::event::{Event, Number, Text};

use super::body::{Body, BodyOutcome};
use super::fact::{Fact, Source};
use super::metric::MetricValue;
use super::{Burst, EventSpec, Once, Rule, RuleSet, Rules, probe, probe::Probes};
use crate::filter::{Filter, Logged, State};
use crate::json::number;
use crate::method::Method;
use crate::metrics::MetricKind;
use crate::route;
use crate::stream_info::StreamInfo;

/// Something that only the proxy knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask<'a> {
    /// A header of the request.
    RequestHeader(&'a str),
    /// A header of the response.
    ResponseHeader(&'a str),
    /// A trailer of the response.
    ResponseTrailer(&'a str),
    /// A property of the stream, its path's parts separated by NUL.
    Property(&'a [u8]),
}

/// Whether something has happened before, within a window, anywhere in the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occurrence {
    /// It has not, as far as is known.
    First {
        /// To remember it, another one that was still within the window had to be forgotten.
        forgot: bool,
    },
    /// It has.
    Again,
    /// The proxy does not say.
    Unknown,
}

/// What the end of a stream asks of the proxy.
pub trait Proxy {
    /// Appends the value to `to`; false where there is none.
    fn ask(&mut self, what: Ask<'_>, to: &mut Vec<u8>) -> bool;

    /// Whether this key, of several parts, has been seen for this rule.
    fn occurrence(&mut self, rule: &Rule, once: &Once, key: &[&[u8]]) -> Occurrence;

    /// Counts one more for this rule of a sender; how many there were, when it is time for an event.
    fn burst(&mut self, rule: &Rule, burst: &Burst, sender: &[u8]) -> Option<u32>;

    /// The time, in nanoseconds since 1970, and 16 random bytes.
    fn now_and_seed(&mut self) -> (u64, [u8; 16]);

    /// Takes an event.
    fn emit(&mut self, event: Event);
}

/// What became of a rule whose conditions held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RuleOutcome {
    /// It made what it makes.
    Fired,
    /// It was a repetition.
    Repeated,
    /// It made what it makes, and another key was forgotten for it.
    Forgot,
    /// There was no value to count.
    NoValue,
}

impl RuleOutcome {
    /// Each of them, in the order of their declaration.
    pub const ALL: [Self; 4] = [Self::Fired, Self::Repeated, Self::Forgot, Self::NoValue];

    /// The value of the label `outcome`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fired => "fired",
            Self::Repeated => "repeated",
            Self::Forgot => "forgot",
            Self::NoValue => "no_value",
        }
    }
}

/// The end of one stream.
pub struct Firing<'a> {
    filter: &'a Filter,
    rules: &'a Rules,
    endpoint: &'a str,
    logged: &'a Logged,
    info: Option<&'a StreamInfo>,
    body: Option<&'a mut Body>,
    proxy: &'a mut dyn Proxy,
    /// By fact: what it is, once it was asked for.
    known: Vec<Option<Option<String>>>,
    /// For what the proxy answers.
    answer: Vec<u8>,
}

impl<'a> Firing<'a> {
    /// For a stream that was counted as `logged`.
    #[inline]
    pub fn new(
        filter: &'a Filter,
        endpoint: &'a str,
        logged: &'a Logged,
        info: Option<&'a StreamInfo>,
        body: Option<&'a mut Body>,
        proxy: &'a mut dyn Proxy,
    ) -> Self {
        let rules = filter.config().rules();
        let known = vec![None; rules.facts().len()];
        Self { filter, rules, endpoint, logged, info, body, proxy, known, answer: Vec::new() }
    }

    /// Does what the rules say, of those in `candidates`.
    #[inline]
    pub fn run(&mut self, candidates: RuleSet, state: &mut State) {
        let outcome = self.body.as_mut().map_or(BodyOutcome::Incomplete, |body| body.finish());
        if self.rules.reads_body(candidates) {
            state.registry_mut().body(outcome);
        }
        let rules = self.rules;
        for (index, rule) in rules.rules().iter().enumerate() {
            if candidates >> index & 1 == 1 && self.holds(rule) {
                let outcome = self.fire(rule, state);
                state.registry_mut().rule(index, outcome);
            }
        }
    }

    #[inline]
    fn holds(&mut self, rule: &Rule) -> bool {
        let condition = &rule.condition;
        condition.has_status(self.logged.status)
            && condition
                .outcomes
                .as_ref()
                .is_none_or(|outcomes| outcomes.iter().any(|outcome| outcome == self.logged.outcome.outcome()))
            && condition.request_headers.iter().all(|name| {
                self.answer.clear();
                self.proxy.ask(Ask::RequestHeader(name), &mut self.answer)
            })
            && condition.grpc_statuses.as_ref().is_none_or(|codes| {
                let code = self
                    .value(&Source::GrpcStatus)
                    .and_then(|()| core::str::from_utf8(&self.answer).ok()?.parse::<u8>().ok());
                code.is_some_and(|code| codes.contains(&code))
            })
            && condition.probes.is_none_or(|wanted| self.probes() & wanted != 0)
            && condition.details.as_ref().is_none_or(|wanted| {
                self.answer.clear();
                let known = self.proxy.ask(Ask::Property(b"response\0code_details"), &mut self.answer);
                let end = self.answer.iter().position(|byte| *byte == b'{').unwrap_or(self.answer.len());
                known && wanted.iter().any(|wanted| Some(wanted.as_bytes()) == self.answer.get(..end))
            })
            && condition.facts.iter().all(|(fact, values)| self.fact(*fact).is_some_and(|value| values.contains(value)))
            && condition.same.is_none_or(|(a, b)| {
                let a = self.fact(a).cloned();
                a.is_some() && a.as_ref() == self.fact(b)
            })
    }

    #[inline]
    fn fire(&mut self, rule: &Rule, state: &mut State) -> RuleOutcome {
        let mut outcome = RuleOutcome::Fired;
        if let Some(once) = &rule.once
            && let Some(occurrence) = self.occurrence(rule, once)
        {
            match occurrence {
                Occurrence::First { forgot: false } | Occurrence::Unknown => {}
                Occurrence::First { forgot: true } => outcome = RuleOutcome::Forgot,
                Occurrence::Again => return RuleOutcome::Repeated,
            }
        }
        if self.count(rule, state).is_none() {
            outcome = RuleOutcome::NoValue;
        }
        if let Some(spec) = &rule.event {
            self.tell(rule, spec);
        }
        outcome
    }

    /// What the path looks for. A stream that showed no headers in time is asked for it now.
    #[inline]
    fn probes(&mut self) -> Probes {
        if let Some(info) = self.info {
            return info.probes;
        }
        self.answer.clear();
        if self.proxy.ask(Ask::RequestHeader(":path"), &mut self.answer) { probe::find(&self.answer) } else { 0 }
    }

    /// Makes the event, unless it takes more of them.
    #[inline]
    fn tell(&mut self, rule: &Rule, spec: &EventSpec) {
        let mut count = 1;
        if let Some(burst) = &spec.burst {
            if burst.by.iter().find_map(|source| self.value(source)).is_none() {
                self.answer.clear();
            }
            match self.proxy.burst(rule, burst, &self.answer) {
                Some(reached) => count = reached,
                None => return,
            }
        }
        let (now_ns, seed) = self.proxy.now_and_seed();
        let mut event = Event::new(uuid_v7(now_ns, seed), &spec.kind, spec.class, now_ns);
        if let Some(severity) = spec.severity {
            event.severity = severity;
        }
        event.count = count;
        let fields = spec.fields;
        event.deployment_id = self.text(fields.deployment_id);
        event.decision =
            fields.decision.and_then(|fact| self.fact(fact)).map(|text| Text::new(text.to_ascii_uppercase()));
        event.approved_by = self.text(fields.approved_by);
        event.risk_score = fields.risk_score.and_then(|fact| self.fact(fact)).and_then(|text| Number::parse(text));
        event.correlation_id = self.value(&Source::CorrelationId).map(|()| Text::new(&self.answer));
        event.source = self.value(&Source::Address).map(|()| Text::new(&self.answer));
        // A method outside the known ones is told as it came: it is what the event may be about.
        self.answer.clear();
        let method = self.logged.method;
        let came = method == Method::Other && self.proxy.ask(Ask::RequestHeader(":method"), &mut self.answer);
        event.method = Some(if came { Text::new(&self.answer) } else { Text::new(method.as_str()) });
        event.endpoint = Some(Text::new(self.endpoint));
        event.status = Some(self.logged.status);
        let ring = self.filter.config().ring();
        event.ring = (!ring.is_empty()).then(|| Text::new(ring));
        for fact in &spec.with {
            if let Some(name) = self.rules.facts().get(*fact).map(|fact| Text::new(&fact.name))
                && let Some(value) = self.text(Some(*fact))
            {
                event.extra.add(name, value);
            }
        }
        self.proxy.emit(event);
    }

    #[inline]
    fn text<const MAX: usize>(&mut self, fact: Option<usize>) -> Option<Text<MAX>> {
        self.fact(fact?).map(Text::new)
    }

    /// `None` where the value is not there.
    #[inline]
    fn count(&mut self, rule: &Rule, state: &mut State) -> Option<()> {
        let Some(counts) = &rule.metric else { return Some(()) };
        let spec = self.rules.metrics().get(counts.metric)?;
        let scale = match spec.kind {
            MetricKind::Histogram => 1_000_000,
            MetricKind::Counter | MetricKind::Gauge => spec.scale,
        };
        let value = match counts.value {
            MetricValue::Whole(whole) => whole.saturating_mul(u64::from(scale)),
            MetricValue::Fact(fact) => number::as_scaled_u64(self.fact(fact)?, scale)?,
        };
        for fact in &counts.labels {
            self.fact(*fact);
        }
        let known = &self.known;
        let combination = spec.combination(|label| {
            let fact = counts.labels.get(label)?;
            known.get(*fact)?.as_ref()?.as_deref()
        })?;
        state.registry_mut().declared(counts.metric, spec, combination, value);
        Some(())
    }

    /// Whether this is a second try; `None` where the request has nothing that would say so.
    #[inline]
    fn occurrence(&mut self, rule: &Rule, once: &Once) -> Option<Occurrence> {
        once.by.iter().find_map(|source| self.value(source))?;
        let mut path = Vec::new();
        self.proxy.ask(Ask::RequestHeader(":path"), &mut path);
        let method = self.logged.method.as_str();
        Some(self.proxy.occurrence(rule, once, &[method.as_bytes(), &path, &self.answer]))
    }

    /// A fact; it is looked for once.
    #[inline]
    pub fn fact(&mut self, index: usize) -> Option<&String> {
        if self.known.get(index)?.is_none() {
            let rules = self.rules;
            let fact = rules.facts().get(index)?;
            let value = self.find(fact);
            *self.known.get_mut(index)? = Some(value);
        }
        self.known.get(index)?.as_ref()?.as_ref()
    }

    #[inline]
    fn find(&mut self, fact: &Fact) -> Option<String> {
        let found = fact.sources.iter().find_map(|source| {
            self.value(source)?;
            fact.read(&self.answer)
        });
        found.or_else(|| fact.fallback())
    }

    /// Leaves the value of a source in `answer`.
    #[inline]
    fn value(&mut self, source: &Source) -> Option<()> {
        self.answer.clear();
        match source {
            Source::Endpoint => self.answer.extend_from_slice(self.endpoint_name().as_bytes()),
            Source::Method => self.answer.extend_from_slice(self.logged.method.as_str().as_bytes()),
            Source::Status => self.answer.extend_from_slice(self.logged.status.to_string().as_bytes()),
            Source::StatusClass => {
                let class = self.logged.status / 100;
                if class == 0 {
                    return None;
                }
                self.answer.extend_from_slice(format!("{class}xx").as_bytes());
            }
            Source::GrpcStatus => {
                let found = self.proxy.ask(Ask::ResponseTrailer("grpc-status"), &mut self.answer)
                    || self.proxy.ask(Ask::ResponseHeader("grpc-status"), &mut self.answer);
                return found.then_some(());
            }
            Source::Outcome => self.answer.extend_from_slice(self.logged.outcome.outcome().as_bytes()),
            Source::CorrelationId => match self.info.and_then(StreamInfo::correlation_id) {
                Some(id) => self.answer.extend_from_slice(id.as_bytes()),
                None => {
                    let header = self.filter.config().correlation().header();
                    return self.proxy.ask(Ask::RequestHeader(header), &mut self.answer).then_some(());
                }
            },
            Source::Address => {
                if !self.proxy.ask(Ask::Property(b"source\0address"), &mut self.answer) {
                    return None;
                }
                self.answer = without_port(&self.answer).to_vec();
            }
            Source::RequestBytes => return self.size(b"request\0size"),
            Source::ResponseBytes => return self.size(b"response\0size"),
            Source::DurationSeconds => {
                let micros = self.logged.duration_ns / 1000;
                let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
                self.answer.extend_from_slice(text.as_bytes());
            }
            Source::Constant(text) => self.answer.extend_from_slice(text.as_bytes()),
            Source::Path(name) => {
                let mut path = Vec::new();
                if !self.proxy.ask(Ask::RequestHeader(":path"), &mut path) {
                    return None;
                }
                let routes = self.filter.config().routes();
                let options = routes.options();
                let value = self.templates().find_map(|template| route::parameter(template, &path, name, options))?;
                self.answer.extend_from_slice(&value);
            }
            Source::RequestHeader(name) => {
                return self.proxy.ask(Ask::RequestHeader(name), &mut self.answer).then_some(());
            }
            Source::ResponseHeader(name) => {
                return self.proxy.ask(Ask::ResponseHeader(name), &mut self.answer).then_some(());
            }
            Source::Body(pointer) => {
                return self.body.as_ref()?.value(self.rules, *pointer, &mut self.answer).then_some(());
            }
        }
        Some(())
    }

    /// A property that is a number of bytes.
    #[inline]
    fn size(&mut self, property: &[u8]) -> Option<()> {
        if !self.proxy.ask(Ask::Property(property), &mut self.answer) {
            return None;
        }
        let bytes = <[u8; 8]>::try_from(self.answer.as_slice()).ok()?;
        let size = u64::try_from(i64::from_le_bytes(bytes)).ok()?;
        self.answer.clear();
        self.answer.extend_from_slice(size.to_string().as_bytes());
        Some(())
    }

    /// The templates behind the endpoint's label.
    #[inline]
    fn templates(&self) -> impl Iterator<Item = &'a str> {
        let routes = self.filter.config().routes();
        let label = self.endpoint;
        routes
            .specs()
            .iter()
            .filter(move |spec| spec.template == label || spec.name.as_deref() == Some(label))
            .map(|spec| spec.template.as_str())
    }

    /// The name of the endpoint's route, or its label where it has none.
    #[inline]
    fn endpoint_name(&self) -> &'a str {
        let routes = self.filter.config().routes();
        let named = routes.specs().iter().find(|spec| spec.template == self.endpoint && spec.name.is_some());
        named.and_then(|spec| spec.name.as_deref()).unwrap_or(self.endpoint)
    }
}

/// A UUID of version 7 (RFC 9562 section 5.7).
#[inline]
fn uuid_v7(now_ns: u64, seed: [u8; 16]) -> [u8; 16] {
    let mut uuid = seed;
    let millis = (now_ns / 1_000_000).to_be_bytes();
    uuid.iter_mut().zip(millis.iter().skip(2)).for_each(|(slot, byte)| *slot = *byte);
    let [.., version, _, variant, _, _, _, _, _, _, _] = &mut uuid;
    *version = *version & 0x0f | 0x70;
    *variant = *variant & 0x3f | 0x80;
    uuid
}

/// An address without its port: `10.0.0.1:5` is `10.0.0.1`, `[::1]:5` is `::1`.
#[inline]
fn without_port(address: &[u8]) -> &[u8] {
    let colon = address.iter().rposition(|byte| *byte == b':');
    match (address, colon) {
        ([b'[', inner @ ..], Some(_)) => {
            let end = inner.iter().position(|byte| *byte == b']').unwrap_or(inner.len());
            inner.get(..end).unwrap_or_default()
        }
        (_, Some(colon)) if address.iter().filter(|byte| **byte == b':').count() == 1 => {
            address.get(..colon).unwrap_or_default()
        }
        _ => address,
    }
}

impl core::fmt::Debug for Firing<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Firing").field("endpoint", &self.endpoint).field("known", &self.known).finish_non_exhaustive()
    }
}
