//! The format as a JSON Schema, for editors. Which fields there are is what the reader knows; what they are for is what the
//! description of the format says.

use serde_json::{Map, Value, json};

use super::{FIELDS, case, connection, expect, setup, value};
use crate::abi::Status;

/// The description of the format.
const DESCRIPTION: &str = include_str!("../../../SUITES.md");
/// Its sections.
const SUITE: &str = "A suite";
const CASE: &str = "A case";
const EXPECTATIONS: &str = "Expectations";

/// The schema of a file.
pub(in crate::suite) fn schema() -> Value {
    let mut suite = object(SUITE, &[&FIELDS, &setup::FIELDS], &["cases"], |name| match name {
        "name" => text(),
        "shared" => flag(),
        "cases" => json!({ "type": "array", "minItems": 1, "items": of("case") }),
        name => of_setup(name),
    });
    if let Some(suite) = suite.as_object_mut() {
        suite.insert("$schema".to_owned(), json!("http://json-schema.org/draft-07/schema#"));
        suite.insert("title".to_owned(), json!("A suite of cases for a proxy-wasm module"));
        suite.insert("definitions".to_owned(), definitions());
    }
    suite
}

fn definitions() -> Value {
    let mut all = Map::new();
    let parts = [of_cases(), of_streams(), of_clusters(), of_expectations(), of_values()];
    all.extend(parts.into_iter().flatten().map(|(name, schema)| (name.to_owned(), schema)));
    Value::Object(all)
}

/// Definitions by name.
type Definitions = Vec<(&'static str, Value)>;

fn of_setup(name: &str) -> Value {
    match name {
        "module" | "configuration_file" | "vm_configuration_file" | "plugin_name" | "root_id" | "vm_id" => text(),
        "configuration" | "vm_configuration" => json!({}),
        "environment" => map(of("scalar")),
        "allowed_capabilities" => list(text()),
        "workers" => whole(1, Some(64)),
        "seed" => whole(0, None),
        "fuel_per_callback" => whole(1, None),
        "clock" => json!({ "type": ["string", "integer"] }),
        "log_level" => words(&setup::LEVELS.map(|(name, _)| name)),
        "conformance" => words(&setup::CONFORMANCES),
        "failure_policy" => words(&setup::FAILURE_POLICIES),
        "reload_backoff" => of("duration"),
        "memory_limit" | "body_limit" => of("size"),
        "protocol" => words(&setup::PROTOCOLS),
        "clusters" => map(of("cluster")),
        "faults" => list(object(SUITE, &[&setup::FAULT_FIELDS], &["hostcall"], |name| match name {
            "hostcall" => text(),
            "nth" => whole(1, None),
            "returns" => words(&Status::ALL.map(|status| format!("{status:?}"))),
            "traps" => flag(),
            _ => Value::Null,
        })),
        _ => Value::Null,
    }
}

fn of_cases() -> Definitions {
    let streams = |name: &str| match name {
        "request" => of("request"),
        "reply" => of("stream_reply"),
        "client_leaves" => flag(),
        "streams" => list(of("stream")),
        "connection" => list(of("turn")),
        "steps" => list(of("step")),
        _ => Value::Null,
    };
    let case_fields: &[&[&str]] = &[&case::FIELDS, &case::STREAM_FIELDS, &case::PARTS, &setup::FIELDS];
    let case = object(CASE, case_fields, &["name"], |name| match name {
        "name" | "skip" => text(),
        "only" => words(&case::PROXIES),
        "expect" => of("expect"),
        name if setup::FIELDS.contains(&name) => of_setup(name),
        name => streams(name),
    });
    let step = object(CASE, &[&case::STREAM_FIELDS, &case::ACTION_FIELDS, &["expect"]], &[], |name| match name {
        "advance" => of("duration"),
        "tick" => json!({ "const": true }),
        "reconfigure" => json!({}),
        "reconfigure_file" => text(),
        "refused" => of("text_match"),
        "expect" => of("expect"),
        name => streams(name),
    });
    vec![("case", case), ("step", step)]
}

fn of_streams() -> Definitions {
    let stream = object(CASE, &[&case::STREAM_FIELDS, &["expect"]], &["request"], |name| match name {
        "request" => of("request"),
        "reply" => of("stream_reply"),
        "client_leaves" => flag(),
        "expect" => of("stream_expect"),
        _ => Value::Null,
    });
    let request = object(CASE, &[&case::REQUEST_FIELDS], &[], |name| match name {
        "method" | "path" | "scheme" | "authority" | "source" => text(),
        "without" => list(text()),
        "protocol" => words(&setup::PROTOCOLS),
        "mtls" => flag(),
        "properties" => map(of("scalar")),
        name => of_message(name),
    });
    let reply_fields = |name: &str| match name {
        "status" => whole(200, Some(599)),
        "after" => of("duration"),
        "answer" => words(&case::REPLY_WORDS),
        name => of_message(name),
    };
    let stream_reply = object(CASE, &[&["answer"], &case::REPLY_FIELDS], &[], reply_fields);
    let turn = object(CASE, &[&connection::TURN_FIELDS], &[], |name| match name {
        "client" | "server" => of("body"),
        "client_ends" | "server_ends" | "server_resets" => json!({ "const": true }),
        _ => Value::Null,
    });
    vec![
        ("stream", stream),
        ("request", any([text(), request])),
        ("stream_reply", any([whole(200, Some(599)), words(&case::REPLY_WORDS), stream_reply])),
        ("turn", turn),
    ]
}

/// Fields of requests and replies.
fn of_message(name: &str) -> Value {
    match name {
        "headers" | "trailers" => map(any([of("scalar"), list(of("scalar"))])),
        "body" => any([of("body"), list(of("body"))]),
        "chunks" => whole(1, None),
        "chunk_size" => of("size"),
        _ => Value::Null,
    }
}

fn of_clusters() -> Definitions {
    let when = object(CASE, &[&setup::WHEN_FIELDS], &[], |name| match name {
        "method" | "path" => of("text_match"),
        "headers" => of("header_matches"),
        "body" => of("body_match"),
        _ => Value::Null,
    });
    let rule = object(CASE, &[&setup::RULE_FIELDS, &case::REPLY_FIELDS], &[], |name| match name {
        "when" => when.clone(),
        "answer" => words(&setup::ANSWERS),
        "status" => whole(200, Some(599)),
        "after" => of("duration"),
        name => of_message(name),
    });
    let rule = any([whole(200, Some(599)), words(&setup::ANSWERS), rule]);
    let cluster = any([words(&setup::CLUSTER_WORDS), of("rule"), list(of("rule"))]);
    vec![("rule", rule), ("cluster", cluster)]
}

fn of_expectations() -> Definitions {
    let arrival = |status: bool| {
        let fields: &[&str] = if status { &expect::RESPONSE_FIELDS } else { &expect::UPSTREAM_FIELDS };
        let message = object(EXPECTATIONS, &[fields], &[], of_arrival);
        if status { any([none(), whole(100, Some(599)), message]) } else { any([none(), message]) }
    };
    let local_reply = object(EXPECTATIONS, &[&expect::LOCAL_REPLY_FIELDS], &[], |name| match name {
        "details" => of("text_match"),
        "grpc_status" => of("number"),
        _ => Value::Null,
    });
    let one = |name: &str| match name {
        "upstream" => arrival(false),
        "response" => arrival(true),
        "local_reply" => any([of("text_match"), local_reply.clone()]),
        "held" => flag(),
        "filter_state" => of("values"),
        "cost" => object(EXPECTATIONS, &[&expect::COST_FIELDS], &[], |name| match name {
            "hostcalls" => map(of("number")),
            _ => of("number"),
        }),
        "server" | "client" => of("body_match"),
        "closed_by" => words(&connection::CLOSERS),
        name => of_host(name),
    };
    let all: &[&[&str]] = &[&expect::STREAM_FIELDS, &["server", "client", "closed_by"], &expect::HOST_FIELDS];
    vec![
        ("expect", object(EXPECTATIONS, all, &[], one)),
        ("stream_expect", object(EXPECTATIONS, &[&expect::STREAM_FIELDS], &[], one)),
    ]
}

fn of_arrival(name: &str) -> Value {
    match name {
        "status" => any([whole(100, Some(599)), of("number")]),
        "method" | "path" => of("text_match"),
        "headers" => of("header_matches"),
        "trailers" => any([none(), of("header_matches")]),
        "body" => of("body_match"),
        _ => Value::Null,
    }
}

fn of_host(name: &str) -> Value {
    let line = |fields: &[&str]| {
        let line = object(EXPECTATIONS, &[fields, &value::TEXT_FIELDS], &[], |name| match name {
            "level" => words(&setup::LEVELS.map(|(name, _)| name)),
            "count" => of("number"),
            _ => of("scalar"),
        });
        let line = any([of("scalar"), line]);
        any([line.clone(), list(line)])
    };
    match name {
        "within" => of("duration"),
        "log" => line(&expect::LOG_FIELDS),
        "no_log" => line(&["level"]),
        "metrics" => map(any([
            whole(0, None),
            object(EXPECTATIONS, &[&expect::METRIC_FIELDS], &[], |name| match name {
                "present" => flag(),
                "at_least" | "at_most" => whole(0, None),
                _ => of("number"),
            }),
        ])),
        "callouts" => {
            let fields: &[&[&str]] = &[&expect::CALLOUT_FIELDS, &expect::UPSTREAM_FIELDS];
            let callout = object(EXPECTATIONS, fields, &[], |name| match name {
                "cluster" => text(),
                "count" => of("number"),
                name => of_arrival(name),
            });
            any([none(), callout.clone(), list(callout)])
        }
        "shared_data" => of("values"),
        "failed" => flag(),
        "start_refused" => of("text_match"),
        _ => Value::Null,
    }
}

fn of_values() -> Definitions {
    let scalar = any([
        json!({ "type": ["string", "integer", "boolean"] }),
        object(EXPECTATIONS, &[&["base64"]], &["base64"], |_| text()),
    ]);
    let body = object(CASE, &[&value::BODY_FIELDS, &value::FILLED_FIELDS], &[], |name| match name {
        "text" | "fill" => of("scalar"),
        "size" => of("size"),
        "json" => json!({}),
        _ => text(),
    });
    let body_match = object(EXPECTATIONS, &[&value::TEXT_FIELDS, &value::BODY_MATCH_FIELDS], &[], |name| match name {
        "json" => json!({}),
        "size" => any([of("size"), of("number")]),
        "file" | "base64" => text(),
        _ => of("scalar"),
    });
    let texts = object(EXPECTATIONS, &[&value::TEXT_FIELDS], &[], |_| of("scalar"));
    let texts_or_none = object(EXPECTATIONS, &[&value::PRESENT_FIELDS, &value::TEXT_FIELDS], &[], |name| match name {
        "present" => flag(),
        _ => of("scalar"),
    });
    let numbers = object(EXPECTATIONS, &[&value::NUMBER_FIELDS], &[], |_| whole(0, None));
    vec![
        ("scalar", scalar),
        ("duration", json!({ "type": "string", "examples": ["20ms", "5s", "1h 30m"] })),
        ("size", json!({ "type": ["integer", "string"], "minimum": 0, "examples": [1024, "64KiB", "1MiB"] })),
        ("body", any([text(), body])),
        ("body_match", any([of("scalar"), body_match])),
        ("text_match", any([of("scalar"), texts])),
        ("values", map(any([of("scalar"), texts_or_none.clone()]))),
        ("header_matches", map(any([of("scalar"), list(of("scalar")), texts_or_none]))),
        ("number", any([whole(0, None), numbers])),
    ]
}

/// A mapping with these fields and no others, each with what the section says of it.
fn object(section: &str, fields: &[&[&str]], required: &[&str], schema: impl Fn(&str) -> Value) -> Value {
    let mut properties = Map::new();
    for name in fields.iter().copied().flatten() {
        let mut property = schema(name);
        if let (Some(property), Some(text)) = (property.as_object_mut(), described(section, name)) {
            property.insert("description".to_owned(), json!(text));
        }
        properties.insert((*name).to_owned(), property);
    }
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// What a section of the description says of a field: the last cell of its row.
fn described(section: &str, name: &str) -> Option<String> {
    let (_, text) = DESCRIPTION.split_once(&format!("\n## {section}\n"))?;
    let text = text.split("\n## ").next()?;
    let name = format!("`{name}`");
    text.lines().find_map(|line| {
        let row = line.strip_prefix("| ")?.strip_suffix('|')?;
        let mut cells = row.split(" |").map(str::trim);
        let is_of = cells.next()?.split(", ").any(|known| known == name);
        cells.last().filter(|text| is_of && !text.is_empty()).map(str::to_owned)
    })
}

fn of(name: &str) -> Value {
    json!({ "$ref": format!("#/definitions/{name}") })
}

fn any<const N: usize>(schemas: [Value; N]) -> Value {
    json!({ "anyOf": schemas.to_vec() })
}

fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

fn map(values: Value) -> Value {
    json!({ "type": "object", "additionalProperties": values })
}

fn words<S: AsRef<str>>(words: &[S]) -> Value {
    json!({ "enum": words.iter().map(AsRef::as_ref).collect::<Vec<&str>>() })
}

fn none() -> Value {
    json!({ "const": "none" })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn flag() -> Value {
    json!({ "type": "boolean" })
}

fn whole(least: u64, most: Option<u64>) -> Value {
    match most {
        Some(most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        None => json!({ "type": "integer", "minimum": least }),
    }
}

#[cfg(test)]
pub(super) mod tests;
