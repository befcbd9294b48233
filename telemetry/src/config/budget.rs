//! How many series a configuration can lead to at worst.

use std::borrow::Cow;
use std::fmt;

use super::PollConfig;
use crate::correlation::Outcome;
use crate::metrics::catalogue::{self, LOG_REASONS, MAX_BUILDS, MAX_HOSTCALLS, MAX_WORKERS, Metric};
use crate::poll;
use crate::rule::Rules;
use crate::rule::body::BodyOutcome;
use crate::rule::fire::RuleOutcome;

/// The series of one group of metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// What is counted.
    pub what: &'static str,
    /// How the number comes about.
    pub how: String,
    /// The series at worst.
    pub series: u64,
    /// The same for each metric of the group: its name without the namespace, and its series. They sum to `series`.
    pub metrics: Vec<(Cow<'static, str>, u64)>,
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
pub(super) struct Sizes<'a> {
    /// The labels of endpoints, those that may be learned included.
    pub(super) endpoints: usize,
    /// The methods with a label of their own.
    pub(super) methods: usize,
    /// The pairs of endpoint and method that may have series.
    pub(super) pairs: u64,
    pub(super) statuses: usize,
    pub(super) extra_statuses: u16,
    pub(super) bounds: usize,
    pub(super) histogram: bool,
    pub(super) rules: &'a Rules,
    pub(super) polls: &'a [PollConfig],
    pub(super) sinks: usize,
}

impl Budget {
    pub(super) fn new(sizes: &Sizes<'_>, limit: u64) -> Self {
        let endpoints = wide(sizes.endpoints);
        let methods = wide(sizes.methods) + 1;
        let pairs = if sizes.pairs == endpoints.saturating_mul(methods) {
            format!("{endpoints} endpoints × {methods} methods")
        } else {
            format!("{} pairs of endpoint and method", sizes.pairs)
        };
        let statuses = wide(sizes.statuses) + u64::from(sizes.extra_statuses) + 1;
        let each = |of: u64| sizes.pairs.saturating_mul(of);
        let buckets = wide(sizes.bounds) + 1;
        let mut terms = vec![
            term("requests", format!("{pairs} × {statuses} statuses"), &[(catalogue::REQUESTS, each(statuses))]),
            term(
                "durations",
                format!("{pairs} × {} (buckets, +Inf, count, sum)", buckets + 2),
                &[
                    (catalogue::DURATION_BUCKET, each(buckets)),
                    (catalogue::DURATION_COUNT, each(1)),
                    (catalogue::DURATION_SUM, each(1)),
                ],
            ),
        ];
        if sizes.histogram {
            terms.push(term("histogram", pairs, &[(catalogue::DURATION_HISTOGRAM, each(1))]));
        }
        terms.push(term(
            "own metrics",
            "builds, budget, workers, correlation outcomes, hostcalls".to_owned(),
            &[
                (catalogue::BUILD_INFO, wide(MAX_BUILDS)),
                (catalogue::SERIES_BUDGET, 1),
                (catalogue::HEARTBEAT, u64::from(MAX_WORKERS) + 1),
                (catalogue::CORRELATION, wide(Outcome::ALL.len())),
                (catalogue::ENDPOINT_OVERFLOW, 1),
                (catalogue::HOSTCALL_FAULTS, wide(MAX_HOSTCALLS) + 1),
            ],
        ));
        terms.extend(declared(sizes.rules));
        terms.extend(polled(sizes.polls));
        terms.extend(events(sizes));
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

fn term(what: &'static str, how: String, metrics: &[(Metric, u64)]) -> Term {
    let series = metrics.iter().fold(0, |sum: u64, (_, series)| sum.saturating_add(*series));
    Term {
        what,
        how,
        series,
        metrics: metrics.iter().map(|(metric, series)| (Cow::Borrowed(metric.suffix), *series)).collect(),
    }
}

/// The metrics that rules declare, and what says how the rules fare.
fn declared(rules: &Rules) -> Option<Term> {
    if rules.rules().is_empty() {
        return None;
    }
    let own = [
        (catalogue::RULES, wide(rules.rules().len()).saturating_mul(wide(RuleOutcome::ALL.len()))),
        (catalogue::BODIES, wide(BodyOutcome::ALL.len())),
    ];
    let mut term = term("rules", String::new(), &own);
    for spec in rules.metrics() {
        let series = spec.combinations().saturating_mul(spec.series_each());
        term.series = term.series.saturating_add(series);
        term.metrics.push((Cow::Owned(spec.name.clone()), series));
    }
    let of_rules = format!("{} rules × {} outcomes", rules.rules().len(), RuleOutcome::ALL.len());
    let of_metrics = rules.metrics().iter().map(|spec| {
        let labels: Vec<String> =
            spec.labels.iter().map(|(label, values)| format!("{} {label}", values.len())).collect();
        format!("{}: {} series", spec.name, if labels.is_empty() { "1".to_owned() } else { labels.join(" × ") })
    });
    term.how = core::iter::once(of_rules).chain(of_metrics).collect::<Vec<_>>().join(", ");
    Some(term)
}

/// Polled gauges, and what says how the polls fare.
fn polled(polls: &[PollConfig]) -> Option<Term> {
    if polls.is_empty() {
        return None;
    }
    let count = wide(polls.len());
    let own =
        [(catalogue::POLLS, count.saturating_mul(wide(poll::Outcome::ALL.len()))), (catalogue::POLL_STALENESS, count)];
    let mut term = term("polls", format!("{count} polls, and their gauges"), &own);
    for gauge in polls.iter().flat_map(|poll| &poll.plan().spec().gauges) {
        let series = gauge.labels.iter().map(|(_, values)| wide(values.len())).fold(1, u64::saturating_mul);
        term.series = term.series.saturating_add(series);
        term.metrics.push((Cow::Owned(gauge.name.clone()), series));
    }
    Some(term)
}

/// What says how security events fare.
fn events(sizes: &Sizes<'_>) -> Option<Term> {
    if sizes.rules.rules().iter().all(|rule| rule.event.is_none()) {
        return None;
    }
    // The proxy's log is one more.
    let sinks = wide(sizes.sinks) + 1;
    let own = [
        (catalogue::EVENTS, sinks * 3),
        (catalogue::EVENTS_LOGGED, sinks * wide(LOG_REASONS)),
        (catalogue::EVENT_BATCHES, sinks * 2),
        (catalogue::EVENTS_QUEUED, sinks * (u64::from(MAX_WORKERS) + 1)),
        (catalogue::EVENT_QUEUE_AGE, sinks * (u64::from(MAX_WORKERS) + 1)),
    ];
    Some(term(
        "events",
        format!("{sinks} sinks, the proxy's log included; of the queues a series for each worker"),
        &own,
    ))
}

fn wide(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
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
