//! Values of the format: durations, sizes, headers, bodies, and what they must be.

use std::time::Duration;

use base64::Engine as _;
use jiff::SignedDuration;
use serde_yaml_ng::Value;

use super::bounded;
use super::node::{Fields, Node};
use crate::HeaderMap;
use crate::suite::matcher::{BodyMatch, HeaderIs, HeaderMatch, Number, Text};

/// The longest body that a suite may send or expect.
const MOST_BODY: u64 = 64 << 20;
/// The most pieces that a body may come in.
const MOST_PIECES: u64 = 65_536;
/// What time may pass in a case.
const MOST_TIME: Duration = Duration::from_secs(3650 * 24 * 3600);

pub(super) const BODY_FIELDS: [&str; 5] = ["text", "base64", "file", "json", "size"];
pub(super) const FILLED_FIELDS: [&str; 1] = ["fill"];
pub(super) const TEXT_FIELDS: [&str; 3] = ["equals", "contains", "matches"];
pub(super) const PRESENT_FIELDS: [&str; 1] = ["present"];
pub(super) const BODY_MATCH_FIELDS: [&str; 4] = ["json", "size", "file", "base64"];
pub(super) const NUMBER_FIELDS: [&str; 2] = ["at_least", "at_most"];

/// `5s`, `20ms`, `1h 30m`.
pub(super) fn duration(node: &Node<'_>) -> Option<Duration> {
    let read = node.as_text().and_then(|text| Duration::try_from(text.parse::<SignedDuration>().ok()?).ok());
    read.filter(|time| *time <= MOST_TIME).map_or_else(|| node.refuse("a time like `5s` or `20ms`"), Some)
}

/// A number of bytes, or `64KiB`, `1MiB`.
pub(super) fn size(node: &Node<'_>, most: u64) -> Option<u64> {
    let bytes = match node.value() {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => {
            let unit = |unit, factor: u64| {
                text.strip_suffix(unit).and_then(|number| number.trim_end().parse::<u64>().ok()?.checked_mul(factor))
            };
            unit("KiB", 1 << 10).or_else(|| unit("MiB", 1 << 20)).or_else(|| unit("GiB", 1 << 30))
        }
        _ => None,
    };
    bytes.filter(|bytes| *bytes <= most).map_or_else(
        || node.refuse(&format!("a number of bytes, or a size like `64KiB`, of {} MiB at most", most >> 20)),
        Some,
    )
}

/// A text, or a number or flag as it is written.
pub(super) fn scalar(node: &Node<'_>) -> Option<Vec<u8>> {
    match node.value() {
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Bool(flag) => Some(flag.to_string().into_bytes()),
        Value::Number(number) if number.is_u64() || number.is_i64() => Some(number.to_string().into_bytes()),
        Value::Number(_) => node.refuse("quotes around it"),
        Value::Mapping(_) => {
            let fields = node.fields(&[&["base64"]])?;
            base64(&fields.required("base64", "the bytes in Base64")?)
        }
        _ => node.refuse("a text, or `{base64: …}`"),
    }
}

fn base64(node: &Node<'_>) -> Option<Vec<u8>> {
    let text: String = node.text()?.split_ascii_whitespace().collect();
    match base64::engine::general_purpose::STANDARD.decode(text) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            node.mistake(format!("{error}; use Base64 with padding"));
            None
        }
    }
}

/// The content of a file that the suite names.
pub(super) fn file(node: &Node<'_>) -> Option<Vec<u8>> {
    let path = node.resolve(&node.text()?);
    match bounded(&path, MOST_BODY) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            node.mistake(format!("{}: {error}", path.display()));
            None
        }
    }
}

/// A value as JSON.
pub(super) fn json(node: &Node<'_>) -> Option<serde_json::Value> {
    match serde_json::to_value(node.value()) {
        Ok(json) => Some(json),
        Err(error) => {
            node.mistake(format!("{error}; use what JSON can say"));
            None
        }
    }
}

/// Header lines: a name and its value, or its values.
pub(super) fn headers(node: &Node<'_>) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, node) in node.entries().unwrap_or_default() {
        if !is_header_name(&name) {
            node.mistake("it is not a header name; use letters, digits and `-`");
        }
        for line in node.one_or_more() {
            if let Some(value) = scalar(&line) {
                if value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
                    line.mistake("found the end of a line in a header's value; take it out");
                }
                map.add(&name, value);
            }
        }
    }
    map
}

fn is_header_name(name: &str) -> bool {
    let name = name.strip_prefix(':').unwrap_or(name);
    http::HeaderName::from_bytes(name.as_bytes()).is_ok()
}

/// A body: a text, or one of [`BODY_FIELDS`].
pub(super) fn body(node: &Node<'_>) -> Option<Vec<u8>> {
    if !node.is_mapping() {
        return match node.as_text() {
            Some(text) => Some(text.as_bytes().to_vec()),
            None => node.refuse("a text, or a mapping with `text`, `base64`, `file`, `json` or `size`"),
        };
    }
    let fields = node.fields(&[&BODY_FIELDS, &FILLED_FIELDS])?;
    fields.at_most_one(&BODY_FIELDS);
    if let Some(node) = fields.get("size") {
        let size = usize::try_from(size(&node, MOST_BODY)?).ok()?;
        let fill = match fields.get("fill") {
            None => b"x".to_vec(),
            Some(node) => {
                let fill = scalar(&node)?;
                if fill.is_empty() {
                    return node.refuse("one character or more");
                }
                fill
            }
        };
        return Some(fill.iter().copied().cycle().take(size).collect());
    }
    if let Some(node) = fields.get("fill") {
        node.mistake("found without `size`; add it");
    }
    if let Some(node) = fields.get("base64") {
        return base64(&node);
    }
    if let Some(node) = fields.get("file") {
        return file(&node);
    }
    if let Some(node) = fields.get("json") {
        return json(&node).map(|json| json.to_string().into_bytes());
    }
    fields.required("text", "`text`, `base64`, `file`, `json` or `size`").and_then(|node| scalar(&node))
}

/// A body in the pieces that `chunks` or `chunk_size` say, or a list of pieces.
pub(super) fn pieces(fields: &Fields<'_>) -> Vec<Vec<u8>> {
    fields.at_most_one(&["chunks", "chunk_size"]);
    let Some(node) = fields.get("body") else {
        for name in ["chunks", "chunk_size"] {
            if let Some(node) = fields.get(name) {
                node.mistake("found without `body`; add it");
            }
        }
        return Vec::new();
    };
    if node.is_list() {
        for name in ["chunks", "chunk_size"] {
            if let Some(node) = fields.get(name) {
                node.mistake("found beside a list of pieces; keep one");
            }
        }
        let items = node.list().unwrap_or_default();
        if items.len() as u64 > MOST_PIECES {
            node.mistake(format!("found {} pieces; use at most {MOST_PIECES}", items.len()));
            return Vec::new();
        }
        return items.iter().filter_map(body).collect();
    }
    let Some(body) = body(&node).filter(|body| !body.is_empty()) else { return Vec::new() };
    let length = body.len() as u64;
    let each = if let Some(node) = fields.get("chunks") {
        node.whole(1..=MOST_PIECES).map_or(length, |chunks| length.div_ceil(chunks))
    } else if let Some(node) = fields.get("chunk_size") {
        match size(&node, MOST_BODY) {
            Some(each) if each >= 1 && length.div_ceil(each) <= MOST_PIECES => each,
            Some(_) => node.refuse(&format!("a size that makes at most {MOST_PIECES} pieces")).unwrap_or(length),
            None => length,
        }
    } else {
        length
    };
    body.chunks(usize::try_from(each).unwrap_or(usize::MAX)).map(<[u8]>::to_vec).collect()
}

/// A text expectation in which a text alone must be found exactly.
pub(super) fn exact(node: &Node<'_>) -> Option<Text> {
    if node.is_mapping() { text_fields(&node.fields(&[&TEXT_FIELDS])?) } else { scalar(node).map(Text::exactly) }
}

/// A text expectation in which a text alone must be found somewhere.
pub(super) fn part(node: &Node<'_>) -> Option<Text> {
    if node.is_mapping() { text_fields(&node.fields(&[&TEXT_FIELDS])?) } else { scalar(node).map(Text::containing) }
}

pub(super) fn text_fields(fields: &Fields<'_>) -> Option<Text> {
    let bytes = |name| fields.get(name).map(|node| scalar(&node));
    let matches = fields.get("matches").map(|node| {
        let text = node.text()?;
        match fancy_regex::Regex::new(&text) {
            Ok(regex) => Some(regex),
            Err(error) => {
                node.mistake(format!("{error}; mend the expression"));
                None
            }
        }
    });
    Some(Text {
        equals: bytes("equals").map_or(Some(None), |read| read.map(Some))?,
        contains: bytes("contains").map_or(Some(None), |read| read.map(Some))?,
        matches: matches.map_or(Some(None), |read| read.map(Some))?,
    })
}

/// What headers must be.
pub(super) fn header_matches(node: &Node<'_>) -> Vec<HeaderMatch> {
    let entries = node.entries().unwrap_or_default();
    entries.into_iter().filter_map(|(name, node)| header_match(name, &node)).collect()
}

fn header_match(name: String, node: &Node<'_>) -> Option<HeaderMatch> {
    let is = if node.is_mapping() {
        let fields = node.fields(&[&PRESENT_FIELDS, &TEXT_FIELDS])?;
        match fields.get("present") {
            Some(present) => {
                if TEXT_FIELDS.iter().any(|name| fields.has(name)) {
                    present.mistake("found beside what the value must be; keep one");
                }
                if present.flag()? { HeaderIs::Present } else { HeaderIs::Absent }
            }
            None => HeaderIs::Some(text_fields(&fields)?),
        }
    } else if node.value().is_null() {
        return node.refuse("a value, a list of values, or `{present: false}`");
    } else {
        HeaderIs::Lines(node.one_or_more().iter().map(scalar).collect::<Option<_>>()?)
    };
    Some(HeaderMatch { name, is })
}

/// What a body must be.
pub(super) fn body_match(node: &Node<'_>) -> Option<BodyMatch> {
    if !node.is_mapping() {
        return Some(BodyMatch { text: exact(node)?, ..BodyMatch::default() });
    }
    let fields = node.fields(&[&TEXT_FIELDS, &BODY_MATCH_FIELDS])?;
    fields.at_most_one(&["equals", "file", "base64"]);
    let mut text = text_fields(&fields)?;
    if let Some(node) = fields.get("file") {
        text.equals = Some(file(&node)?);
    }
    if let Some(node) = fields.get("base64") {
        text.equals = Some(base64(&node)?);
    }
    let size = match fields.get("size") {
        Some(node) if node.is_mapping() => Some(number(&node)?),
        Some(node) => Some(Number::exactly(size(&node, MOST_BODY)?)),
        None => None,
    };
    let json = match fields.get("json") {
        Some(node) => Some(json(&node)?),
        None => None,
    };
    Some(BodyMatch { text, size, json })
}

/// A number, or bounds.
pub(super) fn number(node: &Node<'_>) -> Option<Number> {
    if !node.is_mapping() {
        return match node.value().as_u64() {
            Some(number) => Some(Number::exactly(number)),
            None => node.refuse("a whole number from 0, or `{at_least: …, at_most: …}`"),
        };
    }
    let fields = node.fields(&[&NUMBER_FIELDS])?;
    let bound = |name, otherwise| fields.get(name).map_or(Some(otherwise), |node| node.whole(0..=u64::MAX));
    let (least, most) = (bound("at_least", 0)?, bound("at_most", u64::MAX)?);
    if least > most {
        node.mistake(format!("found at least {least} and at most {most}; exchange them"));
        return None;
    }
    Some(Number { least, most })
}
