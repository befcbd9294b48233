//! Bodies and headers that mean harm: nothing traps, nothing forges a line of the log or a field of an event, and nothing of a body is told but
//! the declared values.

use std::net::SocketAddr;

use edge_observer::envoy::profile_json;
use serde_json::{Value, json};

use crate::support::proxy::{Proxy, ProxyOptions};
use crate::support::traffic;
use crate::support::upstream::Upstream;

/// What nobody may tell.
const PRIVATE: &str = "never-to-be-told";

/// Bodies, and the decision's risk level that is to be counted.
fn bodies() -> Vec<(Vec<u8>, &'static str)> {
    let field = |fields: &str| format!(r#"{{"password": "{PRIVATE}", {fields}}}"#).into_bytes();
    let deep = |open: &str, close: &str| {
        field(&format!(r#""x": {}1{}, "risk_level": "high""#, open.repeat(20_000), close.repeat(20_000)))
    };
    vec![
        (field(r#""risk_level": "high""#), "high"),
        (field(r#""risk_level": "low", "risk_level": "high""#), "high"),
        (field(r#""risk_level": "high", "risk_level": {"risk_level": "low"}"#), "unknown"),
        (field(r#""risk_level": "h\u0069gh", "risk_score": 1e999"#), "high"),
        (field(r#""risk_level": "high", "risk_score": -1e-999"#), "high"),
        (field(r#""risk_level": "high", "approved_by": "ann\r\n{\"forged\": \"line\"}\r\nset-cookie: x=1""#), "high"),
        (field(r#""risk_level": "high", "approved_by": "\u2028\u0085\u0000\ud800 \\\" forged=1|cs1=2""#), "high"),
        (field(&format!(r#""risk_level": "high", "approved_by": "{}""#, "a".repeat(100_000))), "unknown"),
        (deep("[", "]"), "unknown"),
        (deep(r#"{"a":"#, "}"), "unknown"),
        ([&field(r#""risk_level": "high""#)[..], &[0xff, 0xfe, 0x00]].concat(), "unknown"),
        ([&b"\xef\xbb\xbf"[..], &field(r#""risk_level": "high""#)].concat(), "unknown"),
        (vec![b'['; 10 << 20], "unknown"),
        ([&b"\""[..], &vec![b'x'; 10 << 20]].concat(), "unknown"),
        (vec![0xff; 5000], "unknown"),
        (Vec::new(), "unknown"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_bodies_forge_nothing_in_the_embedded_host() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::harness(&options(&upstream)).await;
    check(proxy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_bodies_forge_nothing_in_envoy() {
    let upstream = Upstream::start().await;
    let Some(proxy) = Proxy::envoy(&options(&upstream)).await else { return };
    check(proxy).await;
}

fn options(upstream: &Upstream) -> ProxyOptions {
    let mut config: Value = serde_json::from_str(&profile_json()).unwrap();
    config["polls"] = json!([]);
    ProxyOptions { configuration: config.to_string(), ..ProxyOptions::new(upstream.address) }
}

async fn check(proxy: Proxy) {
    let mut expected = [("high", 0_u64), ("unknown", 0)];
    for (number, (body, risk)) in bodies().into_iter().enumerate() {
        let status = post(proxy.listen(), number, &body).await;
        assert_eq!(status, Some(200), "body {number}");
        for (level, count) in &mut expected {
            *count += u64::from(*level == risk);
        }
    }
    let scrape = proxy.settled().await;
    for (level, count) in expected {
        assert_eq!(scrape.sum("eucora_cab_approvals_total", &[("risk_level", level)]) as u64, count, "{level}");
    }
    let log = proxy.log().text();
    let events: Vec<Value> = log
        .lines()
        .filter_map(|line| line.find(r#"{"timestamp""#).and_then(|at| serde_json::from_str(&line[at..]).ok()))
        .filter(|line: &Value| line["message"] == "security event" && line["event"]["EventType"] == "CAB_APPROVAL")
        .collect();
    assert_eq!(events.len(), bodies().len(), "{log}");
    for event in &events {
        let text = event.to_string();
        assert!(!text.contains(PRIVATE), "{text}");
        assert!(event["event"].get("forged").is_none() && event.get("forged").is_none(), "{text}");
        assert_eq!(event["event"]["Decision"], "APPROVED");
    }
    assert!(!log.contains(PRIVATE));
    assert!(!log.lines().any(|line| line.starts_with(r#"{"forged""#) || line.starts_with("set-cookie")), "{log}");
    let access: Vec<Value> = proxy.whole_access_log(bodies().len() as u64).await;
    assert!(!serde_json::to_string(&access).unwrap().contains(PRIVATE));
    proxy.stop().await;
}

/// Sends a decision, and gives the status.
async fn post(target: SocketAddr, number: usize, body: &[u8]) -> Option<u16> {
    let head = format!(
        "POST /api/v1/cab/{number}/approve/ HTTP/1.1\r\nhost: a\r\nidempotency-key: hostile-{number}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    traffic::raw(target, &[head.as_bytes(), body].concat()).await.0
}
