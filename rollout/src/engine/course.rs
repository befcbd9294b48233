//! The way that a rollout goes: its rings, and the places of each.

use crate::hands::{Hands, Target};
use crate::judge::Look;
use crate::plan::{Gates, Plan, Ring};

/// A ring and its places.
#[derive(Debug, Clone, PartialEq)]
pub struct Leg {
    /// The ring.
    pub ring: Ring,
    /// Its places, in the order in which they are written.
    pub targets: Vec<Target>,
}

/// The way that a rollout goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    /// The rollout file.
    pub plan: Plan,
    /// The same, with no gate but for those that need nothing to compare with, which are cheap: whether the build runs, is refused, traps or restarts.
    pub watch: Plan,
    /// The rings that this rollout goes to.
    pub legs: Vec<Leg>,
}

/// The gates by which a ring is still looked at when it has been promoted.
pub const WATCHED: [&str; 4] = ["liveness", "refusals", "restarts", "traps"];

impl Course {
    /// That of a plan.
    #[must_use]
    pub fn new(plan: Plan, hands: &dyn Hands) -> Self {
        let last = plan.policy.max_ring.as_ref().and_then(|name| plan.rings.iter().position(|ring| ring.name == *name));
        let count = last.map_or(plan.rings.len(), |at| at + 1);
        let legs = plan
            .rings
            .iter()
            .take(count)
            .map(|ring| Leg { ring: ring.clone(), targets: hands.targets(ring) })
            .collect();
        let gates = Gates {
            completeness: None,
            errors: None,
            latency: None,
            cpu: None,
            memory: None,
            series: None,
            overflow: None,
            own: Vec::new(),
            ..plan.gates.clone()
        };
        Self { watch: Plan { gates, ..plan.clone() }, plan, legs }
    }

    /// A ring of it.
    #[must_use]
    pub fn leg(&self, ring: &str) -> Option<&Leg> {
        self.legs.iter().find(|leg| leg.ring.name == ring)
    }

    /// All places.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.legs.iter().flat_map(|leg| &leg.targets)
    }
}

/// Whether everything that a look asked was answered.
#[must_use]
pub fn answered(look: &Look) -> bool {
    !look.asked.is_empty() && look.asked.iter().all(|asked| asked.answer.is_ok())
}
