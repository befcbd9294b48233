//! New IDs, from a seed and a time that the caller provides.

use super::CorrelationId;
use super::traceparent::TraceParent;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Writes `bytes` as lower-case hex; what does not fit is left out.
pub(super) fn write_hex(to: &mut [u8], bytes: &[u8]) {
    for (pair, byte) in to.chunks_exact_mut(2).zip(bytes) {
        if let [high, low] = pair {
            *high = hex_digit(byte >> 4);
            *low = hex_digit(byte & 0x0f);
        }
    }
}

fn hex_digit(nibble: u8) -> u8 {
    HEX.get(usize::from(nibble)).copied().unwrap_or(b'0')
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
    pub fn uuid_v7(seed: [u8; 16], unix_ms: u64) -> Self {
        let mut value = u128::from_be_bytes(seed);
        value &= (1 << 80) - 1;
        value |= u128::from(unix_ms & 0xffff_ffff_ffff) << 80;
        Self::uuid(value, 7)
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
    #[must_use]
    pub fn uuid_v4(seed: [u8; 16]) -> Self {
        Self::uuid(u128::from_be_bytes(seed), 4)
    }

    /// The trace-id of an incoming `traceparent`, 32 hex digits.
    #[must_use]
    pub fn from_trace_id(trace: &TraceParent) -> Self {
        Self::from_checked(trace.trace_id())
    }

    /// Sets the version and the variant (RFC 9562 section 4) and writes the canonical text.
    fn uuid(value: u128, version: u8) -> Self {
        let value = value & !(0xf << 76) | u128::from(version) << 76;
        let value = value & !(0b11 << 62) | 0b10 << 62;
        let mut hex = [0; 32];
        write_hex(&mut hex, &value.to_be_bytes());
        let mut text = [b'-'; 36];
        let mut from = hex.iter();
        for (position, to) in text.iter_mut().enumerate() {
            if !matches!(position, 8 | 13 | 18 | 23) {
                *to = from.next().copied().unwrap_or(b'0');
            }
        }
        Self::from_checked(&text)
    }
}
