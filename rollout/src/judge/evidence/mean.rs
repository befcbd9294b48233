//! A mean, ring against control, by the differences of intervals.
//!
//! Where both arms are equal, a difference is as likely as the same difference with the other sign, whatever its distribution, its variance, and whatever
//! the hour does to both. So `2 / (1 + exp(-2 l d))` is expected to be 1 for any stake `l` (de la Peña, "A general class of exponential inequalities for
//! martingales and ratios", 1999), and at most 1 where the ring tends to be better. It is at most 2: a single interval proves little, and one that is far
//! out proves no more than any other. The same holds for `d` cut off at some distance on both sides, so that one interval that is far out cannot take
//! back what all others have shown either.
//!
//! For the build the difference is taken as the smallest harm less the difference; against it as what it is beyond a part of the smallest harm that is of
//! no matter: two groups of proxies are never quite equal, and what is small and steady would be proven in the end.

use super::{Evidence, ln_mean};

/// Factors of the best stake that are bet.
const STAKES: [f64; 4] = [0.25, 0.5, 1.0, 2.0];
/// So many intervals only show how much they vary.
const LEARNED_FROM: usize = 4;
/// A difference of less than this part of the smallest harm stops nothing.
const OF_NO_MATTER: f64 = 0.25;
/// Where differences are cut off, in deviations from their middle.
const FAR_OUT: f64 = 2.0;

/// The evidence of all differences, oldest first; each with the smallest harm that matters there.
#[must_use]
pub fn weigh(differences: &[(f64, f64)]) -> Evidence {
    let mut evidence = Evidence::default();
    let mut against = [0.0; STAKES.len()];
    let mut in_favour = [0.0; STAKES.len()];
    let mut seen = Spread::default();
    for &(difference, harm) in differences {
        if seen.sorted.len() >= LEARNED_FROM && harm > 0.0 {
            // Differences that hardly vary would make any stake good; a tenth of the harm is little enough.
            let deviation = seen.deviation().max(harm / 10.0);
            let most = FAR_OUT * deviation;
            let worse = (difference - OF_NO_MATTER * harm).clamp(-most, most);
            let better = (harm - difference).clamp(-most, most);
            for (index, factor) in STAKES.into_iter().enumerate() {
                let stake = factor * harm / deviation.powi(2);
                add(&mut against, index, stake * worse);
                add(&mut in_favour, index, stake * better);
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

/// How far what was seen lies around its middle: by the median of the distances from the median, which a few that are far out do not move.
#[derive(Debug, Default)]
struct Spread {
    sorted: Vec<f64>,
    deviation: f64,
    /// How many have to be seen before the deviation is taken anew: a few among many hardly move it, and all looks are weighed again at each.
    due: usize,
}

impl Spread {
    fn take(&mut self, value: f64) {
        let at = self.sorted.partition_point(|other| other.total_cmp(&value).is_lt());
        self.sorted.insert(at, value);
    }

    /// What is a standard deviation where values are normal; with few values somewhat more, since they may be close by chance.
    fn deviation(&mut self) -> f64 {
        let count = self.sorted.len();
        if count >= self.due {
            let middle = median(&self.sorted);
            let mut distances: Vec<f64> = self.sorted.iter().map(|value| (value - middle).abs()).collect();
            distances.sort_unstable_by(f64::total_cmp);
            self.deviation = 1.4826 * median(&distances) * (1.0 + 1.0 / count.max(1) as f64);
            self.due = count + 1 + count / 16;
        }
        self.deviation
    }
}

fn median(sorted: &[f64]) -> f64 {
    let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 { at(half) } else { f64::midpoint(at(half.saturating_sub(1)), at(half)) }
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
    fn a_small_steady_difference_stops_nothing_and_a_few_far_out_hide_no_harm() {
        let limit = 3_000.0_f64.ln();
        assert!(reached(9, 300, |rng| 0.2 + 0.02 * normal(rng), limit).0 < 0.01);
        // One interval in ten is off by fifty harms, to either side.
        let bursts = |rng: &mut ChaCha8Rng| {
            let far = if rng.random::<f64>() < 0.1 { 50.0 * normal(rng) } else { 0.0 };
            far + 0.5 * normal(rng)
        };
        assert!(reached(10, 300, |rng| 1.0 + bursts(rng), limit).0 > 0.95);
        assert!(reached(11, 300, bursts, 20.0_f64.ln()).1 > 0.95);
        assert!(reached(12, 2_000, |rng| 1.0 + bursts(rng), 20.0_f64.ln()).1 <= 0.05);
        assert!(reached(13, 2_000, bursts, 20.0_f64.ln()).0 <= 0.05);
    }

    #[test]
    fn an_interval_proves_two_to_one_at_most() {
        let evidence = weigh(&[(0.0, 1.0), (0.0, 1.0), (0.0, 1.0), (0.0, 1.0), (1e300, 1.0)]);
        assert!(evidence.against <= std::f64::consts::LN_2 + 1e-12 && evidence.against > 0.69, "{evidence:?}");
        assert_eq!(weigh(&[(5.0, 1.0); 4]), Evidence::default());
        assert!(weigh(&[(0.0, 1.0), (0.0, 1.0), (0.0, 1.0), (0.0, 1.0), (-1e300, 1.0)]).against.is_finite());
    }
}
