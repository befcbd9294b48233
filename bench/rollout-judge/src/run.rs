//! One simulated ring, from its first look to the end of its time, and what each gate said.

use std::collections::BTreeMap;

use rollout::judge::{self, Case, Verdict};
use rollout::plan::Plan;

use crate::fleet::{Fleet, NEW};
use crate::scenario::{Harm, Scenario};

/// Looks after which the ring is judged: more often at first, as what is not decided early takes long.
const JUDGED: [u32; 10] = [8, 12, 20, 30, 45, 60, 90, 120, 180, 240];

/// What a gate came to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Outcome {
    /// It failed at some look.
    pub(crate) failed: bool,
    /// It passed before it ever failed.
    pub(crate) passed: bool,
    /// When it was first decided: looks, and requests of the ring.
    pub(crate) decided: Option<(u32, f64)>,
}

/// What each gate came to, and `ring` for all together.
pub(crate) fn run(plan: &Plan, scenario: Scenario, times: f64, seed: u64) -> Option<BTreeMap<String, Outcome>> {
    let ring = plan.rings.first()?;
    let control = plan.rings.get(1)?;
    let case = Case { plan, ring, control: Some(control), digest: Some(NEW) };
    let mut fleet = Fleet::new(&case, scenario, Harm::times(plan, times), seed);
    let mut looks = Vec::new();
    let mut outcomes: BTreeMap<String, Outcome> = BTreeMap::new();
    for look in 1..=JUDGED.last().copied()? {
        let at = fleet.step();
        looks.push(judge::look(&case, &fleet, at));
        if !JUDGED.contains(&look) {
            continue;
        }
        let judgement = judge::judge(&case, &looks);
        let ring = ("ring".to_owned(), judgement.verdict);
        for (gate, verdict) in judgement.gates.into_iter().map(|gate| (gate.gate, gate.verdict)).chain([ring]) {
            let outcome = outcomes.entry(gate).or_default();
            if verdict != Verdict::Inconclusive && outcome.decided.is_none() {
                outcome.decided = Some((look, judgement.requests));
            }
            outcome.passed |= verdict == Verdict::Pass && !outcome.failed;
            outcome.failed |= verdict == Verdict::Fail;
        }
    }
    Some(outcomes)
}
