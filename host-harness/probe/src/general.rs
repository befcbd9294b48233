//! Contexts, log, time and status.

use crate::headers;
use crate::host::{self, Arg, Place, Status};
use crate::report::{Maybe, Number};
use crate::turn::{Action, CONTINUE, Case, Phase, Turn};

/// The cases.
pub(crate) const CASES: &[(&str, Case)] = &[
    ("contexts", contexts),
    ("done", done_everywhere),
    ("status", status_everywhere),
    ("logging", logging),
    ("ticks", ticks),
    ("clock", clock),
];

/// How the last gRPC call went.
pub(crate) fn get_status(turn: &Turn<'_>) {
    let (message, code) = host::get_status(Place::Here);
    turn.say(format_args!("get_status()"), format_args!("{message}, code {}", Maybe(code)));
}

/// Turns to other contexts and back.
fn contexts(turn: &mut Turn<'_>) -> Action {
    if turn.begins() {
        turn.expect_tick();
    }
    for (unknown, name) in [(u32::MAX, "max"), (0x00ff_ffff, "unknown")] {
        turn.say(format_args!("set_effective_context({name})"), host::set_effective_context(unknown));
        headers::value(turn, 0, ":path");
    }
    turn.enter_root();
    headers::value(turn, 0, ":path");
    turn.say(format_args!("set_effective_context(0)"), host::set_effective_context(0));
    headers::value(turn, 0, ":path");
    turn.enter_stream();
    headers::value(turn, 0, ":path");
    turn.enter_root();
    headers::value(turn, 0, ":path");
    CONTINUE
}

/// `done` where nobody waits for it.
fn done_everywhere(turn: &mut Turn<'_>) -> Action {
    if turn.begins() {
        turn.expect_tick();
    }
    turn.say(format_args!("done()"), host::done());
    CONTINUE
}

/// The status of no call.
fn status_everywhere(turn: &mut Turn<'_>) -> Action {
    get_status(turn);
    if turn.begins() {
        let (message, code) = host::get_status(Place::Nowhere);
        turn.say(format_args!("get_status(to=<bad pointer>)"), format_args!("{message}, code {}", Maybe(code)));
    }
    CONTINUE
}

/// Levels, and addresses outside the memory. What is logged begins as the report's own lines do.
fn logging(turn: &mut Turn<'_>) -> Action {
    if turn.phase == Phase::RequestHeaders {
        turn.say(format_args!("get_log_level()"), Number(host::get_log_level(Place::Here)));
        turn.say(format_args!("get_log_level(to=<bad pointer>)"), Number(host::get_log_level(Place::Nowhere)));
        for level in [0, 1, 2, 3, 4, 5, 6, 7, 100, u32::MAX] {
            let text = format!("probe| (at level {level})");
            turn.say(format_args!("log({level}, ...)"), host::log(level, Arg::from(text.as_str())));
        }
        for bad in [Arg::Nowhere(16), Arg::Nowhere(0)] {
            turn.say(format_args!("log(2, {bad})"), host::log(2, bad));
            turn.say(format_args!("log(9, {bad})"), host::log(9, bad));
        }
        turn.say(format_args!("log(2, \"\")"), host::log(2, Arg::from("")));
    }
    CONTINUE
}

/// A tick's period, set twice before it comes.
fn ticks(turn: &mut Turn<'_>) -> Action {
    if turn.phase == Phase::RequestHeaders {
        turn.say(format_args!("set_tick_period_milliseconds(0)"), host::set_tick_period(0));
        turn.say(format_args!("set_tick_period_milliseconds(60000)"), host::set_tick_period(60_000));
        turn.expect_tick();
    }
    CONTINUE
}

/// The clock: that it has a time, and where it may not be written.
fn clock(turn: &mut Turn<'_>) -> Action {
    if turn.phase == Phase::RequestHeaders {
        let (status, time) = host::get_current_time(Place::Here);
        let answer = match (status, time) {
            (Status::OK, Some(1..)) => "Ok, a time".to_owned(),
            answer => Number(answer).to_string(),
        };
        turn.say(format_args!("get_current_time_nanoseconds()"), answer);
        let answer = Number(host::get_current_time(Place::Nowhere));
        turn.say(format_args!("get_current_time_nanoseconds(to=<bad pointer>)"), answer);
    }
    CONTINUE
}
