//! `traps`: VMs that failed.
//!
//! A VM that failed is either loaded again, which the proxy counts, or with `FAIL_OPEN` is gone for good: its worker's requests pass unseen, and its
//! heartbeat stops while the proxy goes on.

use super::{Gate, Trial, count};
use crate::judge::evidence::share::weigh;
use crate::judge::series::{History, RESTARTED};
use crate::judge::signals::{HEARTBEAT, REQUESTS, VM_FAILURES};
use crate::judge::{GateVerdict, Verdict};

/// A worker is silent after so many intervals without a beat, …
const INTERVALS: usize = 3;
/// … and after so many seconds: ticks come once a second, a busy machine may be late with some.
const SECONDS: f64 = 10.0;
/// After so many seconds it is late.
const LATE: f64 = 3.0;

pub(super) fn traps(trial: &Trial<'_>, harm: f64) -> GateVerdict {
    let ring_name = trial.ring_name();
    let gate = Gate::new("traps");
    let silent = silent(&trial.ring);
    let elsewhere = trial.control.as_ref().map(self::silent).unwrap_or_default();
    let failures: f64 = trial.ring.intervals.iter().map(|interval| interval.sum(VM_FAILURES)).sum();
    let control_failures: f64 =
        trial.control.iter().flat_map(|control| &control.intervals).map(|interval| interval.sum(VM_FAILURES)).sum();
    // Requests speak for the build when the silence of a worker that one of them killed would have been noticed.
    let settled = settled(&trial.ring);
    let requests: f64 = trial.ring.intervals.iter().take(settled).map(|interval| interval.sum(REQUESTS)).sum();
    let gate = gate
        .number("requests", requests)
        .number("silent_workers", silent.len() as f64)
        .number("silent_workers_control", elsewhere.len() as f64)
        .number("vm_failures", failures)
        .number("vm_failures_control", control_failures)
        .number("smallest_harm", harm);
    if let Some(first) = silent.first().filter(|_| elsewhere.is_empty()) {
        let reason = format!(
            "the VM of {} of {ring_name} is gone: {first} does not tick any more, while its proxy answers; {} requests so far",
            workers(silent.len()),
            count(requests)
        );
        return gate.says(Verdict::Fail, reason);
    }
    if failures > 0.0 && control_failures == 0.0 {
        return gate.says(
            Verdict::Fail,
            format!("VMs failed {failures:.0} times in {ring_name}, and never in {}", trial.control_name()),
        );
    }
    if let Some(why) = trial.any_missing(&[REQUESTS, HEARTBEAT]) {
        return gate.undecided(why);
    }
    if !silent.is_empty() {
        return gate.undecided(format!("workers are silent in {ring_name} and in {} too", trial.control_name()));
    }
    if trial.control.is_none() {
        // Against a base rate of none.
        let needed = -trial.beta.ln() / harm;
        let reason = format!("no VM failed in {} requests; {} are needed", count(requests), count(needed));
        let gate = gate.progress(requests / needed);
        return if requests >= needed { gate.says(Verdict::Pass, reason) } else { gate.undecided(reason) };
    }
    let mut counts = super::shares::counts(trial, VM_FAILURES, REQUESTS);
    counts.truncate(settled);
    let evidence = weigh(&counts, harm);
    let reason = format!(
        "VMs failed {} times in {} requests of {ring_name}, {} times in {}; {}",
        count(failures),
        count(requests),
        count(control_failures),
        trial.control_name(),
        trial.odds(&evidence)
    );
    gate.evidence(trial, &evidence).says(trial.decide(&evidence), reason)
}

/// The intervals that lie so far back that a worker which fell silent in them is known to be silent.
fn settled(history: &History) -> usize {
    let mut seconds = 0.0;
    let mut late = 0;
    for index in (0..history.intervals.len()).rev() {
        if late >= INTERVALS && seconds >= SECONDS {
            break;
        }
        seconds += history.seconds(index);
        late += 1;
    }
    history.intervals.len() - late
}

fn workers(number: usize) -> String {
    if number == 1 { "1 worker".to_owned() } else { format!("{number} workers") }
}

/// Workers that beat once, and do not any more although their proxies answer and were not restarted since.
fn silent(history: &History) -> Vec<String> {
    workers_that(history, |silence| silence.intervals >= INTERVALS && silence.seconds >= SECONDS)
        .map(|(name, _)| name)
        .collect()
}

/// The worker that has been late with its beat for longest, too late to be so by chance where requests of its proxy go uncounted: why they may.
pub(super) fn late(history: &History) -> Option<String> {
    let late = workers_that(history, |silence| silence.seconds >= LATE);
    let (name, seconds) = late.max_by(|one, other| one.1.total_cmp(&other.1))?;
    Some(format!("{name} has not ticked for {seconds:.0} s while its proxy answers, as when its VM has failed"))
}

fn workers_that(history: &History, is: impl Fn(&Silence) -> bool) -> impl Iterator<Item = (String, f64)> {
    let latest = history.snapshots.last().and_then(|latest| latest.signal(HEARTBEAT));
    let workers =
        latest.into_iter().flatten().flat_map(|(proxy, beats)| beats.keys().map(move |worker| (proxy, worker)));
    workers.filter_map(move |(proxy, worker)| {
        let silence = silence(history, proxy, worker).filter(&is)?;
        Some((format!("worker {worker} of {proxy}"), silence.seconds))
    })
}

/// For how long a worker has not beaten.
#[derive(Debug, Default)]
struct Silence {
    intervals: usize,
    seconds: f64,
}

/// `None` for one that is not known to have beaten, which cannot have stopped.
fn silence(history: &History, proxy: &str, worker: &str) -> Option<Silence> {
    let mut silence = Silence::default();
    for (index, interval) in history.intervals.iter().enumerate().rev() {
        let moved =
            interval.by_proxy(HEARTBEAT).find(|(name, _)| *name == proxy).and_then(|(_, beats)| beats.get(worker));
        match moved {
            Some(by) if *by > 0.0 => return Some(silence),
            Some(_) => {
                silence.intervals += 1;
                silence.seconds += history.seconds(index);
            }
            // Another process has other workers; a scrape that is missing says nothing of them.
            None if interval.left_out.get(proxy).is_some_and(|why| *why == RESTARTED) => return None,
            None => {}
        }
    }
    None
}
