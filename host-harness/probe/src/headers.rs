//! The eight header maps.

use crate::host::{self, Arg, Place, Status, Written};
use crate::report::{Pairs, Shown, decode, encode};
use crate::turn::{Action, CONTINUE, Case, Phase, Turn};

/// The cases.
pub(crate) const CASES: &[(&str, Case)] = &[
    ("headers-read", read_everywhere),
    ("headers-write", write_everywhere),
    ("headers-set-pairs", set_pairs_everywhere),
    ("headers-values", values),
    ("headers-odd-writes", odd_writes),
    ("headers-bad-arguments", bad_arguments),
    ("headers-pseudo", pseudo),
    ("headers-malformed-pairs", malformed_pairs),
    ("headers-trailers-from-body", trailers_from_body),
];

/// A map's name.
fn name_of(map: u32) -> String {
    let names = [
        "request_headers",
        "request_trailers",
        "response_headers",
        "response_trailers",
        "grpc_initial_metadata",
        "grpc_trailing_metadata",
        "call_headers",
        "call_trailers",
    ];
    names.get(map as usize).map_or_else(|| format!("map {map}"), |name| (*name).to_owned())
}

/// A whole map.
pub(crate) fn pairs(turn: &Turn<'_>, map: u32) {
    let answer = host::get_header_map_pairs(map, Place::Here);
    turn.say(format_args!("get_header_map_pairs({})", name_of(map)), Pairs(answer));
}

/// A map's size: only whether it is that of its names and values, since those of some headers differ.
pub(crate) fn size(turn: &Turn<'_>, map: u32) {
    let call = format!("get_header_map_size({})", name_of(map));
    match host::get_header_map_size(map, Place::Here) {
        (Status::OK, Some(size)) => {
            let sum = match host::get_header_map_pairs(map, Place::Here).written {
                Written::Bytes(bytes) => decode(&bytes)
                    .map(|pairs| pairs.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()),
                Written::Nothing | Written::Null(_) => Some(0),
            };
            let fits = sum == Some(size as usize);
            let answer = if fits { "the names and values".to_owned() } else { format!("{size}, not {sum:?}") };
            turn.say(format_args!("{call}"), format_args!("Ok {answer}"));
        }
        answer => turn.say(format_args!("{call}"), crate::report::Number(answer)),
    }
}

/// One header.
pub(crate) fn value<'a>(turn: &Turn<'_>, map: u32, name: impl Into<Arg<'a>>) {
    value_to(turn, map, name, Place::Here);
}

fn value_to<'a>(turn: &Turn<'_>, map: u32, name: impl Into<Arg<'a>>, to: Place) {
    let name = name.into();
    let answer = host::get_header_map_value(map, name, to);
    turn.say(format_args!("get_header_map_value({}, {name}{to})", name_of(map)), answer);
}

/// Adds a header.
pub(crate) fn add<'a, 'b>(turn: &Turn<'_>, map: u32, name: impl Into<Arg<'a>>, value: impl Into<Arg<'b>>) {
    let (name, value) = (name.into(), value.into());
    let status = host::add_header_map_value(map, name, value);
    turn.say(format_args!("add_header_map_value({}, {name}, {value})", name_of(map)), status);
}

fn replace<'a, 'b>(turn: &Turn<'_>, map: u32, name: impl Into<Arg<'a>>, value: impl Into<Arg<'b>>) {
    let (name, value) = (name.into(), value.into());
    let status = host::replace_header_map_value(map, name, value);
    turn.say(format_args!("replace_header_map_value({}, {name}, {value})", name_of(map)), status);
}

fn remove<'a>(turn: &Turn<'_>, map: u32, name: impl Into<Arg<'a>>) {
    let name = name.into();
    let status = host::remove_header_map_value(map, name);
    turn.say(format_args!("remove_header_map_value({}, {name})", name_of(map)), status);
}

fn set_pairs(turn: &Turn<'_>, map: u32, pairs: &[(&str, &str)]) {
    let status = host::set_header_map_pairs(map, Arg::from(&encode(pairs)));
    turn.say(format_args!("set_header_map_pairs({}, {})", name_of(map), Shown(pairs)), status);
}

fn set_raw_pairs<'a>(turn: &Turn<'_>, map: u32, raw: impl Into<Arg<'a>>) {
    let raw = raw.into();
    let status = host::set_header_map_pairs(map, raw);
    turn.say(format_args!("set_header_map_pairs({}, {raw} raw)", name_of(map)), status);
}

/// Every way to write to a map, one header each, and what came of it.
pub(crate) fn write(turn: &Turn<'_>, map: u32) {
    let probed = format!("x-probe-{}", turn.phase.name().replace('_', "-"));
    add(turn, map, probed.as_str(), "1");
    add(turn, map, probed.as_str(), "2");
    value(turn, map, probed.as_str());
    replace(turn, map, probed.as_str(), "3");
    value(turn, map, probed.as_str());
    remove(turn, map, "x-remove-me");
    remove(turn, map, "x-never-there");
}

/// Runs at the first tick too, which it asks for.
fn ask_for_tick(turn: &mut Turn<'_>) {
    if turn.begins() {
        turn.expect_tick();
    }
}

/// All maps in every phase: whole, their sizes, and a value that may be there.
fn read_everywhere(turn: &mut Turn<'_>) -> Action {
    ask_for_tick(turn);
    for map in 0..9 {
        pairs(turn, map);
        size(turn, map);
        let name = match map {
            0 => ":path",
            2 => ":status",
            1 | 3 => "x-trailer",
            _ => "nope",
        };
        value(turn, map, name);
        value(turn, map, "nope");
    }
    CONTINUE
}

/// All maps in every phase: add, replace, remove.
fn write_everywhere(turn: &mut Turn<'_>) -> Action {
    ask_for_tick(turn);
    for map in 0..9 {
        write(turn, map);
    }
    CONTINUE
}

/// Replaces each map, where it can be replaced, by what it holds and one header more.
fn set_pairs_everywhere(turn: &mut Turn<'_>) -> Action {
    ask_for_tick(turn);
    for map in 0..9 {
        let held = host::get_header_map_pairs(map, Place::Here).written;
        let held = match &held {
            Written::Bytes(bytes) => decode(bytes).unwrap_or_default(),
            Written::Nothing | Written::Null(_) => Vec::new(),
        };
        let held = held
            .iter()
            .map(|(name, value)| (String::from_utf8_lossy(name), String::from_utf8_lossy(value)))
            .collect::<Vec<_>>();
        let mut new: Vec<_> = held.iter().map(|(name, value)| (&**name, &**value)).collect();
        new.push(("x-set-pairs", turn.phase.name()));
        let status = host::set_header_map_pairs(map, Arg::from(&encode(&new)));
        turn.say(format_args!("set_header_map_pairs({}, what it holds and x-set-pairs)", name_of(map)), status);
        pairs(turn, map);
    }
    CONTINUE
}

/// How values are found. The client sends `x-twice` twice, `x-empty` empty and `X-Mixed` in mixed case.
fn values(turn: &mut Turn<'_>) -> Action {
    if turn.phase == Phase::RequestHeaders {
        let names = [
            "x-twice",
            "x-empty",
            "x-mixed",
            "X-MIXED",
            ":path",
            ":method",
            ":authority",
            ":scheme",
            "x-bytes",
            "",
            "nope",
            " ",
            "x-mixed ",
        ];
        for name in names.into_iter().filter(|name| *name != ":authority") {
            value(turn, 0, name);
        }
        value(turn, 0, b"x-\xff".as_slice());
        value(turn, 0, b"x-mi\0xed".as_slice());
    }
    CONTINUE
}

/// Writes that are odd, and what came of them.
fn odd_writes(turn: &mut Turn<'_>) -> Action {
    let map = match turn.phase {
        Phase::RequestHeaders => 0,
        Phase::ResponseHeaders => 2,
        _ => return CONTINUE,
    };
    add(turn, map, "X-Upper", "A");
    value(turn, map, "x-upper");
    add(turn, map, "x-upper", "b");
    add(turn, map, "x-empty-value", "");
    value(turn, map, "x-empty-value");
    replace(turn, map, "X-UPPER", "c");
    value(turn, map, "x-upper");
    replace(turn, map, "x-new", "made by replace");
    value(turn, map, "x-new");
    add(turn, map, "x-spaces", "  two  ");
    value(turn, map, "x-spaces");
    add(turn, map, "x-latin", b"\xe9".as_slice());
    value(turn, map, "x-latin");
    remove(turn, map, "X-UPPER");
    value(turn, map, "x-upper");
    remove(turn, map, "");
    pairs(turn, map);
    CONTINUE
}

/// Maps that do not exist, and addresses outside the memory.
fn bad_arguments(turn: &mut Turn<'_>) -> Action {
    if turn.phase != Phase::RequestHeaders {
        return CONTINUE;
    }
    for map in [8, 100, u32::MAX] {
        pairs(turn, map);
        size(turn, map);
        value(turn, map, "x");
        add(turn, map, "x", "y");
        replace(turn, map, "x", "y");
        remove(turn, map, "x");
        set_pairs(turn, map, &[("x", "y")]);
    }
    for bad in [Arg::Nowhere(16), Arg::Nowhere(0)] {
        value(turn, 0, bad);
        add(turn, 0, bad, "y");
        add(turn, 0, "x", bad);
        replace(turn, 0, bad, "y");
        replace(turn, 0, "x", bad);
        remove(turn, 0, bad);
        value(turn, 2, bad);
        add(turn, 2, bad, "y");
        remove(turn, 2, bad);
        set_raw_pairs(turn, 2, bad);
    }
    set_raw_pairs(turn, 0, Arg::Nowhere(16));
    value_to(turn, 0, ":path", Place::Nowhere);
    value_to(turn, 0, "nope", Place::Nowhere);
    value_to(turn, 2, "nope", Place::Nowhere);
    for map in [0, 2, 6, 8] {
        let to = Place::Nowhere;
        turn.say(
            format_args!("get_header_map_pairs({}{to})", name_of(map)),
            Pairs(host::get_header_map_pairs(map, to)),
        );
        turn.say(
            format_args!("get_header_map_size({}{to})", name_of(map)),
            crate::report::Number(host::get_header_map_size(map, to)),
        );
    }
    CONTINUE
}

/// Pseudo-headers, changed as they may be.
fn pseudo(turn: &mut Turn<'_>) -> Action {
    match turn.phase {
        Phase::RequestHeaders => {
            replace(turn, 0, ":path", "/replaced?by=probe");
            replace(turn, 0, ":method", "PUT");
            replace(turn, 0, ":authority", "replaced.test");
            add(turn, 0, ":path", "/added");
            value(turn, 0, ":path");
            pairs(turn, 0);
            // Others, for comparison: of two lines, of one, and one that has no line.
            for name in ["x-twice", "x-mixed", "te", "x-new"] {
                replace(turn, 0, name, "replaced");
            }
            pairs(turn, 0);
        }
        Phase::ResponseHeaders => {
            replace(turn, 2, ":status", "299");
            replace(turn, 2, "content-type", "text/html");
            replace(turn, 2, "x-backend", "replaced");
            value(turn, 2, ":status");
            pairs(turn, 2);
        }
        _ => {}
    }
    CONTINUE
}

/// What malformed pairs do to the response's trailers and headers.
fn malformed_pairs(turn: &mut Turn<'_>) -> Action {
    if turn.phase == Phase::ResponseTrailers {
        let texts = ["\u{1}\0\0\0\u{9}\0\0\0\0\0\0\0ab", "\u{1}\0\0\0", "x", ""];
        for raw in texts {
            set_pairs(turn, 3, &[("x-whole", "yes")]);
            pairs(turn, 3);
            set_raw_pairs(turn, 3, raw);
            pairs(turn, 3);
        }
        set_pairs(turn, 3, &[("X-Upper", "1"), ("x-upper", "2"), ("x-none", "")]);
        pairs(turn, 3);
        set_pairs(turn, 3, &[]);
        pairs(turn, 3);
    }
    CONTINUE
}

/// Trailers that come into being at the end of a body.
fn trailers_from_body(turn: &mut Turn<'_>) -> Action {
    let map = match turn.phase {
        Phase::RequestBody => 1,
        Phase::ResponseBody => 3,
        _ => return CONTINUE,
    };
    add(turn, map, "x-made", "by the probe");
    value(turn, map, "x-made");
    pairs(turn, map);
    CONTINUE
}
