//! The gates: each from what happened in both arms to a verdict with a reason.

mod alive;
mod cardinality;
mod certain;
mod completeness;
mod means;
mod shares;
mod traps;

use std::collections::BTreeMap;

use super::evidence::Evidence;
use super::series::History;
use super::{Arm, Case, GateVerdict, Look, Verdict};
use crate::metrics::MetricsError;
use crate::plan::OwnKind;

/// The most that is kept of a gate's figure over time.
const HISTORY: usize = 120;

/// What every gate is given.
#[derive(Debug)]
pub(super) struct Trial<'a> {
    pub(super) case: &'a Case<'a>,
    pub(super) looks: &'a [Look],
    pub(super) ring: History,
    pub(super) control: Option<History>,
    /// The probability that one gate of one ring fails where nothing is wrong.
    pub(super) alpha: f64,
    /// The probability that it passes where the smallest harm is done.
    pub(super) beta: f64,
}

impl<'a> Trial<'a> {
    pub(super) fn new(case: &'a Case<'a>, looks: &'a [Look]) -> Self {
        let policy = &case.plan.policy;
        let gates = compared(case.plan).max(1) * case.plan.rings.len().max(1);
        Self {
            case,
            looks,
            ring: History::of(case, looks, Arm::Ring),
            control: case.control.map(|_| History::of(case, looks, Arm::Control)),
            alpha: policy.false_stop / gates as f64,
            beta: policy.missed_harm,
        }
    }

    /// `ring 0`, as reasons say it.
    pub(super) fn ring_name(&self) -> String {
        format!("ring {}", self.case.ring.name)
    }

    pub(super) fn control_name(&self) -> String {
        self.case.control.map_or_else(|| "no ring".to_owned(), |control| format!("ring {}", control.name))
    }

    /// Why a signal cannot be told at the latest look, if so.
    pub(super) fn missing(&self, signal: &str, arm: Arm) -> Option<String> {
        let whose = match arm {
            Arm::Ring => self.ring_name(),
            Arm::Control => self.control_name(),
        };
        let Some(look) = self.looks.last() else { return Some("nothing was looked at yet".to_owned()) };
        let asked = look.asked.iter().find(|asked| asked.signal == signal && asked.arm == arm);
        match asked.map(|asked| &asked.answer) {
            None => Some(format!("{signal} of {whose} was not asked for")),
            Some(Err(MetricsError::Away(why))) => {
                Some(format!("{signal} of {whose}: Prometheus does not answer: {why}"))
            }
            Some(Err(MetricsError::Refused(why))) => {
                Some(format!("{signal} of {whose}: Prometheus refused the query: {why}"))
            }
            Some(Ok(answer)) if answer.samples.is_empty() && answer.not_numbers > 0 => {
                Some(format!("{signal} of {whose}: {} series, none of which is a number", answer.not_numbers))
            }
            Some(Ok(answer)) if answer.samples.is_empty() && !super::signals::may_be_absent(signal) => {
                Some(format!("{signal} of {whose}: no series"))
            }
            Some(Ok(_)) => None,
        }
    }

    /// The first of these signals that cannot be told, in the ring or, where there is one, in the control.
    pub(super) fn any_missing(&self, signals: &[&str]) -> Option<String> {
        let arms = [Some(Arm::Ring), self.control.as_ref().map(|_| Arm::Control)];
        arms.into_iter().flatten().find_map(|arm| signals.iter().find_map(|signal| self.missing(signal, arm)))
    }

    /// The verdict of evidence.
    pub(super) fn decide(&self, evidence: &Evidence) -> Verdict {
        if evidence.against_most >= -self.alpha.ln() {
            Verdict::Fail
        } else if evidence.in_favour_most >= -self.beta.ln() {
            Verdict::Pass
        } else {
            Verdict::Inconclusive
        }
    }

    /// `evidence against 12:1, limit 3,000:1; for 40:1, needed 20:1`.
    pub(super) fn odds(&self, evidence: &Evidence) -> String {
        format!(
            "evidence against {}:1, limit {}:1; for {}:1, needed {}:1",
            odds(evidence.against_most),
            odds(-self.alpha.ln()),
            odds(evidence.in_favour_most),
            odds(-self.beta.ln())
        )
    }
}

/// How many gates compare, and so may fail by chance.
fn compared(plan: &crate::plan::Plan) -> usize {
    let gates = &plan.gates;
    let own = gates.own.iter().filter(|own| !matches!(own.kind, OwnKind::Within { .. })).count();
    let built_in = [
        gates.traps.is_some(),
        gates.errors.is_some(),
        gates.latency.is_some(),
        gates.cpu.is_some(),
        gates.memory.is_some(),
        gates.overflow.is_some(),
    ];
    built_in.into_iter().filter(|on| *on).count() + own
}

/// Every gate of the plan, in the order in which they are shown.
pub(super) fn all(trial: &Trial<'_>) -> Vec<GateVerdict> {
    let gates = &trial.case.plan.gates;
    let mut verdicts = vec![alive::liveness(trial), certain::refusals(trial), certain::restarts(trial)];
    verdicts.extend(gates.completeness.map(|share| completeness::completeness(trial, share)));
    verdicts.extend(gates.traps.map(|harm| traps::traps(trial, harm)));
    verdicts.extend(gates.errors.map(|harm| shares::errors(trial, harm)));
    verdicts.extend(gates.latency.map(|harm| means::latency(trial, harm.as_secs_f64())));
    verdicts.extend(gates.cpu.map(|harm| means::cpu(trial, harm)));
    verdicts.extend(gates.memory.map(|harm| means::memory(trial, harm)));
    verdicts.extend(gates.series.map(|harm| cardinality::series(trial, harm)));
    verdicts.extend(gates.overflow.map(|harm| shares::overflow(trial, harm)));
    for own in &gates.own {
        verdicts.push(match &own.kind {
            OwnKind::Share { smallest_harm, .. } => shares::own(trial, &own.name, *smallest_harm),
            OwnKind::Mean { smallest_harm, .. } => means::own(trial, &own.name, *smallest_harm),
            OwnKind::Within { min, max, .. } => certain::within(trial, &own.name, *min, *max),
        });
    }
    verdicts
}

/// A gate's verdict under construction.
#[derive(Debug)]
pub(super) struct Gate {
    name: String,
    numbers: BTreeMap<String, f64>,
    history: Vec<(Option<f64>, Option<f64>)>,
    progress: f64,
}

impl Gate {
    pub(super) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), numbers: BTreeMap::new(), history: Vec::new(), progress: 0.0 }
    }

    pub(super) fn number(mut self, name: &str, value: f64) -> Self {
        if value.is_finite() {
            self.numbers.insert(name.to_owned(), unsigned_zero(value));
        }
        self
    }

    /// The figure over time; only the last of it is kept.
    pub(super) fn history(mut self, figures: impl IntoIterator<Item = (Option<f64>, Option<f64>)>) -> Self {
        self.history = figures.into_iter().collect();
        let over = self.history.len().saturating_sub(HISTORY);
        self.history.drain(..over);
        self
    }

    pub(super) fn evidence(self, trial: &Trial<'_>, evidence: &Evidence) -> Self {
        let needed = -trial.beta.ln();
        let mut gate = self
            .number("evidence_against_log10", evidence.against_most / std::f64::consts::LN_10)
            .number("evidence_for_log10", evidence.in_favour_most / std::f64::consts::LN_10)
            .number("limit_against_log10", -trial.alpha.log10())
            .number("needed_for_log10", -trial.beta.log10());
        gate.progress = (evidence.in_favour.max(0.0) / needed).clamp(0.0, 1.0);
        gate
    }

    pub(super) fn progress(mut self, progress: f64) -> Self {
        self.progress = if progress.is_finite() { unsigned_zero(progress.clamp(0.0, 1.0)) } else { 0.0 };
        self
    }

    pub(super) fn says(self, verdict: Verdict, reason: impl Into<String>) -> GateVerdict {
        let Self { name, numbers, history, progress } = self;
        let progress = if verdict == Verdict::Pass { 1.0 } else { progress };
        GateVerdict { gate: name, verdict, reason: reason.into(), numbers, history, progress }
    }

    pub(super) fn undecided(self, reason: impl Into<String>) -> GateVerdict {
        self.says(Verdict::Inconclusive, reason)
    }

    /// A ring with nobody to be compared with.
    pub(super) fn not_compared(self) -> GateVerdict {
        self.says(Verdict::Pass, "not compared: no ring runs the build before any more")
    }
}

/// The sum of nothing is -0, which nobody wants to read.
pub(super) fn unsigned_zero(value: f64) -> f64 {
    value + 0.0
}

/// A count with separators.
pub(super) fn count(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if number <= -0.5 { format!("-{out}") } else { out }
}

/// A share as per cent.
pub(super) fn percent(share: f64) -> String {
    // No `-0.00`.
    let percent = share * 100.0 + 0.0;
    if percent == 0.0 || percent.abs() >= 1.0 { format!("{percent:.2} %") } else { format!("{percent:.3} %") }
}

/// Odds from their natural logarithm.
fn odds(ln: f64) -> String {
    let value = ln.exp();
    if value < 10.0 {
        format!("{value:.1}")
    } else if value < 1e9 {
        count(value)
    } else {
        format!("10^{:.0}", ln / std::f64::consts::LN_10)
    }
}
