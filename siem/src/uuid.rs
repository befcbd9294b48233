//! UUIDs as text.

/// Adds the 36 characters of a UUID, in lower case.
pub(crate) fn write(uuid: [u8; 16], out: &mut String) {
    for (at, byte) in uuid.into_iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        out.extend([byte >> 4, byte & 0xf].map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0')));
    }
}

/// A UUID of version 4 (RFC 9562, section 5.4) from 128 random bits.
pub(crate) fn from_random(high: u64, low: u64) -> [u8; 16] {
    let high = high & !0xf000 | 0x4000;
    let low = low & (u64::MAX >> 2) | 1 << 63;
    (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_uuid_says_its_version_and_variant() {
        let mut text = String::new();
        write(from_random(u64::MAX, u64::MAX), &mut text);
        assert_eq!(text, "ffffffff-ffff-4fff-bfff-ffffffffffff");
        text.clear();
        write(from_random(0, 0), &mut text);
        assert_eq!(text, "00000000-0000-4000-8000-000000000000");
    }
}
