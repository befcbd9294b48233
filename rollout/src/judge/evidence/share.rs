//! A share of what is bad, ring against control, interval by interval.
//!
//! Bad ones are taken as Poisson, which for small shares they are, and which is on the safe side for larger ones. The base rate may be any, and may change
//! with every interval, as long as both arms have the same: a busy hour or an outage behind both moves nothing. Bad ones that come in bursts to one arm
//! alone, such as one client's retries, are more than Poisson says: see the limits in `docs/rollout.md`.
//!
//! With `x_r` of `n_r` bad in the ring and `x_c` of `n_c` in the control:
//!
//! - against, for a ratio of rates `q > 1`: `x_r ln(q N / (q n_r + n_c)) + x_c ln(N / (q n_r + n_c))`, `N = n_r + n_c`. Given the total, that is the
//!   likelihood ratio of two binomials, and its expectation under equal rates is 1 for any base rate.
//! - for, for `0 < s < 1` and the smallest harm `d`: `x_r ln(1 - s) + x_c ln(1 + s n_r / n_c) + n_r s d`. Its expectation is at most
//!   `exp(-n_r s (p_r - p_c - d))`, at most 1 where `p_r >= p_c + d`.

use super::{Evidence, ln_mean};

/// Multiples of the smallest harm that are bet on.
const HARMS: [f64; 4] = [1.0, 2.0, 4.0, 16.0];
/// Factors of the best stake for the base rate as it seems, that are bet.
const STAKES: [f64; 3] = [0.5, 1.0, 2.0];
/// No stake is all.
const MOST: f64 = 0.999;

/// One interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Counts {
    /// Bad ones of the ring.
    pub ring_bad: f64,
    /// All of the ring.
    pub ring_all: f64,
    /// Bad ones of the control.
    pub control_bad: f64,
    /// All of the control.
    pub control_all: f64,
}

/// The evidence of all intervals, oldest first; those without requests in one arm say nothing.
#[must_use]
pub fn weigh(intervals: &[Counts], harm: f64) -> Evidence {
    let mut evidence = Evidence::default();
    let mut against = [0.0; HARMS.len()];
    let mut in_favour = [0.0; STAKES.len()];
    let (mut bad, mut all) = (0.0, 0.0);
    for counts in intervals.iter().filter(|counts| counts.ring_all > 0.0 && counts.control_all > 0.0) {
        let Counts { ring_bad, ring_all, control_bad, control_all } = *counts;
        // The base rate as it seems from earlier intervals; before there are any, as large as the harm.
        let base = if all > 0.0 { (bad + 0.5) / (all + 1.0) } else { harm };
        for (log, multiple) in against.iter_mut().zip(HARMS) {
            let ratio = 1.0 + multiple * harm / base;
            let (total, odds) = (ring_all + control_all, ratio * ring_all + control_all);
            *log += ring_bad * (ratio * total / odds).ln() + control_bad * (total / odds).ln();
        }
        for (log, factor) in in_favour.iter_mut().zip(STAKES) {
            let rate = base * factor;
            let stake = (((rate * rate + harm * harm).sqrt() - rate) / harm).clamp(0.001, MOST);
            *log += ring_bad * (1.0 - stake).ln()
                + control_bad * (stake * ring_all / control_all).ln_1p()
                + ring_all * stake * harm;
        }
        bad += ring_bad + control_bad;
        all += ring_all + control_all;
        evidence.update(ln_mean(against.iter().copied()), ln_mean(in_favour.iter().copied()));
    }
    evidence
}

#[cfg(test)]
mod tests {
    use rand::{Rng, RngExt as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn poisson(rng: &mut impl Rng, mean: f64) -> f64 {
        let (mut count, mut product) = (0.0, rng.random::<f64>());
        while product > (-mean).exp() {
            product *= rng.random::<f64>();
            count += 1.0;
        }
        count
    }

    /// How often each side ever reaches its limit, of `runs`: with these rates, 60 intervals, and as many requests in each.
    fn reached(
        seed: u64,
        runs: u32,
        rates: impl Fn(usize) -> (f64, f64),
        requests: (f64, f64),
        limit: f64,
    ) -> (f64, f64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut against, mut in_favour) = (0, 0);
        for _ in 0..runs {
            let intervals: Vec<Counts> = (0..60)
                .map(|at| {
                    let (ring, control) = rates(at);
                    Counts {
                        ring_bad: poisson(&mut rng, ring * requests.0),
                        ring_all: requests.0,
                        control_bad: poisson(&mut rng, control * requests.1),
                        control_all: requests.1,
                    }
                })
                .collect();
            let evidence = weigh(&intervals, 0.005);
            against += u32::from(evidence.against_most >= limit);
            in_favour += u32::from(evidence.in_favour_most >= limit);
        }
        (f64::from(against) / f64::from(runs), f64::from(in_favour) / f64::from(runs))
    }

    #[test]
    fn where_nothing_is_wrong_evidence_against_is_rare_whatever_the_day_does() {
        let limit = 20.0_f64.ln();
        let day = |at: usize| 0.002 + 0.03 * ((at as f64) / 9.0).sin().powi(2);
        for requests in [(200.0, 200.0), (50.0, 400.0), (400.0, 50.0)] {
            let (against, _) = reached(1, 2_000, |at| (day(at), day(at)), requests, limit);
            assert!(against <= 0.05, "{against} for {requests:?}");
        }
        let (_, in_favour) = reached(2, 300, |_| (0.001, 0.001), (200.0, 200.0), limit);
        assert!(in_favour > 0.95, "{in_favour}");
    }

    #[test]
    fn the_smallest_harm_rarely_passes_and_is_mostly_stopped() {
        let limit = 20.0_f64.ln();
        for (base, requests) in
            [(0.0, (200.0, 200.0)), (0.01, (200.0, 200.0)), (0.01, (50.0, 400.0)), (0.03, (400.0, 100.0))]
        {
            let (_, in_favour) = reached(3, 2_000, |_| (base + 0.005, base), requests, limit);
            assert!(in_favour <= 0.05, "{in_favour} for {base}, {requests:?}");
        }
        let (against, _) = reached(4, 300, |_| (0.007, 0.002), (300.0, 300.0), 3_000.0_f64.ln());
        assert!(against > 0.95, "{against}");
    }

    #[test]
    fn none_in_many_is_evidence_and_no_requests_are_none() {
        let none = Counts { ring_bad: 0.0, ring_all: 1_000.0, control_bad: 0.0, control_all: 1_000.0 };
        let evidence = weigh(&[none], 0.005);
        assert!(evidence.in_favour > 2.0 && evidence.in_favour < 5.0 && evidence.against <= 0.0, "{evidence:?}");
        let empty = Counts { ring_all: 0.0, ..none };
        assert_eq!(weigh(&[empty, Counts { control_all: 0.0, ..none }], 0.005), Evidence::default());
    }
}
