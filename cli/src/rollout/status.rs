//! A rollout, and a journal's rollouts, as text for a terminal of some width.
//!
//! No colours: marks and words say it all, so that a log or a pager shows the same. What people and proxies wrote cannot steer the terminal.

mod spark;
#[cfg(test)]
mod tests;
mod words;

use rollout::hands::Taken;
use rollout::judge::{GateVerdict, Judgement, Verdict};
use rollout::overview::{Overview, Past, PlaceView, RingView, Stage, outcome};

use self::spark::sparks;
use self::words::{cut, phase, span, stage, wrap};
use crate::table::{Column, Table, count, printable};

/// The least width that is written for; narrower terminals wrap by themselves.
const NARROWEST: usize = 40;
/// From this width on, all columns are there.
const WIDE: usize = 96;
/// From this width on, a ring's build is told.
const NARROW: usize = 52;
/// How wide a sparkline is.
const SPARKS: usize = 16;
/// The narrowest column of reasons that is worth having.
const REASON: usize = 24;

/// A rollout, in so many columns. Each line ends in a line feed.
#[must_use]
pub fn render(overview: &Overview, width: usize) -> String {
    let width = width.max(NARROWEST);
    let mut out = String::new();
    let name = overview.name.as_deref().unwrap_or("rollout");
    out += &wrap(&format!("{name} {}", overview.rollout), width, 2);
    out += &wrap(&phase(overview), width, 2);
    if overview.stalled {
        let silent = span(overview.silent_seconds);
        let note = format!(
            "nothing was written for {silent}: if the tool is gone, `rollout resume` or `rollout rollback` goes on"
        );
        out += &wrap(&note, width, 2);
    }
    out.push('\n');
    out += &rings(overview, width);
    if let Some(ring) = focus(overview) {
        out.push('\n');
        out += &in_focus(ring, width);
    }
    out.push('\n');
    out += &remarks(overview, width);
    out
}

/// The rollouts of a journal, in so many columns, latest last.
#[must_use]
pub fn render_history(rollouts: &[Past], width: usize) -> String {
    if rollouts.is_empty() {
        return "no rollout yet\n".to_owned();
    }
    let wide = width >= WIDE + 32;
    let mut table = Table::new([
        ("rollout", Column::Text),
        ("started (UTC)", Column::Text),
        ("by", Column::Text),
        ("module", Column::Text),
        ("rings", Column::Text),
        ("took", Column::Number),
        ("outcome", Column::Text),
    ]);
    for past in rollouts {
        // The first 13 are its time to the millisecond; `--rollout` takes the beginning of an ID.
        let id = if wide { past.rollout.clone() } else { past.rollout.chars().take(13).collect() };
        table.row([
            id,
            past.started.strftime("%Y-%m-%d %H:%M").to_string(),
            past.who.clone(),
            past.module_sha256.chars().take(12).collect(),
            format!("{} of {}", past.promoted.len(), past.rings.len()),
            span(past.duration_seconds),
            past.outcome.map_or("under way", outcome).to_owned(),
        ]);
    }
    table.render()
}

fn rings(overview: &Overview, width: usize) -> String {
    let wide = width >= WIDE;
    let columns = [
        ("ring", Column::Text, true),
        ("state", Column::Text, true),
        ("proxies", Column::Number, wide),
        ("before", Column::Text, wide),
        ("build", Column::Text, width >= NARROW),
        ("gates", Column::Text, true),
        ("requests", Column::Number, wide),
        ("control", Column::Text, wide),
    ];
    let mut table = Table::new(columns.iter().filter(|column| column.2).map(|column| (column.0, column.1)));
    for ring in &overview.rings {
        let none = || "–".to_owned();
        let cells = [
            ring.name.clone(),
            stage(ring.stage).to_owned(),
            ring.expected.map_or_else(none, |expected| expected.to_string()),
            if ring.before.is_empty() { none() } else { ring.before.join(", ") },
            ring.build.clone().unwrap_or_else(none),
            ring.verdict().map_or_else(none, gates_in_short),
            ring.verdict().map_or_else(none, |judgement| requests(judgement.requests)),
            ring.control.clone().unwrap_or_else(none),
        ];
        table.row(cells.into_iter().zip(&columns).filter(|(_, column)| column.2).map(|(cell, _)| cell));
    }
    table.render()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, at least 0 and far below 2^53")]
fn requests(value: f64) -> String {
    count(value.max(0.0) as u64)
}

fn gates_in_short(judgement: &Judgement) -> String {
    let count = |verdict| judgement.gates.iter().filter(|gate| gate.verdict == verdict).count();
    let pass = format!("{} of {} pass", count(Verdict::Pass), judgement.gates.len());
    match count(Verdict::Fail) {
        0 => pass,
        fail => format!("{pass}, {fail} fail"),
    }
}

/// The ring whose gates people want to see: one that failed, else the one whose turn it is, else the last one that was judged.
fn focus(overview: &Overview) -> Option<&RingView> {
    let is = |ring: &&RingView, verdict| ring.verdict().is_some_and(|judgement| judgement.verdict == verdict);
    let judged = |ring: &&RingView| ring.verdict().is_some();
    overview
        .rings
        .iter()
        .find(|ring| is(ring, Verdict::Fail))
        .or_else(|| overview.current().filter(|ring| ring.started.is_some()))
        .or_else(|| overview.rings.iter().rev().find(judged))
}

fn in_focus(ring: &RingView, width: usize) -> String {
    let places: Vec<String> =
        ring.places.iter().map(|place| format!("{} {}", place.name, said_of(place, ring.stage))).collect();
    let mut out = wrap(&format!("ring {}: {}", ring.name, places.join(", ")), width, 2);
    if let Some(judgement) = ring.verdict().filter(|judgement| !judgement.gates.is_empty()) {
        out.push('\n');
        out += &gates(&judgement.gates, width);
    }
    out
}

fn said_of(place: &PlaceView, stage: Stage) -> String {
    let back = matches!(stage, Stage::TakingBack | Stage::Back);
    let (said, done, open) = if back {
        (&place.restored, "has what it had", "to be taken back")
    } else {
        (&place.written, "took the build", "being written")
    };
    match said {
        _ if !place.touched => "untouched".to_owned(),
        None => open.to_owned(),
        Some(Taken::Yes) => done.to_owned(),
        Some(Taken::Pending(why)) => format!("has not answered ({why})"),
        Some(Taken::Refused(why)) => format!("refused ({why})"),
    }
}

fn gates(gates: &[GateVerdict], width: usize) -> String {
    let name = gates.iter().map(|gate| gate.gate.chars().count()).max().unwrap_or_default().max(4);
    let has_history = width >= 64 && gates.iter().any(|gate| !gate.history.is_empty());
    // The columns before that of reasons, with two blanks after each.
    let others = (name + 2)
        + ("inconclusive".len() + 2)
        + ("evidence".len() + 2)
        + if has_history { 2 * (SPARKS + 2) } else { 0 };
    let room = width.saturating_sub(others + 3);
    let has_reason = room >= REASON;
    let columns = [
        ("", Column::Text, true),
        ("gate", Column::Text, true),
        ("verdict", Column::Text, true),
        ("evidence", Column::Number, true),
        ("ring", Column::Text, has_history),
        ("control", Column::Text, has_history),
        ("reason", Column::Text, has_reason),
    ];
    let mut table = Table::new(columns.iter().filter(|column| column.2).map(|column| (column.0, column.1)));
    let mut in_full = String::new();
    for gate in gates {
        let (mark, verdict) = match gate.verdict {
            Verdict::Pass => ("✓", "pass"),
            Verdict::Inconclusive => ("·", "inconclusive"),
            Verdict::Fail => ("✗", "fail"),
        };
        let (ring, control) = sparks(&gate.history, SPARKS);
        let reason = printable(&gate.reason);
        let is_cut = !has_reason || reason.chars().count() > room;
        if is_cut && gate.verdict != Verdict::Pass {
            in_full += &wrap(&format!("{mark} {}: {}", gate.gate, gate.reason), width, 2);
        }
        let evidence = format!("{:.0} %", (gate.progress.clamp(0.0, 1.0) * 100.0).floor());
        let cells =
            [mark.to_owned(), gate.gate.clone(), verdict.to_owned(), evidence, ring, control, cut(&reason, room)];
        table.row(cells.into_iter().zip(&columns).filter(|(_, column)| column.2).map(|(cell, _)| cell));
    }
    let mut out = table.render();
    if !in_full.is_empty() {
        out.push('\n');
        out += &in_full;
    }
    out
}

fn remarks(overview: &Overview, width: usize) -> String {
    let mut out = String::new();
    let ago = |at: jiff::Timestamp| span(overview.at.duration_since(at).as_secs_f64().max(0.0));
    if let Some(check) = overview.preflight.iter().find(|check| !check.holds) {
        out += &wrap(&format!("preflight {}: {}", check.check, check.found), width, 2);
    }
    if let Some(trouble) = &overview.trouble {
        let more = if overview.troubles > 1 { format!(", {} so far", overview.troubles) } else { String::new() };
        out += &wrap(&format!("trouble, {} ago{more}: {}", ago(trouble.at), trouble.what), width, 2);
    }
    // How it ended is said above.
    if overview.outcome.is_none() || overview.finished.as_ref().is_some_and(|end| end.at != overview.last.at) {
        let last = &overview.last;
        out += &wrap(&format!("last, {} ago, {}: {}", ago(last.at), last.who, last.what), width, 2);
    }
    if overview.person != overview.last {
        let person = &overview.person;
        out += &wrap(&format!("person, {} ago, {}: {}", ago(person.at), person.who, person.what), width, 2);
    }
    out
}
