//! Polled gauges: one worker of the proxy asks the API, and the gauges say what it answered.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use edge_observer::envoy::profile_json;
use edge_observer::scrape;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::support::proxy::{Proxy, ProxyOptions};
use crate::support::upstream::Upstream;

/// The API's summary.
struct Summary {
    address: SocketAddr,
    /// How often it was asked for.
    asked: Arc<AtomicU64>,
    /// The status of its answers.
    status: Arc<AtomicU64>,
    _task: AbortOnDropHandle<()>,
}

impl Summary {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, status) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(200)));
        let (count, answer) = (Arc::clone(&asked), Arc::clone(&status));
        let task = tokio::spawn(async move {
            loop {
                let Ok((socket, _)) = listener.accept().await else { continue };
                let (count, answer) = (Arc::clone(&count), Arc::clone(&answer));
                let service = service_fn(move |request: Request<Incoming>| {
                    assert_eq!((request.method().as_str(), request.uri().path()), ("GET", "/api/v1/metrics/summary"));
                    let asked = count.fetch_add(1, Ordering::SeqCst) + 1;
                    let body = json!({"active_deployments": {"pending": {"0": asked, "4": 2}, "completed": {"1": 40}}, "cab_queue_depth": 21});
                    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
                    *response.status_mut() = StatusCode::from_u16(answer.load(Ordering::SeqCst) as u16).unwrap();
                    async move { Ok::<_, Infallible>(response) }
                });
                tokio::spawn(async move {
                    let _ =
                        auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Self { address, asked, status, _task: AbortOnDropHandle::new(task) }
    }
}

fn options(upstream: &Upstream, summary: &Summary) -> ProxyOptions {
    let mut config: Value = serde_json::from_str(&profile_json()).unwrap();
    config["polls"][0]["cluster"] = json!("summary");
    config["polls"][0]["interval_ms"] = json!(1000);
    config["polls"][0]["stale_after_ms"] = json!(4000);
    for gauge in config["polls"][0]["gauges"].as_array_mut().unwrap() {
        gauge["stale"] = json!(0);
    }
    let mut options = ProxyOptions::new(upstream.address);
    options.configuration = config.to_string();
    options.clusters = vec![("summary".to_owned(), summary.address)];
    options
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gauges_come_and_go_stale_in_the_embedded_host() {
    let (upstream, summary) = (Upstream::start().await, Summary::start().await);
    let proxy = Proxy::harness(&options(&upstream, &summary)).await;
    come_and_go(proxy, summary).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gauges_come_and_go_stale_in_envoy() {
    let (upstream, summary) = (Upstream::start().await, Summary::start().await);
    let Some(proxy) = Proxy::envoy(&options(&upstream, &summary)).await else { return };
    come_and_go(proxy, summary).await;
}

async fn come_and_go(proxy: Proxy, summary: Summary) {
    let limit = Duration::from_secs(30);
    let deployments = "eucora_active_deployments";
    let first = scrape::wait_until(proxy.admin(), limit, |scrape| scrape.sum("eucora_cab_queue_depth", &[]) == 21.0)
        .await
        .unwrap();
    assert!(first.in_time, "the gauges came");
    let values = first.scrape.counts_by(deployments, ["status", "ring"]);
    assert_eq!(values.len(), 20, "every status and ring has a series: {values:?}");
    let of = |status: &str, ring: &str| values[&[status.to_owned(), ring.to_owned()]];
    assert_eq!((of("pending", "4"), of("completed", "1"), of("approved", "0")), (2, 40, 0));

    // One worker asks for all: four intervals of at least 0.9 s take that long, and twice as many workers would take half.
    let (before, began) = (summary.asked.load(Ordering::SeqCst), Instant::now());
    let more = scrape::wait_until(proxy.admin(), limit, |_| summary.asked.load(Ordering::SeqCst) >= before + 4);
    assert!(more.await.unwrap().in_time && began.elapsed() >= Duration::from_millis(2700), "{:?}", began.elapsed());
    let counted = scrape::wait_until(proxy.admin(), limit, |scrape| {
        scrape.sum("eucora_edge_poll_total", &[("outcome", "ok")]) >= (before + 4) as f64
    });
    assert!(counted.await.unwrap().in_time);

    summary.status.store(503, Ordering::SeqCst);
    let stale = scrape::wait_until(proxy.admin(), limit, |scrape| {
        scrape.sum("eucora_cab_queue_depth", &[]) == 0.0 && scrape.sum("eucora_edge_poll_staleness_seconds", &[]) >= 4.0
    });
    assert!(stale.await.unwrap().in_time, "the gauges went to their stale value");
    summary.status.store(200, Ordering::SeqCst);
    let back = scrape::wait_until(proxy.admin(), limit, |scrape| {
        scrape.sum("eucora_cab_queue_depth", &[]) == 21.0 && scrape.sum("eucora_edge_poll_staleness_seconds", &[]) < 4.0
    });
    let back = back.await.unwrap();
    assert!(back.in_time, "the gauges came back");
    assert!(back.scrape.sum("eucora_edge_poll_total", &[("outcome", "status")]) >= 1.0);
    proxy.stop().await;
}
