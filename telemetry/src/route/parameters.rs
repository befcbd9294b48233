//! The value of a template's parameter in a path.

use super::normalise;
use super::split::{self, ROOM, Split};
use super::{MAX_PATH, RouteOptions};

/// What parameter `name` of `template` is in `path`, a request target that the template covers; percent-encoding is resolved. `None` where the
/// template has no such parameter, or does not cover the path.
///
/// ```
/// use telemetry::route::{RouteOptions, parameter};
///
/// let options = RouteOptions::default();
/// let id = |path: &[u8]| parameter("/users/{id}/", path, "id", &options);
/// assert_eq!(id(b"/users/4%202?x=1"), Some(b"4 2".to_vec()));
/// assert_eq!(id(b"/teams/42"), None);
/// ```
#[must_use]
pub fn parameter(template: &str, path: &[u8], name: &str, options: &RouteOptions) -> Option<Vec<u8>> {
    let path = split::path_of(path)?;
    let mut room = ROOM;
    let split = Split::new(path, &mut room).ok()?;
    let raw = path.get(..split.length)?;
    let mut normal = [0; MAX_PATH];
    // The value is shown as it came, so case stays; what decides which segments there are is the same as for the match.
    let unfolded = RouteOptions { case: super::Case::Sensitive, ..*options };
    let text =
        if normalise::concerns(raw, &split, options) { normalise::path(raw, &unfolded, &mut normal) } else { raw };
    find(template.strip_prefix('/')?, text.strip_prefix(b"/")?, name, options).map(decode)
}

fn find<'a>(template: &str, path: &'a [u8], name: &str, options: &RouteOptions) -> Option<&'a [u8]> {
    let mut found = None;
    let mut rest = Some(path);
    for segment in template.split('/') {
        if let Some(tail) = segment.strip_prefix('{').and_then(|tail| tail.strip_suffix("...}")) {
            return if tail == name { rest.filter(|rest| !rest.is_empty()) } else { found };
        }
        let Some(here) = rest else {
            // The form without the slash at the end.
            return if segment.is_empty() { found } else { None };
        };
        let (text, after) = match here.iter().position(|byte| *byte == b'/') {
            Some(at) => (here.get(..at)?, here.get(at + 1..)),
            None => (here, None),
        };
        let value = value(segment, text, name, options)?;
        found = found.or(value);
        rest = after;
    }
    // The form with a slash at the end.
    rest.is_none_or(<[u8]>::is_empty).then_some(found).flatten()
}

/// `None` where the segment does not fit; what parameter `name` is in it, if it is there.
#[allow(clippy::option_option, reason = "whether it fits, and then whether the parameter is in it")]
fn value<'a>(segment: &str, text: &'a [u8], name: &str, options: &RouteOptions) -> Option<Option<&'a [u8]>> {
    let mut found = None;
    let mut template = segment;
    let mut text = text;
    loop {
        let Some((literal, after)) = template.split_once('{') else {
            return same(&normalise::literal(template.as_bytes(), options), text, options).then_some(found);
        };
        let literal = normalise::literal(literal.as_bytes(), options);
        let (head, tail) = text.split_at_checked(literal.len())?;
        if !same(&literal, head, options) {
            return None;
        }
        let (parameter, after) = after.split_once('}')?;
        // Up to the next literal, or to the end of the segment.
        let next = normalise::literal(after.split('{').next().unwrap_or_default().as_bytes(), options);
        let end = if after.is_empty() {
            tail.len()
        } else if after.contains('{') {
            1 + tail.get(1..)?.windows(next.len().max(1)).position(|window| same(&next, window, options))?
        } else {
            tail.len().checked_sub(next.len())?
        };
        let (value, tail) = tail.split_at_checked(end)?;
        if value.is_empty() {
            return None;
        }
        if parameter == name {
            found = Some(value);
        }
        (template, text) = (after, tail);
    }
}

/// Whether text is a literal in normal form. The text's case is as it came.
fn same(literal: &[u8], text: &[u8], options: &RouteOptions) -> bool {
    match options.case {
        super::Case::Sensitive => literal == text,
        super::Case::Insensitive => literal.eq_ignore_ascii_case(text),
    }
}

fn decode(value: &[u8]) -> Vec<u8> {
    let hex = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value;
    loop {
        match rest {
            [b'%', high, low, after @ ..] if normalise::is_triplet(rest) => {
                decoded.push(hex(high).unwrap_or_default() << 4 | hex(low).unwrap_or_default());
                rest = after;
            }
            [byte, after @ ..] => {
                decoded.push(*byte);
                rest = after;
            }
            [] => return decoded,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{Case, DuplicateSlashes, PercentEncoding};

    fn check(template: &str, path: &str, expected: &[(&str, Option<&str>)]) {
        for (name, value) in expected {
            let found = parameter(template, path.as_bytes(), name, &RouteOptions::default());
            let found = found.map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!(found.as_deref(), *value, "{template} {path} {name}");
        }
    }

    #[test]
    fn parameters_are_found_by_name() {
        check("/a/{id}/b/{ring}/", "/a/7/b/canary", &[("id", Some("7")), ("ring", Some("canary")), ("x", None)]);
        check("/a/{id}", "/a/7/", &[("id", Some("7"))]);
        check("/a/{id}/", "/a/7", &[("id", Some("7"))]);
        check("/a/{id}", "/a/7/8", &[("id", None)]);
        check("/a/{id}", "/b/7", &[("id", None)]);
        check("/a/{id}", "/a/", &[("id", None)]);
        check("/a/{id}", "/a/x%2Fy%zz", &[("id", Some("x/y%zz"))]);
        check("/a/{id}", "http://host/a/7#x", &[("id", Some("7"))]);
        check("/f/{path...}", "/f/x/y/", &[("path", Some("x/y/"))]);
        check("/f/{id}/{path...}", "/f/x/y/z", &[("id", Some("x")), ("path", Some("y/z"))]);
        check("/c/{base}...{head}", "/c/main...topic", &[("base", Some("main")), ("head", Some("topic"))]);
        check("/v{n}.json", "/v12.json", &[("n", Some("12"))]);
        check("/v{n}.json", "/v.json", &[("n", None)]);
        check("/a/{id}", "*", &[("id", None)]);
    }

    #[test]
    fn the_rules_of_the_match_hold_and_the_value_keeps_its_case() {
        let options = RouteOptions {
            case: Case::Insensitive,
            duplicate_slashes: DuplicateSlashes::Merge,
            percent_encoding: PercentEncoding::Slashes,
            ..RouteOptions::default()
        };
        assert_eq!(parameter("/users/{id}", b"/USERS//Ann", "id", &options), Some(b"Ann".to_vec()));
        assert_eq!(parameter("/users/{id}", b"/users%2FAnn", "id", &options), Some(b"Ann".to_vec()));
    }

    proptest::proptest! {
        #[test]
        fn any_path_is_read_without_harm(path in proptest::collection::vec(proptest::arbitrary::any::<u8>(), 0..80)) {
            for template in ["/a/{id}", "/{a}x{b}/{c...}", "/", "/{a}...{b}"] {
                for name in ["a", "b", "id"] {
                    let _ = parameter(template, &path, name, &RouteOptions::default());
                }
            }
        }
    }
}
