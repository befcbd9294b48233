//! Properties that were declared, and filter state of the proxy's own.

use crate::ConnectionState;
use crate::test::{Host, Request};
use crate::testing::A::{self, N, O, S};
use crate::testing::{Probe, check};

const CALL: &str = "proxy_call_foreign_function";
const SET: &str = "proxy_set_property";
const GET: &str = "proxy_get_property";

/// A message of fields with bytes and fields with numbers.
fn message(fields: &[(u8, Result<&str, u8>)]) -> String {
    let field = |(number, value): &(u8, Result<&str, u8>)| match value {
        Ok(text) => format!("{}{}{text}", char::from(number << 3 | 2), char::from(u8::try_from(text.len()).unwrap())),
        Err(value) => format!("{}{}", char::from(number << 3), char::from(*value)),
    };
    fields.iter().map(field).collect()
}

fn declaration(name: &str, read_only: bool, kind: u8, schema: &str, span: u8) -> String {
    message(&[(1, Ok(name)), (2, Err(read_only.into())), (3, Err(kind)), (4, Ok(schema)), (5, Err(span))])
}

/// A probe that declares properties when it is configured.
fn declares(declarations: &[&str]) -> Probe {
    let calls = declarations.iter().map(|message| [S("declare_property"), S(message), O, O]);
    calls.fold(Probe::default(), |probe, arguments| probe.on("proxy_on_configure", &[(CALL, &arguments)]))
}

/// A host of a probe that makes these calls in a request, after one.
fn host(probe: Probe, calls: &[(&str, &[A<'_>])]) -> Host {
    probe.on("proxy_on_request_headers", calls).host().start().unwrap()
}

#[test]
fn a_property_is_declared_once() {
    let probe = declares(&[
        &declaration("a", false, 0, "", 0),
        &declaration("a", true, 1, "", 2),
        "",
        "",
        "\n",
        "\n\u{5}ab",
        &message(&[(1, Ok("b")), (2, Ok("not a truth")), (9, Ok("unknown"))]),
        &message(&[(1, Err(7))]),
    ]);
    let answers = ["Ok", "BadArgument", "Ok", "BadArgument", "BadArgument", "BadArgument", "Ok", "BadArgument"];
    check(&probe.host().start().unwrap(), &answers);
}

#[test]
fn what_can_be_set_once_stays() {
    let probe = declares(&[&declaration("once", true, 0, "", 0)]);
    let set = |value| (SET, [S("once"), S(value)]);
    let (first, second) = (set("first"), set("second"));
    let mut host = host(probe, &[(first.0, &first.1), (second.0, &second.1), (GET, &[S("once"), O, O])]);
    let exchange = host.exchange(Request::get("/"));
    check(&host, &["Ok", "Ok", "BadArgument", "Ok, value=\"first\""]);
    assert_eq!(exchange.filter_state("wasm.once"), Some("first"));
}

#[test]
fn what_a_stream_declares_is_of_no_use() {
    let own = declaration("own", true, 0, "", 0);
    let declare = (CALL, [S("declare_property"), S(&own), O, O]);
    let set = (SET, [S("own"), S("x")]);
    let calls: [(&str, &[A<'_>]); 6] = [
        (declare.0, &declare.1),
        (declare.0, &declare.1),
        ("proxy_set_effective_context", &[N(1)]),
        (declare.0, &declare.1),
        ("proxy_set_effective_context", &[N(0)]),
        (set.0, &set.1),
    ];
    let mut host = host(Probe::default(), &[&calls[..], &[(set.0, &set.1)]].concat());
    host.exchange(Request::get("/"));
    check(&host, &["Ok", "BadArgument", "Ok", "BadArgument", "Ok", "Ok", "Ok"]);
}

#[test]
fn a_property_may_live_as_long_as_its_connection() {
    let probe = declares(&[&declaration("seen", false, 1, "", 2), &declaration("short", false, 1, "", 1)]);
    let calls: [(&str, &[A<'_>]); 4] = [
        (GET, &[S("seen"), O, O]),
        (GET, &[S("short"), O, O]),
        (SET, &[S("seen"), S("yes")]),
        (SET, &[S("short"), S("yes")]),
    ];
    let mut host = host(probe, &calls);
    let one = ConnectionState::default();
    host.exchange(Request::get("/").connection_state(&one));
    let second = host.exchange(Request::get("/").connection_state(&one));
    host.exchange(Request::get("/"));
    let new = ["NotFound", "NotFound", "Ok", "Ok"];
    let old = ["Ok, value=\"yes\"", "NotFound", "Ok", "Ok"];
    check(&host, &[["Ok"; 2].as_slice(), &new, &old, &new].concat());
    let names: Vec<&str> = second.filter_state.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["wasm.short", "wasm.seen"]);
}

#[test]
fn only_filter_state_looks_into_messages() {
    let probe = declares(&[
        &declaration("text", false, 3, "type.googleapis.com/google.protobuf.StringValue", 0),
        &declaration("other", false, 3, "type.googleapis.com/some.Message", 0),
    ]);
    let calls: [(&str, &[A<'_>]); 7] = [
        (SET, &[S("text"), S("\n\u{2}hi")]),
        (SET, &[S("other"), S("\n\u{2}hi")]),
        (GET, &[S("text"), O, O]),
        (GET, &[S("text\0value"), O, O]),
        (GET, &[S("filter_state\0wasm.text"), O, O]),
        (GET, &[S("other"), O, O]),
        (GET, &[S("filter_state\0wasm.other"), O, O]),
    ];
    let mut host = host(probe, &calls);
    host.exchange(Request::get("/"));
    let message = "Ok, value=\"\\n\\x02hi\"";
    let answers = ["Ok", "Ok", "Ok", "Ok", message, "NotFound", "Ok, value=\"hi\"", message, "SerializationFailure"];
    check(&host, &answers);
}

/// Sets an object and reads it.
fn objects(cases: &[(&str, &str, &str, &str)]) {
    for (name, value, set, read) in cases {
        let argument = message(&[(1, Ok(name)), (2, Ok(value))]);
        let path = format!("filter_state\0{name}");
        let calls: [(&str, &[A<'_>]); 2] =
            [(CALL, &[S("set_envoy_filter_state"), S(&argument), O, O]), (GET, &[S(&path), O, O])];
        let mut host = host(Probe::default(), &calls);
        host.exchange(Request::get("/"));
        check(&host, &[set, read]);
    }
}

#[test]
fn objects_are_made_of_text() {
    objects(&[
        ("envoy.string", "a,b", "Ok", "Ok, value=\"a,b\""),
        ("envoy.bool", "YES", "Ok", "Ok, value=\"true\""),
        ("envoy.bool", "maybe", "BadArgument", "NotFound"),
        ("envoy.tcp_proxy.disable_tunneling", "yes", "Ok", "Ok, value=\"false\""),
        ("envoy.upstream.dynamic_port", " +80 ", "Ok", "Ok, value=\"80\""),
        ("envoy.upstream.dynamic_port", "4294967296", "BadArgument", "NotFound"),
        ("envoy.upstream.dynamic_port", "++8", "BadArgument", "NotFound"),
        ("envoy.network.ip", "::1", "Ok", "Ok, value=\"[::1]:0\""),
        ("envoy.network.ip", "10.0.0.1:80", "BadArgument", "NotFound"),
        ("envoy.network.application_protocols", "h2", "Ok", "NotFound"),
        (
            "envoy.network.transport_socket.original_dst_address",
            "1.2.3.4:5",
            "Ok",
            "Ok, value=\"\\x00\\x00\\x00\\x00\"",
        ),
        ("wasm.mine", "x", "NotFound", "NotFound"),
        ("", "x", "NotFound", "SerializationFailure"),
    ]);
}

#[test]
fn an_object_may_have_fields() {
    let name = "envoy.filters.listener.original_dst.local_ip";
    let argument = message(&[(1, Ok(name)), (2, Ok("1.2.3.4:5"))]);
    let [ip, port, other] = ["ip", "port", "other"].map(|field| format!("filter_state\0{name}\0{field}"));
    let calls: [(&str, &[A<'_>]); 4] = [
        (CALL, &[S("set_envoy_filter_state"), S(&argument), O, O]),
        (GET, &[S(&ip), O, O]),
        (GET, &[S(&port), O, O]),
        (GET, &[S(&other), O, O]),
    ];
    let mut host = host(Probe::default(), &calls);
    host.exchange(Request::get("/"));
    let port = "Ok, value=\"\\x05\\x00\\x00\\x00\\x00\\x00\\x00\\x00\"";
    check(&host, &["Ok", "Ok, value=\"1.2.3.4\"", port, "NotFound"]);
}

#[test]
fn an_object_keeps_the_life_span_that_it_was_made_with() {
    let set = |value, span| message(&[(1, Ok("envoy.string")), (2, Ok(value)), (3, Err(span))]);
    let [first, other, same] = [set("first", 1), set("other", 0), set("same", 1)];
    let calls = [&first, &other, &same].map(|argument| [S("set_envoy_filter_state"), S(argument), O, O]);
    let read: &[A<'_>] = &[S("filter_state\0envoy.string"), O, O];
    let mut host =
        host(Probe::default(), &[(CALL, &calls[0]), (CALL, &calls[1]), (GET, read), (CALL, &calls[2]), (GET, read)]);
    let exchange = host.exchange(Request::get("/"));
    check(&host, &["Ok", "Ok", "Ok, value=\"first\"", "Ok", "Ok, value=\"same\""]);
    assert_eq!(exchange.filter_state("envoy.string"), Some("same"));
}

#[test]
fn declarations_have_a_bound() {
    let long = "x".repeat(0x70);
    let mut declared = crate::vm::filter_state::Declared::default();
    let mut declare = |number: u32| declared.declare(format!("{long}{number}").as_bytes(), Default::default());
    assert!((0..10_000).map(&mut declare).any(|answer| answer == Err(crate::abi::Status::InternalFailure)));
}
