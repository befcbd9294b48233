//! What the time makes of it: the phase, how far rings are, and how long it still takes.

use std::time::Duration;

use jiff::Timestamp;

use super::{BakeView, Overview, Phase, RingView, Stage};
use crate::journal::entry::Outcome;
use crate::judge::Verdict;
use crate::plan::{Plan, Policy};

/// How many intervals may pass without an entry before whoever is at it is thought to be gone.
const SILENT_INTERVALS: u32 = 4;

/// Fills in what depends on the time.
pub(super) fn tell(view: &mut Overview, plan: Option<&Plan>) {
    let now = view.at;
    let settle = plan.map(|plan| plan.policy.settle).unwrap_or_default();
    let back = view.rolling_back.is_some();
    for ring in &mut view.rings {
        ring.stage = stage(ring, back, now, settle);
        let of = plan.and_then(|plan| plan.rings.iter().find(|of| of.name == ring.name));
        ring.bake = of
            .filter(|_| matches!(ring.stage, Stage::Settling | Stage::Baking))
            .and_then(|of| Some(left(ring, seconds_since(ring.converged?, now), of.bake.min, of.bake.max, settle)));
    }
    view.phase = phase(view);
    view.silent_seconds = seconds_since(view.last.at, now);
    view.stalled = plan.is_some_and(|plan| view.silent_seconds > patience(&view.phase, &plan.policy).as_secs_f64());
}

fn seconds_since(then: Timestamp, now: Timestamp) -> f64 {
    now.duration_since(then).as_secs_f64().max(0.0)
}

fn stage(ring: &RingView, back: bool, now: Timestamp, settle: Duration) -> Stage {
    if ring.stage == Stage::LeftOut {
        return Stage::LeftOut;
    }
    match ring.started {
        _ if back && ring.touched() => return if ring.verified.is_some() { Stage::Back } else { Stage::TakingBack },
        None => return Stage::Untouched,
        // It was begun, and taken back before anything was written.
        Some(_) if back => return Stage::Untouched,
        Some(_) => {}
    }
    match ring.converged {
        _ if ring.promoted.is_some() => Stage::Promoted,
        None if ring.places.is_empty() || ring.places.iter().any(|place| place.written.is_none()) => Stage::Writing,
        None => Stage::Converging,
        Some(at) if ring.looks == 0 && seconds_since(at, now) < settle.as_secs_f64() => Stage::Settling,
        Some(_) => Stage::Baking,
    }
}

fn phase(view: &Overview) -> Phase {
    match view.outcome {
        Some(Outcome::Done) => return Phase::Done,
        Some(Outcome::RolledBack) => return Phase::RolledBack,
        Some(Outcome::Refused) => return Phase::Refused,
        None if view.rolling_back.is_some() => return Phase::RollingBack,
        None => {}
    }
    if let Some(wait) = &view.waiting {
        return Phase::Waiting { ring: wait.ring.clone() };
    }
    if view.paused.is_some() {
        return Phase::Paused { ring: view.current().map(|ring| ring.name.clone()) };
    }
    let recorded = || view.rings.iter().flat_map(|ring| &ring.places).any(|place| place.recorded);
    let missing = |ring: &RingView| ring.stage != Stage::LeftOut && ring.places.iter().any(|place| !place.recorded);
    let Some(ring) = view.current() else { return Phase::Closing };
    let name = ring.name.clone();
    match ring.stage {
        Stage::Writing => Phase::Writing { ring: name },
        Stage::Converging => Phase::Converging { ring: name },
        Stage::Settling => Phase::Settling { ring: name },
        Stage::Baking => Phase::Baking { ring: name },
        _ if !recorded() => Phase::Preflight,
        _ if view.rings.iter().any(missing) => Phase::Recording,
        _ => Phase::Next { ring: name },
    }
}

fn left(ring: &RingView, passed: f64, min: Duration, max: Duration, settle: Duration) -> BakeView {
    let of = |whole: Duration| (whole.as_secs_f64() - passed).max(0.0);
    let min_left = of(min);
    BakeView {
        passed_seconds: passed,
        settle_left_seconds: if ring.looks == 0 { of(settle) } else { 0.0 },
        min_seconds: min.as_secs_f64(),
        min_left_seconds: min_left,
        max_seconds: max.as_secs_f64(),
        max_left_seconds: of(max),
        estimate_seconds: evidence_left(ring).map(|evidence| evidence.max(min_left)),
    }
}

/// Until every gate has the evidence that a pass needs, at the pace so far: the slowest gate decides. It cannot be said of a gate that has none.
fn evidence_left(ring: &RingView) -> Option<f64> {
    let watched = seconds_since(ring.first_look?, ring.last_look?);
    let judgement = ring.judgement.as_ref()?;
    judgement.gates.iter().filter(|gate| gate.verdict != Verdict::Pass).try_fold(0.0_f64, |most, gate| {
        let share = gate.progress.clamp(0.0, 1.0);
        let can_be_said = gate.verdict == Verdict::Inconclusive && share > 0.0 && watched > 0.0;
        can_be_said.then(|| most.max(watched * (1.0 - share) / share))
    })
}

/// How long a phase may go without an entry.
fn patience(phase: &Phase, policy: &Policy) -> Duration {
    let looks = policy.interval.saturating_mul(SILENT_INTERVALS);
    match phase {
        // Nothing is written while a person is waited for, a freeze lasts, or the preflight waits for data, and nothing when it is over.
        Phase::Waiting { .. }
        | Phase::Paused { .. }
        | Phase::Next { .. }
        | Phase::Preflight
        | Phase::Done
        | Phase::RolledBack
        | Phase::Refused => Duration::MAX,
        Phase::Settling { .. } => policy.settle.saturating_add(looks),
        Phase::Baking { .. } | Phase::Recording | Phase::Closing => looks.saturating_add(policy.settle),
        // A proxy that does not answer is asked for so long before anything is said about it.
        Phase::Writing { .. } | Phase::Converging { .. } | Phase::RollingBack => looks.saturating_add(policy.converge),
    }
}
