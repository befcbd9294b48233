//! Segments of a path and what each looks like, told by the filter's own route table.

use telemetry::method::Method;
use telemetry::route::{
    EndpointId, MAX_PATH, MAX_SEGMENTS, PlaceholderBuffer, PlaceholderLimits, RouteMatch, RouteOptions, RouteProblem,
    RouteSpec, RouteTable, Unmatched,
};

/// What a segment looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Class {
    /// A word: it may stand in a template as it is.
    Word,
    /// One of the filter's typed placeholders, such as `{int}`.
    Typed(&'static str),
    /// Text that no template can have as it is: too long, not printable, or a router's notation.
    Opaque,
}

/// One segment of a path in normal form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Segment {
    pub(super) class: Class,
    pub(super) text: Box<str>,
}

impl Segment {
    /// How it reads in the shape of a path.
    pub(super) fn shape(&self) -> &str {
        match self.class {
            Class::Word => &self.text,
            Class::Typed(name) => name,
            Class::Opaque => "{…}",
        }
    }
}

/// Why a request target has no segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// It has.
    Path,
    /// `*`, an authority, or nothing.
    NoPath,
    /// Past the bounds of what is matched.
    TooLong,
}

/// The filter's placeholders, by name.
const TYPED: [&str; 8] = ["{int}", "{date}", "{uuid}", "{ulid}", "{hex}", "{jwt}", "{email}", "{base64url}"];

/// Asks the filter's route table what a path and its segments look like, so that there is no second opinion.
#[derive(Debug)]
pub(super) struct Probe {
    /// Takes every path within bounds.
    any: RouteTable,
    /// Takes none, and makes placeholders.
    classes: RouteTable,
}

impl Probe {
    pub(super) fn new() -> Result<Self, Vec<RouteProblem>> {
        let route = |template: &str| RouteSpec { methods: None, template: template.to_owned(), name: None };
        let learning = RouteOptions {
            unmatched: Unmatched::Placeholders(PlaceholderLimits { max_endpoints: 1, ..PlaceholderLimits::default() }),
            ..RouteOptions::default()
        };
        Ok(Self {
            any: RouteTable::build(&[route("/"), route("/{rest...}")], &RouteOptions::default())?,
            classes: RouteTable::build(&[], &learning)?,
        })
    }

    pub(super) fn reach(&self, target: &[u8]) -> Reach {
        match self.any.find(Method::Get, target, &mut PlaceholderBuffer::default()) {
            RouteMatch::Endpoint(EndpointId::UNKNOWN) => {
                let long =
                    target.len() > MAX_PATH || target.iter().filter(|byte| **byte == b'/').count() > MAX_SEGMENTS;
                if long { Reach::TooLong } else { Reach::NoPath }
            }
            _ => Reach::Path,
        }
    }

    /// The segments of what begins with `/`; the last one is empty where it ends with one.
    pub(super) fn segments(&self, path: &[u8]) -> Vec<Segment> {
        let path = path.strip_prefix(b"/").unwrap_or(path);
        path.split(|byte| *byte == b'/').map(|text| self.segment(text)).collect()
    }

    fn segment(&self, text: &[u8]) -> Segment {
        let mut buffer = PlaceholderBuffer::default();
        let alone = [b"/", text].concat();
        let found = self.classes.find(Method::Get, &alone, &mut buffer);
        let label = match found {
            RouteMatch::Placeholder => std::str::from_utf8(buffer.as_bytes()).ok().and_then(|l| l.strip_prefix('/')),
            RouteMatch::Endpoint(_) => None,
        };
        let raw = || String::from_utf8_lossy(text).into_owned().into_boxed_str();
        let Some(label) = label else { return Segment { class: Class::Opaque, text: raw() } };
        if let Some(typed) = TYPED.iter().find(|typed| **typed == label && text != label.as_bytes()) {
            return Segment { class: Class::Typed(typed), text: raw() };
        }
        let class = if is_literal(label) { Class::Word } else { Class::Opaque };
        Segment { class, text: label.into() }
    }
}

/// Whether a template may have this text as it is.
fn is_literal(text: &str) -> bool {
    let stray = text.match_indices('%').any(|(at, _)| {
        !text.get(at + 1..at + 3).is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
    });
    !stray && !text.contains(['{', '}']) && !text.starts_with([':', '<', '*'])
}

/// The path of a request target: what follows the authority, up to `?` or `#`.
pub(super) fn path_of(target: &[u8]) -> &[u8] {
    let path = if target.first() == Some(&b'/') {
        target
    } else {
        let after = target.windows(3).position(|window| window == b"://").map_or(0, |at| at + 3);
        let rest = target.get(after..).unwrap_or_default();
        let start = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#'));
        start.and_then(|at| rest.get(at..)).filter(|path| path.first() == Some(&b'/')).unwrap_or(b"/")
    };
    let end = path.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(path.len());
    path.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_look_like_the_filter_says() {
        let probe = Probe::new().unwrap();
        let check = |text: &str, expected: &str| {
            let shapes: Vec<String> =
                probe.segments(text.as_bytes()).iter().map(|segment| segment.shape().to_owned()).collect();
            assert_eq!(shapes.join(" "), expected, "{text}");
        };
        check("/users/42/", "users {int} ");
        check("/a/017f22e2-79b0-7cc3-98c4-dc0c0c07398f", "a {uuid}");
        check("/d/2024-01-31/deadbeef1", "d {date} {hex}");
        check("/%7Eann/%61", "~ann a");
        check("/{int}/{x}", "{…} {…}");
        check("/a%zz/:id/<id>/*", "{…} {…} {…} {…}");
        check("/a%20b", "a%20b");
        check(&format!("/{}", "w".repeat(300)), "{…}");
        assert_eq!(probe.segments(b"/\xff")[0].class, Class::Opaque);
    }

    #[test]
    fn targets_without_a_path_say_why() {
        let probe = Probe::new().unwrap();
        let check = |target: &str, expected: Reach| assert_eq!(probe.reach(target.as_bytes()), expected, "{target}");
        check("/", Reach::Path);
        check("//", Reach::Path);
        check("/a?b", Reach::Path);
        check("http://h/x", Reach::Path);
        check("*", Reach::NoPath);
        check("", Reach::NoPath);
        check("h:443", Reach::NoPath);
        check(&format!("/{}", "a".repeat(9000)), Reach::TooLong);
        check(&"/a".repeat(70), Reach::TooLong);
    }

    #[test]
    fn the_path_is_what_the_filter_matches() {
        for (target, expected) in [
            ("/a?b", "/a"),
            ("/a#b", "/a"),
            ("http://h/x/y?z", "/x/y"),
            ("http://h", "/"),
            ("http://h?x=/a", "/"),
            ("/", "/"),
        ] {
            assert_eq!(path_of(target.as_bytes()), expected.as_bytes(), "{target}");
        }
    }
}
