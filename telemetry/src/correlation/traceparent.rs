//! W3C Trace Context: the `traceparent` header, by the full rules of <https://www.w3.org/TR/trace-context/> section 3.2.
//!
//! - `version "-" trace-id "-" parent-id "-" trace-flags`: 2, 32, 16 and 2 lower-case hex digits; an upper-case digit makes it invalid
//! - version `ff` is invalid
//! - an all-zero trace-id or parent-id is invalid
//! - version `00` is exactly 55 bytes long
//! - a higher version may go on after 55 bytes, with `-`; what follows is not interpreted
//! - more than one header line is invalid

use std::fmt;

use super::Header;
use super::generate::write_hex;

/// A valid `traceparent`: its first 55 bytes, which are all that this specification gives a meaning to.
///
/// **Invariant:** lower-case hex fields joined by `-`, trace-id and parent-id not all zero, version not `ff`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    text: [u8; TraceParent::LENGTH],
}

impl TraceParent {
    /// The length of a version `00` header, and of the part of a later one that is understood.
    pub const LENGTH: usize = 55;

    /// Reads the header. `None` where it is absent or invalid, which the specification treats alike: a new trace may be started.
    ///
    /// ```
    /// use telemetry::correlation::{Header, traceparent::TraceParent};
    ///
    /// let header = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    /// let trace = TraceParent::parse(Header::One(header)).unwrap();
    /// assert_eq!(trace.trace_id(), b"4bf92f3577b34da6a3ce929d0e0e4736");
    /// assert!(trace.sampled());
    /// ```
    #[inline]
    #[must_use]
    pub fn parse(header: Header<'_>) -> Option<Self> {
        let Header::One(value) = header else { return None };
        let (text, rest) = value.split_first_chunk::<{ Self::LENGTH }>()?;
        let well_formed = text.iter().enumerate().all(|(position, byte)| match position {
            2 | 35 | 52 => *byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        });
        if !well_formed {
            return None;
        }
        let trace = Self { text: *text };
        let version_allows = match trace.version() {
            b"00" => rest.is_empty(),
            b"ff" => false,
            _ => rest.first().is_none_or(|byte| *byte == b'-'),
        };
        let zero = |field: &[u8]| field.iter().all(|byte| *byte == b'0');
        (version_allows && !zero(trace.trace_id()) && !zero(trace.parent_id())).then_some(trace)
    }

    /// A new trace, not sampled, version `00`. The trace-id is the seed; the parent-id is drawn from it.
    #[inline]
    #[must_use]
    pub fn start(seed: [u8; 16]) -> Self {
        let trace_id = u128::from_be_bytes(seed).max(1);
        let parent_id = mix(trace_id).max(1);
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write_hex(text.get_mut(3..35).unwrap_or_default(), &trace_id.to_be_bytes());
        write_hex(text.get_mut(36..52).unwrap_or_default(), &parent_id.to_be_bytes());
        Self { text }
    }

    /// The version, two hex digits.
    #[inline]
    #[must_use]
    pub fn version(&self) -> &[u8] {
        self.field(0, 2)
    }

    /// The trace-id, 32 hex digits.
    #[inline]
    #[must_use]
    pub fn trace_id(&self) -> &[u8] {
        self.field(3, 35)
    }

    /// The parent-id (span-id), 16 hex digits.
    #[inline]
    #[must_use]
    pub fn parent_id(&self) -> &[u8] {
        self.field(36, 52)
    }

    /// Whether the sender recorded the trace: bit 0 of the flags.
    #[inline]
    #[must_use]
    pub fn sampled(&self) -> bool {
        // An odd hex digit: `1 3 5 7 9` have odd ASCII codes, `b d f` even ones.
        self.text.last().is_some_and(|digit| matches!(digit, b'1' | b'3' | b'5' | b'7' | b'9' | b'b' | b'd' | b'f'))
    }

    /// The 55 bytes.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    #[inline]
    fn field(&self, from: usize, to: usize) -> &[u8] {
        self.text.get(from..to).unwrap_or_default()
    }
}

impl fmt::Debug for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceParent({})", self.text.escape_ascii())
    }
}

/// The finaliser of SplitMix64 over both halves: 64 bits that look unrelated to the trace-id, without asking for more randomness.
#[inline]
fn mix(value: u128) -> u64 {
    let bytes = value.to_be_bytes();
    let (high, low) = bytes.split_at(8);
    let word = |half: &[u8]| half.iter().fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
    let mut z = word(high).wrapping_add(word(low).rotate_left(32)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
