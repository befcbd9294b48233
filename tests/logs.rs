//! What Envoy logs with the shipped configuration: every line is of one schema, whatever a request says.

use std::collections::BTreeMap;
use std::time::Duration;

use edge_observer::envoy::{EnvoyOptions, EnvoyProxy, profile_json};
use serde::Deserialize;
use serde_json::Value;

use crate::support::proxy::{envoy_binary, module_path};
use crate::support::traffic;
use crate::support::upstream::{BEHAVIOUR, Upstream};

/// The access log of envoy/bootstrap.yaml. A field that is not here, or is there twice, is refused.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "what is not looked at has to be of its type")]
struct AccessLine {
    timestamp: String,
    level: Level,
    logger: String,
    message: String,
    correlation_id: String,
    deployment_id: Option<String>,
    risk_score: Option<f64>,
    approved_by: Option<String>,
    outcome: Option<String>,
    endpoint: Option<String>,
    method: Option<String>,
    path: Option<String>,
    host: Option<String>,
    protocol: Option<String>,
    status: u16,
    grpc_status: Option<i64>,
    flags: Option<String>,
    details: Option<String>,
    duration_ms: Option<u64>,
    duration_us: Option<u64>,
    upstream_us: Option<u64>,
    bytes_received: u64,
    bytes_sent: u64,
    upstream: Option<String>,
    upstream_failure: Option<String>,
    attempts: Option<u64>,
    client: Option<String>,
    user_agent: Option<String>,
    request_id: Option<String>,
    traceparent: Option<String>,
}

/// As Python's `logging` writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Level {
    Info,
    Warning,
    Error,
}

/// The access log of envoy/access-log-otel.yaml.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "what is not looked at has to be of its type")]
struct OtelLine {
    timestamp: String,
    severity_text: String,
    body: String,
    trace_id: Option<String>,
    span_id: Option<String>,
    #[serde(rename = "http.request.method")]
    method: Option<String>,
    #[serde(rename = "http.route")]
    route: Option<String>,
    #[serde(rename = "http.response.status_code")]
    status: u16,
    #[serde(rename = "http.request.body.size")]
    received: u64,
    #[serde(rename = "http.response.body.size")]
    sent: u64,
    #[serde(rename = "http.request.resend_count")]
    resent: Option<u64>,
    #[serde(rename = "url.path")]
    path: Option<String>,
    #[serde(rename = "url.scheme")]
    scheme: Option<String>,
    #[serde(rename = "server.address")]
    server: Option<String>,
    #[serde(rename = "client.address")]
    client: Option<String>,
    #[serde(rename = "network.protocol.name")]
    protocol_name: String,
    #[serde(rename = "network.protocol.version")]
    protocol: Option<String>,
    #[serde(rename = "user_agent.original")]
    user_agent: Option<String>,
    #[serde(rename = "rpc.grpc.status_code")]
    grpc_status: Option<i64>,
    #[serde(rename = "error.type")]
    details: Option<String>,
    duration_us: Option<u64>,
    traceparent: Option<String>,
    #[serde(rename = "eucora.correlation_id")]
    correlation_id: String,
    #[serde(rename = "eucora.correlation_outcome")]
    outcome: Option<String>,
    #[serde(rename = "eucora.deployment_id")]
    deployment_id: Option<String>,
    #[serde(rename = "eucora.risk_score")]
    risk_score: Option<f64>,
    #[serde(rename = "eucora.approved_by")]
    approved_by: Option<String>,
}

/// Envoy's own log.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "what is not looked at has to be of its type")]
struct OwnLine {
    timestamp: String,
    level: String,
    logger: String,
    message: String,
}

/// A decision whose body says this.
fn approve(id: &str, body: &str, behaviour: &str) -> Vec<u8> {
    format!(
        "POST /api/v1/approvals/{id}/approve/ HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{BEHAVIOUR}: {behaviour}\r\nx-correlation-id: \
         decision-{id}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn get(path: &[u8], headers: &[u8]) -> Vec<u8> {
    [b"GET ", path, b" HTTP/1.1\r\nhost: a\r\nconnection: close\r\n", headers, b"\r\n"].concat()
}

/// Requests that would break a log that is put together from text.
fn requests() -> Vec<Vec<u8>> {
    let hostile = r#"{"approved_by": "ana\r\n{\"level\":\"INFO\",\"forged\":true}\u2028\u0000\"", "risk_score": 45.5, "deployment_id": "d-\"1\"\n"}"#;
    let long = vec![b'x'; 60_000];
    vec![
        approve("1", r#"{"approved_by": "ana", "risk_score": 45.5, "deployment_id": "d-1"}"#, "status=200"),
        approve("2", hostile, "status=200"),
        approve("3", r#"{"risk_score": 1e999}"#, "status=202"),
        approve("4", r#"{"risk_score": "45.5"}"#, "status=500"),
        approve("5", r#"{"risk_score": -0.0, "risk_score": 12}"#, "status=404"),
        approve("6", "no JSON \u{ff}", "status=409"),
        get(b"/api/v1/deployments/%0d%0a%22%00?token=secret", b""),
        get(b"/api/v1/\"quoted\"\\\\", b"user-agent: \"},\\\r\n"),
        get(b"/caf\xc3\xa9/\xff\xfe", b"user-agent: caf\xe9 \x80\xff\r\n"),
        get(b"/x", b"x-correlation-id: \"><script>\r\nuser-agent: {\"a\":1}\r\n"),
        get(b"/x", &[b"user-agent: ", &long[..], b"\r\n"].concat()),
        get(b"/x", &[b"x-correlation-id: ", &long[..], b"\r\n"].concat()),
        get(b"/x", b"bad\x01name: 1\r\n"),
        b"BREW /pot HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".to_vec(),
        b"nonsense\r\n\r\n".to_vec(),
    ]
}

/// The lines of both logs.
async fn logged(otel: bool) -> Option<(String, String)> {
    let upstream = Upstream::start().await;
    let mut options = EnvoyOptions::new(envoy_binary()?, module_path());
    options.configuration = profile_json();
    options.upstream = upstream.address.into();
    options.json_log = true;
    options.otel_access_log = otel;
    let mut envoy = EnvoyProxy::start(options).await.unwrap();
    for request in requests() {
        let _ = tokio::time::timeout(Duration::from_secs(20), traffic::raw(envoy.listen(), &request)).await.unwrap();
    }
    envoy.stop(Duration::from_secs(10)).await.unwrap();
    let access = std::fs::read_to_string(envoy.access_log().unwrap()).expect("the access log is UTF-8");
    let own = std::fs::read_to_string(envoy.log()).expect("the log is UTF-8");
    Some((access, own))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_is_of_the_schema_whatever_a_request_says() {
    let Some((access, own)) = logged(false).await else { return };
    let lines: Vec<AccessLine> = access
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert!(lines.len() >= requests().len() - 1, "{access}");
    for line in &lines {
        let expected = match line.status {
            0 | 500.. => Level::Error,
            400.. => Level::Warning,
            _ => Level::Info,
        };
        assert_eq!(line.level, expected, "{line:?}");
        assert_eq!(line.logger, "edge_observer.access");
        assert!(!line.correlation_id.is_empty() && line.correlation_id.len() <= 256, "{line:?}");
        assert!(!line.message.contains("secret"), "{line:?}");
    }
    let decisions: BTreeMap<&str, &AccessLine> =
        lines.iter().map(|line| (line.correlation_id.as_str(), line)).collect();
    let of = |number: u32| decisions[format!("decision-{number}").as_str()];
    assert_eq!(of(1).message, "POST /api/v1/approvals/1/approve/ 200");
    assert_eq!(
        (of(1).deployment_id.as_deref(), of(1).risk_score, of(1).approved_by.as_deref()),
        (Some("d-1"), Some(45.5), Some("ana"))
    );
    assert_eq!(of(2).approved_by.as_deref(), Some("ana\r\n{\"level\":\"INFO\",\"forged\":true}\u{2028}\0\""));
    assert_eq!((of(2).deployment_id.as_deref(), of(2).risk_score), (Some("d-\"1\"\n"), Some(45.5)));
    // No JSON has an infinite number; the path says which deployment where the body does not.
    assert_eq!((of(3).risk_score, of(3).deployment_id.as_deref()), (None, Some("3")));
    assert_eq!((of(4).risk_score, of(4).level), (Some(45.5), Level::Error));
    assert_eq!((of(6).risk_score, of(6).level, of(6).deployment_id.as_deref()), (None, Level::Warning, Some("6")));
    // What no rule names has no facts.
    let others: Vec<&AccessLine> = lines.iter().filter(|line| !line.correlation_id.starts_with("decision-")).collect();
    assert!(others.iter().all(|line| line.deployment_id.is_none() && line.risk_score.is_none()), "{others:?}");
    // What came before any filter could see it has no ID.
    assert!(lines.iter().any(|line| line.correlation_id == "-"), "{access}");

    let mut events = 0;
    for line in own.lines() {
        // Before it has read its configuration, Envoy logs text.
        if line.starts_with('[') {
            continue;
        }
        let line: OwnLine = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let Some((_, ours)) = line.message.strip_prefix("wasm log ").and_then(|rest| rest.split_once(": ")) else {
            continue;
        };
        let ours: Value = serde_json::from_str(ours).unwrap_or_else(|error| panic!("{error}: {ours}"));
        for name in ["timestamp", "level", "logger", "message"] {
            assert!(ours[name].is_string(), "{ours}");
        }
        events += u32::from(ours["message"] == "security event");
    }
    assert!(events >= 2, "{own}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_with_opentelemetrys_names() {
    let Some((access, _)) = logged(true).await else { return };
    let lines: Vec<OtelLine> = access
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let first = lines.iter().find(|line| line.correlation_id == "decision-1").unwrap();
    assert_eq!(first.route.as_deref(), Some("/api/v1/approvals/{id}/approve/"));
    assert_eq!((first.status, first.severity_text.as_str(), first.risk_score), (200, "INFO", Some(45.5)));
    assert_eq!(first.approved_by.as_deref(), Some("ana"));
    assert!(lines.iter().all(|line| line.outcome.is_some() || line.status == 400), "{access}");
}
