//! Paths that look for a weakness.

/// What a path looks for, a bit for each.
pub type Probes = u8;

/// The path leaves its folder: a segment `..`, also where it is encoded once or twice, or with backslashes; in a query too.
pub const TRAVERSAL: Probes = 1;
/// The path has an encoded control character: `%00` to `%1f`, or `%7f`.
pub const CONTROL_BYTES: Probes = 2;

/// The probes by their names in a configuration.
pub const NAMES: [(&str, Probes); 2] = [("traversal", TRAVERSAL), ("control_bytes", CONTROL_BYTES)];

/// What a request target looks for.
///
/// ```
/// use telemetry::rule::probe::{CONTROL_BYTES, TRAVERSAL, find};
///
/// assert_eq!(find(b"/files/%2e%2e/%2e./etc/passwd"), TRAVERSAL);
/// assert_eq!(find(b"/a%0d%0aSet-Cookie:x"), CONTROL_BYTES);
/// assert_eq!(find(b"/compare/v1...v2?q=1..2"), 0);
/// ```
#[inline]
#[must_use]
pub fn find(target: &[u8]) -> Probes {
    let mut found = 0;
    // Of the segment so far: how many dots, and whether there is anything else.
    let (mut dots, mut other) = (0_u8, false);
    let mut rest = target;
    while let Some((byte, after)) = next(rest) {
        rest = after;
        match byte {
            // `;` ends what counts of a segment to some servers.
            b'/' | b'\\' | b'?' | b'&' | b'=' | b';' => {
                if dots == 2 && !other {
                    found |= TRAVERSAL;
                }
                (dots, other) = (0, false);
            }
            b'.' => dots = dots.saturating_add(1),
            0..0x20 | 0x7f => {
                found |= CONTROL_BYTES;
                other = true;
            }
            _ => other = true,
        }
    }
    if dots == 2 && !other {
        found |= TRAVERSAL;
    }
    found
}

/// The next byte, of what is encoded the one that is meant; `%25` is looked behind once.
#[inline]
fn next(text: &[u8]) -> Option<(u8, &[u8])> {
    let (first, after) = text.split_first()?;
    if *first != b'%' {
        return Some((*first, after));
    }
    let Some((byte, rest)) = triplet(text) else { return Some((b'%', after)) };
    if byte != b'%' {
        return Some((byte, rest));
    }
    match rest {
        [high, low, rest @ ..] => {
            Some(hex(*high).zip(hex(*low)).map_or((byte, rest_of(text)), |(high, low)| (high << 4 | low, rest)))
        }
        _ => Some((byte, rest)),
    }
}

/// What follows a triplet.
#[inline]
fn rest_of(text: &[u8]) -> &[u8] {
    text.get(3..).unwrap_or_default()
}

#[inline]
fn triplet(text: &[u8]) -> Option<(u8, &[u8])> {
    match text {
        [b'%', high, low, rest @ ..] => Some((hex(*high)? << 4 | hex(*low)?, rest)),
        _ => None,
    }
}

#[inline]
fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_out_of_a_folder() {
        for target in [
            "/..",
            "/../",
            "/a/../b",
            "/a/..;x=1/b",
            "/a/%2e%2e/b",
            "/a/.%2E/b",
            "/a/%252e%252e%252fb",
            "/a/..%5cb",
            "/a/..\\b",
            "/a?file=../b",
            "/a?x=1&f=..%2fetc",
            "/%2e%2e",
        ] {
            assert_eq!(find(target.as_bytes()), TRAVERSAL, "{target}");
        }
        for target in [
            "/",
            "/.",
            "/...",
            "/a..b",
            "/a/..b/",
            "/a%2",
            "/100%",
            "/%zz",
            "/a/.well-known/x",
            "/v1...v2",
            "/%25",
            "/%252",
            "/%25zz",
        ] {
            assert_eq!(find(target.as_bytes()), 0, "{target}");
        }
    }

    #[test]
    fn encoded_control_characters() {
        for target in ["/%00", "/a%0d%0ab", "/x%7f", "/x%1F", "/x?y=%0a", "/%2500", "/\u{1}"] {
            assert_eq!(find(target.as_bytes()), CONTROL_BYTES, "{target}");
        }
        assert_eq!(find(b"/../%00"), TRAVERSAL | CONTROL_BYTES);
        assert_eq!(find(b"/%20%C3%A9"), 0);
    }

    proptest::proptest! {
        #[test]
        fn any_target_is_read_without_harm(target in proptest::collection::vec(proptest::arbitrary::any::<u8>(), 0..60)) {
            let _ = find(&target);
        }
    }
}
