//! From entries to what they say, as far as that needs no clock. What an event means is what it means to the engine.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Check, Overview, Phase, PlaceView, RingView, SHAPE, Said, Stage, Wait, words};
use crate::hands::Target;
use crate::journal::entry::{Entry, Event};
use crate::plan::{Plan, Ring};

/// `None` where the first entry opens no rollout.
pub(super) fn fold(entries: &[Entry], plan: Option<&Plan>, now: Timestamp) -> Option<Overview> {
    let (first, rest) = entries.split_first()?;
    let mut view = opened(first, plan, now)?;
    for entry in rest {
        apply(&mut view, entry);
        view.last = said(entry, &words(&entry.what));
    }
    Some(view)
}

fn said(entry: &Entry, what: &str) -> Said {
    Said { at: entry.at, who: entry.who.clone(), what: what.to_owned() }
}

fn opened(entry: &Entry, plan: Option<&Plan>, now: Timestamp) -> Option<Overview> {
    let Event::Opened { rollout, module_sha256, configuration_sha256, digests, .. } = &entry.what else { return None };
    let started = said(entry, &words(&entry.what));
    let rings = match plan {
        Some(plan) => {
            let last = plan.policy.max_ring.as_ref().and_then(|last| plan.rings.iter().position(|at| at.name == *last));
            let goes = last.map_or(plan.rings.len(), |last| last + 1);
            let stage = |at| if at < goes { Stage::Untouched } else { Stage::LeftOut };
            plan.rings.iter().enumerate().map(|(at, ring)| planned(ring, stage(at), digests)).collect()
        }
        None => digests.keys().map(|name| ring(name, Stage::Untouched, digests)).collect(),
    };
    Some(Overview {
        shape: SHAPE,
        at: now,
        rollout: rollout.clone(),
        name: plan.map(|plan| plan.name.clone()),
        phase: Phase::Preflight,
        started: started.clone(),
        outcome: None,
        finished: None,
        module_sha256: module_sha256.clone(),
        configuration_sha256: configuration_sha256.clone(),
        preflight: Vec::new(),
        rings,
        waiting: None,
        paused: None,
        rolling_back: None,
        trouble: None,
        troubles: 0,
        last: started.clone(),
        person: started,
        silent_seconds: 0.0,
        stalled: false,
    })
}

fn planned(of: &Ring, stage: Stage, digests: &BTreeMap<String, String>) -> RingView {
    RingView {
        expected: Some(of.expected),
        control: of.control.clone(),
        approval: of.approval,
        places: of.instances.iter().map(|instance| place(&instance.name)).collect(),
        ..ring(&of.name, stage, digests)
    }
}

fn ring(name: &str, stage: Stage, digests: &BTreeMap<String, String>) -> RingView {
    RingView {
        name: name.to_owned(),
        stage,
        expected: None,
        control: None,
        approval: false,
        before: Vec::new(),
        build: digests.get(name).cloned(),
        places: Vec::new(),
        started: None,
        converged: None,
        approvals: Vec::new(),
        promoted: None,
        verified: None,
        looks: 0,
        first_look: None,
        last_look: None,
        judgement: None,
        watched: None,
        bake: None,
    }
}

fn place(name: &str) -> PlaceView {
    PlaceView {
        name: name.to_owned(),
        recorded: false,
        before_sha256: None,
        touched: false,
        sha256: None,
        written: None,
        restored: None,
    }
}

impl Overview {
    fn ring_mut(&mut self, name: &str) -> Option<&mut RingView> {
        self.rings.iter_mut().find(|ring| ring.name == name)
    }

    fn with_place(&mut self, target: &Target, change: impl FnOnce(&mut RingView, &mut PlaceView)) {
        let Some(ring) = self.ring_mut(&target.ring) else { return };
        // Out of the ring while both are changed, and back where it was.
        let at = ring.places.iter().position(|place| place.name == target.name).unwrap_or(ring.places.len());
        let mut changed = if at < ring.places.len() { ring.places.remove(at) } else { place(&target.name) };
        change(ring, &mut changed);
        ring.places.insert(at, changed);
    }
}

fn apply(view: &mut Overview, entry: &Entry) {
    match &entry.what {
        // One rollout has one; the next one's is the next one's.
        Event::Opened { .. } => {}
        Event::Preflight { check, holds, found } => {
            view.preflight.push(Check { check: check.clone(), holds: *holds, found: found.clone() });
        }
        Event::Recorded { target, sha256, digest } => view.with_place(target, |ring, place| {
            // The first record is the one to go back to: a later one could be of our own bytes.
            if place.recorded {
                return;
            }
            place.recorded = true;
            place.before_sha256.clone_from(sha256);
            if let Some(digest) = digest.as_ref().filter(|digest| !ring.before.contains(digest)) {
                ring.before.push(digest.clone());
            }
        }),
        Event::RingStarted { ring } => change(view, ring, |ring| ring.started = Some(entry.at)),
        Event::Writing { target, sha256 } => {
            let back = view.rolling_back.is_some();
            view.with_place(target, |ring, place| {
                place.touched = true;
                place.sha256.clone_from(sha256);
                if back {
                    place.restored = None;
                    ring.verified = None;
                } else {
                    place.written = None;
                }
            });
        }
        Event::Written { target, taken } => view.with_place(target, |_, place| place.written = Some(taken.clone())),
        Event::Converged { ring } => change(view, ring, |ring| {
            ring.converged = Some(entry.at);
            ring.judgement = None;
        }),
        Event::Looked { ring, judgement, .. } => change(view, ring, |ring| {
            ring.last_look = Some(entry.at);
            let place = if ring.promoted.is_some() { &mut ring.watched } else { &mut ring.judgement };
            *place = Some(judgement.clone());
            if ring.converged.is_some() {
                ring.looks += 1;
                ring.first_look = ring.first_look.or(Some(entry.at));
            }
        }),
        Event::Promoted { ring, why } => change(view, ring, |ring| ring.promoted = Some(said(entry, why))),
        Event::Waiting { ring, why } => view.waiting = Some(Wait { ring: ring.clone(), said: said(entry, why) }),
        Event::Approved { ring, comment } => {
            view.waiting = None;
            change(view, ring, |ring| ring.approvals.push(said(entry, comment)));
        }
        Event::Paused { comment } => view.paused = Some(said(entry, comment)),
        Event::Resumed { .. } => view.paused = None,
        Event::RollingBack { reason } => {
            view.rolling_back = Some(said(entry, reason));
            (view.waiting, view.paused, view.finished, view.outcome) = (None, None, None, None);
        }
        Event::Restored { target, taken } => view.with_place(target, |_, place| place.restored = Some(taken.clone())),
        Event::Verified { ring, found } => change(view, ring, |ring| ring.verified = Some(said(entry, found))),
        Event::Trouble { what } => {
            view.trouble = Some(said(entry, what));
            view.troubles += 1;
        }
        Event::Finished { outcome, reason } => {
            view.outcome = Some(*outcome);
            view.finished = Some(said(entry, reason));
            (view.waiting, view.paused) = (None, None);
        }
    }
    if is_a_persons(&view.started.who, entry) {
        view.person = said(entry, &words(&entry.what));
    }
}

/// Whether a person said it. A rollback is the engine's own decision, or a person's: then the reason says so, or it was written down for somebody else
/// than whoever began.
pub(crate) fn is_a_persons(began: &str, entry: &Entry) -> bool {
    match &entry.what {
        Event::Approved { .. } | Event::Paused { .. } | Event::Resumed { .. } => true,
        Event::RollingBack { reason } => reason.starts_with("asked for by ") || entry.who != began,
        _ => false,
    }
}

fn change(view: &mut Overview, name: &str, change: impl FnOnce(&mut RingView)) {
    if let Some(ring) = view.ring_mut(name) {
        change(ring);
    }
}
