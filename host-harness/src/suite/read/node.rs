//! A value of the file with its place in it, and the book of mistakes.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde_yaml_ng::Value;

use super::Mistake;

/// Where mistakes are written down, and where files are that a suite names.
#[derive(Debug)]
pub(super) struct Book {
    folder: PathBuf,
    mistakes: RefCell<Vec<Mistake>>,
}

impl Book {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), mistakes: RefCell::default() }
    }

    pub(super) fn into_mistakes(self) -> Vec<Mistake> {
        self.mistakes.into_inner()
    }
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node<'a> {
    value: &'a Value,
    path: String,
    book: &'a Book,
}

/// A mapping whose keys are all known.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a> {
    entries: Vec<(String, Node<'a>)>,
    of: Node<'a>,
}

impl<'a> Node<'a> {
    pub(super) fn root(value: &'a Value, book: &'a Book) -> Self {
        Self { value, path: String::new(), book }
    }

    /// The same value under another path.
    pub(super) fn at(&self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self.clone() }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn value(&self) -> &'a Value {
        self.value
    }

    /// Where a file is that the suite names.
    pub(super) fn resolve(&self, file: &str) -> PathBuf {
        self.book.folder.join(file)
    }

    /// Writes a mistake down: what was found, and the cure.
    pub(super) fn mistake(&self, message: impl Into<String>) {
        self.book.mistakes.borrow_mut().push(Mistake { path: self.path.clone(), message: message.into() });
    }

    /// The value is not what belongs here.
    pub(super) fn refuse<T>(&self, expected: &str) -> Option<T> {
        let found = match self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(flag) => flag.to_string(),
            Value::Number(number) => number.to_string(),
            Value::String(text) => quoted(text),
            Value::Sequence(_) => "a list".to_owned(),
            Value::Mapping(_) => "a mapping".to_owned(),
            Value::Tagged(tagged) => format!("the tag `{}`", tagged.tag),
        };
        self.mistake(format!("found {found}; use {expected}"));
        None
    }

    pub(super) fn is_mapping(&self) -> bool {
        self.value.is_mapping()
    }

    pub(super) fn is_list(&self) -> bool {
        self.value.is_sequence()
    }

    pub(super) fn list_is_empty(&self) -> bool {
        self.value.as_sequence().is_some_and(Vec::is_empty)
    }

    /// The text, if it is one.
    pub(super) fn as_text(&self) -> Option<&'a str> {
        self.value.as_str()
    }

    pub(super) fn text(&self) -> Option<String> {
        self.as_text().map_or_else(|| self.refuse("a text"), |text| Some(text.to_owned()))
    }

    /// One of these words; its position.
    pub(super) fn word(&self, words: &[&str]) -> Option<usize> {
        let place = self.as_text().and_then(|text| words.iter().position(|word| *word == text));
        place.map_or_else(|| self.refuse(&either(words)), Some)
    }

    pub(super) fn flag(&self) -> Option<bool> {
        self.value.as_bool().map_or_else(|| self.refuse("`true` or `false`"), Some)
    }

    pub(super) fn whole(&self, range: RangeInclusive<u64>) -> Option<u64> {
        match self.value.as_u64().filter(|number| range.contains(number)) {
            Some(number) => Some(number),
            None if *range.end() == u64::MAX => self.refuse(&format!("a whole number from {}", range.start())),
            None => self.refuse(&format!("a whole number from {} to {}", range.start(), range.end())),
        }
    }

    pub(super) fn list(&self) -> Option<Vec<Self>> {
        let Value::Sequence(items) = self.value else { return self.refuse("a list") };
        let item = |(index, value)| Node { value, path: format!("{}[{index}]", self.path), book: self.book };
        Some(items.iter().enumerate().map(item).collect())
    }

    /// The items of a list, or the one value that stands in place of a list of one.
    pub(super) fn one_or_more(&self) -> Vec<Self> {
        if self.is_list() { self.list().unwrap_or_default() } else { vec![self.clone()] }
    }

    /// A mapping with names of the suite's own.
    pub(super) fn entries(&self) -> Option<Vec<(String, Self)>> {
        let Value::Mapping(mapping) = self.value else { return self.refuse("a mapping") };
        let mut entries = Vec::with_capacity(mapping.len());
        for (key, value) in mapping {
            match name(key) {
                Some(name) => {
                    let path = join(&self.path, &name);
                    entries.push((name, Node { value, path, book: self.book }));
                }
                None => self.mistake("found a key that is not a text; put it in quotes"),
            }
        }
        Some(entries)
    }

    /// A mapping with these fields and no others.
    pub(super) fn fields(&self, known: &[&[&str]]) -> Option<Fields<'a>> {
        let entries = self.entries()?;
        let known = || known.iter().copied().flatten().copied();
        for (name, node) in &entries {
            if !known().any(|known| known == name) {
                node.mistake(match closest(name, known()) {
                    Some(meant) => format!("unknown field; did you mean `{meant}`?"),
                    None => {
                        let names: Vec<String> = known().map(|known| format!("`{known}`")).collect();
                        format!("unknown field; there are {}", names.join(", "))
                    }
                });
            }
        }
        Some(Fields { entries, of: self.clone() })
    }
}

impl<'a> Fields<'a> {
    pub(super) fn get(&self, name: &str) -> Option<Node<'a>> {
        self.entries.iter().find(|(known, _)| known == name).map(|(_, node)| node.clone())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|(known, _)| known == name)
    }

    /// A field that must be there.
    pub(super) fn required(&self, name: &str, what: &str) -> Option<Node<'a>> {
        let field = self.get(name);
        if field.is_none() {
            self.of.at(&join(&self.of.path, name)).mistake(format!("missing; add {what}"));
        }
        field
    }

    /// Of these fields there may be one at most.
    pub(super) fn at_most_one(&self, names: &[&str]) {
        let there: Vec<&str> = names.iter().copied().filter(|name| self.has(name)).collect();
        if let [first, second, ..] = there.as_slice() {
            self.of.mistake(format!("found `{first}` and `{second}`; keep one"));
        }
    }
}

/// Keys that look like numbers are taken as they are written, as far as that can be known.
fn name(key: &Value) -> Option<String> {
    match key {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if number.is_u64() => Some(number.to_string()),
        _ => None,
    }
}

fn join(path: &str, key: &str) -> String {
    let plain = !key.is_empty()
        && key.len() <= 80
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b':'));
    let key = if plain { key.to_owned() } else { quoted(key) };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

/// Text in backticks: shortened, on one line.
pub(super) fn quoted(text: &str) -> String {
    const MOST: usize = 80;
    let mut shown = String::new();
    for c in text.chars().take(MOST) {
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// `` `a`, `b` or `c` ``.
pub(super) fn either(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// The known name that was probably meant.
fn closest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let most = (name.chars().count() / 3).clamp(1, 3);
    known.map(|known| (distance(name, known), known)).filter(|(far, _)| *far <= most).min().map(|(_, known)| known)
}

/// How many letters must be changed, added or taken away.
fn distance(from: &str, to: &str) -> usize {
    // A name of the file may be of any length, those known are short.
    if from.len() > 80 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (line, a) in from.chars().enumerate() {
        let mut corner = line;
        let mut left = line + 1;
        for (above, b) in row.iter_mut().skip(1).zip(to.chars()) {
            let here = (corner + usize::from(a != b)).min(*above + 1).min(left + 1);
            corner = std::mem::replace(above, here);
            left = here;
        }
        if let Some(first) = row.first_mut() {
            *first = line + 1;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}
