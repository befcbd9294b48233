//! `liveness`: the build is reported by every proxy of the ring, nothing else is, and every thread ticks.

use std::collections::BTreeSet;

use super::{Gate, Trial};
use crate::judge::series::Snapshot;
use crate::judge::signals::{BUILD, HEARTBEAT, REQUESTS, THREADS};
use crate::judge::{Arm, GateVerdict, Verdict};

/// So many looks in a row make another build, or none.
const LASTING: usize = 4;
/// So many make a lost quorum: those that say nothing may be scrapes that failed.
const SILENT: usize = 6;

/// Who runs what at one look.
struct Census {
    /// Proxies that report the build and nothing else.
    on: BTreeSet<String>,
    /// Proxies that report another build, or two, with what.
    off: Vec<(String, String)>,
}

fn census(snapshot: &Snapshot, digest: Option<&str>) -> Census {
    let mut census = Census { on: BTreeSet::new(), off: Vec::new() };
    for proxy in snapshot.proxies() {
        match (snapshot.builds(proxy).as_slice(), digest) {
            ([one], Some(digest)) if *one == digest => _ = census.on.insert(proxy.clone()),
            ([_], None) => _ = census.on.insert(proxy.clone()),
            ([], _) => {}
            (others, _) => census.off.push((proxy.clone(), others.join(" and "))),
        }
    }
    census
}

pub(super) fn liveness(trial: &Trial<'_>) -> GateVerdict {
    let ring = trial.case.ring;
    let expected = ring.expected as usize;
    let digest = trial.case.digest;
    let gate = Gate::new("liveness").number("expected_proxies", expected as f64);
    if let Some(why) = trial.missing(BUILD, Arm::Ring) {
        // Nobody reports a build: a filter that is not there reports nothing.
        let silent = |snapshot: &Snapshot| snapshot.signal(BUILD).is_some_and(|values| values.is_empty());
        if lasting(trial, LASTING, silent) {
            return gate.says(
                Verdict::Fail,
                format!("no proxy of {} reports a build, at {LASTING} looks in a row", trial.ring_name()),
            );
        }
        return gate.undecided(why);
    }
    let counts = trial.ring.snapshots.iter().map(|snapshot| (Some(census(snapshot, digest).on.len() as f64), None));
    let gate = gate.history(counts);
    let Some(latest) = trial.ring.snapshots.last() else { return gate.undecided("nothing was looked at yet") };
    let now = census(latest, digest);
    let gate =
        gate.number("proxies_on_the_build", now.on.len() as f64).progress(now.on.len() as f64 / expected.max(1) as f64);
    let build = digest.map_or_else(|| "a build".to_owned(), |digest| format!("build {digest}"));
    let quorum = trial.case.plan.policy.quorum * expected as f64;
    let lost = |snapshot: &Snapshot| {
        snapshot.signal(BUILD).is_some() && (census(snapshot, digest).on.len() as f64) < quorum - 1e-9
    };
    if let Some((proxy, other)) = now.off.first() {
        let reason = format!("{proxy} reports {other}, not {build}");
        let other_build = |snapshot: &Snapshot| !census(snapshot, digest).off.is_empty();
        return if lasting(trial, LASTING, other_build) {
            gate.says(Verdict::Fail, reason)
        } else {
            gate.undecided(reason)
        };
    }
    if lasting(trial, SILENT, lost) {
        let reason = format!(
            "lost quorum: {} of {expected} proxies report {build}, at {SILENT} looks in a row; {} are needed",
            now.on.len(),
            quorum.ceil()
        );
        return gate.says(Verdict::Fail, reason);
    }
    if (now.on.len() as f64) < quorum - 1e-9 {
        return gate.undecided(format!("{} of {expected} proxies report {build}", now.on.len()));
    }
    match beating(trial, latest, &now.on) {
        Ok(threads) => {
            gate.says(Verdict::Pass, format!("{} proxies report {build}, {threads} threads tick", now.on.len()))
        }
        Err(why) => gate.undecided(why),
    }
}

/// Whether something has been so at the latest looks, all of which were answered.
fn lasting(trial: &Trial<'_>, looks: usize, so: impl Fn(&Snapshot) -> bool) -> bool {
    let snapshots = &trial.ring.snapshots;
    snapshots.len() >= looks && snapshots.iter().rev().take(looks).all(so)
}

/// How many threads tick, or who does not.
fn beating(trial: &Trial<'_>, latest: &Snapshot, proxies: &BTreeSet<String>) -> Result<usize, String> {
    if let Some(why) = trial.missing(HEARTBEAT, Arm::Ring) {
        return Err(why);
    }
    let mut ticking = 0;
    for proxy in proxies {
        let now = latest.of_proxy(HEARTBEAT, proxy).ok_or_else(|| format!("{proxy} has no heartbeat"))?;
        // The last three intervals: a scrape may fall twice into one tick.
        let earlier = trial.ring.snapshots.iter().rev().skip(1).take(3);
        let before: Vec<_> = earlier.filter_map(|snapshot| snapshot.of_proxy(HEARTBEAT, proxy)).collect();
        if before.is_empty() {
            return Err(format!("{proxy} was seen once; whether it ticks shows at the next look"));
        }
        let moves = |(worker, value): &(&String, &f64)| {
            before.iter().any(|old| old.get(*worker).is_none_or(|old| old != *value))
        };
        let moving = now.iter().filter(moves).count();
        ticking += moving;
        let threads = latest.sum(THREADS, proxy);
        if let Some(threads) = threads.filter(|threads| (moving as f64) < *threads) {
            return Err(format!("{moving} of {threads} threads of {proxy} tick"));
        }
        if moving == 0 && latest.sum(REQUESTS, proxy).is_some() {
            return Err(format!("no thread of {proxy} ticks"));
        }
    }
    Ok(ticking)
}
