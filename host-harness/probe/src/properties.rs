//! Properties.

use crate::host::{self, Arg, Place};
use crate::report::{Length, Presence, Sorted};
use crate::turn::{Action, CONTINUE, Case, Phase, Turn};

/// The cases.
pub(crate) const CASES: &[(&str, Case)] = &[
    ("properties-read", read_everywhere),
    ("properties-set", set_everywhere),
    ("properties-set-odd", set_odd),
    ("properties-bad-arguments", bad_arguments),
];

/// Properties whose values are the same in every run.
const FIXED: &[&str] = &[
    "request.path",
    "request.url_path",
    "request.method",
    "request.scheme",
    "request.protocol",
    "request.query",
    "request.size",
    "request.referer",
    "request.headers.x-case",
    "request.headers.x-twice",
    "request.headers.nope",
    "request.nope",
    "response.code",
    "response.code_details",
    "response.flags",
    "response.grpc_status",
    "response.size",
    "response.headers.x-backend",
    "response.trailers.x-trailer",
    "upstream.request_attempt_count",
    "upstream.transport_failure_reason",
    "upstream.locality",
    "upstream.num_endpoints",
    "upstream.nope",
    "connection.mtls",
    "connection.requested_server_name",
    "connection.termination_details",
    "connection.transport_failure_reason",
    "connection.tls_version",
    "plugin_name",
    "plugin_root_id",
    "plugin_vm_id",
    "route_name",
    "cluster_name",
    "listener_direction",
    "xds.route_name",
    "xds.cluster_name",
    "xds.virtual_host_name",
    "xds.listener_direction",
    "xds.node.id",
    "xds.node.cluster",
    "xds.node.user_agent_name",
    "xds.node.metadata",
    "xds.node.metadata.nope",
    "xds.node.locality",
    "xds.node.dynamic_parameters",
    "xds.node.id.deeper",
    "xds.node.nope",
    "xds.cluster_metadata",
    "xds.cluster_metadata.filter_metadata",
    "xds.cluster_metadata.filter_metadata.nope",
    "xds.cluster_metadata.nope",
    "xds.route_metadata",
    "xds.virtual_host_metadata",
    "xds.upstream_host_metadata",
    "xds.upstream_host_metadata.filter_metadata",
    "xds.upstream_host_locality_metadata",
    "xds.filter_chain_name",
    "xds.listener_metadata",
    "xds.listener_metadata.typed_filter_metadata",
    "xds.cluster_name.deeper",
    "xds.nope",
    "xds",
    "metadata",
    "metadata.filter_metadata",
    "metadata.filter_metadata.nope",
    "metadata.nope",
    "upstream_filter_state",
    "filter_state.nope",
    "node.id",
    "nope",
    "nope.deeper",
    "plugin_name.deeper",
    "request",
    "response",
    "upstream",
    "response.trailers",
    "request.trailers",
    "request.headers.x-case.deeper",
];

/// Properties whose values differ, but not their lengths.
const FIXED_LENGTH: &[&str] = &[
    "request.time",
    "request.duration",
    "request.id",
    "source.port",
    "destination.port",
    "upstream.port",
    "upstream.cx_pool_ready_duration",
    "request.headers_bytes",
    "response.headers_bytes",
    "response.backend_latency",
    "connection.id",
    "connection_id",
];

/// Properties of which only the presence is the same in every run.
const PRESENT: &[&str] = &[
    "source.address",
    "destination.address",
    "upstream.address",
    "upstream.local_address",
    "xds.node",
    "request.host",
    "request.total_size",
    "response.total_size",
    "filter_state",
];

/// Whole header maps. In which order Envoy has the headers differs from run to run.
const MAPS: &[&str] = &["request.headers", "response.headers"];

/// A path as it is passed: the host separates by NUL.
fn path(dotted: &str) -> Vec<u8> {
    dotted.replace('.', "\0").into_bytes()
}

fn get(turn: &Turn<'_>, dotted: &str) {
    turn.say(format_args!("get_property({dotted})"), host::get_property(Arg::from(&path(dotted)), Place::Here));
}

pub(crate) fn get_raw<'a>(turn: &Turn<'_>, path: impl Into<Arg<'a>>, to: Place) {
    let path = path.into();
    turn.say(format_args!("get_property({path}{to} raw)"), host::get_property(path, to));
}

fn set(turn: &Turn<'_>, dotted: &str, value: &str) {
    let status = host::set_property(Arg::from(&path(dotted)), Arg::from(value));
    turn.say(format_args!("set_property({dotted}, \"{value}\")"), status);
}

fn set_raw<'a, 'b>(turn: &Turn<'_>, path: impl Into<Arg<'a>>, value: impl Into<Arg<'b>>) {
    let (path, value) = (path.into(), value.into());
    turn.say(format_args!("set_property({path}, {value} raw)"), host::set_property(path, value));
}

fn ask_for_tick(turn: &mut Turn<'_>) {
    if turn.begins() {
        turn.expect_tick();
    }
}

/// Many properties in every phase.
fn read_everywhere(turn: &mut Turn<'_>) -> Action {
    ask_for_tick(turn);
    for dotted in FIXED {
        get(turn, dotted);
    }
    for dotted in FIXED_LENGTH {
        let answer = host::get_property(Arg::from(&path(dotted)), Place::Here);
        turn.say(format_args!("get_property({dotted})"), Length(answer));
    }
    for dotted in PRESENT {
        let answer = host::get_property(Arg::from(&path(dotted)), Place::Here);
        turn.say(format_args!("get_property({dotted})"), Presence(answer));
    }
    for dotted in MAPS {
        let answer = host::get_property(Arg::from(&path(dotted)), Place::Here);
        turn.say(format_args!("get_property({dotted})"), Sorted(answer));
    }
    CONTINUE
}

/// A property set in each phase and read in all later ones.
fn set_everywhere(turn: &mut Turn<'_>) -> Action {
    ask_for_tick(turn);
    get(turn, "probe_state");
    set(turn, "probe_state", turn.phase.name());
    get(turn, "probe_state");
    CONTINUE
}

/// Properties that are odd to set.
fn set_odd(turn: &mut Turn<'_>) -> Action {
    if turn.phase == Phase::RequestHeaders {
        for (name, value) in
            [("probe_empty", ""), ("probe_dotted.deeper", "x"), ("request.path", "/mine"), ("plugin_name", "mine")]
        {
            get(turn, name);
            set(turn, name, value);
            get(turn, name);
        }
        get(turn, "wasm.probe_empty");
        get(turn, "filter_state.wasm.probe_empty");
        set_raw(turn, "", "nameless");
        get_raw(turn, "", Place::Here);
        set_raw(turn, "probe_trailing\0", "x");
        get_raw(turn, "probe_trailing\0", Place::Here);
        get_raw(turn, "probe_trailing", Place::Here);
        set_raw(turn, "probe.with.dots", "x");
        get_raw(turn, "probe.with.dots", Place::Here);
    }
    CONTINUE
}

/// Paths that name nothing, and addresses outside the memory.
fn bad_arguments(turn: &mut Turn<'_>) -> Action {
    if turn.phase == Phase::RequestHeaders {
        for raw in [
            "",
            "\0",
            "\0\0",
            "request",
            "request\0",
            "request\0path\0",
            "\0request\0path",
            "request\0\0path",
            "request.path",
            "request\0path\0deeper",
        ] {
            if raw != "request" && raw != "request\0" {
                get_raw(turn, raw, Place::Here);
            }
        }
        get_raw(turn, b"\xff".as_slice(), Place::Here);
        for bad in [Arg::Nowhere(16), Arg::Nowhere(0)] {
            get_raw(turn, bad, Place::Here);
            set_raw(turn, bad, "x");
            set_raw(turn, "probe_bad", bad);
        }
        get_raw(turn, "request\0path", Place::Nowhere);
        get_raw(turn, "nope", Place::Nowhere);
    }
    CONTINUE
}
