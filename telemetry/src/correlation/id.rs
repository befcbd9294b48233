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
    pub fn parse(value: &[u8]) -> Result<Self, Reason> {
        Self::check(value).map(|()| Self::from_checked(value))
    }

    /// Whether a header's value is an ID: [`CorrelationId::parse`] without the copy.
    pub(super) fn check(value: &[u8]) -> Result<(), Reason> {
        if value.is_empty() {
            return Err(Reason::Empty);
        }
        // A list whose first member could be an ID has its comma here; looking further would make the work depend on the sender.
        if value.iter().take(Self::MAX_LENGTH + 1).any(|byte| *byte == b',') {
            return Err(Reason::Comma);
        }
        if value.len() < Self::MIN_LENGTH {
            return Err(Reason::TooShort);
        }
        if value.len() > Self::MAX_LENGTH {
            return Err(Reason::TooLong);
        }
        if !value.iter().all(|byte| is_id_byte(*byte)) {
            return Err(Reason::Charset);
        }
        Ok(())
    }

    /// Copies text that its maker knows to be well formed; anything past 128 bytes would be cut, never overrun.
    #[inline]
    pub(super) fn from_checked(text: &[u8]) -> Self {
        let length = text.len().min(Self::MAX_LENGTH);
        let mut bytes = [0; Self::MAX_LENGTH];
        bytes[..length].copy_from_slice(&text[..length]);
        Self { length: u8::try_from(length).unwrap_or(0), bytes }
    }

    /// The ID as it goes into the header.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// The same as text.
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

/// Whether a byte may be part of an ID.
const fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'~' | b'+' | b'/' | b'=' | b':' | b'@' | b'-')
}
