//! Evidence that may be looked at as often as one likes.
//!
//! An e-process is a number that begins at 1 and is expected not to grow as long as its null hypothesis is true, whatever happened before. By Ville's
//! inequality it then ever reaches `1 / a` with probability `a` at most, so that it may be compared with that after every look, and a rollout may stop
//! looking when it likes. Two are kept for each comparison:
//!
//! - *against* the build: null hypothesis, the ring is no worse than its control. It fails at 1 / (its part of `policy.false_stop`).
//! - *for* the build: null hypothesis, the ring is worse by the smallest harm that matters, or more. It passes at 1 / `policy.missed_harm`.
//!
//! What is bet on, in each interval, is chosen from earlier intervals alone; several bets are made side by side, and their mean is one e-process again.

pub mod mean;
pub mod share;

/// The logarithm of a mean of numbers whose logarithms are given.
pub(super) fn ln_mean(logs: impl Iterator<Item = f64> + Clone) -> f64 {
    let count = logs.clone().count();
    let max = logs.clone().fold(f64::NEG_INFINITY, f64::max);
    if count == 0 || !max.is_finite() {
        return 0.0;
    }
    max + (logs.map(|log| (log - max).exp()).sum::<f64>() / count as f64).ln()
}

/// Both sides of a comparison so far, as natural logarithms.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Evidence {
    /// Against the build, now.
    pub against: f64,
    /// The most that it ever was.
    pub against_most: f64,
    /// For the build, now.
    pub in_favour: f64,
    /// The most that it ever was.
    pub in_favour_most: f64,
}

impl Evidence {
    pub(super) fn update(&mut self, against: f64, in_favour: f64) {
        self.against = against;
        self.in_favour = in_favour;
        self.against_most = self.against_most.max(against);
        self.in_favour_most = self.in_favour_most.max(in_favour);
    }
}
