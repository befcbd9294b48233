//! Where the parts of a YAML or JSON text are.

use std::ops::Range;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

/// The deepest nesting; no configuration has more than five levels.
const MAX_DEPTH: usize = 64;

/// A value in a text.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) bytes: Range<usize>,
    pub(super) column: usize,
    /// Written with brackets or braces.
    pub(super) flow: bool,
    pub(super) what: What,
    /// Where the last thing in it ends: the end of a block list itself may be past comments that follow it.
    last: usize,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Nothing,
    Scalar(String),
    List(Vec<Part>),
    Map(Vec<(Part, Part)>),
}

impl Part {
    pub(super) fn end(&self) -> usize {
        if self.flow { self.bytes.end } else { self.last }
    }

    pub(super) fn items(&self) -> &[Part] {
        match &self.what {
            What::List(items) => items,
            What::Nothing | What::Scalar(_) | What::Map(_) => &[],
        }
    }

    pub(super) fn entry(&self, key: &str) -> Option<(&Part, &Part)> {
        let What::Map(entries) = &self.what else { return None };
        let named = |part: &Part| matches!(&part.what, What::Scalar(text) if text == key);
        entries.iter().find(|(name, _)| named(name)).map(|(name, value)| (name, value))
    }

    pub(super) fn get(&self, key: &str) -> Option<&Part> {
        self.entry(key).map(|(_, value)| value)
    }

    /// The column of the first key.
    pub(super) fn first_column(&self) -> Option<usize> {
        match &self.what {
            What::Map(entries) => entries.first().map(|(key, _)| key.column),
            What::Nothing | What::Scalar(_) | What::List(_) => None,
        }
    }
}

/// Reads where everything is; `None` for a text without a value.
pub(super) fn read(text: &str) -> Result<Option<Part>, String> {
    // The parser counts characters.
    let offsets: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let at = |marker: &Marker| offsets.get(marker.index()).copied().unwrap_or(text.len());
    let mut open: Vec<(Part, Option<Part>)> = Vec::new();
    let mut root = None;
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| format!("line {}: {}", error.marker().line(), error.info()))?;
        let bytes = at(&span.start)..at(&span.end);
        let part =
            |what: What| Part { bytes: bytes.clone(), column: span.start.col(), flow: false, what, last: bytes.end };
        let complete = match event {
            Event::Scalar(value, style, _, _) => {
                let nothing = style == ScalarStyle::Plain && matches!(&*value, "" | "~" | "null");
                let what = if nothing { What::Nothing } else { What::Scalar(value.into_owned()) };
                let mut part = part(what);
                // A block scalar ends where the next line begins.
                let trimmed = text.get(part.bytes.clone()).map_or(0, |source| source.trim_end().len());
                part.last = part.bytes.start + trimmed;
                part
            }
            Event::Alias(_) => part(What::Scalar(String::new())),
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                if open.len() >= MAX_DEPTH {
                    return Err("nested more than 64 deep".to_owned());
                }
                let list = matches!(event, Event::SequenceStart(..));
                let what = if list { What::List(Vec::new()) } else { What::Map(Vec::new()) };
                let mut part = part(what);
                part.last = part.bytes.start;
                open.push((part, None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some((mut part, _)) = open.pop() else { continue };
                // The end of a block is no text; that of a flow is its bracket, perhaps with what follows on the line.
                part.flow = text.get(bytes.clone()).is_some_and(|end| end.starts_with([']', '}']));
                part.bytes.end = if part.flow { bytes.start + 1 } else { part.last };
                part
            }
            Event::StreamEnd => break,
            Event::DocumentEnd => {
                // What would be appended would be a document of its own.
                let rest = text.get(bytes.start..).unwrap_or_default();
                if rest.starts_with("...") || rest.starts_with("---") {
                    return Err("the text has `...` or a second document; leave that out".to_owned());
                }
                continue;
            }
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => continue,
        };
        let end = complete.end();
        match open.last_mut() {
            None => root = Some(complete),
            Some((parent, key)) => {
                parent.last = parent.last.max(end);
                match (&mut parent.what, key.take()) {
                    (What::List(items), _) => items.push(complete),
                    (What::Map(entries), Some(name)) => entries.push((name, complete)),
                    (What::Map(_), None) => *key = Some(complete),
                    (What::Nothing | What::Scalar(_), _) => {}
                }
            }
        }
    }
    Ok(root.filter(|root| !matches!(root.what, What::Nothing)))
}
