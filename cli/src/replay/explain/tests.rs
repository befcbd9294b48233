//! Recordings and what the EUCORA profile makes of them.

use serde_json::json;

use super::*;

fn profile() -> Config {
    config_file::parse(crate::envoy::PROFILE.as_bytes()).unwrap().config
}

fn entry(second: u32, method: &str, path: &str, request: Value, status: u16, body: Option<&str>) -> Value {
    let headers: Vec<Value> = request
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| json!({"name": name, "value": value.as_str().unwrap()}))
        .collect();
    json!({
        "startedDateTime": format!("2026-11-26T10:00:{second:02}.000Z"),
        "time": 12.5,
        "request": {
            "method": method, "url": format!("http://edge.example{path}"), "httpVersion": "HTTP/1.1", "headers": headers,
            "postData": body.map(|text| json!({"mimeType": "application/json", "text": text})),
        },
        "response": {"status": status, "headers": [{"name": "X-Risk-Level", "value": "low"}]},
    })
}

fn har(entries: &[Value]) -> Vec<u8> {
    json!({"log": {"version": "1.2", "entries": entries}}).to_string().into_bytes()
}

fn verdict<'a>(request: &'a RequestExplained, rule: &str) -> &'a RuleVerdict {
    request.rules.iter().find(|verdict| verdict.rule == rule).unwrap()
}

const APPROVE: &str = "/api/v1/approvals/7/approve/?token=secret";

#[test]
fn a_har_says_what_fired_what_it_made_and_why_not() {
    let body = r#"{"risk_level": "high", "deployment_id": "d-1", "risk_score": 45.5, "approved_by": "ana\r\nb", "requested_by": "bo"}"#;
    let key = || json!({"Idempotency-Key": "k1", "X-Correlation-Id": "0123456789abcdef"});
    let recording = har(&[
        entry(1, "POST", APPROVE, key(), 200, Some(body)),
        entry(2, "POST", APPROVE, key(), 200, Some(body)),
        entry(3, "POST", "/api/v1/approvals/8/approve/", json!({}), 202, Some(body)),
        entry(4, "POST", "/api/v1/cab/9/reject/", json!({}), 200, None),
        entry(5, "GET", "/api/v1/deployments/", json!({}), 200, None),
    ]);
    let explained = explain(&recording, profile()).unwrap();
    assert_eq!(explained.requests.len(), 5);
    let first = &explained.requests[0];
    assert_eq!(verdict(first, "cab_decisions").outcome, "fired");
    assert_eq!(first.path, "/api/v1/approvals/7/approve/");
    assert_eq!(
        first.metrics.iter().map(Increment::series).collect::<Vec<_>>(),
        [r#"eucora_cab_approvals_total{decision="approved",risk_level="high"}"#]
    );
    assert_eq!(first.events.len(), 1);
    let event = &first.events[0];
    assert_eq!((&event["EventType"], &event["Decision"]), (&json!("CAB_APPROVAL"), &json!("APPROVED")));
    assert_eq!((&event["DeploymentId"], &event["RiskScore"]), (&json!("d-1"), &json!(45.5)));
    assert_eq!(event["CorrelationId"], "0123456789abcdef");

    assert_eq!(verdict(&explained.requests[1], "cab_decisions").outcome, "repeated");
    assert!(explained.requests[1].metrics.is_empty());

    let accepted = verdict(&explained.requests[2], "cab_decisions");
    assert_eq!(accepted.outcome, "not");
    assert_eq!(accepted.unmet, ["not: the status is not 202 (it is 202)"]);

    assert_eq!(
        explained.requests[3].metrics.iter().map(Increment::series).collect::<Vec<_>>(),
        [r#"eucora_cab_approvals_total{decision="rejected",risk_level="low"}"#]
    );
    let other = verdict(&explained.requests[4], "cab_decisions");
    assert_eq!(other.unmet.len(), 2, "{other:?}");
    assert!(other.unmet[0].ends_with("(it is deployment-list)"), "{other:?}");
    assert_eq!(other.unmet[1], "not: the method is POST (it is GET)");

    assert_eq!(explained.events["CAB_APPROVAL"], 2);
    assert_eq!(explained.not_recorded, ["source"]);
    let text = explained.to_text();
    assert!(text.contains("1  POST /api/v1/approvals/7/approve/     200  cab_decisions  fired"), "{text}");
    assert!(text.contains("not: the status is not 202 (it is 202)\n"), "{text}");
    assert!(text.contains("5 requests, rules are about 4 of them\n"), "{text}");
    assert!(!text.contains("secret") && !text.contains('\r'), "{text}");
}

#[test]
fn every_condition_that_holds_has_no_word_against_it() {
    let recording = har(&[
        entry(1, "POST", APPROVE, json!({"X-User": "ana"}), 200, Some(r#"{"approver": "bo", "requester": "bo"}"#)),
        entry(2, "BREW", "/api/v1/x?f=..%2f..%2fetc", json!({}), 401, None),
        entry(3, "POST", "/api/v1/connectors/jamf/deploy", json!({}), 504, None),
    ]);
    let explained = explain(&recording, profile()).unwrap();
    for request in &explained.requests {
        for verdict in &request.rules {
            assert_eq!(verdict.outcome == "not", !verdict.unmet.is_empty(), "{verdict:?}");
        }
    }
    let fired = |number: usize| -> Vec<&str> {
        let fired = explained.requests[number].rules.iter().filter(|verdict| verdict.outcome == "fired");
        fired.map(|verdict| verdict.rule.as_str()).collect()
    };
    assert_eq!(fired(0), ["cab_decisions", "self_approval"]);
    assert_eq!(fired(1), ["unauthenticated", "probe_path", "probe_method"]);
    assert_eq!(fired(2), ["connector_failures"]);
    assert_eq!(
        explained.metrics.keys().last().unwrap(),
        r#"eucora_connector_operations_total{connector="jamf",operation="deploy",status="timeout"}"#
    );
}

#[test]
fn an_access_log_has_no_bodies_and_few_headers_and_the_result_says_so() {
    let line = |second: u32, request: &str, status: u16| {
        format!(
            "10.0.0.9 - - [26/Nov/2026:10:00:{second:02} +0000] \"{request} HTTP/1.1\" {status} 5 \"-\" \"agent\"\n"
        )
    };
    let mut log: String = (0..6).map(|second| line(second, "POST /api/v1/auth/login", 401)).collect();
    log.push_str(&line(6, "POST /api/v1/cab/1/approve/", 200));
    log.push_str("nonsense\n");
    let explained = explain(log.as_bytes(), profile()).unwrap();
    assert_eq!(explained.requests.len(), 7);
    assert_eq!(explained.skipped.values().sum::<u64>(), 1);
    // Five failures of one client make one event.
    assert_eq!(explained.events["LOGIN_FAILURES"], 1);
    assert_eq!(explained.requests[4].events[0]["SourceIp"], "10.0.0.9");
    assert_eq!(explained.metrics[r#"eucora_cab_approvals_total{decision="approved",risk_level="unknown"}"#], 1);
    for missing in ["body:/risk_level", "response_header:x-risk-level", "request_header:idempotency-key"] {
        assert!(explained.not_recorded.iter().any(|name| name == missing), "{missing}: {:?}", explained.not_recorded);
    }
    let text = explained.to_text();
    assert!(text.contains("not played: 1 entry: "), "{text}");
    assert!(text.contains("taken as absent: body:/"), "{text}");
    let json = serde_json::to_value(&explained).unwrap();
    assert_eq!(json["requests"][6]["metrics"][0]["labels"]["decision"], "approved");
}

#[test]
fn what_begins_like_a_har_file_and_is_none_is_refused() {
    assert!(explain(b"{}", profile()).unwrap_err().to_string().starts_with("it is no HAR file"));
    assert!(explain(b"", profile()).unwrap().requests.is_empty());
}
