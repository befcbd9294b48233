//! Typed placeholders: a label for a path that no template covers, made from the shape of its segments.
//!
//! Each segment is looked at alone, byte by byte, and the first class that fits it takes its place. A segment that fits none is a word and stays
//! as it is, and so does one that the table has as static text in its place: below a template `/reports/2024/summary`, the path
//! `/reports/2024/other` does not become `/reports/{int}/other`. In this order:
//!
//! | placeholder | a segment that is |
//! |---|---|
//! | `{int}` | digits |
//! | `{date}` | `YYYY-MM-DD` with a month from 01 to 12 and a day from 01 to 31, alone or with `T` and a time of digits, `:`, `.`, `+`, `-`, `Z` |
//! | `{uuid}` | 8-4-4-4-12 hex digits |
//! | `{ulid}` | 26 characters of Crockford's base 32, the first from 0 to 7 |
//! | `{hex}` | 8 or more hex digits, at least one of them 0 to 9 |
//! | `{jwt}` | three parts of base64url joined by `.`, beginning with `eyJ` |
//! | `{email}` | one `@` (or `%40`) with text before it and a dotted name after it |
//! | `{base64url}` | 16 or more of `A-Z a-z 0-9 - _` and up to two `=`, with upper-case, lower-case and at least two digits |

use super::Case;
use super::split::Split;

/// The longest label.
const MAX_LABEL: usize = 200;

/// Room for one placeholder label, inline.
#[derive(Clone)]
pub struct PlaceholderBuffer {
    length: u8,
    bytes: [u8; MAX_LABEL],
}

impl PlaceholderBuffer {
    /// The label; empty before one was written.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// Whether there is no label.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Forgets the label.
    #[inline]
    pub fn clear(&mut self) {
        self.length = 0;
    }

    #[inline]
    fn push(&mut self, text: &[u8], case: Case) -> Option<()> {
        let start = usize::from(self.length);
        let room = self.bytes.get_mut(start..start + text.len())?;
        for (to, from) in room.iter_mut().zip(text) {
            *to = match case {
                Case::Sensitive => *from,
                Case::Insensitive => from.to_ascii_lowercase(),
            };
        }
        self.length = u8::try_from(start + text.len()).ok()?;
        Some(())
    }
}

impl Default for PlaceholderBuffer {
    #[inline]
    fn default() -> Self {
        Self { length: 0, bytes: [0; MAX_LABEL] }
    }
}

impl std::fmt::Debug for PlaceholderBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PlaceholderBuffer({})", self.as_bytes().escape_ascii())
    }
}

/// What came of making a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It is in the buffer.
    Label,
    /// It is longer than a label may be.
    TooLong,
    /// The path has bytes that are not printable ASCII.
    NotPrintable,
}

/// Writes the label of a path in normal form but for its case. `known` has a bit for each segment that the table has as static text.
#[inline]
pub(super) fn write(path: &[u8], split: &Split<'_>, known: u64, case: Case, buffer: &mut PlaceholderBuffer) -> Written {
    buffer.clear();
    let text = path.get(..split.length).unwrap_or_default();
    if !text.iter().all(u8::is_ascii_graphic) {
        return Written::NotPrintable;
    }
    for index in 0..split.segments {
        let (start, end) = split.range(index);
        let segment = path.get(start..end).unwrap_or_default();
        let is_known = known >> index & 1 == 1;
        let pushed = buffer.push(b"/", case).and_then(|()| match classify(segment) {
            Some(placeholder) if !is_known => buffer.push(placeholder.as_bytes(), case),
            _ => buffer.push(segment, case),
        });
        if pushed.is_none() {
            buffer.clear();
            return Written::TooLong;
        }
    }
    Written::Label
}

/// The placeholder for a segment, or `None` for a word.
#[inline]
fn classify(segment: &[u8]) -> Option<&'static str> {
    match segment {
        _ if is_int(segment) => Some("{int}"),
        _ if is_date(segment) => Some("{date}"),
        _ if is_uuid(segment) => Some("{uuid}"),
        _ if is_ulid(segment) => Some("{ulid}"),
        _ if is_hex(segment) => Some("{hex}"),
        _ if is_jwt(segment) => Some("{jwt}"),
        _ if is_email(segment) => Some("{email}"),
        _ if is_base64url(segment) => Some("{base64url}"),
        _ => None,
    }
}

#[inline]
fn is_int(segment: &[u8]) -> bool {
    !segment.is_empty() && segment.iter().all(u8::is_ascii_digit)
}

#[inline]
fn is_date(segment: &[u8]) -> bool {
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, ref rest @ ..] = segment else { return false };
    let digits = [y1, y2, y3, y4, m1, m2, d1, d2].iter().all(u8::is_ascii_digit);
    let day = matches!((m1, m2), (b'0', b'1'..=b'9') | (b'1', b'0'..=b'2'))
        && matches!((d1, d2), (b'0', b'1'..=b'9') | (b'1' | b'2', _) | (b'3', b'0' | b'1'));
    let time = match rest {
        [] => true,
        [b'T', first, more @ ..] => {
            first.is_ascii_digit()
                && more.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.' | b'+' | b'-' | b'Z'))
        }
        _ => false,
    };
    digits && day && time
}

#[inline]
fn is_uuid(segment: &[u8]) -> bool {
    segment.len() == 36
        && segment.iter().enumerate().all(|(position, byte)| match position {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[inline]
fn is_ulid(segment: &[u8]) -> bool {
    segment.len() == 26
        && segment.first().is_some_and(|byte| matches!(byte, b'0'..=b'7'))
        && segment
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() && !matches!(byte.to_ascii_uppercase(), b'I' | b'L' | b'O' | b'U'))
}

#[inline]
fn is_hex(segment: &[u8]) -> bool {
    segment.len() >= 8 && segment.iter().all(u8::is_ascii_hexdigit) && segment.iter().any(u8::is_ascii_digit)
}

#[inline]
fn is_base64url_byte(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

#[inline]
fn is_jwt(segment: &[u8]) -> bool {
    segment.starts_with(b"eyJ")
        && segment.split(|byte| *byte == b'.').count() == 3
        && segment.split(|byte| *byte == b'.').all(|part| part.iter().all(is_base64url_byte))
}

#[inline]
fn is_email(segment: &[u8]) -> bool {
    let Some(position) = segment
        .iter()
        .position(|byte| *byte == b'@')
        .or_else(|| segment.windows(3).position(|window| window == b"%40"))
    else {
        return false;
    };
    let (local, rest) = segment.split_at_checked(position).unwrap_or_default();
    let domain = rest.strip_prefix(b"@").or_else(|| rest.strip_prefix(b"%40")).unwrap_or_default();
    let label =
        |label: &[u8]| !label.is_empty() && label.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    !local.is_empty() && domain.contains(&b'.') && domain.split(|byte| *byte == b'.').all(label)
}

#[inline]
fn is_base64url(segment: &[u8]) -> bool {
    let text = segment.strip_suffix(b"=").unwrap_or(segment);
    let text = text.strip_suffix(b"=").unwrap_or(text);
    text.len() >= 16
        && text.iter().all(is_base64url_byte)
        && text.iter().any(u8::is_ascii_uppercase)
        && text.iter().any(u8::is_ascii_lowercase)
        && text.iter().filter(|byte| byte.is_ascii_digit()).count() >= 2
}

#[cfg(test)]
mod tests {
    use super::super::split::ROOM;
    use super::*;

    fn label(path: &str, case: Case) -> (Written, String) {
        let mut buffer = PlaceholderBuffer::default();
        let mut room = ROOM;
        let split = Split::new(path.as_bytes(), &mut room).unwrap();
        let written = write(path.as_bytes(), &split, 0, case, &mut buffer);
        (written, String::from_utf8(buffer.as_bytes().to_vec()).unwrap())
    }

    #[test]
    fn each_class_has_its_own_shape() {
        let check =
            |segment: &str, expected: Option<&str>| assert_eq!(classify(segment.as_bytes()), expected, "{segment}");
        check("0", Some("{int}"));
        check("20240131", Some("{int}"));
        check("2024-01-31", Some("{date}"));
        check("2024-01-31T10:20:30.5Z", Some("{date}"));
        check("2024-01-31T10:20:30+01:00", Some("{date}"));
        check("2024-13-31", None);
        check("2024-00-10", None);
        check("2024-01-32", None);
        check("2024-01-31x", None);
        check("017f22e2-79b0-7cc3-98c4-dc0c0c07398f", Some("{uuid}"));
        check("017F22E2-79B0-7CC3-98C4-DC0C0C07398F", Some("{uuid}"));
        check("017f22e2-79b0-7cc3-98c4-dc0c0c07398", None);
        check("01ARZ3NDEKTSV4RRFFQ69G5FAV", Some("{ulid}"));
        check("01arz3ndektsv4rrffq69g5fav", Some("{ulid}"));
        check("81ARZ3NDEKTSV4RRFFQ69G5FAV", None);
        check("deadbeef1", Some("{hex}"));
        check("d41d8cd98f00b204e9800998ecf8427e", Some("{hex}"));
        check("deadbeef", None);
        check("c0ffee", None);
        check("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", Some("{jwt}"));
        check("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0", None);
        check("ann@example.org", Some("{email}"));
        check("ann%40example.org", Some("{email}"));
        check("ann@example", None);
        check("@example.org", None);
        check("a@b@example.org", None);
        check("dGhpcyBpcyAxIHRva2Vu9", Some("{base64url}"));
        check("dGhpcyBpcyAxIHRva2Vu9w==", Some("{base64url}"));
        check("users-28-day", None);
        check("projectsV2", None);
        check("v1beta1", None);
        check("networking.k8s.io", None);
        check("getDeploymentStatusById", None);
        check("", None);
    }

    #[test]
    fn words_stay_and_slashes_stay() {
        assert_eq!(label("/api/v1/users/42/", Case::Sensitive), (Written::Label, "/api/v1/users/{int}/".into()));
        assert_eq!(label("/", Case::Sensitive), (Written::Label, "/".into()));
        assert_eq!(label("//a", Case::Sensitive), (Written::Label, "//a".into()));
        assert_eq!(label("/Users/Ann", Case::Insensitive), (Written::Label, "/users/ann".into()));
    }

    #[test]
    fn a_label_has_at_most_200_bytes_of_printable_ascii() {
        let path = |length: usize| format!("/{}", "w".repeat(length - 1));
        assert_eq!(label(&path(200), Case::Sensitive), (Written::Label, path(200)));
        assert_eq!(label(&path(201), Case::Sensitive), (Written::TooLong, String::new()));
        assert_eq!(label("/caf\u{e9}", Case::Sensitive).0, Written::NotPrintable);
        assert_eq!(label("/a\u{7f}", Case::Sensitive).0, Written::NotPrintable);
        assert_eq!(label("/a b", Case::Sensitive).0, Written::NotPrintable);
    }
}
