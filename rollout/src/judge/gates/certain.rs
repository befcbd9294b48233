//! Gates that need no statistics: `refusals`, `restarts`, and values that must stay within limits.

use std::collections::BTreeMap;

use super::{Gate, Trial};
use crate::judge::series::History;
use crate::judge::signals::{REFUSALS, UPTIME, own_name};
use crate::judge::{Arm, GateVerdict, Verdict};

/// A proxy that refuses what it is given runs on with what it had.
pub(super) fn refusals(trial: &Trial<'_>) -> GateVerdict {
    let gate = Gate::new("refusals");
    if let Some(why) = trial.missing(REFUSALS, Arm::Ring) {
        return gate.undecided(why);
    }
    let grown = grown(&trial.ring, REFUSALS);
    let refused: f64 = grown.values().sum();
    let gate = gate.number("refusals", refused);
    match grown.iter().find(|(_, times)| **times > 0.0) {
        Some((proxy, _)) => gate.says(
            Verdict::Fail,
            format!(
                "{refused:.0} modules or configurations were refused in {}, by {proxy} among others",
                trial.ring_name()
            ),
        ),
        None => gate.says(Verdict::Pass, "no proxy refused anything"),
    }
}

/// By how much each proxy's sum of a counter grew, also over intervals in which it cannot be relied on for anything else.
fn grown(history: &History, signal: &str) -> BTreeMap<String, f64> {
    let mut grown: BTreeMap<String, f64> = BTreeMap::new();
    for pair in history.snapshots.windows(2) {
        let [before, after] = pair else { continue };
        for (proxy, values) in after.signal(signal).into_iter().flatten() {
            let old = before.of_proxy(signal, proxy);
            let by = |(key, value): (&String, &f64)| {
                let from = old.and_then(|old| old.get(key)).copied().unwrap_or_default();
                // Another process began at 0; what it was before it is not known to have grown.
                if *value >= from && old.is_some() { value - from } else { 0.0 }
            };
            *grown.entry(proxy.clone()).or_default() += values.iter().map(by).sum::<f64>();
        }
    }
    grown
}

/// How often each proxy was restarted.
fn restarted(history: &History) -> BTreeMap<String, u32> {
    let mut restarted: BTreeMap<String, u32> = BTreeMap::new();
    let mut last: BTreeMap<String, f64> = BTreeMap::new();
    for snapshot in &history.snapshots {
        for (proxy, values) in snapshot.signal(UPTIME).into_iter().flatten() {
            let now: f64 = values.values().sum();
            if last.insert(proxy.clone(), now).is_some_and(|before| now < before) {
                *restarted.entry(proxy.clone()).or_default() += 1;
            }
        }
    }
    restarted
}

/// One proxy may be restarted by whoever runs it. A ring that is, while its control is not, is not well.
pub(super) fn restarts(trial: &Trial<'_>) -> GateVerdict {
    let gate = Gate::new("restarts");
    if let Some(why) = trial.missing(UPTIME, Arm::Ring) {
        return gate.undecided(why);
    }
    let ring = restarted(&trial.ring);
    let control = trial.control.as_ref().map(restarted).unwrap_or_default();
    let (times, elsewhere): (u32, u32) = (ring.values().sum(), control.values().sum());
    let (size, control_size) = (trial.case.ring.expected, trial.case.control.map_or(0, |control| control.expected));
    let gate = gate.number("restarts", f64::from(times)).number("restarts_control", f64::from(elsewhere));
    let many = times >= 2 && times > size / 2;
    // The same of every proxy in the control is the machines' doing.
    let more = f64::from(times) / f64::from(size.max(1)) > 2.0 * f64::from(elsewhere) / f64::from(control_size.max(1));
    if many && more {
        let who: Vec<&str> = ring.keys().map(String::as_str).collect();
        let reason = format!(
            "proxies of {} were restarted {times} times ({}), those of {} {elsewhere} times",
            trial.ring_name(),
            who.join(", "),
            trial.control_name()
        );
        return gate.says(Verdict::Fail, reason);
    }
    gate.says(
        Verdict::Pass,
        format!("{times} restarts in {}, {elsewhere} in {}", trial.ring_name(), trial.control_name()),
    )
}

/// Each series of the latest answer.
pub(super) fn within(trial: &Trial<'_>, name: &str, min: Option<f64>, max: Option<f64>) -> GateVerdict {
    let signal = own_name(name, "value");
    let gate = Gate::new(format!("own:{name}"));
    let Some(look) = trial.looks.last() else { return gate.undecided("nothing was looked at yet") };
    if let Some(why) = trial.missing(&signal, Arm::Ring) {
        return gate.undecided(why);
    }
    let figures = trial.looks.iter().map(|look| {
        let asked = look.asked.iter().find(|asked| asked.signal == signal && asked.arm == Arm::Ring);
        (asked.and_then(|asked| Some(asked.answer.as_ref().ok()?.samples.first()?.value)), None)
    });
    let gate = gate.history(figures);
    let asked = look.asked.iter().find(|asked| asked.signal == signal && asked.arm == Arm::Ring);
    let Some(answer) = asked.and_then(|asked| asked.answer.as_ref().ok()) else { return gate.undecided("no answer") };
    if answer.not_numbers > 0 {
        return gate.undecided(format!("{} of its series are no numbers", answer.not_numbers));
    }
    for sample in &answer.samples {
        let limit = match (min, max) {
            (Some(min), _) if sample.value < min => format!("below {min}"),
            (_, Some(max)) if sample.value > max => format!("above {max}"),
            _ => continue,
        };
        let labels: Vec<String> = sample.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let of = if labels.is_empty() { String::new() } else { format!(" of {}", labels.join(", ")) };
        return gate.number("value", sample.value).says(Verdict::Fail, format!("{}{of} is {limit}", sample.value));
    }
    let first = answer.samples.first().map_or(f64::NAN, |sample| sample.value);
    gate.number("value", first).says(Verdict::Pass, format!("{first} is within its limits"))
}
