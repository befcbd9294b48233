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

mod correlation;
mod ledger;
mod mix;
mod slot;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use correlation::{CorrelationCheck, CorrelationLedger};
pub use ledger::Ledger;
pub use mix::{Kind, Mix, MixOptions, Planned, SentId, Shares};

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
    /// How long a request may take before it counts as unanswered.
    pub patience: Duration,
    /// What is sent.
    pub mix: MixOptions,
    /// What is expected of the correlation ID in answers; `None` checks nothing.
    pub correlation: Option<CorrelationCheck>,
    /// Ends the load early; what is in flight is abandoned.
    pub stop: CancellationToken,
    /// Counts requests as they end, for a progress bar.
    pub progress: Arc<AtomicU64>,
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
            patience: Duration::from_secs(60),
            mix: MixOptions::default(),
            correlation: None,
            stop: CancellationToken::new(),
            progress: Arc::default(),
        }
    }
}

/// Shared by all slots.
#[derive(Debug)]
struct Plan {
    mix: Mix,
    authority: String,
    next: AtomicU64,
    started: Instant,
    options: LoadOptions,
}

impl Plan {
    /// The next request's number, when it is due; `None` when there is none left.
    async fn take(&self) -> Option<u64> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if self.options.stop.is_cancelled() || self.options.requests.is_some_and(|all| number >= all) {
            return None;
        }
        if let Some(rate) = self.options.rate {
            #[expect(
                clippy::cast_precision_loss,
                reason = "a moment in time; a rounding error of nanoseconds is nothing"
            )]
            let due = self.started + Duration::from_secs_f64(number as f64 / rate.max(0.001));
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                () = self.options.stop.cancelled() => return None,
            }
        }
        Some(number)
    }
}

/// Sends the load and returns what became of it.
///
/// # Errors
/// When the target takes no connections. A request that fails later is in the ledger.
pub async fn run(options: LoadOptions) -> anyhow::Result<Ledger> {
    let target = options.target;
    drop(Connection::open(target, Protocol::Http1).await.context("the load generator cannot reach the proxy")?);
    let mix = Mix::new(&options.mix)?;
    let plan = Arc::new(Plan {
        mix,
        authority: target.to_string(),
        next: AtomicU64::new(0),
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
            let line = Arc::new(Line::new(target, protocol));
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
