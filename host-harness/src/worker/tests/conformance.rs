//! Each row of [`Conformance`]'s table, in both ways.

use std::time::Duration;

use crate::Conformance::{self, Envoy, Spec};
use crate::test::{Answer, Host, Reply, Request, Upstream};
use crate::testing::A::{L, N, O, S};
use crate::testing::{A, Probe, callbacks, hostcalls};

/// Takes a request with body and trailers through the module.
fn run(probe: &Probe, conformance: Conformance) -> Host {
    let clusters = |name: &str| match name {
        "refused" => Upstream::always(Answer::Refusal),
        _ => Upstream::always(Answer::Silence),
    };
    let builder = probe.host().conformance(conformance).vm_configuration("vm").configuration("plugin");
    let builder = ["refused", "silent"].iter().fold(builder, |builder, name| builder.cluster(*name, clusters(name)));
    let mut host = builder.start().unwrap();
    let reply = Reply::status(200).chunk("fine").trailers([("t", "u")]);
    host.exchange(Request::post("/", "body").trailers([("t", "u")]).reply(reply));
    host.advance(Duration::from_secs(1));
    host
}

/// What the hostcalls of a callback answer.
fn answers(callback: &str, calls: &[(&str, &[A<'_>])], conformance: Conformance) -> Vec<String> {
    let host = run(&Probe::default().on(callback, calls), conformance);
    assert_eq!(host.trace().matches("failed: ").count(), 0, "{}", host.trace());
    hostcalls(&host).iter().map(|call| call.split_once(") = ").unwrap().1.to_owned()).collect()
}

#[track_caller]
fn check(callback: &str, calls: &[(&str, &[A<'_>])], in_envoy: &[&str], by_spec: &[&str]) {
    assert_eq!(answers(callback, calls, Envoy), in_envoy, "Envoy");
    assert_eq!(answers(callback, calls, Spec), by_spec, "the specification");
}

const GET: &str = "proxy_get_buffer_bytes";
const SET: &str = "proxy_set_buffer_bytes";
const STATUS: &str = "proxy_get_buffer_status";

#[test]
fn the_end_of_a_stream() {
    let probe = Probe::default().on("proxy_on_log", &[]).on("proxy_on_done", &[]).on("proxy_on_delete", &[]);
    let of_stream = |conformance| -> Vec<String> {
        let calls = callbacks(&run(&probe, conformance));
        calls.into_iter().filter(|call| call.ends_with("(2)")).collect()
    };
    assert_eq!(of_stream(Envoy), ["proxy_on_log(2)", "proxy_on_done(2)", "proxy_on_delete(2)"]);
    assert_eq!(of_stream(Spec), ["proxy_on_done(2)", "proxy_on_log(2)", "proxy_on_delete(2)"]);
}

#[test]
fn a_module_with_both_allocators() {
    let probe = Probe::default()
        .on("proxy_on_request_headers", &[("proxy_get_header_map_value", &[N(0), S(":path"), N(0), N(4)])])
        .fields(
            "(func (export \"malloc\") (param i32) (result i32) (i32.const 0))
             (func (export \"proxy_on_memory_allocate\") (param i32) (result i32) (i32.const 512))",
        );
    let answer = |conformance| hostcalls(&run(&probe, conformance))[0].split_once(") = ").unwrap().1.to_owned();
    assert_eq!((answer(Envoy).as_str(), answer(Spec).as_str()), ("InvalidMemoryAccess", "Ok, value=\"/\""));
}

#[test]
fn buffers() {
    let body = "proxy_on_request_body";
    // Those that are not there: the response's, downstream data, a gRPC message.
    for buffer in [1, 2, 5] {
        let calls: [(&str, &[A<'_>]); 3] = [
            (GET, &[N(buffer), N(0), N(9), N(0), N(4)]),
            (STATUS, &[N(buffer), O, O]),
            (SET, &[N(buffer), N(0), N(0), S("x")]),
        ];
        check(body, &calls, &["Ok, value=\"\"", "Ok, length=0, flags=0", "BadArgument"], &["NotFound"; 3]);
    }
    // Past the end; at the end there is nothing.
    let calls: [(&str, &[A<'_>]); 2] = [(GET, &[N(0), N(5), N(9), N(0), N(4)]), (GET, &[N(0), N(4), N(9), N(0), N(4)])];
    check(body, &calls, &["Ok, value=\"\""; 2], &["BadArgument", "Ok, value=\"\""]);
    // Into the middle.
    let all: (&str, &[A<'_>]) = (GET, &[N(0), N(0), N(99), N(0), N(4)]);
    let calls: [(&str, &[A<'_>]); 4] =
        [(SET, &[N(0), N(1), N(2), S("xyz")]), all, (SET, &[N(0), N(2), N(99), S("-")]), all];
    let unchanged = ["BadArgument", "Ok, value=\"body\"", "BadArgument", "Ok, value=\"body\""];
    check(body, &calls, &unchanged, &["Ok", "Ok, value=\"bxyzy\"", "Ok", "Ok, value=\"bx-\""]);
}

#[test]
fn configurations() {
    let vm: [(&str, &[A<'_>]); 1] = [(GET, &[N(6), N(0), N(9), N(0), N(4)])];
    check("proxy_on_vm_start", &vm, &["Ok, value=\"vm\""], &["Ok, value=\"vm\""]);
    check("proxy_on_configure", &vm, &["Ok, value=\"vm\""], &["NotFound"]);
    check("proxy_on_request_headers", &vm, &["Ok, value=\"vm\""], &["NotFound"]);
    // Buffer 8 after another one.
    let last: [(&str, &[A<'_>]); 2] = [(GET, &[N(0), N(0), N(9), N(0), N(4)]), (GET, &[N(8), N(0), N(9), N(0), N(4)])];
    check("proxy_on_request_body", &last, &["Ok, value=\"body\""; 2], &["Ok, value=\"body\"", "NotFound"]);
}

#[test]
fn header_maps() {
    let pairs: (&str, &[A<'_>]) = ("proxy_get_header_map_pairs", &[N(2), N(0), N(4)]);
    let value: (&str, &[A<'_>]) = ("proxy_get_header_map_value", &[N(2), S("a"), N(0), N(4)]);
    check("proxy_on_request_headers", &[pairs, value], &["Ok, pairs=[]", "BadArgument"], &["BadArgument"; 2]);
    let of_callout: (&str, &[A<'_>]) = ("proxy_get_header_map_value", &[N(6), S("a"), N(0), N(4)]);
    let trailers: (&str, &[A<'_>]) = ("proxy_get_header_map_value", &[N(1), S("t"), N(0), N(4)]);
    check("proxy_on_log", &[of_callout, trailers], &["NotFound"; 2], &["BadArgument", "Ok, value=\"u\""]);
    let size: (&str, &[A<'_>]) = ("proxy_get_header_map_size", &[N(3), O]);
    check("proxy_on_response_trailers", &[size], &["Ok, size=2"], &["Ok, size=16"]);
    check("proxy_on_log", &[size], &["BadArgument"], &["Ok, size=16"]);
}

#[test]
fn what_is_continued_stays() {
    let calls: [(&str, &[A<'_>]); 3] = [
        ("proxy_continue_stream", &[N(0)]),
        ("proxy_get_header_map_value", &[N(0), S(":path"), N(0), N(4)]),
        ("proxy_add_header_map_value", &[N(0), S("a"), S("b")]),
    ];
    check("proxy_on_request_headers", &calls, &["Ok", "BadArgument", "BadArgument"], &["Ok", "Ok, value=\"/\"", "Ok"]);
}

#[test]
fn metrics() {
    let calls: [(&str, &[A<'_>]); 9] = [
        ("proxy_define_metric", &[N(0), S("c"), O]),
        ("proxy_record_metric", &[N(4), L(5)]),
        ("proxy_record_metric", &[N(4), L(3)]),
        ("proxy_get_metric", &[N(4), O]),
        ("proxy_increment_metric", &[N(4), L(0)]),
        ("proxy_increment_metric", &[N(4), L(-1)]),
        ("proxy_increment_metric", &[N(6), L(1)]),
        ("proxy_get_metric", &[N(7), O]),
        ("proxy_increment_metric", &[N(8), L(1)]),
    ];
    let in_envoy = ["24", "BadArgument", "BadArgument", "BadArgument", "BadArgument", "NotFound"];
    let by_spec = ["3", "Ok", "BadArgument", "NotFound", "NotFound", "NotFound"];
    for (conformance, [value, rest @ ..]) in [(Envoy, in_envoy), (Spec, by_spec)] {
        let answers = answers("proxy_on_vm_start", &calls, conformance);
        assert_eq!(answers[3], format!("Ok, value={value}"));
        assert_eq!(answers[4..], rest);
    }
}

#[test]
fn shared_data() {
    let calls: [(&str, &[A<'_>]); 2] = [
        ("proxy_set_shared_data", &[S("key"), S("value"), N(7)]),
        ("proxy_get_shared_data", &[S("key"), N(0), N(4), N(8)]),
    ];
    check("proxy_on_log", &calls, &["Ok", "Ok, value=\"value\", cas=1"], &["CasMismatch", "NotFound"]);
}

/// Pairs of a request.
const PAIRS: &str = "\u{3}\0\0\0\u{7}\0\0\0\u{3}\0\0\0\u{a}\0\0\0\u{4}\0\0\0\u{5}\0\0\0\u{1}\0\0\0:method\0GET\0:authority\0auth\0:path\0/\0";

#[test]
fn callouts_without_a_response() {
    let call = |cluster| [S(cluster), S(PAIRS), S(""), S(""), N(100), O];
    let probe = Probe::default()
        .on("proxy_on_request_headers", &[("proxy_http_call", &call("refused")), ("proxy_http_call", &call("silent"))])
        .on("proxy_on_http_call_response", &[("proxy_get_status", &[O, N(0), N(4)])]);
    let told = |conformance| -> Vec<String> {
        let host = run(&probe, conformance);
        let responses = callbacks(&host).into_iter().filter(|call| call.starts_with("proxy_on_http_call_response"));
        let statuses = hostcalls(&host).into_iter().filter(|call| call.starts_with("proxy_get_status"));
        let statuses = statuses.map(|call| call.split_once(") = ").unwrap().1.to_owned());
        responses.chain(statuses).collect()
    };
    assert_eq!(
        told(Envoy),
        [
            "proxy_on_http_call_response(1, 4, 3, 98, 0)",
            "proxy_on_http_call_response(1, 8, 3, 24, 0)",
            "Ok, code=0, message=\"\"",
            "Ok, code=0, message=\"\"",
        ]
    );
    assert_eq!(
        told(Spec),
        [
            "proxy_on_http_call_response(1, 4, 0, 0, 0)",
            "proxy_on_http_call_response(1, 8, 0, 0, 0)",
            "Ok, code=503, message=\"upstream connect error or disconnect/reset before headers. reset reason: remote connection failure\"",
            "Ok, code=504, message=\"upstream request timeout\"",
        ]
    );
}

#[test]
fn grpc_upstreams() {
    let call = |service| [S(service), S("s"), S("m"), S(""), S(""), N(0), O];
    // Envoy's messages: a cluster that is not there, and one without a target.
    let unknown = "\u{a}\u{6}\u{a}\u{4}none";
    let calls: [(&str, &[A<'_>]); 2] = [("proxy_grpc_call", &call(unknown)), ("proxy_grpc_call", &call("none"))];
    check("proxy_on_request_headers", &calls, &["InternalFailure", "ParseFailure"], &["ParseFailure"; 2]);

    let nothing: [(&str, &[A<'_>]); 1] = [("proxy_grpc_call", &call(""))];
    let host = |conformance| run(&Probe::default().on("proxy_on_request_headers", &nothing), conformance);
    assert!(host(Envoy).worker(0).failed().unwrap().contains("without a target"));
    assert_eq!(answers("proxy_on_request_headers", &nothing, Spec), ["ParseFailure"]);
}
