//! Shares of requests: `errors`, `overflow`, and the operator's own.

use super::{Gate, Trial, count, percent};
use crate::judge::evidence::share::{Counts, weigh};
use crate::judge::signals::{FAILED, OVERFLOW, REQUESTS, own_name};
use crate::judge::{GateVerdict, Verdict};

pub(super) fn errors(trial: &Trial<'_>, harm: f64) -> GateVerdict {
    share(trial, "errors", (FAILED, REQUESTS), harm, "failed with 5xx")
}

pub(super) fn overflow(trial: &Trial<'_>, harm: f64) -> GateVerdict {
    share(trial, "overflow", (OVERFLOW, REQUESTS), harm, "have no endpoint of their own")
}

pub(super) fn own(trial: &Trial<'_>, name: &str, harm: f64) -> GateVerdict {
    let (bad, total) = (own_name(name, "bad"), own_name(name, "total"));
    share(trial, &format!("own:{name}"), (&bad, &total), harm, "are bad")
}

/// What was counted in both arms, interval by interval.
pub(super) fn counts(trial: &Trial<'_>, bad: &str, all: &str) -> Vec<Counts> {
    let Some(control) = &trial.control else { return Vec::new() };
    let pairs = trial.ring.intervals.iter().zip(&control.intervals);
    pairs
        .map(|(ring, control)| Counts {
            ring_bad: ring.sum(bad),
            ring_all: ring.sum(all),
            control_bad: control.sum(bad),
            control_all: control.sum(all),
        })
        .collect()
}

fn share(trial: &Trial<'_>, name: &str, (bad, all): (&str, &str), harm: f64, what: &str) -> GateVerdict {
    let gate = Gate::new(name);
    if trial.control.is_none() {
        return gate.not_compared();
    }
    let counts = counts(trial, bad, all);
    let evidence = weigh(&counts, harm);
    let sum = |of: fn(&Counts) -> f64| counts.iter().map(of).sum::<f64>();
    let (ring_bad, ring_all) = (sum(|c| c.ring_bad), sum(|c| c.ring_all));
    let (control_bad, control_all) = (sum(|c| c.control_bad), sum(|c| c.control_all));
    let of = |bad: f64, all: f64| if all > 0.0 { Some(bad / all) } else { None };
    let figures = counts.iter().map(|c| (of(c.ring_bad, c.ring_all), of(c.control_bad, c.control_all)));
    let gate = gate
        .history(figures.collect::<Vec<_>>())
        .number("requests", ring_all)
        .number("bad", ring_bad)
        .number("requests_control", control_all)
        .number("bad_control", control_bad)
        .number("smallest_harm", harm)
        .evidence(trial, &evidence);
    let verdict = trial.decide(&evidence);
    if verdict != Verdict::Fail
        && let Some(why) = trial.any_missing(&[all, bad])
    {
        return gate.undecided(why);
    }
    let (Some(share), Some(control)) = (of(ring_bad, ring_all), of(control_bad, control_all)) else {
        let nobody = if ring_all > 0.0 { trial.control_name() } else { trial.ring_name() };
        return gate.undecided(format!("no requests in {nobody} yet"));
    };
    let reason = format!(
        "{} of {} in {} {what}, {} of {} in {}; {}",
        percent(share),
        count(ring_all),
        trial.ring_name(),
        percent(control),
        count(control_all),
        trial.control_name(),
        trial.odds(&evidence)
    );
    gate.says(verdict, reason)
}
