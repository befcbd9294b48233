//! PagerDuty's Events API v2.

use http::StatusCode;
use serde_json::{Value, json};

use super::{Action, Call, Reading, Said, at_most, names, text, texts};

/// The integration's key that it knows.
pub const KEY: &str = "0123456789abcdef0123456789abcdef";

pub(super) const PATH: &str = "/v2/enqueue";

/// The largest event: 512 kB.
const LARGEST: usize = 512_000;

const SEVERITIES: [&str; 4] = ["critical", "error", "warning", "info"];

pub(super) fn judge(call: &Call) -> (Reading, Said) {
    let mut reading = Reading::new(Action::Trigger);
    let refuse = |mut reading: Reading, status, errors: Vec<String>| {
        reading.complaint = Some(errors.join("; "));
        let said = json!({ "status": "invalid event", "message": "Event object is invalid", "errors": errors });
        (reading, (status, said))
    };
    if call.method != http::Method::POST {
        return refuse(reading, StatusCode::METHOD_NOT_ALLOWED, vec![format!("{} {PATH}", call.method)]);
    }
    if call.body.len() > LARGEST {
        let size = format!("the event has {} bytes, and at most {LARGEST} are taken", call.body.len());
        return refuse(reading, StatusCode::PAYLOAD_TOO_LARGE, vec![size]);
    }
    let event: Value = match serde_json::from_slice(&call.body) {
        Ok(event @ Value::Object(_)) => event,
        Ok(_) => return refuse(reading, StatusCode::BAD_REQUEST, vec!["the event is no object".to_owned()]),
        Err(error) => return refuse(reading, StatusCode::BAD_REQUEST, vec![error.to_string()]),
    };
    read(&event, &mut reading);
    let errors = errors(call, &event);
    if !errors.is_empty() {
        return refuse(reading, StatusCode::BAD_REQUEST, errors);
    }
    let said = json!({ "status": "success", "message": "Event processed", "dedup_key": reading.key });
    (reading, (StatusCode::ACCEPTED, said))
}

fn read(event: &Value, reading: &mut Reading) {
    let payload = &event["payload"];
    reading.action = match text(event, "event_action") {
        "trigger" => Action::Trigger,
        "resolve" => Action::Resolve,
        _ => Action::Update,
    };
    reading.key = text(event, "dedup_key").to_owned();
    reading.severity = text(payload, "severity").to_owned();
    reading.summary = text(payload, "summary").to_owned();
    reading.details = texts(payload.get("custom_details"));
    reading.alerts = names(reading.details.get("alertnames").map_or("", String::as_str));
    if reading.alerts.is_empty() {
        // An event over the limit keeps its class, when Alertmanager has thrown its details away.
        reading.alerts = names(text(payload, "class"));
    }
}

fn errors(call: &Call, event: &Value) -> Vec<String> {
    let mut errors = Vec::new();
    if !call.content_type.starts_with("application/json") {
        errors.push(format!("content-type is `{}`", call.content_type));
    }
    match text(event, "routing_key") {
        KEY => {}
        key if key.len() != 32 => errors.push("routing_key must have 32 characters".to_owned()),
        _ => errors.push("routing_key is of no integration".to_owned()),
    }
    let action = text(event, "event_action");
    if !["trigger", "acknowledge", "resolve"].contains(&action) {
        errors.push(format!("event_action is `{action}`"));
    }
    let key = text(event, "dedup_key");
    at_most(key, 255, "dedup_key", &mut errors);
    if key.is_empty() && action != "trigger" {
        errors.push(format!("dedup_key is missing, and {action} needs it"));
    }
    match event.get("payload") {
        Some(payload @ Value::Object(_)) => check_payload(payload, action, &mut errors),
        None | Some(Value::Null) if action != "trigger" => {}
        _ => errors.push("payload is missing".to_owned()),
    }
    for (list, address) in [("links", "href"), ("images", "src")] {
        match event.get(list) {
            None | Some(Value::Null) => {}
            Some(Value::Array(items)) => {
                let web = |item: &&Value| !text(item, address).starts_with("http");
                errors.extend(items.iter().filter(web).map(|item| format!("{list}: no address in {item}")));
            }
            Some(_) => errors.push(format!("{list} is no list")),
        }
    }
    errors
}

fn check_payload(payload: &Value, action: &str, errors: &mut Vec<String>) {
    let summary = text(payload, "summary");
    at_most(summary, 1024, "payload.summary", errors);
    if action == "trigger" {
        for field in ["summary", "source"] {
            if text(payload, field).is_empty() {
                errors.push(format!("payload.{field} is missing"));
            }
        }
        let severity = text(payload, "severity");
        if !SEVERITIES.contains(&severity) {
            errors.push(format!("payload.severity is `{severity}`, and has to be one of {}", SEVERITIES.join(", ")));
        }
    }
    for field in ["component", "group", "class", "timestamp"] {
        if payload.get(field).is_some_and(|value| !value.is_string() && !value.is_null()) {
            errors.push(format!("payload.{field} is no text"));
        }
    }
    if payload.get("custom_details").is_some_and(|details| !details.is_object() && !details.is_null()) {
        errors.push("payload.custom_details is no object".to_owned());
    }
}
