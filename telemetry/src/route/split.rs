//! From a request target to the segments of its path, in one pass and within fixed bounds.

use super::{MAX_PATH, MAX_SEGMENTS};

/// Room for where the segments of any path begin, one place past the last segment, and one for a slash that is only imagined. It has to be
/// zeroed, which costs as much as a search of a few segments, so most paths have [`ROOM_FOR_FEW`].
pub(super) const ROOM: [u16; MAX_SEGMENTS + 2] = [0; _];
/// The same for the paths that most APIs have.
pub(super) const ROOM_FOR_FEW: [u16; 16] = [0; _];

/// Where the segments of a path begin.
pub(super) struct Split<'a> {
    /// Segment `i` is `path[starts[i]..starts[i + 1] - 1]`.
    starts: &'a [u16],
    /// How many segments there are; at least one.
    pub(super) segments: usize,
    /// Where the path ends: before `?` or `#`.
    pub(super) length: usize,
    /// Whether the path has a `%`.
    pub(super) percent: bool,
}

/// Why a path was not split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsplit {
    /// It has more than [`MAX_PATH`] bytes.
    TooLong,
    /// It has more segments than there is room for.
    TooMany,
}

const SLASH: u64 = b'/' as u64;
const QUERY: u64 = b'?' as u64;
const FRAGMENT: u64 = b'#' as u64;
const PERCENT: u64 = b'%' as u64;

const LANES: u64 = 0x0101_0101_0101_0101;

/// Marks, with its highest bit, each byte of `word` that is zero. Exact for every byte.
#[inline]
const fn zero_bytes(word: u64) -> u64 {
    let low = 0x7f * LANES;
    !(((word & low) + low) | word | low)
}

/// Marks the bytes at which the scan has to look: `/`, `?`, `#` and `%`; `!`, `'` and a few more as well, which costs less than telling them apart.
#[inline]
pub(super) const fn marks(word: u64) -> u64 {
    // `/` is 0x2f and `?` is 0x3f; `#` is 0x23 and `%` is 0x25.
    let slash = zero_bytes((word | (0x10 * LANES)) ^ (0x3f * LANES));
    let other = zero_bytes((word & !(0x06 * LANES)) ^ (0x21 * LANES));
    slash | other
}

/// Whether a byte ends a segment.
#[inline]
pub(super) const fn ends_segment(byte: u64) -> bool {
    matches!(byte, SLASH | QUERY | FRAGMENT)
}

/// A scan over a path.
struct Scan<'a> {
    starts: &'a mut [u16],
    segments: usize,
    length: usize,
    percent: bool,
}

impl<'a> Split<'a> {
    /// Splits what begins with `/`; nothing past its bounds is looked at.
    #[inline]
    pub(super) fn new(target: &[u8], room: &'a mut [u16]) -> Result<Self, Unsplit> {
        let window = target.get(..MAX_PATH + 1).unwrap_or(target);
        let (words, tail) = window.as_chunks::<8>();
        let mut scan = Scan { starts: room, segments: 0, length: window.len(), percent: false };
        let mut base = 0;
        'scan: {
            for word in words {
                if scan.word(u64::from_le_bytes(*word), base)? {
                    break 'scan;
                }
                base += 8;
            }
            if !tail.is_empty() {
                // A NUL marks nothing, so the missing bytes of the last word are harmless.
                let word = match window.last_chunk() {
                    Some(bytes) => u64::from_le_bytes(*bytes) >> (64 - 8 * tail.len()),
                    None => tail.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
                };
                scan.word(word, base)?;
            }
        }
        let Scan { starts, segments, length, percent } = scan;
        let end = u16::try_from(length + 1).ok().filter(|_| length <= MAX_PATH).ok_or(Unsplit::TooLong)?;
        let [last, imagined] = starts.get_mut(segments..segments + 2).ok_or(Unsplit::TooMany)? else {
            return Err(Unsplit::TooMany);
        };
        (*last, *imagined) = (end, end + 1);
        Ok(Self { starts, segments, length, percent })
    }

    /// Where segment `index` begins and ends.
    #[inline]
    pub(super) fn range(&self, index: usize) -> (usize, usize) {
        match self.starts.get(index..index + 2) {
            Some([start, next]) => (usize::from(*start), usize::from(*next) - 1),
            _ => (0, 0),
        }
    }

    /// Whether any text follows where segment `index` begins.
    #[inline]
    pub(super) fn has_text_from(&self, index: usize) -> bool {
        self.range(index).0 < self.length
    }

    /// Whether the path has another form, with or without a slash at its end: every path but the root.
    #[inline]
    pub(super) fn has_other_form(&self) -> bool {
        self.length > 1
    }
}

impl Scan<'_> {
    /// Looks at 8 bytes; true where the path ends among them.
    #[inline(always)]
    fn word(&mut self, word: u64, base: usize) -> Result<bool, Unsplit> {
        let mut found = marks(word);
        while found != 0 {
            let bit = found.trailing_zeros();
            found &= found - 1;
            let at = base + (bit / 8) as usize;
            let byte = (word >> (bit & !7)) & 0xff;
            if byte == SLASH {
                #[expect(clippy::cast_possible_truncation, reason = "at most `MAX_PATH` bytes are looked at")]
                let start = (at + 1) as u16;
                *self.starts.get_mut(self.segments).ok_or(Unsplit::TooMany)? = start;
                self.segments += 1;
            } else if matches!(byte, FRAGMENT | QUERY) {
                self.length = at;
                return Ok(true);
            } else {
                self.percent |= byte == PERCENT;
            }
        }
        Ok(false)
    }
}

/// What follows the authority in a request target. `None` where there is no path: `*`, a CONNECT authority, nothing.
///
/// Targets are in origin-form (`/path`), or in absolute-form (`http://host/path`, RFC 9112 section 3.2.2), whose path may be empty and is then `/`.
#[inline]
pub(super) fn path_of(target: &[u8]) -> Option<&[u8]> {
    if target.first() == Some(&b'/') {
        return Some(target);
    }
    let window = target.get(..MAX_PATH).unwrap_or(target);
    let colon = window.iter().position(|byte| *byte == b':')?;
    let (scheme, rest) = target.split_at_checked(colon)?;
    let valid_scheme = scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    let authority = rest.strip_prefix(b"://").filter(|_| valid_scheme)?;
    let window = authority.get(..MAX_PATH).unwrap_or(authority);
    match window.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')) {
        Some(end) if window.get(end) == Some(&b'/') => target.get(colon + 3 + end..),
        Some(_) => Some(b"/"),
        None => (window.len() == authority.len()).then_some(b"/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(target: &[u8]) -> Result<usize, Unsplit> {
        Split::new(target, &mut { ROOM }).map(|split| split.segments)
    }

    fn segments(target: &[u8]) -> Option<(Vec<Vec<u8>>, bool)> {
        let mut room = ROOM;
        let split = Split::new(target, &mut room).ok()?;
        let texts = (0..split.segments).map(|index| {
            let (start, end) = split.range(index);
            target[start..end].to_vec()
        });
        Some((texts.collect(), split.percent))
    }

    #[test]
    fn paths_end_at_query_and_fragment() {
        let check = |target: &str, expected: &[&str]| {
            let texts: Vec<Vec<u8>> = expected.iter().map(|text| text.as_bytes().to_vec()).collect();
            assert_eq!(segments(target.as_bytes()).unwrap().0, texts, "{target}");
        };
        check("/", &[""]);
        check("/a", &["a"]);
        check("/a/", &["a", ""]);
        check("//", &["", ""]);
        check("/a?b/c", &["a"]);
        check("/a#b/c", &["a"]);
        check("/a/b/c/d/e/f/g/h?x=%", &["a", "b", "c", "d", "e", "f", "g", "h"]);
        check("/don't!/x", &["don't!", "x"]);
    }

    #[test]
    fn bounds_are_exact() {
        let long = |length: usize| [b"/".as_slice(), &vec![b'a'; length - 1]].concat();
        assert_eq!(split(&long(MAX_PATH)), Ok(1));
        assert_eq!(split(&long(MAX_PATH + 1)), Err(Unsplit::TooLong));
        assert_eq!(split(&[long(MAX_PATH), b"?".to_vec(), vec![b'q'; 60_000]].concat()), Ok(1));
        assert_eq!(split(&[long(60_000), b"?".to_vec()].concat()), Err(Unsplit::TooLong));
        assert_eq!(split("/a".repeat(MAX_SEGMENTS).as_bytes()), Ok(MAX_SEGMENTS));
        assert_eq!(split("/a".repeat(MAX_SEGMENTS + 1).as_bytes()), Err(Unsplit::TooMany));
        let few = ROOM_FOR_FEW.len() - 2;
        let in_small_room = |segments: usize| {
            Split::new("/a".repeat(segments).as_bytes(), &mut { ROOM_FOR_FEW }).map(|split| split.segments)
        };
        assert_eq!((in_small_room(few), in_small_room(few + 1)), (Ok(few), Err(Unsplit::TooMany)));
        assert_eq!((in_small_room(few + 2), in_small_room(60)), (Err(Unsplit::TooMany), Err(Unsplit::TooMany)));
    }

    #[test]
    fn targets_are_reduced_to_their_path() {
        let check = |target: &str, expected: Option<&str>| {
            assert_eq!(path_of(target.as_bytes()), expected.map(str::as_bytes), "{target}");
        };
        check("/a/b", Some("/a/b"));
        check("http://example.com/a/b?c", Some("/a/b?c"));
        check("HTTPS://[::1]:8443/a", Some("/a"));
        check("http://example.com", Some("/"));
        check("http://example.com?x=/a", Some("/"));
        check("*", None);
        check("", None);
        check("example.com:443", None);
        check("1http://example.com/", None);
        check("://example.com/", None);
        check("a/b://c/d", None);
        check(&format!("http://{}/a", "h".repeat(9000)), None);
    }

    proptest! {
        #[test]
        fn agrees_with_the_standard_split(text in prop::collection::vec(prop_oneof![Just(b'/'), Just(b'%'), Just(b'a'), Just(b'?'), any::<u8>()], 0..100)) {
            let target = [b"/".as_slice(), &text].concat();
            let end = target.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(target.len());
            let path = &target[..end];
            let expected: Vec<Vec<u8>> = path[1..].split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect();
            let expected = (expected.len() <= MAX_SEGMENTS).then(|| (expected, path.contains(&b'%')));
            prop_assert_eq!(segments(&target), expected);
        }

        #[test]
        fn any_target_has_a_path_with_a_slash_or_none(target in prop::collection::vec(any::<u8>(), 0..60)) {
            prop_assert!(path_of(&target).is_none_or(|path| path.first() == Some(&b'/')));
        }
    }
}
