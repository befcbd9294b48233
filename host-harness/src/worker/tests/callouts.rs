//! HTTP callouts: what may be asked for, what comes back, and what is readable when.

use std::time::Duration;

use crate::test::{Answer, Reply, Request, Upstream};
use crate::testing::A::{N, O, S};
use crate::testing::{A, Probe, callbacks, check};
use crate::{CalloutOutcome, HeaderMap};

const CALL: &str = "proxy_http_call";
const ANSWERED: &str = "proxy_on_http_call_response";
const EFFECTIVE: &str = "proxy_set_effective_context";
const CONTINUE: &str = "proxy_continue_stream";
const STATUS: &str = "proxy_get_status";
const PAIRS: &str = "proxy_get_header_map_pairs";
const VALUE: &str = "proxy_get_header_map_value";
const ADD: &str = "proxy_add_header_map_value";
const BUFFER: &str = "proxy_get_buffer_bytes";

/// Pairs as the ABI has them.
fn pairs(pairs: &[(&str, &str)]) -> String {
    let mut bytes = Vec::new();
    HeaderMap::from_iter(pairs.iter().copied()).encode_pairs(&mut bytes);
    String::from_utf8(bytes).unwrap()
}

/// What every callout needs.
fn good() -> String {
    pairs(&[(":method", "GET"), (":path", "/check"), (":authority", "auth.example")])
}

/// Arguments for a callout without body and trailers.
fn plain<'a>(cluster: &'a str, headers: &'a str, timeout: i32) -> [A<'a>; 6] {
    [S(cluster), S(headers), S(""), S(""), N(timeout), O]
}

/// A module that holds each request, asks `auth`, and lets the request go when it has an answer.
fn gate() -> Probe {
    Probe::default()
        .on("proxy_on_request_headers", &[(CALL, &plain("auth", &good(), 100))])
        .answer("proxy_on_request_headers", "(i32.const 1)")
        .on(ANSWERED, &[(STATUS, &[O, O, O]), (EFFECTIVE, &[N(2)]), (CONTINUE, &[N(0)])])
}

#[test]
fn a_held_request_goes_on_with_the_answer() {
    let auth = Upstream::always(Reply::status(200).header("x", "y").chunk("body")).after(Duration::from_millis(20));
    let mut host = gate().host().cluster("auth", auth).start().unwrap();
    let before = host.now_ns();
    let exchange = host.exchange(Request::get("/api"));
    assert_eq!((exchange.status(), exchange.stuck), (Some(200), false));
    assert_eq!(host.now_ns() - before, 20_000_000);
    let [callout] = host.callouts() else { panic!("one callout") };
    assert_eq!((callout.cluster.as_str(), callout.header(":path")), ("auth", Some("/check")));
    assert_eq!(callout.timeout, Some(Duration::from_millis(100)));
    let callbacks = callbacks(&host);
    assert_eq!(callbacks[1..], ["proxy_on_http_call_response(1, 4, 2, 4, 0)"]);
}

#[test]
fn a_request_can_be_answered_from_the_answer() {
    let deny = [S(""), S("no"), S("")];
    let mut host = Probe::default()
        .on("proxy_on_request_headers", &[(CALL, &plain("auth", &good(), 0))])
        .answer("proxy_on_request_headers", "(i32.const 1)")
        .on(
            ANSWERED,
            &[(EFFECTIVE, &[N(2)]), ("proxy_send_local_response", &[N(403), deny[0], deny[1], deny[2], N(-1)])],
        )
        .host()
        .cluster("auth", Upstream::always(Reply::status(401)))
        .start()
        .unwrap();
    let exchange = host.exchange(Request::get("/api"));
    assert_eq!((exchange.status(), exchange.upstream), (Some(403), None));
}

#[test]
fn what_may_be_asked_for() {
    let without = |name: &str| {
        let all = [(":method", "GET"), (":path", "/"), (":authority", "a")];
        pairs(&all.into_iter().filter(|(known, _)| *known != name).collect::<Vec<_>>())
    };
    let (good, no_method, no_path, no_authority) =
        (good(), without(":method"), without(":path"), without(":authority"));
    let trailers = pairs(&[("t", "1")]);
    let mut host = Probe::default()
        .on(
            "proxy_on_request_headers",
            &[
                (CALL, &plain("auth", &good, 1)),
                (CALL, &plain("nobody", &good, 1)),
                (CALL, &plain("empty", &good, 1)),
                (CALL, &plain("auth", &no_method, 1)),
                (CALL, &plain("auth", &no_path, 1)),
                (CALL, &plain("auth", &no_authority, 1)),
                (CALL, &plain("auth", "", 1)),
                (CALL, &plain("auth", &good, -1)),
                (CALL, &[S("auth"), S(&good), S("body"), S(&trailers), N(0), O]),
                (CALL, &[S("auth"), S(&good), N(10_000_000), N(1), S(""), N(0), O]),
                (CALL, &[S("auth"), S(&good), S(""), S(""), N(0), N(10_000_000)]),
            ],
        )
        .host()
        .cluster("auth", Upstream::always(Answer::Silence))
        .cluster("empty", Upstream::without_endpoint())
        .start()
        .unwrap();
    host.exchange(Request::get("/"));
    check(
        &host,
        &[
            "Ok, id=4",
            "BadArgument",
            "InternalFailure",
            "BadArgument",
            "BadArgument",
            "BadArgument",
            "BadArgument",
            "BadArgument",
            "Ok, id=12",
            "InvalidMemoryAccess",
            "InvalidMemoryAccess",
        ],
    );
    let [_, callout] = host.callouts() else { panic!("two callouts") };
    assert_eq!(callout.header("content-length"), Some("4"));
    assert_eq!((callout.body.as_slice(), callout.trailers.get("t")), (&b"body"[..], Some(&b"1"[..])));
    assert_eq!(callout.timeout, None);
}

/// What a module hears of a callout to which this is the answer.
fn hears(answer: Answer) -> (String, String) {
    let mut host = gate().host().cluster("auth", Upstream::always(answer)).start().unwrap();
    assert_eq!(host.exchange(Request::get("/")).status(), Some(200));
    let callback = callbacks(&host).into_iter().find(|line| line.starts_with(ANSWERED)).unwrap();
    let trace = host.trace();
    let (_, status) = trace.split_once("proxy_get_status() = ").unwrap();
    (callback, status.lines().next().unwrap().to_owned())
}

#[test]
fn every_outcome_reaches_the_module() {
    let heard = |answer| hears(answer);
    let ok = "Ok, code=0, message=\"\"".to_owned();
    assert_eq!(heard(Answer::Silence), (format!("{ANSWERED}(1, 4, 3, 24, 0)"), ok.clone()));
    assert_eq!(heard(Answer::Close).1, ok);
    assert_eq!(heard(Answer::Refusal).1, ok);
    assert_eq!(
        heard(Answer::Reset),
        (format!("{ANSWERED}(1, 4, 0, 0, 0)"), "Ok, code=11, message=\"reset\"".to_owned())
    );
}

#[test]
fn the_response_is_readable_in_its_callback_alone() {
    const READ: &[(&str, &[A<'_>])] = &[
        (PAIRS, &[N(6), O, O]),
        (VALUE, &[N(6), S("X"), O, O]),
        (PAIRS, &[N(7), O, O]),
        (ADD, &[N(6), S("a"), S("b")]),
        (BUFFER, &[N(4), N(1), N(2), O, O]),
    ];
    let trailers = HeaderMap::from([("t", "1")]);
    let reply = Reply::status(200).header("x", "y").chunk("bo").chunk("dy").trailers(trailers);
    let mut host = Probe::default()
        .on("proxy_on_request_headers", &[(CALL, &plain("auth", &good(), 0))])
        .on(ANSWERED, READ)
        .on(ANSWERED, &[(EFFECTIVE, &[N(2)])])
        .on("proxy_on_response_headers", READ)
        .host()
        .cluster("auth", Upstream::always(reply))
        .start()
        .unwrap();
    host.exchange(Request::get("/").takes(Duration::from_millis(1)));
    check(
        &host,
        &[
            "Ok, id=4",
            "Ok, pairs=[\":status: 200\", \"x: y\"]",
            "Ok, value=\"y\"",
            "Ok, pairs=[\"t: 1\"]",
            "BadArgument",
            "Ok, value=\"od\"",
            "Ok",
            "Ok, pairs=[]",
            "BadArgument",
            "Ok, pairs=[]",
            "BadArgument",
            "NotFound",
        ],
    );
}

#[test]
fn a_root_context_that_has_ended_is_told_nothing() {
    let mut host = Probe::default()
        .on("proxy_on_configure", &[(CALL, &plain("auth", &good(), 0))])
        .on(ANSWERED, &[])
        .host()
        .cluster("auth", Upstream::always(Reply::status(200)).after(Duration::from_secs(1)))
        .start()
        .unwrap();
    host.reconfigure("").unwrap();
    host.advance(Duration::from_secs(2));
    assert_eq!(
        callbacks(&host).iter().filter(|line| line.starts_with(ANSWERED)).collect::<Vec<_>>(),
        ["proxy_on_http_call_response(2, 8, 1, 0, 0)"]
    );
}

#[test]
fn a_module_that_asks_again_at_every_answer_does_not_stop_time() {
    let mut host = Probe::default()
        .on("proxy_on_request_headers", &[(CALL, &plain("auth", &good(), 0))])
        .answer("proxy_on_request_headers", "(i32.const 1)")
        .on(ANSWERED, &[(CALL, &plain("auth", &good(), 0))])
        .host()
        .trace(false)
        .cluster("auth", Upstream::always(Reply::status(200)).after(Duration::from_millis(100)))
        .start()
        .unwrap();
    assert!(host.exchange(Request::get("/")).stuck);
    assert_eq!(host.callouts().len(), 3001);
}

#[test]
fn an_answer_nobody_waits_for_and_a_second_one_are_passed_over() {
    let mut host = Probe::default()
        .on("proxy_on_request_headers", &[(CALL, &plain("auth", &good(), 0))])
        .on(ANSWERED, &[])
        .host()
        .cluster("auth", Upstream::always(Answer::Silence))
        .start()
        .unwrap();
    host.exchange(Request::get("/"));
    let id = host.callouts()[0].id;
    for _ in 0..2 {
        host.worker(0).answer_callout(id, CalloutOutcome::Reset);
        assert!(!host.worker(0).awaits(id));
    }
    assert_eq!(callbacks(&host).iter().filter(|line| line.starts_with(ANSWERED)).count(), 1);
}

/// Envoy has one name for `host` and `:authority`, and no map of trailers where there are none.
#[test]
fn what_stands_for_something_else() {
    let host_name = pairs(&[(":method", "GET"), (":path", "/"), ("host", "auth.example")]);
    let mut host = Probe::default()
        .on("proxy_on_request_headers", &[(CALL, &plain("auth", &host_name, 0))])
        .on(ANSWERED, &[(PAIRS, &[N(7), O, O]), (VALUE, &[N(7), S("t"), O, O])])
        .host()
        .cluster("auth", Upstream::always(Reply::status(200)))
        .start()
        .unwrap();
    host.exchange(Request::get("/").takes(Duration::from_millis(1)));
    check(&host, &["Ok, id=4", "Ok, pairs=[]", "BadArgument"]);
    let [callout] = host.callouts() else { panic!("one callout") };
    assert_eq!((callout.header(":authority"), callout.header("host")), (Some("auth.example"), None));
}

/// The response has been shown to the module, which holds it: its own answer goes out as it is.
#[test]
fn a_held_response_is_replaced_without_asking_the_module_again() {
    let mut host = Probe::default()
        .on("proxy_on_response_headers", &[(CALL, &plain("auth", &good(), 0))])
        .answer("proxy_on_response_headers", "(i32.const 1)")
        .on(
            ANSWERED,
            &[(EFFECTIVE, &[N(2)]), ("proxy_send_local_response", &[N(403), S("held"), S("no"), S(""), N(-1)])],
        )
        .host()
        .cluster("auth", Upstream::always(Reply::status(200)))
        .start()
        .unwrap();
    let exchange = host.exchange(Request::get("/"));
    assert_eq!((exchange.status(), exchange.local_reply.as_deref()), (Some(403), Some("held")));
    assert_eq!(callbacks(&host).len(), 2);
}

/// A module that never stops asking, with much to say, does not grow the host.
#[test]
fn what_waits_for_an_answer_is_bounded() {
    let headers = good();
    let call = |body: i32| [S("auth"), S(&headers), N(0), N(body), S(""), N(0), O];
    let many: Vec<(&str, [A<'_>; 7])> = (0..20).map(|_| (CALL, call(4 << 20))).collect();
    let calls: Vec<(&str, &[A<'_>])> = many.iter().map(|(name, arguments)| (*name, arguments.as_slice())).collect();
    let mut host = Probe::default()
        .on("proxy_on_request_headers", &calls)
        .wat("proxy_on_configure", "(drop (memory.grow (i32.const 128)))")
        .host()
        .cluster("auth", Upstream::always(Answer::Silence))
        .start()
        .unwrap();
    host.exchange(Request::get("/"));
    let made = host.callouts();
    assert!(made.len() == 15 && made.iter().all(|callout| callout.body.len() == 4 << 20), "{}", made.len());
}
