//! Against the official schemas, of which `testdata` has what the events use.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::testing::{events, observer};

fn schema(class: u64) -> Value {
    let text = match class {
        3002 => include_str!("../../../testdata/ocsf-1.5.0-authentication.json"),
        4002 => include_str!("../../../testdata/ocsf-1.5.0-http_activity.json"),
        6003 => include_str!("../../../testdata/ocsf-1.5.0-api_activity.json"),
        other => panic!("class {other}"),
    };
    serde_json::from_str(text).unwrap()
}

/// The keywords of JSON Schema that these schemas use; any other is an error.
fn validate(value: &Value, schema: &Value, root: &Value, path: &str) -> Result<(), String> {
    let fail = |what: &str| Err(format!("{path}: {what}: {value}"));
    for (keyword, rule) in schema.as_object().unwrap() {
        match keyword.as_str() {
            "$ref" => {
                let name = rule.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
                validate(value, &root["$defs"][name], root, path)?;
            }
            "type" => {
                let is_right = match rule.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "integer" => value.is_u64() || value.is_i64(),
                    other => panic!("type {other}"),
                };
                if !is_right {
                    return fail("type");
                }
            }
            "const" if value != rule => return fail("const"),
            "enum" if !rule.as_array().unwrap().contains(value) => return fail("enum"),
            "maxLength" if value.as_str().unwrap().chars().count() as u64 > rule.as_u64().unwrap() => {
                return fail("maxLength");
            }
            "pattern" => {
                let pattern = fancy_regex::Regex::new(rule.as_str().unwrap()).unwrap();
                if !pattern.is_match(value.as_str().unwrap()).unwrap() {
                    return fail("pattern");
                }
            }
            "required" => {
                if let Some(name) =
                    rule.as_array().unwrap().iter().find(|name| value.get(name.as_str().unwrap()).is_none())
                {
                    return fail(&format!("without {name}"));
                }
            }
            "anyOf" => {
                let alternatives = rule.as_array().unwrap();
                if !alternatives.iter().any(|rule| validate(value, rule, root, path).is_ok()) {
                    return fail("anyOf");
                }
            }
            "properties" => {
                for (name, value) in value.as_object().unwrap() {
                    match rule.get(name) {
                        Some(rule) => validate(value, rule, root, &format!("{path}.{name}"))?,
                        None if schema["additionalProperties"] == true => {}
                        None => return fail(&format!("has {name}")),
                    }
                }
            }
            "const" | "enum" | "maxLength" | "additionalProperties" | "$defs" | "$id" | "$schema" => {}
            other => panic!("keyword {other}"),
        }
    }
    Ok(())
}

fn parsed(event: &Event) -> Value {
    let mut out = String::new();
    write(event, &observer(), &mut out);
    serde_json::from_str(&out).unwrap()
}

fn check(event: &Event) -> Result<(), String> {
    let record = parsed(event);
    let schema = schema(record["class_uid"].as_u64().unwrap());
    validate(&record, &schema, &schema, "")
}

#[test]
fn the_validator_refuses_what_the_schema_does() {
    let event = Event::new([0; 16], "CAB_APPROVAL", Class::Decision, 0);
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut record = parsed(&event);
        change(&mut record);
        let schema = schema(6003);
        validate(&record, &schema, &schema, "").unwrap_err()
    };
    assert!(refused(&|record| record["time"] = "now".into()).contains(".time: type"));
    assert!(refused(&|record| record["activity_id"] = 7.into()).contains(".activity_id: enum"));
    assert!(refused(&|record| record["class_uid"] = 4002.into()).contains(".class_uid: const"));
    assert!(refused(&|record| record["forged"] = 1.into()).contains("has forged"));
    assert!(refused(&|record| record["src_endpoint"] = serde_json::json!({})).contains("anyOf"));
    assert!(refused(&|record| record["src_endpoint"] = serde_json::json!({"ip": "x"})).contains(".ip: pattern"));
    assert!(refused(&|record| _ = record.as_object_mut().unwrap().remove("actor")).contains("without \"actor\""));
}

#[test]
fn classes_and_activities_follow_the_event() {
    let ids = |class, method: &str| {
        let mut event = Event::new([0; 16], "X", class, 0);
        event.method = Some(Text::new(method));
        check(&event).unwrap();
        parsed(&event)["type_uid"].as_u64().unwrap()
    };
    assert_eq!(ids(Class::Decision, "POST"), 600_303);
    assert_eq!(ids(Class::PrivilegedOperation, "DELETE"), 600_304);
    assert_eq!(ids(Class::PrivilegedOperation, "BREW"), 600_399);
    assert_eq!(ids(Class::Authentication, "POST"), 300_201);
    assert_eq!(ids(Class::Authorization, "GET"), 400_203);
    assert_eq!(ids(Class::Probe, "PATCH"), 400_299);
}

#[test]
fn addresses_are_addresses() {
    for (source, name) in [("10.0.0.1", "ip"), ("2001:db8::1", "ip"), ("::ffff:10.0.0.1", "ip"), ("1.2.3", "name")] {
        let mut event = Event::new([0; 16], "X", Class::Probe, 0);
        event.source = Some(Text::new(source));
        check(&event).unwrap();
        assert_eq!(parsed(&event)["src_endpoint"][name], source);
    }
}

proptest! {
    #[test]
    fn every_event_is_valid(event in events()) {
        prop_assert_eq!(check(&event), Ok(()));
    }
}
