//! Foreign functions by name: those that every host has, and filter state of the proxy's own.

use crate::host::{self, Arg, Place, Received};
use crate::properties;
use crate::protobuf::{field, number};
use crate::turn::{Action, CONTINUE, Case, Phase, Turn};

/// The cases.
pub(crate) const CASES: &[(&str, Case)] = &[
    ("foreign", foreign),
    ("foreign-names", names),
    ("filter-state", filter_state),
    ("filter-state-odd", filter_state_odd),
];

/// Calls a function and tells its answer.
pub(crate) fn call<'a>(turn: &Turn<'_>, name: impl Into<Arg<'a>>, argument: Arg<'_>, to: Place) -> Received {
    let name = name.into();
    let answer = host::call_foreign_function(name, argument, to);
    turn.say(format_args!("call_foreign_function({name}, {argument}{to})"), &answer);
    answer
}

/// Foreign functions, known and not.
fn foreign(turn: &mut Turn<'_>) -> Action {
    if turn.begins() {
        turn.expect_tick();
    }
    let none = Arg::from("");
    for name in ["unknown", "", "clear_route_cache", "compress"] {
        call(turn, name, none, Place::Here);
    }
    call(turn, "clear_route_cache", Arg::from("ignored"), Place::Here);
    if turn.phase == Phase::RequestHeaders {
        for bad in [Arg::Nowhere(16), Arg::Nowhere(0)] {
            call(turn, bad, none, Place::Here);
            call(turn, "clear_route_cache", bad, Place::Here);
        }
        call(turn, "clear_route_cache", none, Place::Nowhere);
        call(turn, "unknown", none, Place::Nowhere);
    }
    CONTINUE
}

/// Which functions there are, called with nothing and with what is no message.
fn names(turn: &mut Turn<'_>) -> Action {
    if !matches!(turn.phase, Phase::RequestHeaders | Phase::Configure) {
        return CONTINUE;
    }
    for name in [
        "sign",
        "verify_signature",
        "declare_property",
        "set_envoy_filter_state",
        "resolve_dns",
        "set_dynamic_metadata",
        "get_wasm_stats",
        "uncompress",
    ] {
        call(turn, name, Arg::from(""), Place::Here);
        call(turn, name, Arg::from(b"\x0a\xff".as_slice()), Place::Here);
        call(turn, name, Arg::Nowhere(3), Place::Here);
    }
    CONTINUE
}

/// The message that sets filter state of the proxy's own.
fn state(name: &[u8], value: &[u8], span: u8) -> Vec<u8> {
    [field(1, name), field(2, value), number(3, span)].concat()
}

/// Names of objects that a proxy may know, with what they may be made of; none of which makes a proxy answer itself.
const OBJECTS: &[(&str, &[&str])] = &[
    ("envoy.string", &["text", "", "a,b"]),
    ("envoy.hashable_string", &["text", ""]),
    ("envoy.network.upstream_server_name", &["server.test", ""]),
    ("envoy.network.application_protocols", &["h2,http/1.1", "", " h2 , ,x"]),
    ("envoy.network.upstream_subject_alt_names", &["a.test, b.test", ""]),
    ("envoy.network.network_namespace", &["/run/netns/a", ""]),
    ("envoy.network.ip", &["10.0.0.1", "::1", "10.0.0.1:80", "nope", ""]),
    ("envoy.network.transport_socket.original_dst_address", &["10.0.0.1:80", "[::1]:80", "10.0.0.1", "nope", ""]),
    ("envoy.filters.listener.original_dst.local_ip", &["10.0.0.1:80", "nope"]),
    ("envoy.filters.listener.original_dst.remote_ip", &["10.0.0.1:80", "nope"]),
    ("envoy.tcp_proxy.cluster", &["backend", ""]),
    ("envoy.bool", &["true", "False", "t", "YES", "n", "1", "0", "on", "2", ""]),
    ("envoy.tcp_proxy.disable_tunneling", &["true", "false", "yes", "1", ""]),
    ("envoy.tcp_proxy.per_connection_idle_timeout_ms", &["1000", "0", "-1", "x", ""]),
    ("envoy.upstream.dynamic_host", &["host.test", ""]),
    ("envoy.upstream.dynamic_port", &["80", "99999", "4294967296", "-1", "x", ""]),
    ("envoy.ratelimit.hits_addend", &["3", "0", "+7", " 8 ", "09", "-1", "x", ""]),
    ("envoy.network.transport_socket.http_11_proxy.info", &["x", "proxy.test:80,10.0.0.1", ",10.0.0.1:80", ""]),
    ("envoy.ai.model.request", &["x", "{}"]),
    ("nope", &["x"]),
    ("", &[""]),
];

/// Filter state of the proxy's own, and what is read of it.
fn filter_state(turn: &mut Turn<'_>) -> Action {
    if turn.phase != Phase::RequestHeaders {
        return CONTINUE;
    }
    for (name, values) in OBJECTS {
        let path = [b"filter_state\0".as_slice(), name.as_bytes()].concat();
        for value in *values {
            call(turn, "set_envoy_filter_state", Arg::from(&state(name.as_bytes(), value.as_bytes(), 0)), Place::Here);
            properties::get_raw(turn, &path, Place::Here);
            for field in [b"\0ip".as_slice(), b"\0port"] {
                properties::get_raw(turn, &[path.as_slice(), field].concat(), Place::Here);
            }
        }
    }
    CONTINUE
}

/// The same with other life spans, in other contexts, and read by other names.
fn filter_state_odd(turn: &mut Turn<'_>) -> Action {
    let set = |turn: &Turn<'_>, message: &[u8]| {
        call(turn, "set_envoy_filter_state", Arg::from(message), Place::Here);
        properties::get_raw(turn, "filter_state\0envoy.string", Place::Here);
    };
    match turn.phase {
        Phase::RequestHeaders => {
            turn.expect_tick();
            set(turn, &state(b"envoy.string", b"first", 0));
            set(turn, &state(b"envoy.string", b"second", 0));
            set(turn, &[state(b"envoy.string", b"third", 0), field(9, b"unknown field")].concat());
            set(turn, &field(2, b"nameless"));
            set(turn, &field(1, b"envoy.string"));
            set(turn, &state(b"envoy.string", b"\xff", 0));
            set(turn, &state(b"\xff", b"x", 0));
            set(turn, b"\x08\x01");
            set(turn, b"\x0a");
            for name in ["envoy.string", "wasm.envoy.string"] {
                properties::get_raw(turn, name, Place::Here);
            }
            let status = host::set_property(Arg::from("envoy.string"), Arg::from("mine"));
            turn.say(format_args!("set_property(envoy.string, mine)"), status);
            properties::get_raw(turn, "filter_state\0envoy.string", Place::Here);
            properties::get_raw(turn, "filter_state\0wasm.envoy.string", Place::Here);
            // Filter state cannot have a name of the module's properties in this way.
            set(turn, &state(b"wasm.mine", b"x", 0));
            turn.enter_root();
            set(turn, &state(b"envoy.string", b"of the root", 0));
            set(turn, &state(b"envoy.network.ip", b"nope", 0));
        }
        Phase::ResponseHeaders => {
            // The last one is there for another time already.
            for (name, span) in
                [("network.ip", 1), ("network.upstream_server_name", 2), ("hashable_string", 3), ("network.ip", 100)]
            {
                let name = format!("envoy.{name}");
                call(
                    turn,
                    "set_envoy_filter_state",
                    Arg::from(&state(name.as_bytes(), b"10.0.0.1", span)),
                    Place::Here,
                );
                properties::get_raw(turn, &[b"filter_state\0".as_slice(), name.as_bytes()].concat(), Place::Here);
            }
            set(turn, &state(b"envoy.string", b"in the response", 0));
        }
        Phase::Log | Phase::Delete | Phase::Tick => set(turn, &state(b"envoy.string", b"late", 0)),
        _ => {}
    }
    CONTINUE
}
