//! Text and numbers of an event, bounded by their type.

use std::fmt;

/// UTF-8 text of at most `MAX` bytes. It may contain anything, line breaks and control characters too: formats escape.
///
/// **Invariant:** never longer than `MAX` bytes; [`Text::new`] is the only constructor.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text<const MAX: usize>(Box<str>);

impl<const MAX: usize> Text<MAX> {
    /// The longest prefix that fits, cut at a character's boundary. Bytes that are not UTF-8 become U+FFFD.
    pub fn new(bytes: impl AsRef<[u8]>) -> Self {
        Self(bounded(bytes.as_ref(), MAX))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<const MAX: usize> fmt::Debug for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

fn bounded(bytes: &[u8], max: usize) -> Box<str> {
    // No more than this is looked at, however long the input is: a character has one byte at least.
    let bytes = bytes.get(..max.saturating_add(4)).unwrap_or(bytes);
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        let replacement = (!chunk.invalid().is_empty()).then_some(char::REPLACEMENT_CHARACTER);
        for c in chunk.valid().chars().chain(replacement) {
            if text.len() + c.len_utf8() > max {
                return text.into_boxed_str();
            }
            text.push(c);
        }
    }
    text.into_boxed_str()
}

/// The longest [`Number`], in bytes.
pub const MAX_NUMBER: usize = 40;

/// A number in JSON's own notation (RFC 8259, section 6), which every format copies as it is.
///
/// **Invariant:** a valid JSON number of at most [`MAX_NUMBER`] bytes; [`Number::parse`] is the only constructor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number(Box<str>);

impl Number {
    /// `None` if this is not a number as JSON writes it, or one of more than two digits in its exponent: readers would make infinity of `1e999`.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() <= MAX_NUMBER && is_number(text)).then(|| Self(text.into()))
    }

    /// The number's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_number(text: &str) -> bool {
    let rest = text.as_bytes();
    let rest = rest.strip_prefix(b"-").unwrap_or(rest);
    let Some(mut rest) = rest.strip_prefix(b"0").or_else(|| digits(rest)) else { return false };
    if let Some(fraction) = rest.strip_prefix(b".") {
        let Some(after) = digits(fraction) else { return false };
        rest = after;
    }
    match rest {
        [] => true,
        [b'e' | b'E', b'+' | b'-', exponent @ ..] | [b'e' | b'E', exponent @ ..] => {
            exponent.len() <= 2 && digits(exponent).is_some_and(<[u8]>::is_empty)
        }
        _ => false,
    }
}

/// What is after the digits, of which there is one at least.
fn digits(text: &[u8]) -> Option<&[u8]> {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 { None } else { text.get(count..) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_cut_at_a_character() {
        assert_eq!(Text::<4>::new("abcdef").as_str(), "abcd");
        assert_eq!(Text::<4>::new("abcé").as_str(), "abc");
        assert_eq!(Text::<4>::new(b"a\xffb").as_str(), "a\u{fffd}");
        assert_eq!(Text::<3>::new("é€").as_str(), "é");
        assert_eq!(Text::<0>::new("a").as_str(), "");
    }

    #[test]
    fn numbers_are_those_of_json() {
        for text in ["0", "-0", "45.5", "1e10", "1E+9", "-12.25e-7", "18446744073709551616"] {
            assert_eq!(Number::parse(text).unwrap().as_str(), text);
        }
        for text in ["", "-", "+1", "01", ".5", "1.", "1e", "1e999", "NaN", "1,5", "1 ", "0x1", "1\n", "٣", "1e+"] {
            assert_eq!(Number::parse(text), None, "{text}");
        }
        assert_eq!(Number::parse(&"1".repeat(MAX_NUMBER + 1)), None);
    }

    proptest! {
        #[test]
        fn text_is_never_longer_than_its_bound(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let whole = String::from_utf8_lossy(&bytes);
            let text = Text::<16>::new(&bytes);
            prop_assert!(text.as_str().len() <= 16);
            if whole.len() <= 16 {
                prop_assert_eq!(text.as_str(), whole);
            }
        }

        #[test]
        fn a_number_is_what_a_json_parser_takes(text in "-?[0-9]{1,2}[.0-9]{0,3}([eE][+-]?[0-9]{0,2})?") {
            prop_assert_eq!(Number::parse(&text).is_some(), serde_json::from_str::<f64>(&text).is_ok());
        }
    }
}
