//! What the module does to a stream: local replies, pauses, bodies, resets; and what its failure does.

use crate::test::{Reply, Request};
use crate::testing::A::{N, O, S};
use crate::testing::{Probe, callbacks};
use crate::{FailurePolicy, Fault, HeaderMap, HeadersOutcome, StreamEnd, StreamEvent, StreamFacts, abi::Status};

const REPLY: &str = "proxy_send_local_response";

#[test]
fn a_local_reply_goes_through_the_modules_own_response_callbacks() {
    let mut host = Probe::default()
        .on(
            "proxy_on_request_headers",
            &[
                (REPLY, &[N(418), S("no tea"), S("teapot"), S("\u{1}\0\0\0\u{3}\0\0\0\u{1}\0\0\0X-A\0b\0"), N(-1)]),
                (REPLY, &[N(500), S("no tea"), S(""), S(""), N(-1)]),
            ],
        )
        .on("proxy_on_response_headers", &[("proxy_add_header_map_value", &[N(2), S("x-seen"), S("1")])])
        .on("proxy_on_response_body", &[])
        .host()
        .start()
        .unwrap();
    let exchange = host.exchange(Request::get("/"));
    assert_eq!(exchange.upstream, None);
    assert_eq!(exchange.local_reply.as_deref(), Some("no_tea"));
    let response = exchange.response.unwrap();
    let expected =
        [(":status", "418"), ("x-a", "b"), ("content-length", "6"), ("content-type", "text/plain"), ("x-seen", "1")];
    assert_eq!(response.headers, HeaderMap::from(expected));
    assert_eq!(response.body, b"teapot");
    let expected =
        ["proxy_on_request_headers(2, 4, 1)", "proxy_on_response_headers(2, 4, 0)", "proxy_on_response_body(2, 6, 1)"];
    assert_eq!(callbacks(&host), expected);
}

#[test]
fn a_local_reply_to_grpc_has_its_error_in_headers() {
    let mut host = Probe::default()
        .on("proxy_on_request_headers", &[(REPLY, &[N(403), S(""), S("not you: 5%"), S(""), N(-1)])])
        .host()
        .start()
        .unwrap();
    let exchange = host.exchange(Request::post("/", "x").header("content-type", "application/grpc"));
    assert_eq!(exchange.status(), Some(200));
    assert_eq!(exchange.response_header("grpc-status"), Some("7"));
    assert_eq!(exchange.response_header("grpc-message"), Some("not you: 5%25"));
}

#[test]
fn a_local_reply_replaces_a_response_before_it_begins_and_breaks_it_off_after() {
    let reply: &[(&str, &[crate::testing::A<'_>])] = &[(REPLY, &[N(502), S("late"), S(""), S(""), N(-1)])];
    let mut host = Probe::default().on("proxy_on_response_headers", reply).host().start().unwrap();
    let exchange = host.exchange(Request::get("/"));
    assert_eq!((exchange.status(), exchange.local_reply.as_deref()), (Some(502), Some("late")));
    assert_eq!(callbacks(&host).len(), 1, "the replacement is not shown again");

    let mut host = Probe::default()
        .on("proxy_on_response_body", reply)
        .on("proxy_on_request_headers", &[])
        .on("proxy_on_log", &[("proxy_get_property", &[S("response\0code_details"), O, O])])
        .host()
        .start()
        .unwrap();
    let exchange = host.exchange(Request::get("/").reply(Reply::status(200).chunk("x")));
    assert_eq!((exchange.response, exchange.stuck), (None, false));
    assert!(host.trace().contains("Ok, value=\"late\""), "{}", host.trace());
}

#[test]
fn actions_of_the_headers_callback() {
    for (action, goes_on) in [(0, true), (1, false), (2, true), (3, false), (4, false), (7, false)] {
        let answer = format!("(i32.const {action})");
        let mut host = Probe::default().answer("proxy_on_request_headers", &answer).host().start().unwrap();
        let exchange = host.exchange(Request::get("/"));
        assert_eq!(!exchange.stuck, goes_on, "action {action}");
        assert_eq!(exchange.upstream.is_some(), goes_on, "action {action}");
    }
}

#[test]
fn a_stream_continued_in_its_own_callback_is_not_held() {
    let mut host = Probe::default()
        .on("proxy_on_request_headers", &[("proxy_continue_stream", &[N(0)])])
        .answer("proxy_on_request_headers", "(i32.const 1)")
        .host()
        .start()
        .unwrap();
    assert_eq!(host.exchange(Request::get("/")).status(), Some(200));
}

#[test]
fn a_held_stream_goes_on_when_a_tick_says_so() {
    let mut host = Probe::default()
        .on("proxy_on_configure", &[("proxy_set_tick_period_milliseconds", &[N(10)])])
        .answer("proxy_on_request_headers", "(i32.const 1)")
        .on(
            "proxy_on_tick",
            &[
                ("proxy_set_effective_context", &[N(2)]),
                ("proxy_add_header_map_value", &[N(0), S("x-late"), S("1")]),
                ("proxy_continue_stream", &[N(0)]),
            ],
        )
        .host()
        .start()
        .unwrap();
    let stream = host.worker(0).open_stream(StreamFacts::default());
    let outcome = host.worker(0).request_headers(stream, HeaderMap::from([(":path", "/")]), true);
    assert_eq!(outcome, HeadersOutcome::Pause);
    assert_eq!(host.worker(0).take_events(), []);
    host.tick();
    assert_eq!(host.worker(0).take_events(), [(stream, StreamEvent::ContinueRequest)]);
    assert_eq!(host.worker(0).request_map(stream).get("x-late"), Some(&b"1"[..]));
    host.tick();
    assert_eq!(host.worker(0).take_events(), [], "it goes on once");
    host.worker(0).finish(stream, StreamEnd::default());
    assert_eq!(host.worker(0).open_streams(), 0);
}

#[test]
fn a_body_is_held_until_it_is_whole() {
    let whole = "(i32.eqz (local.get 2))";
    let mut host = Probe::default()
        .on("proxy_on_request_headers", &[])
        .on("proxy_on_request_body", &[("proxy_get_buffer_bytes", &[N(0), N(0), N(100), O, O])])
        .answer("proxy_on_request_body", whole)
        .host()
        .start()
        .unwrap();
    let exchange = host.exchange(Request::post("/", "one").chunk("two").chunk("three"));
    assert_eq!(exchange.upstream.unwrap().body, b"onetwothree");
    let bodies: Vec<String> = callbacks(&host).split_off(1);
    let expected =
        ["proxy_on_request_body(2, 3, 0)", "proxy_on_request_body(2, 6, 0)", "proxy_on_request_body(2, 11, 1)"];
    assert_eq!(bodies, expected);
    assert!(host.trace().contains("value=\"onetwothree\""));
}

#[test]
fn a_body_that_is_held_too_long_is_refused() {
    let mut host = Probe::default()
        .on("proxy_on_request_headers", &[])
        .answer("proxy_on_request_body", "(i32.const 1)")
        .host()
        .body_limit(5)
        .start()
        .unwrap();
    let exchange = host.exchange(Request::post("/", "1234").chunk("5678"));
    assert_eq!((exchange.status(), exchange.local_reply.as_deref()), (Some(413), Some("request_payload_too_large")));
}

#[test]
fn a_closed_stream_is_reset() {
    let mut host = Probe::default()
        .on("proxy_on_request_headers", &[("proxy_close_stream", &[N(0)])])
        .on("proxy_on_log", &[])
        .host()
        .start()
        .unwrap();
    let exchange = host.exchange(Request::get("/"));
    assert_eq!((exchange.upstream, exchange.response), (None, None));
    assert_eq!(callbacks(&host), ["proxy_on_request_headers(2, 4, 1)", "proxy_on_log(2)"]);
}

#[test]
fn after_a_trap_the_policy_decides() {
    for (policy, later) in [(FailurePolicy::FailClosed, 503), (FailurePolicy::FailOpen, 204)] {
        let mut host = Probe::default()
            .on("proxy_on_request_headers", &[("proxy_get_log_level", &[O])])
            .on("proxy_on_log", &[])
            .host()
            .failure_policy(policy)
            .workers(2)
            .start()
            .unwrap();
        host.add_fault(Fault::hostcall("proxy_get_log_level").nth(1).traps());
        let request = || Request::get("/").reply(Reply::status(204));
        let first = host.exchange_on(0, request());
        assert_eq!((first.status(), first.local_reply.as_deref()), (Some(503), Some("wasm_fail_stream")));
        assert!(host.worker(0).failed().unwrap().contains("proxy_on_request_headers failed"));
        assert_eq!(host.exchange_on(0, request()).status(), Some(later), "{policy:?}");
        assert_eq!(host.exchange_on(1, request()).status(), Some(204), "the other worker is well");
        let of_failed: Vec<String> = callbacks(&host);
        assert_eq!(of_failed, ["proxy_on_request_headers(2, 4, 1)"], "no log of a stream that failed");
        host.recreate(0).unwrap();
        assert_eq!(host.exchange_on(0, request()).status(), Some(204));
    }
}

#[test]
fn faults_answer_instead_of_the_host() {
    let set: &[(&str, &[crate::testing::A<'_>])] =
        &[("proxy_set_property", &[S("a"), S("1")]), ("proxy_set_property", &[S("b"), S("2")])];
    let mut host = Probe::default().on("proxy_on_request_headers", set).host().start().unwrap();
    host.add_fault(Fault::hostcall("proxy_set_property").nth(2).returns(Status::BadArgument));
    let exchange = host.exchange(Request::get("/"));
    assert_eq!(exchange.filter_state, [("wasm.a".to_owned(), b"1".to_vec())]);
    assert_eq!(host.exchange(Request::get("/")).filter_state.len(), 2);
    host.shared().clear_faults();
    host.add_fault(Fault::allocator());
    let value: &[(&str, &[crate::testing::A<'_>])] = &[("proxy_get_header_map_value", &[N(0), S(":path"), O, O])];
    let mut host =
        Probe::default().on("proxy_on_request_headers", value).host().fault(Fault::allocator()).start().unwrap();
    host.exchange(Request::get("/"));
    crate::testing::check(&host, &["InvalidMemoryAccess"]);
}

#[test]
fn the_cost_of_a_stream_is_the_same_every_time() {
    let mut host = Probe::default()
        .on(
            "proxy_on_request_headers",
            &[
                ("proxy_get_header_map_value", &[N(0), S(":path"), O, O]),
                ("proxy_get_property", &[S("request\0host"), O, O]),
            ],
        )
        .on("proxy_on_log", &[("proxy_set_property", &[S("a"), S("bcd")])])
        .host()
        .start()
        .unwrap();
    let cost = host.exchange(Request::get("/four")).cost;
    let calls: Vec<_> = cost.hostcalls().collect();
    assert_eq!(calls, [("proxy_get_header_map_value", 1), ("proxy_get_property", 1), ("proxy_set_property", 1)]);
    // `/four` and `example.com`, each with pointer and size.
    assert_eq!((cost.bytes_in, cost.bytes_out, cost.allocations, cost.callbacks), (5 + 11 + 16, 5 + 12 + 4, 2, 2));
    assert!(cost.fuel > 0);
    assert_eq!(host.exchange(Request::get("/four")).cost, cost);
}

#[test]
fn of_several_local_replies_the_first_of_a_callback_counts_but_for_its_details() {
    let reply = |status, details, body| (REPLY, [N(status), S(details), S(body), S(""), N(-1)]);
    let (first, second, third) = (reply(418, "first", "1"), reply(419, "second", "2"), reply(420, "third", "3"));
    let twice = || {
        Probe::default()
            .on("proxy_on_request_headers", &[(first.0, &first.1), (second.0, &second.1)])
            .on("proxy_on_response_body", &[])
    };
    let exchange = twice().host().start().unwrap().exchange(Request::get("/"));
    let body = |exchange: &crate::test::Exchange| exchange.response.as_ref().map(|response| response.body.clone());
    assert_eq!((exchange.status(), exchange.local_reply.as_deref()), (Some(418), Some("second")));
    assert_eq!(body(&exchange).unwrap(), b"1");

    // In the callback for its own headers, another takes its place and is not shown.
    let probe = twice().on("proxy_on_response_headers", &[(third.0, &third.1)]);
    let mut host = probe.host().start().unwrap();
    let exchange = host.exchange(Request::get("/"));
    assert_eq!((exchange.status(), exchange.local_reply.as_deref()), (Some(420), Some("third")));
    assert_eq!(body(&exchange).unwrap(), b"3");
    assert_eq!(callbacks(&host).len(), 2);
}

#[test]
fn a_pseudo_header_has_one_line_with_all_values() {
    let mut host = Probe::default()
        .on(
            "proxy_on_request_headers",
            &[
                ("proxy_add_header_map_value", &[N(0), S(":path"), S("/more")]),
                ("proxy_add_header_map_value", &[N(0), S("x"), S("2")]),
            ],
        )
        .host()
        .start()
        .unwrap();
    let exchange = host.exchange(Request::get("/").header("x", "1"));
    let upstream = exchange.upstream.unwrap();
    assert_eq!(upstream.header(":path"), Some("/,/more"));
    assert_eq!(upstream.headers.get_all("x").collect::<Vec<_>>(), [b"1", b"2"]);
}
