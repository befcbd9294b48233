//! Quantiles: of values, and out of cumulative buckets as Prometheus' `histogram_quantile` computes them.
//!
//! What the live table prints is therefore what a dashboard over the same series would show.

/// The value that this share of the values, from 0 to 1, does not exceed; NaN where there are none.
pub fn of(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place in a list; the cast saturates"
    )]
    let place = (last as f64 * share).round() as usize;
    sorted.get(place).copied().unwrap_or(f64::NAN)
}

/// Cumulative counts of one histogram, by upper bound, ascending, the last one `+Inf`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Buckets {
    cumulative: Vec<(f64, f64)>,
}

impl Buckets {
    /// Buckets from `(upper bound, cumulative count)` in any order; equal bounds are added up.
    pub fn new(buckets: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let mut cumulative: Vec<(f64, f64)> = Vec::new();
        for (bound, count) in buckets {
            match cumulative.binary_search_by(|(other, _)| other.total_cmp(&bound)) {
                Ok(index) => {
                    if let Some(entry) = cumulative.get_mut(index) {
                        entry.1 += count;
                    }
                }
                Err(index) => cumulative.insert(index, (bound, count)),
            }
        }
        Self { cumulative }
    }

    /// Observations in all buckets.
    pub fn count(&self) -> f64 {
        self.cumulative.last().map_or(0.0, |(_, count)| *count)
    }

    /// What was observed since `earlier`; a bucket that did not exist then counts from 0.
    pub fn since(&self, earlier: &Self) -> Self {
        let before = |bound: f64| {
            earlier
                .cumulative
                .iter()
                .find(|(other, _)| other.total_cmp(&bound).is_eq())
                .map_or(0.0, |(_, count)| *count)
        };
        Self {
            cumulative: self
                .cumulative
                .iter()
                .map(|(bound, count)| (*bound, (count - before(*bound)).max(0.0)))
                .collect(),
        }
    }

    /// The `q`-quantile (0 to 1), or `None` without observations.
    ///
    /// The observations of a bucket are taken to be spread evenly over it; the first bucket starts at 0, and a quantile in the `+Inf` bucket is the
    /// highest finite bound.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let total = self.count();
        if total <= 0.0 || !(0.0..=1.0).contains(&q) {
            return None;
        }
        let rank = q * total;
        let mut lower = (0.0, 0.0);
        for (bound, count) in self.cumulative.iter().copied() {
            // A rank of 0 belongs to the first bucket that holds anything.
            if count >= rank && count > 0.0 {
                if bound.is_infinite() {
                    return Some(lower.0);
                }
                let inside = count - lower.1;
                let share = if inside > 0.0 { (rank - lower.1) / inside } else { 1.0 };
                return Some(lower.0 + (bound - lower.0) * share);
            }
            lower = (bound, count);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_values_is_one_of_them() {
        let values = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!([0.0, 0.2, 0.5, 0.8, 1.0].map(|share| of(&values, share)), [1.0, 2.0, 3.0, 4.0, 5.0]);
        assert!(of(&[], 0.5).is_nan());
    }

    fn buckets() -> Buckets {
        Buckets::new([(f64::INFINITY, 100.0), (0.1, 50.0), (0.5, 90.0), (1.0, 90.0), (2.0, 98.0)])
    }

    #[test]
    fn interpolates_as_prometheus_does() {
        let cases =
            [(0.5, 0.1), (0.25, 0.05), (0.7, 0.3), (0.9, 0.5), (0.94, 1.5), (0.98, 2.0), (0.99, 2.0), (0.0, 0.0)];
        for (q, expected) in cases {
            let found = buckets().quantile(q).unwrap();
            assert!((found - expected).abs() < 1e-9, "q {q}: {found}, expected {expected}");
        }
    }

    #[test]
    fn nothing_observed_has_no_quantile() {
        assert_eq!(Buckets::default().quantile(0.5), None);
        assert_eq!(Buckets::new([(1.0, 0.0), (f64::INFINITY, 0.0)]).quantile(0.5), None);
        assert_eq!(buckets().quantile(1.5), None);
    }

    #[test]
    fn differences_count_new_buckets_from_nothing() {
        let earlier = Buckets::new([(0.1, 20.0), (f64::INFINITY, 20.0)]);
        let difference = buckets().since(&earlier);
        assert_eq!(
            difference,
            Buckets::new([(0.1, 30.0), (0.5, 90.0), (1.0, 90.0), (2.0, 98.0), (f64::INFINITY, 80.0)])
        );
    }
}
