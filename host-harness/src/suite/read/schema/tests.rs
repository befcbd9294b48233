//! The schema is complete, up to date, and of one mind with the reader.

use super::*;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/suite.schema.json");

/// What a schema has against a value, as far as this schema uses the language of schemas.
pub(in crate::suite::read) fn complaint(value: &Value) -> Option<String> {
    let root = schema();
    complain(&root, &root, value, "")
}

fn complain(root: &Value, schema: &Value, value: &Value, path: &str) -> Option<String> {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        return complain(root, root.pointer(name.strip_prefix('#').unwrap()).unwrap(), value, path);
    }
    if let Some(schemas) = schema.get("anyOf").and_then(Value::as_array) {
        let mut complaints = schemas.iter().map(|schema| complain(root, schema, value, path));
        return if complaints.any(|complaint| complaint.is_none()) { None } else { Some(format!("{path}: none fits")) };
    }
    if schema.get("const").is_some_and(|only| only != value) {
        return Some(format!("{path}: not the constant"));
    }
    if schema.get("enum").is_some_and(|words| !words.as_array().unwrap().contains(value)) {
        return Some(format!("{path}: no such word"));
    }
    let is = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "boolean" => value.is_boolean(),
        _ => panic!("{name}"),
    };
    let fits = match schema.get("type") {
        Some(Value::Array(names)) => names.iter().any(|name| is(name.as_str().unwrap())),
        Some(name) => is(name.as_str().unwrap()),
        None => true,
    };
    if !fits {
        return Some(format!("{path}: wrong type"));
    }
    let bound = |name| schema.get(name).and_then(Value::as_u64);
    if value.as_u64().is_some_and(|number| {
        bound("minimum").is_some_and(|least| number < least) || bound("maximum").is_some_and(|most| number > most)
    }) {
        return Some(format!("{path}: out of bounds"));
    }
    for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
        if value.get(name.as_str().unwrap()).is_none() {
            return Some(format!("{path}: no {name}"));
        }
    }
    for (name, value) in value.as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let property = schema.get("properties").and_then(|known| known.get(name));
        let complaint = match property.or_else(|| schema.get("additionalProperties")) {
            Some(Value::Bool(false)) => Some(format!("{path}: unknown")),
            Some(schema) => complain(root, schema, value, &path),
            None => None,
        };
        if complaint.is_some() {
            return complaint;
        }
    }
    let items = schema.get("items");
    let mut elements = value.as_array().into_iter().flatten().enumerate();
    items.and_then(|schema| {
        elements.find_map(|(index, value)| complain(root, schema, value, &format!("{path}[{index}]")))
    })
}

fn nulls(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Null => found.push(path.to_owned()),
        Value::Object(map) => map.iter().for_each(|(name, value)| nulls(value, &format!("{path}/{name}"), found)),
        Value::Array(list) => list.iter().for_each(|value| nulls(value, path, found)),
        _ => {}
    }
}

#[test]
fn every_field_has_a_schema() {
    let mut found = Vec::new();
    nulls(&schema(), "", &mut found);
    assert_eq!(found, [""; 0]);
}

#[test]
fn what_is_said_of_a_field_is_in_the_description() {
    assert_eq!(described(SUITE, "shared").unwrap().split(',').next(), Some("one host for all cases"));
    assert!(described(CASE, "client_leaves").unwrap().starts_with("the client leaves before"));
    assert!(described(EXPECTATIONS, "closed_by").unwrap().starts_with("who closed the client's connection"));
}

#[test]
fn the_schemas_file_is_up_to_date() {
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(FILE, format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap())).unwrap();
    }
    let file = std::fs::read_to_string(FILE).unwrap_or_default();
    let file: Value = serde_json::from_str(&file).unwrap_or_default();
    assert!(file == schema(), "suite.schema.json is out of date; run the tests of host-harness with UPDATE_EXPECT=1");
}

#[test]
fn suites_of_this_repository_fit_the_schema() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["tests/suite", "../tests/suites"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                let value = crate::suite::read::yaml(&std::fs::read_to_string(&path).unwrap()).unwrap();
                assert_eq!(complaint(&serde_json::to_value(value).unwrap()), None, "{}", path.display());
            }
        }
    }
}

#[test]
fn what_the_reader_refuses_by_its_shape_the_schema_refuses() {
    let case = |rest: Value| {
        let mut case = json!({ "name": "one" });
        case.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        json!({ "cases": [case] })
    };
    assert_eq!(complaint(&case(json!({ "request": "/" }))), None);
    for (value, wanted) in [
        (json!({}), ": no \"cases\""),
        (json!({ "cases": [{}] }), ".cases[0]: no \"name\""),
        (json!({ "modul": "a", "cases": [] }), ".modul: unknown"),
        (case(json!({ "workers": 65 })), ".cases[0].workers: out of bounds"),
        (case(json!({ "log_level": "loud" })), ".cases[0].log_level: no such word"),
        (case(json!({ "request": 5 })), ".cases[0].request: none fits"),
        (case(json!({ "reply": "refuse" })), ".cases[0].reply: none fits"),
        (
            case(json!({ "connection": [{ "client_ends": false }] })),
            ".cases[0].connection[0].client_ends: not the constant",
        ),
        (case(json!({ "expect": { "upstrem": "none" } })), ".cases[0].expect.upstrem: unknown"),
    ] {
        assert_eq!(complaint(&value).as_deref(), Some(wanted), "{value}");
    }
}
