//! Answers in the upstream's stead.

use crate::headers;
use crate::host::{self, Arg, Place};
use crate::report::{Shown, encode};
use crate::turn::{Action, CONTINUE, Case, PAUSE, Phase, Turn};

/// The cases.
pub(crate) const CASES: &[(&str, Case)] = &[
    ("local-reply", in_chosen_phase),
    ("local-reply-twice", twice),
    ("local-reply-pausing", pausing),
    ("local-reply-odd", odd),
    ("local-reply-bad-arguments", bad_arguments),
];

/// Sends a reply.
pub(crate) fn send(turn: &Turn<'_>, code: u32, details: &str, body: &str, pairs: &[(&str, &str)]) {
    send_with_grpc(turn, code, details, body, pairs, -1);
}

fn send_with_grpc(turn: &Turn<'_>, code: u32, details: &str, body: &str, pairs: &[(&str, &str)], grpc: i32) {
    let encoded = encode(pairs);
    let status = host::send_local_response(code, Arg::from(details), Arg::from(body), Arg::from(&encoded), grpc);
    let shown = Shown(pairs);
    turn.say(format_args!("send_local_response({code}, \"{details}\", \"{body}\", {shown}, grpc={grpc})"), status);
}

/// The reply's details, as the host keeps them.
fn details(turn: &Turn<'_>) {
    if turn.phase == Phase::Log {
        let answer = host::get_property(Arg::from("response\0code_details"), Place::Here);
        turn.say(format_args!("get_property(response.code_details)"), answer);
        let answer = host::get_property(Arg::from("response\0code"), Place::Here);
        turn.say(format_args!("get_property(response.code)"), answer);
    }
}

/// A reply in the chosen phase.
fn in_chosen_phase(turn: &mut Turn<'_>) -> Action {
    if turn.begins() && turn.choice() == Phase::Tick.name() {
        turn.expect_tick();
    }
    if turn.is_chosen() && turn.visit() == 1 {
        send(turn, 418, "probe details", "replied", &[("X-Local", "1"), ("x-local", "2")]);
        headers::value(turn, 0, ":path");
        headers::pairs(turn, 2);
    } else if turn.phase == Phase::ResponseHeaders {
        headers::pairs(turn, 2);
    }
    details(turn);
    CONTINUE
}

/// Two replies in one callback, and if so chosen a third to the reply's own headers.
fn twice(turn: &mut Turn<'_>) -> Action {
    match turn.phase {
        Phase::RequestHeaders => {
            send(turn, 418, "first", "first", &[]);
            send(turn, 419, "second", "second", &[]);
        }
        Phase::ResponseHeaders if turn.choice() == "third" => send(turn, 420, "third", "third", &[]),
        Phase::ResponseHeaders => headers::pairs(turn, 2),
        _ => {}
    }
    details(turn);
    CONTINUE
}

/// The same with a pause, as filters do.
fn pausing(turn: &mut Turn<'_>) -> Action {
    details(turn);
    if turn.phase == Phase::RequestHeaders {
        send(turn, 403, "", "", &[]);
        return PAUSE;
    }
    CONTINUE
}

/// Replies that are odd: which one the case chose.
fn odd(turn: &mut Turn<'_>) -> Action {
    details(turn);
    match turn.phase {
        Phase::RequestHeaders => {
            match turn.choice().as_str() {
                "grpc" => send_with_grpc(turn, 200, "", "message", &[], 7),
                "zero" => send(turn, 0, "", "zero", &[]),
                "99" => send(turn, 99, "", "ninety-nine", &[]),
                "1000" => send(turn, 1000, "", "thousand", &[]),
                "204" => send(turn, 204, "", "a body that may not be", &[]),
                "headers" => send(
                    turn,
                    200,
                    "",
                    "body",
                    &[("content-type", "text/x-probe"), ("content-length", "99"), (":status", "201"), ("x-empty", "")],
                ),
                other => turn.say(format_args!("local-reply-odd"), format_args!("no choice {other}")),
            }
            PAUSE
        }
        Phase::ResponseHeaders => {
            headers::pairs(turn, 2);
            CONTINUE
        }
        _ => CONTINUE,
    }
}

/// Addresses outside the memory, and pairs that are none.
fn bad_arguments(turn: &mut Turn<'_>) -> Action {
    details(turn);
    if turn.phase == Phase::RequestHeaders {
        let none = Arg::from("");
        for bad in [Arg::Nowhere(16), Arg::Nowhere(0)] {
            for (what, details, body, pairs) in
                [("details", bad, none, none), ("body", none, bad, none), ("headers", none, none, bad)]
            {
                let status = host::send_local_response(418, details, body, pairs, -1);
                turn.say(format_args!("send_local_response(418, {what}={bad})"), status);
            }
        }
    }
    CONTINUE
}
