//! What comes next: a function of where the rollout stands and of the time, which does nothing itself.

use std::time::Duration;

use jiff::Timestamp;

use super::course::{Course, Leg, WATCHED, answered};
use super::state::{Mark, Place, RingState, State};
use crate::hands::{Taken, Target};
use crate::journal::entry::{Event, Outcome};
use crate::judge::{Judgement, Verdict};
use crate::plan::Inconclusive;

/// How often proxies are asked whether they took something.
pub const ASK: Duration = Duration::from_secs(1);

/// How long is waited at most before everything is thought over again.
pub const NAP: Duration = Duration::from_millis(500);

/// A ring is judged by all that was ever seen of it. After so many looks each is a little further from the one before, so that one that waits for a
/// person over a weekend has thousands of looks and not tens of thousands.
const OFTEN: u32 = 1000;

/// What comes next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Nothing: it is over.
    Over,
    /// Something was decided; it only has to be written down.
    Decide(Event),
    /// What is in this place has to be recorded.
    Record(Target),
    /// The build has to be put in this place.
    Put(Target),
    /// The build is, or may be, in this place: ask whether it was taken.
    Ask(Target),
    /// It took too long: ask a last time.
    GiveUp(Target),
    /// The ring has to be looked at.
    Look(String, Looking),
    /// The bytes of before have to be put back in these places, in this order as far as it goes.
    Restore(Vec<Target>),
    /// These rings have to be seen to run what they ran before.
    Verify(Vec<String>),
    /// Everything is back: read it all a last time.
    Close,
    /// Nothing for so long.
    Wait(Duration, String),
}

/// Why a ring is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looking {
    /// Whether it runs the build yet.
    Converge,
    /// Whether it may keep the build.
    Judge,
    /// It keeps the build; whether it is still well.
    Watch,
}

/// The time.
pub struct Now<'a> {
    /// By the clock on the wall.
    pub wall: Timestamp,
    /// What has passed since an entry was written.
    pub since: &'a dyn Fn(Mark) -> Duration,
    /// Whether the step before this one was a look at a ring that keeps the build.
    pub watched: bool,
}

impl std::fmt::Debug for Now<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Now").field("wall", &self.wall).field("watched", &self.watched).finish_non_exhaustive()
    }
}

/// What comes next.
#[must_use]
pub fn next(course: &Course, state: &State, now: &Now<'_>) -> Step {
    if state.finished.is_some() || state.opened.is_none() {
        return Step::Over;
    }
    if state.rolling_back.is_some() {
        return back(course, state);
    }
    if let Some((check, _, found)) = state.preflight.iter().find(|(_, holds, _)| !holds) {
        return Step::Decide(Event::Finished { outcome: Outcome::Refused, reason: format!("{check}: {found}") });
    }
    if let Some(target) = course.targets().find(|target| !state.before.contains_key(target)) {
        return Step::Record(target.clone());
    }
    if let Some(reason) = course.legs.iter().find_map(|leg| harm(course, state, leg)) {
        return Step::Decide(Event::RollingBack { reason });
    }
    let leg = course.legs.iter().find(|leg| state.ring(&leg.ring.name).is_none_or(|ring| ring.promoted.is_none()));
    let step = match leg {
        None => Step::Decide(Event::Finished { outcome: Outcome::Done, reason: done(course) }),
        Some(leg) => forward(course, state, leg, now),
    };
    match due_watch(course, state, now) {
        // Looks may take so long that one is always due: every second step goes forward all the same.
        Some(ring) if !now.watched || matches!(step, Step::Wait(..)) => Step::Look(ring, Looking::Watch),
        _ => step,
    }
}

fn done(course: &Course) -> String {
    match (course.legs.len(), course.plan.rings.len()) {
        (went, all) if went < all => format!("{went} of {all} rings have the build, as far as this rollout goes"),
        (went, _) => format!("all {went} rings have the build"),
    }
}

/// Why everything has to be taken back, if anything that happened in this ring is such a reason.
fn harm(course: &Course, state: &State, leg: &Leg) -> Option<String> {
    let ring = state.ring(&leg.ring.name)?;
    let places = || leg.targets.iter().filter_map(|target| state.places.get(target).map(|place| (target, place)));
    let refused = places().find_map(|(target, place)| match &place.written {
        Some(Taken::Refused(why)) => Some(format!("{target} refused the build: {why}")),
        _ => None,
    });
    let late = || {
        let pending: Vec<_> = places()
            .filter_map(|(target, place)| match &place.written {
                Some(Taken::Pending(why)) => Some(format!(
                    "{target} did not take the build within {} s: {why}",
                    course.plan.policy.converge.as_secs_f64().round()
                )),
                _ => None,
            })
            .collect();
        let left = leg.targets.len() - pending.len();
        (!pending.is_empty() && share(left, leg.targets.len()) < course.plan.policy.quorum).then(|| pending.join("; "))
    };
    let judged = || {
        let counts: fn(&str) -> bool = match (ring.converged, &ring.promoted) {
            (None, _) => |gate| gate == "refusals",
            (Some(_), None) => |_| true,
            (Some(_), Some(_)) => |gate| WATCHED.contains(&gate),
        };
        let judgement = if ring.promoted.is_some() { &ring.watched } else { &ring.judgement };
        failed(judgement.as_ref()?, counts).map(|gates| format!("ring {} failed: {gates}", ring.name))
    };
    refused.or_else(late).or_else(judged)
}

/// The gates that failed, with their reasons.
fn failed(judgement: &Judgement, counts: fn(&str) -> bool) -> Option<String> {
    let gates: Vec<_> = judgement
        .gates
        .iter()
        .filter(|gate| gate.verdict == Verdict::Fail && counts(&gate.gate))
        .map(|gate| format!("{}: {}", gate.gate, gate.reason))
        .collect();
    (!gates.is_empty()).then(|| gates.join("; "))
}

#[allow(clippy::cast_precision_loss, reason = "a ring has far fewer than 2^52 places")]
fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

/// The ring that keeps the build and was not looked at for longest, if that is an interval or more.
fn due_watch(course: &Course, state: &State, now: &Now<'_>) -> Option<String> {
    let promoted = course.legs.iter().filter_map(|leg| {
        let ring = state.ring(&leg.ring.name)?;
        let promoted = ring.promoted.as_ref()?.mark;
        let latest = ring.looked.filter(|looked| looked.sequence > promoted.sequence).unwrap_or(promoted);
        Some((ring.name.clone(), (now.since)(latest)))
    });
    let due = promoted.filter(|(_, unwatched)| *unwatched >= course.plan.policy.interval);
    // The first of those that are equal.
    due.reduce(|one, other| if other.1 > one.1 { other } else { one }).map(|(ring, _)| ring)
}

/// The next step of the ring whose turn it is.
fn forward(course: &Course, state: &State, leg: &Leg, now: &Now<'_>) -> Step {
    let name = &leg.ring.name;
    let Some(ring) = state.ring(name).filter(|ring| ring.started.is_some()) else {
        return start(course, state, leg, now);
    };
    if let Some(target) =
        leg.targets.iter().find(|target| state.places.get(target).is_none_or(|place| place.written.is_none()))
    {
        let late = ring.touched.is_some_and(|touched| (now.since)(touched) >= course.plan.policy.converge);
        return match state.places.get(target) {
            _ if state.waiting.is_some() => wait_for_person(state),
            None if state.paused.is_some() => paused(state),
            _ if late => Step::GiveUp(target.clone()),
            None => Step::Put(target.clone()),
            Some(_) => Step::Ask(target.clone()),
        };
    }
    if ring.converged.is_none() { converge(course, leg, ring, now) } else { bake(course, state, leg, ring, now) }
}

fn wait_for_person(state: &State) -> Step {
    let why = state
        .waiting
        .as_ref()
        .map_or_else(String::new, |wait| format!("ring {} waits for a person: {}", wait.ring, wait.said.text));
    Step::Wait(NAP, why)
}

fn paused(state: &State) -> Step {
    let why = state.paused.as_ref().map_or_else(String::new, |said| format!("paused by {}: {}", said.who, said.text));
    Step::Wait(NAP, why)
}

/// Whether the ring may get the build.
fn start(course: &Course, state: &State, leg: &Leg, now: &Now<'_>) -> Step {
    let name = leg.ring.name.clone();
    if state.paused.is_some() {
        return paused(state);
    }
    if leg.ring.approval && state.ring(&name).is_none_or(|ring| ring.start_approved.is_none()) {
        return match &state.waiting {
            Some(_) => wait_for_person(state),
            None => Step::Decide(Event::Waiting { ring: name, why: "approval before it gets the build".to_owned() }),
        };
    }
    if let Some(freeze) =
        course.plan.policy.freeze.iter().find(|freeze| freeze.from <= now.wall && now.wall < freeze.until)
    {
        return Step::Wait(NAP, format!("ring {name} is not started before {}: {}", freeze.until, freeze.reason));
    }
    Step::Decide(Event::RingStarted { ring: name })
}

/// Whether the ring runs the build.
fn converge(course: &Course, leg: &Leg, ring: &RingState, now: &Now<'_>) -> Step {
    let policy = &course.plan.policy;
    let name = leg.ring.name.clone();
    let liveness =
        ring.judgement.as_ref().and_then(|judgement| judgement.gates.iter().find(|gate| gate.gate == "liveness"));
    if liveness.is_some_and(|gate| gate.verdict == Verdict::Pass) {
        return Step::Decide(Event::Converged { ring: name });
    }
    // Time counts only while Prometheus answers: that it is away says nothing of the build.
    let seen = times(policy.interval, ring.converging.iter().filter(|look| answered(look)).count());
    let passed = ring.touched.map(now.since).unwrap_or_default();
    if passed >= policy.converge && seen >= policy.converge {
        let found = liveness.map_or("nothing was heard of it", |gate| &gate.reason);
        let reason = format!(
            "ring {name} did not come to run the build within {} s: {found}",
            policy.converge.as_secs_f64().round()
        );
        return Step::Decide(Event::RollingBack { reason });
    }
    due(
        ring.looked,
        now,
        policy.interval,
        &name,
        Looking::Converge,
        format!("ring {name}: until all its proxies run the build"),
    )
}

fn times(interval: Duration, count: usize) -> Duration {
    interval.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))
}

/// How long after so many looks at a ring that is judged the next one is due: from [`OFTEN`] on, each time a thousandth of the interval later.
fn spacing(interval: Duration, looks: usize) -> Duration {
    let over = u32::try_from(looks).unwrap_or(u32::MAX).saturating_sub(OFTEN);
    interval.saturating_add((interval / OFTEN).saturating_mul(over))
}

/// How long a ring was looked at in so many looks: the sum of their spacings.
fn looked_for(interval: Duration, looks: usize) -> Duration {
    let over = u32::try_from(looks).unwrap_or(u32::MAX).saturating_sub(OFTEN);
    let later = (interval / OFTEN).saturating_mul(over / 2).saturating_mul(over.saturating_add(1));
    times(interval, looks).saturating_add(later)
}

fn due(looked: Option<Mark>, now: &Now<'_>, interval: Duration, name: &str, looking: Looking, why: String) -> Step {
    let rest = looked.map_or(Duration::ZERO, |looked| interval.saturating_sub((now.since)(looked)));
    if rest.is_zero() { Step::Look(name.to_owned(), looking) } else { Step::Wait(rest.min(NAP), why) }
}

/// Whether the ring may keep the build. That it does harm was looked at before.
fn bake(course: &Course, state: &State, leg: &Leg, ring: &RingState, now: &Now<'_>) -> Step {
    let policy = &course.plan.policy;
    let name = leg.ring.name.clone();
    let passed = ring.converged.map(now.since).unwrap_or_default();
    let settled = policy.settle.saturating_sub(passed);
    if !settled.is_zero() && ring.looks.is_empty() {
        return Step::Wait(
            settled.min(NAP),
            format!("ring {name}: settling, for another {:.0} s", settled.as_secs_f64()),
        );
    }
    if state.paused.is_none() {
        if let Some(approved) = &ring.approved {
            let why = format!("approved by {}: {}", approved.who, approved.text);
            return Step::Decide(Event::Promoted { ring: name, why });
        }
        if let Some(step) = decide(course, state, leg, ring, passed) {
            return step;
        }
    }
    let why = match (&state.waiting, &state.paused) {
        (Some(_), _) => wait_for_person(state),
        (None, Some(_)) => paused(state),
        (None, None) => Step::Wait(NAP, format!("ring {name} is watched")),
    };
    let Step::Wait(_, why) = why else { return why };
    let spacing = spacing(policy.interval, ring.looks.len());
    due(ring.looked.filter(|_| !ring.looks.is_empty()), now, spacing, &name, Looking::Judge, why)
}

fn decide(course: &Course, state: &State, leg: &Leg, ring: &RingState, passed: Duration) -> Option<Step> {
    let policy = &course.plan.policy;
    let bake = leg.ring.bake;
    let name = leg.ring.name.clone();
    if state.waiting.is_some() {
        return None;
    }
    let judgement = ring.judgement.as_ref()?;
    // A clock that jumped ahead is not a ring that was looked at for long.
    let answers = looked_for(policy.interval, ring.looks.iter().filter(|look| answered(look)).count());
    let pass = judgement.verdict == Verdict::Pass && ring.looks.last().is_some_and(answered);
    if pass && passed >= bake.min && answers >= bake.min {
        let why = format!("every gate passed on {:.0} requests", judgement.requests);
        return Some(Step::Decide(Event::Promoted { ring: name, why }));
    }
    if passed >= bake.max && looked_for(policy.interval, ring.looks.len()) >= bake.max {
        let open: Vec<_> = judgement
            .gates
            .iter()
            .filter(|gate| gate.verdict != Verdict::Pass)
            .map(|gate| format!("{}: {}", gate.gate, gate.reason))
            .collect();
        let open = if open.is_empty() { "Prometheus did not answer often enough".to_owned() } else { open.join("; ") };
        let why = format!("not decided within {:.0} s: {open}", bake.max.as_secs_f64());
        return Some(Step::Decide(match policy.inconclusive {
            Inconclusive::Hold => Event::Waiting { ring: name, why },
            Inconclusive::Rollback => Event::RollingBack { reason: format!("ring {name}: {why}") },
        }));
    }
    None
}

/// The next step of a rollout that is being taken back: the newest ring first, and in it the place that was written last.
fn back(course: &Course, state: &State) -> Step {
    let touched = || {
        course
            .legs
            .iter()
            .rev()
            .flat_map(|leg| leg.targets.iter().rev())
            .filter_map(|target| Some((target, state.places.get(target)?)))
    };
    let open = |place: &Place| place.restored.is_none();
    let restore: Vec<Target> = touched().filter(|(_, place)| open(place)).map(|(target, _)| target.clone()).collect();
    if !restore.is_empty() {
        return Step::Restore(restore);
    }
    let has_touched = |leg: &&Leg| leg.targets.iter().any(|target| state.places.contains_key(target));
    let verify: Vec<String> = course
        .legs
        .iter()
        .rev()
        .filter(has_touched)
        .filter(|leg| state.ring(&leg.ring.name).is_none_or(|ring| ring.verified.is_none()))
        .map(|leg| leg.ring.name.clone())
        .collect();
    if verify.is_empty() { Step::Close } else { Step::Verify(verify) }
}
