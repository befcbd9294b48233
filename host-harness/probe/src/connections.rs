//! TCP connections: what only they have. Other topics' cases run in their phases too.

use crate::buffers;
use crate::stream_control;
use crate::turn::{Action, CONTINUE, Case, PAUSE, Phase, Turn};

/// The cases.
pub(crate) const CASES: &[(&str, Case)] = &[
    ("connection", nothing),
    ("connection-held", held),
    ("connection-held-and-written", held_and_written),
    ("connection-continue-and-pause", continue_and_pause),
    ("connection-close-and-continue", close_and_continue),
    ("connection-writes", writes),
    ("connection-trap", trap),
];

/// Only the callbacks.
fn nothing(_turn: &mut Turn<'_>) -> Action {
    CONTINUE
}

/// The buffer that the case chose by its phase.
fn buffer(phase: &str) -> u32 {
    if phase == Phase::UpstreamData.name() { 3 } else { 2 }
}

/// Data of the chosen phase held for as many callbacks as the case says, `PHASE,NUMBER`.
fn held(turn: &mut Turn<'_>) -> Action {
    let choice = turn.choice();
    let (phase, number) = choice.split_once(',').unwrap_or((&choice, "1"));
    if turn.phase.name() != phase {
        return CONTINUE;
    }
    buffers::get(turn, buffer(phase), 0, 100);
    if turn.visit() <= number.parse().unwrap_or(1) { PAUSE } else { CONTINUE }
}

/// Held data, looked at and changed by a tick that then goes on.
fn held_and_written(turn: &mut Turn<'_>) -> Action {
    let choice = turn.choice();
    let buffer = buffer(&choice);
    match turn.phase {
        Phase::Tick => {
            buffers::get(turn, buffer, 0, 100);
            turn.enter_stream();
            for kind in [2, 3] {
                buffers::status(turn, kind);
                buffers::get(turn, kind, 0, 100);
            }
            buffers::set(turn, buffer, u32::MAX, 0, " from the tick");
            stream_control::resume(turn, buffer);
            buffers::get(turn, buffer, 0, 100);
            CONTINUE
        }
        _ if turn.is_chosen() => {
            buffers::get(turn, buffer, 0, 100);
            if turn.visit() > 1 {
                return CONTINUE;
            }
            turn.expect_tick();
            PAUSE
        }
        _ => CONTINUE,
    }
}

/// To go on and to pause in one callback.
fn continue_and_pause(turn: &mut Turn<'_>) -> Action {
    if !turn.is_chosen() || turn.visit() > 1 {
        return CONTINUE;
    }
    stream_control::resume(turn, 2);
    for kind in [2, 3] {
        buffers::get(turn, kind, 0, 100);
    }
    PAUSE
}

/// To close and to go on in one callback.
fn close_and_continue(turn: &mut Turn<'_>) -> Action {
    if turn.is_chosen() && turn.visit() == 1 {
        stream_control::close(turn, 2);
        stream_control::close(turn, 3);
        stream_control::resume(turn, 2);
        buffers::get(turn, buffer(&turn.choice()), 0, 100);
    }
    CONTINUE
}

/// Both directions changed on their way.
fn writes(turn: &mut Turn<'_>) -> Action {
    match turn.phase {
        Phase::DownstreamData => buffers::set(turn, 2, 0, 0, ">"),
        Phase::UpstreamData => {
            buffers::set(turn, 3, 0, 1, "<<");
            buffers::set(turn, 3, u32::MAX, 0, "|");
        }
        _ => {}
    }
    CONTINUE
}

/// The end of the VM in the chosen phase.
fn trap(turn: &mut Turn<'_>) -> Action {
    if turn.begins() && turn.choice() == Phase::Tick.name() {
        turn.expect_tick();
    }
    if turn.is_chosen() {
        std::arch::wasm32::unreachable();
    }
    CONTINUE
}
