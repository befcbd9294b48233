//! A load generator that keeps exact books.
//!
//! It sends a deterministic mix (request *n* of a seed is always the same request) over HTTP/1.1 and HTTP/2 connections, at full speed or at a
//! steady rate, and writes down what it saw of each request: its method, its status, or that it left before an answer. Nothing is retried. A
//! request that it abandons is one that the proxy has certainly begun to serve, so the proxy must have counted it, with status 0.
//!
//! ```no_run
//! # async fn example(routes: Vec<telemetry::route::RouteSpec>) -> anyhow::Result<()> {
//! use edge_observer::load::{self, LoadOptions};
//!
//! let mut options = LoadOptions::new("127.0.0.1:10000".parse()?);
//! options.requests = Some(20_000);
//! options.mix.routes = routes;
//! let ledger = load::run(options).await?;
//! assert_eq!(ledger.total(), 20_000);
//! # Ok(())
//! # }
//! ```

mod business;
mod correlation;
mod ledger;
mod mix;
mod pace;
mod slot;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use business::{BusinessLedger, IDEMPOTENCY_KEY, Series};
pub use correlation::{CorrelationCheck, CorrelationLedger};
pub use ledger::Ledger;
pub use mix::{Kind, Mix, MixOptions, Planned, SentId, Shares};
pub use pace::Pace;

use crate::client::{Connection, Protocol};
use slot::{Line, Slot};

/// How to run a load.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// The proxy's address.
    pub target: SocketAddr,
    /// How many requests to send; `None` sends until `stop`.
    pub requests: Option<u64>,
    /// HTTP/1.1 connections, each with one request at a time.
    pub http1_connections: usize,
    /// HTTP/2 connections.
    pub http2_connections: usize,
    /// Requests at a time on each HTTP/2 connection.
    pub http2_streams: usize,
    /// Requests a second over all connections; `None` is as fast as answers come.
    pub rate: Option<f64>,
    /// No request is begun later than this after the first; `None` goes on until `requests` are sent. What is in flight is waited for.
    pub limit: Option<Duration>,
    /// Every so-manieth request goes over HTTP/1.1 and the others over HTTP/2, so that neither waits for the other; `None` lets whichever
    /// connection is free take the next one.
    pub http1_every: Option<u64>,
    /// A connection is closed and opened anew after so many requests; `None` keeps it as long as the proxy does.
    pub requests_per_connection: Option<u64>,
    /// How long a request may take before it counts as unanswered.
    pub patience: Duration,
    /// What is sent.
    pub mix: MixOptions,
    /// What is expected of the correlation ID in answers; `None` checks nothing.
    pub correlation: Option<CorrelationCheck>,
    /// Ends the load early; what is in flight is abandoned.
    pub stop: CancellationToken,
    /// Ends it too, and what is in flight is waited for.
    pub enough: CancellationToken,
    /// Counts requests as they end, for a progress bar.
    pub progress: Arc<AtomicU64>,
    /// How late requests were sent; of use only with a `rate`.
    pub pace: Arc<Pace>,
}

impl LoadOptions {
    /// A load of a few connections of both protocols on `target`.
    pub fn new(target: SocketAddr) -> Self {
        Self {
            target,
            requests: None,
            http1_connections: 24,
            http2_connections: 4,
            http2_streams: 8,
            rate: None,
            limit: None,
            http1_every: None,
            requests_per_connection: None,
            patience: Duration::from_secs(60),
            mix: MixOptions::default(),
            correlation: None,
            stop: CancellationToken::new(),
            enough: CancellationToken::new(),
            progress: Arc::default(),
            pace: Arc::default(),
        }
    }
}

/// What a load is made of: request *n* is always the same request, whatever connection takes it, and when.
pub trait Source: std::fmt::Debug + Send + Sync {
    /// Request `number`.
    fn request(&self, number: u64) -> Planned;
}

impl Source for Mix {
    fn request(&self, number: u64) -> Planned {
        Mix::request(self, number)
    }
}

/// Shared by all slots.
#[derive(Debug)]
struct Plan {
    source: Arc<dyn Source>,
    authority: String,
    /// The next request's number; with `http1_every` among those of HTTP/1.1.
    next: AtomicU64,
    /// With `http1_every` the next one's number among those of HTTP/2.
    next_http2: AtomicU64,
    started: Instant,
    options: LoadOptions,
}

impl Plan {
    /// The next request's number on a connection of this protocol.
    fn number(&self, protocol: Protocol) -> u64 {
        match (self.options.http1_every.map(|every| every.max(2)), protocol) {
            (None, _) => self.next.fetch_add(1, Ordering::Relaxed),
            (Some(every), Protocol::Http1) => self.next.fetch_add(1, Ordering::Relaxed).saturating_mul(every),
            (Some(every), Protocol::Http2) => {
                let place = self.next_http2.fetch_add(1, Ordering::Relaxed);
                place.saturating_add(place / (every - 1)).saturating_add(1)
            }
        }
    }

    /// The next request's number, when it is due; `None` when there is none left.
    async fn take(&self, protocol: Protocol) -> Option<u64> {
        let number = self.number(protocol);
        let options = &self.options;
        if options.stop.is_cancelled()
            || options.enough.is_cancelled()
            || options.requests.is_some_and(|all| number >= all)
        {
            return None;
        }
        if let Some(rate) = options.rate {
            #[expect(
                clippy::cast_precision_loss,
                reason = "a moment in time; a rounding error of nanoseconds is nothing"
            )]
            let due = self.started + Duration::from_secs_f64(number as f64 / rate.max(0.001));
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                () = options.stop.cancelled() => return None,
                () = options.enough.cancelled() => return None,
            }
            options.pace.sent_after(due.elapsed());
        }
        (options.limit.is_none_or(|limit| self.started.elapsed() <= limit)).then_some(number)
    }
}

/// Sends the load and returns what became of it.
///
/// # Errors
/// When the target takes no connections. A request that fails later is in the ledger.
pub async fn run(options: LoadOptions) -> anyhow::Result<Ledger> {
    let mix = Mix::new(&options.mix)?;
    run_from(Arc::new(mix), options).await
}

/// Sends requests of another source than the mix.
///
/// # Errors
/// As [`run`].
pub async fn run_from(source: Arc<dyn Source>, options: LoadOptions) -> anyhow::Result<Ledger> {
    let target = options.target;
    drop(Connection::open(target, Protocol::Http1).await.context("the load generator cannot reach the proxy")?);
    let plan = Arc::new(Plan {
        source,
        authority: target.to_string(),
        next: AtomicU64::new(0),
        next_http2: AtomicU64::new(0),
        started: Instant::now(),
        options,
    });
    let mut slots = JoinSet::new();
    let lines = [
        (Protocol::Http1, plan.options.http1_connections, 1),
        (Protocol::Http2, plan.options.http2_connections, plan.options.http2_streams),
    ];
    for (protocol, connections, streams) in lines {
        for _ in 0..connections {
            let line = Arc::new(Line::new(target, protocol, plan.options.requests_per_connection));
            for _ in 0..streams {
                slots.spawn(Slot::new(Arc::clone(&plan), Arc::clone(&line)).run());
            }
        }
    }
    let mut ledger = Ledger::default();
    while let Some(slot) = slots.join_next().await {
        ledger.merge(slot.context("a part of the load generator failed")?);
    }
    Ok(ledger)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn both_protocols_together_take_every_number_once() {
        let mut options = LoadOptions::new(SocketAddr::from(([127, 0, 0, 1], 9)));
        options.http1_every = Some(4);
        let plan = Plan {
            source: Arc::new(
                Mix::new(&MixOptions {
                    shares: Shares { unknown_path: 1.0, ..Shares::default() },
                    ..MixOptions::default()
                })
                .unwrap(),
            ),
            authority: String::new(),
            next: AtomicU64::new(0),
            next_http2: AtomicU64::new(0),
            started: Instant::now(),
            options,
        };
        let http1: Vec<u64> = (0..100).map(|_| plan.number(Protocol::Http1)).collect();
        assert_eq!(http1[..3], [0, 4, 8]);
        let all: BTreeSet<u64> = http1.into_iter().chain((0..300).map(|_| plan.number(Protocol::Http2))).collect();
        assert_eq!((all.len(), all.last()), (400, Some(&399)));
    }
}
