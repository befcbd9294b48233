//! What is read, what is refused, and what comes out of the tree again.

use serde_json::{Value, json};

use super::*;

fn tree(json: &str) -> Tree<'_> {
    read(json.as_bytes()).unwrap_or_else(|error| panic!("{json}: {error}"))
}

/// A tree as the value that it stands for.
fn value(tree: &Tree<'_>) -> Value {
    match tree {
        Tree::Null => Value::Null,
        Tree::Bool(value) => json!(value),
        Tree::Number(number) => Value::Number((**number).clone()),
        Tree::Text(text) => json!(text),
        Tree::List(items) => items.iter().map(value).collect(),
        Tree::Object(entries) => entries.iter().map(|(name, item)| (name.to_string(), value(item))).collect(),
    }
}

/// It is read as the usual reader reads it, from the text and from the value.
fn check(json: &str) {
    let expected: Value = serde_json::from_str(json).unwrap();
    assert_eq!(value(&tree(json)), expected, "{json}");
    assert_eq!(value(&Tree::deserialize(&expected).unwrap()), expected, "{json}");
}

#[test]
fn every_value_is_read_as_it_is() {
    for json in ["null", "true", "[]", "{}", r#""""#, "[null, [false], {}]", r#"{"b": {"c": [1]}, "a": "x", "": ""}"#] {
        let text = json.replace("null", "0");
        check(&text);
        assert_eq!(value(&tree(json)), serde_json::from_str::<Value>(json).unwrap());
    }
    check(r#"{"a\u0062\n\"": "\ud83d\ude00\\\/ \u0000", "é": "日本"}"#);
}

#[test]
fn numbers_at_the_edges() {
    for json in [
        "18446744073709551615",
        "18446744073709551616",
        "-9223372036854775808",
        "-9223372036854775809",
        "1e3",
        "1.0",
        "-0.0",
        "-0",
        "5e-324",
        "1.7976931348623157e308",
    ] {
        check(json);
        let Tree::Number(number) = tree(json) else { panic!("{json}") };
        assert_eq!(number.to_string(), serde_json::from_str::<Value>(json).unwrap().to_string());
    }
    assert!(read(b"1e400").is_err());
}

#[test]
fn text_is_borrowed_where_it_is_in_the_input_as_it_is_meant() {
    let tree = tree(r#"{"plain": "é", "\u0065scaped": "\n"}"#);
    let Tree::Object(entries) = tree else { panic!("{tree:?}") };
    let borrowed = |text: &Cow<'_, str>| matches!(text, Cow::Borrowed(_));
    let [(escaped, Tree::Text(newline)), (plain, Tree::Text(accent))] = &*entries else { panic!("{entries:?}") };
    assert!(borrowed(plain) && borrowed(accent) && !borrowed(escaped) && !borrowed(newline));
    assert_eq!((&**escaped, &**newline), ("escaped", "\n"));
}

#[test]
fn fields_are_sorted_and_none_is_lost() {
    for count in 0..40_usize {
        // Neither ascending nor descending, and each twice.
        let names: Vec<String> = (0..count * 2).map(|index| (index % count * 17 % 41).to_string()).collect();
        let json = names.iter().map(|name| format!("{name:?}: 0")).collect::<Vec<_>>().join(", ");
        let json = format!("{{{json}}}");
        let Tree::Object(entries) = tree(&json) else { panic!("{json}") };
        assert!(entries.len() == 2 * count && entries.is_sorted_by(|(a, _), (b, _)| a <= b), "{entries:?}");
        assert!(entries.chunk_by(|(a, _), (b, _)| a == b).all(|same| same.len() == 2), "{entries:?}");
    }
}

#[test]
fn depth_has_a_limit() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(read(nested(127).as_bytes()).is_ok());
    let error = read(nested(128).as_bytes()).unwrap_err();
    assert_eq!(error, "not JSON: recursion limit exceeded at line 1 column 128; give a JSON object");
}

#[test]
fn a_tree_is_no_larger_than_a_text() {
    assert_eq!(size_of::<Tree<'_>>(), size_of::<Cow<'_, str>>());
}
