//! Counts equal what was served, to the last request: the filter's, the proxy's own, the access log's and the client's.

use std::collections::BTreeMap;
use std::time::Duration;

use edge_observer::scrape::Scrape;

use crate::support::proxy::{Proxy, ProxyOptions, filter_counts, fold, proxy_classes, proxy_total};
use crate::support::traffic::{self, Ledger};
use crate::support::upstream::{BEHAVIOUR, Upstream};

/// How many well-formed requests the load has, beside the odd ones.
const LOAD: u64 = 200_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_is_counted_once_in_the_embedded_host() {
    let upstream = Upstream::start().await;
    let options = options(&upstream);
    mixed_load(Proxy::harness(&options).await, upstream).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_is_counted_once_in_envoy() {
    let upstream = Upstream::start().await;
    let options = options(&upstream);
    let Some(proxy) = Proxy::envoy(&options).await else { return };
    mixed_load(proxy, upstream).await;
}

fn options(upstream: &Upstream) -> ProxyOptions {
    ProxyOptions { route_timeout: Duration::from_millis(1500), ..ProxyOptions::new(upstream.address) }
}

async fn mixed_load(proxy: Proxy, upstream: Upstream) {
    let target = proxy.listen();
    let mut tasks = tokio::task::JoinSet::new();
    for seed in 0..6 {
        tasks.spawn(traffic::http1(target, LOAD / 10, seed));
    }
    for seed in 6..8 {
        tasks.spawn(traffic::http2(target, LOAD / 5, seed));
    }
    tasks.spawn(traffic::aborts(target, 40));
    tasks.spawn(traffic::upgrades(target, 25));
    tasks.spawn(traffic::malformed(target, 10));
    tasks.spawn(timeouts(target, 5));
    let mut ledger = Ledger::default();
    while let Some(part) = tasks.join_next().await {
        ledger.merge(&part.unwrap());
    }
    // Then the upstream goes away.
    upstream.stop().await;
    ledger.merge(&refused(target, 50).await);

    let scrape = proxy.settled().await;
    let log = proxy.whole_access_log(proxy_total(&scrape)).await;
    compare(&ledger, &scrape, &log);
    histograms(&scrape, &log);
    correlation(&scrape, &log);
    proxy.stop().await;
}

async fn timeouts(target: std::net::SocketAddr, count: u64) -> Ledger {
    let mut ledger = Ledger::default();
    for _ in 0..count {
        let request =
            format!("PUT /api/v1/policies/ HTTP/1.1\r\nhost: a\r\n{BEHAVIOUR}: hang\r\ncontent-length: 0\r\n\r\n");
        let (status, head) = traffic::raw(target, request.as_bytes()).await;
        assert_eq!(status, Some(504), "{head}");
        ledger.add("PUT", 504);
    }
    ledger
}

async fn refused(target: std::net::SocketAddr, count: u64) -> Ledger {
    let mut ledger = Ledger::default();
    for _ in 0..count {
        let request = "GET /api/v1/health/ HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        let (status, head) = traffic::raw(target, request.as_bytes()).await;
        assert_eq!(status, Some(503), "{head}");
        ledger.add("GET", 503);
    }
    ledger
}

/// The client's ledger, the filter, the proxy and the access log agree.
fn compare(ledger: &Ledger, scrape: &Scrape, log: &[serde_json::Value]) {
    let filter = filter_counts(scrape);
    assert_eq!(fold(&filter, |(_, status)| *status), ledger.by_status(), "filter and client, by status");

    // A malformed request has no method that the client could foretell, so those are taken off by status, whatever their method.
    let mut logged: BTreeMap<(String, u16), u64> = BTreeMap::new();
    for line in log {
        let method = line["method"].as_str().map_or("OTHER", traffic::method_label);
        let status = line["status"].as_u64().unwrap_or_default() as u16;
        *logged.entry((method.to_owned(), status)).or_default() += 1;
    }
    assert_eq!(filter, logged, "filter and access log, by method and status");
    for (key, count) in &ledger.streams {
        let malformed = ledger.malformed.get(&key.1).copied().unwrap_or_default();
        let counted = filter.get(key).copied().unwrap_or_default();
        assert!(
            counted >= *count && counted <= count + malformed,
            "{key:?}: the client saw {count}, and {malformed} malformed ones of that status; the filter counted {counted}"
        );
    }

    assert_eq!(ledger.total(), proxy_total(scrape), "client and proxy, in all");
    let classes = fold(&filter, |(_, status)| status / 100);
    let classes: BTreeMap<_, _> = classes.into_iter().filter(|(class, _)| *class > 0).collect();
    assert_eq!(classes, proxy_classes(scrape), "filter and proxy, by class");
}

/// Buckets agree with the access log's own durations, wherever the two clocks cannot disagree.
fn histograms(scrape: &Scrape, log: &[serde_json::Value]) {
    // Both clocks are read within one pass of the worker's event loop, which other work on a busy machine can stretch.
    const APART_US: u64 = 25_000;
    let by_status = scrape.counts_by("eucora_http_requests_total", ["method", "endpoint"]);
    let counts = scrape.counts_by("eucora_http_request_duration_seconds_count", ["method", "endpoint"]);
    assert_eq!(by_status, counts, "requests and `_count`");

    let mut durations: BTreeMap<[String; 2], Vec<u64>> = BTreeMap::new();
    for line in log {
        // A request that the filter never saw has no filter-side start: Envoy's own duration is what it reports.
        let method = line["method"].as_str().map_or("OTHER", traffic::method_label).to_owned();
        let endpoint = line["endpoint"].as_str().unwrap().to_owned();
        let duration = line["duration_us"].as_u64();
        durations.entry([method, endpoint]).or_default().push(duration.unwrap_or(u64::MAX));
    }
    let mut compared = 0;
    for ([method, endpoint, le], counted) in
        scrape.counts_by("eucora_http_request_duration_seconds_bucket", ["method", "endpoint", "le"])
    {
        let of_series = &durations[&[method.clone(), endpoint.clone()]];
        if le == "+Inf" {
            assert_eq!(counted, of_series.len() as u64, "{method} {endpoint} +Inf");
            continue;
        }
        let bound = (le.parse::<f64>().unwrap() * 1e6).round() as u64;
        // Streams that ended without a last byte to the client have no duration in the log; they may stand anywhere.
        let unknown = of_series.iter().filter(|d| **d == u64::MAX).count() as u64;
        let known = || of_series.iter().filter(|d| **d != u64::MAX);
        let least = known().filter(|d| **d + APART_US <= bound).count() as u64;
        let most = known().filter(|d| **d <= bound + APART_US).count() as u64 + unknown;
        assert!(
            (least..=most).contains(&counted),
            "{method} {endpoint} le {le}: {counted} counted, between {least} and {most} by the access log"
        );
        compared += 1;
    }
    assert!(compared > 100, "{compared} buckets compared");

    let total_us = scrape.count("eucora_http_request_duration_microseconds_total", &[]);
    assert!(total_us > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn buckets_equal_the_access_log_s_in_the_embedded_host() {
    let upstream = Upstream::start().await;
    slow_answers(Proxy::harness(&ProxyOptions::new(upstream.address)).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn buckets_equal_the_access_log_s_in_envoy() {
    let upstream = Upstream::start().await;
    let Some(proxy) = Proxy::envoy(&ProxyOptions::new(upstream.address)).await else { return };
    slow_answers(proxy).await;
}

/// Answers that take times between the bounds: there the two clocks cannot disagree, and every bucket is equal.
async fn slow_answers(proxy: Proxy) {
    let target = proxy.listen();
    let mut tasks = tokio::task::JoinSet::new();
    for delay_ms in [0, 28, 72, 170, 370, 750, 1500, 2200] {
        for number in 0..8 {
            tasks.spawn(async move {
                // Not all at once, so that no answer waits for another.
                tokio::time::sleep(Duration::from_millis(number * 30)).await;
                let request = format!(
                    "GET /api/v1/health/ HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{BEHAVIOUR}: delay-ms={delay_ms}\r\n\r\n"
                );
                let (status, head) = traffic::raw(target, request.as_bytes()).await;
                assert_eq!(status, Some(200), "{head}");
            });
        }
    }
    let sent = tasks.len() as u64;
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let scrape = proxy.settled().await;
    let log = proxy.whole_access_log(sent).await;
    let durations: Vec<u64> = log.iter().map(|line| line["duration_us"].as_u64().unwrap()).collect();
    let mut compared = 0;
    for ([le], counted) in scrape.counts_by("eucora_http_request_duration_seconds_bucket", ["le"]) {
        let bound = if le == "+Inf" { u64::MAX } else { (le.parse::<f64>().unwrap() * 1e6).round() as u64 };
        if durations.iter().any(|duration| duration.abs_diff(bound) < 3_000) {
            continue;
        }
        let expected = durations.iter().filter(|duration| **duration <= bound).count() as u64;
        assert_eq!(counted, expected, "le {le}; durations in µs: {durations:?}");
        compared += 1;
    }
    assert!(compared >= 8, "{compared} bounds compared; durations in µs: {durations:?}");
    let sum_us = scrape.count("eucora_http_request_duration_microseconds_total", &[]);
    let expected: u64 = durations.iter().sum();
    assert!(sum_us.abs_diff(expected) < 3_000 * sent, "{sum_us} µs in all, {expected} by the access log");
    proxy.stop().await;
}

/// Every stream has one correlation outcome, and the log shows the ID that the counts speak of.
fn correlation(scrape: &Scrape, log: &[serde_json::Value]) {
    let outcomes = scrape.counts_by("eucora_edge_correlation_total", ["outcome"]);
    assert_eq!(outcomes.values().sum::<u64>(), log.len() as u64, "{outcomes:?}");
    let mut logged: BTreeMap<[String; 1], u64> = BTreeMap::new();
    for line in log {
        let outcome = line["outcome"].as_str().unwrap();
        let family = match outcome {
            refused if refused.starts_with("refused_") => "refused",
            other => other,
        };
        *logged.entry([family.to_owned()]).or_default() += 1;
        // One that the filter did not see shows what the client sent, if anything.
        assert!(!line["correlation_id"].is_null() || outcome == "none", "{line}");
    }
    let outcomes: BTreeMap<_, _> = outcomes.into_iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(outcomes, logged);
    assert!(scrape.count("eucora_edge_hostcall_faults_total", &[]) == 0, "a hostcall failed");
}
