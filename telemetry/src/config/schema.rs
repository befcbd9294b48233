//! The JSON Schema (draft 2020-12) of the configuration, from the table of fields.

use serde_json::{Map, Value, json};

use super::fields::{Field, Kind, ROOT};

/// The JSON Schema of the configuration, for editors and other tools.
///
/// It accepts what the shape step accepts; conflicts between fields and the series budget are beyond it.
pub fn schema() -> Value {
    let mut schema = of(&Kind::Section(ROOT));
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".to_owned(), json!("edge-observer configuration"));
    Value::Object(schema)
}

fn of(kind: &Kind) -> Map<String, Value> {
    let value = match kind {
        Kind::Bool => json!({"type": "boolean"}),
        Kind::Whole { min, max } => json!({"type": "integer", "minimum": min, "maximum": max}),
        Kind::Decimal => json!({"type": "number"}),
        Kind::Text { pattern: None, .. } => json!({"type": "string"}),
        Kind::Text { pattern: Some(pattern), .. } => json!({"type": "string", "pattern": pattern}),
        Kind::Choice(words) => json!({"type": "string", "enum": words}),
        Kind::Section(fields) => section(fields),
        Kind::List { of: item, most: None, .. } => json!({"type": "array", "items": of(item)}),
        Kind::List { of: item, most: Some(most), .. } => json!({"type": "array", "items": of(item), "maxItems": most}),
        Kind::Map { of: item, most, .. } => {
            json!({"type": "object", "additionalProperties": of(item), "maxProperties": most})
        }
        Kind::Either(kinds) => json!({"anyOf": kinds.iter().map(of).collect::<Vec<_>>()}),
    };
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn section(fields: &[Field]) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for field in fields {
        let mut property = of(&field.kind);
        property.insert("description".to_owned(), json!(field.doc));
        match field.default {
            None => required.push(field.name),
            Some(text) => {
                if let Ok(default) = serde_json::from_str::<Value>(text) {
                    property.insert("default".to_owned(), default);
                }
            }
        }
        properties.insert(field.name.to_owned(), Value::Object(property));
    }
    let mut section = json!({"type": "object", "properties": properties, "additionalProperties": false});
    if let (Some(section), false) = (section.as_object_mut(), required.is_empty()) {
        section.insert("required".to_owned(), json!(required));
    }
    section
}
