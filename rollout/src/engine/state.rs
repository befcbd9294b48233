//! Where a rollout stands: a fold over its entries, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::hands::{Taken, Target};
use crate::journal::entry::{Entry, Event, Outcome};
use crate::judge::{Judgement, Look};

/// An entry, and when it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Its number.
    pub sequence: u64,
    /// By the clock of the machine that wrote it.
    pub at: Timestamp,
}

/// What somebody said or found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// When.
    pub mark: Mark,
    /// Who.
    pub who: String,
    /// What.
    pub text: String,
}

/// What a rollout began with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// When.
    pub mark: Mark,
    /// Who.
    pub who: String,
    /// Its ID.
    pub rollout: String,
    /// The rollout file.
    pub plan: String,
    /// What its paths are relative to.
    pub base: String,
    /// The module, a blob.
    pub module_sha256: String,
    /// The configuration, a blob.
    pub configuration_sha256: String,
    /// The label `config` of each ring's build.
    pub digests: BTreeMap<String, String>,
}

/// What was in a place before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Before {
    /// SHA-256 of the bytes.
    pub sha256: Option<String>,
    /// The label `config` of what ran there.
    pub digest: Option<String>,
}

/// What was, or may have been, done to a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The latest bytes that were about to be put there.
    pub writing: Option<String>,
    /// When.
    pub since: Mark,
    /// All bytes that were ever about to be put there.
    pub ours: BTreeSet<Option<String>>,
    /// What the proxies said of the build.
    pub written: Option<Taken>,
    /// What they said of the bytes of before.
    pub restored: Option<Taken>,
}

/// So many of the latest looks at a ring that keeps the build are enough for the gates that it is still looked at by, …
const WATCHED_LOOKS: usize = 20;
/// … if they are not closer together than this.
const WATCHED_FOR: SignedDuration = SignedDuration::from_secs(60);

/// Leaves the latest: a rollout may take weeks.
fn forget(looks: &mut Vec<Look>) {
    let Some(latest) = looks.last().map(|look| look.at) else { return };
    let recent = looks.iter().rev().take_while(|look| latest.duration_since(look.at).abs() <= WATCHED_FOR).count();
    looks.drain(..looks.len().saturating_sub(recent.max(WATCHED_LOOKS)));
}

/// Where a ring stands.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RingState {
    /// Its name.
    pub name: String,
    /// When it began to get the build.
    pub started: Option<Mark>,
    /// When something was last done to it: started, or a place written.
    pub touched: Option<Mark>,
    /// Looks while its proxies took the build; not judged but for whether they run it.
    pub converging: Vec<Look>,
    /// When all of them ran it.
    pub converged: Option<Mark>,
    /// Looks since then; once it is promoted, the latest.
    pub looks: Vec<Look>,
    /// The latest look.
    pub looked: Option<Mark>,
    /// The verdict on all looks so far, until it was promoted; while converging, on the latest.
    pub judgement: Option<Judgement>,
    /// The verdict since it was promoted. Only gates that are still looked at mean anything: [`super::course::WATCHED`].
    pub watched: Option<Judgement>,
    /// Approved before it got the build.
    pub start_approved: Option<Said>,
    /// Approved although the verdict was inconclusive.
    pub approved: Option<Said>,
    /// That it keeps the build, and why.
    pub promoted: Option<Said>,
    /// That it runs what it ran before, and how that was seen.
    pub verified: Option<Said>,
}

/// What the rollout waits for a person for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// The ring.
    pub ring: String,
    /// Since when, and for what.
    pub said: Said,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// How.
    pub outcome: Outcome,
    /// When, and why.
    pub said: Said,
}

/// Where a rollout stands.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct State {
    /// What it began with.
    pub opened: Option<Opened>,
    /// The checks before the start: name, whether it held, what was found.
    pub preflight: Vec<(String, bool, String)>,
    /// What was in each place before.
    pub before: BTreeMap<Target, Before>,
    /// Places that something was, or may have been, done to.
    pub places: BTreeMap<Target, Place>,
    /// Rings that were started, in that order, and those whose start was waited for.
    pub rings: Vec<RingState>,
    /// A person paused it.
    pub paused: Option<Said>,
    /// It waits for a person.
    pub waiting: Option<Wait>,
    /// It is being taken back, and why.
    pub rolling_back: Option<Said>,
    /// It is over.
    pub finished: Option<End>,
    /// The latest trouble.
    pub trouble: Option<Said>,
    /// The latest entry.
    pub last: Option<Mark>,
}

impl State {
    /// From the entries of one rollout, oldest first.
    #[must_use]
    pub fn of(entries: &[Entry]) -> Self {
        let mut state = Self::default();
        for entry in entries {
            state.apply(entry);
        }
        state
    }

    /// A ring, where anything happened to it yet.
    #[must_use]
    pub fn ring(&self, name: &str) -> Option<&RingState> {
        self.rings.iter().find(|ring| ring.name == name)
    }

    /// Whether a rollout is under way.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.opened.is_some() && self.finished.is_none()
    }

    /// Lends the looks of a ring, to be judged together with the one that comes next; what is given back takes their place.
    pub(super) fn lend_looks<T>(&mut self, name: &str, lend: impl FnOnce(Vec<Look>) -> (Vec<Look>, T)) -> T {
        let Some(ring) = self.rings.iter_mut().find(|ring| ring.name == name) else { return lend(Vec::new()).1 };
        let place = if ring.converged.is_some() { &mut ring.looks } else { &mut ring.converging };
        let (looks, result) = lend(std::mem::take(place));
        *place = looks;
        result
    }

    fn with_ring(&mut self, name: &str, change: impl FnOnce(&mut RingState)) {
        if let Some(ring) = self.rings.iter_mut().find(|ring| ring.name == name) {
            change(ring);
        } else {
            let mut ring = RingState { name: name.to_owned(), ..RingState::default() };
            change(&mut ring);
            self.rings.push(ring);
        }
    }

    /// Takes in the next entry.
    pub fn apply(&mut self, entry: &Entry) {
        let mark = Mark { sequence: entry.sequence, at: entry.at };
        let said = |text: &str| Said { mark, who: entry.who.clone(), text: text.to_owned() };
        self.last = Some(mark);
        match &entry.what {
            Event::Opened { rollout, plan, base, module_sha256, configuration_sha256, digests } => {
                self.opened = Some(Opened {
                    mark,
                    who: entry.who.clone(),
                    rollout: rollout.clone(),
                    plan: plan.clone(),
                    base: base.clone(),
                    module_sha256: module_sha256.clone(),
                    configuration_sha256: configuration_sha256.clone(),
                    digests: digests.clone(),
                });
            }
            Event::Preflight { check, holds, found } => self.preflight.push((check.clone(), *holds, found.clone())),
            Event::Recorded { target, sha256, digest } => {
                // The first record is the one to go back to: a later one could be of our own bytes.
                self.before
                    .entry(target.clone())
                    .or_insert_with(|| Before { sha256: sha256.clone(), digest: digest.clone() });
            }
            Event::RingStarted { ring } => {
                self.with_ring(ring, |ring| {
                    ring.started = Some(mark);
                    ring.touched = Some(mark);
                });
            }
            Event::Writing { target, sha256 } => self.writing(mark, target, sha256.as_ref()),
            Event::Written { target, taken } => {
                if let Some(place) = self.places.get_mut(target) {
                    place.written = Some(taken.clone());
                }
                self.with_ring(&target.ring, |ring| ring.touched = Some(mark));
            }
            Event::Converged { ring } => {
                self.with_ring(ring, |ring| {
                    ring.converged = Some(mark);
                    ring.judgement = None;
                });
            }
            Event::Looked { ring, look, judgement } => {
                self.with_ring(ring, |ring| {
                    let looks = if ring.converged.is_some() { &mut ring.looks } else { &mut ring.converging };
                    looks.push(look.clone());
                    if ring.promoted.is_some() {
                        forget(looks);
                    }
                    ring.looked = Some(mark);
                    let place = if ring.promoted.is_some() { &mut ring.watched } else { &mut ring.judgement };
                    *place = Some(judgement.clone());
                });
            }
            Event::Promoted { ring, why } => self.with_ring(ring, |ring| ring.promoted = Some(said(why))),
            Event::Waiting { ring, why } => self.waiting = Some(Wait { ring: ring.clone(), said: said(why) }),
            Event::Approved { ring, comment } => {
                self.waiting = None;
                // What was waited for is clear from how far the ring is: to be started, to be kept, or, in between, to be tried again.
                self.with_ring(ring, |ring| {
                    if ring.started.is_none() {
                        ring.start_approved = Some(said(comment));
                    } else if ring.converged.is_some() {
                        ring.approved = Some(said(comment));
                    }
                });
            }
            Event::Paused { comment } => self.paused = Some(said(comment)),
            Event::Resumed { .. } => self.paused = None,
            Event::RollingBack { reason } => {
                self.rolling_back = Some(said(reason));
                self.waiting = None;
                self.paused = None;
                self.finished = None;
            }
            Event::Restored { target, taken } => {
                if let Some(place) = self.places.get_mut(target) {
                    place.restored = Some(taken.clone());
                }
            }
            Event::Verified { ring, found } => self.with_ring(ring, |ring| ring.verified = Some(said(found))),
            Event::Trouble { what } => self.trouble = Some(said(what)),
            Event::Finished { outcome, reason } => {
                self.finished = Some(End { outcome: *outcome, said: said(reason) });
                self.waiting = None;
                self.paused = None;
            }
        }
    }

    fn writing(&mut self, mark: Mark, target: &Target, sha256: Option<&String>) {
        let rolling_back = self.rolling_back.is_some();
        let place = self.places.entry(target.clone()).or_insert_with(|| Place {
            writing: None,
            since: mark,
            ours: BTreeSet::new(),
            written: None,
            restored: None,
        });
        place.writing = sha256.cloned();
        place.since = mark;
        place.ours.insert(sha256.cloned());
        if rolling_back {
            place.restored = None;
            self.with_ring(&target.ring, |ring| ring.verified = None);
        } else {
            place.written = None;
            self.with_ring(&target.ring, |ring| ring.touched = Some(mark));
        }
    }
}
