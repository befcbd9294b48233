//! Opsgenie's Alert API, which Jira Service Management Operations took over.

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::{Action, Call, Reading, Said, at_most, names, text, texts};

/// The API key that it knows.
pub const KEY: &str = "0a1b2c3d-0000-4000-8000-0e1f2a3b4c5d";

pub(super) const PATH: &str = "/v2/alerts";

/// The longest texts, in characters.
const TEXTS: [(&str, usize); 7] = [
    ("message", 130),
    ("alias", 512),
    ("description", 15_000),
    ("entity", 512),
    ("source", 100),
    ("user", 100),
    ("note", 25_000),
];

const RESPONDERS: [&str; 4] = ["team", "user", "escalation", "schedule"];

/// Errors by field.
type Errors = Vec<(&'static str, String)>;

pub(super) fn judge(call: &Call) -> (Reading, Said) {
    let segments: Vec<_> = call.path.trim_start_matches(PATH).split('/').filter(|part| !part.is_empty()).collect();
    let (action, alias) = match (&call.method, segments.as_slice()) {
        (&Method::POST, []) => (Action::Trigger, None),
        (&Method::POST, [alias, "close"]) => (Action::Resolve, Some(*alias)),
        // The successor has no such calls.
        (&Method::PUT, [alias, "message" | "description"]) if !call.successor => (Action::Update, Some(*alias)),
        _ => {
            let mut reading = Reading::new(Action::Update);
            reading.complaint = Some(format!("{} {}", call.method, call.path));
            return (reading, (StatusCode::NOT_FOUND, refusal("Sorry, no such path", &Vec::new())));
        }
    };
    let mut reading = Reading::new(action);
    if call.authorization != format!("GenieKey {KEY}") {
        reading.complaint = Some("the API key is wrong, or is not sent as `Authorization: GenieKey`".to_owned());
        return (reading, (StatusCode::UNAUTHORIZED, refusal("Could not authenticate", &Vec::new())));
    }
    let body: Value = match serde_json::from_slice(&call.body) {
        Ok(body @ Value::Object(_)) => body,
        other => {
            reading.complaint = Some(other.map_or_else(|error| error.to_string(), |_| "the body is no object".into()));
            return (reading, (StatusCode::BAD_REQUEST, refusal("Body is not valid JSON", &Vec::new())));
        }
    };
    read(&body, alias, &mut reading);
    let mut errors = Vec::new();
    if !call.content_type.starts_with("application/json") {
        errors.push(("content-type", format!("is `{}`", call.content_type)));
    }
    if alias.is_some() && !call.query.split('&').any(|pair| pair == "identifierType=alias") {
        errors.push(("identifierType", format!("is not alias in `{}`", call.query)));
    }
    check_texts(&body, &mut errors);
    if action == Action::Trigger {
        check_alert(&body, &mut errors);
    }
    if errors.is_empty() {
        return (
            reading,
            (StatusCode::ACCEPTED, json!({ "result": "Request will be processed", "took": 0.01, "requestId": "0" })),
        );
    }
    let all: Vec<_> = errors.iter().map(|(field, error)| format!("{field}: {error}")).collect();
    reading.complaint = Some(all.join("; "));
    let said = refusal("Request body is not processable. Please check the errors.", &errors);
    (reading, (StatusCode::UNPROCESSABLE_ENTITY, said))
}

fn refusal(message: &str, errors: &Errors) -> Value {
    let errors: Map<_, _> = errors.iter().map(|(field, error)| ((*field).to_owned(), error.as_str().into())).collect();
    json!({ "message": message, "errors": errors, "took": 0.01, "requestId": "0" })
}

fn read(body: &Value, alias: Option<&str>, reading: &mut Reading) {
    reading.key = alias.unwrap_or_else(|| text(body, "alias")).to_owned();
    reading.severity = text(body, "priority").to_owned();
    reading.summary = text(body, "message").to_owned();
    reading.details = texts(body.get("details"));
    let name = |field| reading.details.get(field).map_or("", String::as_str);
    reading.alerts = names(name("alertnames"));
    if reading.alerts.is_empty() {
        reading.alerts = names(name("alertname"));
    }
}

fn check_texts(body: &Value, errors: &mut Errors) {
    for (field, limit) in TEXTS {
        match body.get(field) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => limited(text, limit, field, errors),
            Some(_) => errors.push((field, "is no text".to_owned())),
        }
    }
}

fn limited(text: &str, limit: usize, field: &'static str, errors: &mut Errors) {
    let mut found = Vec::new();
    at_most(text, limit, field, &mut found);
    errors.extend(found.into_iter().map(|error| (field, error)));
}

fn check_alert(body: &Value, errors: &mut Errors) {
    if text(body, "message").trim().is_empty() {
        errors.push(("message", "is missing".to_owned()));
    }
    let priority = text(body, "priority");
    if !["", "P1", "P2", "P3", "P4", "P5"].contains(&priority) {
        errors.push(("priority", format!("is `{priority}`, and has to be one of P1 to P5")));
    }
    check_list(body, "tags", 20, 50, errors);
    check_list(body, "actions", 10, 50, errors);
    match body.get("details") {
        None | Some(Value::Null) => {}
        Some(Value::Object(details)) => {
            if let Some((name, _)) = details.iter().find(|(_, value)| !value.is_string()) {
                errors.push(("details", format!("{name} is no text")));
            }
            let all: String =
                details.iter().flat_map(|(name, value)| [name.as_str(), value.as_str().unwrap_or("")]).collect();
            limited(&all, 8_000, "details", errors);
        }
        Some(_) => errors.push(("details", "is no object".to_owned())),
    }
    let responders = body.get("responders").and_then(Value::as_array);
    for responder in responders.into_iter().flatten() {
        let kind = text(responder, "type");
        if !RESPONDERS.contains(&kind) {
            errors.push(("responders", format!("type is `{kind}`")));
        }
        if ["id", "name", "username"].iter().all(|field| text(responder, field).is_empty()) {
            errors.push(("responders", format!("nobody is named in {responder}")));
        }
    }
    if responders.is_some_and(|all| all.len() > 50) {
        errors.push(("responders", "are more than 50".to_owned()));
    }
}

fn check_list(body: &Value, field: &'static str, most: usize, longest: usize, errors: &mut Errors) {
    match body.get(field) {
        None | Some(Value::Null) => {}
        Some(Value::Array(items)) => {
            if items.len() > most {
                errors.push((field, format!("has {} items, and at most {most} are taken", items.len())));
            }
            for item in items {
                match item.as_str() {
                    Some("") => errors.push((field, "has an empty item".to_owned())),
                    Some(item) => limited(item, longest, field, errors),
                    None => errors.push((field, format!("{item} is no text"))),
                }
            }
        }
        Some(_) => errors.push((field, "is no list".to_owned())),
    }
}
