//! Properties that were declared before they are set.

use crate::foreign::call;
use crate::host::{self, Arg, Place};
use crate::properties;
use crate::protobuf::{field, number};
use crate::turn::{Action, CONTINUE, Case, Phase, Turn};

/// The cases.
pub(crate) const CASES: &[(&str, Case)] =
    &[("declare", declare), ("declared", declared), ("declared-spans", spans), ("declare-odd", odd)];

/// The message that declares a property.
fn declaration(name: &str, readonly: u8, kind: u8, schema: &str, span: u8) -> Vec<u8> {
    [field(1, name.as_bytes()), number(2, readonly), number(3, kind), field(4, schema.as_bytes()), number(5, span)]
        .concat()
}

fn tell(turn: &Turn<'_>, message: &[u8]) {
    call(turn, "declare_property", Arg::from(message), Place::Here);
}

const BYTES: u8 = 0;
const STRING: u8 = 1;
const FLAT_BUFFERS: u8 = 2;
const PROTOBUF: u8 = 3;

/// What [`declare`] declares: name, whether it can be set once only, type, schema, life span.
const DECLARED: &[(&str, u8, u8, &str, u8)] = &[
    ("bytes", 0, BYTES, "", 0),
    ("string", 0, STRING, "", 0),
    ("flat", 0, FLAT_BUFFERS, "", 0),
    ("text", 0, PROTOBUF, "type.googleapis.com/google.protobuf.StringValue", 0),
    ("strange", 0, PROTOBUF, "type.googleapis.com/probe.Unknown", 0),
    ("schemaless", 0, PROTOBUF, "", 0),
    ("once", 1, BYTES, "", 0),
    ("twice", 2, STRING, "", 0),
    ("request", 0, STRING, "", 1),
    ("connection", 0, STRING, "", 2),
    ("connection-once", 1, STRING, "", 2),
    ("odd-type", 0, 9, "", 0),
    ("odd-span", 0, BYTES, "", 9),
    ("plugin_name", 1, STRING, "", 0),
];

/// Declares properties, for all streams where the root context does it.
fn declare(turn: &mut Turn<'_>) -> Action {
    for (name, readonly, kind, schema, span) in DECLARED {
        tell(turn, &declaration(name, *readonly, *kind, schema, *span));
    }
    // Again, with something else.
    tell(turn, &declaration("bytes", 1, STRING, "", 2));
    for message in [
        b"".as_slice(),
        b"",
        b"\x0a",
        b"\x0a\x05ab",
        b"\x0a\x02\xff\xfe",
        b"\x08\x01",
        b"\x0a\x05named\x12\x01x",
        b"\x1a\x01x",
    ] {
        tell(turn, message);
    }
    CONTINUE
}

fn set(turn: &Turn<'_>, name: &str, value: &[u8]) {
    let status = host::set_property(Arg::from(name), Arg::from(value));
    turn.say(format_args!("set_property({name}, {})", Arg::from(value)), status);
}

fn read(turn: &Turn<'_>, name: &str) {
    properties::get_raw(turn, name, Place::Here);
    // Envoy ends where it has to look into one whose schema is none.
    if name != "flat" {
        properties::get_raw(turn, [name, "\0deeper"].concat().as_str(), Place::Here);
        properties::get_raw(turn, [name, "\0value"].concat().as_str(), Place::Here);
        properties::get_raw(turn, ["filter_state\0wasm.", name].concat().as_str(), Place::Here);
        properties::get_raw(turn, ["filter_state\0wasm.", name, "\0value"].concat().as_str(), Place::Here);
    }
}

/// Sets and reads each of them, twice.
fn declared(turn: &mut Turn<'_>) -> Action {
    match turn.phase {
        Phase::RequestHeaders => {
            for (name, ..) in DECLARED {
                read(turn, name);
                // A message with a text in its first field, to those that look.
                for value in [b"\x0a\x05first".as_slice(), b"\x0a\x06second", b""] {
                    set(turn, name, value);
                    read(turn, name);
                }
            }
        }
        Phase::Log => DECLARED.iter().for_each(|(name, ..)| read(turn, name)),
        _ => {}
    }
    CONTINUE
}

/// Only reads those with a life span; the connection is another than before.
fn spans(turn: &mut Turn<'_>) -> Action {
    if turn.phase == Phase::RequestHeaders {
        for name in ["request", "connection", "connection-once"] {
            read(turn, name);
            set(turn, name, b"again");
            read(turn, name);
        }
    }
    CONTINUE
}

/// Declared by a stream, for nobody.
fn odd(turn: &mut Turn<'_>) -> Action {
    match turn.phase {
        Phase::RequestHeaders => {
            tell(turn, &declaration("own", 1, STRING, "", 0));
            tell(turn, &declaration("own", 1, STRING, "", 0));
            set(turn, "own", b"first");
            set(turn, "own", b"second");
            turn.enter_root();
            tell(turn, &declaration("own", 1, STRING, "", 0));
            tell(turn, &declaration("of-the-root", 1, STRING, "", 0));
            set(turn, "of-the-root", b"x");
            turn.enter_stream();
            set(turn, "of-the-root", b"first");
            set(turn, "of-the-root", b"second");
            turn.expect_tick();
        }
        Phase::Tick => {
            tell(turn, &declaration("late", 1, STRING, "", 0));
            tell(turn, &declaration("late", 1, STRING, "", 0));
            set(turn, "late", b"x");
            turn.enter_stream();
            set(turn, "late", b"x");
        }
        _ => {}
    }
    CONTINUE
}
