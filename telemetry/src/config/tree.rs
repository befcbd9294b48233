//! What was read, before it is checked: JSON as a tree that borrows its texts from the input.
//!
//! A table of a thousand routes passes through here in the memory of every worker, so this is the smallest tree that serves:
//! the usual one has a copy of every text and a map of some hundred bytes for every route.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

/// A value of JSON, no larger than a text: lists and objects do not grow, and a number, which is rare, has a place of its own.
#[derive(Debug)]
pub(super) enum Tree<'a> {
    Null,
    Bool(bool),
    Number(Box<Number>),
    Text(Cow<'a, str>),
    List(Box<[Tree<'a>]>),
    /// **Invariant:** the names are sorted. A name may be there more than once; the checker says where.
    Object(Box<[Entry<'a>]>),
}

/// A field of an object.
pub(super) type Entry<'a> = (Cow<'a, str>, Tree<'a>);

/// Reads JSON with every field that is there: the usual reader keeps the last of a name and says nothing. The error is a
/// message with the cure.
pub(super) fn read(bytes: &[u8]) -> Result<Tree<'_>, String> {
    serde_json::from_slice(bytes).map_err(|error| format!("not JSON: {error}; give a JSON object"))
}

impl Tree<'_> {
    /// An object without fields.
    pub(super) fn empty() -> Self {
        Self::Object(Box::default())
    }
}

impl<'de> Deserialize<'de> for Tree<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Tree<'de>, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Tree<'de>, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Tree<'de>, E> {
        Ok(Tree::Number(Box::new(value.into())))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Tree<'de>, E> {
        Ok(Tree::Number(Box::new(value.into())))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Tree<'de>, E> {
        // JSON has no infinity and nothing that is not a number.
        Ok(Number::from_f64(value).map_or(Tree::Null, |number| Tree::Number(Box::new(number))))
    }

    fn visit_borrowed_str<E: de::Error>(self, value: &'de str) -> Result<Tree<'de>, E> {
        Ok(Tree::Text(Cow::Borrowed(value)))
    }

    /// Text with escapes is not in the input as it is meant.
    fn visit_str<E: de::Error>(self, value: &str) -> Result<Tree<'de>, E> {
        Ok(Tree::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list.into_boxed_slice()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Tree<'de>, A::Error> {
        let mut entries = Vec::new();
        // A name is read as a tree because that borrows it where it can. JSON has only text here.
        while let Some((name, value)) = fields.next_entry::<Tree<'de>, Tree<'de>>()? {
            if let Tree::Text(name) = name {
                entries.push((name, value));
            }
        }
        entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Ok(Tree::Object(entries.into_boxed_slice()))
    }
}

#[cfg(test)]
mod tests;
