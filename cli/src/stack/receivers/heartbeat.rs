//! A monitor that calls when nothing comes: takes Alertmanager's webhook, version 4.

use http::StatusCode;
use serde_json::{Value, json};

use super::{Action, Call, Reading, Said, text, texts};

/// The bearer token that it knows.
pub const TOKEN: &str = "heartbeat-token-of-the-loopback-receivers";

pub(super) const PATH: &str = "/heartbeat";

pub(super) fn judge(call: &Call) -> (Reading, Said) {
    let mut reading = Reading::new(Action::Trigger);
    let complaint = match serde_json::from_slice::<Value>(&call.body) {
        Ok(message) => {
            read(&message, &mut reading);
            complaint(call, &message)
        }
        Err(error) => Some((StatusCode::BAD_REQUEST, error.to_string())),
    };
    match complaint {
        None => (reading, (StatusCode::OK, json!({ "result": "heartbeat received" }))),
        Some((status, complaint)) => {
            let said = json!({ "message": complaint });
            reading.complaint = Some(complaint);
            (reading, (status, said))
        }
    }
}

fn read(message: &Value, reading: &mut Reading) {
    let alerts = message.get("alerts").and_then(Value::as_array);
    let name = |alert: &Value| alert.get("labels").map(|labels| text(labels, "alertname").to_owned());
    reading.alerts = alerts.into_iter().flatten().filter_map(name).collect();
    reading.details = texts(message.get("commonLabels"));
    if text(message, "status") == "resolved" {
        reading.action = Action::Resolve;
    }
}

fn complaint(call: &Call, message: &Value) -> Option<(StatusCode, String)> {
    if call.method != http::Method::POST {
        return Some((StatusCode::METHOD_NOT_ALLOWED, format!("{} {PATH}", call.method)));
    }
    if call.authorization != format!("Bearer {TOKEN}") {
        return Some((StatusCode::UNAUTHORIZED, "the bearer token is wrong".to_owned()));
    }
    let version = text(message, "version");
    if version != "4" {
        return Some((StatusCode::BAD_REQUEST, format!("version is `{version}`")));
    }
    // What stops has to be silent: a message that says so would keep the monitor quiet.
    (text(message, "status") != "firing")
        .then(|| (StatusCode::BAD_REQUEST, format!("status is `{}`", text(message, "status"))))
}
