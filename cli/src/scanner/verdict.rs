//! What must hold, and whether it did.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use telemetry::config::Config;
use telemetry::method::Method;
use telemetry::metrics::METRICS;
use telemetry::metrics::catalogue::{HEARTBEAT, HOSTCALL_FAULTS, REQUESTS};
use telemetry::route::{OVERFLOW_LABEL, UNKNOWN_LABEL};

use super::memory::Memory;
use super::watch::Watched;
use crate::load::Ledger;
use crate::scrape::Scrape;
use crate::table::{bytes, count, plural};
use crate::up::{Accounting, metric_name};

/// VMs that Envoy replaced because they had failed.
const RELOADS: &str = "envoy_wasm_edge_observer_vm_reload";
/// Times that a worker of Envoy did not come round for a second.
const STALLS: &str = "envoy_workers_watchdog_mega_miss";
/// Or for 0.2 s.
const SHORT_STALLS: &str = "envoy_workers_watchdog_miss";

/// What must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Claim {
    /// The load was what was asked for.
    Load,
    /// Every request was answered, to the end.
    Answered,
    /// No answer was 503.
    No503,
    /// Client, filter and proxy agree by method and status, and the filter's metrics among themselves.
    Counts,
    /// Client and filter agree by method, endpoint and status.
    Endpoints,
    /// There are no more series than the budget has.
    Series,
    /// Endpoints are configured, reserved, or learned within the cap.
    Labels,
    /// The module did not fail, and nothing that it asked for was refused.
    NoTrap,
    /// Every worker's heart beats from the beginning to the end.
    Heartbeat,
    /// No worker of the proxy stood still for a second: what the filter does at a time must be little.
    Stalls,
    /// Memory did not grow after the first quarter.
    Memory,
}

impl Claim {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Load => "load as asked for",
            Self::Answered => "every request answered",
            Self::No503 => "no 503",
            Self::Counts => "counts exact",
            Self::Endpoints => "endpoints exact",
            Self::Series => "series within the budget",
            Self::Labels => "labels known or learned",
            Self::NoTrap => "no trap",
            Self::Heartbeat => "heartbeat of every worker",
            Self::Stalls => "no worker stood still",
            Self::Memory => "memory settled",
        }
    }
}

/// One claim, and whether it held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Promise {
    /// What must hold.
    pub claim: Claim,
    /// Whether it did; `None` when the run was too short to say.
    pub held: Option<bool>,
    /// The numbers that say so.
    pub figure: String,
}

/// What the verdict is made from.
#[derive(Debug)]
pub(super) struct Evidence<'a> {
    pub(super) config: &'a Config,
    pub(super) ledger: &'a Ledger,
    /// After the last counts were handed over.
    pub(super) scrape: &'a Scrape,
    pub(super) accounting: Accounting,
    /// Requests that were to be sent.
    pub(super) asked: u64,
    pub(super) workers: u32,
    pub(super) complaints: Vec<String>,
    pub(super) healthy: bool,
    pub(super) beats_go_on: bool,
    pub(super) watched: &'a Watched,
}

/// Counts by method, endpoint and status.
type Counts = BTreeMap<[String; 3], u64>;

impl Evidence<'_> {
    /// Every promise, in the order of [`Claim`].
    pub(super) fn promises(&self, memory: &Memory) -> Vec<Promise> {
        vec![
            self.load(),
            self.answered(),
            self.no_503(),
            self.counts(),
            self.endpoints(),
            self.series(),
            self.labels(),
            self.no_trap(),
            self.heartbeat(),
            self.stalls(),
            settled(memory),
        ]
    }

    fn load(&self) -> Promise {
        let sent = self.ledger.total();
        // One in a hundred may be missing at the end of a run that was late for a moment.
        let held = sent >= self.asked - self.asked / 100;
        promise(Claim::Load, held, format!("{} of {} requests sent in time", count(sent), count(self.asked)))
    }

    fn answered(&self) -> Promise {
        let missing = self.ledger.unanswered_total() + self.ledger.truncated + self.ledger.aborted_total();
        let mut figure = format!("{} of {} without", count(missing), count(self.ledger.total()));
        if let Some(first) = self.ledger.first_failure.as_ref().filter(|_| missing > 0) {
            figure = format!("{figure}; the first: {first}");
        }
        promise(Claim::Answered, missing == 0 && self.ledger.total() > 0, figure)
    }

    fn no_503(&self) -> Promise {
        let seen: u64 =
            self.ledger.answered.iter().filter(|((_, status), _)| *status == 503).map(|(_, count)| count).sum();
        let counted = self.scrape.count(&metric_name(self.config, &REQUESTS), &[("status", "503")]);
        promise(Claim::No503, seen + counted == 0, format!("client {}, filter {}", count(seen), count(counted)))
    }

    fn counts(&self) -> Promise {
        let Accounting { sent, counted, proxied, problems, .. } = &self.accounting;
        let mut figure = format!("client {}, filter {}, proxy {}", count(*sent), count(*counted), count(*proxied));
        if let Some(first) = problems.first() {
            figure = format!("{figure}; {}, the first: {first}", plural(problems.len() as u64, "difference"));
        }
        promise(Claim::Counts, problems.is_empty(), figure)
    }

    /// What the client sent to configured routes, and the filter's counts of them.
    fn routed(&self) -> (Counts, Counts) {
        let methods = self.config.metrics().methods();
        let specs = self.config.routes().specs();
        let mut client = Counts::new();
        for ((route, method, status), number) in &self.ledger.routed {
            let endpoint = usize::try_from(*route).ok().and_then(|route| specs.get(route));
            let endpoint = endpoint.map_or_else(String::new, |spec| spec.template.clone());
            let method = if methods.contains(method) { *method } else { Method::Other };
            *client.entry([method.as_str().to_owned(), endpoint, status.to_string()]).or_default() += number;
        }
        let configured = self.configured();
        let mut filter = self.scrape.counts_by(&metric_name(self.config, &REQUESTS), ["method", "endpoint", "status"]);
        filter.retain(|[_, endpoint, _], number| *number > 0 && configured.contains(endpoint.as_str()));
        (client, filter)
    }

    fn endpoints(&self) -> Promise {
        let (client, filter) = self.routed();
        let keys: BTreeSet<&[String; 3]> = client.keys().chain(filter.keys()).collect();
        let endpoints: BTreeSet<&str> = client.keys().map(|[_, endpoint, _]| endpoint.as_str()).collect();
        let wrong: Vec<String> = keys
            .into_iter()
            .filter(|key| client.get(*key) != filter.get(*key))
            .map(|key| {
                let number = |counts: &Counts| count(counts.get(key).copied().unwrap_or_default());
                format!("{}: client {}, filter {}", key.join(" "), number(&client), number(&filter))
            })
            .collect();
        let mut figure = format!(
            "{} in {} over {}",
            plural(client.values().sum(), "request"),
            plural(client.len() as u64, "cell"),
            plural(endpoints.len() as u64, "endpoint")
        );
        if let Some(first) = wrong.first() {
            figure = format!("{figure}; {}, the first: {first}", plural(wrong.len() as u64, "difference"));
        }
        promise(Claim::Endpoints, wrong.is_empty() && !client.is_empty(), figure)
    }

    fn series(&self) -> Promise {
        let budget = self.config.budget();
        let series = own_series(self.config, self.scrape);
        let requests = self.scrape.metric(&metric_name(self.config, &REQUESTS)).count() as u64;
        let term = budget.terms().iter().find(|term| term.what == "requests").map_or(u64::MAX, |term| term.series);
        let duplicates = self.scrape.duplicates().len();
        let held = series <= budget.total() && requests <= term && duplicates == 0;
        let figure = format!(
            "{} of {}, {} of {} of requests",
            count(series),
            count(budget.total()),
            count(requests),
            count(term)
        );
        promise(Claim::Series, held, figure)
    }

    /// Labels of the table.
    fn configured(&self) -> BTreeSet<&str> {
        let labels = self.config.routes().table().labels().iter().map(|label| &**label);
        labels.filter(|label| ![UNKNOWN_LABEL, OVERFLOW_LABEL].contains(label)).collect()
    }

    /// Endpoints that are neither configured nor reserved.
    pub(super) fn learned(&self) -> BTreeSet<String> {
        let configured = self.configured();
        METRICS
            .iter()
            .filter(|metric| metric.labels.contains(&"endpoint"))
            .flat_map(|metric| {
                let name = metric_name(self.config, metric);
                self.scrape.counts_by(&name, ["endpoint"]).into_keys().map(|[endpoint]| endpoint).collect::<Vec<_>>()
            })
            .filter(|endpoint| ![UNKNOWN_LABEL, OVERFLOW_LABEL].contains(&endpoint.as_str()))
            .filter(|endpoint| !configured.contains(endpoint.as_str()))
            .collect()
    }

    fn labels(&self) -> Promise {
        let learned = self.learned().len() as u64;
        let cap = self.config.routes().table().max_learned() as u64;
        let figure = format!(
            "{} configured, {} of {} learned, {} requests `{UNKNOWN_LABEL}`, {} `{OVERFLOW_LABEL}`",
            count(self.configured().len() as u64),
            count(learned),
            count(cap),
            count(self.requests_of(UNKNOWN_LABEL)),
            count(self.requests_of(OVERFLOW_LABEL)),
        );
        promise(Claim::Labels, learned <= cap, figure)
    }

    fn requests_of(&self, endpoint: &str) -> u64 {
        self.scrape.count(&metric_name(self.config, &REQUESTS), &[("endpoint", endpoint)])
    }

    fn no_trap(&self) -> Promise {
        let faults = self.scrape.count(&metric_name(self.config, &HOSTCALL_FAULTS), &[]);
        let reloads = self.scrape.count(RELOADS, &[]);
        let mut figure = format!(
            "{} in the log, {} refused, {} of a VM",
            plural(self.complaints.len() as u64, "complaint"),
            plural(faults, "hostcall"),
            plural(reloads, "reload")
        );
        if let Some(first) = self.complaints.first() {
            figure = format!("{figure}; the first: {first}");
        }
        if !self.healthy {
            figure.push_str("; the proxy says that it is not well");
        }
        promise(Claim::NoTrap, self.complaints.is_empty() && faults + reloads == 0 && self.healthy, figure)
    }

    fn heartbeat(&self) -> Promise {
        let last = beats(self.config, self.scrape);
        let first = &self.watched.first_beats;
        // The main thread has a VM too.
        let expected = u64::from(self.workers) + 1;
        let moved = first.iter().filter(|(worker, beats)| last.get(*worker).is_some_and(|now| now > *beats)).count();
        // A VM that came anew would beat under another number, or not at all.
        let held = last.len() as u64 == expected && moved as u64 == expected && self.beats_go_on;
        let [least, most] = [last.values().min(), last.values().max()].map(|beats| beats.copied().unwrap_or_default());
        let figure = format!("{} of {expected} beat, {least} to {most} times", moved);
        // A run that was over before the first beats had been seen twice.
        let seen = !first.is_empty();
        Promise { claim: Claim::Heartbeat, held: (seen || !self.beats_go_on).then_some(held), figure }
    }

    /// By the proxy's own watchdog, which sees an event loop that does not come round.
    fn stalls(&self) -> Promise {
        if self.scrape.metric(STALLS).next().is_none() {
            return Promise {
                claim: Claim::Stalls,
                held: None,
                figure: "the embedded host has no watchdog".to_owned(),
            };
        }
        let [long, short] = [STALLS, SHORT_STALLS].map(|name| self.scrape.count(name, &[]));
        let figure = format!("{} of a second, {} of 0.2 s", plural(long, "stall"), count(short));
        promise(Claim::Stalls, long == 0, figure)
    }
}

fn settled(memory: &Memory) -> Promise {
    let figure = match memory.growth {
        None => "only half a minute after the last series came would say".to_owned(),
        Some(growth) => {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes; the casts saturate")]
            let (size, tolerated) = (growth.abs() as u64, memory.tolerated as u64);
            let sign = if growth < 0.0 { "-" } else { "+" };
            format!("{sign}{} after {:.0} s, {} tolerated", bytes(size), memory.judged_from_s, bytes(tolerated))
        }
    };
    Promise { claim: Claim::Memory, held: memory.is_settled(), figure }
}

fn promise(claim: Claim, held: bool, figure: String) -> Promise {
    Promise { claim, held: Some(held), figure }
}

/// Heartbeats by worker.
pub(super) fn beats(config: &Config, scrape: &Scrape) -> BTreeMap<String, u64> {
    let beats = scrape.counts_by(&metric_name(config, &HEARTBEAT), ["worker"]);
    beats.into_iter().map(|([worker], beats)| (worker, beats)).collect()
}

/// How many series of the filter there are.
pub(super) fn own_series(config: &Config, scrape: &Scrape) -> u64 {
    let prefix = format!("{}_", config.namespace());
    scrape.samples().iter().filter(|sample| sample.name.starts_with(&prefix)).count() as u64
}

#[cfg(test)]
mod tests;
