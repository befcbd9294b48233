//! The figures of a run and its promises, for people and for machines.

use std::time::Duration;

use serde::Serialize;
use telemetry::metrics::catalogue::{DURATION_BUCKET, REQUESTS};

use super::memory::{Memory, sparkline};
use super::verdict::{Claim, Evidence, Promise};
use super::{AnsweredBy, ScannerOptions};
use crate::load::Pace;
use crate::proxy::ProxyKind;
use crate::table::{Column, Table, bytes, count, duration, percent, printable};
use crate::up::metric_name;

/// The widest sparkline.
const WIDTH: usize = 60;
/// The most learned endpoints that are shown to people; the JSON has all.
const SHOWN: usize = 8;

/// One figure: what it is of, its value, and how it comes about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Figure {
    /// What it is of.
    pub what: String,
    /// Its value, with the unit.
    pub value: String,
    /// How it comes about.
    pub note: String,
}

/// The outcome of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Which proxy ran the filter.
    pub proxy: String,
    /// What became of paths that no route has.
    pub unmatched: String,
    /// Who answered: `envoy` itself, or an `upstream`.
    pub answered_by: &'static str,
    /// The digest of the configuration.
    pub config: String,
    /// Requests that were to be sent.
    pub asked: u64,
    /// Requests that were sent.
    pub sent: u64,
    /// Those among them that were a scanner's, each with a path of its own.
    pub junk: u64,
    /// Requests a second that were to be sent.
    pub rate_asked: u32,
    /// Requests a second that were sent.
    pub rate: f64,
    /// How late requests were sent, in seconds: the mean.
    pub late_mean_s: f64,
    /// And the worst.
    pub late_worst_s: f64,
    /// Processor time of the proxy's process for each request, in seconds; the embedded host's includes client and upstream.
    pub cpu_s_per_request: Option<f64>,
    /// The filter's series over the run: seconds, and how many.
    pub series: Vec<(f64, u64)>,
    /// Resident memory of the proxy's process over the run; the embedded host's includes client and upstream.
    pub memory: Memory,
    /// Requests done in each second.
    pub rates: Vec<f64>,
    /// Endpoints that were learned.
    pub learned: Vec<String>,
    /// What must hold, and whether it did.
    pub promises: Vec<Promise>,
    /// What does not add up; see [`crate::up::Accounting`].
    pub problems: Vec<String>,
    /// What the proxy or the filter complained about.
    pub complaints: Vec<String>,
    /// The figures for people.
    pub figures: Vec<Figure>,
}

impl Report {
    pub(super) fn new(options: &ScannerOptions, evidence: &Evidence<'_>, pace: &Pace, took: Duration) -> Self {
        let watched = evidence.watched;
        let memory = Memory::new(&watched.memory, watched.complete());
        let sent = evidence.ledger.total();
        let routed: u64 = evidence.ledger.routed.values().sum();
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let (rate, cpu) = (
            sent as f64 / took.as_secs_f64().max(0.001),
            watched.cpu.map(|cpu| cpu.as_secs_f64() / sent.max(1) as f64),
        );
        let mut report = Self {
            proxy: options.proxy.to_string(),
            unmatched: format!("{:?}", options.unmatched).to_lowercase(),
            answered_by: match options.answered_by() {
                AnsweredBy::Proxy => "envoy",
                AnsweredBy::Upstream => "upstream",
            },
            config: evidence.config.digest().to_owned(),
            asked: evidence.asked,
            sent,
            junk: sent.saturating_sub(routed),
            rate_asked: options.rate,
            rate,
            late_mean_s: pace.mean().as_secs_f64(),
            late_worst_s: pace.worst().as_secs_f64(),
            cpu_s_per_request: cpu,
            series: watched.series.clone(),
            promises: evidence.promises(&memory),
            memory,
            rates: watched.rates.clone(),
            learned: evidence.learned().into_iter().collect(),
            problems: evidence.accounting.problems.clone(),
            complaints: evidence.complaints.clone(),
            figures: Vec::new(),
        };
        report.figures = report.figures(options, evidence, pace);
        report
    }

    /// Whether every promise was held, as far as the run was long enough to say.
    pub fn all_held(&self) -> bool {
        self.promises.iter().all(|promise| promise.held != Some(false))
    }

    /// One promise.
    pub fn promise(&self, claim: Claim) -> Option<&Promise> {
        self.promises.iter().find(|promise| promise.claim == claim)
    }

    fn figures(&self, options: &ScannerOptions, evidence: &Evidence<'_>, pace: &Pace) -> Vec<Figure> {
        let mut figures = Vec::new();
        let mut figure = |what: &str, value: String, note: String| {
            figures.push(Figure { what: what.to_owned(), value, note });
        };
        let config = evidence.config;
        let own = match options.proxy {
            ProxyKind::Harness => ", client and upstream included",
            ProxyKind::Envoy => "",
        };
        figure(
            "routes",
            count(config.routes().specs().len() as u64),
            format!("{} labels, digest {}", count(config.routes().table().labels().len() as u64), self.config),
        );
        figure("requests", count(self.sent), format!("{} connections, both protocols", options.connections));
        figure("scanner paths", count(self.junk), "no two the same, and no route has one".to_owned());
        figure(
            "rate",
            format!("{:.0}/s", self.rate),
            format!("of {}/s asked for over {} s", count(u64::from(self.rate_asked)), options.seconds),
        );
        figure(
            "sent late by",
            duration(self.late_mean_s),
            format!("in the mean; {} at worst, {} by more than 50 ms", duration(self.late_worst_s), count(pace.late())),
        );
        let requests = metric_name(config, &REQUESTS);
        let mut classes: std::collections::BTreeMap<String, u64> = std::collections::BTreeMap::new();
        for ([status], number) in evidence.scrape.counts_by(&requests, ["status"]) {
            *classes
                .entry(status.get(..1).map_or_else(|| status.clone(), |first| format!("{first}xx")))
                .or_default() += number;
        }
        let classes: Vec<String> =
            classes.iter().map(|(class, number)| format!("{} {class}", count(*number))).collect();
        figure("answers", count(evidence.accounting.counted), classes.join(", "));
        let buckets =
            evidence.scrape.buckets_by(&metric_name(config, &DURATION_BUCKET), []).remove(&[]).unwrap_or_default();
        let quantile = |q| buckets.quantile(q).map_or_else(|| "-".to_owned(), duration);
        figure("duration p50", quantile(0.5), format!("p99 {}, by the filter's buckets", quantile(0.99)));
        if let Some(cpu) = self.cpu_s_per_request {
            figure(
                "CPU a request",
                format!("{:.1} µs", cpu * 1e6),
                format!("{} of a core{own}", percent(cpu * self.rate)),
            );
        }
        if let (Some(first), Some(last)) = (self.memory.samples.first(), self.memory.samples.last()) {
            let most = self.memory.samples.iter().max().unwrap_or(last);
            figure(
                "memory",
                bytes(*last),
                format!("resident at the end; {} at the start, {} at most{own}", bytes(*first), bytes(*most)),
            );
        }
        if let (Some((at, first)), Some((_, last))) = (self.series.first(), self.series.last()) {
            figure(
                "series",
                count(*last),
                format!("{} after {at:.0} s; {} budgeted", count(*first), count(config.budget().total())),
            );
        }
        figures
    }

    /// The report for people.
    pub fn to_text(&self) -> String {
        let mut out = format!(
            "{}, answered by: {}, paths that no route has: {}\n\n",
            self.proxy, self.answered_by, self.unmatched
        );
        let mut table = Table::new([("figure", Column::Text), ("value", Column::Number), ("", Column::Text)]);
        for figure in &self.figures {
            table.row([&figure.what, &figure.value, &figure.note].map(String::as_str));
        }
        out.push_str(&table.render());
        #[expect(clippy::cast_precision_loss, reason = "a picture of eight levels")]
        let memory: Vec<f64> = self.memory.samples.iter().map(|sample| *sample as f64).collect();
        out.push('\n');
        for (name, samples, unit) in
            [("memory", &memory, bytes_of as fn(f64) -> String), ("requests/s", &self.rates, whole)]
        {
            if let (Some(least), Some(most)) =
                (samples.iter().copied().min_by(f64::total_cmp), samples.iter().copied().max_by(f64::total_cmp))
            {
                out.push_str(&format!(
                    "{name:<10}  {}  {} to {}\n",
                    sparkline(samples, WIDTH),
                    unit(least),
                    unit(most)
                ));
            }
        }
        if !self.learned.is_empty() {
            let shown: Vec<String> = self.learned.iter().take(SHOWN).map(|label| printable(label)).collect();
            let more = self.learned.len().saturating_sub(SHOWN);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            out.push_str(&format!("\nlearned: {}{more}\n", shown.join(" ")));
        }
        let mut table = Table::new([("promise", Column::Text), ("", Column::Text), ("figure", Column::Text)]);
        for promise in &self.promises {
            let held = match promise.held {
                Some(true) => "held",
                Some(false) => "NOT HELD",
                None => "not judged",
            };
            table.row([promise.claim.as_str(), held, &promise.figure]);
        }
        out.push('\n');
        out.push_str(&table.render());
        for problem in self.problems.iter().chain(&self.complaints).take(SHOWN) {
            out.push_str(&format!("not as promised: {}\n", printable(problem)));
        }
        out
    }
}

fn bytes_of(value: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes; the cast saturates")]
    let value = value as u64;
    bytes(value)
}

fn whole(value: f64) -> String {
    format!("{value:.0}")
}
