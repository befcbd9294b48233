//! The order of steps, for streams that go all the way and for those that do not.

mod learning;

use super::*;
use crate::metrics::{MetricKind, MetricSink};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Every stat by name.
#[derive(Default)]
struct Stats {
    names: Vec<String>,
    values: BTreeMap<String, u64>,
}

impl MetricSink for Stats {
    fn define(&mut self, _kind: MetricKind, stat_name: &str) -> Option<u32> {
        let position = self.names.iter().position(|name| name == stat_name).unwrap_or_else(|| {
            self.names.push(stat_name.to_owned());
            self.names.len() - 1
        });
        u32::try_from(position).ok()
    }

    fn add(&mut self, id: u32, delta: u64) -> bool {
        *self.values.entry(self.names[id as usize].clone()).or_default() += delta;
        true
    }

    fn set(&mut self, id: u32, value: u64) -> bool {
        self.values.insert(self.names[id as usize].clone(), value);
        true
    }
}

impl Stats {
    fn of(filter: &Filter, state: &mut State) -> Self {
        let mut stats = Self::default();
        state.drain(filter, &mut stats);
        stats
    }

    fn sum(&self, prefix: &str) -> u64 {
        self.values.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, value)| value).sum()
    }

    fn get(&self, name: &str) -> u64 {
        self.values.get(name).copied().unwrap_or_else(|| panic!("no {name} in {:#?}", self.values))
    }
}

/// A pool that all workers of a test share.
#[derive(Default)]
struct Pools {
    values: BTreeMap<Pool, Vec<u8>>,
    asked: usize,
}

impl Pools {
    fn admit(&mut self, filter: &Filter, pool: Pool, item: &[u8]) -> Admitted {
        self.asked += 1;
        match crate::admission::propose(self.values.get(&pool).map(Vec::as_slice), item, filter.pool_limits(pool)) {
            crate::admission::Proposal::AlreadyIn => Admitted::Yes,
            crate::admission::Proposal::Append(value) => {
                self.values.insert(pool, value);
                Admitted::Yes
            }
            crate::admission::Proposal::Full => Admitted::Full,
        }
    }
}

fn filter(json: &str) -> Filter {
    Filter::new(Config::from_json(json.as_bytes()).unwrap_or_else(|errors| panic!("{errors}")))
}

fn never(_: Pool, _: &[u8]) -> Admitted {
    panic!("nothing to admit")
}

fn head<'a>(method: &'a str, path: &'a str) -> RequestHead<'a> {
    RequestHead { method: Some(method.as_bytes()), path: Some(path.as_bytes()), ..RequestHead::default() }
}

fn ended(status: u16, now_ns: u64) -> StreamEnd<'static> {
    StreamEnd { status: Some(status), now_ns, ..StreamEnd::default() }
}

/// What is known of a stream after its request.
fn requested(filter: &Filter, state: &State, head: &RequestHead<'_>, now_ns: u64) -> StreamInfo {
    let mut info = StreamInfo::default();
    filter.on_request(state, head, &Sender::default(), [1; 16], now_ns, &mut info);
    info
}

/// One whole stream; the endpoint's label at its end.
fn exchange(filter: &Filter, state: &mut State, pools: &mut Pools, path: &str, status: u16) -> String {
    let info = requested(filter, state, &head("GET", path), 0);
    let logged =
        filter.on_log(state, Some(&info), &ended(status, 1000), &mut |pool, item| pools.admit(filter, pool, item));
    state.endpoint_label(filter, logged.endpoint).to_owned()
}

const ROUTES: &str = r#"{"routes": {"table": [{"methods": ["GET"], "template": "/api/{id}"}]}}"#;

#[test]
fn the_head_is_read_in_one_pass_whatever_the_order_and_case() {
    let filter = filter(r#"{"correlation": {"header": "X-Request-Ref"}}"#);
    let pairs: [(&[u8], &[u8]); 8] = [
        (b"x-request-ref", b"abcdefgh"),
        (b":path", b"/a"),
        (b"TraceParent", b"t"),
        (b":method", b"GET"),
        (b"tracestate", b"s"),
        (b"\xff", b"\xff"),
        (b"traceparent", b"u"),
        (b":path", b"/second"),
    ];
    let head = filter.request_head(pairs.into_iter());
    let expected = RequestHead {
        method: Some(b"GET"),
        path: Some(b"/a"),
        correlation: Header::One(b"abcdefgh"),
        traceparent: Header::Many,
        tracestate: true,
    };
    assert_eq!(head, expected);
    assert_eq!(filter.request_head(std::iter::empty()), RequestHead::default());
}

#[test]
fn sender_facts_are_asked_for_only_when_they_can_matter() {
    let networks = filter(r#"{"correlation": {"trust": {"networks": ["10.0.0.0/8"], "mtls": true}}}"#);
    let with = |correlation| RequestHead { correlation, ..RequestHead::default() };
    let both = SenderFacts { address: true, mtls: true };
    assert_eq!(networks.sender_facts(&with(Header::One(b"abcdefgh"))), both);
    for header in [Header::None, Header::Many, Header::One(b""), Header::One(b"abc\r\ndefgh")] {
        assert_eq!(networks.sender_facts(&with(header)), SenderFacts::default());
    }
    for trust in [r#""any""#, r#""none""#] {
        let filter = filter(&format!(r#"{{"correlation": {{"trust": {trust}}}}}"#));
        assert_eq!(filter.sender_facts(&with(Header::One(b"abcdefgh"))), SenderFacts::default());
    }
}

#[test]
fn a_stream_is_counted_once_with_its_duration() {
    let filter = filter(ROUTES);
    let mut state = State::new(&filter);
    let info = requested(&filter, &state, &head("GET", "/api/7?x"), 5_000_000);
    let logged = filter.on_log(&mut state, Some(&info), &ended(200, 5_000_000 + 50_000_999), &mut never);
    assert_eq!(
        logged,
        Logged {
            method: Method::Get,
            endpoint: EndpointId(2),
            status: 200,
            outcome: Outcome::Missing,
            duration_ns: 50_000_999
        }
    );
    let stats = Stats::of(&filter, &mut state);
    assert_eq!(stats.get("eucora_http_requests_total.method=.=GET;.;endpoint=.=/api/{id};.;status=.=200;.;"), 1);
    // 50,000 whole microseconds are within the bound of 0.05 s.
    assert_eq!(
        stats.get("eucora_http_request_duration_seconds_bucket.method=.=GET;.;endpoint=.=/api/{id};.;le=.=0.05;.;"),
        1
    );
    assert_eq!(
        stats.get("eucora_http_request_duration_microseconds_total.method=.=GET;.;endpoint=.=/api/{id};.;"),
        50_000
    );
    assert_eq!(stats.get("eucora_edge_correlation_total.outcome=.=generated;.;reason=.=missing;.;"), 1);
}

#[test]
fn the_proxys_own_duration_is_preferred_and_time_never_runs_backwards() {
    let filter = filter(ROUTES);
    let mut state = State::new(&filter);
    let info = requested(&filter, &state, &head("GET", "/api/7"), 5_000);
    let end = StreamEnd { duration_ns: Some(77), ..ended(200, 9_000) };
    assert_eq!(filter.on_log(&mut state, Some(&info), &end, &mut never).duration_ns, 77);
    assert_eq!(filter.on_log(&mut state, Some(&info), &ended(200, 4_000), &mut never).duration_ns, 0);
}

#[test]
fn a_client_that_left_before_an_answer_has_status_0() {
    let filter = filter(ROUTES);
    let mut state = State::new(&filter);
    let info = requested(&filter, &state, &head("GET", "/api/7"), 0);
    let end = StreamEnd { status: None, ..StreamEnd::default() };
    assert_eq!(filter.on_log(&mut state, Some(&info), &end, &mut never).status, 0);
    let stats = Stats::of(&filter, &mut state);
    assert_eq!(stats.get("eucora_http_requests_total.method=.=GET;.;endpoint=.=/api/{id};.;status=.=0;.;"), 1);
}

#[test]
fn a_stream_that_shows_its_end_alone_is_counted() {
    let filter = filter(ROUTES);
    let mut state = State::new(&filter);
    let seen = StreamEnd { request: Some(head("GET", "/api/7")), ..ended(503, 9) };
    let logged = filter.on_log(&mut state, None, &seen, &mut never);
    assert_eq!((logged.endpoint, logged.outcome, logged.duration_ns), (EndpointId(2), Outcome::NotSeen, 0));
    let blind = filter.on_log(&mut state, None, &ended(400, 9), &mut never);
    assert_eq!((blind.method, blind.endpoint), (Method::Other, EndpointId::UNKNOWN));
    let stats = Stats::of(&filter, &mut state);
    assert_eq!(stats.get("eucora_edge_correlation_total.outcome=.=none;.;reason=.=not_seen;.;"), 2);
    assert_eq!(stats.get("eucora_http_requests_total.method=.=OTHER;.;endpoint=.=unknown;.;status=.=400;.;"), 1);
}

#[test]
fn the_request_gets_a_new_id_and_keeps_its_own() {
    let filter = filter("{}");
    let state = State::new(&filter);
    let with = |correlation| RequestHead { correlation, tracestate: true, ..head("GET", "/") };
    let kept = with(Header::One(b"abcdefgh"));
    let info = requested(&filter, &state, &kept, 0);
    assert_eq!(filter.request_edits(&kept, &info), RequestEdits::default());
    assert_eq!(info.correlation_id().unwrap().as_str(), "abcdefgh");
    for header in [Header::None, Header::Many, Header::One(b"bad id")] {
        let head = with(header);
        let info = requested(&filter, &state, &head, 0);
        let edits = filter.request_edits(&head, &info);
        assert_eq!(edits.correlation_id.map(|id| id.as_str()), Some("00000000-0000-7101-8101-010101010101"));
        assert_eq!((edits.traceparent, edits.remove_tracestate), (None, false));
    }
}

#[test]
fn a_trace_is_started_where_none_valid_came() {
    let filter = filter(r#"{"correlation": {"traceparent": "start", "generate": "traceparent"}}"#);
    let state = State::new(&filter);
    let valid = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let with = |traceparent, tracestate| RequestHead { traceparent, tracestate, ..head("GET", "/") };
    let continued = with(Header::One(valid), true);
    let info = requested(&filter, &state, &continued, 0);
    let edits = filter.request_edits(&continued, &info);
    assert_eq!(info.correlation_id().unwrap().as_bytes(), b"4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!((edits.traceparent, edits.remove_tracestate), (None, false));
    for (header, tracestate) in [(Header::None, false), (Header::One(&b"junk"[..]), true), (Header::Many, true)] {
        let head = with(header, tracestate);
        let info = requested(&filter, &state, &head, 0);
        let edits = filter.request_edits(&head, &info);
        assert_eq!(edits.traceparent.map(TraceParent::trace_id), Some(&b"01010101010101010101010101010101"[..]));
        assert_eq!(edits.remove_tracestate, tracestate);
    }
}

#[test]
fn the_response_exposes_the_header_where_cors_needs_it() {
    let exposing = filter(r#"{"correlation": {"expose": true}}"#);
    let state = State::new(&exposing);
    let info = requested(&exposing, &state, &head("GET", "/"), 0);
    let check = |pairs: &[(&str, &str)], expected: Option<(bool, &str)>| {
        let cors = exposing.cors_head(pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        let mut buffer = Vec::new();
        let edits = exposing.response_edits(&info, &cors, &mut buffer);
        assert_eq!(edits.correlation_id, info.correlation_id());
        let found = edits.expose.map(|expose| match expose {
            Expose::Set(value) => (true, std::str::from_utf8(value).unwrap()),
            Expose::Add(value) => (false, std::str::from_utf8(value).unwrap()),
        });
        assert_eq!(found, expected, "{pairs:?}");
    };
    let (origin, expose, credentials) =
        ("access-control-allow-origin", "Access-Control-Expose-Headers", "access-control-allow-credentials");
    check(&[], None);
    check(&[(expose, "x-a")], None);
    check(&[(origin, "*")], Some((true, "x-correlation-id")));
    check(&[(origin, "*"), (expose, "")], Some((true, "x-correlation-id")));
    check(&[(origin, "*"), (expose, "x-a, x-b")], Some((true, "x-a, x-b, x-correlation-id")));
    check(&[(origin, "*"), (expose, "x-a,X-Correlation-ID")], None);
    check(&[(origin, "*"), (expose, "x-a"), (expose, "x-b")], Some((false, "x-correlation-id")));
    check(&[(origin, "*"), (expose, "x-a"), (expose, "x-correlation-id")], None);
    check(&[(origin, "*"), (expose, "*")], None);
    check(&[(origin, "https://a"), (credentials, "true"), (expose, "*")], Some((true, "*, x-correlation-id")));

    let silent = filter(r#"{"correlation": {"respond": false}}"#);
    let info = requested(&silent, &State::new(&silent), &head("GET", "/"), 0);
    assert_eq!(silent.response_edits(&info, &CorsHead::default(), &mut Vec::new()), ResponseEdits::default());
    assert!(!silent.reads_cors());
    assert!(!filter("{}").reads_cors());
}

#[test]
fn placeholder_endpoints_are_admitted_by_their_answers() {
    let filter =
        filter(r#"{"routes": {"unmatched": "placeholders", "placeholders": {"max_endpoints": 2, "min_hits": 1}}}"#);
    let (mut one, mut two) = (State::new(&filter), State::new(&filter));
    let mut pools = Pools::default();
    assert_eq!(exchange(&filter, &mut one, &mut pools, "/a/1", 404), "unknown");
    assert_eq!(exchange(&filter, &mut one, &mut pools, "/a/1", 405), "unknown");
    assert_eq!(pools.asked, 0);
    assert_eq!(exchange(&filter, &mut one, &mut pools, "/a/1", 200), "/a/{int}");
    assert_eq!(exchange(&filter, &mut one, &mut pools, "/a/2", 404), "/a/{int}");
    assert_eq!(pools.asked, 1);
    assert_eq!(exchange(&filter, &mut two, &mut pools, "/b/1", 500), "/b/{int}");
    assert_eq!(exchange(&filter, &mut one, &mut pools, "/c/1", 200), "_overflow");
    assert_eq!(exchange(&filter, &mut one, &mut pools, "/c/1", 404), "unknown");
    assert_eq!(exchange(&filter, &mut one, &mut pools, "/b/2", 200), "/b/{int}");
    assert_eq!(exchange(&filter, &mut two, &mut pools, "/a/9", 404), "unknown");
    // Once a worker has read the full pool, it knows all of it and asks no more.
    let asked = pools.asked;
    let value = pools.values.get(&Pool::Endpoints).unwrap().clone();
    two.sync(&filter, Pool::Endpoints, &value);
    assert!(two.is_full(Pool::Endpoints));
    assert_eq!(exchange(&filter, &mut two, &mut pools, "/a/9", 200), "/a/{int}");
    assert_eq!(exchange(&filter, &mut two, &mut pools, "/d", 200), "_overflow");
    assert_eq!(pools.asked, asked);
    let stats = Stats::of(&filter, &mut two);
    assert_eq!(stats.get("eucora_edge_endpoint_overflow_total"), 1);
}

#[test]
fn an_endpoint_that_cannot_be_asked_about_overflows_and_is_asked_about_again() {
    let filter =
        filter(r#"{"routes": {"unmatched": "placeholders", "placeholders": {"max_endpoints": 9, "min_hits": 1}}}"#);
    let mut state = State::new(&filter);
    let info = requested(&filter, &state, &head("GET", "/a"), 0);
    let logged = filter.on_log(&mut state, Some(&info), &ended(200, 0), &mut |_, _| Admitted::Unavailable);
    assert_eq!(logged.endpoint, EndpointId::OVERFLOW);
    let logged = filter.on_log(&mut state, Some(&info), &ended(200, 0), &mut |_, _| Admitted::Yes);
    assert_eq!(state.endpoint_label(&filter, logged.endpoint), "/a");
}

#[test]
fn status_codes_past_the_configured_ones_are_admitted_up_to_the_cap() {
    let filter = filter(r#"{"metrics": {"statuses": [200], "extra_statuses": 2}}"#);
    let mut state = State::new(&filter);
    let mut pools = Pools::default();
    for status in [200, 0, 599, 599, 103, 777, 999, 1000, 65_535, 200, 103] {
        exchange(&filter, &mut state, &mut pools, "/", status);
    }
    let stats = Stats::of(&filter, &mut state);
    let count = |label: &str| {
        stats.get(&format!("eucora_http_requests_total.method=.=GET;.;endpoint=.=unknown;.;status=.={label};.;"))
    };
    assert_eq!((count("200"), count("0"), count("599"), count("103"), count("other")), (2, 1, 2, 2, 4));
    assert_eq!(pools.values.get(&Pool::Statuses).map(Vec::as_slice), Some(&b"\x03599\x03103"[..]));
    assert_eq!(pools.asked, 2);
    // Another worker learns both from the pool.
    let mut other = State::new(&filter);
    other.sync(&filter, Pool::Statuses, b"\x03599\x03103\x03777");
    assert!(other.is_full(Pool::Statuses));
    exchange(&filter, &mut other, &mut pools, "/", 599);
    assert_eq!(pools.asked, 2);
}

/// A pool's value is another party's data: whatever is in it, the caps hold.
#[test]
fn a_strange_pool_is_read_without_harm() {
    let filter =
        filter(r#"{"routes": {"unmatched": "placeholders", "placeholders": {"max_endpoints": 2, "min_hits": 1}}}"#);
    let mut state = State::new(&filter);
    for value in [&b"\xff"[..], b"\x01\xff\x00\x01a", b"\x05abc", b"\x03abc\x03def\x03ghi"] {
        state.sync(&filter, Pool::Endpoints, value);
        state.sync(&filter, Pool::Statuses, value);
    }
    assert!(state.is_full(Pool::Endpoints));
    assert!(!state.is_full(Pool::Statuses));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever the streams, each is counted once, timed once and has one correlation outcome.
    #[test]
    fn all_sums_agree(
        streams in prop::collection::vec(
            (
                prop::sample::select(vec!["GET", "POST", "get", "", "\u{e9}"]),
                prop::collection::vec(prop_oneof![Just(b'/'), Just(b'a'), Just(b'1'), any::<u8>()], 0..20),
                prop::option::of(any::<u16>()),
                prop::option::of(prop::collection::vec(prop_oneof![Just(b'a'), any::<u8>()], 0..20)),
                any::<bool>(),
                any::<u32>(),
            ),
            0..40,
        ),
        placeholders in any::<bool>(),
    ) {
        let unmatched = if placeholders { r#""placeholders", "placeholders": {"max_endpoints": 3, "min_hits": 2}"# } else { r#""unknown""# };
        let filter = filter(&format!(r#"{{"routes": {{"unmatched": {unmatched}, "table": [{{"template": "/a/{{id}}"}}]}}}}"#));
        let mut state = State::new(&filter);
        let mut pools = Pools::default();
        for (method, path, status, id, seen, duration) in &streams {
            let correlation = id.as_ref().map_or(Header::None, |id| Header::One(id));
            let head = RequestHead { method: Some(method.as_bytes()), path: Some(path), correlation, ..RequestHead::default() };
            let info = seen.then(|| requested(&filter, &state, &head, 0));
            let end = StreamEnd { status: *status, now_ns: u64::from(*duration), request: Some(head), duration_ns: None };
            filter.on_log(&mut state, info.as_ref(), &end, &mut |pool, item| pools.admit(&filter, pool, item));
        }
        let stats = Stats::of(&filter, &mut state);
        let total = streams.len() as u64;
        prop_assert_eq!(stats.sum("eucora_http_requests_total"), total);
        prop_assert_eq!(stats.sum("eucora_http_request_duration_seconds_count"), total);
        prop_assert_eq!(stats.sum("eucora_edge_correlation_total"), total);
        prop_assert!(stats.names.len() as u64 <= filter.config().budget().total());
    }
}
