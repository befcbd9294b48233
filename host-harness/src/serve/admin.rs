//! The admin pages: stats, readiness and health.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::exposition;
use crate::stats_config::StatsConfig;
use crate::{Role, Shared};

/// A thread that has not come round for so long is taken to be stuck.
const STUCK_AFTER: Duration = Duration::from_secs(5);

/// How the threads are.
#[derive(Debug)]
pub(super) struct Health {
    since: Instant,
    threads: Vec<Thread>,
    draining: AtomicBool,
}

#[derive(Debug)]
struct Thread {
    role: Role,
    /// Milliseconds after `since` at which it last came round.
    beat: AtomicU64,
    failed: AtomicBool,
}

impl Health {
    pub(super) fn new(workers: u32) -> Self {
        let thread = |role| Thread { role, beat: AtomicU64::new(0), failed: AtomicBool::new(false) };
        let threads = std::iter::once(Role::Main).chain((0..workers).map(Role::Worker)).map(thread).collect();
        Self { since: Instant::now(), threads, draining: AtomicBool::new(false) }
    }

    /// A thread came round.
    pub(super) fn beat(&self, role: Role, failed: bool) {
        if let Some(thread) = self.threads.iter().find(|thread| thread.role == role) {
            let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
            thread.beat.store(now, Ordering::Relaxed);
            thread.failed.store(failed, Ordering::Relaxed);
        }
    }

    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether all threads run, and a line for each.
    fn report(&self) -> (bool, String) {
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut well = true;
        let mut text = String::new();
        for thread in &self.threads {
            let age = now.saturating_sub(thread.beat.load(Ordering::Relaxed));
            let state = if thread.failed.load(Ordering::Relaxed) {
                "module failed"
            } else if Duration::from_millis(age) > STUCK_AFTER {
                "stuck"
            } else {
                "ok"
            };
            well &= state == "ok";
            let _ = writeln!(text, "{}: {state}, last seen {age} ms ago", thread.role);
        }
        (well, text)
    }
}

/// What the pages are made from.
#[derive(Debug, Clone)]
pub(super) struct Pages {
    pub(super) shared: Arc<Shared>,
    pub(super) config: StatsConfig,
    pub(super) health: Arc<Health>,
}

/// Answers the admin port until `stop`.
pub(super) async fn serve(listener: TcpListener, pages: Pages, stop: CancellationToken) {
    let connections = tokio_util::task::TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((socket, _)) => {
                connections.spawn_local(connection(socket, pages.clone(), stop.clone()));
            }
            // Out of file descriptors, most likely; some will come back.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    connections.close();
    let _ = tokio::time::timeout(Duration::from_secs(1), connections.wait()).await;
}

async fn connection(socket: TcpStream, pages: Pages, stop: CancellationToken) {
    let service = service_fn(|request| std::future::ready(Ok::<_, std::convert::Infallible>(pages.answer(&request))));
    let mut connection = std::pin::pin!(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
    let _ = tokio::select! {
        result = connection.as_mut() => result,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.as_mut().await
        }
    };
}

impl Pages {
    fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        const TEXT: &str = "text/plain; charset=utf-8";
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, String::from("use GET\n"));
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let prometheus_wanted =
            request.uri().query().is_some_and(|query| query.split('&').any(|part| part == "format=prometheus"));
        match request.uri().path() {
            "/stats" if !prometheus_wanted => {
                page(StatusCode::OK, TEXT, exposition::plain(self.shared.stats(), &self.config))
            }
            "/stats" | "/stats/prometheus" | "/metrics" => {
                let text = exposition::prometheus(self.shared.stats(), &self.config);
                page(StatusCode::OK, exposition::PROMETHEUS_CONTENT_TYPE, text)
            }
            "/ready" if self.health.draining.load(Ordering::Relaxed) => {
                page(StatusCode::SERVICE_UNAVAILABLE, TEXT, String::from("DRAINING\n"))
            }
            "/ready" => page(StatusCode::OK, TEXT, String::from("LIVE\n")),
            "/healthz" => {
                let (well, text) = self.health.report();
                page(if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, TEXT, text)
            }
            "/" => page(StatusCode::OK, TEXT, String::from("/healthz\n/metrics\n/ready\n/stats\n/stats/prometheus\n")),
            _ => page(StatusCode::NOT_FOUND, TEXT, String::from("no such page; see /\n")),
        }
    }
}

fn page(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
