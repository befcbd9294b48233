//! Django's list of URLs, as `manage.py show_urls` of django-extensions prints it in any of its formats, or one URL a line.
//!
//! The list has no methods, so its routes are for any. It has lost what the regular expressions of groups were, and with them what a group can
//! match: a group is one segment, but for those that are known to take the rest of a path.

mod pattern;

use std::rc::Rc;

use super::node::{Node, Reader};
use super::template::{self, short};
use super::{Description, Kind, Operation};

/// The most lines that are read.
const MAX_LINES: usize = 100_000;

/// One entry of the list.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    url: String,
    view: String,
    name: String,
}

/// Whether a text looks like a list of URLs.
pub(super) fn is_list(bytes: &[u8]) -> bool {
    let start = String::from_utf8_lossy(bytes.get(..4_096).unwrap_or(bytes)).into_owned();
    let start = without_colours(&start);
    // Whatever a project prints while it starts may come before the list.
    start.lines().take(40).any(is_url)
        || is_header(start.lines().find(|line| !line.trim().is_empty()).unwrap_or_default())
}

/// Whether a document is the list in JSON.
pub(super) fn is_json_list(root: &Node) -> bool {
    root.items().first().is_some_and(|first| first.word_at("url").is_some())
}

fn is_url(line: &str) -> bool {
    line.starts_with(['/', '^'])
}

fn is_header(line: &str) -> bool {
    line.split('|').map(str::trim).take(3).eq(["URL", "Module", "Name"])
}

/// Reads a list.
///
/// # Errors
/// That the text has no URL in it.
pub fn read(bytes: &[u8]) -> Result<Description, String> {
    if bytes.trim_ascii_start().starts_with(b"[") {
        let root = Reader::new().read(bytes).map_err(|error| error.to_string())?;
        return from_json(&root);
    }
    let text = without_colours(&String::from_utf8_lossy(bytes));
    let mut out = Description::new(Kind::Django);
    let entries = entries(&text, &mut out);
    finish(entries, out)
}

/// The same from a document that was read already.
pub(super) fn from_json(root: &Rc<Node>) -> Result<Description, String> {
    let mut out = Description::new(Kind::Django);
    let mut entries = Vec::new();
    for (number, item) in root.items().iter().enumerate() {
        let word = |key: &str| item.word_at(key).unwrap_or_default().to_owned();
        match item.word_at("url") {
            Some(url) if entries.len() < MAX_LINES => {
                entries.push(Entry { url: url.to_owned(), view: word("module"), name: word("name") });
            }
            Some(_) => out.left_out.push(&format!("entry {}", number + 1), "past the 100,000 that are read"),
            None => out.left_out.push(&format!("entry {}", number + 1), "it has no `url`"),
        }
    }
    finish(entries, out)
}

fn finish(entries: Vec<Entry>, mut out: Description) -> Result<Description, String> {
    if entries.is_empty() {
        return Err("no URL in it; give what `manage.py show_urls` prints".to_owned());
    }
    for entry in entries {
        out.read += 1;
        let place = short(&entry.url);
        let segments = match template::too_long(&entry.url) {
            Some(problem) => Err(problem),
            None => pattern::segments(&entry.url, &entry.view),
        };
        match segments {
            Err(problem) => out.left_out.push(&place, &problem),
            Ok((segments, mut notes)) => {
                let converted = template::from_segments(segments);
                notes.extend(converted.changes);
                for note in notes {
                    out.changed.push(&place, &note);
                }
                let name = Some(entry.name).filter(|name| !name.is_empty());
                out.unnamed += u64::from(name.is_none());
                out.operations.push(Operation { method: None, template: converted.template, name, place });
            }
        }
    }
    Ok(out)
}

/// The entries of a text, in whichever format it is.
fn entries(text: &str, out: &mut Description) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let rows: Vec<&str> = text.lines().filter(|line| is_url(line)).collect();
    let table = text.lines().take(100).any(is_header);
    let dense = rows.iter().any(|row| row.contains('\t'));
    let names_at = rows.iter().filter_map(|row| gaps(row).get(1).map(|(_, start)| *start)).min();
    for (number, line) in text.lines().enumerate() {
        let detail = |label: &str| line.trim_start().strip_prefix(label).map(|value| value.trim().to_owned());
        if entries.len() >= MAX_LINES {
            out.left_out.push(&format!("line {}", number + 1), "past the 100,000 URLs that are read; so is the rest");
            break;
        }
        if is_url(line) {
            let cells: Vec<&str> = if table {
                line.split(" | ").collect()
            } else if dense {
                line.split('\t').collect()
            } else {
                aligned(line, names_at)
            };
            let cell = |index: usize| cells.get(index).map_or("", |cell| cell.trim()).to_owned();
            entries.push(Entry { url: cell(0), view: cell(1), name: cell(2) });
        } else if let Some(view) = detail("Controller:") {
            entries.last_mut().into_iter().for_each(|entry| entry.view.clone_from(&view));
        } else if let Some(name) = detail("URL Name:") {
            entries.last_mut().into_iter().for_each(|entry| entry.name.clone_from(&name));
        } else if !(line.trim().is_empty()
            || detail("Decorators:").is_some()
            || is_header(line)
            || line.chars().all(|found| matches!(found, '-' | '+')))
        {
            out.left_out.push(&format!("line {}", number + 1), &format!("`{}` is no URL", short(line)));
        }
    }
    entries
}

/// Where a row has three blanks or more, which is what stands between the columns of the aligned format: from, and up to.
fn gaps(row: &str) -> Vec<(usize, usize)> {
    let mut gaps = Vec::new();
    let mut start = None;
    for (at, found) in row.char_indices() {
        match (found == ' ', start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                if at - from >= 3 {
                    gaps.push((from, at));
                }
                start = None;
            }
            _ => {}
        }
    }
    gaps
}

/// The cells of a row of the aligned format. An entry without a name has only blanks there, so what follows the view is a name only where
/// the column of names begins.
fn aligned(row: &str, names_at: Option<usize>) -> Vec<&str> {
    let gaps = gaps(row);
    let Some((url_end, view_start)) = gaps.first().copied() else { return vec![row] };
    let rest = row.get(view_start..).unwrap_or_default();
    let (view, name) = match gaps.get(1) {
        Some((view_end, name_start)) => {
            let name_end = gaps.get(2).map_or(row.len(), |(end, _)| *end);
            let name = row.get(*name_start..name_end).filter(|_| Some(*name_start) == names_at);
            (row.get(view_start..*view_end).unwrap_or_default(), name.unwrap_or_default())
        }
        None => (rest, ""),
    };
    vec![row.get(..url_end).unwrap_or_default(), view, name]
}

/// The text without the sequences that colour a terminal.
fn without_colours(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        out.push_str(before);
        rest = after
            .find(|found: char| found.is_ascii_alphabetic())
            .and_then(|end| after.get(end + 1..))
            .unwrap_or_default();
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests;
