//! What is in the JSON.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use crate::hands::{Taken, Target};
use crate::journal::entry::{Entry, Event};
use crate::judge::{Judgement, Look};
use crate::overview::{Overview, Said, is_a_persons, words};

/// The version of the shape of the JSON. A new field does not change it, a field that goes or means something else does.
pub const SHAPE: u32 = 1;

/// The evidence pack of one rollout.
#[derive(Debug, Serialize)]
pub(super) struct Pack<'a> {
    pub(super) shape: u32,
    /// As it was after its last entry.
    pub(super) overview: Overview,
    /// From the first to the last entry.
    pub(super) duration_seconds: f64,
    pub(super) plan: PlanText<'a>,
    /// What people decided, and what they said.
    pub(super) decisions: Vec<Decision>,
    pub(super) troubles: Vec<Said>,
    pub(super) rollback: Option<Rollback<'a>>,
    /// Every look of every ring, with its queries as they were sent and the raw answers.
    pub(super) looks: Vec<Looked<'a>>,
    /// Everything that happened but for the looks.
    pub(super) course: Vec<Step>,
    pub(super) journal: Chain<'a>,
}

#[derive(Debug, Serialize)]
pub(super) struct PlanText<'a> {
    /// What its paths are relative to.
    pub(super) base: &'a str,
    pub(super) text: &'a str,
}

#[derive(Debug, Serialize)]
pub(super) struct Decision {
    pub(super) kind: &'static str,
    pub(super) ring: Option<String>,
    pub(super) at: Timestamp,
    pub(super) who: String,
    pub(super) comment: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Rollback<'a> {
    pub(super) decided: Said,
    pub(super) restored: Vec<Restored<'a>>,
    pub(super) verified: Vec<Verified<'a>>,
}

#[derive(Debug, Serialize)]
pub(super) struct Restored<'a> {
    pub(super) at: Timestamp,
    pub(super) ring: &'a str,
    pub(super) place: &'a str,
    /// Of what was put back; `None` where nothing had been.
    pub(super) sha256: Option<&'a str>,
    pub(super) taken: &'a Taken,
}

#[derive(Debug, Serialize)]
pub(super) struct Verified<'a> {
    pub(super) at: Timestamp,
    pub(super) ring: &'a str,
    pub(super) found: &'a str,
}

#[derive(Debug, Serialize)]
pub(super) struct Looked<'a> {
    pub(super) ring: &'a str,
    /// The journal's line, from 1, and its SHA-256 without the line feed: the raw answers are in that line.
    pub(super) line: u64,
    pub(super) line_sha256: &'a str,
    pub(super) look: &'a Look,
    /// Whether the ring kept the build before: then it is no part of the verdict that it was kept for.
    pub(super) kept: bool,
    /// Without the gates' histories, which are those of the looks before; the latest is in the overview.
    pub(super) judgement: Judgement,
}

#[derive(Debug, Serialize)]
pub(super) struct Step {
    pub(super) line: u64,
    pub(super) at: Timestamp,
    pub(super) who: String,
    pub(super) what: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Chain<'a> {
    /// From 1.
    pub(super) first_line: u64,
    pub(super) last_line: u64,
    /// SHA-256 of the line before the first, as the first has it; 64 zeros at the beginning of a journal.
    pub(super) previous_sha256: &'a str,
    /// SHA-256 of the last line.
    pub(super) head_sha256: &'a str,
    /// Prints it again.
    pub(super) verify: String,
}

impl<'a> Pack<'a> {
    /// `head` is the SHA-256 of the last of these lines.
    pub(super) fn of(entries: &'a [Entry], head: &'a str) -> Option<Self> {
        let (first, last) = (entries.first()?, entries.last()?);
        let Event::Opened { plan, base, .. } = &first.what else { return None };
        // By the last entry's clock: a report does not know when it is made.
        let overview = Overview::of(entries, last.at)?;
        let end = last.sequence + 1;
        Some(Self {
            shape: SHAPE,
            duration_seconds: last.at.duration_since(first.at).as_secs_f64().max(0.0),
            plan: PlanText { base, text: plan },
            decisions: entries.iter().filter_map(|entry| decision(&first.who, entry)).collect(),
            troubles: entries.iter().filter_map(trouble).collect(),
            rollback: rollback(entries),
            looks: looks(entries, head),
            course: entries.iter().filter_map(step).collect(),
            journal: Chain {
                first_line: first.sequence + 1,
                last_line: end,
                previous_sha256: &first.previous,
                head_sha256: head,
                verify: format!("head -n {end} journal.jsonl | tail -n 1 | tr -d '\\n' | sha256sum"),
            },
            overview,
        })
    }
}

/// What a person decided, with what they said.
fn decision(began: &str, entry: &Entry) -> Option<Decision> {
    let (kind, ring, comment) = match &entry.what {
        Event::Opened { .. } => ("started", None, ""),
        Event::Approved { ring, comment } => ("approved", Some(ring.clone()), comment.as_str()),
        Event::Paused { comment } => ("paused", None, comment.as_str()),
        Event::Resumed { comment } => ("resumed", None, comment.as_str()),
        Event::RollingBack { reason } if is_a_persons(began, entry) => ("rolled back", None, reason.as_str()),
        _ => return None,
    };
    Some(Decision { kind, ring, at: entry.at, who: entry.who.clone(), comment: comment.to_owned() })
}

fn trouble(entry: &Entry) -> Option<Said> {
    let Event::Trouble { what } = &entry.what else { return None };
    Some(Said { at: entry.at, who: entry.who.clone(), what: what.clone() })
}

fn step(entry: &Entry) -> Option<Step> {
    let what = words(&entry.what);
    let line = entry.sequence + 1;
    (!matches!(entry.what, Event::Looked { .. })).then(|| Step { line, at: entry.at, who: entry.who.clone(), what })
}

fn looks<'a>(entries: &'a [Entry], head: &'a str) -> Vec<Looked<'a>> {
    let mut keeps = BTreeSet::new();
    let hashes = entries.iter().skip(1).map(|next| next.previous.as_str()).chain([head]);
    entries
        .iter()
        .zip(hashes)
        .filter_map(|(entry, line_sha256)| match &entry.what {
            Event::Looked { ring, look, judgement } => {
                let mut judgement = judgement.clone();
                judgement.gates.iter_mut().for_each(|gate| gate.history.clear());
                let kept = keeps.contains(ring);
                Some(Looked { ring, line: entry.sequence + 1, line_sha256, look, kept, judgement })
            }
            Event::Promoted { ring, .. } => {
                keeps.insert(ring);
                None
            }
            _ => None,
        })
        .collect()
}

/// From the first decision to take it back on: what was put back, and what was seen then.
fn rollback(entries: &[Entry]) -> Option<Rollback<'_>> {
    let at = entries.iter().position(|entry| matches!(entry.what, Event::RollingBack { .. }))?;
    let (decided, after) = entries.get(at..)?.split_first()?;
    let mut back = Rollback {
        decided: Said { at: decided.at, who: decided.who.clone(), what: words(&decided.what) },
        restored: Vec::new(),
        verified: Vec::new(),
    };
    let before = |target: &Target| {
        entries.iter().find_map(|entry| match &entry.what {
            Event::Recorded { target: of, sha256, .. } if of == target => Some(sha256.as_deref()),
            _ => None,
        })
    };
    for entry in after {
        match &entry.what {
            Event::Restored { target, taken } => back.restored.push(Restored {
                at: entry.at,
                ring: &target.ring,
                place: &target.name,
                sha256: before(target).flatten(),
                taken,
            }),
            Event::Verified { ring, found } => back.verified.push(Verified { at: entry.at, ring, found }),
            _ => {}
        }
    }
    Some(back)
}
