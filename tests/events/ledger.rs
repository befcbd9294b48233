//! Requests that make events, and the books that must balance.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use edge_observer::scrape::Scrape;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::SINK;
use super::fakes::Receiver;
use crate::support::traffic::head;

/// The filter's own counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) made: u64,
    pub(crate) delivered: u64,
    pub(crate) logged: u64,
    pub(crate) queued: u64,
    /// Those that were logged, by reason.
    pub(crate) reasons: BTreeMap<String, u64>,
    /// Batches sent again.
    pub(crate) again: u64,
    pub(crate) faults: u64,
}

impl Account {
    pub(crate) fn of(scrape: &Scrape) -> Self {
        let state = |state| scrape.count("eucora_edge_events_total", &[("sink", SINK), ("state", state)]);
        let reasons = scrape.counts_by("eucora_edge_events_logged_total", ["reason"]);
        Self {
            made: state("made"),
            delivered: state("delivered"),
            logged: state("logged"),
            queued: scrape.count("eucora_edge_events_queued", &[]),
            reasons: reasons.into_iter().filter(|(_, count)| *count > 0).map(|([reason], n)| (reason, n)).collect(),
            again: scrape.count("eucora_edge_event_batches_total", &[("state", "again")]),
            faults: scrape.count("eucora_edge_hostcall_faults_total", &[]),
        }
    }

    /// Every event has come to one end.
    pub(crate) fn is_balanced(&self) -> bool {
        self.queued == 0 && self.made == self.delivered + self.logged
    }
}

/// Requests that were answered: their correlation IDs, and how long each took.
#[derive(Debug, Default)]
pub(crate) struct Posts {
    pub(crate) ids: Vec<String>,
    pub(crate) latencies: Vec<Duration>,
}

impl Posts {
    pub(crate) fn add(&mut self, more: Self) {
        self.ids.extend(more.ids);
        self.latencies.extend(more.latencies);
    }

    /// The middle one of the latencies.
    pub(crate) fn median(&self) -> Duration {
        let mut sorted = self.latencies.clone();
        sorted.sort();
        sorted[sorted.len() / 2]
    }
}

/// Sends `count` requests that make an event each, at a rate, whether or not earlier ones were answered, over four connections. Each has to be
/// answered with 200.
pub(crate) async fn posts(target: SocketAddr, name: &str, count: usize, rate: u32) -> Posts {
    const CONNECTIONS: usize = 4;
    let begun = tokio::time::Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for lane in 0..CONNECTIONS {
        let name = name.to_owned();
        tasks.spawn(async move {
            let mut posts = Posts::default();
            let mut socket = TcpStream::connect(target).await.unwrap();
            socket.set_nodelay(true).unwrap();
            for number in (lane..count).step_by(CONNECTIONS) {
                tokio::time::sleep_until(begun + Duration::from_secs(1) * (number as u32) / rate).await;
                let id = format!("{name}-{number:08}");
                let sent = Instant::now();
                let request = format!(
                    "POST /decisions/{number} HTTP/1.1\r\nhost: a\r\nx-correlation-id: {id}\r\ncontent-length: 0\r\n\r\n"
                );
                socket.write_all(request.as_bytes()).await.unwrap();
                let (status, answer) = head(&mut socket).await;
                assert_eq!(status, Some(200), "{id}: {}", String::from_utf8_lossy(&answer));
                posts.latencies.push(sent.elapsed());
                posts.ids.push(id);
            }
            posts
        });
    }
    let mut posts = Posts::default();
    while let Some(part) = tasks.join_next().await {
        posts.add(part.unwrap());
    }
    posts
}

/// The events in a proxy's log that no receiver took, each with the reason.
pub(crate) fn undelivered(log: &str) -> Vec<(String, Value)> {
    log.lines()
        .filter(|line| line.contains(r#""message":"security event""#))
        .map(|line| {
            let json = &line[line.find(r#"{""#).unwrap()..];
            let line: Value = serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"));
            let reason = line["undelivered"].as_str().unwrap_or_else(|| panic!("no reason: {line}"));
            (reason.to_owned(), line["event"].clone())
        })
        .collect()
}

/// Every request made one event, with one `EventUid`, and each of these is at the receiver or in the log.
#[track_caller]
pub(crate) fn all_are_somewhere(posts: &Posts, receiver: &Receiver, log: &str) {
    let logged = undelivered(log);
    let mut uids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut count = |event: &Value| {
        let (Some(id), Some(uid)) = (event["CorrelationId"].as_str(), event["EventUid"].as_str()) else {
            panic!("{event}");
        };
        uids.entry(id.to_owned()).or_default().insert(uid.to_owned());
    };
    receiver.accepted().values().for_each(&mut count);
    logged.iter().for_each(|(_, event)| count(event));
    let missing: Vec<_> = posts.ids.iter().filter(|id| !uids.contains_key(*id)).collect();
    assert!(
        missing.is_empty(),
        "{} of {} events are nowhere ({} at the receiver, {} in the log), such as {:?}",
        missing.len(),
        posts.ids.len(),
        receiver.accepted().len(),
        logged.len(),
        missing.first()
    );
    assert_eq!(uids.len(), posts.ids.len(), "events that nobody made");
    let twice = uids.iter().find(|(_, uids)| uids.len() != 1);
    assert_eq!(twice, None, "a request made several events");
    let in_log: BTreeSet<_> = logged.iter().map(|(_, event)| event["EventUid"].to_string()).collect();
    assert_eq!(in_log.len(), logged.len(), "an event is in the log twice");
    assert_eq!(receiver.complaints(), Vec::<String>::new());
}
