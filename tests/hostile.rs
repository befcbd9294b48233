//! No request traps the VM, whatever its bytes; series stay in the budget, memory stops growing, heartbeats go on.

use std::time::Duration;

use edge_observer::envoy::profile_json;
use edge_observer::scrape::{self, Scrape};
use telemetry::config::Config;

use crate::support::hostile;
use crate::support::proxy::{Proxy, ProxyOptions, filter_total, proxy_total};
use crate::support::traffic;
use crate::support::upstream::Upstream;

/// How many random hostile requests each proxy gets, unless `EDGE_OBSERVER_FLOOD` says another number.
const FLOOD: u64 = 400_000;

/// Connections at a time.
const CONNECTIONS: u64 = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_hostile_requests_in_the_embedded_host() {
    let upstream = Upstream::start().await;
    flood(Proxy::harness(&options(&upstream)).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_hostile_requests_in_envoy() {
    let upstream = Upstream::start().await;
    let Some(proxy) = Proxy::envoy(&options(&upstream)).await else { return };
    flood(proxy).await;
}

/// The profile, with everything on that a request can make series with.
fn configuration() -> String {
    let mut configuration: serde_json::Value = serde_json::from_str(&profile_json()).unwrap();
    configuration["routes"]["unmatched"] = "placeholders".into();
    configuration["routes"]["placeholders"] = serde_json::json!({"max_endpoints": 20, "min_hits": 1});
    configuration["correlation"]["expose"] = true.into();
    configuration["correlation"]["traceparent"] = "start".into();
    configuration["metrics"]["series_budget"] = 200_000.into();
    configuration.to_string()
}

fn options(upstream: &Upstream) -> ProxyOptions {
    ProxyOptions {
        configuration: configuration(),
        route_timeout: Duration::from_secs(10),
        ..ProxyOptions::new(upstream.address)
    }
}

async fn flood(proxy: Proxy) {
    let budget = Config::from_json(configuration().as_bytes()).unwrap().budget().total();
    let flood = std::env::var("EDGE_OBSERVER_FLOOD").map_or(FLOOD, |number| number.parse().unwrap());
    let target = proxy.listen();
    let part = |first_seed: u64| async move {
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..CONNECTIONS {
            tasks.spawn(hostile::flood(target, flood / 2 / CONNECTIONS, first_seed + task));
        }
        let mut answered = 0;
        while let Some(part) = tasks.join_next().await {
            answered += part.unwrap();
        }
        answered
    };
    let answered = part(1000).await;
    let half = proxy.settled().await;
    let resident_half = proxy.resident();
    let answered = answered + part(2000).await;
    let end = proxy.settled().await;
    let resident_end = proxy.resident();
    assert!(answered >= flood * 99 / 100, "{answered} answers to {flood} requests");
    assert!(proxy_total(&end) >= answered, "{answered} answers, {} requests counted", proxy_total(&end));
    assert_eq!(proxy_total(&end), filter_total(&end));
    assert_eq!(end.count("eucora_edge_hostcall_faults_total", &[]), 0);

    let series = own_series(&end);
    assert!(series as u64 <= budget, "{series} series, {budget} in the budget");
    // The second half may still meet a status or method for the first time at an endpoint, and no more.
    let grown = series.saturating_sub(own_series(&half));
    assert!(grown * 10 <= series, "{grown} of {series} series came in the second half");

    // The whole process, V8's memory too. The embedded host shares its process with the load, so that nothing can be said of it.
    if let (Some(half), Some(end)) = (resident_half, resident_end) {
        assert!(
            end <= half + half / 20 + 4_000_000,
            "resident memory grew from {half} to {end} bytes in the second half"
        );
    }

    // Every instance that ever beat still beats.
    let beats = end.counts_by("eucora_edge_heartbeat_total", ["worker"]);
    assert!(beats.len() >= 3, "two workers and the main thread: {beats:?}");
    let waited = scrape::wait_until(proxy.admin(), Duration::from_secs(10), |now| {
        let now = now.counts_by("eucora_edge_heartbeat_total", ["worker"]);
        beats.iter().all(|(worker, before)| now[worker] > *before)
    })
    .await
    .unwrap();
    assert!(waited.in_time, "a heartbeat stopped: {beats:?}");

    // And it still does its work.
    let (status, head) =
        traffic::raw(target, b"GET /api/v1/health/ HTTP/1.1\r\nhost: a\r\nx-correlation-id: after-the-flood\r\n\r\n")
            .await;
    assert_eq!(status, Some(200));
    assert!(head.to_ascii_lowercase().contains("x-correlation-id: after-the-flood"), "{head}");
    proxy.stop().await;
}

fn own_series(scrape: &Scrape) -> usize {
    scrape.samples().iter().filter(|sample| sample.name.starts_with("eucora_")).count()
}
