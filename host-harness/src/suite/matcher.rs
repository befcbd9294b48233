//! What texts, bodies, headers and numbers must be, and how that is told.

use std::fmt;

use fancy_regex::Regex;

use crate::HeaderMap;

/// What a text must be; every part that is there must hold.
#[derive(Debug, Clone, Default)]
pub(super) struct Text {
    pub(super) equals: Option<Vec<u8>>,
    pub(super) contains: Option<Vec<u8>>,
    pub(super) matches: Option<Regex>,
}

impl Text {
    pub(super) fn exactly(bytes: impl Into<Vec<u8>>) -> Self {
        Self { equals: Some(bytes.into()), ..Self::default() }
    }

    pub(super) fn containing(bytes: impl Into<Vec<u8>>) -> Self {
        Self { contains: Some(bytes.into()), ..Self::default() }
    }

    pub(super) fn fits(&self, found: &[u8]) -> bool {
        self.equals.as_ref().is_none_or(|wanted| wanted == found)
            && self.contains.as_ref().is_none_or(|wanted| holds(found, wanted))
            // An expression that gives up has not matched.
            && self.matches.as_ref().is_none_or(|regex| regex.is_match(&*String::from_utf8_lossy(found)).unwrap_or(false))
    }
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| window == part)
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            self.equals.as_ref().map(|wanted| shown(wanted)),
            self.contains.as_ref().map(|wanted| format!("something with {}", shown(wanted))),
            self.matches.as_ref().map(|regex| format!("a match of /{}/", regex.as_str())),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        f.write_str(if parts.is_empty() { "anything" } else { "" })?;
        f.write_str(&parts.join(" and "))
    }
}

/// What a body must be.
#[derive(Debug, Clone, Default)]
pub(super) struct BodyMatch {
    pub(super) text: Text,
    pub(super) size: Option<Number>,
    /// The same value, however it is written.
    pub(super) json: Option<serde_json::Value>,
}

impl BodyMatch {
    pub(super) fn fits(&self, found: &[u8]) -> bool {
        self.text.fits(found)
            && self.size.is_none_or(|size| size.fits(found.len() as u64))
            && self.json.as_ref().is_none_or(|wanted| {
                serde_json::from_slice::<serde_json::Value>(found).is_ok_and(|found| found == *wanted)
            })
    }
}

impl fmt::Display for BodyMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.text;
        let is_text = text.equals.is_some() || text.contains.is_some() || text.matches.is_some();
        let parts = [
            is_text.then(|| text.to_string()),
            self.size.map(|size| format!("{size} bytes")),
            self.json.as_ref().map(|json| format!("JSON {}", shown(json.to_string().as_bytes()))),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        f.write_str(if parts.is_empty() { "anything" } else { "" })?;
        f.write_str(&parts.join(" and "))
    }
}

/// What the lines of a header must be.
#[derive(Debug, Clone)]
pub(super) struct HeaderMatch {
    pub(super) name: String,
    pub(super) is: HeaderIs,
}

#[derive(Debug, Clone)]
pub(super) enum HeaderIs {
    Present,
    Absent,
    /// These lines in this order, and no others.
    Lines(Vec<Vec<u8>>),
    /// At least one line is so.
    Some(Text),
}

impl HeaderMatch {
    pub(super) fn fits(&self, map: &HeaderMap) -> bool {
        let mut lines = map.get_all(&self.name);
        match &self.is {
            HeaderIs::Present => lines.next().is_some(),
            HeaderIs::Absent => lines.next().is_none(),
            HeaderIs::Lines(wanted) => lines.eq(wanted.iter().map(Vec::as_slice)),
            HeaderIs::Some(text) => lines.any(|line| text.fits(line)),
        }
    }

    /// What was there instead.
    pub(super) fn found(&self, map: &HeaderMap) -> String {
        let lines: Vec<String> = map.get_all(&self.name).map(shown).collect();
        if lines.is_empty() { "no such header".to_owned() } else { lines.join(", ") }
    }
}

impl fmt::Display for HeaderMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.is {
            HeaderIs::Present => f.write_str("any value"),
            HeaderIs::Absent => f.write_str("no such header"),
            HeaderIs::Lines(lines) => {
                let lines: Vec<String> = lines.iter().map(|line| shown(line)).collect();
                f.write_str(&lines.join(", "))
            }
            HeaderIs::Some(text) => text.fmt(f),
        }
    }
}

/// What a number must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number {
    pub(super) least: u64,
    pub(super) most: u64,
}

impl Number {
    pub(super) fn exactly(number: u64) -> Self {
        Self { least: number, most: number }
    }

    pub(super) fn fits(self, found: u64) -> bool {
        (self.least..=self.most).contains(&found)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.least, self.most) {
            (least, most) if least == most => least.fmt(f),
            (0, most) => write!(f, "at most {most}"),
            (least, u64::MAX) => write!(f, "at least {least}"),
            (least, most) => write!(f, "{least} to {most}"),
        }
    }
}

/// Bytes as text on one line, in quotes; of long ones the beginning and the size.
pub(super) fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 400;
    let mut text = String::new();
    let mut rest = bytes.get(..MOST).unwrap_or(bytes);
    // Where the cut is inside a letter, the letter is left out.
    if rest.len() < bytes.len()
        && let Err(error) = std::str::from_utf8(rest)
        && error.error_len().is_none()
    {
        rest = rest.get(..error.valid_up_to()).unwrap_or(rest);
    }
    for chunk in rest.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\\' => text.extend(['\\', c]),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                c if c.is_control() || is_bidi(c) => text.extend(c.escape_unicode()),
                c => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    if bytes.len() > MOST { format!("\"{text}…\" ({} bytes)", bytes.len()) } else { format!("\"{text}\"") }
}

/// Characters that turn the order of what stands around them.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
