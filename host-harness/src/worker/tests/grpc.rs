//! gRPC callouts: what may be asked for, what comes back, and what holds against a module or an upstream that means harm.

use std::time::Duration;

use crate::test::{Answer, GrpcReply, GrpcRequest, Host, Reply, Request, Upstream};
use crate::testing::A::{N, O, S};
use crate::testing::{A, Probe, callbacks, hostcalls};
use crate::{FailurePolicy, Fault, GrpcEvent, GrpcId, GrpcReset, HeaderMap};

const CALL: &str = "proxy_grpc_call";
const STREAM: &str = "proxy_grpc_stream";
const SEND: &str = "proxy_grpc_send";
const CLOSE: &str = "proxy_grpc_close";
const CANCEL: &str = "proxy_grpc_cancel";
const INITIAL: &str = "proxy_on_grpc_receive_initial_metadata";
const RECEIVE: &str = "proxy_on_grpc_receive";
const TRAILING: &str = "proxy_on_grpc_receive_trailing_metadata";
const CLOSED: &str = "proxy_on_grpc_close";
const STATUS: &str = "proxy_get_status";
const PAIRS: &str = "proxy_get_header_map_pairs";
const BUFFER: &str = "proxy_get_buffer_bytes";
const REQUEST: &str = "proxy_on_request_headers";
/// `envoy_grpc { cluster_name: "c" }`.
const SERVICE: &str = "\n\u{3}\n\u{1}c";

/// A call to the cluster with this timeout.
fn call(message: &str, timeout: i32) -> [A<'_>; 7] {
    [S(SERVICE), S("pkg.Svc"), S("Do"), S(""), S(message), N(timeout), O]
}

/// A stream to the cluster.
const OPEN: [A<'static>; 5] = [S(SERVICE), S("pkg.Svc"), S("Do"), S(""), O];

/// A module that makes a call and looks at what comes of it.
fn caller(timeout: i32) -> Probe {
    Probe::default()
        .on(REQUEST, &[(CALL, &call("hello", timeout))])
        .on(RECEIVE, &[(STATUS, &[O, O, O]), (BUFFER, &[N(5), N(0), N(99), O, O])])
        .on(CLOSED, &[(STATUS, &[O, O, O])])
}

/// A module that opens a stream, sends one message, and looks at what comes of it.
fn streamer() -> Probe {
    Probe::default()
        .on(REQUEST, &[(STREAM, &OPEN), (SEND, &[N(6), S("hello"), N(0)])])
        .on(INITIAL, &[(PAIRS, &[N(4), O, O])])
        .on(RECEIVE, &[(BUFFER, &[N(5), N(0), N(99), O, O])])
        .on(TRAILING, &[(PAIRS, &[N(5), O, O])])
        .on(CLOSED, &[(STATUS, &[O, O, O])])
}

/// What the module was told of gRPC, and what it then saw.
fn told(host: &Host) -> Vec<String> {
    let trace = host.shared().trace().lines();
    let lines = trace.iter().filter_map(|line| line.strip_prefix("worker0 #1 "));
    let told = lines.map(str::trim).filter(|line| !line.contains(" returned"));
    told.filter(|line| line.starts_with("proxy_on_grpc") || line.starts_with("proxy_get")).map(str::to_owned).collect()
}

/// What a module is told with such a cluster.
fn hears(probe: &Probe, upstream: Upstream) -> Vec<String> {
    let mut host = probe.host().cluster("c", upstream).start().unwrap();
    assert_eq!(host.exchange(Request::get("/")).status(), Some(200));
    host.advance(Duration::from_secs(60));
    told(&host)
}

fn failed(status: u32, message: &str) -> [String; 2] {
    let code = status;
    [format!("{CLOSED}(1, 5, {status})"), format!("proxy_get_status() = Ok, code={code}, message=\"{message}\"")]
}

fn reply() -> GrpcReply {
    GrpcReply::new()
}

#[test]
fn a_call_has_one_message_each_way() {
    let upstream = Upstream::grpc(|request| {
        assert_eq!((request.path(), request.message(), request.ended), ("/pkg.Svc/Do", Some(&b"hello"[..]), true));
        reply().metadata("m", "1").message("hi").trailer("t", "1").status(0, "")
    });
    let heard = hears(&caller(100), upstream);
    let message = "proxy_get_buffer_bytes(buffer=5, start=0, max=99) = Ok, value=\"hi\"";
    assert_eq!(heard, ["proxy_on_grpc_receive(1, 5, 2)", "proxy_get_status() = Ok, code=0, message=\"\"", message]);
}

#[test]
fn a_call_that_fails_is_closed_with_its_status() {
    for (answer, status, message) in [
        (reply().message("hi").status(7, "not%20you"), 7, "not%20you{via_upstream}"),
        (reply().status(0, ""), 13, ""),
        (reply().message("hi").status(17, ""), u32::MAX, "via_upstream"),
        (reply().message("hi").end(), 2, "via_upstream"),
        (reply().bytes("<html>"), 13, "via_upstream"),
        (reply().bytes(*b"\x01\0\0\0\x01x"), 13, "via_upstream"),
        (reply().bytes(*b"\0\xff\xff\xff\xff"), 8, "via_upstream"),
        (reply().headers_only([(":status", "200"), ("grpc-status", "5"), ("grpc-message", "x")]), 5, "x{via_upstream}"),
        (reply().headers_only([(":status", "404"), ("grpc-status", "5")]), 5, "via_upstream"),
        (reply().headers_only([(":status", "404")]), 12, "via_upstream"),
        (reply().message("hi"), 13, "response_timeout"),
        (reply(), 14, "upstream request timeout{response_timeout}"),
        (
            reply().after(Duration::from_millis(200)).message("late").status(0, ""),
            14,
            "upstream request timeout{response_timeout}",
        ),
        (
            reply().reset(GrpcReset::RemoteReset),
            14,
            "upstream connect error or disconnect/reset before headers. reset reason: remote \
             reset{upstream_reset_before_response_started{remote_reset}}",
        ),
        (
            reply().message("hi").reset(GrpcReset::ConnectionTermination),
            13,
            "upstream_reset_after_response_started{connection_termination}",
        ),
    ] {
        let sent = answer.clone();
        assert_eq!(hears(&caller(100), Upstream::grpc(move |_| sent.clone())), failed(status, message), "{answer:?}");
    }
}

/// A server that does not know gRPC answers as it does.
#[test]
fn a_call_to_an_http_server_is_an_error() {
    for (answer, status) in [
        (Answer::Reply(Reply::status(404).chunk("not here")), 12),
        (Answer::Reply(Reply::status(200).chunk("<html>")), 13),
        (Answer::Reply(Reply::status(200)), 2),
        (Answer::Refusal, 14),
        (Answer::Close, 14),
        (Answer::Reset, 14),
        (Answer::Silence, 14),
    ] {
        let heard = hears(&caller(100), Upstream::always(answer.clone()));
        assert_eq!(heard[0], format!("{CLOSED}(1, 5, {status})"), "{answer:?}");
    }
}

#[test]
fn a_stream_is_told_of_everything_in_order() {
    let upstream = Upstream::grpc(|request: &GrpcRequest| match request.messages.len() {
        0 => reply().metadata("m", "1"),
        _ => reply().message("one").message("").after(Duration::from_secs(1)).trailer("t", "1").status(3, "bad"),
    });
    let heard = hears(&streamer(), upstream);
    assert_eq!(
        heard,
        [
            "proxy_on_grpc_receive_initial_metadata(1, 6, 2)",
            "proxy_get_header_map_pairs(map=4) = Ok, pairs=[\":status: 200\", \"content-type: application/grpc\"]",
            "proxy_on_grpc_receive(1, 6, 3)",
            "proxy_get_buffer_bytes(buffer=5, start=0, max=99) = Ok, value=\"one\"",
            "proxy_on_grpc_receive(1, 6, 0)",
            "proxy_get_buffer_bytes(buffer=5, start=0, max=99) = Ok, value=\"\"",
            "proxy_on_grpc_receive_trailing_metadata(1, 6, 3)",
            "proxy_get_header_map_pairs(map=5) = Ok, pairs=[\"t: 1\", \"grpc-status: 3\", \"grpc-message: bad\"]",
            "proxy_on_grpc_close(1, 6, 3)",
            "proxy_get_status() = Ok, code=3, message=\"bad{via_upstream}\"",
        ]
    );
}

#[test]
fn what_a_stream_sends_arrives_until_its_end() {
    let mut host = Probe::default()
        .on(
            REQUEST,
            &[
                (STREAM, &OPEN),
                (SEND, &[N(6), S("one"), N(0)]),
                (SEND, &[N(6), S("two"), N(1)]),
                (SEND, &[N(6), S("too late"), N(0)]),
                (CLOSE, &[N(6)]),
            ],
        )
        .host()
        .cluster("c", Upstream::grpc(|_| reply()))
        .start()
        .unwrap();
    host.exchange(Request::get("/"));
    let requests = host.grpc_callouts();
    let [request] = requests.as_slice() else { panic!("one callout") };
    assert!(request.ended && !request.cancelled && request.callout.id.is_stream());
    assert_eq!(request.messages, [b"one", b"two"]);
    assert_eq!((request.header(":authority"), request.header("grpc-timeout")), (Some("c"), None));
    assert!(hostcalls(&host).iter().skip(1).all(|call| call.ends_with(" = Ok")));
}

#[test]
fn cancelling_ends_what_is_told() {
    let upstream = Upstream::grpc(|_| reply().message("one").message("two").status(0, ""));
    let probe = Probe::default().on(REQUEST, &[(STREAM, &OPEN)]).on(RECEIVE, &[(CANCEL, &[N(6)]), (CANCEL, &[N(6)])]);
    let mut host = probe.host().cluster("c", upstream).start().unwrap();
    host.exchange(Request::get("/").takes(Duration::from_millis(1)));
    assert_eq!(callbacks(&host)[1..], ["proxy_on_grpc_receive(1, 6, 3)"]);
    let cancels = hostcalls(&host).split_off(1);
    assert_eq!(cancels, ["proxy_grpc_cancel(id=6) = Ok", "proxy_grpc_cancel(id=6) = NotFound"]);
    assert!(host.grpc_callouts()[0].cancelled);
}

/// Envoy tells of a stream's metadata while the hostcall runs that opens it, and of its end after the callback.
#[test]
fn a_stream_that_cannot_be_opened_is_told_of_at_once() {
    let mut host = streamer().host().cluster("c", Upstream::without_endpoint()).start().unwrap();
    host.exchange(Request::get("/"));
    let trace = host.trace();
    let at = |text: &str| trace.find(text).unwrap_or_else(|| panic!("{text} in {trace}"));
    let order = [
        at("proxy_on_grpc_receive_initial_metadata(1, 6, 0)"),
        at("proxy_on_grpc_receive_trailing_metadata(1, 6, 4)"),
        at("proxy_grpc_stream(service"),
        at("proxy_on_request_headers returned"),
        at("proxy_on_grpc_close(1, 6, 14)"),
        at("message=\"no healthy upstream{no_healthy_upstream}\""),
    ];
    assert!(order.is_sorted(), "{trace}");
    assert!(trace.contains(") = InternalFailure"));
}

#[test]
fn headers_are_envoys_own_and_the_modules() {
    let mut pairs = Vec::new();
    HeaderMap::from([("X-Mine", "1"), ("x-a-bin", "\u{1}\u{2}"), ("te", "more"), ("host", "h")])
        .encode_pairs(&mut pairs);
    let pairs = String::from_utf8(pairs).unwrap();
    // `authority: "auth"` and initial metadata `s: v`.
    let service = "\n\u{9}\n\u{1}c\u{12}\u{4}auth*\u{6}\n\u{1}s\u{12}\u{1}v";
    let arguments = [S(service), S("pkg.Svc"), S("Do"), S(&pairs), S(""), N(250), O];
    let mut host = Probe::default()
        .on(REQUEST, &[(CALL, &arguments)])
        .host()
        .cluster("c", Upstream::grpc(|_| reply()))
        .start()
        .unwrap();
    host.exchange(Request::get("/"));
    let headers: Vec<String> = host.grpc_callouts()[0]
        .callout
        .headers
        .iter()
        .map(|(name, value)| format!("{}: {}", name.escape_ascii(), value.escape_ascii()))
        .collect();
    assert_eq!(
        headers,
        [
            ":method: POST",
            ":path: /pkg.Svc/Do",
            ":authority: auth,h",
            ":scheme: http",
            "te: trailers,more",
            "grpc-timeout: 250m",
            "content-type: application/grpc",
            "s: v",
            "x-mine: 1",
            "x-a-bin: AQI=",
        ]
    );
}

#[test]
fn what_may_be_asked_for() {
    let open = |service| [S(service), S("s"), S("m"), S(""), O];
    let nowhere = N(10_000_000);
    let mut host = Probe::default()
        .on(
            REQUEST,
            &[
                (STREAM, &OPEN),
                (STREAM, &open("c")),
                (STREAM, &open("nobody")),
                (STREAM, &open("\n\u{8}\n\u{6}nobody")),
                // For Google's client.
                (STREAM, &open("\u{12}\u{0}")),
                (CALL, &[nowhere, N(1), S(""), S(""), S(""), S(""), N(0), O]),
                (CALL, &[S(SERVICE), S(""), S(""), S(""), nowhere, N(1), N(0), O]),
                (CALL, &[S(SERVICE), S(""), S(""), S(""), S(""), N(0), nowhere]),
                (SEND, &[N(5), S(""), N(0)]),
                (SEND, &[N(6), nowhere, N(1), N(0)]),
                (SEND, &[N(402), S(""), N(0)]),
                (CLOSE, &[N(4)]),
                (CLOSE, &[N(402)]),
                (CANCEL, &[N(7)]),
                (CANCEL, &[N(5)]),
            ],
        )
        .host()
        .cluster("c", Upstream::grpc(|_| reply()))
        .start()
        .unwrap();
    host.exchange(Request::get("/"));
    let answers: Vec<String> =
        hostcalls(&host).iter().map(|call| call.rsplit_once(") = ").unwrap().1.to_owned()).collect();
    assert_eq!(
        answers,
        [
            "Ok, id=6",
            "Ok, id=10",
            "ParseFailure",
            "InternalFailure",
            "BadArgument",
            "InvalidMemoryAccess",
            "InvalidMemoryAccess",
            // The call is made for all that.
            "InvalidMemoryAccess",
            "BadArgument",
            "InvalidMemoryAccess",
            "NotFound",
            "BadArgument",
            "NotFound",
            "BadArgument",
            "Ok",
        ]
    );
}

/// Envoy ends; a VM that fails is what comes next to it.
#[test]
fn a_service_without_a_target_traps() {
    let probe = Probe::default().on(REQUEST, &[(STREAM, &[S(""), S("s"), S("m"), S(""), O])]);
    let mut host = probe.host().start().unwrap();
    assert_eq!(host.exchange(Request::get("/")).status(), Some(503));
    assert!(host.worker(0).failed().unwrap().contains("a gRPC service without a target ends Envoy"));
}

#[test]
fn a_root_context_that_ends_cancels_what_it_has_open() {
    let probe = Probe::default().on("proxy_on_configure", &[(STREAM, &OPEN), (CALL, &call("x", 0))]).on(CLOSED, &[]);
    let slow = Upstream::grpc(|_| reply().after(Duration::from_secs(1)).message("hi").status(0, ""));
    let mut host = probe.host().cluster("c", slow).start().unwrap();
    host.reconfigure("").unwrap();
    host.advance(Duration::from_secs(2));
    assert_eq!(callbacks(&host).iter().filter(|line| line.starts_with(CLOSED)).count(), 1);
    let worker: Vec<bool> = host.grpc_callouts().iter().map(|request| request.cancelled).collect();
    // Of the main thread and of the worker: the stream and the call of the old root, and those of the new one.
    assert_eq!(worker.iter().filter(|cancelled| **cancelled).count(), 4, "{worker:?}");
}

#[test]
fn a_trap_in_any_callback_fails_the_vm_alone() {
    for callback in [INITIAL, RECEIVE, TRAILING, CLOSED] {
        let probe = Probe::default().on(REQUEST, &[(STREAM, &OPEN)]).wat(callback, "unreachable");
        let upstream = Upstream::grpc(|_| reply().message("hi").status(0, ""));
        let mut host = probe.host().cluster("c", upstream).start().unwrap();
        assert_eq!(host.exchange(Request::get("/").takes(Duration::from_millis(1))).status(), Some(503), "{callback}");
        assert!(host.worker(0).failed().unwrap().contains(callback));
        let id = host.grpc_callouts()[0].callout.id;
        assert!(!host.worker(0).awaits_grpc(id));
        host.worker(0).grpc_event(id, GrpcEvent::Reset(GrpcReset::RemoteReset));
    }
}

#[test]
fn a_trap_while_a_stream_is_refused_fails_the_hostcall() {
    for callback in [INITIAL, TRAILING] {
        let probe = Probe::default().on(REQUEST, &[(STREAM, &OPEN)]).wat(callback, "unreachable");
        let mut host = probe.host().cluster("c", Upstream::without_endpoint()).start().unwrap();
        assert_eq!(host.exchange(Request::get("/")).status(), Some(503));
        assert!(host.worker(0).failed().is_some(), "{callback}");
    }
}

/// In Envoy it never ends.
#[test]
fn a_module_that_fails_again_at_every_failure_runs_out_of_fuel() {
    let probe = Probe::default().on(REQUEST, &[(CALL, &call("x", 0))]).on(CLOSED, &[(CALL, &call("x", 0))]);
    let host = probe.host().trace(false).fuel_per_callback(Some(1_000_000)).cluster("c", Upstream::without_endpoint());
    let mut host = host.start().unwrap();
    assert_eq!(host.exchange(Request::get("/")).status(), Some(503));
    assert!(host.worker(0).failed().unwrap().contains("fuel"), "{:?}", host.worker(0).failed());
}

#[test]
fn what_is_open_and_what_is_sent_ahead_is_bounded() {
    let open = "(loop (drop (call $env.proxy_grpc_stream (i32.const 4096) (i32.const 5) (i32.const 4096) (i32.const 1)
        (i32.const 4096) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 8)))
        (br_if 0 (i32.lt_u (i32.load (i32.const 8)) (i32.const 4095))))";
    // Once properly, which also puts the service where the loop finds it.
    let probe = Probe::default().on(REQUEST, &[(STREAM, &OPEN)]).wat(REQUEST, open);
    let host = probe.host().trace(false).cluster("c", Upstream::grpc(|_| reply())).fuel_per_callback(Some(10_000_000));
    let mut host = host.start().unwrap();
    for _ in 0..2 {
        host.exchange(Request::get("/"));
    }
    assert_eq!(host.grpc_callouts().len(), 1024);

    let big = [N(6), N(0), N(4 << 20), N(0)];
    let many: Vec<(&str, &[A<'_>])> = (0..20).map(|_| (SEND, big.as_slice())).collect();
    let mut host = Probe::default()
        .on(REQUEST, &[(STREAM, &OPEN)])
        .on(REQUEST, &many)
        .wat("proxy_on_configure", "(drop (memory.grow (i32.const 128)))")
        .host()
        .cluster("c", Upstream::grpc(|_| reply()))
        .start()
        .unwrap();
    for _ in 0..2 {
        host.exchange(Request::get("/"));
    }
    // What has been taken does not count any more.
    assert_eq!(host.grpc_callouts()[0].messages.len(), 30);
}

/// Streams that have ended, and that the module never closes, are forgotten at some time.
#[test]
fn a_module_that_never_closes_does_not_grow_the_host() {
    let upstream = Upstream::grpc(|_| reply().status(0, ""));
    let probe = Probe::default().on(REQUEST, &[(STREAM, &OPEN)]).on("proxy_on_tick", &[(CLOSE, &[N(6)])]);
    let mut host = probe.host().trace(false).cluster("c", upstream).start().unwrap();
    for _ in 0..2000 {
        host.exchange(Request::get("/").takes(Duration::from_micros(10)));
    }
    let kept = host.worker(0).vm.state().grpc.open.len();
    assert!(kept <= 1026, "{kept}");
}

#[test]
fn faults_reach_grpc_too() {
    let mut host = caller(100)
        .host()
        .cluster("c", Upstream::grpc(|_| reply()))
        .fault(Fault::hostcall(CALL).returns(crate::abi::Status::ParseFailure))
        .start()
        .unwrap();
    host.exchange(Request::get("/"));
    assert!(hostcalls(&host)[0].ends_with(" = ParseFailure") && host.grpc_callouts().is_empty());
}

#[test]
fn what_nobody_waits_for_is_passed_over() {
    let mut host = caller(0).host().cluster("c", Upstream::grpc(|_| reply())).start().unwrap();
    host.exchange(Request::get("/"));
    for token in [0, 1, 5, 6, u32::MAX] {
        let id = GrpcId { generation: 0, token };
        let events = [GrpcEvent::Trailers(HeaderMap::new()), GrpcEvent::Data(b"\0".as_slice().into()), GrpcEvent::End];
        events.into_iter().for_each(|event| host.worker(0).grpc_event(id, event));
    }
    assert_eq!(callbacks(&host).iter().filter(|line| line.starts_with("proxy_on_grpc")).count(), 1);
}

#[test]
fn a_fresh_vm_hears_nothing_of_the_failed_ones_callouts() {
    const MARK: &str = "proxy_get_log_level";
    let probe = Probe::default().on(REQUEST, &[(STREAM, &OPEN), (MARK, &[O])]).on(CLOSED, &[]);
    let policy = FailurePolicy::FailReload { backoff: FailurePolicy::RELOAD_BACKOFF };
    let host = probe.host().failure_policy(policy).cluster("c", Upstream::grpc(|_| reply()));
    let mut host = host.start().unwrap();
    host.exchange(Request::get("/"));
    host.add_fault(Fault::hostcall(MARK).traps());
    assert_eq!(host.exchange(Request::get("/")).status(), Some(503));
    host.shared().clear_faults();
    host.advance(Duration::from_secs(60));
    assert_eq!(host.exchange(Request::get("/")).status(), Some(200));
    let requests = host.grpc_callouts();
    let (old, new) = (requests[0].callout.id, requests.last().unwrap().callout.id);
    assert!(requests[0].cancelled && old.token == new.token);
    host.worker(0).grpc_event(old, GrpcEvent::End);
    assert!(!host.worker(0).awaits_grpc(old) && host.worker(0).awaits_grpc(new));
    assert!(!callbacks(&host).iter().any(|line| line.starts_with(CLOSED)));
}
