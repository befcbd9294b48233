//! From raw answers to what happened between two looks, proxy by proxy.
//!
//! A proxy counts in an interval only if it can be relied on there: it answered at both ends, no counter of it went back (it was not restarted), and in the
//! ring it ran the build at both ends. What is left out of one arm is not made up for in the other: shares and means do not need it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::signals::{BUILD, COUNTED, CPU, DURATION_COUNT, HEARTBEAT, OVERFLOW, REQUESTS, UPTIME, may_be_absent};
use super::{Arm, Case, Look};

/// The labels that name a proxy, by preference: a pod where there are pods.
const PROXY: [&str; 2] = ["pod", "instance"];

/// Why a proxy is left out that runs something else.
pub(super) const OTHER_BUILD: &str = "did not run the build";

/// Why a proxy is left out that is another process than before.
pub(super) const RESTARTED: &str = "was restarted, or its counters were reset";

/// Values of a signal: by proxy, then by what the other labels say.
pub(super) type Values = BTreeMap<String, BTreeMap<String, f64>>;

/// What one arm answered at one look.
#[derive(Debug, Default)]
pub(super) struct Snapshot(BTreeMap<String, Values>);

impl Snapshot {
    pub(super) fn of(look: &Look, arm: Arm) -> Self {
        let mut signals = BTreeMap::new();
        for asked in look.asked.iter().filter(|asked| asked.arm == arm) {
            let Ok(answer) = &asked.answer else { continue };
            let mut values = Values::new();
            for sample in &answer.samples {
                let proxy = PROXY.iter().find_map(|label| sample.labels.get(*label)).cloned().unwrap_or_default();
                let rest = sample.labels.iter().filter(|(name, _)| !PROXY.contains(&name.as_str()));
                let key: Vec<&str> = rest.map(|(_, value)| value.as_str()).collect();
                values.entry(proxy).or_default().insert(key.join(" "), sample.value);
            }
            signals.insert(asked.signal.clone(), values);
        }
        Self(signals)
    }

    /// All of a signal; none where it was not answered.
    pub(super) fn signal(&self, name: &str) -> Option<&Values> {
        self.0.get(name)
    }

    /// A proxy's values of a signal.
    pub(super) fn of_proxy(&self, name: &str, proxy: &str) -> Option<&BTreeMap<String, f64>> {
        self.0.get(name)?.get(proxy)
    }

    /// A proxy's values of a signal, summed up.
    pub(super) fn sum(&self, name: &str, proxy: &str) -> Option<f64> {
        self.of_proxy(name, proxy).map(|values| values.values().sum())
    }

    /// The builds that a proxy says it runs.
    pub(super) fn builds(&self, proxy: &str) -> Vec<&str> {
        let values = self.of_proxy(BUILD, proxy);
        values.into_iter().flatten().filter(|(_, value)| **value == 1.0).map(|(config, _)| config.as_str()).collect()
    }

    /// The proxies that say anything.
    pub(super) fn proxies(&self) -> impl Iterator<Item = &String> {
        let all: std::collections::BTreeSet<&String> =
            [REQUESTS, BUILD].iter().filter_map(|name| self.0.get(*name)).flat_map(BTreeMap::keys).collect();
        all.into_iter()
    }
}

/// What happened between two looks in one arm.
#[derive(Debug, Default)]
pub(super) struct Interval {
    /// The proxies that can be relied on; by proxy, signal and the other labels.
    deltas: BTreeMap<String, BTreeMap<String, BTreeMap<String, f64>>>,
    /// Proxies that were left out, and why.
    pub(super) left_out: BTreeMap<String, &'static str>,
}

impl Interval {
    /// The growth of a signal over all proxies.
    pub(super) fn sum(&self, signal: &str) -> f64 {
        self.by_proxy(signal).map(|(_, values)| values.values().sum::<f64>()).sum()
    }

    /// The growth of a signal over all proxies, by the other labels.
    pub(super) fn by_label(&self, signal: &str) -> BTreeMap<&str, f64> {
        let mut sums = BTreeMap::new();
        for (_, values) in self.by_proxy(signal) {
            for (key, value) in values {
                *sums.entry(key.as_str()).or_default() += value;
            }
        }
        sums
    }

    pub(super) fn by_proxy(&self, signal: &str) -> impl Iterator<Item = (&String, &BTreeMap<String, f64>)> {
        self.deltas.iter().filter_map(move |(proxy, signals)| Some((proxy, signals.get(signal)?)))
    }
}

/// Signals that go up and down.
fn is_gauge(signal: &str) -> bool {
    use super::signals::{BUDGET, COUNTED_AT, MEMORY, REQUESTS_AT, SERIES, THREADS};
    [MEMORY, SERIES, BUDGET, THREADS, COUNTED_AT, REQUESTS_AT, BUILD].contains(&signal) || signal.ends_with(":value")
}

/// What happened in an arm between each look and the one before.
#[derive(Debug)]
pub(super) struct History {
    /// What was answered, look by look.
    pub(super) snapshots: Vec<Snapshot>,
    /// When.
    pub(super) times: Vec<Timestamp>,
    /// Between them: one less.
    pub(super) intervals: Vec<Interval>,
}

impl History {
    pub(super) fn of(case: &Case<'_>, looks: &[Look], arm: Arm) -> Self {
        let snapshots: Vec<Snapshot> = looks.iter().map(|look| Snapshot::of(look, arm)).collect();
        let digest = case.digest.filter(|_| arm == Arm::Ring);
        let intervals = snapshots
            .windows(2)
            .filter_map(|pair| match pair {
                [before, after] => Some(between(before, after, digest)),
                _ => None,
            })
            .collect();
        Self { snapshots, times: looks.iter().map(|look| look.at).collect(), intervals }
    }

    /// How long an interval was, in seconds; 0 where the clock went back.
    pub(super) fn seconds(&self, interval: usize) -> f64 {
        match (self.times.get(interval), self.times.get(interval + 1)) {
            (Some(from), Some(to)) => to.duration_since(*from).as_secs_f64().max(0.0),
            _ => 0.0,
        }
    }
}

fn between(before: &Snapshot, after: &Snapshot, digest: Option<&str>) -> Interval {
    let mut interval = Interval::default();
    for proxy in after.proxies() {
        let why = if before.sum(REQUESTS, proxy).is_none() || after.sum(REQUESTS, proxy).is_none() {
            Some("was not scraped at both looks")
        } else if digest.is_some_and(|digest| before.builds(proxy) != [digest] || after.builds(proxy) != [digest]) {
            Some(OTHER_BUILD)
        } else if [UPTIME, REQUESTS, COUNTED, CPU, HEARTBEAT]
            .iter()
            .any(|signal| went_back(before, after, signal, proxy))
        {
            Some(RESTARTED)
        } else {
            None
        };
        match why {
            Some(why) => _ = interval.left_out.insert(proxy.clone(), why),
            None => _ = interval.deltas.insert(proxy.clone(), deltas(before, after, proxy)),
        }
    }
    interval
}

/// A sum may lose a series; each series by itself may not go back.
fn went_back(before: &Snapshot, after: &Snapshot, signal: &str, proxy: &str) -> bool {
    let (Some(old), Some(new)) = (before.of_proxy(signal, proxy), after.of_proxy(signal, proxy)) else { return false };
    old.iter().any(|(key, value)| new.get(key).is_some_and(|now| now < value))
}

/// Whether a counter that a proxy did not have at a look was 0 then: it need not exist, and the page that it is on was read. Each job has pages of its
/// own, and one of them may be missing.
fn began(before: &Snapshot, signal: &str, proxy: &str) -> bool {
    if is_gauge(signal) || !may_be_absent(signal) || !before.0.contains_key(signal) {
        return false;
    }
    let beside = match signal.strip_suffix(":bad") {
        Some(own) => vec![format!("{own}:total")],
        None if signal == OVERFLOW => vec![COUNTED.to_owned(), DURATION_COUNT.to_owned()],
        // The proxy's own page, without which it is left out.
        None => Vec::new(),
    };
    let mut asked = beside.iter().filter(|name| before.0.contains_key(*name)).peekable();
    asked.peek().is_none() || asked.any(|name| before.of_proxy(name, proxy).is_some())
}

fn deltas(before: &Snapshot, after: &Snapshot, proxy: &str) -> BTreeMap<String, BTreeMap<String, f64>> {
    let mut all = BTreeMap::new();
    for (signal, values) in &after.0 {
        let Some(now) = values.get(proxy) else { continue };
        let old = before.of_proxy(signal, proxy);
        // What has no value before has not grown; but a counter that a proxy has only from its first count on began at 0.
        if old.is_none() && !began(before, signal, proxy) {
            continue;
        }
        let grown = now.iter().map(|(key, value)| {
            let from = old.and_then(|old| old.get(key)).copied().unwrap_or_default();
            (key.clone(), value - from)
        });
        all.insert(signal.clone(), grown.collect());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::signals::FAILED;

    fn snapshot(values: &[(&str, &str, f64)]) -> Snapshot {
        let mut signals = BTreeMap::<String, Values>::new();
        for (signal, proxy, value) in values {
            let of_signal = signals.entry((*signal).to_owned()).or_default();
            if !proxy.is_empty() {
                of_signal.entry((*proxy).to_owned()).or_default().insert(String::new(), *value);
            }
        }
        Snapshot(signals)
    }

    #[test]
    fn a_page_that_was_missing_is_no_counter_that_began() {
        let before = snapshot(&[
            (REQUESTS, "a", 10.0),
            (REQUESTS, "b", 10.0),
            (CPU, "b", 5.0),
            (COUNTED, "b", 9.0),
            (OVERFLOW, "", 0.0),
        ]);
        let after = snapshot(&[
            (REQUESTS, "a", 30.0),
            (REQUESTS, "b", 30.0),
            (CPU, "a", 5_000.0),
            (CPU, "b", 6.0),
            (COUNTED, "a", 900.0),
            (COUNTED, "b", 29.0),
            (OVERFLOW, "a", 70.0),
            (OVERFLOW, "b", 2.0),
        ]);
        let interval = between(&before, &after, None);
        assert_eq!((interval.sum(REQUESTS), interval.sum(CPU), interval.sum(COUNTED)), (40.0, 1.0, 20.0));
        // The second's page was read before, and had none.
        assert_eq!(interval.sum(OVERFLOW), 2.0);
    }

    #[test]
    fn a_counter_of_what_is_bad_begins_with_the_first() {
        let before = snapshot(&[(REQUESTS, "a", 10.0), (FAILED, "", 0.0)]);
        let after = snapshot(&[(REQUESTS, "a", 30.0), (FAILED, "a", 3.0)]);
        assert_eq!(between(&before, &after, None).sum(FAILED), 3.0);
        // It was not answered at all: then nobody knows.
        let before = snapshot(&[(REQUESTS, "a", 10.0)]);
        assert_eq!(between(&before, &after, None).sum(FAILED), 0.0);
    }
}
