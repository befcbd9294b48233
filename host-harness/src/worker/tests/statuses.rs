//! Statuses by callback, as measured in Envoy 1.40.

use crate::HeaderMap;
use crate::test::{Reply, Request};
use crate::testing::A::{L, N, O, S};
use crate::testing::{Probe, check};

const VALUE: &str = "proxy_get_header_map_value";
const PAIRS: &str = "proxy_get_header_map_pairs";
const SIZE: &str = "proxy_get_header_map_size";
const SET_PAIRS: &str = "proxy_set_header_map_pairs";
const ADD: &str = "proxy_add_header_map_value";
const REPLACE: &str = "proxy_replace_header_map_value";
const REMOVE: &str = "proxy_remove_header_map_value";
const BUFFER: &str = "proxy_get_buffer_bytes";
const BUFFER_STATUS: &str = "proxy_get_buffer_status";
const SET_BUFFER: &str = "proxy_set_buffer_bytes";
const PROPERTY: &str = "proxy_get_property";
const SET_PROPERTY: &str = "proxy_set_property";

#[test]
fn header_maps_in_the_request_callback() {
    let mut host = Probe::default()
        .on(
            "proxy_on_request_headers",
            &[
                (VALUE, &[N(0), S(":path"), O, O]),
                (VALUE, &[N(0), S("X-Twice"), O, O]),
                (VALUE, &[N(0), S("x-empty"), O, O]),
                (VALUE, &[N(0), S("x-missing"), O, O]),
                (VALUE, &[N(2), S(":status"), O, O]),
                (PAIRS, &[N(2), O, O]),
                (VALUE, &[N(1), S("t"), O, O]),
                (VALUE, &[N(6), S("t"), O, O]),
                (PAIRS, &[N(8), O, O]),
                (VALUE, &[N(8), S("t"), O, O]),
                (SIZE, &[N(0), O]),
                (SIZE, &[N(2), O]),
                (SIZE, &[N(8), O]),
                (ADD, &[N(0), S("X-Twice"), S("three")]),
                (REPLACE, &[N(0), S("x-empty"), S("full")]),
                (REPLACE, &[N(0), S("x-new"), S("n")]),
                (REMOVE, &[N(0), S("x-gone")]),
                (REMOVE, &[N(0), S("x-missing")]),
                (ADD, &[N(2), S("a"), S("b")]),
                (ADD, &[N(6), S("a"), S("b")]),
                (ADD, &[N(9), S("a"), S("b")]),
                (REPLACE, &[N(2), S("a"), S("b")]),
                (REMOVE, &[N(2), S("a")]),
                (SET_PAIRS, &[N(2), S("")]),
                (PAIRS, &[N(0), O, O]),
            ],
        )
        .host()
        .start()
        .unwrap();
    let headers = HeaderMap::from([
        (":path", "/a"),
        ("X-Twice", "one"),
        ("x-gone", "1"),
        ("x-empty", ""),
        ("x-twice", "two"),
        ("x-gone", "2"),
    ]);
    let exchange = host.exchange(Request::get("/").headers(headers));
    let ok_pairs = "Ok, pairs=[\":path: /a\", \"x-twice: one\", \"x-twice: two\", \"x-twice: three\", \
                    \"x-empty: full\", \"x-new: n\"]";
    check(
        &host,
        &[
            "Ok, value=\"/a\"",
            "Ok, value=\"one\"",
            "Ok, value=\"\"",
            "NotFound",
            "BadArgument",
            "Ok, pairs=[]",
            "BadArgument",
            "BadArgument",
            "BadArgument",
            "BadArgument",
            "Ok, size=48",
            "BadArgument",
            "BadArgument",
            "Ok",
            "Ok",
            "Ok",
            "Ok",
            "Ok",
            "BadArgument",
            "BadArgument",
            "BadArgument",
            "BadArgument",
            "BadArgument",
            "BadArgument",
            ok_pairs,
        ],
    );
    let upstream = exchange.upstream.unwrap();
    assert_eq!(upstream.headers.get_all("x-twice").collect::<Vec<_>>(), [&b"one"[..], b"two", b"three"]);
}

#[test]
fn request_headers_are_out_of_reach_in_the_response_callback() {
    let mut host = Probe::default()
        .on(
            "proxy_on_response_headers",
            &[
                (VALUE, &[N(0), S(":path"), O, O]),
                (PAIRS, &[N(0), O, O]),
                (ADD, &[N(0), S("a"), S("b")]),
                (VALUE, &[N(2), S(":status"), O, O]),
                (PROPERTY, &[S("request\0path"), O, O]),
                (PROPERTY, &[S("request\0headers\0x"), O, O]),
                (PROPERTY, &[S("response\0code"), O, O]),
                (PROPERTY, &[S("response\0code_details"), O, O]),
                (ADD, &[N(2), S("X-Seen"), S("yes")]),
            ],
        )
        .host()
        .start()
        .unwrap();
    let exchange = host.exchange(Request::get("/").reply(Reply::status(404)));
    check(
        &host,
        &[
            "BadArgument",
            "Ok, pairs=[]",
            "BadArgument",
            "Ok, value=\"404\"",
            "NotFound",
            "NotFound",
            "Ok, value=\"\\x94\\x01\\x00\\x00\\x00\\x00\\x00\\x00\"",
            "Ok, value=\"via_upstream\"",
            "Ok",
        ],
    );
    assert_eq!(exchange.response_header("x-seen"), Some("yes"));
}

#[test]
fn both_sides_are_readable_in_the_log_callback_and_nothing_is_writable() {
    let mut host = Probe::default()
        .on(
            "proxy_on_log",
            &[
                (VALUE, &[N(0), S(":path"), O, O]),
                (VALUE, &[N(2), S(":status"), O, O]),
                (VALUE, &[N(0), S("x-missing"), O, O]),
                (VALUE, &[N(1), S("t"), O, O]),
                (VALUE, &[N(3), S("grpc-status"), O, O]),
                (VALUE, &[N(6), S("t"), O, O]),
                (PAIRS, &[N(1), O, O]),
                (SIZE, &[N(0), O]),
                (ADD, &[N(0), S("a"), S("b")]),
                (REPLACE, &[N(2), S("a"), S("b")]),
                (REMOVE, &[N(2), S("a")]),
                (SET_PAIRS, &[N(0), S("")]),
                (PROPERTY, &[S("request\0method"), O, O]),
                (PROPERTY, &[S("response\0grpc_status"), O, O]),
                (PROPERTY, &[S("request\0duration"), O, O]),
                (SET_PROPERTY, &[S("late"), S("value")]),
            ],
        )
        .on("proxy_on_done", &[(VALUE, &[N(0), S(":path"), O, O])])
        .host()
        .start()
        .unwrap();
    let reply = Reply::status(200).trailers([("grpc-status", "5")]);
    let request = Request::get("/a").trailers([("t", "1")]).reply(reply).takes(std::time::Duration::from_nanos(258));
    let exchange = host.exchange(request);
    check(
        &host,
        &[
            "Ok, value=\"/a\"",
            "Ok, value=\"200\"",
            "NotFound",
            "NotFound",
            "Ok, value=\"5\"",
            "NotFound",
            "Ok, pairs=[]",
            "BadArgument",
            "BadArgument",
            "BadArgument",
            "BadArgument",
            "BadArgument",
            "Ok, value=\"GET\"",
            "Ok, value=\"\\x05\\x00\\x00\\x00\\x00\\x00\\x00\\x00\"",
            "Ok, value=\"\\x02\\x01\\x00\\x00\\x00\\x00\\x00\\x00\"",
            "Ok",
            "BadArgument",
        ],
    );
    assert_eq!(exchange.filter_state("wasm.late"), Some("value"));
}

#[test]
fn pairs_that_are_malformed_clear_the_map() {
    let mut host = Probe::default()
        .on("proxy_on_request_headers", &[(SET_PAIRS, &[N(0), S("\u{7f}\0\0\0")]), (PAIRS, &[N(0), O, O])])
        .host()
        .start()
        .unwrap();
    host.exchange(Request::get("/"));
    check(&host, &["Ok", "Ok, pairs=[]"]);
}

#[test]
fn metrics() {
    const DEFINE: &str = "proxy_define_metric";
    const INCREMENT: &str = "proxy_increment_metric";
    const RECORD: &str = "proxy_record_metric";
    const GET: &str = "proxy_get_metric";
    let mut host = Probe::default()
        .on(
            "proxy_on_log",
            &[
                (DEFINE, &[N(0), S("c"), O]),
                (DEFINE, &[N(1), S("g"), O]),
                (DEFINE, &[N(2), S("h"), O]),
                (DEFINE, &[N(3), S("x"), O]),
                (DEFINE, &[N(0), S("c"), O]),
                (DEFINE, &[N(1), S("c"), O]),
                (INCREMENT, &[N(4), L(1)]),
                (INCREMENT, &[N(8), L(2)]),
                (INCREMENT, &[N(4), L(0)]),
                (INCREMENT, &[N(4), L(-1)]),
                (RECORD, &[N(4), L(10)]),
                (GET, &[N(4), O]),
                (INCREMENT, &[N(5), L(3)]),
                (INCREMENT, &[N(5), L(-4)]),
                (GET, &[N(5), O]),
                (RECORD, &[N(5), L(7)]),
                (GET, &[N(5), O]),
                (RECORD, &[N(6), L(150)]),
                (INCREMENT, &[N(6), L(1)]),
                (GET, &[N(6), O]),
                (GET, &[N(400), O]),
                (GET, &[N(401), O]),
                (GET, &[N(402), O]),
                (GET, &[N(403), O]),
                (GET, &[N(0), O]),
                (INCREMENT, &[N(400), L(1)]),
                (INCREMENT, &[N(403), L(1)]),
                (RECORD, &[N(400), L(1)]),
                (RECORD, &[N(403), L(1)]),
            ],
        )
        .host()
        .start()
        .unwrap();
    host.exchange(Request::get("/"));
    check(
        &host,
        &[
            "Ok, id=4",
            "Ok, id=5",
            "Ok, id=6",
            "BadArgument",
            "Ok, id=8",
            "Ok, id=9",
            "Ok",
            "Ok",
            "BadArgument",
            "BadArgument",
            "Ok",
            "Ok, value=13",
            "Ok",
            "Ok",
            "Ok, value=18446744073709551615",
            "Ok",
            "Ok, value=7",
            "Ok",
            "BadArgument",
            "BadArgument",
            "NotFound",
            "NotFound",
            "BadArgument",
            "BadArgument",
            "NotFound",
            "NotFound",
            "BadArgument",
            "NotFound",
            "NotFound",
        ],
    );
    assert_eq!((host.counter("c"), host.gauge("c"), host.gauge("g"), host.observations("h")), (13, 0, 7, 1));
}

#[test]
fn shared_data_has_one_sequence_of_numbers() {
    const GET: &str = "proxy_get_shared_data";
    const SET: &str = "proxy_set_shared_data";
    let mut host = Probe::default()
        .on(
            "proxy_on_request_headers",
            &[
                (GET, &[S("a"), O, O, O]),
                (SET, &[S("a"), S("1"), N(77)]),
                (GET, &[S("a"), O, O, O]),
                (SET, &[S("b"), S(""), N(0)]),
                (GET, &[S("b"), O, O, O]),
                (SET, &[S("a"), S("2"), N(9)]),
                (SET, &[S("a"), S("2"), N(1)]),
                (GET, &[S("a"), O, O, O]),
                (SET, &[S("a"), S("3"), N(0)]),
            ],
        )
        .host()
        .start()
        .unwrap();
    host.exchange(Request::get("/"));
    check(
        &host,
        &[
            "NotFound",
            "Ok",
            "Ok, value=\"1\", cas=1",
            "Ok",
            "Ok, value=\"\", cas=2",
            "CasMismatch",
            "Ok",
            "Ok, value=\"2\", cas=3",
            "Ok",
        ],
    );
    assert_eq!(host.shared_data("a").as_deref(), Some(&b"3"[..]));
}

#[test]
fn buffers() {
    let mut host = Probe::default()
        .on(
            "proxy_on_request_headers",
            &[
                (BUFFER, &[N(0), N(0), N(10), O, O]),
                (BUFFER, &[N(4), N(0), N(10), O, O]),
                (BUFFER, &[N(6), N(0), N(10), O, O]),
                (BUFFER, &[N(6), N(1), N(1), O, O]),
                (BUFFER, &[N(6), N(5), N(1), O, O]),
                (BUFFER, &[N(6), N(0), N(0), O, O]),
                (BUFFER, &[N(7), N(0), N(10), O, O]),
                (BUFFER, &[N(9), N(0), N(10), O, O]),
                (BUFFER_STATUS, &[N(6), O, O]),
                (BUFFER_STATUS, &[N(7), O, O]),
                (BUFFER_STATUS, &[N(9), O, O]),
                (SET_BUFFER, &[N(0), N(0), N(0), S("x")]),
                (SET_BUFFER, &[N(6), N(0), N(0), S("x")]),
                (SET_BUFFER, &[N(7), N(0), N(0), S("x")]),
                (SET_BUFFER, &[N(9), N(0), N(0), S("x")]),
            ],
        )
        .on(
            "proxy_on_request_body",
            &[
                (BUFFER, &[N(0), N(1), N(-1), O, O]),
                (BUFFER_STATUS, &[N(0), O, O]),
                (SET_BUFFER, &[N(0), N(1), N(1), S("x")]),
                (SET_BUFFER, &[N(0), N(0), N(0), S("<")]),
                (SET_BUFFER, &[N(0), N(9), N(0), S(">")]),
                (SET_BUFFER, &[N(1), N(0), N(0), S("x")]),
                (ADD, &[N(1), S("made"), S("here")]),
            ],
        )
        .on("proxy_on_response_body", &[(SET_BUFFER, &[N(1), N(0), N(100), S("all new")])])
        .host()
        .vm_configuration("vmc")
        .configuration("plugin")
        .start()
        .unwrap();
    let exchange = host.exchange(Request::post("/", "body").reply(Reply::status(200).chunk("old")));
    check(
        &host,
        &[
            "Ok, value=\"\"",
            "NotFound",
            "Ok, value=\"vmc\"",
            "Ok, value=\"m\"",
            "Ok, value=\"\"",
            "Ok, value=\"\"",
            "NotFound",
            "BadArgument",
            "Ok, length=3, flags=0",
            "NotFound",
            "BadArgument",
            "BadArgument",
            "BadArgument",
            "NotFound",
            "BadArgument",
            "Ok, value=\"ody\"",
            "Ok, length=4, flags=0",
            "BadArgument",
            "Ok",
            "Ok",
            "BadArgument",
            "Ok",
            "Ok",
        ],
    );
    let upstream = exchange.upstream.unwrap();
    assert_eq!(upstream.body, b"<body>");
    assert_eq!(upstream.trailers, Some(HeaderMap::from([("made", "here")])));
    assert_eq!(exchange.response.unwrap().body, b"all new");
}

#[test]
fn configurations_are_readable_when_they_are_given() {
    let host = Probe::default()
        .on("proxy_on_vm_start", &[(BUFFER, &[N(6), N(0), N(10), O, O]), (BUFFER, &[N(7), N(0), N(10), O, O])])
        .on(
            "proxy_on_configure",
            &[
                (BUFFER, &[N(7), N(0), N(10), O, O]),
                (SET_PROPERTY, &[S("a"), S("b")]),
                (PROPERTY, &[S("plugin_name"), O, O]),
            ],
        )
        .host()
        .vm_configuration("v")
        .configuration("p")
        .start()
        .unwrap();
    check(&host, &["Ok, value=\"v\"", "NotFound", "Ok, value=\"p\"", "NotFound", "Ok, value=\"plugin\""]);
}

#[test]
fn properties() {
    let mut host = Probe::default()
        .on(
            "proxy_on_request_headers",
            &[
                (PROPERTY, &[S("request\0path"), O, O]),
                (PROPERTY, &[S("request\0path\0"), O, O]),
                (PROPERTY, &[S("request\0url_path"), O, O]),
                (PROPERTY, &[S("request\0query"), O, O]),
                (PROPERTY, &[S("request\0host"), O, O]),
                (PROPERTY, &[S("request\0headers\0x"), O, O]),
                (PROPERTY, &[S("request\0headers\0missing"), O, O]),
                (PROPERTY, &[S("request\0time"), O, O]),
                (PROPERTY, &[S("request\0protocol"), O, O]),
                (PROPERTY, &[S("request\0duration"), O, O]),
                (PROPERTY, &[S("request\0nothing"), O, O]),
                (PROPERTY, &[S("response\0code"), O, O]),
                (PROPERTY, &[S("source\0address"), O, O]),
                (PROPERTY, &[S("source\0port"), O, O]),
                (PROPERTY, &[S("connection\0mtls"), O, O]),
                (PROPERTY, &[S("connection\0id"), O, O]),
                (PROPERTY, &[S("plugin_root_id"), O, O]),
                (PROPERTY, &[S("plugin_vm_id"), O, O]),
                (PROPERTY, &[S("route_name"), O, O]),
                (PROPERTY, &[S("xds\0route_name"), O, O]),
                (PROPERTY, &[S(""), O, O]),
                (SET_PROPERTY, &[S("mine"), S("first")]),
                (SET_PROPERTY, &[S("mine"), S("second")]),
                (PROPERTY, &[S("mine"), O, O]),
                (PROPERTY, &[S("filter_state\0wasm.mine"), O, O]),
                (PROPERTY, &[S("filter_state"), O, O]),
                (SET_PROPERTY, &[S("dotted\0path"), S("x")]),
                (PROPERTY, &[S("dotted\0path"), O, O]),
                (SET_PROPERTY, &[S("request\0path"), S("/forged")]),
                (PROPERTY, &[S("request\0path"), O, O]),
            ],
        )
        .host()
        .root_id("r")
        .start()
        .unwrap();
    let request = Request::get("/a?b=c").header("x", "1").header("x", "2").property("xds\0route_name", "main");
    let exchange = host.exchange(request);
    check(
        &host,
        &[
            "Ok, value=\"/a?b=c\"",
            "Ok, value=\"/a?b=c\"",
            "Ok, value=\"/a\"",
            "Ok, value=\"b=c\"",
            "Ok, value=\"example.com\"",
            "Ok, value=\"1,2\"",
            "NotFound",
            "Ok, value=\"\\x00\\x00\\xfa\\xedQr\\x86\\x18\"",
            "Ok, value=\"HTTP/1.1\"",
            "NotFound",
            "NotFound",
            "NotFound",
            "Ok, value=\"127.0.0.1:40000\"",
            "Ok, value=\"@\\x9c\\x00\\x00\\x00\\x00\\x00\\x00\"",
            "Ok, value=\"\\x00\"",
            "Ok, value=\"\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\"",
            "Ok, value=\"r\"",
            "Ok, value=\"vm\"",
            "NotFound",
            "Ok, value=\"main\"",
            "SerializationFailure",
            "Ok",
            "Ok",
            "Ok, value=\"second\"",
            "Ok, value=\"second\"",
            "SerializationFailure",
            "Ok",
            "NotFound",
            "Ok",
            "Ok, value=\"/a?b=c\"",
        ],
    );
    assert_eq!(exchange.filter_state("wasm.mine"), Some("second"));
    assert_eq!(exchange.filter_state("wasm.dotted\0path"), Some("x"));
}

#[test]
fn pointers_outside_the_memory() {
    const FAR: i32 = 0x7fff_fff0;
    let mut host = Probe::default()
        .on(
            "proxy_on_request_headers",
            &[
                ("proxy_log", &[N(2), N(FAR), N(1)]),
                ("proxy_log", &[N(2), N(FAR), N(0)]),
                ("proxy_log", &[N(2), N(-1), N(2)]),
                ("proxy_log", &[N(2), N(131_072), N(0)]),
                ("proxy_log", &[N(2), N(131_073), N(0)]),
                ("proxy_log", &[N(6), S("x")]),
                (VALUE, &[N(0), S(":path"), N(FAR), O]),
                (VALUE, &[N(0), S(":path"), O, N(-4)]),
                (VALUE, &[N(0), N(FAR), N(3), O, O]),
                (PAIRS, &[N(0), N(FAR), O]),
                (ADD, &[N(0), S("a"), N(4), N(-1)]),
                (SIZE, &[N(0), N(FAR)]),
                (PROPERTY, &[N(FAR), N(1), O, O]),
                (SET_PROPERTY, &[S("a"), N(FAR), N(0)]),
                ("proxy_get_current_time_nanoseconds", &[N(131_065)]),
                ("proxy_define_metric", &[N(0), N(FAR), N(1), O]),
                ("proxy_send_local_response", &[N(200), N(FAR), N(1), S(""), S(""), N(-1)]),
                ("wasi_snapshot_preview1.random_get", &[N(FAR), N(1)]),
                ("wasi_snapshot_preview1.random_get", &[N(0), N(65_537)]),
                ("wasi_snapshot_preview1.fd_write", &[N(1), N(FAR), N(1), O]),
                ("wasi_snapshot_preview1.fd_write", &[N(3), N(0), N(0), O]),
            ],
        )
        .host()
        .start()
        .unwrap();
    let exchange = host.exchange(Request::get("/"));
    let bad = "InvalidMemoryAccess";
    check(
        &host,
        &[
            bad,
            bad,
            bad,
            "Ok",
            bad,
            "BadArgument",
            bad,
            bad,
            bad,
            bad,
            bad,
            bad,
            bad,
            bad,
            bad,
            bad,
            bad,
            "21",
            "28",
            "21",
            "8",
        ],
    );
    assert_eq!(exchange.status(), Some(200));
}

#[test]
fn contexts_streams_and_the_rest() {
    let mut host = Probe::default()
        .on(
            "proxy_on_request_headers",
            &[
                ("proxy_set_effective_context", &[N(99)]),
                ("proxy_set_effective_context", &[N(1)]),
                (VALUE, &[N(0), S(":path"), O, O]),
                (SET_PROPERTY, &[S("a"), S("b")]),
                ("proxy_set_effective_context", &[N(0)]),
                (VALUE, &[N(0), S(":path"), O, O]),
                ("proxy_done", &[]),
                ("proxy_get_log_level", &[O]),
                ("proxy_get_status", &[O, O, O]),
                ("proxy_call_foreign_function", &[S("nothing"), S(""), O, O]),
                ("proxy_call_foreign_function", &[S("clear_route_cache"), S(""), N(0), N(0)]),
                ("proxy_close_stream", &[N(4)]),
                ("proxy_continue_stream", &[N(4)]),
                ("proxy_continue_stream", &[N(3)]),
                ("proxy_continue_stream", &[N(2)]),
                ("proxy_continue_stream", &[N(1)]),
                (VALUE, &[N(0), S(":path"), O, O]),
                ("wasi_snapshot_preview1.clock_time_get", &[N(0), L(0), O]),
                ("wasi_snapshot_preview1.clock_time_get", &[N(2), L(0), O]),
                ("wasi_snapshot_preview1.sched_yield", &[]),
                ("wasi_snapshot_preview1.poll_oneoff", &[N(0), N(0), N(0), O]),
                ("wasi_snapshot_preview1.args_sizes_get", &[O, O]),
                ("wasi_snapshot_preview1.environ_sizes_get", &[O, O]),
            ],
        )
        .host()
        .env("KEY", "value")
        .start()
        .unwrap();
    let exchange = host.exchange(Request::get("/"));
    check(
        &host,
        &[
            "BadArgument",
            "Ok",
            "BadArgument",
            "NotFound",
            "Ok",
            "Ok, value=\"/\"",
            "NotFound",
            "Ok, level=2",
            "Ok, code=0, message=\"\"",
            "NotFound",
            "Ok",
            "BadArgument",
            "BadArgument",
            "Unimplemented",
            "Ok",
            "Ok",
            "BadArgument",
            "Ok, time=1767225600000000000",
            "58",
            "Ok",
            "Ok, occurred=0",
            "Ok, count=0, size=0",
            "Ok, count=1, size=10",
        ],
    );
    assert_eq!(exchange.status(), Some(200));
}
