//! Whether manifests are what Istio's CRDs take.
//!
//! The schemas are Istio's own, in `envoy/istio/schemas/`. Three things are found that a JSON schema alone does not say:
//!
//! - *Unknown fields.* A CRD does not forbid them; the API server drops them in silence, or refuses them when the client asks it to. Within
//!   `x-kubernetes-preserve-unknown-fields` anything may stand.
//! - *Rules* (`x-kubernetes-validations`, in CEL): each that Istio 1.32 has is known here by its message; a test holds that none is missing.
//! - *Keys of lists* (`x-kubernetes-list-map-keys`), which must differ.

mod rules;
#[cfg(test)]
mod tests;

use std::fmt;

use serde_json::{Map, Value, json};

/// Istio's CRDs.
const CRDS: [&str; 4] = [
    include_str!("../../../envoy/istio/schemas/envoyfilters.networking.istio.io.json"),
    include_str!("../../../envoy/istio/schemas/telemetries.telemetry.istio.io.json"),
    include_str!("../../../envoy/istio/schemas/trafficextensions.extensions.istio.io.json"),
    include_str!("../../../envoy/istio/schemas/wasmplugins.extensions.istio.io.json"),
];

/// One mistake of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// `KIND NAMESPACE/NAME`.
    pub object: String,
    /// The field, such as `spec.match[0].mode`; empty for the object as a whole.
    pub path: String,
    /// What was found.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colon = if self.path.is_empty() { "" } else { ": " };
        write!(f, "{}: {}{colon}{}", self.object, self.path, self.message)
    }
}

/// Every mistake of an object that is one of Istio's kinds; none of one that is not: see [`is_known`].
#[must_use]
pub fn check(object: &Value) -> Vec<Mistake> {
    let Some(schema) = schema_of(object) else { return Vec::new() };
    let mut found = Vec::new();
    match jsonschema::options().with_draft(jsonschema::Draft::Draft4).build(&plain(&schema)) {
        Ok(validator) => {
            for error in validator.iter_errors(object) {
                found.push((dotted(error.instance_path().as_str()), error.to_string()));
            }
        }
        Err(error) => found.push((String::new(), format!("the schema of this kind cannot be used: {error}"))),
    }
    walk(&schema, object, "", &mut found);
    found.extend(metadata(object));
    found.sort();
    found.dedup();
    let name = name(object);
    found.into_iter().map(|(path, message)| Mistake { object: name.clone(), path, message }).collect()
}

/// Whether an object is of a kind and version that there is a schema for.
#[must_use]
pub fn is_known(object: &Value) -> bool {
    schema_of(object).is_some()
}

/// `KIND NAMESPACE/NAME` of an object.
#[must_use]
pub fn name(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let kind = text("/kind").unwrap_or("object");
    let name = text("/metadata/name").unwrap_or("without a name");
    match text("/metadata/namespace") {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

/// The schema of an object's kind and version, with the fields that every object has.
fn schema_of(object: &Value) -> Option<Value> {
    let (group, version) = object.get("apiVersion")?.as_str()?.split_once('/')?;
    let kind = object.get("kind")?.as_str()?;
    let crds = CRDS.iter().filter_map(|text| serde_json::from_str::<Value>(text).ok());
    let mut spec = crds.filter_map(|mut crd| Some(crd.get_mut("spec")?.take()));
    let spec = spec.find(|spec| {
        spec.get("group").and_then(Value::as_str) == Some(group)
            && spec.pointer("/names/kind").and_then(Value::as_str) == Some(kind)
    })?;
    let mut versions = spec.get("versions")?.as_array()?.iter();
    let version = versions.find(|found| found.get("name").and_then(Value::as_str) == Some(version))?;
    let mut schema = version.pointer("/schema/openAPIV3Schema")?.clone();
    let properties = schema.get_mut("properties")?.as_object_mut()?;
    properties.insert("apiVersion".to_owned(), json!({"type": "string"}));
    properties.insert("kind".to_owned(), json!({"type": "string"}));
    properties.insert("metadata".to_owned(), json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}));
    Some(schema)
}

/// What every object's metadata must be: a name, and texts for labels and annotations.
fn metadata(object: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    if object.pointer("/metadata/name").and_then(Value::as_str).is_none_or(str::is_empty) {
        found.push(("metadata.name".to_owned(), "is missing".to_owned()));
    }
    for part in ["labels", "annotations"] {
        let fields = object.pointer(&format!("/metadata/{part}")).and_then(Value::as_object);
        for (key, value) in fields.into_iter().flatten().filter(|(_, value)| !value.is_string()) {
            found.push((format!("metadata.{part}[{key:?}]"), format!("found {value}; a text is needed, in quotes")));
        }
    }
    found
}

/// The schema as JSON schema has it: `nullable` is a type of its own there, and `int32` and `int-or-string` are no formats that a validator looks at.
fn plain(schema: &Value) -> Value {
    match schema {
        Value::Object(fields) => {
            let mut fields: Map<String, Value> =
                fields.iter().map(|(key, value)| (key.clone(), plain(value))).collect();
            if fields.get("nullable") == Some(&Value::Bool(true))
                && let Some(one) = fields.get("type").filter(|one| one.is_string()).cloned()
            {
                fields.insert("type".to_owned(), json!([one, "null"]));
            }
            if fields.get("format").and_then(Value::as_str) == Some("int32") {
                fields.entry("minimum").or_insert(i32::MIN.into());
                fields.entry("maximum").or_insert(i32::MAX.into());
            }
            Value::Object(fields)
        }
        Value::Array(items) => Value::Array(items.iter().map(plain).collect()),
        other => other.clone(),
    }
}

/// Finds unknown fields, broken rules and doubled keys.
fn walk(schema: &Value, value: &Value, path: &str, found: &mut Vec<(String, String)>) {
    for rule in schema.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
        let message = rule.get("message").and_then(Value::as_str).unwrap_or_default();
        if rules::holds(message, value) == Some(false) {
            found.push((path.to_owned(), message.to_owned()));
        }
    }
    match value {
        Value::Object(fields) => {
            let properties = schema.get("properties").and_then(Value::as_object);
            let others = schema.get("additionalProperties").filter(|others| others.is_object());
            let any = schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
            for (key, value) in fields {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match (properties.and_then(|properties| properties.get(key)), others) {
                    (Some(schema), _) | (None, Some(schema)) => walk(schema, value, &path, found),
                    (None, None) if any => {}
                    (None, None) => {
                        found.push((path, "is no field of this kind; an API server drops it in silence".to_owned()));
                    }
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(schema.get("items").unwrap_or(&Value::Null), item, &format!("{path}[{index}]"), found);
            }
            doubled(schema, items, path, found);
        }
        _ => {}
    }
}

/// The items of a list that is a map have keys, and no two the same.
fn doubled(schema: &Value, items: &[Value], path: &str, found: &mut Vec<(String, String)>) {
    let Some(keys) = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array) else { return };
    let keys: Vec<&str> = keys.iter().filter_map(Value::as_str).collect();
    let key_of = |item: &Value| keys.iter().map(|key| item.get(*key).cloned()).collect::<Option<Vec<Value>>>();
    for (index, item) in items.iter().enumerate() {
        let Some(key) = key_of(item) else { continue };
        if items.iter().take(index).any(|earlier| key_of(earlier).as_ref() == Some(&key)) {
            found.push((format!("{path}[{index}].{}", keys.join(",")), "is there twice".to_owned()));
        }
    }
}

/// A JSON pointer as a path: `/spec/match/0/mode` is `spec.match[0].mode`.
fn dotted(pointer: &str) -> String {
    let mut path = String::new();
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        if part.bytes().all(|byte| byte.is_ascii_digit()) {
            path.push_str(&format!("[{part}]"));
        } else {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&part);
        }
    }
    path
}
