//! Whether memory stopped growing: a slope that single spikes cannot move, and what it comes to.

use serde::Serialize;

/// The part of a run that memory has to settle in: a quarter, thirty seconds of two minutes.
const SETTLING: f64 = 0.25;
/// Fewer samples than this after that time say nothing.
const FEWEST: usize = 20;
/// What growth over the rest of the run is put down to the allocator: this share of the memory …
const TOLERATED_SHARE: f64 = 0.02;
/// … and at least this much.
const TOLERATED_LEAST: f64 = 2.0 * 1024.0 * 1024.0;

/// Memory over a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Memory {
    /// Bytes, one sample a second.
    pub samples: Vec<u64>,
    /// From which second on growth is judged.
    pub judged_from_s: f64,
    /// The median slope over the rest, in bytes a second (Theil–Sen); `None` for a run that is too short to say.
    pub slope: Option<f64>,
    /// What that slope comes to over the rest of the run, in bytes.
    pub growth: Option<f64>,
    /// What is tolerated, in bytes.
    pub tolerated: f64,
}

impl Memory {
    /// Judges samples of `(seconds, bytes)`: after a quarter of the run, and not before `complete`, the second by which every series had come. (A
    /// series takes memory once. At full rate the last one comes long before that quarter is over; a slow load makes them later.)
    pub fn new(samples: &[(f64, u64)], complete: f64) -> Self {
        let last = samples.last().map_or(0.0, |(at, _)| *at);
        let judged_from_s = (last * SETTLING).max(complete);
        #[expect(clippy::cast_precision_loss, reason = "bytes of memory are below 2^53")]
        let rest: Vec<(f64, f64)> =
            samples.iter().filter(|(at, _)| *at >= judged_from_s).map(|(at, bytes)| (*at, *bytes as f64)).collect();
        let slope = if rest.len() < FEWEST { None } else { theil_sen(&rest) };
        let level = median(rest.iter().map(|(_, bytes)| *bytes).collect()).unwrap_or_default();
        Self {
            samples: samples.iter().map(|(_, bytes)| *bytes).collect(),
            judged_from_s,
            slope,
            growth: slope.map(|slope| slope * (last - judged_from_s)),
            tolerated: (level * TOLERATED_SHARE).max(TOLERATED_LEAST),
        }
    }

    /// Whether it stopped growing; `None` for a run that is too short to say.
    pub fn is_settled(&self) -> Option<bool> {
        self.growth.map(|growth| growth <= self.tolerated)
    }
}

/// The median of the slopes between all pairs: up to 29 % of the samples may be anything at all.
fn theil_sen(points: &[(f64, f64)]) -> Option<f64> {
    // An hour has 3,600 samples and six million pairs; more are thinned out.
    let step = points.len().div_ceil(600).max(1);
    let points: Vec<_> = points.iter().step_by(step).collect();
    let slopes = points.iter().enumerate().flat_map(|(index, (x, y))| {
        points
            .iter()
            .skip(index + 1)
            .filter(move |(later, _)| later > x)
            .map(move |(later, above)| (above - y) / (later - x))
    });
    median(slopes.collect())
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    let middle = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    let (below, at, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let at = *at;
    if below.len() < middle || values.len() % 2 == 1 {
        return Some(at);
    }
    let below = values.iter().take(middle).copied().max_by(f64::total_cmp)?;
    Some(f64::midpoint(below, at))
}

/// The samples in one line of at most `width` characters, from the least to the most.
pub(super) fn sparkline(samples: &[f64], width: usize) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let per = samples.len().div_ceil(width.max(1)).max(1);
    let means: Vec<f64> = samples
        .chunks(per)
        .map(|chunk| {
            #[expect(clippy::cast_precision_loss, reason = "a handful of samples")]
            let number = chunk.len() as f64;
            chunk.iter().sum::<f64>() / number
        })
        .collect();
    let least = means.iter().copied().min_by(f64::total_cmp).unwrap_or_default();
    let most = means.iter().copied().max_by(f64::total_cmp).unwrap_or_default();
    means
        .iter()
        .map(|mean| {
            let share = if most > least { (mean - least) / (most - least) } else { 0.0 };
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 7")]
            let level = (share * 7.0).round() as usize;
            LEVELS.get(level).copied().unwrap_or('█')
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn judged(bytes: impl Fn(u64) -> u64) -> Memory {
        let samples: Vec<(f64, u64)> = (0..=120).map(|second| (second as f64, bytes(second))).collect();
        Memory::new(&samples, 0.0)
    }

    #[test]
    fn what_settles_in_the_first_quarter_is_settled_whatever_spikes_come_later() {
        let memory = judged(|s| (if s < 25 { 60 + 4 * s } else { 160 } + if s % 10 == 3 { 300 } else { 0 }) * MIB);
        assert_eq!(memory.judged_from_s, 30.0);
        assert_eq!(memory.growth, Some(0.0));
        assert_eq!(memory.is_settled(), Some(true));
    }

    #[test]
    fn a_slow_leak_is_found_in_the_noise() {
        // 40 KiB a second: eight bytes for each of 5,000 requests.
        let memory = judged(|s| 150 * MIB + s * 40 * 1024 + (s * 7919 % 13) * 50_000);
        let growth = memory.growth.unwrap();
        assert!((3.0e6..4.5e6).contains(&growth), "{growth}");
        assert_eq!(memory.is_settled(), Some(false));
        // And what shrinks does not grow.
        assert_eq!(judged(|s| 200 * MIB - s * 100_000).is_settled(), Some(true));
    }

    #[test]
    fn growth_while_series_still_come_is_not_judged() {
        let samples: Vec<(f64, u64)> =
            (0..=120_u32).map(|second| (f64::from(second), u64::from(second.min(60)) * MIB)).collect();
        assert_eq!(Memory::new(&samples, 0.0).is_settled(), Some(false));
        assert_eq!(Memory::new(&samples, 60.0).is_settled(), Some(true));
        assert_eq!(Memory::new(&samples, 110.0).is_settled(), None);
    }

    #[test]
    fn a_short_run_says_nothing() {
        let samples: Vec<(f64, u64)> = (0..10).map(|second| (second as f64, second * MIB)).collect();
        assert_eq!(Memory::new(&samples, 0.0).is_settled(), None);
        assert_eq!(Memory::new(&[], 0.0).is_settled(), None);
    }

    #[test]
    fn medians_are_the_middle() {
        for (values, expected) in [
            (vec![], None),
            (vec![3.0], Some(3.0)),
            (vec![4.0, 1.0], Some(2.5)),
            (vec![9.0, 1.0, 5.0], Some(5.0)),
            (vec![9.0, 1.0, 5.0, 7.0], Some(6.0)),
        ] {
            assert_eq!(median(values.clone()), expected, "{values:?}");
        }
    }

    #[test]
    fn a_sparkline_shows_the_shape() {
        assert_eq!(sparkline(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 80), "▁▂▃▄▅▆▇█");
        assert_eq!(sparkline(&[5.0; 4], 80), "▁▁▁▁");
        assert_eq!(sparkline(&(0..1_000).map(f64::from).collect::<Vec<_>>(), 60).chars().count(), 59);
        assert_eq!(sparkline(&[], 60), "");
    }
}
