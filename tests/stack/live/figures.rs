//! Figures of the rules beside an account of the same requests that nobody but the access log has given.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use edge_observer::envoy::{EnvoyOptions, EnvoyProxy, Upstream as To};
use edge_observer::stack::prometheus::{Prometheus, PrometheusOptions};
use edge_observer::tools::Tools;
use serde_json::Value;

use super::backing::free;
use super::scene::paced_rules;
use crate::support::proxy::{envoy_binary, module_path};
use crate::support::traffic::raw;
use crate::support::upstream::{BEHAVIOUR, Upstream};

/// The bounds of the profile's buckets, in microseconds.
const BOUNDS: [u64; 10] =
    [10_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_000_000, 2_500_000, 5_000_000, 10_000_000];

/// One request of the access log.
#[derive(Debug)]
struct Line {
    endpoint: String,
    status: u64,
    /// From the first byte of the request to the last of the answer, as the filter measures it.
    micros: u64,
}

/// What can be said of some requests.
#[derive(Debug, Default)]
struct Account {
    all: f64,
    errors: f64,
    within_1s: f64,
    within_2s: f64,
    durations: Vec<u64>,
}

impl Account {
    fn add(&mut self, line: &Line) {
        self.all += 1.0;
        self.errors += f64::from(u8::from((500..600).contains(&line.status)));
        self.within_1s += f64::from(u8::from(line.micros <= 1_000_000));
        self.within_2s += f64::from(u8::from(line.micros <= 2_000_000));
        self.durations.push(line.micros);
    }

    /// What `histogram_quantile` makes of exact buckets: its own definition, computed here from the durations.
    fn quantile(&self, q: f64) -> f64 {
        let rank = q * self.all;
        let count = |bound: u64| self.durations.iter().filter(|micros| **micros <= bound).count() as f64;
        let mut below = (0_u64, 0.0);
        for bound in BOUNDS {
            let here = count(bound);
            if here >= rank {
                let (start, before) = below;
                return (start as f64 + (bound - start) as f64 * (rank - before) / (here - before)) / 1e6;
            }
            below = (bound, here);
        }
        f64::INFINITY
    }

    /// The duration of which so many are no longer, and the bucket that it is in.
    fn bucket_of(&self, q: f64) -> (f64, f64) {
        let mut sorted = self.durations.clone();
        sorted.sort_unstable();
        let place = ((q * self.all).ceil() as usize).clamp(1, sorted.len()) - 1;
        let value = sorted[place];
        let upper = BOUNDS.iter().position(|bound| value <= *bound).unwrap();
        (upper.checked_sub(1).map_or(0.0, |lower| BOUNDS[lower] as f64 / 1e6), BOUNDS[upper] as f64 / 1e6)
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// Sends the same mixture every time: five endpoints, of which some answer late, and some with 5xx.
async fn send(envoy: &EnvoyProxy, rounds: u64) {
    let target = envoy.listen();
    let mut running = tokio::task::JoinSet::new();
    for round in 0..rounds {
        for (path, every, status, late) in [
            ("/api/v1/deployments/", 7, 503, 5),
            ("/api/v1/deployments/42/", 11, 500, 30),
            ("/api/v1/policies/", 1_000, 200, 120),
            ("/api/v1/audit/", 13, 502, 600),
            ("/api/v1/agents/", 17, 500, 1_100),
        ] {
            let fails = round % every == every - 1;
            let status = if fails { status } else { 200 };
            // Far from any bound, so that the log and the filter, which look at two clocks, agree on the bucket.
            let late = if round % 25 == 24 { 2_200 } else { late };
            running.spawn(async move {
                let head = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{BEHAVIOUR}: status={status};delay-ms={late}\r\n\r\n");
                let (found, answer) = raw(target, head.as_bytes()).await;
                assert_eq!(found, Some(status), "{answer}");
            });
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
    }
    while running.join_next().await.is_some() {}
}

/// The requests of the access log.
fn lines(envoy: &EnvoyProxy) -> Vec<Line> {
    let text = std::fs::read_to_string(envoy.access_log().unwrap()).unwrap();
    let mut lines = Vec::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        lines.push(Line {
            endpoint: line["endpoint"].as_str().unwrap_or_default().to_owned(),
            status: line["status"].as_u64().unwrap(),
            micros: line["duration_us"].as_u64().unwrap(),
        });
    }
    lines
}

async fn value(prometheus: &Prometheus, expression: &str) -> f64 {
    let samples = prometheus.query(expression).await.unwrap();
    assert_eq!(samples.len(), 1, "{expression}: {samples:?}");
    samples[0].value()
}

#[track_caller]
fn close(name: &str, found: f64, expected: f64) {
    assert!(
        (found - expected).abs() <= 1e-9 * expected.abs().max(1.0),
        "{name}: {found}, by the access log {expected}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_of_the_rules_are_those_of_the_access_log() {
    let Some(binary) = envoy_binary() else { return };
    let Some(prometheus) = crate::stack::tool(Tools::prometheus) else { return };
    let (upstream, folder) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let mut options = EnvoyOptions::new(binary, module_path());
    let mut configuration: Value = serde_json::from_str(&options.configuration).unwrap();
    configuration["polls"] = serde_json::json!([]);
    configuration["metrics"]["flush_interval_ms"] = 200.into();
    configuration["access_log"]["filter_state"] = serde_json::json!(["endpoint", "outcome"]);
    options.configuration = configuration.to_string();
    options.upstream = To::from(upstream.address);
    options.metrics = Some(([127, 0, 0, 1], 0).into());
    let envoy = EnvoyProxy::start(options).await.unwrap();
    // Every series is there, and has been seen, before what is measured begins.
    send(&envoy, 26).await;
    let mut options = PrometheusOptions::new(prometheus, free(), folder.path());
    options.interval = Some(Duration::from_millis(500));
    let metrics = vec![envoy.metrics().unwrap().to_string()];
    options.targets = ["control-plane", "edge"].map(|job| (job.to_owned(), metrics.clone())).into_iter().collect();
    options.rules = paced_rules();
    let prometheus = Prometheus::start(&options).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let before = lines_when(&envoy, 26 * 5).await;
    let total = r#"sum(eucora_http_requests_total{endpoint!~"/api/v1/metrics/|metrics"})"#;
    while prometheus.query(total).await.unwrap().first().is_none_or(|sample| sample.value() < before as f64) {
        assert!(Instant::now() < deadline, "the first requests never came");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;

    // What is measured: it begins after the window did, and is over before it is.
    let begun = now();
    let rounds = 200;
    send(&envoy, rounds).await;
    lines_when(&envoy, before + rounds as usize * 5).await;
    let ended = now();
    assert!(ended - begun < 25.0, "too slow a machine to measure within a window: {} s", ended - begun);
    let (mut all, mut endpoints) = (Account::default(), BTreeMap::<String, Account>::new());
    for line in &lines(&envoy)[before..] {
        all.add(line);
        endpoints.entry(line.endpoint.clone()).or_default().add(line);
    }
    assert_eq!((all.all, endpoints.len()), (rounds as f64 * 5.0, 5));
    tokio::time::sleep(Duration::from_secs(2)).await;

    // The shipped expressions with one window, in which all of it lies. Shares and quantiles of rates do not depend on its length.
    let over = format!("{}s", (now() - begun + 1.0).ceil());
    let shipped = |record: &str| {
        let rules = edge_observer::stack::prometheus::RULES;
        let expr = rules
            .iter()
            .flat_map(|(_, text)| monitoring_rules(text))
            .find(|(name, _)| name == record)
            .unwrap_or_else(|| panic!("no rule {record}"))
            .1;
        expr.replace("[5m]", &format!("[{over}]"))
    };
    // Rates of what the rule builds on, by its own text.
    let rate = |of: &str| format!("sum by (service) (rate({of}[{over}]))");
    let requests = rate("service_instance:eucora_http_requests:sum");
    let errors = rate("service_instance:eucora_http_requests_errors:sum");
    close("share of errors", value(&prometheus, &format!("{errors} / {requests}")).await, all.errors / all.all);
    for (slo, good) in [("availability", all.all - all.errors), ("latency", all.within_1s)] {
        let burn = format!(
            r#"(1 - sum by (service, slo) (rate(slo:good_requests:sum{{slo="{slo}"}}[{over}])) / sum by (service, slo) (rate(slo:requests:sum{{slo="{slo}"}}[{over}]))) / on (slo) group_left () slo:error_budget:ratio"#
        );
        let budget = if slo == "availability" { 0.001 } else { 0.01 };
        let found = value(&prometheus, &burn).await;
        let expected = (1.0 - good / all.all) / budget;
        assert!(
            (found - expected).abs() < 1e-6 * expected,
            "burn rate of {slo}: {found}, by the access log {expected}"
        );
    }
    for (endpoint, account) in &endpoints {
        let of = |expr: &str| {
            format!("({expr}) and on (endpoint) label_replace(vector(1), \"endpoint\", \"{endpoint}\", \"\", \"\")")
        };
        for (q, name) in [(0.5, "p50"), (0.95, "p95"), (0.99, "p99")] {
            let rule = shipped(&format!("service_endpoint:eucora_http_request_duration_seconds:{name}_5m"));
            let found = value(&prometheus, &of(&rule)).await;
            let expected = account.quantile(q);
            assert!((found - expected).abs() < 1e-6, "{name} of {endpoint}: {found}, by the access log {expected}");
            let (lower, upper) = account.bucket_of(q);
            assert!(
                lower <= found && found <= upper,
                "{name} of {endpoint}: {found} is not in the bucket of the true one"
            );
        }
        let slow = format!(
            r#"1 - sum by (service, endpoint) (rate(service_instance_endpoint:eucora_http_requests_within_2s:sum[{over}])) / sum by (service, endpoint) (rate(service_instance_endpoint:eucora_http_requests:sum[{over}]))"#
        );
        close(
            &format!("slow share of {endpoint}"),
            value(&prometheus, &of(&slow)).await,
            1.0 - account.within_2s / account.all,
        );
        let failed = format!(
            "sum by (service, endpoint) (rate(service_instance_endpoint:eucora_http_requests_errors:sum[{over}])) / sum by (service, endpoint) (rate(service_instance_endpoint:eucora_http_requests:sum[{over}]))"
        );
        close(&format!("errors of {endpoint}"), value(&prometheus, &of(&failed)).await, account.errors / account.all);
    }
}

/// The recording rules of a file: name and expression.
fn monitoring_rules(text: &str) -> Vec<(String, String)> {
    let file: serde_yaml_ng::Value = serde_yaml_ng::from_str(text).unwrap();
    let mut rules = Vec::new();
    for group in file["groups"].as_sequence().unwrap() {
        for rule in group["rules"].as_sequence().unwrap() {
            if let (Some(name), Some(expr)) = (rule["record"].as_str(), rule["expr"].as_str()) {
                rules.push((name.to_owned(), expr.to_owned()));
            }
        }
    }
    rules
}

/// Waits until the access log has so many requests; how many it has.
async fn lines_when(envoy: &EnvoyProxy, requests: usize) -> usize {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let text = std::fs::read_to_string(envoy.access_log().unwrap()).unwrap();
        let whole = text.matches('\n').count();
        if whole >= requests {
            assert_eq!(whole, requests, "lines of the access log");
            return whole;
        }
        assert!(Instant::now() < deadline, "{whole} of {requests} requests in the access log");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
