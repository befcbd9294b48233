//! Rules from their configuration to what they count.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use siem::event::Event;

use super::body::Body;
use super::fire::{Ask, Firing, Occurrence, Proxy};
use super::*;
use crate::admission::Admitted;
use crate::config::Config;
use crate::correlation::Sender;
use crate::filter::{Filter, State, StreamEnd};
use crate::metrics::{MetricKind, MetricSink};
use crate::stream_info::StreamInfo;

const ID: &str = "0123456789abcdef";

/// One request, as the proxy shows it.
#[derive(Clone, Debug, Default)]
struct Exchange {
    request: BTreeMap<String, String>,
    response: BTreeMap<String, String>,
    trailers: BTreeMap<String, String>,
    properties: BTreeMap<Vec<u8>, Vec<u8>>,
    body: Vec<u8>,
    status: u16,
}

impl Exchange {
    fn new(method: &str, path: &str, status: u16) -> Self {
        let mut exchange = Self { status, ..Self::default() };
        exchange.request("x-correlation-id", ID).request(":method", method).request(":path", path)
    }

    fn request(&mut self, name: &str, value: &str) -> Self {
        self.request.insert(name.to_owned(), value.to_owned());
        self.clone()
    }

    fn response(mut self, name: &str, value: &str) -> Self {
        self.response.insert(name.to_owned(), value.to_owned());
        self
    }

    fn body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self
    }
}

/// The proxy at the end of a stream.
struct Shown<'a> {
    exchange: &'a Exchange,
    seen: &'a mut BTreeSet<(String, Vec<u8>)>,
    bursts: &'a mut BTreeMap<(String, Vec<u8>), u32>,
    events: &'a mut Vec<Event>,
}

impl Proxy for Shown<'_> {
    fn ask(&mut self, what: Ask<'_>, to: &mut Vec<u8>) -> bool {
        let found = match what {
            Ask::RequestHeader(name) => self.exchange.request.get(name).map(String::as_bytes),
            Ask::ResponseHeader(name) => self.exchange.response.get(name).map(String::as_bytes),
            Ask::ResponseTrailer(name) => self.exchange.trailers.get(name).map(String::as_bytes),
            Ask::Property(path) => self.exchange.properties.get(path).map(Vec::as_slice),
        };
        to.extend_from_slice(found.unwrap_or_default());
        found.is_some()
    }

    fn burst(&mut self, rule: &Rule, burst: &Burst, sender: &[u8]) -> Option<u32> {
        let count = self.bursts.entry((rule.name.clone(), sender.to_vec())).or_default();
        *count += 1;
        (*count == burst.count).then_some(*count)
    }

    fn now_and_seed(&mut self) -> (u64, [u8; 16]) {
        (1_700_000_000_000_000_000, [0xff; 16])
    }

    fn emit(&mut self, event: Event) {
        self.events.push(event);
    }

    fn occurrence(&mut self, rule: &Rule, _once: &Once, key: &[&[u8]]) -> Occurrence {
        if self.seen.insert((rule.name.clone(), key.join(&0))) {
            Occurrence::First { forgot: false }
        } else {
            Occurrence::Again
        }
    }
}

/// Stats by name.
#[derive(Debug, Default)]
struct Stats {
    names: Vec<String>,
    values: BTreeMap<String, u64>,
}

impl MetricSink for Stats {
    fn define(&mut self, _kind: MetricKind, name: &str) -> Option<u32> {
        self.values.entry(name.to_owned()).or_default();
        self.names.push(name.to_owned());
        u32::try_from(self.names.len() - 1).ok()
    }

    fn add(&mut self, id: u32, delta: u64) -> bool {
        *self.values.get_mut(&self.names[id as usize]).unwrap() += delta;
        true
    }

    fn set(&mut self, id: u32, value: u64) -> bool {
        self.values.insert(self.names[id as usize].clone(), value);
        true
    }
}

/// A filter with its rules, and what it has counted.
struct Running {
    filter: Filter,
    state: State,
    seen: BTreeSet<(String, Vec<u8>)>,
    bursts: BTreeMap<(String, Vec<u8>), u32>,
    events: Vec<Event>,
    stats: Stats,
}

impl Running {
    fn new(facts: Value, rules: Value) -> Self {
        let config = Config::from_value(configuration(facts, rules)).unwrap_or_else(|errors| panic!("{errors}"));
        let filter = Filter::new(config);
        let state = State::new(&filter);
        Self {
            filter,
            state,
            seen: BTreeSet::new(),
            bursts: BTreeMap::new(),
            events: Vec::new(),
            stats: Stats::default(),
        }
    }

    /// Plays a request and says which rules might be about it.
    fn play(&mut self, exchange: &Exchange) -> RuleSet {
        let lines = exchange.request.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let head = self.filter.request_head(lines);
        let mut info = StreamInfo::default();
        self.filter.on_request(&self.state, &head, &Sender::default(), [7; 16], 1, &mut info);
        let rules = self.filter.config().rules();
        let mut body = rules.reads_body(info.rules()).then(|| {
            let mut body = Body::default();
            body.begin(rules, exchange.request.get("content-encoding").map(String::as_bytes));
            for piece in exchange.body.chunks(3) {
                if body.wants(rules) > 0 {
                    body.feed(rules, piece);
                }
            }
            body
        });
        let end = StreamEnd { status: Some(exchange.status), duration_ns: Some(1_500_000_000), ..StreamEnd::default() };
        let logged = self.filter.on_log(&mut self.state, Some(&info), &end, &mut |_, _| Admitted::Full);
        let candidates = self.filter.rules_of(Some(&info), &logged);
        let endpoint = self.state.endpoint_label(&self.filter, logged.endpoint).to_owned();
        let Self { filter, state, seen, bursts, events, .. } = self;
        let mut proxy = Shown { exchange, seen, bursts, events };
        if candidates != 0 {
            Firing::new(filter, &endpoint, &logged, Some(&info), body.as_mut(), &mut proxy).run(candidates, state);
        }
        candidates
    }

    /// The stats that are not 0 and whose names have this part, without the namespace.
    fn counted(&mut self, part: &str) -> Vec<String> {
        self.state.drain(&self.filter, &mut self.stats);
        let found = self.stats.values.iter().filter(|(name, value)| name.contains(part) && **value > 0);
        found.map(|(name, value)| format!("{} {value}", name.strip_prefix("eucora_").unwrap())).collect()
    }
}

fn configuration(facts: Value, rules: Value) -> Value {
    json!({
        "routes": {"table": [
            {"methods": ["POST"], "template": "/cab/{id}/approve/", "name": "approve"},
            {"methods": ["POST"], "template": "/cab/{id}/reject/", "name": "reject"},
            {"methods": ["POST"], "template": "/connectors/{connector}/deploy", "name": "deploy"},
            {"template": "/files/{path...}"},
        ]},
        "facts": facts,
        "rules": rules,
    })
}

fn decisions() -> Running {
    Running::new(
        json!([
            {"name": "decision", "from": "endpoint", "map": {"approve": "approved", "reject": "rejected"}, "default": "other"},
            {"name": "risk_level", "from": ["body:/risk/level", "response_header:X-Risk-Level"],
             "values": ["low", "high"], "default": "unknown"},
        ]),
        json!([{
            "name": "decisions",
            "when": {"endpoints": ["approve", "/cab/{id}/reject/"], "methods": ["POST"], "statuses": ["2xx"], "except_statuses": [202]},
            "once": {},
            "metric": {"name": "approvals_total", "labels": {"decision": "decision", "risk_level": "risk_level"}},
        }]),
    )
}

#[test]
fn a_decision_counts_by_its_facts() {
    let mut running = decisions();
    let approve = |id: &str| Exchange::new("POST", &format!("/cab/{id}/approve/"), 200);
    running.play(&approve("1").body(br#"{"risk": {"level": "high"}}"#));
    running.play(&approve("2").response("x-risk-level", "low"));
    running.play(&approve("3").body(br#"{"risk": {"level": "weird"}}"#).response("x-risk-level", "low"));
    running.play(&Exchange::new("POST", "/cab/4/reject/", 201).body(b"[1]"));
    assert_eq!(
        running.counted("approvals"),
        [
            "approvals_total.decision=.=approved;.;risk_level=.=high;.; 1",
            "approvals_total.decision=.=approved;.;risk_level=.=low;.; 2",
            "approvals_total.decision=.=rejected;.;risk_level=.=unknown;.; 1",
        ]
    );
    assert_eq!(
        running.counted("edge_body"),
        ["edge_body_total.outcome=.=complete;.; 3", "edge_body_total.outcome=.=incomplete;.; 1"]
    );
}

#[test]
fn every_series_of_a_counter_is_there_from_the_start() {
    let mut running = decisions();
    running.counted("");
    let names = running.stats.values.keys().filter(|name| name.contains("approvals_total"));
    assert_eq!(names.count(), 9);
}

#[test]
fn what_is_not_done_does_not_count() {
    let mut running = decisions();
    for status in [0, 199, 202, 302, 403, 500] {
        running.play(&Exchange::new("POST", "/cab/1/approve/", status));
    }
    for (method, path) in [("GET", "/cab/1/approve/"), ("POST", "/connectors/jamf/deploy"), ("POST", "/else")] {
        assert_eq!(running.play(&Exchange::new(method, path, 200)), 0, "{method} {path}");
    }
    assert_eq!(running.counted("approvals"), [""; 0]);
}

#[test]
fn a_second_try_counts_once() {
    let mut running = decisions();
    let with_key = |id: &str, key: &str| {
        Exchange::new("POST", &format!("/cab/{id}/approve/"), 200).request("idempotency-key", key)
    };
    for exchange in [with_key("1", "a"), with_key("1", "a"), with_key("1", "b"), with_key("2", "a")] {
        running.play(&exchange);
    }
    // Without a key it is the correlation ID that says so.
    for _ in 0..3 {
        running.play(&Exchange::new("POST", "/cab/9/approve/", 200));
    }
    assert_eq!(running.counted("approvals"), ["approvals_total.decision=.=approved;.;risk_level=.=unknown;.; 4"]);
    assert_eq!(
        running.counted("edge_rule"),
        [
            "edge_rule_total.rule_name=.=decisions;.;outcome=.=fired;.; 4",
            "edge_rule_total.rule_name=.=decisions;.;outcome=.=repeated;.; 3"
        ]
    );
}

#[test]
fn bodies_that_are_compressed_broken_deep_or_large_are_counted_as_that() {
    let mut running = decisions();
    let approve = Exchange::new("POST", "/cab/1/approve/", 200);
    let level = br#"{"risk": {"level": "high"}}"#;
    running.play(&approve.clone().request("content-encoding", "gzip").body(level));
    running.play(&approve.clone().request("content-encoding", "Identity").body(level));
    running.play(&approve.clone().body(b"{\"risk\""));
    running.play(&approve.clone().body(b"\xff\xfe"));
    running.play(&approve.clone().body(&[b'['; 100]));
    running.play(&approve.body(&[&level[..], &vec![b' '; 70_000]].concat()));
    assert_eq!(
        running.counted("edge_body"),
        ["complete", "compressed", "incomplete", "malformed", "too_deep", "too_large"]
            .map(|outcome| format!("edge_body_total.outcome=.={outcome};.; 1"))
    );
}

#[test]
fn labels_values_and_conditions_of_every_kind() {
    let mut running = Running::new(
        json!([
            {"name": "connector", "from": "path:connector", "values": ["jamf", "intune"], "default": "other"},
            {"name": "class", "from": "status_class", "default": "none"},
            {"name": "outcome", "from": "outcome"},
            {"name": "score", "from": "request_header:x-score", "type": "number"},
            {"name": "took", "from": "duration_seconds", "type": "number"},
            {"name": "sent", "from": "response_bytes", "type": "number"},
            {"name": "who", "from": "request_header:x-user", "hash": true},
            {"name": "whose", "from": "request_header:x-owner", "hash": true},
            {"name": "from_where", "from": "source", "values": ["10.0.0.1", "::1"], "default": "elsewhere"},
            {"name": "grpc", "from": "grpc_status", "values": ["0", "5"], "default": "none"},
        ]),
        json!([
            {"name": "deploys", "when": {"endpoints": ["deploy"]},
             "metric": {"name": "deploys_total", "labels": {"connector": "connector", "class": "class", "id_kept": "outcome"}}},
            {"name": "scores", "when": {"request_headers": ["X-Score"], "facts": {"connector": ["jamf"]}},
             "metric": {"name": "score", "kind": "gauge", "value": "score", "scale": 10}},
            {"name": "took", "when": {"endpoints": ["deploy"], "statuses": ["2xx"]},
             "metric": {"name": "deploy_duration_seconds", "kind": "histogram", "value": "took", "buckets": [1, 2]}},
            {"name": "sizes", "when": {"endpoints": ["deploy"]},
             "metric": {"name": "sent_bytes_total", "value": "sent", "labels": {"client_net": "from_where"}}},
            {"name": "own", "when": {"same": ["who", "whose"]}, "metric": {"name": "own_total"}},
            {"name": "rpc", "when": {"grpc_statuses": [5]}, "metric": {"name": "rpc_total", "value": "3", "labels": {"rpc_code": "grpc"}}},
        ]),
    );
    let mut exchange = Exchange::new("POST", "/connectors/jamf/deploy?x=1", 200).request("x-score", "45.55");
    exchange.request("x-user", "ann");
    exchange.request("x-owner", "ann");
    exchange.properties.insert(b"source\0address".to_vec(), b"[::1]:80".to_vec());
    exchange.properties.insert(b"response\0size".to_vec(), 700_i64.to_le_bytes().to_vec());
    exchange.trailers.insert("grpc-status".to_owned(), "5".to_owned());
    running.play(&exchange);
    exchange.request("x-owner", "bob");
    exchange.request("x-score", "1e999");
    exchange.request(":path", "/connectors/sccm/deploy");
    exchange.status = 500;
    exchange.trailers.clear();
    exchange.properties.insert(b"source\0address".to_vec(), b"10.0.0.1:443".to_vec());
    running.play(&exchange);
    assert_eq!(
        running.counted("deploys_total"),
        [
            "deploys_total.class=.=2xx;.;connector=.=jamf;.;id_kept=.=kept;.; 1",
            "deploys_total.class=.=5xx;.;connector=.=other;.;id_kept=.=kept;.; 1"
        ]
    );
    assert_eq!(running.counted("score"), ["edge_rule_total.rule_name=.=scores;.;outcome=.=fired;.; 1", "score 456"]);
    assert_eq!(
        running.counted("deploy_duration"),
        [
            "deploy_duration_microseconds_total 1500000",
            "deploy_duration_seconds_bucket.le=.=+Inf;.; 1",
            "deploy_duration_seconds_bucket.le=.=2.0;.; 1",
            "deploy_duration_seconds_count 1"
        ]
    );
    assert_eq!(
        running.counted("sent_bytes"),
        ["sent_bytes_total.client_net=.=10.0.0.1;.; 700", "sent_bytes_total.client_net=.=::1;.; 700"]
    );
    assert_eq!(running.counted("own_total"), ["own_total 1"]);
    assert_eq!(running.counted("rpc_total"), ["rpc_total.rpc_code=.=5;.; 3"]);
}

#[test]
fn a_number_that_is_none_counts_nothing_and_says_so() {
    let mut running = Running::new(
        json!([{"name": "score", "from": "body:/score", "type": "number"}]),
        json!([{"name": "scores", "when": {"endpoints": ["deploy"]}, "metric": {"name": "score_total", "value": "score"}}]),
    );
    for body in
        ["{\"score\": \"7\"}", "{\"score\": 1e999}", "{\"score\": -1}", "{\"score\": true}", "{\"score\": 2.5}", "{}"]
    {
        running.play(&Exchange::new("POST", "/connectors/jamf/deploy", 200).body(body.as_bytes()));
    }
    assert_eq!(running.counted("score_total"), ["score_total 10"]);
    assert_eq!(
        running.counted("edge_rule"),
        [
            "edge_rule_total.rule_name=.=scores;.;outcome=.=fired;.; 2",
            "edge_rule_total.rule_name=.=scores;.;outcome=.=no_value;.; 4"
        ]
    );
}

fn check(facts: Value, rules: Value, expected: &[&str]) {
    let errors = Config::from_value(configuration(facts, rules)).expect_err("accepted");
    assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
}

#[test]
fn mistakes_have_one_message_each() {
    check(
        json!([{"name": "Who", "from": "header:x"}, {"name": "id", "from": ["path:uid", "body:x"]}, {"name": "id", "from": "path:id"}]),
        json!([]),
        &[
            "facts[0].name: found `Who`; use a lower-case letter, then at most 47 lower-case letters, digits and `_`",
            "facts[0].from: `header:x` is no source; use `path:NAME`, `request_header:NAME`, `response_header:NAME`, `body:/POINTER`, `constant:TEXT`, `endpoint`, `method`, `status`, `status_class`, `grpc_status`, `outcome`, `correlation_id`, `source`, `request_bytes`, `response_bytes` or `duration_seconds`",
            "facts[1].from[0]: no template of `routes.table` has a parameter `{uid}`; name one that is there",
            "facts[1].from[1]: `x` does not begin with `/`; write `/x`, or nothing for the whole document",
            "facts[2].name: `id` is there twice; rename one",
        ],
    );
    check(
        json!([
            {"name": "a", "from": "path:id"},
            {"name": "b", "from": "path:id", "values": ["x"]},
            {"name": "c", "from": "path:id", "type": "number", "default": "none"},
            {"name": "d", "from": "path:id", "map": {"1": "one"}, "values": ["two"], "default": "two"},
        ]),
        json!([
            {"name": "r"},
            {"name": "r", "when": {"endpoints": ["nowhere"], "same": ["a"], "facts": {"e": ["x"]}, "request_headers": ["a b"]},
             "metric": {"name": "requests", "labels": {"a": "a", "b": "b", "role": "d", "le": "d", "z": "zz"}}},
            {"name": "s", "metric": {"name": "x_total", "kind": "gauge", "value": "a"}},
            {"name": "t", "metric": {"name": "http_requests_total", "buckets": [1]}},
            {"name": "u", "metric": {"name": "took_seconds", "kind": "histogram", "scale": 2}},
            {"name": "v", "metric": {"name": "y_total", "labels": {"which": "d"}}},
            {"name": "w", "metric": {"name": "y_total"}},
        ]),
        &[
            "facts[2].default: `none` is not a number, as `type` has it; give one, or remove it",
            "facts[3].map.1: `one` is not among the `values`; add it there",
            "rules[0]: makes nothing; give it a `metric` or an `event`",
            "rules[1].name: `r` is there twice; rename one",
            "rules[1].when.endpoints[0]: `nowhere` is no route's name or template; add it to `routes.table`",
            "rules[1].when.facts.e: `e` is no fact; facts are `a`, `b`, `c`, `d`",
            "rules[1].when.same: give the names of two facts",
            "rules[1].when.request_headers[0]: `a b` is not a header name; use letters, digits and `-`",
            "rules[1].metric.name: `requests` is a counter; end its name in `_total`",
            "rules[1].metric.labels.a: the fact `a` may have any value; give it `values` or a `map`",
            "rules[1].metric.labels.b: the fact `b` may have no value; give it a `default`",
            "rules[1].metric.labels.le: `le` is the label of a histogram's buckets; use another name",
            "rules[1].metric.labels.role: `role` and the label `le` end alike, and a proxy would take the one for the other; rename it",
            "rules[1].metric.labels.z: `zz` is no fact; facts are `a`, `b`, `c`, `d`",
            "rules[2].metric.name: `x_total` is no counter; do not end its name in `_total`",
            "rules[2].metric.value: the fact `a` is not of `type: number`; make it one",
            "rules[3].metric.name: `http_requests_total` is a name of the filter's own metrics; use another",
            "rules[3].metric.buckets: only a histogram has buckets; remove it, or set `kind: histogram`",
            "rules[4].metric.buckets: missing; add a list of bounds",
            "rules[4].metric.scale: a histogram has none; remove it",
            "rules[6].metric.labels: `y_total` has another `labels` in rules[5].metric; write both alike, or rename one",
        ],
    );
}

#[test]
fn declared_series_are_in_the_budget() {
    let mut value = configuration(
        json!([{"name": "d", "from": "method", "default": "x"}]),
        json!([{"name": "r", "metric": {"name": "y_total", "labels": {"verb": "d"}}}]),
    );
    let config = Config::from_value(value.clone()).unwrap();
    let term = config.budget().terms().last().unwrap();
    assert_eq!((term.what, term.series), ("rules", 11 + 4 + 6));
    assert_eq!(term.how, "1 rules × 4 outcomes, y_total: 11 verb series");
    value["metrics"] = json!({"series_budget": config.budget().total() - 1});
    assert!(Config::from_value(value).unwrap_err().to_string().starts_with("metrics.series_budget: "));
}

proptest::proptest! {
    #[test]
    fn whatever_comes_a_stream_counts_once_or_not_at_all(
        body in proptest::collection::vec(proptest::arbitrary::any::<u8>(), 0..200),
        id in "[ -~]{0,12}",
        status in 0_u16..700,
        level in "(high|low|[a-z\"\\\\]{0,5})",
    ) {
        let mut running = decisions();
        let text = [br#"{"risk":{"level":""#, level.as_bytes(), b"\"}}", &body].concat();
        running.play(&Exchange::new("POST", &format!("/cab/{id}/approve/"), status).body(&text));
        let counted = running.counted("approvals");
        proptest::prop_assert!(counted.len() <= 1 && counted.iter().all(|line| line.ends_with(" 1")));
    }
}

#[test]
fn a_body_is_read_for_what_an_event_is_made_with_alone() {
    let facts = json!([
        {"name": "deployment_id", "from": ["body:/deployment_id", "path:id"]},
        {"name": "reason", "from": "body:/reason"},
    ]);
    let event = |with: &[&str]| json!({"type": "DENIED", "class": "authorization", "with": with});
    let reads = |when: Value, with: &[&str]| {
        let rules = json!([{"name": "denied", "when": when, "event": event(with)}]);
        let config = Config::from_value(configuration(facts.clone(), rules)).unwrap();
        config.rules().reads_body(1)
    };
    assert!(!reads(json!({"statuses": [403]}), &[]));
    assert!(reads(json!({"statuses": [403]}), &["reason"]));
    assert!(!reads(json!({"endpoints": ["approve"]}), &[]));
    assert!(reads(json!({"endpoints": ["approve"]}), &["deployment_id"]));
}

#[test]
fn an_event_has_the_facts_that_it_is_made_with_and_no_others() {
    let facts = json!([{"name": "deployment_id", "from": ["body:/deployment_id", "path:id"]}]);
    for (with, expected) in [(json!([]), None), (json!(["deployment_id"]), Some("d-1"))] {
        let event = json!({"type": "DENIED", "class": "authorization", "with": with});
        let mut running =
            Running::new(facts.clone(), json!([{"name": "denied", "when": {"statuses": [403]}, "event": event}]));
        running.play(&Exchange::new("POST", "/cab/7/approve/", 403).body(br#"{"deployment_id": "d-1"}"#));
        let id = running.events[0].deployment_id.as_ref().map(|text| text.as_str());
        assert_eq!(id, expected);
        assert_eq!(running.counted("edge_body").len(), usize::from(expected.is_some()));
    }
}
