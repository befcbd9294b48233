//! YAML and JSON to a value, without what both parsers let pass: a key that comes twice.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::Mistake;

/// Parses a text as JSON when it begins with `{`, else as YAML.
pub(super) fn value(text: &str) -> Result<Value, Mistake> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with('{') {
        match serde_json::from_str::<Strict>(text) {
            Ok(value) => return Ok(value.0),
            // A YAML flow mapping begins with a brace too, and may do without quotes.
            Err(error) => return yaml(text).map_err(|_| at(error.line(), error.column(), &error.to_string())),
        }
    }
    yaml(text).map(|value| if value.is_null() { Value::Object(Map::new()) } else { value })
}

fn yaml(text: &str) -> Result<Value, Mistake> {
    match serde_yaml_ng::from_str::<Strict>(text) {
        Ok(value) => Ok(value.0),
        Err(error) => {
            let message = error.to_string();
            match error.location() {
                Some(location) => {
                    let line = text.lines().nth(location.line().saturating_sub(1)).unwrap_or_default();
                    let indent = line.get(..line.len() - line.trim_start().len()).unwrap_or_default();
                    let tab = message.contains("cannot start any token") && indent.contains('\t');
                    let message = if tab { "found a tab; indent with spaces" } else { &message };
                    Err(at(location.line(), location.column(), message))
                }
                None => Err(Mistake { path: "configuration".to_owned(), message }),
            }
        }
    }
}

/// A mistake at a place, without the place that the parser put into its message.
fn at(line: usize, column: usize, message: &str) -> Mistake {
    let place = message.rfind(" at line ").filter(|place| {
        message
            .get(place + 9..)
            .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit() || b" column".contains(&byte)))
    });
    let message = place.and_then(|place| message.get(..place)).unwrap_or(message);
    Mistake { path: format!("line {line}, column {column}"), message: message.to_owned() }
}

/// A value whose objects have no key twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Builder).map(Strict)
    }
}

struct Builder;

impl<'de> Visitor<'de> for Builder {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value without tags")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom(format_args!("`{value}` is not a finite number")))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key_seed(NewKey(&object))? {
            let Strict(value) = entries.next_value()?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

/// A key that the object does not have yet. Refused while it is read, because only then does the error get the key's own place.
struct NewKey<'a>(&'a Map<String, Value>);

impl<'de> DeserializeSeed<'de> for NewKey<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NewKey<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<String, E> {
        if self.0.contains_key(key) {
            return Err(E::custom(format_args!("key `{key}` comes twice; keep one")));
        }
        Ok(key.to_owned())
    }
}
