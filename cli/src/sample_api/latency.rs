//! How long a route takes: a log-normal distribution around a median of its own, with a rare slow call.

use std::f64::consts::TAU;
use std::time::Duration;

use rand::RngExt;

/// One slow call in so many.
const SLOW_ONE_IN: u32 = 500;

/// The distribution of one route.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Latency {
    median_ms: f64,
    slow: bool,
}

impl Latency {
    /// A probe: a millisecond or so, never slow.
    pub(super) const PROBE: Self = Self { median_ms: 1.0, slow: false };

    /// The distribution of a template: a median of 4 to 40 ms, the same in every run.
    pub(super) fn of(template: &str) -> Self {
        // FNV-1a: spread, stable across runs and platforms.
        let hash = template
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let position = u8::try_from(hash >> 56).unwrap_or(0);
        Self { median_ms: 4.0 * 10.0_f64.powf(f64::from(position) / 255.0), slow: true }
    }

    /// One call; a write takes twice as long as a read.
    pub(super) fn draw(self, rng: &mut impl RngExt, write: bool, scale: f64) -> Duration {
        let seconds = if self.slow && rng.random_ratio(1, SLOW_ONE_IN) {
            rng.random_range(2.05..3.5)
        } else {
            // Box-Muller; the first draw is never 0.
            let normal = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt() * (TAU * rng.random::<f64>()).cos();
            self.median_ms / 1_000.0 * (0.5 * normal).exp() * if write { 2.0 } else { 1.0 }
        };
        Duration::from_secs_f64((seconds * scale).min(60.0))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn most_calls_are_quick_and_a_few_pass_two_seconds() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut seconds: Vec<f64> =
            (0..20_000).map(|_| Latency::of("/api/v1/deployments/").draw(&mut rng, false, 1.0).as_secs_f64()).collect();
        seconds.sort_by(f64::total_cmp);
        let median = seconds[seconds.len() / 2];
        assert!((0.003..0.05).contains(&median), "{median}");
        let slow = seconds.iter().filter(|s| **s > 2.0).count();
        assert!((15..=80).contains(&slow), "{slow}");
    }

    #[test]
    fn scale_and_probes() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        assert_eq!(Latency::of("/x").draw(&mut rng, true, 0.0), Duration::ZERO);
        let longest = (0..10_000).map(|_| Latency::PROBE.draw(&mut rng, false, 1.0)).max().unwrap();
        assert!(longest < Duration::from_millis(100), "{longest:?}");
    }
}
