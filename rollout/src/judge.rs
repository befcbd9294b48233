//! From what was measured to a verdict. No clock, no I/O, nothing that is changed.
//!
//! A ring is judged beside its control at the same time, never beside itself before: what an hour does to a service it does to both. What is asked at a
//! look are counters, proxy by proxy; what happened between two looks is reckoned here ([`series`](self)), so that a restart, a scrape that is missing or
//! a proxy with another build leaves out that proxy and interval, and nothing else.
//!
//! - A gate *passes* when the smallest harm that matters is ruled out at `policy.missed_harm`, *fails* when no harm at all is ruled out at its part of
//!   `policy.false_stop`, and is *inconclusive* otherwise, and whenever something that it needs cannot be told.
//! - Both sides are e-processes ([`evidence`]): they hold however often one looks and whenever one stops. A whole rollout of a build that changes nothing
//!   is stopped with probability `policy.false_stop` at most, which all comparing gates of all rings share; a gate passes a ring in which the smallest harm
//!   is done with probability `policy.missed_harm` at most.
//! - A ring passes when all gates do, and fails when one does.

pub mod evidence;
mod gates;
mod series;
pub mod signals;
pub mod size;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::metrics::{Answer, Metrics, MetricsError};
use crate::plan::{Plan, Ring};

/// Whose numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    /// The ring that has the build.
    Ring,
    /// The one that it is compared with.
    Control,
}

/// A query, resolved, and what came back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// The signal: see [`signals`].
    pub signal: String,
    /// Whose.
    pub arm: Arm,
    /// As it was sent.
    pub query: String,
    /// What came back, raw.
    pub answer: Result<Answer, MetricsError>,
}

/// Everything that was asked at one time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// The time that Prometheus was asked about.
    pub at: Timestamp,
    /// The questions.
    pub asked: Vec<Asked>,
}

/// What a gate or a ring has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Shown to be free of the smallest harm that matters.
    Pass,
    /// Not decided: data is missing, or there is not enough of it yet.
    Inconclusive,
    /// Shown to do harm.
    Fail,
}

/// One gate's verdict, with the numbers that made it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateVerdict {
    /// The gate: `liveness`, `completeness`, `traps`, `refusals`, `restarts`, `cpu`, `memory`, `latency`, `errors`, `series`, `overflow`, `own:NAME`.
    pub gate: String,
    /// The verdict.
    pub verdict: Verdict,
    /// One line in words: what was found, and what it was compared with.
    pub reason: String,
    /// The numbers, by name with their unit in it.
    pub numbers: BTreeMap<String, f64>,
    /// The gate's figure over time, oldest first, for a sparkline: the ring's and the control's.
    pub history: Vec<(Option<f64>, Option<f64>)>,
    /// What share of the evidence that a pass needs there is, 0 to 1; an estimate.
    pub progress: f64,
}

/// A ring's verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Fail if any gate fails; pass if all pass; else inconclusive.
    pub verdict: Verdict,
    /// Each gate.
    pub gates: Vec<GateVerdict>,
    /// Requests that the ring has answered since the first look.
    pub requests: f64,
}

/// What the judge has to know beside the looks.
#[derive(Debug, Clone)]
pub struct Case<'a> {
    /// The rollout.
    pub plan: &'a Plan,
    /// The ring that is judged.
    pub ring: &'a Ring,
    /// The one that it is compared with.
    pub control: Option<&'a Ring>,
    /// The label `config` of the new build in this ring. `None` for a fleet that is compared with itself: then any one build will do.
    pub digest: Option<&'a str>,
}

/// Asks everything that the gates need, once.
pub fn look(case: &Case<'_>, metrics: &dyn Metrics, at: Timestamp) -> Look {
    let mut asked = Vec::new();
    for signal in signals::of(case.plan) {
        let arms = [(Arm::Ring, Some(case.ring)), (Arm::Control, case.control.filter(|_| signal.compared))];
        for (arm, ring) in arms {
            let Some(ring) = ring else { continue };
            let query = signal.resolved(&case.plan.gates, ring);
            let answer = metrics.query(&query, at);
            asked.push(Asked { signal: signal.name.clone(), arm, query, answer });
        }
    }
    Look { at, asked }
}

/// The verdict on all looks so far, oldest first. The same looks always give the same.
pub fn judge(case: &Case<'_>, looks: &[Look]) -> Judgement {
    let trial = gates::Trial::new(case, looks);
    let gates = gates::all(&trial);
    let verdict = match gates.iter().map(|gate| gate.verdict).max() {
        Some(Verdict::Fail) => Verdict::Fail,
        Some(Verdict::Pass) => Verdict::Pass,
        Some(Verdict::Inconclusive) | None => Verdict::Inconclusive,
    };
    let requests = trial.ring.intervals.iter().map(|interval| interval.sum(signals::REQUESTS)).sum();
    Judgement { verdict, gates, requests: gates::unsigned_zero(requests) }
}
