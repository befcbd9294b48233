//! `policy`: times, probabilities, and what may be decided without a person.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::fields::Fields;
use super::{Bake, Freeze, Inconclusive, Killed, Policy};

/// The policy, and the bake of rings that have none of their own.
pub(super) fn policy(fields: Fields<'_>, scrape_interval: Duration) -> (Policy, Bake) {
    let minutes = |number: u64| Duration::from_secs(60 * number);
    let probability = |name, default: f64| {
        let form = "a probability above 0, at most 0.5";
        fields.read(name, form, |value| value.as_f64().filter(|p| *p > 0.0 && *p <= 0.5)).unwrap_or(default)
    };
    let interval = fields.duration("interval").unwrap_or(scrape_interval);
    if interval < scrape_interval {
        let message = "is shorter than prometheus.scrape_interval; looks in between see nothing new";
        fields.wrong("interval", message);
    }
    let policy = Policy {
        interval,
        converge: fields.duration("converge").unwrap_or(minutes(2)),
        settle: fields.duration("settle").unwrap_or(minutes(1)),
        quorum: fields.share("quorum").unwrap_or(1.0),
        false_stop: probability("false_stop", 0.01),
        missed_harm: probability("missed_harm", 0.05),
        inconclusive: fields
            .choice("inconclusive", &[("hold", Inconclusive::Hold), ("rollback", Inconclusive::Rollback)])
            .unwrap_or(Inconclusive::Hold),
        killed: fields
            .choice("killed", &[("rollback", Killed::Rollback), ("hold", Killed::Hold)])
            .unwrap_or(Killed::Rollback),
        freeze: fields
            .list("freeze")
            .iter()
            .enumerate()
            .filter_map(|(index, value)| freeze(&fields, index, value))
            .collect(),
        max_ring: fields.text("max_ring"),
    };
    let bake = bake(fields.section("bake"), Bake { min: minutes(10), max: minutes(120) });
    fields.finish();
    (policy, bake)
}

pub(super) fn bake(fields: Fields<'_>, default: Bake) -> Bake {
    let min = fields.duration("min").unwrap_or(default.min);
    // Whoever only asks for more time at least has not asked for less at most.
    let max = fields.duration("max").unwrap_or_else(|| default.max.max(min));
    if max < min {
        fields.wrong("max", "is shorter than `min`; a ring would be given up before it may pass");
    }
    fields.finish();
    Bake { min, max }
}

fn freeze(policy: &Fields<'_>, index: usize, value: &Value) -> Option<Freeze> {
    let fields = Fields::of(policy.path(&format!("freeze[{index}]")), Some(value), policy.mistakes());
    let time = |name: &'static str| {
        if !fields.has(name) {
            fields.wrong(name, "is missing; give a time such as `2026-12-24T00:00:00Z`");
        }
        fields.read(name, "a time such as `2026-12-24T00:00:00Z`", |value| value.as_str()?.parse::<Timestamp>().ok())
    };
    let (from, until) = (time("from"), time("until"));
    let reason = fields.text("reason").unwrap_or_else(|| "frozen".to_owned());
    let freeze = Freeze { from: from?, until: until?, reason };
    if freeze.until <= freeze.from {
        fields.wrong("until", "is not after `from`");
    }
    fields.finish();
    Some(freeze)
}
