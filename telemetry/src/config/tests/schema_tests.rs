//! The schema accepts exactly what the shape step accepts.

use fancy_regex::Regex;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::{check, error::ConfigErrors, schema, tree::Tree};

/// The part of JSON Schema that the schema uses, by the specification; any other keyword fails the test.
fn accepts(schema: &Value, value: &Value) -> bool {
    schema.as_object().unwrap().iter().all(|(keyword, rule)| match keyword.as_str() {
        "$schema" | "title" | "description" | "default" => true,
        "type" => match rule.as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "number" => value.is_number(),
            "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
            other => panic!("type {other}"),
        },
        "enum" => rule.as_array().unwrap().contains(value),
        "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
        "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().unwrap()),
        "pattern" => {
            value.as_str().is_none_or(|text| Regex::new(rule.as_str().unwrap()).unwrap().is_match(text).unwrap())
        }
        "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= rule.as_u64().unwrap()),
        "items" => value.as_array().is_none_or(|items| items.iter().all(|item| accepts(rule, item))),
        "anyOf" => rule.as_array().unwrap().iter().any(|rule| accepts(rule, value)),
        "required" => value
            .as_object()
            .is_none_or(|map| rule.as_array().unwrap().iter().all(|key| map.contains_key(key.as_str().unwrap()))),
        "properties" => value
            .as_object()
            .is_none_or(|map| map.iter().all(|(key, value)| rule.get(key).is_none_or(|rule| accepts(rule, value)))),
        "additionalProperties" => {
            assert_eq!(*rule, json!(false));
            value.as_object().is_none_or(|map| map.keys().all(|key| schema["properties"].get(key).is_some()))
        }
        other => panic!("keyword {other}"),
    })
}

fn shape_is_sound(value: &Value) -> bool {
    let mut errors = ConfigErrors::default();
    check::prune(&mut Tree::deserialize(value).unwrap(), &mut errors);
    errors.is_empty()
}

fn full() -> Value {
    json!({
        "namespace": "shop", "ring": "0",
        "correlation": {"header": "x-id", "trust": {"networks": ["10.0.0.0/8"], "mtls": true}, "generate": "uuidv4", "respond": true, "expose": false, "traceparent": "start"},
        "routes": {"label": "name", "case": "sensitive", "trailing_slash": "strict", "unmatched": "placeholders", "placeholders": {"max_endpoints": 7, "max_per_parent": 3, "min_hits": 1},
                   "duplicate_slashes": "merge", "dot_segments": "remove", "percent_encoding": "keep", "matrix_parameters": "strip", "undeclared_methods": "unknown",
                   "table": [{"methods": ["GET"], "template": "/a", "name": "a"}]},
        "metrics": {"series_budget": 60000.0, "buckets_seconds": [0.5, 2], "methods": ["GET"], "statuses": [200], "extra_statuses": 3, "histogram": true, "flush_interval_ms": 250},
        "access_log": {"filter_state": ["endpoint", "outcome"]},
    })
}

#[test]
fn the_schema_documents_every_property_and_its_default() {
    fn walk(schema: &Value, path: &str, seen: &mut usize) {
        if let Some(properties) = schema["properties"].as_object() {
            for (name, property) in properties {
                assert!(property["description"].as_str().is_some_and(|text| !text.is_empty()), "{path}.{name}");
                if let Some(default) = property.get("default") {
                    assert!(accepts(property, default), "{path}.{name}");
                }
                *seen += 1;
                walk(property, &format!("{path}.{name}"), seen);
            }
        }
        if let Some(items) = schema.get("items") {
            walk(items, path, seen);
        }
        for option in schema["anyOf"].as_array().into_iter().flatten() {
            walk(option, path, seen);
        }
    }
    let mut seen = 0;
    walk(&schema(), "", &mut seen);
    assert_eq!(seen, 145);
    assert_eq!(schema()["properties"]["metrics"]["properties"]["flush_interval_ms"]["maximum"], 60_000);
}

#[test]
fn the_schema_accepts_a_configuration_with_every_field() {
    assert!(accepts(&schema(), &full()) && shape_is_sound(&full()));
    assert!(accepts(&schema(), &json!({})));
}

/// Any value that could stand somewhere in a configuration.
fn junk() -> impl Strategy<Value = Value> {
    proptest::sample::select(vec![
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(100),
        json!(1000),
        json!(1e3),
        json!(0.5),
        json!(-1),
        json!(70_000),
        json!(1e300),
        json!(""),
        json!("any"),
        json!("none"),
        json!("GET"),
        json!("name"),
        json!("registered"),
        json!("shop"),
        json!("Shop"),
        json!([]),
        json!([1]),
        json!(["GET"]),
        json!([200]),
        json!([0.1]),
        json!(vec![1; 40]),
        json!({}),
        json!({"mtls": true}),
        json!({"template": "/x"}),
        json!([{"template": "/x"}]),
        json!([{"template": 1}]),
        json!([{}]),
        json!({"max_endpoints": 3}),
        json!({"strange": 1}),
    ])
}

/// Replaces, removes or adds something at the `at`th place of the value.
fn mutate(value: &mut Value, at: &mut usize, junk: &Value, how: u8) -> bool {
    if *at == 0 {
        match (how, value) {
            (0, Value::Object(map)) => drop(map.insert("strange".to_owned(), junk.clone())),
            (1, Value::Object(map)) => {
                if let Some(key) = map.keys().next_back().cloned() {
                    map.remove(&key);
                }
            }
            (_, value) => *value = junk.clone(),
        }
        return true;
    }
    *at -= 1;
    match value {
        Value::Object(map) => map.values_mut().any(|value| mutate(value, at, junk, how)),
        Value::Array(items) => items.iter_mut().any(|value| mutate(value, at, junk, how)),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn schema_and_shape_agree(mutations in proptest::collection::vec((0usize..45, junk(), 0u8..5), 0..3)) {
        let mut value = full();
        for (mut at, junk, how) in mutations {
            mutate(&mut value, &mut at, &junk, how);
        }
        // The namespace's pattern is the one thing the schema knows that the shape step leaves to the meaning.
        if let Some(namespace) = value.get_mut("namespace").filter(|namespace| namespace.is_string()) {
            *namespace = json!("shop");
        }
        prop_assert_eq!(accepts(&schema(), &value), shape_is_sound(&value), "{}", value);
    }

    #[test]
    fn no_value_breaks_the_reader(value in arbitrary()) {
        let _ = super::super::Config::from_value(value);
    }
}

/// Any JSON, with the names of fields among its keys.
fn arbitrary() -> impl Strategy<Value = Value> {
    let keys = vec![
        "namespace",
        "ring",
        "correlation",
        "header",
        "trust",
        "networks",
        "routes",
        "table",
        "template",
        "methods",
        "metrics",
        "buckets_seconds",
        "statuses",
        "x",
    ];
    let leaf = prop_oneof![
        junk(),
        any::<String>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from)
    ];
    leaf.prop_recursive(5, 60, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            proptest::collection::vec((proptest::sample::select(keys.clone()), inner), 0..8).prop_map(|entries| {
                Value::Object(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>())
            }),
        ]
    })
}
