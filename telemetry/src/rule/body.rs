//! The body of a request, read for facts as it passes.

use crate::json::{Document, Reader, Value};

use super::Rules;

/// What came of reading a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BodyOutcome {
    /// It is one JSON text, and the values are known.
    Complete,
    /// It ended before the JSON text did, or never came.
    Incomplete,
    /// It is no JSON text.
    Malformed,
    /// It is nested deeper than is looked at.
    TooDeep,
    /// It is longer than is read.
    TooLarge,
    /// It is compressed, and a filter that would unpack it would pay for every request.
    Compressed,
}

impl BodyOutcome {
    /// Each of them, in the order of their declaration.
    pub const ALL: [Self; 6] =
        [Self::Complete, Self::Incomplete, Self::Malformed, Self::TooDeep, Self::TooLarge, Self::Compressed];

    /// The value of the label `outcome`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Incomplete => "incomplete",
            Self::Malformed => "malformed",
            Self::TooDeep => "too_deep",
            Self::TooLarge => "too_large",
            Self::Compressed => "compressed",
        }
    }
}

/// The reading of one body. It keeps nothing but the values at the declared pointers.
#[derive(Debug, Default)]
pub struct Body {
    reader: Reader,
    read: usize,
    /// Why nothing more is read.
    stopped: Option<BodyOutcome>,
}

impl Body {
    /// Begins with another body, whose request has this `content-encoding`.
    #[inline]
    pub fn begin(&mut self, rules: &Rules, encoding: Option<&[u8]>) {
        self.reader.reset(rules.pointers());
        self.read = 0;
        let is_plain = encoding.is_none_or(|encoding| encoding.trim_ascii().eq_ignore_ascii_case(b"identity"));
        self.stopped = (!is_plain).then_some(BodyOutcome::Compressed);
    }

    /// How many more bytes it wants; 0 when it has seen enough.
    #[inline]
    #[must_use]
    pub fn wants(&self, rules: &Rules) -> usize {
        // One byte past the limit tells that there is more.
        if self.stopped.is_some() { 0 } else { (rules.max_body() + 1).saturating_sub(self.read) }
    }

    /// Reads a piece.
    #[inline]
    pub fn feed(&mut self, rules: &Rules, piece: &[u8]) {
        if self.stopped.is_some() {
            return;
        }
        self.read = self.read.saturating_add(piece.len());
        if self.read > rules.max_body() {
            self.stopped = Some(BodyOutcome::TooLarge);
            return;
        }
        self.reader.feed(rules.pointers(), piece);
    }

    /// What came of it.
    #[inline]
    pub fn finish(&mut self) -> BodyOutcome {
        let outcome = self.stopped.unwrap_or_else(|| match self.reader.finish() {
            Document::Complete => BodyOutcome::Complete,
            Document::Incomplete => BodyOutcome::Incomplete,
            Document::Malformed => BodyOutcome::Malformed,
            Document::TooDeep => BodyOutcome::TooDeep,
        });
        self.stopped = Some(outcome);
        outcome
    }

    /// The text of the value at a pointer, of a body that is complete: of an array or object how many members it has.
    #[inline]
    pub(super) fn value(&self, rules: &Rules, pointer: usize, to: &mut Vec<u8>) -> bool {
        if self.stopped != Some(BodyOutcome::Complete) {
            return false;
        }
        match self.reader.value(rules.pointers(), pointer) {
            Some(Value::Text(text) | Value::Number(text)) => to.extend_from_slice(text.as_bytes()),
            Some(Value::Bool(value)) => to.extend_from_slice(if value { b"true" } else { b"false" }),
            Some(Value::Items(count)) => to.extend_from_slice(count.to_string().as_bytes()),
            Some(Value::Null | Value::TooLong) | None => return false,
        }
        true
    }
}
