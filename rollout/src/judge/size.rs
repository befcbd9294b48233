//! How much a verdict takes: the requests or intervals after which a build that changes nothing passes, and one that does the smallest harm is stopped, on
//! average. Estimates for a plan; the judge itself goes on until it knows.

use crate::plan::{OwnKind, Plan};

/// What a gate needs in one ring.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Needed {
    /// The gate.
    pub gate: String,
    /// Requests in the ring, as many in its control; none where intervals count.
    pub requests: Option<u64>,
    /// Intervals.
    pub intervals: Option<f64>,
    /// From what.
    pub why: String,
}

/// What each gate of a plan needs, if `base_rate` is the share of requests that fail as it is.
#[must_use]
pub fn needed(plan: &Plan, base_rate: f64) -> Vec<Needed> {
    let gates = &plan.gates;
    let pass = -plan.policy.missed_harm.ln();
    let mut list = Vec::new();
    let mut share = |gate: &str, harm: f64, base: f64| {
        list.push(Needed {
            gate: gate.to_owned(),
            requests: Some(whole(pass / growth(base, harm))),
            intervals: None,
            why: format!("base rate {:.3} %, smallest harm {:.3} %", base * 100.0, harm * 100.0),
        });
    };
    if let Some(harm) = gates.traps {
        share("traps", harm, 0.0);
    }
    if let Some(harm) = gates.errors {
        share("errors", harm, base_rate);
    }
    if let Some(harm) = gates.overflow {
        share("overflow", harm, 0.0);
    }
    for own in &gates.own {
        if let OwnKind::Share { smallest_harm, .. } = own.kind {
            share(&format!("own:{}", own.name), smallest_harm, base_rate);
        }
    }
    let looks = (pass / std::f64::consts::LN_2).ceil() + 2.0;
    for (gate, on) in
        [("latency", gates.latency.is_some()), ("cpu", gates.cpu.is_some()), ("memory", gates.memory.is_some())]
    {
        if on {
            list.push(Needed {
                gate: gate.to_owned(),
                requests: None,
                intervals: Some(looks),
                why: "at the least: an interval proves at most 2:1; more where intervals vary by more than the smallest harm".to_owned(),
            });
        }
    }
    list
}

fn whole(number: f64) -> u64 {
    #[allow(clippy::cast_possible_truncation, reason = "as many as there can be is as good as more")]
    let number = number.ceil().max(0.0) as u64;
    number
}

/// How fast evidence for a build that changes nothing grows, a request, with as many in the control: the best stake's `p ln(1 - s^2) + s d`.
fn growth(base: f64, harm: f64) -> f64 {
    let stake = (((base * base + harm * harm).sqrt() - base) / harm).min(0.999);
    base * (-stake * stake).ln_1p() + stake * harm
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_base_rate_is_the_rule_of_three() {
        // ln 20 / 0.0001: with none in so many, one in 10,000 is ruled out at 5 %.
        let requests = -(0.05_f64.ln()) / growth(0.0, 0.0001);
        assert!((29_950.0..30_000.0).contains(&requests), "{requests}");
    }

    #[test]
    fn a_base_rate_takes_more() {
        let few = 3.0 / growth(0.001, 0.005);
        let many = 3.0 / growth(0.05, 0.005);
        assert!(few < 2_000.0 && many > 10_000.0 && many < 30_000.0, "{few} {many}");
    }
}
