//! The filter's counts beside the log's own.

use std::collections::{BTreeMap, BTreeSet};

use access_log::AccessLog;
use serde::Serialize;
use telemetry::config::Config;
use telemetry::method::Method;
use telemetry::metrics::catalogue::REQUESTS;
use telemetry::metrics::label;
use telemetry::route::{PlaceholderBuffer, RouteMatch};

use super::sender::Ledger;
use super::{Unsendable, Wire};
use crate::scrape::Scrape;
use crate::table::{Column, Table, bytes, count, plural};
use crate::up::Row;

/// The result of a replay.
#[derive(Debug, Clone, Serialize)]
pub struct Replayed {
    /// Lines of the log.
    pub lines: u64,
    /// Requests that were sent.
    pub sent: u64,
    /// Requests in the filter's counters.
    pub counted: u64,
    /// The proxy's `downstream_rq_total`.
    pub proxied: u64,
    /// Body bytes that came back, and those that the log has.
    pub bytes: [u64; 2],
    /// By endpoint, method and status.
    pub counts: Vec<CountRow>,
    /// By method and status: `client` is the log here.
    pub statuses: Vec<Row>,
    /// Lines that were not sent, by reason.
    pub left: Vec<Left>,
    /// What does not agree; empty when everything does.
    pub problems: Vec<String>,
}

/// One endpoint, method and status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CountRow {
    /// The endpoint label.
    pub endpoint: String,
    /// The method label.
    pub method: String,
    /// The status label.
    pub status: String,
    /// Requests in the log; none where endpoints are learned, and the log alone does not say which.
    pub log: Option<u64>,
    /// Requests in the filter's counters.
    pub filter: u64,
}

/// Lines that were not sent for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Left {
    /// How many.
    pub lines: u64,
    /// The first one's number, from 1.
    pub first: usize,
    /// Why.
    pub reason: String,
}

/// All that a comparison needs but the scrape.
pub(super) struct Books<'a> {
    pub(super) config: &'a Config,
    /// Whether the proxy normalises paths before the filter sees them.
    pub(super) normalised: bool,
    pub(super) log: &'a AccessLog,
    pub(super) sendable: &'a [Wire],
    pub(super) left: &'a [(usize, Unsendable)],
    pub(super) ledger: &'a Ledger,
}

/// Endpoint, method and status labels.
type Key = [String; 3];

impl Books<'_> {
    /// Compares the log with one scrape of a proxy that has served nothing else.
    pub(super) fn compare(&self, scrape: &Scrape) -> Replayed {
        let learning = self.config.routes().max_learned() > 0;
        let name = crate::up::metric_name(self.config, &REQUESTS);
        let filter: BTreeMap<Key, u64> = scrape.counts_by(&name, ["endpoint", "method", "status"]);
        let log = self.expected();
        let keys: BTreeSet<&Key> =
            if learning { filter.keys().collect() } else { filter.keys().chain(log.keys()).collect() };
        let counts = keys
            .into_iter()
            .map(|key| {
                let [endpoint, method, status] = key.clone();
                let in_log = (!learning).then(|| log.get(key).copied().unwrap_or_default());
                CountRow { endpoint, method, status, log: in_log, filter: filter.get(key).copied().unwrap_or_default() }
            })
            .filter(|row| row.filter + row.log.unwrap_or_default() > 0)
            .collect();
        let statuses = statuses(&log, &filter);
        let has_body: u64 = self.sendable.iter().filter(|wire| wire.has_body()).map(|wire| wire.bytes).sum();
        let mut replayed = Replayed {
            lines: self.log.lines as u64,
            sent: self.sendable.len() as u64,
            counted: filter.values().sum(),
            proxied: crate::up::proxy_total(scrape),
            bytes: [self.ledger.bytes, has_body],
            counts,
            statuses,
            left: self.left_lines(),
            problems: Vec::new(),
        };
        replayed.problems = self.find_problems(&replayed);
        replayed
    }

    /// What the filter should have counted: the log's own statuses, under the labels of the configuration.
    fn expected(&self) -> BTreeMap<Key, u64> {
        let mut counts = BTreeMap::new();
        let methods = self.config.metrics().methods();
        let table = self.config.routes().table();
        let mut buffer = PlaceholderBuffer::default();
        for wire in self.sendable {
            let method = Method::from_bytes(wire.method.as_str().as_bytes());
            let path = path_of(&wire.target);
            let path = if self.normalised { normalise(path) } else { path.to_owned() };
            let endpoint = match table.find(method, path.as_bytes(), &mut buffer) {
                RouteMatch::Endpoint(id) => {
                    table.labels().get(id.index()).map_or_else(String::new, |label| escaped(label))
                }
                RouteMatch::Placeholder => String::new(),
            };
            let method = if methods.contains(&method) { method } else { Method::Other };
            *counts.entry([endpoint, method.as_str().to_owned(), wire.status.to_string()]).or_insert(0) += 1;
        }
        counts
    }

    fn left_lines(&self) -> Vec<Left> {
        let mut by_reason: BTreeMap<String, (u64, usize)> = BTreeMap::new();
        for (reason, skipped) in &self.log.skipped {
            by_reason.insert(reason.to_string(), (skipped.lines, skipped.first));
        }
        for (line, reason) in self.left {
            by_reason.entry(reason.to_string()).or_insert((0, *line)).0 += 1;
        }
        let mut left: Vec<Left> =
            by_reason.into_iter().map(|(reason, (lines, first))| Left { lines, first, reason }).collect();
        left.sort_by_key(|left| left.first);
        left
    }

    fn find_problems(&self, replayed: &Replayed) -> Vec<String> {
        let mut problems = Vec::new();
        for row in &replayed.counts {
            if let Some(log) = row.log.filter(|log| *log != row.filter) {
                let what = format!("{} {} {}", row.method, row.endpoint, row.status);
                problems.push(format!("{what}: the log has {}, the filter counted {}", count(log), count(row.filter)));
            }
        }
        if replayed.counts.iter().all(|row| row.log.is_none()) {
            for row in replayed.statuses.iter().filter(|row| row.client != row.filter) {
                problems.push(format!(
                    "{} {}: the log has {}, the filter counted {}",
                    row.method,
                    row.status,
                    count(row.client),
                    count(row.filter)
                ));
            }
        }
        if replayed.proxied != replayed.sent {
            problems.push(format!(
                "{} sent, the proxy counted {}",
                plural(replayed.sent, "request"),
                count(replayed.proxied)
            ));
        }
        let other = self
            .ledger
            .answered
            .iter()
            .filter_map(|(place, status)| self.sendable.get(*place).map(|wire| (wire, *status)))
            .filter(|(wire, status)| wire.status != *status);
        let (mut others, mut first) = (0, None);
        for (wire, status) in other {
            others += 1;
            first.get_or_insert_with(|| {
                format!("{} {} came back with {status} in place of {}", wire.method, wire.target, wire.status)
            });
        }
        if let Some(first) = first {
            problems
                .push(format!("{} with another status than the log's; the first: {first}", plural(others, "answer")));
        }
        if self.ledger.unanswered > 0 {
            let first = self.ledger.first_failure.as_deref().unwrap_or("no reason");
            problems.push(format!(
                "{} without a whole answer; the first: {first}",
                plural(self.ledger.unanswered, "request")
            ));
        } else if replayed.bytes[0] != replayed.bytes[1] {
            problems.push(format!(
                "{} body bytes came back, the log has {}",
                count(replayed.bytes[0]),
                count(replayed.bytes[1])
            ));
        }
        problems
    }
}

impl Replayed {
    /// Whether the filter's counts are the log's.
    pub fn is_exact(&self) -> bool {
        self.problems.is_empty()
    }

    /// The result for people.
    pub fn to_text(&self) -> String {
        let mut table = Table::new([
            ("endpoint", Column::Text),
            ("method", Column::Text),
            ("status", Column::Number),
            ("log", Column::Number),
            ("filter", Column::Number),
            ("", Column::Text),
        ]);
        for row in &self.counts {
            let (log, note) = match row.log {
                Some(log) if log == row.filter => (count(log), ""),
                Some(log) => (count(log), "differs"),
                None => ("-".to_owned(), ""),
            };
            table.row([
                row.endpoint.clone(),
                row.method.clone(),
                row.status.clone(),
                log,
                count(row.filter),
                note.to_owned(),
            ]);
        }
        let mut out = table.render();
        let mut table = Table::new([
            ("method", Column::Text),
            ("status", Column::Number),
            ("log", Column::Number),
            ("filter", Column::Number),
            ("", Column::Text),
        ]);
        for row in &self.statuses {
            let note = if row.client == row.filter { "" } else { "differs" };
            table.row([row.method.clone(), row.status.clone(), count(row.client), count(row.filter), note.to_owned()]);
        }
        table.row(["all".to_owned(), String::new(), count(self.sent), count(self.counted)]);
        out.push('\n');
        out.push_str(&table.render());
        out.push_str(&format!(
            "\n{}, {} sent, {} of body\n",
            plural(self.lines, "line"),
            plural(self.sent, "request"),
            bytes(self.bytes[0])
        ));
        for left in &self.left {
            out.push_str(&format!(
                "not sent: {} (first: line {}): {}\n",
                plural(left.lines, "line"),
                left.first,
                left.reason
            ));
        }
        if self.is_exact() {
            out.push_str("the filter's counts are the log's\n");
        }
        for problem in &self.problems {
            out.push_str(&format!("differs: {problem}\n"));
        }
        out
    }
}

fn statuses(log: &BTreeMap<Key, u64>, filter: &BTreeMap<Key, u64>) -> Vec<Row> {
    let mut sums: BTreeMap<[String; 2], [u64; 2]> = BTreeMap::new();
    for ([_, method, status], number) in log {
        let [sum, _] = sums.entry([method.clone(), status.clone()]).or_default();
        *sum += number;
    }
    for ([_, method, status], number) in filter {
        let [_, sum] = sums.entry([method.clone(), status.clone()]).or_default();
        *sum += number;
    }
    sums.into_iter()
        .map(|([method, status], [client, filter])| Row { method, status, client, filter })
        .filter(|row| row.client + row.filter > 0)
        .collect()
}

/// A label as it stands in the exposition.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    label::escape(text, &mut out);
    out
}

/// The path of a target: in origin form up to the query, in absolute form after the authority.
fn path_of(target: &str) -> &str {
    let path = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(['/', '?']) => {
            rest.find(['/', '?']).and_then(|at| rest.get(at..)).unwrap_or("/")
        }
        _ => target,
    };
    path.split_once('?').map_or(path, |(path, _)| path)
}

/// What the shipped Envoy configuration makes of a path before the filter sees it: dot segments resolved (`normalize_path`), then runs of slashes
/// merged (`merge_slashes`).
fn normalise(path: &str) -> String {
    let Some(rest) = path.strip_prefix('/') else { return path.to_owned() };
    let mut segments: Vec<&str> = Vec::new();
    let mut parts = rest.split('/').peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        let dots = part.replace("%2e", ".").replace("%2E", ".");
        match dots.as_str() {
            "." | ".." => {
                if dots == ".." {
                    segments.pop();
                }
                if last {
                    segments.push("");
                }
            }
            _ => segments.push(part),
        }
    }
    let joined = format!("/{}", segments.join("/"));
    let mut merged = String::with_capacity(joined.len());
    for letter in joined.chars() {
        if !(letter == '/' && merged.ends_with('/')) {
            merged.push(letter);
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &[u8] = br#"{"routes": {"table": [{"methods": ["GET"], "template": "/x/{id}"}]}}"#;

    fn log() -> AccessLog {
        let line =
            |request: &str, status: u16| format!("h - - [17/May/2015:10:05:03 +0000] \"{request}\" {status} 5\n");
        let text = [
            line("GET /x/1 HTTP/1.1", 200),
            line("GET /x/2 HTTP/1.1", 200),
            line("BREW /pot HTTP/1.1", 418),
            line("-", 408),
            line("CONNECT h:1 HTTP/1.1", 200),
        ];
        AccessLog::read(text.concat().as_bytes()).unwrap()
    }

    fn replayed(scrape: &str) -> Replayed {
        let config = Config::from_json(CONFIG).unwrap();
        let log = log();
        let mut sendable = Vec::new();
        let mut left = Vec::new();
        for (line, entry) in &log.entries {
            match Wire::new(entry) {
                Ok(wire) => sendable.push(wire),
                Err(reason) => left.push((*line, reason)),
            }
        }
        let ledger = Ledger { answered: [(0, 200), (1, 200), (2, 418)].into(), bytes: 15, ..Ledger::default() };
        let books =
            Books { config: &config, normalised: false, log: &log, sendable: &sendable, left: &left, ledger: &ledger };
        books.compare(&Scrape::parse(scrape).unwrap())
    }

    const SCRAPE: &str = "eucora_http_requests_total{method=\"GET\",endpoint=\"/x/{id}\",status=\"200\"} 2\n\
                          eucora_http_requests_total{method=\"OTHER\",endpoint=\"unknown\",status=\"418\"} 1\n\
                          envoy_http_downstream_rq_total{envoy_http_conn_manager_prefix=\"ingress\"} 3\n";

    #[test]
    fn counts_that_agree_and_lines_that_were_left() {
        let replayed = replayed(SCRAPE);
        assert_eq!(replayed.problems, Vec::<String>::new());
        assert_eq!((replayed.lines, replayed.sent, replayed.counted), (5, 3, 3));
        let text = replayed.to_text();
        assert!(text.contains("/x/{id}   GET        200    2       2\n"), "{text}");
        assert!(text.contains("not sent: 1 line (first: line 4): no request (`-`)\n"), "{text}");
        assert!(text.contains("not sent: 1 line (first: line 5): CONNECT is a tunnel, not a request\n"), "{text}");
        assert!(text.ends_with("the filter's counts are the log's\n"), "{text}");
    }

    #[test]
    fn differences_are_named() {
        let replayed = replayed(&SCRAPE.replace("200\"} 2", "200\"} 1"));
        assert_eq!(replayed.problems, ["GET /x/{id} 200: the log has 2, the filter counted 1"]);
        assert!(replayed.to_text().contains("differs: GET /x/{id} 200: "));
    }

    #[test]
    fn paths_as_envoy_hands_them_on() {
        let cases = [
            ("/a/b", "/a/b"),
            ("//a///b/", "/a/b/"),
            ("/a/./b/../c", "/a/c"),
            ("/a/%2e%2E/b", "/b"),
            ("/../..", "/"),
            ("/a/..", "/"),
            ("/a/b/.", "/a/b/"),
            ("*", "*"),
        ];
        for (path, expected) in cases {
            assert_eq!(normalise(path), expected, "{path}");
        }
        for (target, expected) in
            [("/a?b=//c", "/a"), ("http://h/x?y", "/x"), ("http://h", "/"), ("/r?u=http://h/", "/r"), ("*", "*")]
        {
            assert_eq!(path_of(target), expected, "{target}");
        }
    }
}
