//! Declared metrics.

use crate::metrics::{Buckets, MetricKind};

/// A metric that rules count in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricSpec {
    /// The name after the namespace.
    pub name: String,
    /// What it is. A histogram has counters: one for each bucket, one for the number, one for the sum.
    pub kind: MetricKind,
    /// The labels, and every value of each.
    pub labels: Vec<(String, Vec<String>)>,
    /// The bounds of a histogram's buckets.
    pub buckets: Option<Buckets>,
    /// What a counter's or a gauge's value is multiplied by.
    pub scale: u32,
    /// What it says, for people.
    pub help: String,
}

/// What a rule adds, sets or observes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricValue {
    /// This number.
    Whole(u64),
    /// A fact, by position.
    Fact(usize),
}

impl MetricSpec {
    /// How many combinations of label values there are.
    #[must_use]
    pub fn combinations(&self) -> u64 {
        let counts = self.labels.iter().map(|(_, values)| u64::try_from(values.len()).unwrap_or(u64::MAX));
        counts.fold(1, u64::saturating_mul)
    }

    /// How many series each combination has: of a histogram the buckets with `+Inf`, the number and the sum.
    #[must_use]
    pub fn series_each(&self) -> u64 {
        let buckets = self.buckets.as_ref().map(|buckets| buckets.labels().len());
        buckets.map_or(1, |buckets| u64::try_from(buckets).unwrap_or(u64::MAX).saturating_add(2))
    }

    /// The number of a combination, `None` when a value is not of its label's.
    #[inline]
    pub(crate) fn combination<'v>(&self, mut value: impl FnMut(usize) -> Option<&'v str>) -> Option<u64> {
        let mut number = 0_u64;
        for (position, (_, values)) in self.labels.iter().enumerate() {
            let wanted = value(position)?;
            let index = values.iter().position(|known| known == wanted)?;
            let width = u64::try_from(values.len()).ok()?;
            number = number.checked_mul(width)?.checked_add(u64::try_from(index).ok()?)?;
        }
        Some(number)
    }

    /// The label values of a combination, in the order of the labels.
    pub(crate) fn values_of(&self, mut number: u64) -> Vec<&str> {
        let mut values: Vec<&str> = Vec::with_capacity(self.labels.len());
        for (_, known) in self.labels.iter().rev() {
            let width = u64::try_from(known.len()).unwrap_or(1).max(1);
            let index = usize::try_from(number % width).unwrap_or_default();
            values.push(known.get(index).map_or("", String::as_str));
            number /= width;
        }
        values.reverse();
        values
    }
}
