//! How many series a configuration can lead to at worst.

use std::fmt;

use crate::metrics::catalogue::{MAX_BUILDS, MAX_HOSTCALLS, MAX_WORKERS};

/// The series of one group of metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// What is counted.
    pub what: &'static str,
    /// How the number comes about.
    pub how: String,
    /// The series at worst.
    pub series: u64,
}

/// How many series a configuration can lead to at worst, and how the number comes about.
///
/// It displays as a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    terms: Vec<Term>,
    limit: u64,
}

/// The numbers that decide.
pub(super) struct Sizes {
    pub(super) labels: usize,
    pub(super) learned: usize,
    pub(super) methods: usize,
    pub(super) statuses: usize,
    pub(super) extra_statuses: u16,
    pub(super) bounds: usize,
    pub(super) histogram: bool,
    pub(super) correlation: usize,
}

impl Budget {
    pub(super) fn new(sizes: &Sizes, limit: u64) -> Self {
        let wide = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let endpoints = wide(sizes.labels).saturating_add(wide(sizes.learned));
        let methods = wide(sizes.methods) + 1;
        let pairs = endpoints.saturating_mul(methods);
        let statuses = wide(sizes.statuses) + u64::from(sizes.extra_statuses) + 1;
        let durations = wide(sizes.bounds) + 3;
        let own = wide(MAX_BUILDS) + u64::from(MAX_WORKERS) + 1 + wide(sizes.correlation) + 1 + wide(MAX_HOSTCALLS) + 1;
        let mut terms = vec![
            Term {
                what: "requests",
                how: format!("{endpoints} endpoints × {methods} methods × {statuses} statuses"),
                series: pairs.saturating_mul(statuses),
            },
            Term {
                what: "durations",
                how: format!("{endpoints} endpoints × {methods} methods × {durations} (buckets, +Inf, count, sum)"),
                series: pairs.saturating_mul(durations),
            },
        ];
        if sizes.histogram {
            terms.push(Term {
                what: "histogram",
                how: format!("{endpoints} endpoints × {methods} methods"),
                series: pairs,
            });
        }
        terms.push(Term {
            what: "own metrics",
            how: "builds, workers, correlation outcomes, hostcalls".to_owned(),
            series: own,
        });
        Self { terms, limit }
    }

    /// The terms of the sum.
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// The series at worst.
    pub fn total(&self) -> u64 {
        self.terms.iter().fold(0, |sum, term| sum.saturating_add(term.series))
    }

    /// `metrics.series_budget`.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// The sum in one line.
    pub(super) fn in_words(&self) -> String {
        let terms: Vec<String> = self.terms.iter().map(|term| format!("{} {}", term.series, term.what)).collect();
        terms.join(" + ")
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.total();
        let share = format!("of {} allowed by metrics.series_budget", self.limit);
        let width = total.to_string().len();
        let rows = self.terms.iter().map(|term| (term.what, term.series, term.how.as_str()));
        for (what, series, how) in rows {
            writeln!(f, "{what:<11}  {series:>width$}  {how}")?;
        }
        write!(f, "{:<11}  {total:>width$}  {share}", "total")
    }
}
