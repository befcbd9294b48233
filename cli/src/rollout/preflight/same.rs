//! The fleet compared with itself: each ring beside its control, while both run what they run. A gate that fails here would stop any build.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use rollout::judge::{self, Judgement, Look, Verdict};
use rollout::plan::Ring;

use super::{Check, Inputs};

/// Looks into the past, at the most; where there are more, every second, or third, is left out.
const MAX_LOOKS: u32 = 60;
/// Looks between two judgements of the past: each judges all looks again.
const JUDGED_EVERY: usize = 5;

/// How long to wait for evidence that the past does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// As long as a ring is watched at most.
    Bake,
    /// Not at all.
    None,
}

/// Who is told how far it is.
pub trait Progress: std::fmt::Debug {
    /// Something begins.
    fn begins(&mut self, what: &str);
    /// Something is known.
    fn done(&mut self, check: &Check);
    /// Evidence is being gathered; false ends it.
    fn gathers(&mut self, ring: &str, judgement: &Judgement, left: Duration) -> bool;
}

pub(super) fn check(inputs: &Inputs<'_>, ring: &Ring, progress: &mut dyn Progress) -> Check {
    let case = super::case(inputs, ring);
    let what = match case.control {
        Some(control) => format!("same, ring {} and {}", ring.name, control.name),
        None => format!("same, ring {} by itself", ring.name),
    };
    progress.begins(&what);
    let interval = inputs.plan.policy.interval.max(ring.bake.max / MAX_LOOKS);
    let most = ring.bake.max.as_nanos().div_ceil(interval.as_nanos().max(1));
    let most = u32::try_from(most).unwrap_or(u32::MAX).max(2);
    let now = Timestamp::now();
    let mut looks: Vec<Look> = Vec::new();
    let mut judgement = judge::judge(&case, &looks);
    // The past first: Prometheus has it already.
    for back in (0..most).rev() {
        let at = now - SignedDuration::try_from(interval * back).unwrap_or(SignedDuration::MAX);
        let look = judge::look(&case, inputs.metrics, at);
        // Before there was anything, there is nothing to judge.
        if looks.is_empty()
            && !look.asked.iter().any(|asked| asked.answer.as_ref().is_ok_and(|answer| !answer.samples.is_empty()))
        {
            continue;
        }
        looks.push(look);
        if looks.len().is_multiple_of(JUDGED_EVERY) || back == 0 {
            judgement = judge::judge(&case, &looks);
            if judgement.verdict != Verdict::Inconclusive {
                break;
            }
            if !progress.gathers(&ring.name, &judgement, interval * back) {
                return result(what, &judgement, "ended before it was decided");
            }
        }
    }
    let waits = inputs.patience == Patience::Bake;
    while waits && judgement.verdict == Verdict::Inconclusive && (looks.len() as u64) < u64::from(most) {
        let left = interval * (most - u32::try_from(looks.len()).unwrap_or(most));
        if !progress.gathers(&ring.name, &judgement, left) {
            return result(what, &judgement, "ended before it was decided");
        }
        pause(interval);
        looks.push(judge::look(&case, inputs.metrics, Timestamp::now()));
        judgement = judge::judge(&case, &looks);
    }
    result(what, &judgement, "not decided, so that no build would pass")
}

fn pause(time: Duration) {
    let until = Instant::now() + time;
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        std::thread::sleep(left.min(Duration::from_millis(200)));
    }
}

fn result(check: String, judgement: &Judgement, undecided: &str) -> Check {
    let of = |verdict| judgement.gates.iter().filter(move |gate| gate.verdict == verdict);
    let found = match judgement.verdict {
        Verdict::Pass => format!("{} gates pass, {:.0} requests", judgement.gates.len(), judgement.requests),
        Verdict::Fail => {
            let gates: Vec<String> = of(Verdict::Fail)
                .map(|gate| format!("{} fails where nothing was changed: {}", gate.gate, gate.reason))
                .collect();
            gates.join("\n")
        }
        Verdict::Inconclusive => {
            let gates: Vec<String> =
                of(Verdict::Inconclusive).map(|gate| format!("{}: {undecided}: {}", gate.gate, gate.reason)).collect();
            gates.join("\n")
        }
    };
    Check { check, holds: judgement.verdict == Verdict::Pass, found }
}
