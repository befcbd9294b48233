//! The receivers on loopback refuse what their vendors refuse: otherwise what they take would prove nothing.

use edge_observer::client::{Connection, Protocol, RequestBody};
use edge_observer::stack::receivers::{Action, HEARTBEAT_TOKEN, OPSGENIE_KEY, PAGERDUTY_KEY, Receiver, Receivers};
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::live::LOOPBACK;

/// Status and body of the answer.
async fn call(receivers: &Receivers, method: &str, path: &str, authorization: &str, body: &str) -> (u16, Value) {
    let mut connection = Connection::open(receivers.address(), Protocol::Http1).await.unwrap();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .header("content-type", "application/json")
        .header("authorization", authorization)
        .body(RequestBody::from(body.to_owned()))
        .unwrap();
    let response = connection.send(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

/// `good` with one field changed; a null takes it away.
fn changed(good: &Value, pointer: &str, to: Value) -> String {
    let mut bad = good.clone();
    let (place, field) = pointer.rsplit_once('/').unwrap();
    let place = bad.pointer_mut(place).unwrap().as_object_mut().unwrap();
    if to.is_null() {
        place.remove(field);
    } else {
        place.insert(field.to_owned(), to);
    }
    bad.to_string()
}

#[tokio::test]
async fn pagerduty_refuses_what_it_refuses() {
    let receivers = Receivers::start(LOOPBACK).await.unwrap();
    let good = json!({
        "routing_key": PAGERDUTY_KEY,
        "event_action": "trigger",
        "dedup_key": "k",
        "payload": {
            "summary": "s", "source": "s", "severity": "critical", "class": "A",
            "custom_details": { "alertnames": "A, B" },
        },
        "links": [{ "href": "https://example.com", "text": "t" }],
    });
    let (status, said) = call(&receivers, "POST", "/v2/enqueue", "", &good.to_string()).await;
    assert_eq!((status, &said["status"], &said["dedup_key"]), (202, &json!("success"), &json!("k")));
    // A resolve needs no payload, and is about what was triggered.
    let resolve = json!({ "routing_key": PAGERDUTY_KEY, "event_action": "resolve", "dedup_key": "k" });
    assert_eq!(call(&receivers, "POST", "/v2/enqueue", "", &resolve.to_string()).await.0, 202);
    let last = receivers.deliveries().pop().unwrap();
    assert_eq!((last.action, last.alerts, last.number), (Action::Resolve, vec!["A".to_owned(), "B".to_owned()], 2));
    assert!(receivers.complaints().is_empty());

    let bad = [
        (changed(&good, "/routing_key", json!("short")), "32 characters"),
        (changed(&good, "/routing_key", json!("f".repeat(32))), "no integration"),
        (changed(&good, "/event_action", json!("close")), "event_action"),
        (changed(&good, "/dedup_key", json!("k".repeat(256))), "dedup_key"),
        (changed(&resolve, "/dedup_key", Value::Null), "dedup_key"),
        (changed(&good, "/payload", Value::Null), "payload"),
        (changed(&good, "/payload/summary", json!("")), "payload.summary"),
        (changed(&good, "/payload/summary", json!("ü".repeat(1025))), "payload.summary"),
        (changed(&good, "/payload/source", Value::Null), "payload.source"),
        (changed(&good, "/payload/severity", json!("none")), "payload.severity"),
        (changed(&good, "/payload/class", json!(1)), "payload.class"),
        (changed(&good, "/payload/custom_details", json!([])), "payload.custom_details"),
        (changed(&good, "/links", json!([{ "href": "", "text": "t" }])), "links"),
        ("[]".to_owned(), "no object"),
        ("{".to_owned(), "EOF"),
    ];
    for (event, complaint) in bad {
        let (status, said) = call(&receivers, "POST", "/v2/enqueue", "", &event).await;
        assert_eq!((status, &said["status"]), (400, &json!("invalid event")), "{event}");
        assert!(said["errors"][0].as_str().unwrap().contains(complaint), "{said}");
        assert!(receivers.deliveries().pop().unwrap().complaint.unwrap().contains(complaint));
    }
    let large = changed(&good, "/payload/custom_details", json!({ "x": "y".repeat(512_000) }));
    assert_eq!(call(&receivers, "POST", "/v2/enqueue", "", &large).await.0, 413);
    assert_eq!(call(&receivers, "GET", "/v2/enqueue", "", "").await.0, 405);
    assert_eq!(call(&receivers, "POST", "/elsewhere", "", "{}").await.0, 404);
}

#[tokio::test]
async fn opsgenie_refuses_what_it_refuses_at_each_of_its_addresses() {
    let receivers = Receivers::start(LOOPBACK).await.unwrap();
    let key = format!("GenieKey {OPSGENIE_KEY}");
    let good = json!({
        "message": "m", "alias": "k", "description": "d", "priority": "P1", "tags": ["t"], "source": "s",
        "details": { "alertname": "A" }, "responders": [{ "type": "team", "name": "api" }],
    });
    for (prefix, receiver) in
        [("", Receiver::Opsgenie), ("/jsm/ops/integration", Receiver::Opsgenie), ("/tickets", Receiver::Tickets)]
    {
        let path = format!("{prefix}/v2/alerts");
        let close = format!("{path}/k/close");
        let (status, said) = call(&receivers, "POST", &path, &key, &good.to_string()).await;
        assert_eq!((status, &said["result"]), (202, &json!("Request will be processed")));
        assert_eq!(
            call(&receivers, "POST", &format!("{close}?identifierType=alias"), &key, r#"{"source":"s"}"#).await.0,
            202
        );
        let last = receivers.deliveries().pop().unwrap();
        assert_eq!((last.receiver, last.action, last.key.as_str()), (receiver, Action::Resolve, "k"));
        assert_eq!(last.alerts, ["A"]);
        assert!(receivers.complaints().is_empty());
    }
    // The successor knows no update.
    let update = "/v2/alerts/k/message?identifierType=alias";
    assert_eq!(call(&receivers, "PUT", update, &key, r#"{"message":"m"}"#).await.0, 202);
    assert_eq!(
        call(&receivers, "PUT", &format!("/jsm/ops/integration{update}"), &key, r#"{"message":"m"}"#).await.0,
        404
    );

    let bad = [
        (changed(&good, "/message", Value::Null), "message"),
        (changed(&good, "/message", json!("ü".repeat(131))), "message"),
        (changed(&good, "/alias", json!("k".repeat(513))), "alias"),
        (changed(&good, "/description", json!("d".repeat(15_001))), "description"),
        (changed(&good, "/source", json!("s".repeat(101))), "source"),
        (changed(&good, "/entity", json!(7)), "entity"),
        (changed(&good, "/priority", json!("critical")), "priority"),
        (changed(&good, "/tags", json!(vec!["t"; 21])), "tags"),
        (changed(&good, "/tags", json!(["t".repeat(51)])), "tags"),
        (changed(&good, "/tags", json!([""])), "tags"),
        (changed(&good, "/tags", json!("t,u")), "tags"),
        (changed(&good, "/actions", json!(vec!["a"; 11])), "actions"),
        (changed(&good, "/details", json!({ "a": "b".repeat(8_000) })), "details"),
        (changed(&good, "/details", json!({ "a": 1 })), "details"),
        (changed(&good, "/responders", json!([{ "type": "group", "name": "api" }])), "responders"),
        (changed(&good, "/responders", json!([{ "type": "team", "name": "" }])), "responders"),
    ];
    for (alert, field) in bad {
        let (status, said) = call(&receivers, "POST", "/v2/alerts", &key, &alert).await;
        assert_eq!(status, 422, "{alert}");
        assert!(said["errors"][field].is_string(), "{said}");
        assert!(receivers.deliveries().pop().unwrap().complaint.unwrap().contains(field));
    }
    for (path, authorization, status) in [
        ("/v2/alerts", "GenieKey wrong", 401),
        ("/v2/alerts", OPSGENIE_KEY, 401),
        ("/v2/alerts/k/close", key.as_str(), 422),
        ("/v2/alerts/k/open?identifierType=alias", key.as_str(), 404),
    ] {
        assert_eq!(call(&receivers, "POST", path, authorization, &good.to_string()).await.0, status, "{path}");
    }
    assert_eq!(call(&receivers, "POST", "/v2/alerts", &key, "[]").await.0, 400);
}

#[tokio::test]
async fn the_heartbeat_monitor_takes_what_beats_and_nothing_else() {
    let receivers = Receivers::start(LOOPBACK).await.unwrap();
    let token = format!("Bearer {HEARTBEAT_TOKEN}");
    let beat = json!({ "version": "4", "status": "firing", "alerts": [{ "labels": { "alertname": "Watchdog" } }] });
    assert_eq!(call(&receivers, "POST", "/heartbeat", &token, &beat.to_string()).await.0, 200);
    assert!(receivers.deliveries()[0].is_about("Watchdog"));
    for (body, authorization, status) in [
        (beat.to_string(), "Bearer wrong", 401),
        (changed(&beat, "/status", json!("resolved")), token.as_str(), 400),
        (changed(&beat, "/version", json!("3")), token.as_str(), 400),
        ("{".to_owned(), token.as_str(), 400),
    ] {
        assert_eq!(call(&receivers, "POST", "/heartbeat", authorization, &body).await.0, status, "{body}");
    }
    let page = edge_observer::client::get(receivers.address(), "/").await.unwrap();
    assert_eq!(String::from_utf8_lossy(&page.body).lines().count(), 6);
}
