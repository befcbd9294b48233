//! The rules of Istio's CRDs that are written in CEL, by their messages.

use serde_json::Value;

/// Whether a value keeps a rule; `None` for a rule that is not known.
pub(super) fn holds(message: &str, value: &Value) -> Option<bool> {
    let has = |field: &str| value.get(field).is_some();
    let count = |fields: &[&str]| fields.iter().filter(|field| has(field)).count();
    let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
    let keys = |fits: fn(&str) -> bool| value.as_object().is_none_or(|fields| fields.keys().all(|key| fits(key)));
    Some(match message {
        "only one of targetRefs or selector can be set" => count(&["selector", "targetRef", "targetRefs"]) <= 1,
        "only one of targetRefs or workloadSelector can be set" => count(&["workloadSelector", "targetRefs"]) <= 1,
        "exactly one of wasm or lua must be set" => count(&["wasm", "lua"]) == 1,
        "cross namespace referencing is not currently supported" => value.as_str().is_none_or(str::is_empty),
        "wildcard not allowed in label value match" | "wildcard is not supported in selector" => {
            value.as_str().is_none_or(|text| !text.contains('*'))
        }
        "wildcard not allowed in label key match" => keys(|key| !key.contains('*')),
        "key must not be empty" => keys(|key| !key.is_empty()),
        "value may only be set when valueFrom is INLINE" => text("valueFrom") != "HOST" || !has("value"),
        "url must have schema one of [http, https, file, oci]" => value.as_str().is_none_or(|url| {
            url.split_once("://").is_none_or(|(scheme, _)| ["", "http", "https", "file", "oci"].contains(&scheme))
        }),
        "only support waypointMatch when context is WAYPOINT" => (text("context") == "WAYPOINT") == has("waypoint"),
        "port must be between 1-65535" => value.as_u64().is_none_or(|port| (1..=65_535).contains(&port)),
        "value must be set when operation is UPSERT" => text("operation") != "UPSERT" || !text("value").is_empty(),
        "value must not be set when operation is REMOVE" => text("operation") != "REMOVE" || !has("value"),
        "must be a valid duration greater than 1ms" => value.as_str().is_none_or(is_duration),
        _ => return None,
    })
}

/// Go's form of a duration, at least 1 ms: `1h30m`, `0.5s`.
fn is_duration(text: &str) -> bool {
    let mut rest = text;
    let mut milliseconds = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(end);
        let end = tail.find(|letter: char| letter.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let factor = match unit {
            "h" => 3_600_000.0,
            "m" => 60_000.0,
            "s" => 1000.0,
            "ms" => 1.0,
            "us" | "µs" => 0.001,
            "ns" => 0.000_001,
            _ => return false,
        };
        let Ok(number) = number.parse::<f64>() else { return false };
        milliseconds += number * factor;
        rest = tail;
    }
    milliseconds >= 1.0
}
