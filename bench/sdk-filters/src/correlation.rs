//! The correlation ID: which to take and how a new one looks.

/// Whether a value that a client sent may be the ID: 1 to 128 characters of `[A-Za-z0-9._-]`.
pub fn is_valid(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// A UUID version 4 of random bytes.
pub fn uuid_v4(mut bytes: [u8; 16]) -> String {
    let [.., version, _, variant, _, _, _, _, _, _, _] = &mut bytes;
    *version = *version & 0x0f | 0x40;
    *variant = *variant & 0x3f | 0x80;
    let number = u128::from_be_bytes(bytes);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        number >> 96,
        number >> 80 & 0xffff,
        number >> 64 & 0xffff,
        number >> 48 & 0xffff,
        number & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_short_and_of_few_characters() {
        for id in ["a", "A-z_0.9", &"x".repeat(128)] {
            assert!(is_valid(id), "{id:?}");
        }
        for id in ["", " ", "a b", "a;b", "é", "a\n", &"x".repeat(129)] {
            assert!(!is_valid(id), "{id:?}");
        }
    }

    #[test]
    fn a_uuid_says_its_version_and_variant() {
        assert_eq!(uuid_v4([0; 16]), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid_v4([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        let bytes = std::array::from_fn(|place| u8::try_from(place).unwrap());
        assert_eq!(uuid_v4(bytes), "00010203-0405-4607-8809-0a0b0c0d0e0f");
        assert!(is_valid(&uuid_v4([0; 16])));
    }
}
