//! A correlation ID, held inline: no heap on the request path.

use std::fmt;

use super::Reason;

/// A correlation ID: 8 to 128 bytes out of `A-Z a-z 0-9 . _ ~ + / = : @ -`.
///
/// **Invariant:** the text is ASCII of that set and length, whichever constructor made it. So it needs no escaping in a header, a log line or JSON.
#[derive(Clone)]
pub struct CorrelationId {
    length: u8,
    bytes: [u8; CorrelationId::MAX_LENGTH],
}

impl CorrelationId {
    /// The shortest ID that is kept.
    pub const MIN_LENGTH: usize = 8;
    /// The longest ID that is kept.
    pub const MAX_LENGTH: usize = 128;

    /// Reads an ID from the value of a header that has one line.
    ///
    /// # Errors
    /// Why the value is not an ID; the first of `empty`, `comma`, `too_short`, `too_long` and `charset` that applies.
    #[inline]
    pub fn parse(value: &[u8]) -> Result<Self, Reason> {
        Self::check(value).map(|()| Self::from_checked(value))
    }

    /// Whether a header's value is an ID: [`CorrelationId::parse`] without the copy.
    #[inline]
    pub(super) fn check(value: &[u8]) -> Result<(), Reason> {
        // A list whose first member could be an ID has its comma here; looking further would make the work depend on the sender.
        let looked_at = value.get(..=Self::MAX_LENGTH).unwrap_or(value);
        let found = looked_at.iter().fold(0, |found, byte| found | CLASSES.get(usize::from(*byte)).unwrap_or(&FOREIGN));
        if value.is_empty() {
            Err(Reason::Empty)
        } else if found & COMMA != 0 {
            Err(Reason::Comma)
        } else if value.len() < Self::MIN_LENGTH {
            Err(Reason::TooShort)
        } else if value.len() > Self::MAX_LENGTH {
            Err(Reason::TooLong)
        } else if found != 0 {
            Err(Reason::Charset)
        } else {
            Ok(())
        }
    }

    /// Copies text that its maker knows to be well formed; anything past 128 bytes would be cut, never overrun.
    #[inline]
    pub(crate) fn from_checked(text: &[u8]) -> Self {
        let text = text.get(..Self::MAX_LENGTH).unwrap_or(text);
        let mut bytes = [0; Self::MAX_LENGTH];
        if let Some(room) = bytes.get_mut(..text.len()) {
            room.copy_from_slice(text);
        }
        Self { length: u8::try_from(text.len()).unwrap_or(0), bytes }
    }

    /// The ID as it goes into the header.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// The same as text.
    #[inline]
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl PartialEq for CorrelationId {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for CorrelationId {}

impl fmt::Debug for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CorrelationId").field(&self.as_str()).finish()
    }
}

impl fmt::Display for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A byte that separates the members of a list.
const COMMA: u8 = 1;
/// Another byte that no ID has.
const FOREIGN: u8 = 2;

/// What each byte is to an ID: 0 for one that it may have.
#[allow(clippy::indexing_slicing, reason = "the compiler makes the table, and would say so")]
const CLASSES: [u8; 256] = {
    let mut classes = [FOREIGN; 256];
    let mut byte = 0;
    while byte < 128_u8 {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'~' | b'+' | b'/' | b'=' | b':' | b'@' | b'-')
        {
            classes[byte as usize] = 0;
        }
        byte += 1;
    }
    classes[b',' as usize] = COMMA;
    classes
};
