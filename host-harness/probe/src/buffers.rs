//! The buffers.

use crate::host::{self, Arg, Place, Status};
use crate::report::Maybe;
use crate::turn::{Action, CONTINUE, Case, PAUSE, Phase, Turn};

/// The cases.
pub(crate) const CASES: &[(&str, Case)] = &[
    ("buffers-read", read_everywhere),
    ("buffers-write", write_everywhere),
    ("buffers-ranges", ranges),
    ("buffers-set", set_chosen),
    ("buffers-held", held),
    ("buffers-bad-arguments", bad_arguments),
];

/// A buffer's name.
fn name_of(buffer: u32) -> String {
    let names = [
        "request_body",
        "response_body",
        "downstream_data",
        "upstream_data",
        "call_body",
        "grpc_message",
        "vm_configuration",
        "plugin_configuration",
        "foreign_data",
    ];
    names.get(buffer as usize).map_or_else(|| format!("buffer {buffer}"), |name| (*name).to_owned())
}

/// A number, where the largest of 32 bits stands for all.
fn shown(number: u32) -> String {
    if number == u32::MAX { "max".to_owned() } else { number.to_string() }
}

/// Part of a buffer.
pub(crate) fn get(turn: &Turn<'_>, buffer: u32, start: u32, max: u32) {
    get_to(turn, buffer, start, max, Place::Here);
}

/// Part of a buffer, to some place.
pub(crate) fn get_to(turn: &Turn<'_>, buffer: u32, start: u32, max: u32, to: Place) {
    let answer = host::get_buffer_bytes(buffer, start, max, to);
    let (start, max) = (shown(start), shown(max));
    turn.say(format_args!("get_buffer_bytes({}, {start}, {max}{to})", name_of(buffer)), answer);
}

/// A buffer's length.
pub(crate) fn status(turn: &Turn<'_>, buffer: u32) {
    status_to(turn, buffer, Place::Here);
}

/// A buffer's length, to some place.
pub(crate) fn status_to(turn: &Turn<'_>, buffer: u32, to: Place) {
    let (status, len, flags) = host::get_buffer_status(buffer, to);
    let call = format!("get_buffer_status({}{to})", name_of(buffer));
    match (len, flags) {
        (None, None) if status != Status::OK => turn.say(format_args!("{call}"), status),
        _ => turn.say(format_args!("{call}"), format_args!("{status} length {}, flags {}", Maybe(len), Maybe(flags))),
    }
}

/// Replaces part of a buffer.
pub(crate) fn set<'a>(turn: &Turn<'_>, buffer: u32, start: u32, replaced: u32, data: impl Into<Arg<'a>>) {
    let data = data.into();
    let status = host::set_buffer_bytes(buffer, start, replaced, data);
    let (start, replaced) = (shown(start), shown(replaced));
    turn.say(format_args!("set_buffer_bytes({}, {start}, {replaced}, {data})", name_of(buffer)), status);
}

fn ask_for_tick(turn: &mut Turn<'_>) {
    if turn.begins() {
        turn.expect_tick();
    }
}

/// All buffers in every phase. What a read of `foreign_data` returns is left over from other reads, so the first of
/// these comes before them.
fn read_everywhere(turn: &mut Turn<'_>) -> Action {
    ask_for_tick(turn);
    for buffer in 0..10 {
        status(turn, buffer);
        get(turn, buffer, 0, 40);
        get(turn, buffer, 2, 3);
        get(turn, buffer, 1000, 1);
    }
    CONTINUE
}

/// All buffers in every phase: append, which is the least harmful.
fn write_everywhere(turn: &mut Turn<'_>) -> Action {
    ask_for_tick(turn);
    for buffer in 0..10 {
        set(turn, buffer, u32::MAX, 0, "+");
    }
    CONTINUE
}

/// The buffer that the phase has.
fn own(turn: &Turn<'_>) -> Option<u32> {
    match turn.phase {
        Phase::RequestBody => Some(0),
        Phase::ResponseBody => Some(1),
        Phase::DownstreamData => Some(2),
        Phase::UpstreamData => Some(3),
        _ => None,
    }
}

/// Reads of all kinds.
fn ranges(turn: &mut Turn<'_>) -> Action {
    if let Some(buffer) = own(turn) {
        let ranges =
            [(0, u32::MAX), (0, 0), (0, 3), (2, 3), (2, u32::MAX), (5, 1), (6, 1), (u32::MAX, 1), (u32::MAX, u32::MAX)];
        for (start, max) in ranges {
            get(turn, buffer, start, max);
        }
    }
    CONTINUE
}

/// The write that the case chose, as `START,REPLACED,DATA`, in each body callback that has data.
fn set_chosen(turn: &mut Turn<'_>) -> Action {
    let Some(buffer) = own(turn) else { return CONTINUE };
    let choice = turn.choice();
    let mut parts = choice.splitn(3, ',');
    let mut number = || parts.next().and_then(|part| part.parse::<u32>().ok()).unwrap_or(u32::MAX);
    let (start, replaced) = (number(), number());
    let data = parts.next().unwrap_or_default();
    get(turn, buffer, 0, 100);
    set(turn, buffer, start, replaced, data);
    get(turn, buffer, 0, 100);
    status(turn, buffer);
    CONTINUE
}

/// Bodies held back to their ends.
fn held(turn: &mut Turn<'_>) -> Action {
    let Some(buffer) = own(turn) else { return CONTINUE };
    status(turn, buffer);
    get(turn, buffer, 0, 100);
    if turn.visit() == 1 { PAUSE } else { CONTINUE }
}

/// Buffers that do not exist, and addresses outside the memory.
fn bad_arguments(turn: &mut Turn<'_>) -> Action {
    if own(turn).is_none() || turn.phase == Phase::ResponseBody || turn.visit() > 1 {
        return CONTINUE;
    }
    for buffer in [0, 1, 2, 3, 4, 6, 7, 8, 9, 100, u32::MAX] {
        get_to(turn, buffer, 0, 5, Place::Nowhere);
        get_to(turn, buffer, 0, 0, Place::Nowhere);
        status_to(turn, buffer, Place::Nowhere);
        set(turn, buffer, 0, 0, Arg::Nowhere(16));
        set(turn, buffer, 0, 0, Arg::Nowhere(0));
    }
    CONTINUE
}
