//! Metrics.

use crate::host::{self, Arg, Counted, Place, Status};
use crate::report::Number;
use crate::turn::{Action, CONTINUE, Case, Phase, Turn};

/// The cases.
pub(crate) const CASES: &[(&str, Case)] =
    &[("metrics", all_kinds), ("metrics-bad-arguments", bad_arguments), ("metrics-from", from_chosen_phase)];

/// The kinds, by number.
const KINDS: [&str; 3] = ["counter", "gauge", "histogram"];

/// Defines a metric; its ID is shown by its kind alone.
fn define(turn: &Turn<'_>, kind: u32, name: &str) -> Option<u32> {
    let answer = host::define_metric(kind, Arg::from(name), Place::Here);
    let kind = KINDS.get(kind as usize).map_or_else(|| format!("kind {kind}"), |kind| (*kind).to_owned());
    let call = format!("define_metric({kind}, \"{name}\")");
    match answer {
        (Status::OK, Some(id)) => {
            turn.say(format_args!("{call}"), format_args!("Ok, an ID that ends in {}", id & 3));
            Some(id)
        }
        answer => {
            turn.say(format_args!("{call}"), Number(answer));
            None
        }
    }
}

fn define_badly(turn: &Turn<'_>, kind: u32, name: Arg<'_>, to: Place) {
    let (status, id): Counted<u32> = host::define_metric(kind, name, to);
    let written = if id.is_some() { " written" } else { "" };
    turn.say(format_args!("define_metric({kind}, {name}{to})"), format_args!("{status}{written}"));
}

fn increment(turn: &Turn<'_>, id: u32, name: &str, by: i64) {
    turn.say(format_args!("increment_metric({name}, {by})"), host::increment_metric(id, by));
}

fn record(turn: &Turn<'_>, id: u32, name: &str, value: u64) {
    turn.say(format_args!("record_metric({name}, {value})"), host::record_metric(id, value));
}

fn get(turn: &Turn<'_>, id: u32, name: &str) {
    turn.say(format_args!("get_metric({name})"), Number(host::get_metric(id, Place::Here)));
}

/// Each kind: change, set, read.
fn all_kinds(turn: &mut Turn<'_>) -> Action {
    if turn.phase != Phase::RequestHeaders {
        return CONTINUE;
    }
    for (kind, name) in (0..).zip(KINDS) {
        let stat = format!("probe_{name}");
        let Some(id) = define(turn, kind, &stat) else { continue };
        get(turn, id, name);
        for by in [5, 0, -2, 1] {
            increment(turn, id, name, by);
            get(turn, id, name);
        }
        for value in [10, 0, 3] {
            record(turn, id, name, value);
            get(turn, id, name);
        }
        let Some(again) = define(turn, kind, &stat) else { continue };
        turn.say(format_args!("define_metric again"), if again == id { "the same ID" } else { "another ID" });
        get(turn, again, name);
    }
    if let Some(id) = define(turn, 1, "probe_below") {
        increment(turn, id, "below", -3);
        get(turn, id, "below");
    }
    if let (Some(_), Some(id)) = (define(turn, 0, "probe_both"), define(turn, 1, "probe_both")) {
        record(turn, id, "both as a gauge", 7);
        get(turn, id, "both as a gauge");
    }
    CONTINUE
}

/// Kinds and IDs that do not exist, and addresses outside the memory.
fn bad_arguments(turn: &mut Turn<'_>) -> Action {
    if turn.phase != Phase::RequestHeaders {
        return CONTINUE;
    }
    for kind in [3, 100, u32::MAX] {
        define(turn, kind, "probe_no_kind");
    }
    define(turn, 0, "");
    for bad in [Arg::Nowhere(16), Arg::Nowhere(0)] {
        define_badly(turn, 0, bad, Place::Here);
    }
    define_badly(turn, 0, Arg::from("probe_nowhere"), Place::Nowhere);
    define_badly(turn, 3, Arg::from("probe_nowhere"), Place::Nowhere);
    for id in [0x00ff_fff0, 0x00ff_fff1, 0x00ff_fff2, 0x00ff_fff3, 0, 1, 2, 3] {
        let name = format!("unknown {id:#x}");
        for by in [1, 0, -1] {
            increment(turn, id, &name, by);
        }
        record(turn, id, &name, 1);
        get(turn, id, &name);
    }
    if let Some(id) = define(turn, 0, "probe_counter_2") {
        turn.say(format_args!("get_metric(counter{})", Place::Nowhere), Number(host::get_metric(id, Place::Nowhere)));
    }
    CONTINUE
}

/// A metric used in the chosen phase.
fn from_chosen_phase(turn: &mut Turn<'_>) -> Action {
    if turn.begins() && turn.choice() == Phase::Tick.name() {
        turn.expect_tick();
    }
    if turn.is_chosen()
        && turn.visit() == 1
        && let Some(id) = define(turn, 1, "probe_from")
    {
        record(turn, id, "gauge", 1);
        get(turn, id, "gauge");
    }
    CONTINUE
}
