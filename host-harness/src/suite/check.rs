//! Expectations against what was seen.

mod connection;

use std::collections::BTreeMap;

use super::format::{
    Arrival, CalloutExpect, CalloutsExpect, CostItem, HostExpect, LocalReplyExpect, LogExpect, MessageExpect,
    MetricExpect, StreamExpect,
};
use super::matcher::{HeaderMatch, Number, Text, shown};
use super::report::{Failure, Unchecked};
use crate::test::Message;
use crate::{Cost, HeaderMap, LogLevel};

/// What became of a stream.
#[derive(Debug, Clone, Default)]
pub(super) struct StreamSeen {
    pub(super) upstream: Option<Message>,
    pub(super) response: Option<Message>,
    /// The details of a response that is not the upstream's.
    pub(super) local_reply: Option<String>,
    pub(super) held: bool,
    pub(super) filter_state: Vec<(String, Vec<u8>)>,
    /// None where it is not known.
    pub(super) cost: Option<Cost>,
}

pub(super) use connection::{TalkSeen, fits};

/// What is to be seen of a host, as far as it is known, since the case began.
#[derive(Debug, Clone, Default)]
pub(super) struct HostSeen {
    pub(super) log: Vec<(LogLevel, String)>,
    pub(super) metrics: Metrics,
    pub(super) callouts: Vec<CalloutSeen>,
    /// Clusters whose callouts are not seen.
    pub(super) unseen_clusters: Vec<String>,
    /// None where it is not known.
    pub(super) shared_data: Option<Vec<(String, Vec<u8>)>>,
    /// Why a VM has failed, if one has.
    pub(super) failed: Option<String>,
}

/// The module's metrics by name; one of each kind may have the same.
pub(super) type Metrics = BTreeMap<String, Vec<MetricSeen>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MetricSeen {
    Value(u64),
    Observations(u64),
}

#[derive(Debug, Clone)]
pub(super) struct CalloutSeen {
    pub(super) cluster: String,
    pub(super) message: Message,
}

/// What came of looking.
#[derive(Debug, Clone, Default)]
pub(super) struct Findings {
    pub(super) failures: Vec<Failure>,
    pub(super) unchecked: Vec<Unchecked>,
    /// How many expectations were looked at.
    pub(super) checked: usize,
}

impl Findings {
    pub(super) fn add(&mut self, other: Self) {
        self.failures.extend(other.failures);
        self.unchecked.extend(other.unchecked);
        self.checked += other.checked;
    }

    fn look(
        &mut self,
        fits: bool,
        path: impl FnOnce() -> String,
        expected: impl ToString,
        found: impl FnOnce() -> String,
    ) {
        self.checked += 1;
        if !fits {
            self.failures.push(Failure { path: path(), expected: expected.to_string(), found: found() });
        }
    }

    fn skip(&mut self, path: String, why: &str) {
        self.unchecked.push(Unchecked { path, why: why.to_owned() });
    }

    /// A stream's expectations.
    pub(super) fn stream(&mut self, expect: &StreamExpect, seen: &StreamSeen) {
        let at = |field: &str| format!("{}.{field}", expect.path);
        if let Some(wanted) = &expect.upstream {
            self.arrival(wanted, seen.upstream.as_ref(), &at("upstream"), "the upstream got nothing");
        }
        if let Some(wanted) = &expect.response {
            let nothing = if seen.held { "the module holds the stream" } else { "the client got nothing" };
            self.arrival(wanted, seen.response.as_ref(), &at("response"), nothing);
        }
        if let Some(wanted) = &expect.local_reply {
            self.local_reply(wanted, seen, &at("local_reply"));
        }
        if let Some(wanted) = expect.held {
            self.look(wanted == seen.held, || at("held"), wanted, || seen.held.to_string());
        }
        self.filter_state(&expect.filter_state, &seen.filter_state, &at("filter_state"));
        self.cost(&expect.cost, seen.cost.as_ref(), &expect.path);
    }

    fn filter_state(&mut self, wanted: &[(String, Option<Text>)], seen: &[(String, Vec<u8>)], path: &str) {
        for (name, wanted) in wanted {
            let found = seen.iter().find(|(known, _)| known == name || strip(known) == name);
            self.value(path, name, wanted.as_ref(), found.map(|(_, value)| value.as_slice()));
        }
    }

    fn cost(&mut self, wanted: &[(CostItem, Number)], seen: Option<&Cost>, path: &str) {
        let at = |field: &str| format!("{path}.{field}");
        for (item, wanted) in wanted {
            let path = at(&match item {
                CostItem::Hostcall(name) => format!("cost.hostcalls.{name}"),
                CostItem::Hostcalls => "cost.total_hostcalls".to_owned(),
                CostItem::Callbacks => "cost.callbacks".to_owned(),
                CostItem::Fuel => "cost.fuel".to_owned(),
                CostItem::BytesIn => "cost.bytes_in".to_owned(),
                CostItem::BytesOut => "cost.bytes_out".to_owned(),
                CostItem::Allocations => "cost.allocations".to_owned(),
            });
            match seen {
                None => self.skip(path, "Envoy does not tell the cost"),
                Some(cost) => {
                    let found = of_cost(cost, item);
                    self.look(wanted.fits(found), || path, wanted, || found.to_string());
                }
            }
        }
    }

    fn arrival(&mut self, wanted: &Arrival, seen: Option<&Message>, path: &str, nothing: &str) {
        match (wanted, seen) {
            (Arrival::Nothing, seen) => {
                self.look(seen.is_none(), || path.to_owned(), "nothing", || seen.map(summary).unwrap_or_default());
            }
            (Arrival::Message(_), None) => {
                self.look(false, || path.to_owned(), "a message", || nothing.to_owned());
            }
            (Arrival::Message(wanted), Some(seen)) => self.message(wanted, seen, path),
        }
    }

    fn message(&mut self, wanted: &MessageExpect, seen: &Message, path: &str) {
        if let Some(status) = wanted.status {
            let found = seen.status();
            let fits = found.is_some_and(|found| status.fits(found.into()));
            self.look(
                fits,
                || format!("{path}.status"),
                status,
                || found.map_or_else(|| "no status".to_owned(), |found| found.to_string()),
            );
        }
        for (field, name, text) in [("method", ":method", &wanted.method), ("path", ":path", &wanted.path)] {
            if let Some(text) = text {
                let found = seen.headers.get(name).unwrap_or_default();
                self.look(text.fits(found), || format!("{path}.{field}"), text, || shown(found));
            }
        }
        self.headers(&wanted.headers, &seen.headers, &format!("{path}.headers"));
        if let Some(body) = &wanted.body {
            self.look(body.fits(&seen.body), || format!("{path}.body"), body, || shown(&seen.body));
        }
        let none = HeaderMap::new();
        let trailers = seen.trailers.as_ref().unwrap_or(&none);
        self.headers(&wanted.trailers, trailers, &format!("{path}.trailers"));
        if wanted.no_trailers {
            self.look(trailers.is_empty(), || format!("{path}.trailers"), "no trailers", || format!("{trailers:?}"));
        }
    }

    fn headers(&mut self, wanted: &[HeaderMatch], seen: &HeaderMap, path: &str) {
        for header in wanted {
            self.look(header.fits(seen), || format!("{path}.{}", header.name), header, || header.found(seen));
        }
    }

    fn local_reply(&mut self, wanted: &LocalReplyExpect, seen: &StreamSeen, path: &str) {
        let found = seen.local_reply.as_deref();
        match wanted {
            LocalReplyExpect::No => {
                self.look(
                    found.is_none(),
                    || path.to_owned(),
                    "no local reply",
                    || format!("one with details {}", shown(found.unwrap_or_default().as_bytes())),
                );
            }
            LocalReplyExpect::Yes { details, grpc_status } => {
                let wanted = details.as_ref().map_or_else(
                    || "a local reply".to_owned(),
                    |details| format!("a local reply with details {details}"),
                );
                let fits =
                    found.is_some_and(|found| details.as_ref().is_none_or(|details| details.fits(found.as_bytes())));
                self.look(
                    fits,
                    || path.to_owned(),
                    wanted,
                    || match found {
                        Some(found) => format!("one with details {}", shown(found.as_bytes())),
                        None => "no local reply".to_owned(),
                    },
                );
                if let Some(status) = grpc_status {
                    let found = seen.response.as_ref().and_then(|response| response.header("grpc-status"));
                    let fits = found.and_then(|text| text.parse().ok()).is_some_and(|code| status.fits(code));
                    self.look(
                        fits,
                        || format!("{path}.grpc_status"),
                        status,
                        || found.unwrap_or("no grpc-status").to_owned(),
                    );
                }
            }
        }
    }

    /// A named value, or that there is none.
    fn value(&mut self, path: &str, name: &str, wanted: Option<&Text>, found: Option<&[u8]>) {
        let path = || format!("{path}.{name}");
        let found_text = || found.map_or_else(|| "no such value".to_owned(), shown);
        match wanted {
            None => self.look(found.is_none(), path, "no such value", found_text),
            Some(text) => self.look(found.is_some_and(|found| text.fits(found)), path, text, found_text),
        }
    }

    /// The host's expectations; `before` is what its metrics were when the case began.
    pub(super) fn host(&mut self, expect: &HostExpect, seen: &HostSeen, before: &Metrics) {
        let at = |field: String| format!("{}.{field}", expect.path);
        for (index, wanted) in expect.log.iter().enumerate() {
            self.log(wanted, seen, &at(format!("log[{index}]")));
        }
        for (index, wanted) in expect.no_log.iter().enumerate() {
            let line = seen.log.iter().find(|line| is_line(wanted, line));
            let told = format!("no line of {}", line_wanted(wanted));
            self.look(
                line.is_none(),
                || at(format!("no_log[{index}]")),
                told,
                || line.map(line_found).unwrap_or_default(),
            );
        }
        for (name, wanted) in &expect.metrics {
            self.metric(wanted, name, &at(format!("metrics.{name}")), (&seen.metrics, before));
        }
        if let Some(wanted) = &expect.callouts {
            self.callouts(wanted, seen, &at("callouts".to_owned()));
        }
        for (key, wanted) in &expect.shared_data {
            match &seen.shared_data {
                None => self.skip(at(format!("shared_data.{key}")), "Envoy does not show shared data"),
                Some(values) => {
                    let found = values.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_slice());
                    self.value(&at("shared_data".to_owned()), key, wanted.as_ref(), found);
                }
            }
        }
        if let Some(wanted) = expect.failed {
            let told = if wanted { "a module that has failed" } else { "a module that has not failed" };
            self.look(
                wanted == seen.failed.is_some(),
                || at("failed".to_owned()),
                told,
                || seen.failed.clone().unwrap_or_else(|| "one that has not".to_owned()),
            );
        }
    }

    fn log(&mut self, wanted: &LogExpect, seen: &HostSeen, path: &str) {
        let lines = seen.log.iter().filter(|line| is_line(wanted, line)).count() as u64;
        let count = wanted.count.unwrap_or(Number { least: 1, most: u64::MAX });
        let told = match wanted.count {
            None => format!("a line of {}", line_wanted(wanted)),
            Some(count) => format!("{count} lines of {}", line_wanted(wanted)),
        };
        self.look(
            count.fits(lines),
            || path.to_owned(),
            told,
            || {
                if lines > 0 { format!("{lines} such lines") } else { log_found(&seen.log) }
            },
        );
    }

    fn metric(&mut self, wanted: &MetricExpect, name: &str, path: &str, (now, before): (&Metrics, &Metrics)) {
        let value = |metrics: &Metrics| {
            metrics.get(name)?.iter().find_map(|metric| match metric {
                MetricSeen::Value(value) => Some(*value),
                MetricSeen::Observations(_) => None,
            })
        };
        let path = || path.to_owned();
        let missing = || match now.get(name) {
            None => "no such metric".to_owned(),
            Some(_) => "a metric of another kind".to_owned(),
        };
        match wanted {
            MetricExpect::Absent => {
                self.look(!now.contains_key(name), path, "no such metric", || "there is one".to_owned())
            }
            MetricExpect::Is(number) => {
                let found = value(now);
                self.look(found.is_some_and(|found| number.fits(found)), path, number, || {
                    found.map_or_else(missing, |found| found.to_string())
                });
            }
            MetricExpect::Increase(number) => {
                let found = value(now).map(|found| found.wrapping_sub(value(before).unwrap_or(0)));
                self.look(found.is_some_and(|found| number.fits(found)), path, format!("{number} more"), || {
                    found.map_or_else(missing, |found| format!("{found} more"))
                });
            }
            MetricExpect::Count(number) => {
                let found = now.get(name).and_then(|metrics| {
                    metrics.iter().find_map(|metric| match metric {
                        MetricSeen::Observations(count) => Some(*count),
                        MetricSeen::Value(_) => None,
                    })
                });
                let told = format!("{number} observations");
                self.look(found.is_some_and(|found| number.fits(found)), path, told, || {
                    found.map_or_else(missing, |found| format!("{found} observations"))
                });
            }
        }
    }

    fn callouts(&mut self, wanted: &CalloutsExpect, seen: &HostSeen, path: &str) {
        const UNSEEN: &str = "no server stands behind a cluster that refuses connections";
        let wanted = match wanted {
            CalloutsExpect::Nothing => {
                for cluster in &seen.unseen_clusters {
                    self.skip(format!("{path}.{cluster}"), UNSEEN);
                }
                let first = seen.callouts.first();
                return self.look(
                    first.is_none(),
                    || path.to_owned(),
                    "no callout",
                    || first.map(callout_found).unwrap_or_default(),
                );
            }
            CalloutsExpect::Some(list) => list,
        };
        for (index, callout) in wanted.iter().enumerate() {
            let path = format!("{path}[{index}]");
            if callout.cluster.as_ref().is_none_or(|name| seen.unseen_clusters.contains(name))
                && !seen.unseen_clusters.is_empty()
            {
                self.skip(path, UNSEEN);
                continue;
            }
            self.callout(callout, seen, path);
        }
    }

    fn callout(&mut self, wanted: &CalloutExpect, seen: &HostSeen, path: String) {
        let to_cluster = |callout: &&CalloutSeen| wanted.cluster.as_ref().is_none_or(|name| *name == callout.cluster);
        let of_cluster: Vec<&CalloutSeen> = seen.callouts.iter().filter(to_cluster).collect();
        let differences = |callout: &CalloutSeen| {
            let mut findings = Self::default();
            findings.message(&wanted.message, &callout.message, &path);
            findings.failures
        };
        let fitting = of_cluster.iter().filter(|callout| differences(callout).is_empty()).count() as u64;
        // Where there is but one that could be meant, what differs in it is told.
        if let (None, [only]) = (wanted.count, of_cluster.as_slice()) {
            self.checked += 1;
            return self.failures.extend(differences(only));
        }
        let count = wanted.count.unwrap_or(Number { least: 1, most: u64::MAX });
        let to = wanted.cluster.as_ref().map_or_else(String::new, |name| format!(" to {}", shown(name.as_bytes())));
        self.look(
            count.fits(fitting),
            || path.clone(),
            format!("{count} such callouts{to}"),
            || {
                let all: Vec<String> = seen.callouts.iter().take(10).map(callout_found).collect();
                let others = if all.is_empty() { "no callout".to_owned() } else { all.join("; ") };
                format!("{fitting} of {}: {others}", seen.callouts.len())
            },
        );
    }
}

/// A filter state's name without the prefix that the proxy gives it.
fn strip(name: &str) -> &str {
    name.strip_prefix("wasm.").unwrap_or(name)
}

fn of_cost(cost: &Cost, item: &CostItem) -> u64 {
    match item {
        CostItem::Hostcall(name) => cost.hostcall(name).into(),
        CostItem::Hostcalls => cost.total_hostcalls().into(),
        CostItem::Callbacks => cost.callbacks.into(),
        CostItem::Fuel => cost.fuel,
        CostItem::BytesIn => cost.bytes_in,
        CostItem::BytesOut => cost.bytes_out,
        CostItem::Allocations => cost.allocations.into(),
    }
}

fn is_line(wanted: &LogExpect, (level, message): &(LogLevel, String)) -> bool {
    wanted.level.is_none_or(|wanted| wanted == *level) && wanted.text.fits(message.as_bytes())
}

fn line_wanted(wanted: &LogExpect) -> String {
    let text = wanted.text.to_string();
    wanted.level.map_or_else(|| text.clone(), |level| format!("[{}] {text}", level.as_str()))
}

fn line_found((level, message): &(LogLevel, String)) -> String {
    format!("[{}] {}", level.as_str(), shown(message.as_bytes()))
}

/// The newest lines.
fn log_found(log: &[(LogLevel, String)]) -> String {
    const MOST: usize = 5;
    let newest: Vec<String> = log.iter().rev().take(MOST).rev().map(line_found).collect();
    match log.len() {
        0 => "an empty log".to_owned(),
        count if count > MOST => format!("{count} other lines, at last {}", newest.join("; ")),
        _ => newest.join("; "),
    }
}

fn callout_found(callout: &CalloutSeen) -> String {
    format!("{} to {}", summary(&callout.message), shown(callout.cluster.as_bytes()))
}

/// A message in a few words.
fn summary(message: &Message) -> String {
    match message.status() {
        Some(status) => format!("a response with status {status}"),
        None => {
            let part = |name: &str| shown(message.headers.get(name).unwrap_or_default());
            format!("{} {}", part(":method"), part(":path"))
        }
    }
}
