//! Shared data.

use crate::host::{self, Arg, Place, Status};
use crate::turn::{Action, CONTINUE, Case, Phase, Turn};

/// The cases.
pub(crate) const CASES: &[(&str, Case)] =
    &[("shared-data", values), ("shared-data-cas", versions), ("shared-data-bad-arguments", bad_arguments)];

/// Reads a key; shows whether it has a version, and returns that.
fn get<'a>(turn: &Turn<'_>, key: impl Into<Arg<'a>>, to: Place) -> u32 {
    let key = key.into();
    let (received, cas) = host::get_shared_data(key, to);
    let version = match cas {
        None => "",
        Some(0) => ", version 0",
        Some(_) => ", a version",
    };
    turn.say(format_args!("get_shared_data({key}{to})"), format_args!("{received}{version}"));
    cas.unwrap_or_default()
}

fn set<'a, 'b>(turn: &Turn<'_>, key: impl Into<Arg<'a>>, value: impl Into<Arg<'b>>, cas: u32, shown: &str) -> Status {
    let (key, value) = (key.into(), value.into());
    let status = host::set_shared_data(key, value, cas);
    turn.say(format_args!("set_shared_data({key}, {value}, {shown})"), status);
    status
}

/// What is set is read.
fn values(turn: &mut Turn<'_>) -> Action {
    match turn.phase {
        Phase::RequestHeaders => {
            for (key, value) in [("key", "value"), ("empty", ""), ("", "nameless"), ("key", "other")] {
                get(turn, key, Place::Here);
                set(turn, key, value, 0, "any");
                get(turn, key, Place::Here);
            }
            set(turn, "bytes", b"\0\xff".as_slice(), 0, "any");
            get(turn, "bytes", Place::Here);
        }
        Phase::Log => {
            get(turn, "key", Place::Here);
        }
        _ => {}
    }
    CONTINUE
}

/// A version must be the current one.
fn versions(turn: &mut Turn<'_>) -> Action {
    if turn.phase == Phase::RequestHeaders {
        set(turn, "cas-missing", "x", 7, "some version");
        get(turn, "cas-missing", Place::Here);
        set(turn, "cas", "one", 0, "any");
        let first = get(turn, "cas", Place::Here);
        set(turn, "cas", "two", first, "its version");
        let second = get(turn, "cas", Place::Here);
        set(turn, "cas", "three", first, "its last version");
        set(turn, "cas", "three", second.wrapping_add(1000), "another version");
        get(turn, "cas", Place::Here);
        turn.say(format_args!("the version after a write"), second.wrapping_sub(first));
        set(turn, "cas", "four", 0, "any");
        get(turn, "cas", Place::Here);
    }
    CONTINUE
}

/// Addresses outside the memory.
fn bad_arguments(turn: &mut Turn<'_>) -> Action {
    if turn.phase == Phase::RequestHeaders {
        set(turn, "bad", "x", 0, "any");
        for bad in [Arg::Nowhere(16), Arg::Nowhere(0)] {
            get(turn, bad, Place::Here);
            set(turn, bad, "x", 0, "any");
            set(turn, "bad", bad, 0, "any");
        }
        get(turn, "bad", Place::Nowhere);
        get(turn, "bad-missing", Place::Nowhere);
    }
    CONTINUE
}
