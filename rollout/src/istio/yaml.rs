//! The one way in which objects are written.
//!
//! Keys are sorted, in blocks; a text stands without quotes only where no reader of YAML, 1.1 or 1.2, can take it for something else: Kubernetes' tools read
//! 1.1, in which `on`, `y` and `1_000` are no texts. A number without a fraction has none: an API server gives `1.0` back as `1`.

use std::fmt::Write as _;

use serde_json::{Map, Number, Value};

/// Up to here a double is exact as an integer.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The value with sorted keys and with integers where a number is one.
#[must_use]
pub fn canonical(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<(String, Value)> = fields.into_iter().collect();
            fields.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(fields.into_iter().map(|(key, value)| (key, canonical(value))).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(canonical).collect()),
        Value::Number(number) if !number.is_i64() && !number.is_u64() => {
            let whole = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() <= EXACT);
            #[expect(clippy::cast_possible_truncation, reason = "it is whole and within what an i64 has")]
            let whole = whole.map(|float| Number::from(float as i64));
            Value::Number(whole.unwrap_or(number))
        }
        other => other,
    }
}

/// The canonical text of a value.
#[must_use]
pub fn text(value: Value) -> String {
    let mut text = String::new();
    write_block(&canonical(value), 0, &mut text);
    text
}

/// A value that starts on a line of its own.
fn write_block(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                let _ = write!(out, "{:indent$}{}:", "", scalar(key));
                write_after(value, indent + 2, indent, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let _ = write!(out, "{:indent$}-", "");
                write_item(item, indent + 2, out);
            }
        }
        flat => {
            let _ = writeln!(out, "{:indent$}{}", "", flow(flat));
        }
    }
}

/// A value behind its key. Lists are not indented further, as Kubernetes' own tools have them.
fn write_after(value: &Value, indent: usize, list_indent: usize, out: &mut String) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            out.push('\n');
            write_block(value, indent, out);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            write_block(value, list_indent, out);
        }
        flat => {
            let _ = writeln!(out, " {}", flow(flat));
        }
    }
}

/// An item behind its dash; its first line stands beside the dash.
fn write_item(item: &Value, indent: usize, out: &mut String) {
    let mut lines = String::new();
    write_block(item, indent, &mut lines);
    out.push(' ');
    out.push_str(lines.trim_start_matches(' '));
}

/// What fits on a line: a scalar, or an empty list or object.
fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        other => other.to_string(),
    }
}

fn scalar(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    for letter in Value::from(text).to_string().chars() {
        // JSON leaves these as they are; YAML does not have them, or takes them for line ends.
        if matches!(letter, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}') {
            let _ = write!(quoted, "\\u{:04x}", u32::from(letter));
        } else {
            quoted.push(letter);
        }
    }
    quoted
}

fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte);
    text.len() <= 253
        && text.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && text.bytes().all(inner)
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn it_looks_like_a_manifest() {
        let value = json!({"kind": "X", "a": {"ring": "0", "on": "yes"}, "list": [{"b": 1.0, "a": [1, 2.5]}, [], "t"], "e": {}});
        let expected = "\
a:
  \"on\": \"yes\"
  ring: \"0\"
e: {}
kind: X
list:
- a:
  - 1
  - 2.5
  b: 1
- []
- t
";
        assert_eq!(text(value), expected);
    }

    #[test]
    fn only_what_is_a_text_in_every_yaml_stands_without_quotes() {
        for plain in ["a", "FAIL_OPEN", "extensions.istio.io/v1alpha1", "edge-observer"] {
            assert_eq!(scalar(plain), plain);
        }
        for quoted in [
            "", "0", "1_000", "1e3", "0x1f", "y", "No", "ON", "~", "null", "a: b", "- a", "#", "1:30", "=", ".inf", "*",
        ] {
            assert_eq!(scalar(quoted), format!("\"{quoted}\""));
        }
        assert_eq!(scalar("a\u{85}\u{2028}\n\"é"), "\"a\\u0085\\u2028\\n\\\"é\"");
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e6..1e6).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[ynoYN0-9._:~-]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::btree_map(any::<String>(), inner, 0..5)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_value_reads_back_as_itself(value in any_json()) {
            let text = text(value.clone());
            let back: Value = serde_yaml_ng::from_str(&text).unwrap();
            prop_assert_eq!(canonical(back.clone()), canonical(value), "{}", &text);
            prop_assert_eq!(super::text(back), text);
        }
    }
}
