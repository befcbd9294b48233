//! Streams side by side, and ends that come alone.

use std::time::Duration;

use super::{Answer, Host, Reply, Request, Upstream};

/// Holds each request until the next one's headers come, and lets that pass; `/ask` asks a cluster and passes, and the answer
/// to that replaces the response.
const MODULE: &str = r#"(module
    (import "env" "proxy_set_effective_context" (func $enter (param i32) (result i32)))
    (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
    (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_http_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_send_local_response" (func $answer (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 2)
    (data (i32.const 100) "x-ask")
    (data (i32.const 110) "auth")
    (data (i32.const 200) "\03\00\00\00\07\00\00\00\03\00\00\00\0a\00\00\00\04\00\00\00\05\00\00\00\01\00\00\00:method\00GET\00:authority\00auth\00:path\00/\00")
    (global $held (mut i32) (i32.const 0))
    (global $asked (mut i32) (i32.const 0))
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 65536))
    (func (export "proxy_on_request_headers") (param $id i32) (param i32 i32) (result i32)
        (if (i32.eqz (call $get (i32.const 0) (i32.const 100) (i32.const 5) (i32.const 16) (i32.const 20))) (then
            (global.set $asked (local.get $id))
            (drop (call $call (i32.const 110) (i32.const 4) (i32.const 200) (i32.const 65) (i32.const 0) (i32.const 0)
                (i32.const 0) (i32.const 0) (i32.const 1000) (i32.const 8)))
            (return (i32.const 0))))
        (if (global.get $held)
            (then
                (drop (call $enter (global.get $held)))
                (drop (call $continue (i32.const 0)))
                (global.set $held (i32.const 0))
                (return (i32.const 0))))
        (global.set $held (local.get $id))
        (i32.const 1))
    (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) (i32.const 0))
    (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32) (i32.const 0))
    (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
        (drop (call $enter (global.get $asked)))
        (drop (call $answer (i32.const 403) (i32.const 110) (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 0)
            (i32.const 0) (i32.const -1)))))"#;

fn host() -> Host {
    let auth = Upstream::timed(|_| (Duration::from_millis(10), Answer::Reply(Reply::status(200))));
    Host::builder().module_bytes(MODULE).cluster("auth", auth).start().unwrap()
}

/// The callbacks of the worker that are about bodies and headers, in order.
fn callbacks(host: &Host) -> Vec<String> {
    let trace = host.trace();
    let lines = trace.lines().filter_map(|line| line.strip_prefix("worker0 #"));
    let calls = lines.filter_map(|line| line.split_once(" proxy_on_").map(|(_, call)| call));
    calls.filter(|call| call.contains("_body(") || call.contains("_headers(")).map(str::to_owned).collect()
}

#[test]
fn streams_side_by_side_let_each_other_go() {
    let mut host = host();
    let alone = host.exchange(Request::get("/"));
    assert!(alone.stuck && alone.upstream.is_none());

    let mut host = self::host();
    let start = host.now_ns();
    let slow = Request::post("/1", "a").takes(Duration::from_millis(5)).reply(Reply::status(201).chunk("one"));
    let exchanges = host.exchanges([slow, Request::get("/2").reply(Reply::status(202))]);
    assert_eq!(exchanges.iter().map(super::Exchange::status).collect::<Vec<_>>(), [Some(201), Some(202)]);
    assert_eq!(exchanges[0].upstream.as_ref().unwrap().body, b"a");
    assert_eq!(host.now_ns() - start, 5_000_000, "the time that the slower one took");
    assert_eq!(
        callbacks(&host),
        ["request_headers(2, 4, 0)", "request_headers(3, 4, 1)", "request_body(2, 1, 1)", "response_body(2, 3, 1)"]
    );
}

#[test]
fn an_answer_that_comes_while_the_upstream_is_at_it_takes_effect() {
    let mut host = host();
    let exchange = host.exchange(Request::get("/").header("x-ask", "yes").takes(Duration::from_millis(20)));
    assert_eq!((exchange.status(), exchange.local_reply.as_deref()), (Some(403), Some("auth")));
    assert!(exchange.upstream.is_some());
    let exchange = host.exchange(Request::get("/").header("x-ask", "yes").takes(Duration::from_millis(5)));
    assert_eq!(exchange.status(), Some(200), "the upstream was quicker");
}

#[test]
fn an_end_may_come_alone() {
    let mut host = host();
    let request = Request::post("/", "ab").chunk("c").header("x-ask", "yes").end_alone();
    host.exchange(request.reply(Reply::status(200).chunk("d")));
    assert_eq!(
        callbacks(&host),
        [
            "request_headers(2, 5, 0)",
            "request_body(2, 2, 0)",
            "request_body(2, 1, 0)",
            "request_body(2, 0, 1)",
            "response_body(2, 1, 0)",
            "response_body(2, 0, 1)",
        ]
    );
}

#[test]
fn a_connection_leaves_other_connections_events_alone() {
    // The first connection is held until the second one sends something.
    const MODULE: &str = r#"(module
        (import "env" "proxy_set_effective_context" (func $enter (param i32) (result i32)))
        (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
        (memory (export "memory") 1)
        (global $held (mut i32) (i32.const 0))
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "proxy_on_downstream_data") (param $id i32) (param i32 i32) (result i32)
            (if (i32.eqz (global.get $held)) (then (global.set $held (local.get $id)) (return (i32.const 1))))
            (drop (call $enter (global.get $held)))
            (drop (call $continue (i32.const 2)))
            (i32.const 0)))"#;
    let mut host = Host::builder().module_bytes(MODULE).start().unwrap();
    let mut first = host.connect();
    first.send("one");
    assert!(first.is_paused());
    let mut second = first.host().connect();
    second.send("two");
    assert_eq!(second.close().server_got, b"two");
    assert_eq!(first.server_got(), b"one");
    assert!(!first.is_paused());
}
