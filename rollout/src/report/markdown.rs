//! The pack as Markdown.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::pack::{Looked, Pack, Rollback};
use super::text::{code, fenced, inline};
use crate::hands::Taken;
use crate::judge::{Arm, Judgement, Verdict};
use crate::overview::{RingView, Said, Stage, outcome};

/// A table: its header, and rows of cells that are Markdown already.
fn table<const N: usize>(out: &mut String, header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) {
    let mut line = |cells: &[String; N]| {
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    };
    line(&header.map(str::to_owned));
    line(&header.map(|_| "---".to_owned()));
    rows.into_iter().for_each(|row| line(&row));
    out.push('\n');
}

pub(super) fn write(pack: &Pack<'_>) -> String {
    let mut out = String::new();
    summary(&mut out, pack);
    preflight(&mut out, pack);
    for ring in &pack.overview.rings {
        one_ring(&mut out, ring, pack);
    }
    decisions(&mut out, pack);
    rollback(&mut out, pack.rollback.as_ref());
    troubles(&mut out, &pack.troubles);
    course(&mut out, pack);
    let _ = write!(
        out,
        "## The rollout file\n\nAs it was when the rollout began; its paths are relative to {}.\n\n{}\n",
        code(pack.plan.base),
        fenced("yaml", pack.plan.text)
    );
    chain(&mut out, pack);
    out
}

fn summary(out: &mut String, pack: &Pack<'_>) {
    let view = &pack.overview;
    let how = view.outcome.map_or("under way", outcome);
    let _ = writeln!(out, "# Rollout of {}: {how}\n", inline(view.name.as_deref().unwrap_or("a build")));
    let keep = view.rings.iter().filter(|ring| ring.stage == Stage::Promoted).count();
    let touched = view.rings.iter().filter(|ring| ring.touched()).count();
    let planned = view.rings.iter().filter(|ring| ring.stage != Stage::LeftOut).count();
    let why = match (&view.finished, &view.rolling_back) {
        (Some(said), _) | (None, Some(said)) => inline(&said.what),
        (None, None) => format!("{} wrote last: {}", inline(&view.last.who), inline(&view.last.what)),
    };
    let row = |what: &str, found: String| [what.to_owned(), found];
    table(
        out,
        ["What", "Found"],
        [
            row("Rollout", code(&view.rollout)),
            row("Outcome", format!("**{how}**: {why}")),
            row("Began", format!("{}, by {}", time(view.started.at), inline(&view.started.who))),
            row(
                "Ended",
                view.finished.as_ref().map_or_else(
                    || format!("not yet; its latest entry is of {}", time(view.last.at)),
                    |end| format!("{}, after {}", time(end.at), seconds(pack.duration_seconds)),
                ),
            ),
            row("Rings", format!("{planned} planned, {touched} touched, {keep} keep the build")),
            row("Module", format!("SHA-256 {}", code(&view.module_sha256))),
            row("Configuration", format!("SHA-256 {}", code(&view.configuration_sha256))),
            row("Head of the journal", format!("SHA-256 {}", code(pack.journal.head_sha256))),
        ],
    );
    let rows = view.rings.iter().map(|ring| {
        [
            inline(&ring.name),
            stage(ring.stage).to_owned(),
            ring.before.iter().map(|digest| code(digest)).collect::<Vec<_>>().join(", "),
            ring.build.as_deref().map(code).unwrap_or_default(),
            ring.verdict().map(in_short).unwrap_or_default(),
        ]
        .map(or_none)
    });
    table(out, ["Ring", "State", "Build before", "This build", "Gates"], rows);
}

fn preflight(out: &mut String, pack: &Pack<'_>) {
    out.push_str("## Checks before the start\n\n");
    if pack.overview.preflight.is_empty() {
        return out.push_str("None are in the journal.\n\n");
    }
    let rows = pack.overview.preflight.iter().map(|check| {
        let holds = if check.holds { "holds" } else { "**does not hold**" };
        [inline(&check.check), holds.to_owned(), inline(&check.found)]
    });
    table(out, ["Check", "Result", "Found"], rows);
}

fn one_ring(out: &mut String, ring: &RingView, pack: &Pack<'_>) {
    let _ = writeln!(out, "## Ring {}: {}\n", inline(&ring.name), stage(ring.stage));
    if ring.started.is_none() && !ring.touched() {
        return out.push_str("Nothing was changed in it.\n\n");
    }
    let mut line = |what: &str, found: &str| {
        let _ = writeln!(out, "- {what}: {found}");
    };
    let at = |at: Option<Timestamp>| at.map_or_else(|| "–".to_owned(), time);
    line("began to get the build", &at(ring.started));
    line("every proxy ran it", &at(ring.converged));
    let compared =
        ring.control.as_deref().map_or_else(|| "nothing".to_owned(), |ring| format!("ring {}", inline(ring)));
    line("compared with", &compared);
    line("looks", &format!("{}, from {} to {}", ring.looks, at(ring.first_look), at(ring.last_look)));
    for said in &ring.approvals {
        line("approved", &by(said));
    }
    if let Some(said) = &ring.promoted {
        line("keeps the build", &by(said));
    }
    if let Some(said) = &ring.verified {
        line("runs what it ran before", &by(said));
    }
    out.push('\n');
    let rows = ring.places.iter().map(|place| {
        let sha256 = |sha256: &Option<String>| sha256.as_deref().map(code).unwrap_or_default();
        let said = |taken: &Option<Taken>| taken.as_ref().map(answer).unwrap_or_default();
        [
            inline(&place.name),
            sha256(&place.before_sha256),
            sha256(&place.sha256),
            said(&place.written),
            said(&place.restored),
        ]
        .map(or_none)
    });
    table(out, ["Place", "SHA-256 before", "SHA-256 put there last", "Build", "Taken back"], rows);
    let latest = |kept| pack.looks.iter().rev().find(|looked| looked.ring == ring.name && looked.kept == kept);
    if let Some(judgement) = &ring.judgement {
        let what = if ring.promoted.is_some() { "that it keeps the build for" } else { "on all looks" };
        let (requests, verdict) = (number(judgement.requests), verdict(judgement.verdict));
        let _ = writeln!(out, "The verdict {what}, on {requests} requests: **{verdict}**.\n");
        gates(out, judgement);
    }
    if let Some(looked) = latest(false) {
        queries(out, looked);
    }
    if let Some(judgement) = &ring.watched {
        let failed = judgement.verdict == Verdict::Fail;
        let found = if failed { "**it failed**" } else { "none has failed" };
        let _ =
            writeln!(out, "It was looked at until the end by the gates that need no ring to compare with: {found}.\n");
        gates(out, judgement);
        if let Some(looked) = latest(true).filter(|_| failed) {
            queries(out, looked);
        }
    }
}

fn gates(out: &mut String, judgement: &Judgement) {
    let rows = judgement.gates.iter().map(|gate| {
        let numbers: Vec<_> =
            gate.numbers.iter().map(|(name, value)| format!("{} {}", inline(name), number(*value))).collect();
        let name =
            if gate.verdict == Verdict::Fail { format!("**{}**", inline(&gate.gate)) } else { inline(&gate.gate) };
        [name, verdict(gate.verdict).to_owned(), inline(&gate.reason), or_none(numbers.join(", "))]
    });
    table(out, ["Gate", "Verdict", "Reason", "Numbers"], rows);
}

/// As they were sent at the latest look, which is the one of the verdict; those before differ in their time alone.
fn queries(out: &mut String, looked: &Looked<'_>) {
    let _ = writeln!(
        out,
        "What Prometheus was asked at the latest look, about {}. The raw answers are in line {} of the journal, SHA-256 {}, and in the JSON beside this.\n",
        time(looked.look.at),
        looked.line,
        code(looked.line_sha256)
    );
    let mut text = String::new();
    for asked in &looked.look.asked {
        let arm = match asked.arm {
            Arm::Ring => "ring",
            Arm::Control => "control",
        };
        let answer = match &asked.answer {
            Ok(answer) => {
                let samples = answer.samples.len();
                let strange = if answer.not_numbers > 0 {
                    format!(", {} that are no number", answer.not_numbers)
                } else {
                    String::new()
                };
                let warned = if answer.warnings.is_empty() {
                    String::new()
                } else {
                    format!("; warned: {}", answer.warnings.join("; "))
                };
                format!("{samples} series{strange}{warned}")
            }
            Err(error) => error.to_string(),
        };
        let answer = answer.replace(['\n', '\r'], " ");
        let _ = writeln!(text, "# {}, {arm}: {answer}\n{}", asked.signal, asked.query);
    }
    out.push_str(&fenced("promql", &text));
    out.push('\n');
}

fn decisions(out: &mut String, pack: &Pack<'_>) {
    out.push_str("## What people decided\n\n");
    let rows = pack.decisions.iter().map(|decision| {
        let ring = decision.ring.as_deref().map(|ring| format!(" ring {}", inline(ring))).unwrap_or_default();
        [time(decision.at), inline(&decision.who), format!("{}{ring}", decision.kind), inline(&decision.comment)]
    });
    table(out, ["When", "Who", "Decision", "Comment"], rows);
}

fn rollback(out: &mut String, back: Option<&Rollback<'_>>) {
    let Some(back) = back else { return };
    let _ = writeln!(out, "## Rollback\n\n{}: {}\n", time(back.decided.at), by_whom(&back.decided));
    let rows = back.restored.iter().map(|restored| {
        let sha256 = restored.sha256.map_or_else(|| "nothing was there".to_owned(), code);
        [time(restored.at), inline(restored.ring), inline(restored.place), sha256, answer(restored.taken)]
    });
    table(out, ["When", "Ring", "Place", "SHA-256 that was put back", "The proxies said"], rows);
    let rows = back.verified.iter().map(|verified| [time(verified.at), inline(verified.ring), inline(verified.found)]);
    table(out, ["When", "Ring", "Seen to run what it ran before"], rows);
}

fn troubles(out: &mut String, troubles: &[Said]) {
    out.push_str("## Troubles\n\n");
    if troubles.is_empty() {
        return out.push_str("None.\n\n");
    }
    table(out, ["When", "What"], troubles.iter().map(|said| [time(said.at), inline(&said.what)]));
}

fn course(out: &mut String, pack: &Pack<'_>) {
    let _ = writeln!(out, "## The course\n\nEvery entry of the journal but for its {} looks.\n", pack.looks.len());
    let rows =
        pack.course.iter().map(|step| [step.line.to_string(), time(step.at), inline(&step.who), inline(&step.what)]);
    table(out, ["Line", "When", "Who", "What"], rows);
}

fn chain(out: &mut String, pack: &Pack<'_>) {
    let journal = &pack.journal;
    let _ = write!(
        out,
        "## How to check it\n\n\
         This report is made of lines {} to {} of `journal.jsonl` and of nothing else. Each line has the SHA-256 of the line before it, so that the last one \
         stands for all:\n\n{}\n{}\n\
         `edge-observer rollout verify` follows the whole chain and reads all recorded bytes.\n",
        journal.first_line,
        journal.last_line,
        fenced("text", journal.head_sha256),
        fenced("sh", &journal.verify)
    );
}

fn by(said: &Said) -> String {
    format!("{}, {}", time(said.at), by_whom(said))
}

fn by_whom(said: &Said) -> String {
    if said.what.is_empty() { inline(&said.who) } else { format!("{}: {}", inline(&said.who), inline(&said.what)) }
}

fn or_none(cell: String) -> String {
    if cell.is_empty() { "–".to_owned() } else { cell }
}

fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn seconds(value: f64) -> String {
    format!("{value:.0} s")
}

/// A figure to six digits.
fn number(value: f64) -> String {
    if value == 0.0 || (0.001..1e9).contains(&value.abs()) {
        let digits = if value.abs() >= 1_000.0 { 1 } else { 6 };
        let text = format!("{value:.digits$}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    } else {
        format!("{value:.4e}")
    }
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Inconclusive => "inconclusive",
        Verdict::Fail => "fail",
    }
}

fn in_short(judgement: &Judgement) -> String {
    let count = |verdict| judgement.gates.iter().filter(|gate| gate.verdict == verdict).count();
    let (pass, fail, all) = (count(Verdict::Pass), count(Verdict::Fail), judgement.gates.len());
    format!("{pass} of {all} pass, {fail} fail")
}

fn answer(taken: &Taken) -> String {
    match taken {
        Taken::Yes => "taken".to_owned(),
        Taken::Pending(why) => format!("no answer: {}", inline(why)),
        Taken::Refused(why) => format!("refused: {}", inline(why)),
    }
}

fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Untouched => "untouched",
        Stage::LeftOut => "not part of this rollout",
        Stage::Writing => "being written",
        Stage::Converging => "not every proxy runs the build yet",
        Stage::Settling | Stage::Baking => "being watched",
        Stage::Promoted => "keeps the build",
        Stage::TakingBack => "being taken back",
        Stage::Back => "has what it had before",
    }
}
