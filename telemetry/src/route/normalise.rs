//! The form in which paths and literals are compared: RFC 3986 section 6.2.2, as far as it cannot change what a path means.
//!
//! `%41` becomes `A` where that is an unreserved character (letters, digits, `-`, `.`, `_`, `~`); every other `%2f` becomes `%2F`; a `%`
//! without two hex digits stays. One pass, so `%2541` stays `%2541`. Duplicate slashes and dot segments stay: the proxy normalises those
//! before the filter when it is told to, and a filter that saw another path than the upstream would lie.

use super::Case;

/// Whether the text begins with `%` and two hex digits.
pub(super) fn is_triplet(text: &[u8]) -> bool {
    matches!(text, [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
}

/// The normal form of a template's literal.
pub(super) fn literal(text: &[u8], case: Case) -> Vec<u8> {
    let mut normal = Vec::with_capacity(text.len());
    each_byte(text, case, |byte| normal.push(byte));
    normal
}

/// Writes the normal form of a path, which is never longer than the path, and gives back what was written.
pub(super) fn path<'a>(text: &[u8], case: Case, to: &'a mut [u8]) -> &'a [u8] {
    let mut length = 0;
    each_byte(text, case, |byte| {
        if let Some(slot) = to.get_mut(length) {
            *slot = byte;
            length += 1;
        }
    });
    to.get(..length).unwrap_or_default()
}

fn each_byte(text: &[u8], case: Case, mut put: impl FnMut(u8)) {
    let mut put = |byte: u8| match case {
        Case::Sensitive => put(byte),
        Case::Insensitive => put(byte.to_ascii_lowercase()),
    };
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = match rest {
            [b'%', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let byte = hex_value(*high) << 4 | hex_value(*low);
                if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                    put(byte);
                } else {
                    put(b'%');
                    put(high.to_ascii_uppercase());
                    put(low.to_ascii_uppercase());
                }
                after
            }
            _ => {
                put(*first);
                after
            }
        };
    }
}

/// The value of a hex digit.
const fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        b'A'..=b'F' => digit - b'A' + 10,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_unreserved_characters_are_decoded() {
        let check = |text: &str, expected: &str| {
            assert_eq!(literal(text.as_bytes(), Case::Sensitive), expected.as_bytes(), "{text}");
        };
        check("%41%7a%30%2D%2e%5F%7E", "Az0-._~");
        check("%2f%2F%3a%20%25%00", "%2F%2F%3A%20%25%00");
        check("%c3%9f", "%C3%9F");
        check("%2541", "%2541");
        check("%%41", "%A");
        check("%4", "%4");
        check("%", "%");
        check("%zz%4g", "%zz%4g");
    }

    #[test]
    fn insensitive_folds_after_decoding() {
        assert_eq!(literal(b"/API/%41%2f", Case::Insensitive), b"/api/a%2f");
    }

    proptest! {
        #[test]
        fn a_path_never_grows_and_both_writers_agree(text in prop::collection::vec(prop_oneof![Just(b'%'), Just(b'4'), Just(b'1'), any::<u8>()], 0..80)) {
            let mut buffer = [0; 80];
            let normal = path(&text, Case::Sensitive, &mut buffer).to_vec();
            prop_assert!(normal.len() <= text.len());
            prop_assert_eq!(literal(&text, Case::Sensitive), normal);
        }
    }
}
