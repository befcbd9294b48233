//! The sample control-plane API: what the filter stands in front of on the first day and in tests.
//!
//! It serves the routes of a plugin configuration (EUCORA's, by default) with plausible latencies, errors and slow calls, over HTTP/1.1 and
//! HTTP/2 without TLS. Everything random comes from one seed. Besides its routes it knows what a proxy has to pass through:
//!
//! - `?wait=SECONDS` on any route answers only after that time, as a long poll does;
//! - `?status=NUMBER` on any route answers with that status, from 200 to 599;
//! - `Upgrade: websocket` on any `GET` makes the connection a WebSocket that echoes;
//! - `Content-Type: application/grpc` on any `POST` is answered as gRPC does, with the status in the trailers;
//! - `If-None-Match` is answered with 304;
//! - `GET /api/v1/metrics/summary`, which is no route, has what EUCORA's own database would say: deployments by status and ring, and how many wait for
//!   the change advisory board;
//! - decisions say the risk level in `x-risk-level`; some operations of connectors are only accepted (202), and some say in `x-operation-status` what
//!   became of them, the same for the same `idempotency-key`;
//! - templates with `download`, `static` or `schema` in them send a large body, `events` and `logs` send one in pieces.

mod answer;
mod latency;
mod websocket;

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use telemetry::route::{
    LabelStyle, PlaceholderBuffer, RouteMatch, RouteOptions, RouteSpec, RouteTable, TrailingSlash, Unmatched,
};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::accept;
use answer::Body;
pub use answer::Summary;

/// How to run the sample API.
#[derive(Debug, Clone)]
pub struct SampleApiOptions {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Its routes.
    pub routes: Vec<RouteSpec>,
    /// The seed of latencies and errors.
    pub seed: u64,
    /// Every latency is multiplied by this; 0 answers at once.
    pub latency_scale: f64,
    /// Every share of errors is multiplied by this; 0 answers only successes, and 404 and 405 where they are due.
    pub error_scale: f64,
}

impl Default for SampleApiOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            routes: Vec::new(),
            seed: 1,
            latency_scale: 1.0,
            error_scale: 1.0,
        }
    }
}

/// A running sample API; dropping it ends it, with all its connections.
#[derive(Debug)]
pub struct SampleApi {
    address: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<Infallible>,
}

/// What all connections share.
#[derive(Debug)]
struct State {
    table: RouteTable,
    /// By the table's label.
    routes: Vec<answer::Route>,
    rng: Mutex<ChaCha8Rng>,
    latency_scale: f64,
    error_scale: f64,
    received: AtomicU64,
    summary: Mutex<Summary>,
}

impl SampleApi {
    /// Starts it.
    pub async fn start(options: SampleApiOptions) -> anyhow::Result<Self> {
        let table_options = RouteOptions {
            label: LabelStyle::Template,
            trailing_slash: TrailingSlash::Ignore,
            unmatched: Unmatched::Unknown,
            ..RouteOptions::default()
        };
        let table = RouteTable::build(&options.routes, &table_options).map_err(|problems| {
            anyhow::anyhow!(
                "the sample API cannot serve these routes: {}",
                problems.first().map_or("", |first| first.message.as_str())
            )
        })?;
        let routes = table.labels().iter().map(|label| answer::Route::new(label, &options.routes)).collect();
        let listener = TcpListener::bind(options.listen)
            .await
            .with_context(|| format!("the sample API cannot listen on {}", options.listen))?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            table,
            routes,
            rng: Mutex::new(ChaCha8Rng::seed_from_u64(options.seed)),
            latency_scale: options.latency_scale.max(0.0),
            error_scale: options.error_scale.max(0.0),
            received: AtomicU64::new(0),
            summary: Mutex::default(),
        });
        let accepting = tokio::spawn(serve(listener, Arc::clone(&state)));
        Ok(Self { address, state, accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on its summary says this.
    pub fn summarise(&self, summary: Summary) {
        *self.state.summary.lock().unwrap_or_else(PoisonError::into_inner) = summary;
    }

    /// Requests that reached it so far.
    pub fn received(&self) -> u64 {
        self.state.received.load(Ordering::Relaxed)
    }
}

impl Drop for SampleApi {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl State {
    fn route(&self, method: telemetry::method::Method, path: &[u8]) -> Option<&answer::Route> {
        match self.table.find(method, path, &mut PlaceholderBuffer::default()) {
            RouteMatch::Endpoint(id) if id.index() >= 2 => self.routes.get(id.index()),
            RouteMatch::Endpoint(_) | RouteMatch::Placeholder => None,
        }
    }

    fn with_rng<T>(&self, draw: impl FnOnce(&mut ChaCha8Rng) -> T) -> T {
        draw(&mut self.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) -> Infallible {
    accept::connections(listener, |stream| {
        let state = Arc::clone(&state);
        async move {
            let service = service_fn(move |request| respond(Arc::clone(&state), request));
            let http = auto::Builder::new(TokioExecutor::new());
            // A connection that ends early is the proxy's business.
            drop(http.serve_connection_with_upgrades(TokioIo::new(stream), service).await);
        }
    })
    .await
}

async fn respond(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    if request.method() == http::Method::GET && request.uri().path() == answer::SUMMARY {
        let summary = *state.summary.lock().unwrap_or_else(PoisonError::into_inner);
        return Ok(answer::summary(summary, state.received.load(Ordering::Relaxed)));
    }
    state.received.fetch_add(1, Ordering::Relaxed);
    Ok(answer::to(&state, request).await)
}
