//! New IDs, from a seed and a time that the caller provides.

use super::CorrelationId;
use super::traceparent::TraceParent;

/// Writes `bytes`, four at a time, as lower-case hex; what does not fit is left out.
#[inline]
pub(super) fn write_hex(to: &mut [u8], bytes: &[u8]) {
    for (to, from) in to.as_chunks_mut().0.iter_mut().zip(bytes.as_chunks().0) {
        *to = hex(*from);
    }
}

/// Four bytes as lower-case hex, all digits at once: a byte of the word for each. Words are little-endian because WebAssembly is, and has no
/// instruction that turns the bytes of a word around.
#[inline]
fn hex(bytes: [u8; 4]) -> [u8; 8] {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let mut word = u64::from(u32::from_le_bytes(bytes));
    word = (word | word << 16) & 0x0000_ffff_0000_ffff;
    word = (word | word << 8) & 0x00ff_00ff_00ff_00ff;
    let digits = (word >> 4 | word << 8) & 0x0f0f_0f0f_0f0f_0f0f;
    let letters = (digits + 6 * EACH) >> 4 & EACH;
    (digits + u64::from(b'0') * EACH + u64::from(b'a' - b'9' - 1) * letters).to_le_bytes()
}

impl CorrelationId {
    /// A UUID of version 7 (RFC 9562 section 5.7): 48 bits of `unix_ms`, then 74 bits of the seed.
    ///
    /// ```
    /// use telemetry::correlation::CorrelationId;
    ///
    /// // The example of RFC 9562, appendix A.6.
    /// let seed = [0, 0, 0, 0, 0, 0, 0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f];
    /// assert_eq!(CorrelationId::uuid_v7(seed, 0x017f_22e2_79b0).as_str(), "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    /// ```
    #[must_use]
    #[inline]
    pub fn uuid_v7(mut seed: [u8; 16], unix_ms: u64) -> Self {
        let [_, _, time @ ..] = unix_ms.to_be_bytes();
        if let Some(first) = seed.first_chunk_mut() {
            *first = time;
        }
        Self::uuid(seed, 7)
    }

    /// A UUID of version 4 (RFC 9562 section 5.4): 122 bits of the seed.
    ///
    /// ```
    /// use telemetry::correlation::CorrelationId;
    ///
    /// // The example of RFC 9562, appendix A.3.
    /// let seed = 0x9191_08f7_52d1_0320_1bac_f847_db41_48a8_u128.to_be_bytes();
    /// assert_eq!(CorrelationId::uuid_v4(seed).as_str(), "919108f7-52d1-4320-9bac-f847db4148a8");
    /// ```
    #[inline]
    #[must_use]
    pub fn uuid_v4(seed: [u8; 16]) -> Self {
        Self::uuid(seed, 4)
    }

    /// The trace-id of an incoming `traceparent`, 32 hex digits.
    #[inline]
    #[must_use]
    pub fn from_trace_id(trace: &TraceParent) -> Self {
        Self::from_checked(trace.trace_id())
    }

    /// Sets the version and the variant (RFC 9562 section 4) and writes the canonical text.
    #[inline]
    fn uuid(mut bytes: [u8; 16], version: u8) -> Self {
        bytes[6] = version << 4 | bytes[6] & 0x0f;
        bytes[8] = 0b1000_0000 | bytes[8] & 0b0011_1111;
        let mut digits = [[0; 8]; 4];
        write_hex(digits.as_flattened_mut(), &bytes);
        let [first, second, third, fourth] = &digits;
        let mut text = [b'-'; 36];
        text[..8].copy_from_slice(first);
        text[9..13].copy_from_slice(&second[..4]);
        text[14..18].copy_from_slice(&second[4..]);
        text[19..23].copy_from_slice(&third[..4]);
        text[24..28].copy_from_slice(&third[4..]);
        text[28..].copy_from_slice(fourth);
        Self::from_checked(&text)
    }
}
