//! A mean, ring against control, by the differences of intervals.
//!
//! Where both arms are equal, a difference is as likely as the same difference with the other sign, whatever its distribution, its variance, and whatever
//! the hour does to both. So `2 / (1 + exp(-2 l d))` is expected to be 1 for any stake `l` (de la Peña, "A general class of exponential inequalities for
//! martingales and ratios", 1999), and at most 1 where the ring tends to be better. It is at most 2: a single interval proves little, and one that is far
//! out proves no more than any other. Against the build the difference is taken as it is, for it as the smallest harm less the difference.

use super::{Evidence, ln_mean};

/// Factors of the best stake that are bet.
const STAKES: [f64; 4] = [0.5, 1.0, 2.0, 4.0];
/// So many intervals only show how much they vary.
const LEARNED_FROM: usize = 2;

/// The evidence of all differences, oldest first; each with the smallest harm that matters there.
#[must_use]
pub fn weigh(differences: &[(f64, f64)]) -> Evidence {
    let mut evidence = Evidence::default();
    let mut against = [0.0; STAKES.len()];
    let mut in_favour = [0.0; STAKES.len()];
    let mut seen = Spread::default();
    for &(difference, harm) in differences {
        if seen.count >= LEARNED_FROM && harm > 0.0 {
            // Differences that hardly vary would make any stake good; a tenth of the harm is little enough.
            let variance = seen.variance().max((harm / 10.0).powi(2));
            for (index, factor) in STAKES.into_iter().enumerate() {
                let stake = factor * harm / variance;
                add(&mut against, index, stake * difference);
                add(&mut in_favour, index, stake * (harm - difference));
            }
            evidence.update(ln_mean(against.iter().copied()), ln_mean(in_favour.iter().copied()));
        }
        seen.take(difference);
    }
    evidence
}

/// Adds `ln(2 / (1 + exp(-2 x)))`, without an overflow.
fn add(logs: &mut [f64], index: usize, x: f64) {
    let softplus = (-2.0 * x).max(0.0) + (-(2.0 * x).abs()).exp().ln_1p();
    if let Some(log) = logs.get_mut(index) {
        *log += std::f64::consts::LN_2 - softplus;
    }
}

/// Mean and variance of what was seen (Welford).
#[derive(Debug, Default)]
struct Spread {
    count: usize,
    mean: f64,
    squares: f64,
}

impl Spread {
    fn take(&mut self, value: f64) {
        self.count += 1;
        let from = value - self.mean;
        self.mean += from / self.count as f64;
        self.squares += from * (value - self.mean);
    }

    fn variance(&self) -> f64 {
        self.squares / (self.count.saturating_sub(1).max(1)) as f64
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn reached(seed: u64, runs: u32, difference: impl Fn(&mut ChaCha8Rng) -> f64, limit: f64) -> (f64, f64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut against, mut in_favour) = (0, 0);
        for _ in 0..runs {
            let differences: Vec<(f64, f64)> = (0..120).map(|_| (difference(&mut rng), 1.0)).collect();
            let evidence = weigh(&differences);
            against += u32::from(evidence.against_most >= limit);
            in_favour += u32::from(evidence.in_favour_most >= limit);
        }
        (f64::from(against) / f64::from(runs), f64::from(in_favour) / f64::from(runs))
    }

    fn normal(rng: &mut ChaCha8Rng) -> f64 {
        (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
    }

    /// Cauchy: it has no variance, and no mean.
    fn wild(rng: &mut ChaCha8Rng) -> f64 {
        (std::f64::consts::PI * (rng.random::<f64>() - 0.5)).tan()
    }

    #[test]
    fn where_nothing_is_wrong_evidence_against_is_rare_whatever_the_distribution() {
        let limit = 20.0_f64.ln();
        assert!(reached(1, 2_000, normal, limit).0 <= 0.05);
        assert!(reached(2, 2_000, wild, limit).0 <= 0.05);
        assert!(reached(3, 2_000, |rng| 0.01 * normal(rng), limit).0 <= 0.05);
        assert!(reached(4, 300, |rng| 0.5 * normal(rng), limit).1 > 0.95);
    }

    #[test]
    fn the_smallest_harm_rarely_passes_and_is_mostly_stopped() {
        let limit = 20.0_f64.ln();
        assert!(reached(5, 2_000, |rng| 1.0 + normal(rng), limit).1 <= 0.05);
        assert!(reached(6, 2_000, |rng| 1.0 + wild(rng), limit).1 <= 0.05);
        assert!(reached(7, 300, |rng| 1.0 + normal(rng), 3_000.0_f64.ln()).0 > 0.95);
        assert!(reached(8, 300, |rng| 1.0 + 0.3 * normal(rng), 1e5_f64.ln()).0 > 0.95);
    }

    #[test]
    fn an_interval_proves_two_to_one_at_most() {
        let evidence = weigh(&[(0.0, 1.0), (0.0, 1.0), (1e300, 1.0)]);
        assert!(evidence.against <= std::f64::consts::LN_2 + 1e-12 && evidence.against > 0.69, "{evidence:?}");
        assert_eq!(weigh(&[(5.0, 1.0), (5.0, 1.0)]), Evidence::default());
        assert!(weigh(&[(0.0, 1.0), (0.0, 1.0), (-1e300, 1.0)]).against.is_finite());
    }
}
