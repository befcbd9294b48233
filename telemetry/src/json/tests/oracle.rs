//! The same documents, read by `serde_json`.

use std::fmt;

use proptest::prelude::*;
use proptest::sample::Index;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use super::*;

/// Few names, so that they come again, and lead somewhere.
const POINTERS: [&str; 14] =
    ["", "/a", "/b", "/a/a", "/a/b", "/a/0", "/b/1/a", "/0", "/1", "/a/b/a/b", "/", "/a~1b", "/é", "/aa"];

/// A JSON value with all its members, also those whose names come again.
#[derive(Clone, Debug)]
enum Tree {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    Array(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyTree)
    }
}

struct AnyTree;

impl<'de> Visitor<'de> for AnyTree {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Number::from_f64(value).map_or(Tree::Null, Tree::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Tree::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut object = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            object.push(entry);
        }
        Ok(Tree::Object(object))
    }
}

impl Tree {
    fn depth(&self) -> usize {
        let below = match self {
            Self::Array(items) => items.iter().map(Self::depth).max(),
            Self::Object(entries) => entries.iter().map(|(_, item)| item.depth()).max(),
            _ => return 0,
        };
        1 + below.unwrap_or_default()
    }

    fn pointer(&self, pointer: &str) -> Option<&Tree> {
        pointer.split('/').skip(1).try_fold(self, |tree, name| {
            let name = name.replace("~1", "/").replace("~0", "~");
            match tree {
                Self::Array(items) => items.get(name.parse::<usize>().ok()?),
                Self::Object(entries) => entries.iter().rev().find(|(key, _)| *key == name).map(|(_, item)| item),
                _ => None,
            }
        })
    }

    fn show(&self) -> String {
        match self {
            Self::Null => "Null".to_owned(),
            Self::Bool(value) => format!("Bool({value})"),
            Self::Number(number) => format!("Number({number})"),
            Self::Text(text) if text.len() > MAX_TEXT => "TooLong".to_owned(),
            Self::Text(text) => format!("{:?}", Value::Text(text)),
            Self::Array(items) => format!("Items({})", items.len()),
            Self::Object(entries) => format!("Items({})", entries.len()),
        }
    }

    /// As JSON with white space and escapes here and there, by the bits of `style`.
    fn write(&self, style: &mut u64, out: &mut String) {
        let space = |style: &mut u64, out: &mut String| {
            *style = style.rotate_left(3);
            out.push_str([" ", "\n\t", "", "", "", "", "", ""][(*style & 7) as usize]);
        };
        let text = |text: &str, style: &mut u64, out: &mut String| {
            out.push('"');
            for c in text.chars() {
                *style = style.rotate_left(5);
                match c {
                    c if *style & 7 == 0 => {
                        for unit in c.encode_utf16(&mut [0; 2]) {
                            *out += &format!("\\u{unit:04x}");
                        }
                    }
                    '"' | '\\' | '\0'..' ' => *out += &format!("\\u{:04X}", u32::from(c)),
                    c => out.push(c),
                }
            }
            out.push('"');
        };
        space(style, out);
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => *out += &value.to_string(),
            Self::Number(number) => *out += &number.to_string(),
            Self::Text(value) => text(value, style, out),
            Self::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { "," });
                    item.write(style, out);
                }
                out.push(']');
            }
            Self::Object(entries) => {
                out.push('{');
                for (index, (name, item)) in entries.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { "," });
                    space(style, out);
                    text(name, style, out);
                    space(style, out);
                    out.push(':');
                    item.write(style, out);
                }
                out.push('}');
            }
        }
        space(style, out);
    }
}

fn trees() -> impl Strategy<Value = Tree> {
    let name = prop_oneof![
        8 => prop::sample::select(vec!["a", "b", "0", "1", "", "a/b", "é", "aa"]).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    let leaf = prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::Bool),
        any::<i64>().prop_map(|number| Tree::Number(number.into())),
        any::<f64>().prop_filter_map("finite", |number| Number::from_f64(number).map(Tree::Number)),
        any::<String>().prop_map(Tree::Text),
        "[xé€😀\\\\]{60,120}".prop_map(Tree::Text),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Tree::Array),
            prop::collection::vec((name.clone(), inner), 0..6).prop_map(Tree::Object),
        ]
    })
}

/// What `serde_json` says; `None` where the two are meant to differ: numbers past its range, halves of surrogate pairs, and an end in the midst of
/// four hexadecimal digits, which it reads together.
///
/// What is not UTF-8 is replaced before, as the reader does where it keeps it; outside of texts it is an error either way.
fn expected(json: &[u8]) -> Option<(Document, Vec<String>)> {
    let text = String::from_utf8_lossy(json);
    match serde_json::from_str::<Tree>(&text) {
        Ok(tree) if tree.depth() > MAX_DEPTH => None,
        Ok(tree) => {
            let show = |pointer: &&str| tree.pointer(pointer).map_or_else(|| "-".to_owned(), Tree::show);
            Some((Document::Complete, POINTERS.iter().map(show).collect()))
        }
        Err(error) => {
            let message = error.to_string();
            let is_meant = ["out of range", "surrogate", "hex escape", "recursion limit"]
                .iter()
                .any(|meant| message.contains(meant));
            let is_meant = is_meant || error.is_eof() && json.iter().rev().take(5).any(|byte| *byte == b'u');
            let document = if error.is_eof() { Document::Incomplete } else { Document::Malformed };
            (!is_meant).then_some((document, Vec::new()))
        }
    }
}

fn compare(json: &[u8], cuts: &[Index]) -> Result<(), TestCaseError> {
    let pointers = Pointers::compile(&POINTERS).unwrap();
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(json.len() + 1)).collect();
    cuts.sort_unstable();
    let mut reader = Reader::new();
    reader.reset(&pointers);
    let mut start = 0;
    for cut in cuts.into_iter().chain([json.len()]) {
        reader.feed(&pointers, &json[start..cut]);
        start = cut;
    }
    let document = reader.finish();
    let Some((expected, values)) = expected(json) else { return Ok(()) };
    prop_assert_eq!(document, expected, "{}", json.escape_ascii());
    for (index, expected) in values.into_iter().enumerate() {
        let found = match reader.value(&pointers, index) {
            // The same reading of the digits.
            Some(Value::Number(text)) => format!("Number({})", serde_json::from_str::<Number>(text).unwrap()),
            Some(value) => format!("{value:?}"),
            None => "-".to_owned(),
        };
        prop_assert_eq!(found, expected, "{} in {}", POINTERS[index], json.escape_ascii());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn documents_are_read_as_by_serde_json(tree in trees(), mut style in any::<u64>(), cuts in prop::collection::vec(any::<Index>(), 0..8)) {
        let mut json = String::new();
        tree.write(&mut style, &mut json);
        compare(json.as_bytes(), &cuts)?;
        // Every beginning of it ends too early, or is complete with what is left out.
        for cut in &cuts {
            compare(&json.as_bytes()[..cut.index(json.len() + 1)], &[])?;
        }
    }

    #[test]
    fn broken_documents_are_refused_as_by_serde_json(
        tree in trees(),
        mut style in any::<u64>(),
        edits in prop::collection::vec((any::<Index>(), 0_u8..4, prop::sample::select(br#"{}[]",:\/ue+-.019ntfx "#.to_vec()), any::<u8>()), 1..4),
        cuts in prop::collection::vec(any::<Index>(), 0..4),
    ) {
        let mut json = String::new();
        tree.write(&mut style, &mut json);
        let mut json = json.into_bytes();
        for (place, kind, likely, any) in edits {
            let place = place.index(json.len() + 1);
            match kind {
                0 => json.insert(place, likely),
                1 => json.insert(place, any),
                2 => json.truncate(place),
                _ if place < json.len() => drop(json.remove(place)),
                _ => {}
            }
        }
        compare(&json, &cuts)?;
    }

    #[test]
    fn likely_bytes_are_read_as_by_serde_json(bytes in r#"[\[\]{}",:\\ u0-2eE+.tfnal-]{0,24}"#, cuts in prop::collection::vec(any::<Index>(), 0..4)) {
        compare(bytes.as_bytes(), &cuts)?;
    }
}
