//! One security event of each kind that the EUCORA profile has, as the documentation shows them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use edge_observer::envoy::profile_json;
use host_harness::test::{Host, Reply, Request, Upstream};
use host_harness::{HeaderMap, StreamEnd};
use serde_json::{Value, json};

use crate::support::proxy::module;

/// How events come about: what, and how often.
struct Kind {
    event: &'static str,
    made_by: &'static str,
    /// `None` for what the proxy refuses before it comes to the filter.
    request: Option<Request>,
    times: usize,
}

fn kinds() -> Vec<Kind> {
    let decision = r#"{"deployment_id": "dep-4711", "risk_level": "high", "risk_score": 45.5, "approved_by": "ann@example.org", "requested_by": "ann@example.org"}"#;
    let source = "203.0.113.7:50000".parse().unwrap();
    let with = |request: Request| request.header("x-correlation-id", "6f1c2c0e-correlation").source(source);
    let kind = |event, made_by, request: Request, times| Kind { event, made_by, request: Some(with(request)), times };
    vec![
        kind(
            "CAB_APPROVAL",
            "a decision of the change advisory board that was accepted; the same request again makes none",
            Request::post(
                "/api/v1/approvals/17/reject/",
                decision.replace("\"requested_by\": \"ann", "\"requested_by\": \"bob"),
            )
            .reply(Reply::status(200)),
            1,
        ),
        kind(
            "SELF_APPROVAL",
            "an approval by whoever had asked for it; beside its `CAB_APPROVAL`",
            Request::post("/api/v1/approvals/18/approve/", decision).reply(Reply::status(200)),
            1,
        ),
        kind(
            "CONNECTOR_OPERATION",
            "an operation of a connector that is done; `202` is not",
            Request::post("/api/v1/connectors/jamf/deploy", r#"{"deployment_id": "dep-4711"}"#)
                .reply(Reply::status(201)),
            1,
        ),
        kind(
            "LOGIN_FAILURES",
            "five logins of one client that failed within a minute",
            Request::post("/api/v1/auth/login", "{}").reply(Reply::status(403)),
            5,
        ),
        kind(
            "AUTHENTICATION_FAILURES",
            "20 answers `401` to one client within a minute",
            Request::get("/api/v1/assets/").reply(Reply::status(401)),
            20,
        ),
        kind(
            "AUTHORIZATION_FAILURES",
            "20 answers `403` to one client within a minute",
            Request::get("/api/v1/assets/").reply(Reply::status(403)),
            20,
        ),
        kind(
            "PROBE_PATH",
            "two paths with `..` or control characters, which the proxy had not taken out",
            Request::get("/static/%252e%252e/etc/passwd").reply(Reply::status(404)),
            2,
        ),
        Kind {
            event: "PROBE_REFUSED",
            made_by: "two requests that the proxy refused by itself, for their path or their headers",
            request: None,
            times: 2,
        },
        kind(
            "PROBE_METHOD",
            "two requests with a method that is none",
            Request::new("TRACK", "/api/v1/health/").reply(Reply::status(405)),
            2,
        ),
    ]
}

/// The events of each kind, in one format, as a sink gets them.
fn captured(format: &str) -> BTreeMap<String, String> {
    let mut config: Value = serde_json::from_str(&profile_json()).unwrap();
    config["ring"] = json!("0");
    config["polls"] = json!([]);
    config["events"] = json!({"sinks": [
        {"name": "siem", "cluster": "siem", "authority": "siem.example", "format": format, "json": {"framing": "lines"}, "limits": {"max_wait_ms": 0}}
    ]});
    let mut events = BTreeMap::new();
    for kind in kinds() {
        let mut host = Host::builder()
            .module(&module())
            .configuration(config.to_string())
            .cluster("siem", Upstream::with(|_| Reply::status(200)))
            .workers(1)
            .seed(7)
            .start()
            .unwrap();
        for _ in 0..kind.times {
            match kind.request.clone() {
                Some(request) => drop(host.exchange(request)),
                None => drop(host.log_only(0, refused())),
            }
        }
        host.advance(Duration::from_secs(3));
        let bodies: Vec<u8> = host.callouts().iter().flat_map(|callout| callout.body.clone()).collect();
        let lines: Vec<&str> = std::str::from_utf8(&bodies).unwrap().lines().collect();
        let mine =
            lines.iter().find(|line| line.contains(kind.event)).unwrap_or_else(|| panic!("{}: {lines:?}", kind.event));
        events.insert(kind.event.to_owned(), (*mine).to_owned());
    }
    events
}

/// How Envoy ends a stream whose path leaves the root.
fn refused() -> StreamEnd {
    StreamEnd {
        code: Some(400),
        details: "path_normalization_failed".to_owned(),
        request_headers: Some(HeaderMap::from([(":method", "GET"), (":path", "/../../etc/passwd")])),
        response_headers: Some(HeaderMap::from([(":status", "400")])),
        ..StreamEnd::default()
    }
}

#[test]
fn the_documentation_shows_an_event_of_each_kind() {
    let native = captured("native");
    let mut found = String::from(
        "# Security events\n\nOne of each kind that the profile `envoy/plugin-config/eucora.yaml` makes, as a sink gets it with `format: native`. \
         In the proxy's log the same object is the field `event` of a JSON line whose `message` is `security event`; `undelivered` says why it is \
         there. `EventUid` stays the same however often an event is sent, so that a receiver can tell a repetition.\n\n\
         A test makes this page from what the module sends.\n",
    );
    for kind in kinds() {
        let event: Value = serde_json::from_str(&native[kind.event]).unwrap();
        let _ = write!(found, "\n## {}\n\n{}.\n\n```json\n{:#}\n```\n", kind.event, sentence(kind.made_by), event);
    }
    found.push_str("\n## Other formats\n\nThe first of them as OCSF, with the columns of ASIM, and as CEF.\n");
    for format in ["ocsf", "asim", "cef"] {
        let event = &captured(format)["CAB_APPROVAL"];
        let text = match serde_json::from_str::<Value>(event) {
            Ok(value) => format!("{value:#}"),
            Err(_) => event.clone(),
        };
        let language = if text.starts_with('{') { "json" } else { "text" };
        let _ = write!(found, "\n```{language}\n{text}\n```\n");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/events.md");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "docs/events.md differs; if that is meant, run again with UPDATE_EXPECT=1:\n{found}");
}

fn sentence(text: &str) -> String {
    let (first, rest) = text.split_at(1);
    first.to_uppercase() + rest
}
