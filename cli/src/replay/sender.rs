//! Sends the log's requests, in the log's order, over several connections.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use http::{HeaderValue, Request, header};
use http_body_util::BodyExt as _;
use tokio::task::JoinSet;

use super::{REPLAY_ID, Wire};
use crate::client::{self, Connection, Protocol, RequestBody};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the client saw.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    /// By place among the requests that were sent: the status that came back.
    pub(super) answered: BTreeMap<usize, u16>,
    /// Body bytes that came back.
    pub(super) bytes: u64,
    /// Requests without an answer, and why the first had none.
    pub(super) unanswered: u64,
    pub(super) first_failure: Option<String>,
}

#[derive(Debug)]
pub(super) struct Sender {
    target: SocketAddr,
    requests: Arc<Vec<Wire>>,
    progress: Arc<AtomicU64>,
}

impl Sender {
    pub(super) fn new(target: SocketAddr, requests: Arc<Vec<Wire>>) -> Self {
        Self { target, requests, progress: Arc::default() }
    }

    /// Counts requests as they end.
    pub(super) fn progress(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.progress)
    }

    pub(super) async fn run(self, connections: usize) -> anyhow::Result<Ledger> {
        let next = Arc::new(AtomicUsize::new(0));
        let mut workers = JoinSet::new();
        for _ in 0..connections.max(1) {
            let worker = Worker {
                target: self.target,
                requests: Arc::clone(&self.requests),
                progress: self.progress(),
                next: Arc::clone(&next),
                ledger: Ledger::default(),
            };
            workers.spawn(worker.run());
        }
        let mut all = Ledger::default();
        while let Some(ledger) = workers.join_next().await {
            let ledger = ledger.context("a part of the replay failed")?;
            all.answered.extend(ledger.answered);
            all.bytes += ledger.bytes;
            all.unanswered += ledger.unanswered;
            all.first_failure = all.first_failure.take().or(ledger.first_failure);
        }
        Ok(all)
    }
}

/// One request at a time, over a connection of each protocol that its requests need.
struct Worker {
    target: SocketAddr,
    requests: Arc<Vec<Wire>>,
    progress: Arc<AtomicU64>,
    next: Arc<AtomicUsize>,
    ledger: Ledger,
}

impl Worker {
    async fn run(mut self) -> Ledger {
        let requests = Arc::clone(&self.requests);
        let mut connections: BTreeMap<Protocol, Connection> = BTreeMap::new();
        loop {
            let place = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(wire) = requests.get(place) else { return self.ledger };
            // Taken out, so that it is gone if anything fails.
            let open = connections.remove(&wire.protocol);
            match tokio::time::timeout(PATIENCE, self.exchange(place, wire, open)).await {
                Ok(Ok(connection)) => {
                    connections.insert(wire.protocol, connection);
                }
                Ok(Err(error)) => self.fail(wire, &format!("{error:#}")),
                Err(_) => self.fail(wire, "no answer within 60 s"),
            }
            self.progress.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn exchange(&mut self, place: usize, wire: &Wire, open: Option<Connection>) -> anyhow::Result<Connection> {
        let mut connection = Connection::kept_or_open(open, self.target, wire.protocol).await?;
        let authority = self.target.to_string();
        let mut request = Request::builder()
            .method(wire.method.clone())
            .uri(client::uri(wire.protocol, &authority, &wire.target)?)
            .body(RequestBody::default())?;
        *request.headers_mut() = wire.headers.clone();
        request.headers_mut().insert(REPLAY_ID, HeaderValue::from(place));
        if wire.protocol == Protocol::Http1 {
            request.headers_mut().insert(header::HOST, HeaderValue::try_from(authority)?);
        }
        let response = connection.send(request).await?;
        self.ledger.answered.insert(place, response.status().as_u16());
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            self.ledger.bytes += frame?.data_ref().map_or(0, |data| data.len() as u64);
        }
        Ok(connection)
    }

    fn fail(&mut self, wire: &Wire, why: &str) {
        self.ledger.unanswered += 1;
        self.ledger.first_failure.get_or_insert_with(|| format!("{} {}: {why}", wire.method, wire.target));
    }
}
