//! A suite's file to a [`Suite`], or every mistake in it.

mod case;
mod connection;
mod expect;
mod node;
mod schema;
mod setup;
mod value;

use std::fmt;
use std::path::{Path, PathBuf};

use serde_yaml_ng::Value;

use super::format::{Case, Suite};
use node::{Book, Node};
pub(super) use schema::schema;

/// One mistake in a suite's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The field, like `cases[2].expect.response.status`; empty for the file as a whole.
    pub path: String,
    /// What was found; the cure.
    pub message: String,
}

/// Why a suite cannot be run: every mistake in its file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct SuiteError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong in it; never empty.
    pub mistakes: Vec<Mistake>,
}

impl fmt::Display for SuiteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Mistake { path, message }) in self.mistakes.iter().enumerate() {
            let line = if index == 0 { "" } else { "\n" };
            let colon = if path.is_empty() { "" } else { ": " };
            write!(f, "{line}{}: {path}{colon}{message}", self.file.display())?;
        }
        Ok(())
    }
}

/// The longest file that is read.
const MOST_BYTES: u64 = 16 << 20;
/// Past this many mistakes the rest is not told.
const MOST_MISTAKES: usize = 100;

/// The fields of a suite besides those of [`setup::FIELDS`].
const FIELDS: [&str; 3] = ["name", "shared", "cases"];

/// Reads a file.
pub(super) fn file(path: &Path, module: Option<&Path>) -> Result<Suite, SuiteError> {
    let fail = |message: String| SuiteError {
        file: path.to_owned(),
        mistakes: vec![Mistake { path: String::new(), message }],
    };
    let text = bounded(path, MOST_BYTES).map_err(fail)?;
    let text = String::from_utf8(text).map_err(|_| fail("it is not UTF-8; write it as YAML".to_owned()))?;
    parse(path, &text, module)
}

/// Reads a text that stands in a file of this path.
pub(super) fn parse(path: &Path, text: &str, module: Option<&Path>) -> Result<Suite, SuiteError> {
    let fail = |mistakes| SuiteError { file: path.to_owned(), mistakes };
    let value = yaml(text).map_err(|mistake| fail(vec![mistake]))?;
    let book = Book::new(path.parent().unwrap_or_else(|| Path::new("")));
    let suite = suite(&Node::root(&value, &book), path, module);
    let mut mistakes = book.into_mistakes();
    let more = mistakes.len().saturating_sub(MOST_MISTAKES);
    if more > 0 {
        mistakes.truncate(MOST_MISTAKES);
        mistakes.push(Mistake { path: String::new(), message: format!("and {more} mistakes more") });
    }
    match suite {
        Some(suite) if mistakes.is_empty() => Ok(suite),
        _ => Err(fail(mistakes)),
    }
}

fn yaml(text: &str) -> Result<Value, Mistake> {
    let mut value: Value = serde_yaml_ng::from_str(text).map_err(|error| {
        let message = error.to_string();
        let path =
            error.location().map_or_else(String::new, |at| format!("line {}, column {}", at.line(), at.column()));
        // The place stands at the front already.
        let message = message.split(" at line ").next().unwrap_or_default();
        Mistake { path, message: format!("{message}; write it as YAML") }
    })?;
    value.apply_merge().map_err(|error| Mistake { path: String::new(), message: format!("{error}; mend the `<<`") })?;
    Ok(value)
}

fn suite(node: &Node<'_>, path: &Path, module: Option<&Path>) -> Option<Suite> {
    let fields = node.fields(&[&FIELDS, &setup::FIELDS])?;
    let setup = setup::read(&fields);
    let shared = fields.get("shared").and_then(|node| node.flag()).unwrap_or(false);
    let name = fields.get("name").and_then(|node| node.text());
    let cases = fields.required("cases", "a list of cases")?;
    let list = cases.list()?;
    if list.is_empty() {
        cases.mistake("found no case; add one");
    }
    let mut cases: Vec<Case> = list.iter().filter_map(|node| case::read(node, &setup, shared)).collect();
    modules(node, &mut cases, module);
    for (index, case) in cases.iter().enumerate() {
        if cases.iter().take(index).any(|other| other.name == case.name) {
            node.at(&format!("{}.name", case.path))
                .mistake(format!("found {} a second time; give each case a name of its own", node::quoted(&case.name)));
        }
    }
    let name = name.unwrap_or_else(|| path.display().to_string());
    Some(Suite { name, file: path.to_owned(), shared, cases })
}

/// A module that is given beside the file takes the place of all; each case must have one.
fn modules(suite: &Node<'_>, cases: &mut [Case], given: Option<&Path>) {
    if let Some(given) = given {
        for case in &mut *cases {
            case.setup.module = Some(given.to_owned());
        }
    }
    let mut files: Vec<Option<&Path>> = cases.iter().map(|case| case.setup.module.as_deref()).collect();
    files.sort_unstable();
    files.dedup();
    for file in files {
        match file {
            None => suite.at("module").mistake("missing; add the module's path, or give it beside the suite"),
            Some(file) if !file.is_file() => {
                suite.at("module").mistake(format!("there is no file {}; build it, or mend the path", file.display()));
            }
            Some(_) => {}
        }
    }
}

/// Reads a file that is not longer than `most`.
fn bounded(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
    match read {
        Err(error) => Err(format!("cannot read it: {error}")),
        Ok(_) if bytes.len() as u64 > most => Err(format!("it is longer than {} MiB; make it shorter", most >> 20)),
        Ok(_) => Ok(bytes),
    }
}

#[cfg(test)]
mod tests;
