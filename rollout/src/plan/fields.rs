//! Fields of an object, each asked for once; what nobody asked for is unknown.

use std::cell::RefCell;

use serde_json::{Map, Value};

use super::Mistake;
use super::units;

/// The mistakes of a file, in the order in which they were found.
#[derive(Debug, Default)]
pub(super) struct Mistakes(RefCell<Vec<Mistake>>);

impl Mistakes {
    pub(super) fn push(&self, path: impl Into<String>, message: impl Into<String>) {
        self.0.borrow_mut().push(Mistake { path: path.into(), message: message.into() });
    }

    pub(super) fn into_list(self) -> Vec<Mistake> {
        self.0.into_inner()
    }
}

/// An object, and where it is.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    path: String,
    map: Option<&'a Map<String, Value>>,
    asked: RefCell<Vec<&'static str>>,
    mistakes: &'a Mistakes,
}

impl<'a> Fields<'a> {
    /// Of `value`, which should be an object; `None` is one without fields.
    pub(super) fn of(path: impl Into<String>, value: Option<&'a Value>, mistakes: &'a Mistakes) -> Self {
        let path = path.into();
        let map = match value {
            None | Some(Value::Null) => None,
            Some(Value::Object(map)) => Some(map),
            Some(other) => {
                mistakes.push(shown(&path), format!("found {}; use an object with fields", excerpt(other)));
                None
            }
        };
        Self { path, map, asked: RefCell::default(), mistakes }
    }

    pub(super) fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    pub(super) fn wrong(&self, name: &str, message: impl Into<String>) {
        self.mistakes.push(self.path(name), message);
    }

    pub(super) fn mistakes(&self) -> &'a Mistakes {
        self.mistakes
    }

    /// A field as it is; `null` is as good as none.
    pub(super) fn value(&self, name: &'static str) -> Option<&'a Value> {
        self.asked.borrow_mut().push(name);
        self.map?.get(name).filter(|value| !value.is_null())
    }

    /// Whether the field is there, `null` included.
    pub(super) fn has(&self, name: &'static str) -> bool {
        self.asked.borrow_mut().push(name);
        self.map.is_some_and(|map| map.contains_key(name))
    }

    /// An object within this one.
    pub(super) fn section(&self, name: &'static str) -> Fields<'a> {
        Fields::of(self.path(name), self.value(name), self.mistakes)
    }

    /// A field that some text can be made of, by `read`; `form` says which.
    pub(super) fn read<T>(&self, name: &'static str, form: &str, read: impl FnOnce(&Value) -> Option<T>) -> Option<T> {
        let value = self.value(name)?;
        let found = read(value);
        if found.is_none() {
            self.wrong(name, format!("found {}; use {form}", excerpt(value)));
        }
        found
    }

    pub(super) fn text(&self, name: &'static str) -> Option<String> {
        self.read(name, "a text that is not empty", |value| {
            value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
        })
    }

    /// A text that has to be there.
    pub(super) fn needed(&self, name: &'static str, what: &str) -> String {
        if !self.has(name) {
            self.wrong(name, format!("is missing; {what}"));
            return String::new();
        }
        self.text(name).unwrap_or_default()
    }

    pub(super) fn flag(&self, name: &'static str) -> bool {
        self.read(name, "true or false", Value::as_bool).unwrap_or(false)
    }

    pub(super) fn duration(&self, name: &'static str) -> Option<std::time::Duration> {
        self.read(name, units::DURATION, |value| units::duration(value.as_str()?))
    }

    /// A share from 0 to 1, without 0 where nothing could ever be shown with it.
    pub(super) fn share(&self, name: &'static str) -> Option<f64> {
        self.read(name, "a number above 0, at most 1", |value| value.as_f64().filter(|x| *x > 0.0 && *x <= 1.0))
    }

    pub(super) fn choice<T: Copy>(&self, name: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let names: Vec<String> = choices.iter().map(|(name, _)| format!("`{name}`")).collect();
        self.read(name, &format!("one of {}", names.join(", ")), |value| {
            let found = value.as_str()?;
            choices.iter().find(|(name, _)| *name == found).map(|(_, choice)| *choice)
        })
    }

    pub(super) fn list(&self, name: &'static str) -> &'a [Value] {
        let Some(value) = self.value(name) else { return &[] };
        match value {
            Value::Array(items) => items,
            other => {
                self.wrong(name, format!("found {}; use a list", excerpt(other)));
                &[]
            }
        }
    }

    pub(super) fn texts(&self, name: &'static str) -> Vec<String> {
        let text = |(index, item): (usize, &Value)| {
            let text = item.as_str().filter(|text| !text.is_empty());
            if text.is_none() {
                self.wrong(&format!("{name}[{index}]"), format!("found {}; use a text", excerpt(item)));
            }
            text.map(str::to_owned)
        };
        self.list(name).iter().enumerate().filter_map(text).collect()
    }

    /// An object whose fields have names of the file's own, and texts as values.
    pub(super) fn map(&self, name: &'static str) -> std::collections::BTreeMap<String, String> {
        let Some(value) = self.value(name) else { return Default::default() };
        let Value::Object(map) = value else {
            self.wrong(name, format!("found {}; use an object of texts", excerpt(value)));
            return Default::default();
        };
        let text = |(key, value): (&String, &Value)| match value.as_str() {
            Some(text) => Some((key.clone(), text.to_owned())),
            None => {
                self.wrong(&format!("{name}.{key}"), format!("found {}; use a text, in quotes", excerpt(value)));
                None
            }
        };
        map.iter().filter_map(text).collect()
    }

    /// Reports every field that nobody asked for.
    pub(super) fn finish(self) {
        self.report_unknown();
    }

    /// The same for fields that are borrowed.
    pub(super) fn report_unknown(&self) {
        let asked = self.asked.borrow();
        for name in self.map.into_iter().flat_map(Map::keys) {
            if asked.iter().any(|known| known == name) {
                continue;
            }
            let message = match nearest(&asked, name) {
                Some(near) => format!("unknown field; did you mean `{near}`?"),
                None => {
                    let known: Vec<String> = asked.iter().map(|known| format!("`{known}`")).collect();
                    format!("unknown field; the fields here are {}", known.join(", "))
                }
            };
            self.mistakes.push(self.path(name), message);
        }
    }
}

fn shown(path: &str) -> String {
    if path.is_empty() { "rollout file".to_owned() } else { path.to_owned() }
}

/// A value as a message shows it.
pub(super) fn excerpt(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    // What could move a terminal's cursor, or end the line.
    let harmless = |letter: char| {
        let hidden = letter.is_control();
        hidden.then(|| letter.escape_debug()).into_iter().flatten().chain((!hidden).then_some(letter))
    };
    let short: String = text.chars().take(60).flat_map(harmless).collect();
    if text.chars().count() > 60 { format!("`{short}…`") } else { format!("`{short}`") }
}

/// The name that was meant, as it seems.
pub(super) fn nearest<'a>(known: &[&'a str], name: &str) -> Option<&'a str> {
    known.iter().copied().filter(|known| distance(known, name) <= 2).min_by_key(|known| distance(known, name))
}

/// How many letters have to be put in, taken out or changed.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.chars().enumerate() {
        let mut next = vec![index + 1];
        for (place, second) in other.iter().enumerate() {
            let of = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX - 1);
            let changed = of(&row, place) + usize::from(*second != letter);
            next.push(changed.min(of(&row, place + 1) + 1).min(of(&next, place) + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
