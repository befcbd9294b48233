//! `series`: how many series of the filter a proxy has.

use super::{Gate, Trial, count, percent};
use crate::judge::series::Snapshot;
use crate::judge::signals::{BUDGET, SERIES};
use crate::judge::{Arm, GateVerdict, Verdict};

/// So many looks in a row; one may fall between the first requests of new endpoints.
const LASTING: usize = 3;
/// So many series more are no harm, whatever share they are.
const FLOOR: f64 = 50.0;

/// The most that a proxy of an arm has.
fn most(snapshot: &Snapshot) -> Option<f64> {
    snapshot.signal(SERIES)?.values().map(|values| values.values().sum::<f64>()).reduce(f64::max)
}

/// Of the ring's proxies, one that has more than its budget.
fn over_budget(snapshot: &Snapshot) -> Option<(String, f64, f64)> {
    snapshot.signal(SERIES)?.iter().find_map(|(proxy, values)| {
        let (series, budget) = (values.values().sum::<f64>(), snapshot.sum(BUDGET, proxy)?);
        (budget > 0.0 && series > budget).then(|| (proxy.clone(), series, budget))
    })
}

pub(super) fn series(trial: &Trial<'_>, harm: f64) -> GateVerdict {
    let gate = Gate::new("series").number("smallest_harm_share", harm);
    let ring: Vec<Option<f64>> = trial.ring.snapshots.iter().map(most).collect();
    let control: Vec<Option<f64>> = match &trial.control {
        Some(control) => control.snapshots.iter().map(most).collect(),
        None => vec![None; ring.len()],
    };
    let gate = gate.history(ring.iter().copied().zip(control.iter().copied()).collect::<Vec<_>>());
    if let Some((proxy, series, budget)) = trial.ring.snapshots.last().and_then(over_budget) {
        let reason = format!("{proxy} has {} series, its configuration allows {}", count(series), count(budget));
        return gate.number("series", series).number("budget", budget).says(Verdict::Fail, reason);
    }
    if let Some(why) = trial.missing(SERIES, Arm::Ring) {
        return gate.undecided(why);
    }
    let Some(now) = ring.last().copied().flatten() else { return gate.undecided("no series were counted yet") };
    let gate = gate.number("series", now);
    if trial.control.is_none() {
        return gate.says(
            Verdict::Pass,
            format!("{} series at most; not compared: no ring runs the build before any more", count(now)),
        );
    }
    if let Some(why) = trial.missing(SERIES, Arm::Control) {
        return gate.undecided(why);
    }
    let excess = |(ring, control): (&Option<f64>, &Option<f64>)| match (ring, control) {
        (Some(ring), Some(control)) => *ring > control * (1.0 + harm) && *ring > control + FLOOR,
        _ => false,
    };
    let latest = control.last().copied().flatten().unwrap_or_default();
    let gate = gate.number("series_control", latest);
    let reason = format!(
        "a proxy of {} has {} series, of {} {}; {} more are allowed",
        trial.ring_name(),
        count(now),
        trial.control_name(),
        count(latest),
        percent(harm)
    );
    // What goes on growing beyond the control's, which does not, is not through yet, however little more it is.
    let back = ring.len() - ring.len() / 3;
    let grown = |counts: &[Option<f64>]| {
        Some(counts.last().copied().flatten()? - counts.get(back.checked_sub(1)?).copied().flatten()?)
    };
    let growing = match (grown(&ring), grown(&control)) {
        (Some(here), Some(there)) => now > latest && here > 2.0 * there.max(0.0) + FLOOR / 5.0,
        _ => false,
    };
    let over = ring.iter().zip(&control).rev().take_while(|pair| excess(*pair)).count();
    if over >= LASTING {
        gate.says(Verdict::Fail, reason)
    } else if over > 0 {
        gate.undecided(reason)
    } else if growing {
        gate.undecided(format!("{reason}; they go on growing there and not here"))
    } else if ring.len() < LASTING {
        gate.progress(ring.len() as f64 / LASTING as f64).undecided(format!("{reason}; {} looks are needed", LASTING))
    } else {
        gate.says(Verdict::Pass, reason)
    }
}
