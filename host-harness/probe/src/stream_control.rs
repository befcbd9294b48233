//! Continuing and closing streams, and what callbacks return.

use crate::headers;
use crate::host;
use crate::turn::{Action, CONTINUE, Case, Phase, Turn};

/// The cases.
pub(crate) const CASES: &[(&str, Case)] =
    &[("continue", continue_in_chosen_phase), ("close", close_in_chosen_phase), ("action", action)];

/// The numbers' names.
fn name_of(kind: u32) -> String {
    let names = ["request", "response", "downstream", "upstream"];
    names.get(kind as usize).map_or_else(|| format!("stream {kind}"), |name| (*name).to_owned())
}

/// Goes on with a stream.
pub(crate) fn resume(turn: &Turn<'_>, kind: u32) {
    turn.say(format_args!("continue_stream({})", name_of(kind)), host::continue_stream(kind));
}

/// Resets a stream.
pub(crate) fn close(turn: &Turn<'_>, kind: u32) {
    turn.say(format_args!("close_stream({})", name_of(kind)), host::close_stream(kind));
}

/// Does something in the phase that the case chose with a number, `PHASE,NUMBER`, and shows what is left to see.
fn in_chosen_phase(turn: &mut Turn<'_>, act: fn(&Turn<'_>, u32)) -> Action {
    let choice = turn.choice();
    let (phase, kind) = choice.split_once(',').unwrap_or((&choice, "0"));
    if turn.begins() && phase == Phase::Tick.name() {
        turn.expect_tick();
    }
    if turn.phase.name() == phase && turn.visit() == 1 {
        act(turn, kind.parse().unwrap_or_default());
        headers::value(turn, 0, ":path");
        headers::value(turn, 2, ":status");
    }
    CONTINUE
}

/// Goes on, where nothing was held.
fn continue_in_chosen_phase(turn: &mut Turn<'_>) -> Action {
    in_chosen_phase(turn, resume)
}

/// Resets.
fn close_in_chosen_phase(turn: &mut Turn<'_>) -> Action {
    in_chosen_phase(turn, close)
}

/// Returns a number in the chosen phase, `PHASE,NUMBER`; a tick then goes on with the stream.
fn action(turn: &mut Turn<'_>) -> Action {
    let choice = turn.choice();
    let (phase, number) = choice.split_once(',').unwrap_or((&choice, "0"));
    match turn.phase {
        Phase::Tick => {
            turn.enter_stream();
            let kind = match phase {
                "new_connection" | "downstream_data" => 2,
                "upstream_data" => 3,
                phase => u32::from(phase.starts_with("response")),
            };
            resume(turn, kind);
            return CONTINUE;
        }
        _ if turn.begins() => turn.expect_tick(),
        _ => {}
    }
    if turn.phase.name() == phase && turn.visit() == 1 { number.parse().unwrap_or_default() } else { CONTINUE }
}
