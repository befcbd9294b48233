//! Security events that rules make.

use siem::event::{Class, Severity};

/// The event of a rule. What it says beyond the request itself are facts.
#[derive(Clone, Debug)]
pub struct EventSpec {
    /// `EventType`.
    pub kind: String,
    /// What kind of activity it is about.
    pub class: Class,
    /// How much it matters; the class says it where this does not.
    pub severity: Option<Severity>,
    /// Only when so many come from one sender.
    pub burst: Option<Burst>,
    /// The facts that are fields of every event.
    pub fields: EventFields,
    /// The other facts that it carries, by position.
    pub with: Vec<usize>,
}

/// The facts `deployment_id`, `decision`, `approved_by` and `risk_score` of an event that carries them, by position.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventFields {
    /// `DeploymentId`
    pub deployment_id: Option<usize>,
    /// `Decision`, in capitals.
    pub decision: Option<usize>,
    /// `ApprovedBy`
    pub approved_by: Option<usize>,
    /// `RiskScore`
    pub risk_score: Option<usize>,
}

impl EventFields {
    /// Each of them that is there.
    #[inline]
    pub(super) fn iter(self) -> impl Iterator<Item = usize> {
        [self.deployment_id, self.decision, self.approved_by, self.risk_score].into_iter().flatten()
    }
}

/// How many within how long make an event, and of whom.
#[derive(Clone, Debug)]
pub struct Burst {
    /// What the requests have in common: the first of these that there is.
    pub by: Vec<super::Source>,
    /// So many make an event, which then says how many there were; at most one in a window.
    pub count: u32,
    /// Within so many seconds.
    pub window_seconds: u32,
    /// Of how many senders it is remembered at a time.
    pub senders: u32,
}

impl Burst {
    /// The same, as what is remembered has it.
    #[inline]
    #[must_use]
    pub fn window(&self) -> crate::recent::Window {
        super::condition::window(self.window_seconds, self.senders)
    }
}
