//! `edge-observer replay --explain`: which rules are about the requests of a recording, and what they make of them.
//!
//! No proxy runs. The core's own code decides, fed from the recording: a HAR file has headers and bodies, an access log has the request line, the
//! status and two headers. A fact that needs more is not there, and the result says which could not be.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{BufReader, Read, stdin};
use std::net::SocketAddr;
use std::path::Path;

use host_harness::HeaderMap;
use host_harness::replay::{Arrival, Recorded};
use serde::Serialize;
use serde_json::Value;
use siem::event::Event;
use siem::format::{Format, Observer, Shape};
use telemetry::admission::Admitted;
use telemetry::config::Config;
use telemetry::correlation::Sender;
use telemetry::filter::{Filter, Logged, State, StreamEnd};
use telemetry::metrics::{MetricKind, MetricSink, label};
use telemetry::recent;
use telemetry::rule::body::Body;
use telemetry::rule::fire::{Ask, Firing, Occurrence, Proxy};
use telemetry::rule::{Burst, Once, Rule, Source, explain};
use telemetry::stream_info::StreamInfo;

use crate::Usage;
use crate::config_file;
use crate::table::{Column, Table, count, plural, printable};

/// The headers of requests that an access log has.
const LOGGED_HEADERS: [&str; 2] = ["referer", "user-agent"];
/// Where the time begins when the recording does not say, in nanoseconds since 1970.
const START_NS: u64 = 1_700_000_000_000_000_000;

/// What the rules made of a recording.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Explained {
    /// The requests, in the order in which they were played.
    pub requests: Vec<RequestExplained>,
    /// What could not be played, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// What the rules ask for and this kind of recording cannot have; facts that need it were not there.
    pub not_recorded: Vec<String>,
    /// All increments of the declared metrics, by series.
    pub metrics: BTreeMap<String, u64>,
    /// All events, by type.
    pub events: BTreeMap<String, u64>,
}

/// One request.
#[derive(Debug, Clone, Serialize)]
pub struct RequestExplained {
    /// Its place in the recording, from 1.
    pub number: u64,
    /// Its method.
    pub method: String,
    /// Its path, without the query.
    pub path: String,
    /// Its endpoint label.
    pub endpoint: String,
    /// The status; 0 without an answer.
    pub status: u16,
    /// What became of each rule.
    pub rules: Vec<RuleVerdict>,
    /// What was counted in the declared metrics.
    pub metrics: Vec<Increment>,
    /// The events, with the API's own field names.
    pub events: Vec<Value>,
}

/// What became of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleVerdict {
    /// The rule's name.
    pub rule: String,
    /// `fired`, `repeated`, `forgot`, `no_value`; `not` where a condition does not hold.
    pub outcome: String,
    /// The conditions that do not hold, and what was found instead.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unmet: Vec<String>,
    /// The endpoint is one that the rule names.
    #[serde(skip)]
    near: bool,
}

/// A change of one series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Increment {
    /// The metric.
    pub metric: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it was added or set.
    pub change: &'static str,
    /// By how much, or to what, in the proxy's whole numbers.
    pub value: u64,
}

/// Reads a recording (a HAR file or an access log; `-` is standard input) and plays it to the rules.
///
/// # Errors
/// When the recording or the configuration cannot be read.
pub fn run(recording: &Path, config: Option<&Path>) -> anyhow::Result<Explained> {
    let config = crate::up::load_config(config)?.config;
    let name = recording.display();
    let unreadable = |error: std::io::Error| Usage::error(format!("cannot read {name}: {error}"));
    let mut bytes = Vec::new();
    if recording.as_os_str() == config_file::STDIN {
        stdin().lock().read_to_end(&mut bytes).map_err(unreadable)?;
    } else {
        BufReader::new(File::open(recording).map_err(unreadable)?).read_to_end(&mut bytes).map_err(unreadable)?;
    }
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return Err(Usage::error(format!("{name} is compressed; unpack it, or use `zcat FILE | … --access-log -`")));
    }
    explain(&bytes, config).map_err(unreadable)
}

/// The same for a recording in memory.
///
/// # Errors
/// When it begins like a HAR file and is none.
pub fn explain(recording: &[u8], config: Config) -> std::io::Result<Explained> {
    let is_har = recording.trim_ascii_start().starts_with(b"{");
    let filter = Filter::new(config);
    let mut player = Player {
        state: State::new(&filter),
        filter,
        is_har,
        stats: Stats::default(),
        remembered: BTreeMap::new(),
        now_ns: START_NS,
        seed: 0,
    };
    let mut explained = Explained { not_recorded: player.not_recorded(), ..Explained::default() };
    // The series that are there from the start are no one's.
    player.drain();
    for (number, next) in (1..).zip(host_harness::replay::read(recording)?) {
        match next? {
            Ok(recorded) => explained.add(player.play(number, recorded)),
            Err(reason) => *explained.skipped.entry(reason).or_default() += 1,
        }
    }
    Ok(explained)
}

impl Explained {
    fn add(&mut self, request: RequestExplained) {
        for increment in &request.metrics {
            let total = self.metrics.entry(increment.series()).or_default();
            *total = if increment.change == "set" { increment.value } else { *total + increment.value };
        }
        for event in &request.events {
            let kind = event.get("EventType").and_then(Value::as_str).unwrap_or_default();
            *self.events.entry(kind.to_owned()).or_default() += 1;
        }
        self.requests.push(request);
    }

    /// The result for people: requests that a rule is about, or that are of an endpoint that one names.
    pub fn to_text(&self) -> String {
        let mut table = Table::new([
            ("request", Column::Number),
            ("", Column::Text),
            ("status", Column::Number),
            ("rule", Column::Text),
            ("outcome", Column::Text),
            ("what", Column::Text),
        ]);
        let mut shown: u64 = 0;
        for request in &self.requests {
            let mut lines: Vec<[String; 3]> = Vec::new();
            for verdict in request.rules.iter().filter(|verdict| verdict.outcome != "not" || verdict.near) {
                let what = verdict.unmet.first().cloned().unwrap_or_default();
                lines.push([verdict.rule.clone(), verdict.outcome.clone(), what]);
                lines.extend(verdict.unmet.iter().skip(1).map(|unmet| [String::new(), String::new(), unmet.clone()]));
            }
            if lines.is_empty() {
                continue;
            }
            for increment in &request.metrics {
                let sign = if increment.change == "set" { "= " } else { "+" };
                let what = format!("{} {sign}{}", increment.series(), increment.value);
                lines.push([String::new(), "metric".to_owned(), what]);
            }
            lines.extend(request.events.iter().map(|event| [String::new(), "event".to_owned(), event.to_string()]));
            shown += 1;
            let mut head =
                [count(request.number), format!("{} {}", request.method, request.path), request.status.to_string()];
            for line in lines {
                table.row(std::mem::take(&mut head).into_iter().chain(line));
            }
        }
        let mut out = if shown == 0 { String::new() } else { table.render() + "\n" };
        let all = self.requests.len() as u64;
        out.push_str(&format!("{}, rules are about {} of them\n", plural(all, "request"), count(shown)));
        for (reason, number) in &self.skipped {
            out.push_str(&format!(
                "not played: {}: {}\n",
                plural(*number, "entry").replace("entrys", "entries"),
                printable(reason)
            ));
        }
        for (series, total) in &self.metrics {
            out.push_str(&format!("{} {}\n", printable(series), count(*total)));
        }
        for (kind, number) in &self.events {
            out.push_str(&format!("event {} {}\n", printable(kind), count(*number)));
        }
        if !self.not_recorded.is_empty() {
            let list = self.not_recorded.join(", ");
            out.push_str(&format!("not in a recording of this kind, and taken as absent: {}\n", printable(&list)));
        }
        out
    }
}

impl Increment {
    /// As Prometheus writes a series.
    fn series(&self) -> String {
        if self.labels.is_empty() {
            return self.metric.clone();
        }
        let labels: Vec<String> = self.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        format!("{}{{{}}}", self.metric, labels.join(","))
    }
}

/// The filter, and what a proxy would know.
struct Player {
    filter: Filter,
    state: State,
    is_har: bool,
    stats: Stats,
    /// What is in the proxy's shared data.
    remembered: BTreeMap<(String, u32), Vec<u8>>,
    now_ns: u64,
    seed: u128,
}

impl Player {
    /// What the rules ask for and a recording of this kind cannot have.
    fn not_recorded(&self) -> Vec<String> {
        let rules = self.filter.config().rules();
        let correlation = self.filter.config().correlation().header();
        let is_missing = |source: &Source| match source {
            Source::Address => self.is_har,
            Source::ResponseBytes => true,
            Source::RequestHeader(name) => !self.is_har && !LOGGED_HEADERS.contains(&name.as_str()),
            Source::ResponseHeader(_) | Source::Body(_) | Source::RequestBytes | Source::DurationSeconds => {
                !self.is_har
            }
            Source::GrpcStatus => !self.is_har,
            _ => false,
        };
        let mut found = BTreeSet::new();
        for rule in rules.rules() {
            let facts = rule.facts().filter_map(|fact| rules.facts().get(fact)).flat_map(|fact| &fact.sources);
            let keys = rule.once.iter().flat_map(|once| &once.by);
            let senders = rule.event.iter().flat_map(|event| &event.burst).flat_map(|burst| &burst.by);
            let all = facts.chain(keys).chain(senders);
            found.extend(all.filter(|source| is_missing(source)).map(|source| explain::source(rules, source)));
            let headers = rule.condition.request_headers.iter();
            let headers = headers.filter(|name| !self.is_har && !LOGGED_HEADERS.contains(&name.as_str()));
            found.extend(headers.map(|name| format!("request_header:{name}")));
            if rule.condition.grpc_statuses.is_some() && !self.is_har {
                found.insert("grpc_status".to_owned());
            }
        }
        if !self.is_har && !rules.rules().is_empty() {
            found.insert(format!("request_header:{correlation} (each request has an ID of its own)"));
        }
        found.into_iter().collect()
    }

    fn drain(&mut self) -> Vec<(String, &'static str, u64)> {
        let config = self.filter.config();
        self.state.registry_mut().drain_rules(config.rules(), config.polls(), &mut self.stats);
        std::mem::take(&mut self.stats.changes)
    }

    fn play(&mut self, number: u64, recorded: Recorded) -> RequestExplained {
        // Time does not go back, and no two requests have the same.
        self.now_ns = recorded.start_ns.unwrap_or(0).max(self.now_ns + 1);
        self.seed += 1;
        let (shown, took_ns) = match recorded.arrival {
            Arrival::Request(request) => {
                let body = request.whole_body();
                // A recording that does not have the bytes has zeros in their place.
                let has_body = self.is_har && body.iter().any(|byte| *byte != 0);
                let shown = Shown {
                    request: request.header_map().clone(),
                    response: request.reply_headers().cloned().unwrap_or_default(),
                    body: has_body.then_some(body),
                    client: request.client().filter(|_| !self.is_har),
                    details: "via_upstream",
                };
                (shown, u64::try_from(request.time().as_nanos()).unwrap_or(u64::MAX))
            }
            Arrival::Refused => {
                let response = HeaderMap::from([(":status", "400")]);
                (Shown { response, details: "http1.codec_error", ..Shown::default() }, 0)
            }
        };
        let Self { filter, state, remembered, now_ns, seed, .. } = self;
        let filter = &*filter;
        let rules = filter.config().rules();
        let status = shown.response.get(":status").and_then(|status| std::str::from_utf8(status).ok()?.parse().ok());
        let seen = shown.details == "via_upstream";
        let mut info = StreamInfo::default();
        let mut body = None;
        if seen {
            let head = filter.request_head(shown.request.iter());
            let address = shown.client.map(|client| client.to_string());
            let sender = Sender { address: address.as_deref().map(str::as_bytes), mtls: false };
            filter.on_request(state, &head, &sender, seed_of(*seed), *now_ns, &mut info);
            if rules.reads_body(info.rules()) {
                let mut reading = Body::default();
                reading.begin(rules, shown.request.get("content-encoding"));
                for piece in shown.body.iter().flat_map(|body| body.chunks(16 << 10)) {
                    let wanted = reading.wants(rules).min(piece.len());
                    reading.feed(rules, piece.get(..wanted).unwrap_or_default());
                }
                body = Some(reading);
            }
        }
        let end = StreamEnd { status, now_ns: *now_ns, duration_ns: Some(took_ns), request: None };
        let info = seen.then_some(&info);
        let logged = filter.on_log(state, info, &end, &mut |_, _| Admitted::Yes);
        let endpoint = state.endpoint_label(filter, logged.endpoint).to_owned();
        let candidates = filter.rules_of(info, &logged);
        let mut proxy = Playing { shown: &shown, remembered, now_ns: *now_ns, seed: *seed, events: Vec::new() };
        let mut firing = Firing::new(filter, &endpoint, &logged, info, body.as_mut(), &mut proxy);
        if candidates != 0 {
            firing.run(candidates, state);
        }
        let mut verdicts: Vec<RuleVerdict> = rules
            .rules()
            .iter()
            .map(|rule| RuleVerdict {
                rule: rule.name.clone(),
                outcome: "not".to_owned(),
                unmet: firing.unmet(rule),
                near: names(rule, &logged),
            })
            .collect();
        let events = std::mem::take(&mut proxy.events);
        let namespace = format!("{}_", filter.config().namespace());
        let mut metrics = Vec::new();
        for (stat, change, value) in self.drain() {
            let (metric, labels) = read_stat(&stat);
            match metric.strip_prefix(&namespace) {
                Some("edge_rule_total") => {
                    let of = |name: &str| labels.get(name).cloned().unwrap_or_default();
                    if let Some(verdict) = verdicts.iter_mut().find(|verdict| verdict.rule == of("rule_name")) {
                        verdict.outcome = of("outcome");
                    }
                }
                Some(own) if own.starts_with("edge_") => {}
                _ => metrics.push(Increment { metric, labels, change, value }),
            }
        }
        let text = |name: &str| String::from_utf8_lossy(shown.request.get(name).unwrap_or_default()).into_owned();
        let path = text(":path");
        RequestExplained {
            number,
            method: text(":method"),
            path: path.split_once('?').map_or(path.as_str(), |(path, _)| path).to_owned(),
            endpoint,
            status: logged.status,
            rules: verdicts,
            metrics,
            events: events.iter().map(record).collect(),
        }
    }
}

/// Whether a rule names the endpoint and the method.
fn names(rule: &Rule, logged: &Logged) -> bool {
    let condition = &rule.condition;
    condition.endpoints.as_ref().is_some_and(|named| named.contains(&logged.endpoint))
        && condition.methods.as_ref().is_none_or(|methods| methods.contains(&logged.method))
}

/// An event with the API's own field names.
fn record(event: &Event) -> Value {
    let observer =
        Observer { vendor: String::new(), product: String::new(), version: String::new(), device: String::new() };
    let mut out = String::new();
    Format::Native.write(event, &observer, Shape { time_generated: false, objects: true }, &mut out);
    serde_json::from_str(&out).unwrap_or(Value::String(out))
}

/// A stat name's metric and labels.
fn read_stat(stat: &str) -> (String, BTreeMap<String, String>) {
    let (metric, labels) = stat.split_once('.').unwrap_or((stat, ""));
    let labels = labels.split(";.;").filter_map(|label| label.split_once("=.="));
    let unescaped = |value: &str| String::from_utf8_lossy(&label::unescape(value)).into_owned();
    (metric.to_owned(), labels.map(|(name, value)| (name.to_owned(), unescaped(value))).collect())
}

/// Sixteen bytes that no other request has.
fn seed_of(number: u128) -> [u8; 16] {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes()
}

/// One request, as a proxy would show it.
#[derive(Debug, Default)]
struct Shown {
    request: HeaderMap,
    response: HeaderMap,
    body: Option<Vec<u8>>,
    client: Option<SocketAddr>,
    details: &'static str,
}

/// The proxy at the end of a stream.
struct Playing<'a> {
    shown: &'a Shown,
    remembered: &'a mut BTreeMap<(String, u32), Vec<u8>>,
    now_ns: u64,
    seed: u128,
    events: Vec<Event>,
}

impl Proxy for Playing<'_> {
    fn ask(&mut self, what: Ask<'_>, to: &mut Vec<u8>) -> bool {
        let found = match what {
            Ask::RequestHeader(name) => self.shown.request.get(name).map(<[u8]>::to_vec),
            // HAR has HTTP's trailers nowhere, and browsers write them among the headers if at all.
            Ask::ResponseHeader(name) | Ask::ResponseTrailer(name) => self.shown.response.get(name).map(<[u8]>::to_vec),
            Ask::Property(b"source\0address") => self.shown.client.map(|client| client.to_string().into_bytes()),
            Ask::Property(b"request\0size") => {
                self.shown.body.as_ref().and_then(|body| Some(i64::try_from(body.len()).ok()?.to_le_bytes().to_vec()))
            }
            Ask::Property(b"response\0code_details") => Some(self.shown.details.as_bytes().to_vec()),
            Ask::Property(_) => None,
        };
        to.extend_from_slice(found.as_deref().unwrap_or_default());
        found.is_some()
    }

    fn occurrence(&mut self, rule: &Rule, once: &Once, key: &[&[u8]]) -> Occurrence {
        let (hash, window) = (hash(key), once.window());
        let place = (rule.name.clone(), recent::bucket(hash, window.buckets));
        let current = self.remembered.get(&place).map(Vec::as_slice);
        match recent::once(current, hash, self.now_ns / 1_000_000_000, window) {
            recent::Seen::First { write, evicted } => {
                self.remembered.insert(place, write);
                Occurrence::First { forgot: evicted }
            }
            recent::Seen::Again { .. } => Occurrence::Again,
        }
    }

    fn burst(&mut self, rule: &Rule, burst: &Burst, sender: &[u8]) -> Option<u32> {
        let (hash, window) = (hash(&[sender]), burst.window());
        let place = (format!("{}.burst", rule.name), recent::bucket(hash, window.buckets));
        let current = self.remembered.get(&place).map(Vec::as_slice);
        let counted = recent::count(current, hash, self.now_ns / 1_000_000_000, window, burst.count);
        self.remembered.insert(place, counted.write);
        counted.crossed
    }

    fn now_and_seed(&mut self) -> (u64, [u8; 16]) {
        self.seed += 1 << 64;
        (self.now_ns, seed_of(self.seed))
    }

    fn emit(&mut self, event: Event) {
        self.events.push(event);
    }
}

fn hash(key: &[&[u8]]) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// What the rules count, as it comes.
#[derive(Debug, Default)]
struct Stats {
    names: Vec<String>,
    changes: Vec<(String, &'static str, u64)>,
}

impl Stats {
    fn change(&mut self, id: u32, change: &'static str, value: u64) -> bool {
        let name = usize::try_from(id).ok().and_then(|id| self.names.get(id)).cloned();
        if value > 0 || change == "set" {
            self.changes.extend(name.map(|name| (name, change, value)));
        }
        true
    }
}

impl MetricSink for Stats {
    fn define(&mut self, _: MetricKind, name: &str) -> Option<u32> {
        self.names.push(name.to_owned());
        u32::try_from(self.names.len() - 1).ok()
    }

    fn add(&mut self, id: u32, delta: u64) -> bool {
        self.change(id, "add", delta)
    }

    fn set(&mut self, id: u32, value: u64) -> bool {
        self.change(id, "set", value)
    }
}

#[cfg(test)]
mod tests;
