//! The configuration's digest: the first 12 hexadecimal digits of the SHA-256 of its canonical JSON.

use std::fmt::{self, Write};

use serde_json::Number;
use siem::sha256::Sha256;

use super::tree::Tree;
use crate::decimal::shortest;

/// The digest of a parsed configuration.
pub(super) fn of(value: &Tree<'_>) -> String {
    let mut hashing = Hashing(Sha256::new());
    // Hashing does not fail.
    let _ = write_canonical(value, &mut hashing);
    let mut hex = String::new();
    for byte in hashing.0.finish().iter().take(6) {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// Keys sorted, no white space, whole numbers without a fraction: a `Struct` of the proxy's API carries every number as a
/// double, and must not change the digest.
fn write_canonical(value: &Tree<'_>, out: &mut impl Write) -> fmt::Result {
    match value {
        Tree::Null => out.write_str("null"),
        Tree::Bool(value) => write!(out, "{value}"),
        Tree::Number(number) => write_number(number, out),
        Tree::Text(text) => write_text(text, out),
        Tree::List(items) => {
            for (index, item) in items.iter().enumerate() {
                out.write_char(if index == 0 { '[' } else { ',' })?;
                write_canonical(item, out)?;
            }
            out.write_str(if items.is_empty() { "[]" } else { "]" })
        }
        Tree::Object(entries) => {
            for (index, (name, item)) in entries.iter().enumerate() {
                out.write_char(if index == 0 { '{' } else { ',' })?;
                write_text(name, out)?;
                out.write_char(':')?;
                write_canonical(item, out)?;
            }
            out.write_str(if entries.is_empty() { "{}" } else { "}" })
        }
    }
}

/// With no escape but those that JSON asks for, and of these the short ones.
fn write_text(text: &str, out: &mut impl Write) -> fmt::Result {
    out.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => out.write_str("\\\"")?,
            '\\' => out.write_str("\\\\")?,
            '\u{8}' => out.write_str("\\b")?,
            '\t' => out.write_str("\\t")?,
            '\n' => out.write_str("\\n")?,
            '\u{c}' => out.write_str("\\f")?,
            '\r' => out.write_str("\\r")?,
            '\0'..' ' => write!(out, "\\u{:04x}", u32::from(c))?,
            c => out.write_char(c)?,
        }
    }
    out.write_char('"')
}

fn write_number(number: &Number, out: &mut impl Write) -> fmt::Result {
    match number.as_f64() {
        // Without an exponent and `.0`; whole numbers below 2^53 are the same either way.
        Some(float) if number.is_f64() => out.write_str(&shortest(float)),
        _ => write!(out, "{number}"),
    }
}

/// Hashes what is written to it.
struct Hashing(Sha256);

impl Write for Hashing {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::super::tree;
    use super::*;

    fn canonical(tree: &Tree<'_>) -> String {
        let mut out = String::new();
        write_canonical(tree, &mut out).unwrap();
        out
    }

    #[test]
    fn the_canonical_form_is_sorted_compact_and_by_value() {
        let json = r#"{"b": [1.0, 2.5, 1e3, -0.01, []], "a": {"z": null, "y": "\u00e9\n\""}, "c": {}}"#;
        let tree = tree::read(json.as_bytes()).unwrap();
        assert_eq!(canonical(&tree), "{\"a\":{\"y\":\"é\\n\\\"\",\"z\":null},\"b\":[1,2.5,1000,-0.01,[]],\"c\":{}}");
    }

    #[test]
    fn an_empty_object_has_the_digest_of_two_braces() {
        assert_eq!(of(&Tree::empty()), "44136fa355b3");
    }

    /// The canonical form with the means of `serde_json` alone.
    fn plain(value: &Value) -> String {
        match value {
            Value::Number(number) => match number.as_f64() {
                Some(float) if number.is_f64() => shortest(float),
                _ => number.to_string(),
            },
            Value::Array(items) => format!("[{}]", items.iter().map(plain).collect::<Vec<_>>().join(",")),
            Value::Object(fields) => {
                let sorted: BTreeMap<_, _> = fields.iter().collect();
                let fields = sorted.iter().map(|(name, value)| format!("{}:{}", json!(name), plain(value)));
                format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
            }
            value => value.to_string(),
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[\0- \"\\\\\x7f]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..8)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// Whichever way the value came.
        #[test]
        fn the_canonical_form_is_the_plain_one(value in values()) {
            let json = format!("{value:#}");
            // The last digit of a number may change on the way through text.
            let value: Value = serde_json::from_str(&json).unwrap();
            let (read, given) = (tree::read(json.as_bytes()).unwrap(), Tree::deserialize(&value).unwrap());
            prop_assert_eq!(canonical(&read), plain(&value));
            prop_assert_eq!(canonical(&given), plain(&value));
        }
    }
}
