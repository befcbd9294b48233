//! Means: `latency` of each endpoint, `cpu` of a request, growth of `memory`, and the operator's own.

use std::collections::BTreeMap;

use super::{Gate, Trial, count};
use crate::judge::evidence::{Evidence, mean};
use crate::judge::series::Interval;
use crate::judge::signals::{
    CPU, DURATION_COUNT, DURATION_SUM, MEMORY, PROXY_COUNT, PROXY_SUM, REQUESTS, UPSTREAM_COUNT, UPSTREAM_SUM, own_name,
};
use crate::judge::{GateVerdict, Verdict};

/// An endpoint with less of the traffic is shown to be free of harm together with the others like it.
const SHARE_BY_ITSELF: f64 = 0.05;
/// What the proxy adds to the upstream's time.
const PROXY_ITSELF: &str = "the proxy itself";
/// All endpoints with little traffic.
const OTHERS: &str = "endpoints with little traffic";
/// Processor time is counted in ticks of 10 ms; blocks of a ring's least time are long enough to have many.
const CPU_BLOCKS: usize = 24;
/// Memory comes in lumps.
const MEMORY_BLOCKS: usize = 8;

/// Sums and counts of one thing in both arms, interval by interval.
type Pairs = Vec<Option<((f64, f64), (f64, f64))>>;

/// The differences of means, block by block, each with the harm that matters there. `harm` is given the control's mean so far.
fn differences(pairs: &Pairs, block: usize, harm: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
    let mut differences = Vec::new();
    let mut control_so_far = (0.0, 0.0);
    for chunk in pairs.chunks(block.max(1)) {
        let mut sums = ((0.0, 0.0), (0.0, 0.0));
        for (ring, control) in chunk.iter().flatten() {
            sums.0 = (sums.0.0 + ring.0, sums.0.1 + ring.1);
            sums.1 = (sums.1.0 + control.0, sums.1.1 + control.1);
        }
        let ((sum, n), (control_sum, control_n)) = sums;
        // A block that is not over yet would be counted twice.
        let whole = chunk.len() == block.max(1);
        if whole && n > 0.0 && control_n > 0.0 {
            let so_far =
                if control_so_far.1 > 0.0 { control_so_far.0 / control_so_far.1 } else { control_sum / control_n };
            differences.push((sum / n - control_sum / control_n, harm(so_far)));
            control_so_far = (control_so_far.0 + control_sum, control_so_far.1 + control_n);
        }
    }
    differences
}

fn means(pairs: &Pairs) -> (Option<f64>, Option<f64>) {
    let mut total = ((0.0, 0.0), (0.0, 0.0));
    for (ring, control) in pairs.iter().flatten() {
        total.0 = (total.0.0 + ring.0, total.0.1 + ring.1);
        total.1 = (total.1.0 + control.0, total.1.1 + control.1);
    }
    let of = |(sum, n): (f64, f64)| if n > 0.0 { Some(sum / n) } else { None };
    (of(total.0), of(total.1))
}

fn figures(pairs: &Pairs) -> Vec<(Option<f64>, Option<f64>)> {
    let of = |(sum, n): (f64, f64)| if n > 0.0 { Some(sum / n) } else { None };
    pairs.iter().map(|pair| pair.map_or((None, None), |(ring, control)| (of(ring), of(control)))).collect()
}

/// Looks in a ring's least time, divided into so many blocks.
fn block(trial: &Trial<'_>, blocks: usize) -> usize {
    let interval = trial.case.plan.policy.interval.as_millis().max(1);
    let looks = usize::try_from(trial.case.ring.bake.min.as_millis() / interval).unwrap_or(usize::MAX);
    (looks / blocks).max(1)
}

/// What both arms have in each interval.
fn pairs(trial: &Trial<'_>, of: impl Fn(&Interval) -> Option<(f64, f64)>) -> Pairs {
    let control = trial.control.as_ref().map_or(&[][..], |control| &control.intervals);
    paired(&trial.ring.intervals, control, of)
}

fn paired<T>(ring: &[T], control: &[T], of: impl Fn(&T) -> Option<(f64, f64)>) -> Pairs {
    ring.iter().zip(control).map(|(ring, control)| Some((of(ring)?, of(control)?))).collect()
}

/// The mean duration of each endpoint, as the filter measured it, and the proxy's own time, as the proxy did.
pub(super) fn latency(trial: &Trial<'_>, harm: f64) -> GateVerdict {
    let gate = Gate::new("latency").number("smallest_harm_seconds", harm);
    if trial.control.is_none() {
        return gate.not_compared();
    }
    let groups = groups(trial);
    let all: f64 = groups.iter().map(|group| group.requests).sum::<f64>();
    let mut worst: Option<(&Group, Evidence)> = None;
    let mut least: Option<(&Group, Evidence)> = None;
    for group in &groups {
        let evidence = mean::weigh(&differences(&group.pairs, 1, |_| harm));
        if worst.as_ref().is_none_or(|(_, other)| evidence.against_most > other.against_most) {
            worst = Some((group, evidence));
        }
        if group.shown && least.as_ref().is_none_or(|(_, other)| evidence.in_favour_most < other.in_favour_most) {
            least = Some((group, evidence));
        }
    }
    // One of so many may reach so much by chance (Bonferroni).
    let count_of = groups.len().max(1) as f64;
    let together = worst.as_ref().map_or(0.0, |(_, evidence)| evidence.against_most - count_of.ln());
    let (Some((worst, worst_evidence)), Some((least, least_evidence))) = (worst, least) else {
        let why = trial.any_missing(&[DURATION_SUM, DURATION_COUNT]);
        return gate.undecided(why.unwrap_or_else(|| "no requests in both rings at the same time yet".to_owned()));
    };
    let evidence = Evidence {
        against: together,
        against_most: together,
        in_favour: least_evidence.in_favour,
        in_favour_most: least_evidence.in_favour_most,
    };
    let verdict = trial.decide(&evidence);
    let shown = if verdict == Verdict::Fail { worst } else { least };
    let (ring, control) = means(&shown.pairs);
    let gate = gate
        .history(figures(&shown.pairs))
        .number("requests", all)
        .number("endpoints", count_of)
        .number("mean_seconds", ring.unwrap_or(f64::NAN))
        .number("mean_seconds_control", control.unwrap_or(f64::NAN))
        .number("worst_evidence_against_log10", worst_evidence.against_most / std::f64::consts::LN_10)
        .evidence(trial, &evidence);
    if verdict != Verdict::Fail
        && let Some(why) = trial.any_missing(&[DURATION_SUM, DURATION_COUNT])
    {
        return gate.undecided(why);
    }
    let reason = format!(
        "{}: {} in {}, {} in {}; {}",
        shown.name,
        seconds(ring),
        trial.ring_name(),
        seconds(control),
        trial.control_name(),
        trial.odds(&evidence)
    );
    gate.says(verdict, reason)
}

/// Requests that are looked at together.
struct Group {
    name: String,
    /// In seconds.
    pairs: Pairs,
    requests: f64,
    /// Whether it has to be shown to be free of harm by itself.
    shown: bool,
}

/// The seconds and requests of each endpoint in an interval.
type Durations<'a> = BTreeMap<&'a str, (f64, f64)>;

fn durations(interval: &Interval) -> Durations<'_> {
    let sums = interval.by_label(DURATION_SUM);
    let counts = interval.by_label(DURATION_COUNT).into_iter().filter(|(_, n)| *n > 0.0);
    counts.map(|(endpoint, n)| (endpoint, (sums.get(endpoint).copied().unwrap_or_default() / 1e6, n))).collect()
}

fn groups(trial: &Trial<'_>) -> Vec<Group> {
    let ring: Vec<_> = trial.ring.intervals.iter().map(durations).collect();
    let control: Vec<_> = trial.control.iter().flat_map(|control| &control.intervals).map(durations).collect();
    let mut traffic: BTreeMap<&str, f64> = BTreeMap::new();
    for (endpoint, (_, requests)) in ring.iter().flatten() {
        *traffic.entry(endpoint).or_default() += requests;
    }
    let all: f64 = traffic.values().sum();
    let large = |requests: f64| requests >= SHARE_BY_ITSELF * all;
    let mut groups: Vec<Group> = traffic
        .iter()
        .map(|(endpoint, requests)| Group {
            name: (*endpoint).to_owned(),
            pairs: paired(&ring, &control, |durations| durations.get(endpoint).copied()),
            requests: *requests,
            shown: large(*requests),
        })
        .collect();
    let small: Vec<&str> = traffic.iter().filter(|(_, requests)| !large(**requests)).map(|(name, _)| *name).collect();
    if !small.is_empty() {
        let together = |durations: &Durations<'_>| {
            let parts = small.iter().filter_map(|endpoint| durations.get(endpoint));
            let (sum, n) = parts.fold((0.0, 0.0), |(sum, n), (s, m)| (sum + s, n + m));
            (n > 0.0).then_some((sum, n))
        };
        groups.push(Group {
            name: OTHERS.to_owned(),
            pairs: paired(&ring, &control, together),
            requests: 0.0,
            shown: true,
        });
    }
    let proxy = |interval: &Interval| {
        let (n, m) = (interval.sum(PROXY_COUNT), interval.sum(UPSTREAM_COUNT));
        let own = interval.sum(PROXY_SUM) / n - interval.sum(UPSTREAM_SUM) / m;
        (n > 0.0 && m > 0.0).then_some((own / 1e3 * n, n))
    };
    let itself = pairs(trial, proxy);
    if itself.iter().any(Option::is_some) {
        groups.push(Group { name: PROXY_ITSELF.to_owned(), pairs: itself, requests: 0.0, shown: true });
    }
    groups
}

fn seconds(value: Option<f64>) -> String {
    match value {
        None => "nothing".to_owned(),
        Some(seconds) if seconds.abs() < 0.001 => format!("{:.0} µs", seconds * 1e6),
        Some(seconds) if seconds.abs() < 1.0 => format!("{:.2} ms", seconds * 1e3),
        Some(seconds) => format!("{seconds:.2} s"),
    }
}

/// Processor time a request.
pub(super) fn cpu(trial: &Trial<'_>, harm: f64) -> GateVerdict {
    let gate = Gate::new("cpu").number("smallest_harm_share", harm);
    if trial.control.is_none() {
        return gate.not_compared();
    }
    let pairs = pairs(trial, |interval| {
        // The requests of those proxies alone whose processor time is known: it is on another page, which may be missing.
        let known: BTreeMap<&String, f64> =
            interval.by_proxy(CPU).map(|(proxy, values)| (proxy, values.values().sum())).collect();
        let both = interval.by_proxy(REQUESTS).filter_map(|(proxy, values)| Some((*known.get(proxy)?, values)));
        let (seconds, requests) = both.fold((0.0, 0.0), |(seconds, requests), (cpu, values)| {
            (seconds + cpu, requests + values.values().sum::<f64>())
        });
        (requests > 0.0).then_some((seconds, requests))
    });
    let evidence = mean::weigh(&differences(&pairs, block(trial, CPU_BLOCKS), |control| harm * control));
    compare(trial, gate, &pairs, &evidence, &[CPU, REQUESTS], |value| format!("{:.0} µs a request", value * 1e6))
}

/// How much a proxy's resident memory grows, in bytes an hour.
pub(super) fn memory(trial: &Trial<'_>, harm: f64) -> GateVerdict {
    let gate = Gate::new("memory").number("smallest_harm_bytes_per_hour", harm);
    if trial.control.is_none() {
        return gate.not_compared();
    }
    let control = trial.control.iter().flat_map(|control| &control.intervals).enumerate();
    let of = |index: usize, interval: &Interval| {
        let hours = trial.ring.seconds(index) / 3_600.0 * interval.by_proxy(MEMORY).count() as f64;
        (hours > 0.0).then(|| (interval.sum(MEMORY), hours))
    };
    let pairs: Pairs = trial
        .ring
        .intervals
        .iter()
        .zip(control)
        .map(|(ring, (index, control))| Some((of(index, ring)?, of(index, control)?)))
        .collect();
    let evidence = mean::weigh(&differences(&pairs, block(trial, MEMORY_BLOCKS), |_| harm));
    compare(trial, gate, &pairs, &evidence, &[MEMORY], |value| format!("{:+.1} MiB an hour", value / 1_048_576.0))
}

pub(super) fn own(trial: &Trial<'_>, name: &str, harm: f64) -> GateVerdict {
    let gate = Gate::new(format!("own:{name}")).number("smallest_harm", harm);
    if trial.control.is_none() {
        return gate.not_compared();
    }
    let (sum, n) = (own_name(name, "sum"), own_name(name, "count"));
    let pairs = pairs(trial, |interval| {
        let count = interval.sum(&n);
        (count > 0.0).then(|| (interval.sum(&sum), count))
    });
    let evidence = mean::weigh(&differences(&pairs, 1, |_| harm));
    compare(trial, gate, &pairs, &evidence, &[&sum, &n], |value| format!("{value:.4}"))
}

fn compare(
    trial: &Trial<'_>,
    gate: Gate,
    pairs: &Pairs,
    evidence: &Evidence,
    signals: &[&str],
    shown: impl Fn(f64) -> String,
) -> GateVerdict {
    let (ring, control) = means(pairs);
    let blocks = pairs.iter().flatten().count();
    let gate = gate
        .history(figures(pairs))
        .number("intervals", blocks as f64)
        .number("mean", ring.unwrap_or(f64::NAN))
        .number("mean_control", control.unwrap_or(f64::NAN))
        .evidence(trial, evidence);
    let verdict = trial.decide(evidence);
    if verdict != Verdict::Fail
        && let Some(why) = trial.any_missing(signals)
    {
        return gate.undecided(why);
    }
    let (Some(ring), Some(control)) = (ring, control) else {
        return gate.undecided("nothing to compare in both rings at the same time yet");
    };
    let reason = format!(
        "{} in {}, {} in {}, over {} intervals; {}",
        shown(ring),
        trial.ring_name(),
        shown(control),
        trial.control_name(),
        count(blocks as f64),
        trial.odds(evidence)
    );
    gate.says(verdict, reason)
}
