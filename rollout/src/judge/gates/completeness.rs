//! `completeness`: whether the filter counts what its proxy counts.
//!
//! The two are compared over the whole time, proxy by proxy. Both ends of it are blurred: the filter hands its counts over once a second, and the two are
//! scraped at two moments. The moments are known, so that the proxy's count can be taken at the filter's; what is left is a tick of requests at either
//! end. Only what is beyond that is held against the build, and only what is within the allowed share with it speaks for it.

use super::{Gate, Trial, count, percent};
use crate::judge::series::{History, OTHER_BUILD, Snapshot};
use crate::judge::signals::{COUNTED, COUNTED_AT, REQUESTS, REQUESTS_AT, UPTIME};
use crate::judge::{Arm, GateVerdict, Verdict};

/// How late counts may be handed over, in seconds; and as much again for a request that is counted by one and not yet by the other.
const TICK: f64 = 1.5;

/// What was counted by both, as far as a proxy can be relied on.
#[derive(Debug, Default, Clone, Copy)]
struct Books {
    proxy: f64,
    filter: f64,
    /// By how much the difference may be off: requests of a tick, …
    late: f64,
    /// … and the variance of how many that may be.
    chance: f64,
}

impl Books {
    /// Four standard deviations: what chance adds is added up as such, and it is looked at again and again.
    fn blur(&self) -> f64 {
        self.late + 4.0 * self.chance.sqrt()
    }
}

pub(super) fn completeness(trial: &Trial<'_>, allowed: f64) -> GateVerdict {
    let gate = Gate::new("completeness").number("allowed_share", allowed);
    let books = books(&trial.ring);
    let missing = books.proxy - books.filter;
    let share = |number: f64| if books.proxy > 0.0 { number / books.proxy } else { 0.0 };
    // How many of so many are lost, if the share that is allowed is, is a matter of chance too.
    let blur = books.blur() + 2.0 * (allowed * books.proxy).sqrt();
    let (least, most) = (share((missing.abs() - blur).max(0.0)), share(missing.abs() + blur));
    let gate = gate
        .number("requests", books.proxy)
        .number("counted", books.filter)
        .number("blur", blur)
        .history(trial.ring.intervals.iter().map(|interval| {
            let all = interval.sum(REQUESTS);
            ((all > 0.0).then(|| interval.sum(COUNTED) / all), None)
        }))
        .progress(allowed / most.max(allowed));
    let what = if missing >= 0.0 { "did not count" } else { "counted too many:" };
    let reason = format!(
        "of {} requests of {} the filter {what} {}, ± {}: {} to {}; {} is allowed",
        count(books.proxy),
        trial.ring_name(),
        count(missing.abs()),
        count(blur),
        percent(least),
        percent(most),
        percent(allowed)
    );
    if books.proxy > 0.0 && least > allowed {
        let why = super::traps::late(&trial.ring).map_or_else(String::new, |late| format!("; {late}"));
        return gate.says(Verdict::Fail, reason + &why);
    }
    for signal in [REQUESTS, COUNTED] {
        if let Some(why) = trial.missing(signal, Arm::Ring) {
            return gate.undecided(why);
        }
    }
    if books.proxy == 0.0 {
        return gate.undecided(format!("no requests in {} yet", trial.ring_name()));
    }
    if most <= allowed { gate.says(Verdict::Pass, reason) } else { gate.undecided(reason) }
}

fn books(history: &History) -> Books {
    let mut total = Books::default();
    let proxies: std::collections::BTreeSet<&String> =
        history.intervals.iter().flat_map(|interval| interval.by_proxy(COUNTED).map(|(proxy, _)| proxy)).collect();
    for proxy in proxies {
        let mut add = |from: Option<usize>, to: usize| {
            let Some(from) = from.filter(|from| *from < to) else { return };
            let books = stretch(history, proxy, from, to);
            total.proxy += books.proxy;
            total.filter += books.filter;
            total.late += books.late;
            total.chance += books.chance;
        };
        // Each stretch without a restart or another build has two blurred ends of its own; a scrape that is missing ends none.
        let (mut from, mut latest) = (None, 0);
        for (index, snapshot) in history.snapshots.iter().enumerate() {
            if ends(history, proxy, index) {
                add(from.take(), latest);
            }
            if reading(snapshot, proxy).is_some() && !builds_differ(history, proxy, index) {
                from = from.or(Some(index));
                latest = index;
            }
        }
        add(from, latest);
    }
    total
}

/// Whether a proxy's counts cannot be followed past a look: one of them is lower than when it was last seen, or it runs another build.
fn ends(history: &History, proxy: &str, index: usize) -> bool {
    let went_back = |signal: &str| {
        let now = history.snapshots.get(index).and_then(|snapshot| snapshot.sum(signal, proxy));
        let earlier = history.snapshots.iter().take(index).rev();
        let before = earlier.filter_map(|snapshot| snapshot.sum(signal, proxy)).next();
        now.zip(before).is_some_and(|(now, before)| now < before)
    };
    [REQUESTS, COUNTED, UPTIME].into_iter().any(went_back) || builds_differ(history, proxy, index)
}

/// Whether a proxy says that it runs another build than at the interval's other end.
fn builds_differ(history: &History, proxy: &str, index: usize) -> bool {
    let left_out = |interval: Option<&crate::judge::series::Interval>| {
        interval.and_then(|interval| interval.left_out.get(proxy)).is_some_and(|why| *why == OTHER_BUILD)
    };
    left_out(history.intervals.get(index))
        || index.checked_sub(1).is_some_and(|before| left_out(history.intervals.get(before)))
}

/// From one look to another.
fn stretch(history: &History, proxy: &str, from: usize, to: usize) -> Books {
    let at = |index: usize| history.snapshots.get(index);
    let (Some(first), Some(last)) = (at(from), at(to)) else { return Books::default() };
    let (Some(begin), Some(end)) = (reading(first, proxy), reading(last, proxy)) else { return Books::default() };
    let seconds = end.proxy_at - begin.proxy_at;
    let requests = end.proxy - begin.proxy;
    if seconds <= 0.0 {
        return Books::default();
    }
    let rate = requests / seconds;
    // The proxy's count at the moment of the filter's.
    let moved = |reading: &Reading, near: Option<Reading>| {
        let apart = reading.filter_at - reading.proxy_at;
        let local = near.and_then(|near| {
            let between = (near.proxy_at - reading.proxy_at).abs();
            (between > 0.0).then(|| (near.proxy - reading.proxy).abs() / between)
        });
        reading.proxy + apart * local.unwrap_or(rate)
    };
    let after = at(from + 1).and_then(|snapshot| reading(snapshot, proxy));
    let before = to.checked_sub(1).and_then(at).and_then(|snapshot| reading(snapshot, proxy));
    let at_begin = moved(&begin, after);
    let at_end = moved(&end, before);
    let late = rate * TICK;
    // At both ends: how many came within the tick, and between the two scrapes, which the rate tells only on average.
    let apart = |reading: &Reading| (reading.filter_at - reading.proxy_at).abs();
    let chance = 2.0 * late + rate * (apart(&begin) + apart(&end));
    Books { proxy: at_end - at_begin, filter: end.filter - begin.filter, late, chance }
}

struct Reading {
    proxy: f64,
    proxy_at: f64,
    filter: f64,
    filter_at: f64,
}

fn reading(snapshot: &Snapshot, proxy: &str) -> Option<Reading> {
    let filter_at = snapshot.sum(COUNTED_AT, proxy)?;
    Some(Reading {
        proxy: snapshot.sum(REQUESTS, proxy)?,
        proxy_at: snapshot.sum(REQUESTS_AT, proxy)?,
        filter: snapshot.sum(COUNTED, proxy)?,
        filter_at,
    })
}
