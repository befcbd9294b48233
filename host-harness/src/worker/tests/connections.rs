//! TCP connections: the order of callbacks, what is readable when, and what the module does to a connection.

use std::time::Duration;

use crate::test::{Reply, Upstream};
use crate::testing::A::{N, O, S};
use crate::testing::{Probe, callbacks, check, hostcalls};
use crate::{ConnectionFacts, ConnectionOutcome, DataOutcome, FailurePolicy, Fault, HeaderMap, Peer, abi::Status};

const GET: &str = "proxy_get_buffer_bytes";
const SET: &str = "proxy_set_buffer_bytes";
const CONTINUE: &str = "proxy_continue_stream";
const CLOSE: &str = "proxy_close_stream";
const EFFECTIVE: &str = "proxy_set_effective_context";
const TICK: &str = "proxy_set_tick_period_milliseconds";
const ALL: [&str; 5] = [
    "proxy_on_new_connection",
    "proxy_on_downstream_data",
    "proxy_on_upstream_data",
    "proxy_on_downstream_connection_close",
    "proxy_on_upstream_connection_close",
];

/// A module with every callback of a connection, which do nothing.
fn quiet() -> Probe {
    let ends = ["proxy_on_context_create", "proxy_on_done", "proxy_on_log", "proxy_on_delete"];
    ALL.iter().chain(&ends).fold(Probe::default(), |probe, name| probe.on(name, &[]))
}

#[test]
fn the_order_of_callbacks_is_that_of_envoy() {
    let mut host = quiet().host().start().unwrap();
    let mut connection = host.connect();
    connection.send("hello").reply("hi").send_end().reply_end();
    assert!(!connection.is_open(), "both directions have ended");
    let closed = connection.close();
    assert_eq!(
        (closed.by, closed.server_got.as_slice(), closed.client_got.as_slice()),
        (Peer::Local, &b"hello"[..], &b"hi"[..])
    );
    let expected = [
        "proxy_on_context_create(2, 1)",
        "proxy_on_new_connection(2)",
        "proxy_on_downstream_data(2, 5, 0)",
        "proxy_on_upstream_data(2, 2, 0)",
        "proxy_on_downstream_data(2, 0, 1)",
        "proxy_on_upstream_data(2, 0, 1)",
        "proxy_on_upstream_connection_close(2, 0)",
        "proxy_on_downstream_connection_close(2, 1)",
        "proxy_on_done(2)",
        "proxy_on_log(2)",
        "proxy_on_delete(2)",
    ];
    assert_eq!(callbacks(&host)[1..], expected);
}

#[test]
fn a_client_that_ends_last_has_closed() {
    let mut host = quiet().host().start().unwrap();
    let mut connection = host.connect();
    connection.reply_end();
    assert!(connection.client_got_end());
    connection.send_end();
    assert!(!connection.is_open());
    assert_eq!(connection.close().by, Peer::Remote);
    let mut connection = host.connect();
    connection.server_resets();
    assert_eq!(connection.close().by, Peer::Local);
}

#[test]
fn held_data_is_shown_again_with_the_next() {
    let mut host = quiet()
        .answer("proxy_on_downstream_data", "(i32.lt_u (local.get 1) (i32.const 11))")
        .on("proxy_on_downstream_data", &[(GET, &[N(2), N(0), N(100), O, O]), (GET, &[N(3), N(0), N(100), O, O])])
        .host()
        .start()
        .unwrap();
    let mut connection = host.connect();
    connection.send("hello");
    assert!(connection.is_paused());
    assert_eq!(connection.server_got(), b"");
    connection.send(" again");
    assert_eq!(connection.server_got(), b"hello again");
    assert!(!connection.is_paused());
    connection.close();
    check(&host, &["Ok, value=\"hello\"", "Ok, value=\"\"", "Ok, value=\"hello again\"", "Ok, value=\"\""]);
}

#[test]
fn data_is_changed_on_its_way() {
    let mut host = quiet()
        .on("proxy_on_downstream_data", &[(SET, &[N(2), N(0), N(0), S(">")]), (SET, &[N(3), N(0), N(0), S("no")])])
        .on("proxy_on_upstream_data", &[(SET, &[N(3), N(0), N(1), S("HA")]), (SET, &[N(3), N(-1), N(0), S("!")])])
        .host()
        .start()
        .unwrap();
    let mut connection = host.connect();
    connection.send("hello").reply("hi");
    assert_eq!(connection.server_got(), b">hello");
    assert_eq!(connection.client_got(), b"HAi!");
    connection.close();
    check(&host, &["Ok", "BadArgument", "Ok", "Ok"]);
}

#[test]
fn a_tick_lets_go_what_is_held() {
    let mut host = quiet()
        .on("proxy_on_downstream_data", &[(TICK, &[N(100)])])
        .answer("proxy_on_downstream_data", "(i32.const 1)")
        .on("proxy_on_tick", &[(EFFECTIVE, &[N(2)]), (SET, &[N(2), N(-1), N(0), S(" late")]), (CONTINUE, &[N(2)])])
        .host()
        .start()
        .unwrap();
    let mut connection = host.connect();
    connection.send("hello").send_end();
    assert!(connection.is_paused());
    assert!(!connection.server_got_end());
    connection.advance(Duration::from_millis(100));
    assert_eq!(connection.server_got(), b"hello late");
    assert!(connection.server_got_end());
    connection.close();
}

#[test]
fn a_new_connection_is_held_until_a_callout_is_answered() {
    let headers = {
        let mut bytes = Vec::new();
        HeaderMap::from_iter([(":method", "GET"), (":path", "/"), (":authority", "a")]).encode_pairs(&mut bytes);
        String::from_utf8(bytes).unwrap()
    };
    let call = [S("auth"), S(&headers), S(""), S(""), N(1000), O];
    let mut host = quiet()
        .on("proxy_on_new_connection", &[("proxy_http_call", &call)])
        .answer("proxy_on_new_connection", "(i32.const 1)")
        .on("proxy_on_http_call_response", &[(EFFECTIVE, &[N(2)]), (CONTINUE, &[N(2)])])
        .host()
        .cluster("auth", Upstream::always(Reply::status(200)).after(Duration::from_millis(20)))
        .start()
        .unwrap();
    let before = host.now_ns();
    let mut connection = host.connect();
    connection.send("hello");
    assert_eq!(connection.server_got(), b"hello");
    drop(connection);
    assert_eq!(host.now_ns() - before, 20_000_000);
    assert_eq!(host.worker(0).open_connections(), 0);
}

#[test]
fn nothing_lets_held_data_of_the_server_go_but_more_of_it() {
    let mut host = quiet()
        .answer("proxy_on_upstream_data", "(i32.lt_u (local.get 1) (i32.const 4))")
        .on("proxy_on_upstream_data", &[(CONTINUE, &[N(3)]), (CONTINUE, &[N(4)])])
        .host()
        .start()
        .unwrap();
    let mut connection = host.connect();
    connection.reply("he");
    assert_eq!(connection.client_got(), b"");
    connection.reply("llo");
    assert_eq!(connection.client_got(), b"hello");
    connection.close();
    check(&host, &["Unimplemented", "BadArgument", "Unimplemented", "BadArgument"]);
}

#[test]
fn either_side_closes_the_clients_connection() {
    for callback in ["proxy_on_new_connection", "proxy_on_downstream_data", "proxy_on_upstream_data"] {
        for side in [2, 3] {
            let mut host = quiet().on(callback, &[(CLOSE, &[N(side)])]).host().start().unwrap();
            let mut connection = host.connect();
            connection.send("hello").reply("hi");
            assert!(!connection.is_open(), "{callback} {side}");
            let closed = connection.close();
            assert_eq!(closed.by, Peer::Local);
            assert_eq!(closed.client_got, b"");
            let callbacks = callbacks(&host);
            let end = [
                "proxy_on_downstream_connection_close(2, 1)",
                "proxy_on_done(2)",
                "proxy_on_log(2)",
                "proxy_on_delete(2)",
            ];
            assert_eq!(callbacks[callbacks.len() - 4..], end);
        }
    }
}

#[test]
fn calls_for_http_have_no_effect() {
    let reply = [N(403), S("no"), S("no"), S(""), N(-1)];
    let calls: &[(&str, &[crate::testing::A<'_>])] = &[
        (CONTINUE, &[N(0)]),
        (CONTINUE, &[N(1)]),
        (CLOSE, &[N(0)]),
        (CLOSE, &[N(1)]),
        (CLOSE, &[N(4)]),
        ("proxy_send_local_response", &reply),
        ("proxy_get_header_map_value", &[N(0), S(":path"), O, O]),
        ("proxy_get_header_map_pairs", &[N(0), O, O]),
        ("proxy_add_header_map_value", &[N(0), S("a"), S("b")]),
        (GET, &[N(0), N(0), N(9), O, O]),
        ("proxy_done", &[]),
    ];
    let answers = [
        "Ok",
        "Ok",
        "Ok",
        "Ok",
        "BadArgument",
        "Ok",
        "BadArgument",
        "Ok, pairs=[]",
        "BadArgument",
        "Ok, value=\"\"",
        "NotFound",
    ];
    let mut host = quiet().on("proxy_on_downstream_data", calls).host().start().unwrap();
    let mut connection = host.connect();
    connection.send("hello");
    assert_eq!(connection.server_got(), b"hello");
    connection.close();
    check(&host, &answers);
}

#[test]
fn a_connection_has_properties_and_a_cost() {
    let property = |path| ("proxy_get_property", [S(path), O, O]);
    let [source, server, plugin] = ["source\0address", "upstream\0address", "plugin_name"].map(property);
    let mut host = quiet()
        .on("proxy_on_downstream_data", &[(source.0, &source.1), (server.0, &server.1), (plugin.0, &plugin.1)])
        .on("proxy_on_log", &[("proxy_set_property", &[S("k"), S("v")])])
        .host()
        .start()
        .unwrap();
    let mut connection = host.connect();
    connection.send("hello");
    let closed = connection.close();
    assert_eq!(closed.filter_state("wasm.k"), Some("v"));
    assert_eq!(closed.cost.hostcall("proxy_get_property"), 3);
    assert_eq!(closed.cost.callbacks, 7, "with no end of the server's");
    check(&host, &["Ok, value=\"127.0.0.1:40000\"", "Ok, value=\"127.0.0.1:20000\"", "Ok, value=\"plugin\"", "Ok"]);
}

#[test]
fn a_trap_anywhere_closes_this_and_later_connections() {
    for callback in ALL {
        let mut host = quiet().wat(callback, "(unreachable)").host().start().unwrap();
        let mut connection = host.connect();
        connection.send("hello").reply("hi").reply_end().send_end();
        assert!(!connection.is_open(), "{callback}");
        connection.close();
        let trace = host.trace();
        assert!(!trace.contains("proxy_on_done"), "{callback} {trace}");
        let mut next = host.connect();
        assert!(!next.is_open());
        assert_eq!(next.close().by, Peer::Local);
        assert_eq!(host.worker(0).open_connections(), 0);
        assert!(host.shutdown());
    }
}

#[test]
fn a_trap_lets_later_connections_by_when_failing_open() {
    for callback in &ALL[..3] {
        let mut host =
            quiet().wat(callback, "(unreachable)").host().failure_policy(FailurePolicy::FailOpen).start().unwrap();
        let mut connection = host.connect();
        connection.send("hello").reply("hi");
        assert!(!connection.is_open(), "the one in which it trapped is closed");
        connection.close();
        let mut connection = host.connect();
        connection.send("hello").reply("hi").send(" again");
        assert_eq!(connection.server_got(), b"hello again");
        assert_eq!(connection.client_got(), b"hi");
    }
}

#[test]
fn a_fresh_vm_knows_nothing_of_earlier_connections() {
    let backoff = Duration::from_secs(1);
    let mut host = quiet()
        .wat("proxy_on_upstream_data", "(unreachable)")
        .host()
        .failure_policy(FailurePolicy::FailReload { backoff })
        .start()
        .unwrap();
    let worker = host.worker(0);
    let [old, trapped] = [(); 2].map(|()| worker.open_connection(ConnectionFacts::default()));
    for connection in [old, trapped] {
        assert_eq!(worker.new_connection(connection), ConnectionOutcome::Continue);
    }
    assert_eq!(worker.upstream_data(trapped, b"x", false), DataOutcome::Close);
    worker.close_connection(trapped, Peer::Local);
    host.advance(2 * backoff);
    let worker = host.worker(0);
    let new = worker.open_connection(ConnectionFacts::default());
    assert_eq!(worker.new_connection(new), ConnectionOutcome::Continue);
    assert_eq!(worker.failed(), None);
    let before = worker.open_connections();
    assert_eq!(worker.downstream_data(old, b"x", false), DataOutcome::Close);
    worker.close_connection(old, Peer::Local);
    worker.close_connection(new, Peer::Remote);
    assert_eq!((before, worker.open_connections()), (2, 0));
}

#[test]
fn faults_befall_connections_too() {
    let read = (GET, &[N(2), N(0), N(9), O, O][..]);
    let probe = quiet().on("proxy_on_downstream_data", &[read, read]);
    let fault = Fault::hostcall(GET).nth(2).returns(Status::NotFound);
    let mut host = probe.host().fault(fault).start().unwrap();
    host.connect().send("hello");
    check(&host, &["Ok, value=\"hello\"", "NotFound"]);

    let mut host = probe.host().fault(Fault::allocator()).start().unwrap();
    host.connect().send("hello");
    check(&host, &["InvalidMemoryAccess"; 2]);
}

#[test]
fn wild_pointers_are_refused() {
    let mut host = quiet()
        .on(
            "proxy_on_downstream_data",
            &[
                (GET, &[N(2), N(0), N(9), N(-4), O]),
                (GET, &[N(2), N(-1), N(-1), O, O]),
                (SET, &[N(2), N(0), N(0), N(-1), N(1)]),
                (SET, &[N(2), N(0), N(0), N(0), N(-1)]),
                ("proxy_get_buffer_status", &[N(2), N(-4), O]),
                (SET, &[N(2), N(1), N(0), S("x")]),
            ],
        )
        .host()
        .start()
        .unwrap();
    let mut connection = host.connect();
    connection.send("hello");
    assert_eq!(connection.server_got(), b"hello");
    connection.close();
    let refused = "InvalidMemoryAccess";
    check(&host, &[refused, "Ok, value=\"\"", refused, refused, refused, "BadArgument"]);
}

#[test]
fn a_flood_of_held_data_is_not_read_beyond_the_limit() {
    let mut host = quiet().answer("proxy_on_downstream_data", "(i32.const 1)").host().body_limit(1000).start().unwrap();
    let mut connection = host.connect();
    for _ in 0..100 {
        connection.send([b'x'; 100]);
    }
    connection.close();
    let shown = callbacks(&host);
    let last = shown.iter().rfind(|line| line.starts_with("proxy_on_downstream_data"));
    assert_eq!(last.map(String::as_str), Some("proxy_on_downstream_data(2, 1100, 0)"));
}

#[test]
fn what_a_module_puts_into_data_is_bounded() {
    let mut host = quiet()
        .on("proxy_on_downstream_data", &[(SET, &[N(2), N(-1), N(0), S("x")])])
        .wat(
            "proxy_on_downstream_data",
            "(loop (br_if 0 (i32.eqz (call $env.proxy_set_buffer_bytes
                (i32.const 2) (i32.const -1) (i32.const 0) (i32.const 0) (i32.const 1000)))))",
        )
        .host()
        .body_limit(1000)
        .start()
        .unwrap();
    let mut connection = host.connect();
    connection.send("hello");
    assert!(connection.server_got().len() <= 16_000);
    connection.close();
    assert!(hostcalls(&host).last().unwrap().ends_with("InternalFailure"));
}

#[test]
fn one_connection_acts_on_another() {
    let mut host = quiet()
        .answer("proxy_on_downstream_data", "(i32.eq (local.get 0) (i32.const 2))")
        .on("proxy_on_upstream_data", &[(EFFECTIVE, &[N(2)]), (CONTINUE, &[N(2)]), (CLOSE, &[N(3)])])
        .host()
        .start()
        .unwrap();
    let worker = host.worker(0);
    let first = worker.open_connection(ConnectionFacts::default());
    let second = worker.open_connection(ConnectionFacts::default());
    for connection in [first, second] {
        assert_eq!(worker.new_connection(connection), ConnectionOutcome::Continue);
    }
    assert_eq!(worker.downstream_data(first, b"held", false), DataOutcome::Hold);
    assert_eq!(worker.upstream_data(second, b"x", false), DataOutcome::Forward(b"x".to_vec()));
    let events = [crate::ConnectionEvent::Continue, crate::ConnectionEvent::Close];
    assert_eq!(worker.take_connection_events(), events.map(|event| (first, event)));
    assert_eq!(worker.take_held_data(first), b"held");
    worker.close_connection(first, Peer::Local);
    worker.close_connection(second, Peer::Remote);
    assert_eq!(worker.open_connections(), 0);
    assert_eq!(worker.new_connection(first), ConnectionOutcome::Close);
    assert_eq!(worker.downstream_data(first, b"late", true), DataOutcome::Close);
}

#[test]
fn a_replaced_root_waits_for_its_connections() {
    let mut host = quiet().on("proxy_on_configure", &[]).host().start().unwrap();
    let worker = host.worker(0);
    let old = worker.open_connection(ConnectionFacts::default());
    worker.new_connection(old);
    host.reconfigure("new").unwrap();
    host.worker(0).close_connection(old, Peer::Remote);
    let trace = callbacks(&host);
    let end = ["proxy_on_delete(2)", "proxy_on_done(1)", "proxy_on_delete(1)"];
    assert_eq!(trace[trace.len() - 3..], end);
}
