//! Each rule by cases, and all of them against a way of rewriting that is too simple to be wrong.

use super::super::split::ROOM;
use super::*;
use proptest::prelude::*;

const ALL: RouteOptions = RouteOptions {
    percent_encoding: PercentEncoding::Slashes,
    duplicate_slashes: DuplicateSlashes::Merge,
    dot_segments: DotSegments::Remove,
    matrix_parameters: MatrixParameters::Strip,
    ..DEFAULT
};

const DEFAULT: RouteOptions = RouteOptions {
    label: super::super::LabelStyle::Template,
    case: Case::Sensitive,
    trailing_slash: super::super::TrailingSlash::Ignore,
    duplicate_slashes: DuplicateSlashes::Keep,
    dot_segments: DotSegments::Keep,
    percent_encoding: PercentEncoding::Unreserved,
    matrix_parameters: MatrixParameters::Keep,
    undeclared_methods: super::super::UndeclaredMethods::Template,
    unmatched: super::super::Unmatched::Unknown,
};

fn check(options: RouteOptions, text: &str, expected: &str) {
    let mut buffer = vec![0; text.len()];
    let found = path(text.as_bytes(), &options, &mut buffer).to_vec();
    assert_eq!(String::from_utf8(found).unwrap(), expected, "{text}");
}

#[test]
fn only_unreserved_characters_are_decoded() {
    let check = |text: &str, expected: &str| {
        assert_eq!(literal(text.as_bytes(), &DEFAULT), expected.as_bytes(), "{text}");
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
fn percent_encoding_may_stay_or_hide_slashes() {
    let keep = RouteOptions { percent_encoding: PercentEncoding::Keep, ..DEFAULT };
    check(keep, "/%41/%2f/%2F", "/%41/%2f/%2F");
    let slashes = RouteOptions { percent_encoding: PercentEncoding::Slashes, ..DEFAULT };
    check(slashes, "/a%2Fb%2fc/%41%252f", "/a/b/c/A%252f");
}

#[test]
fn insensitive_folds_after_decoding() {
    let options = RouteOptions { case: Case::Insensitive, ..DEFAULT };
    assert_eq!(literal(b"/API/%41%2f", &options), b"/api/a%2f");
    check(RouteOptions { percent_encoding: PercentEncoding::Keep, ..options }, "/A/%2F", "/a/%2f");
}

#[test]
fn dot_segments_are_resolved_as_rfc_3986_does() {
    let options = RouteOptions { dot_segments: DotSegments::Remove, ..DEFAULT };
    let check = |text: &str, expected: &str| check(options, text, expected);
    // The example of section 5.2.4, and those of 5.4 that are paths.
    check("/a/b/c/./../../g", "/a/g");
    check("/b/c/.", "/b/c/");
    check("/b/c/./", "/b/c/");
    check("/b/c/..", "/b/");
    check("/b/c/../g", "/b/g");
    check("/b/c/../../../g", "/g");
    check("/b/c/../../../../g", "/g");
    check("/./g", "/g");
    check("/b/c/g.", "/b/c/g.");
    check("/b/c/..g", "/b/c/..g");
    check("/b/c/./g/.", "/b/c/g/");
    check("/b/c/g;x=1/../y", "/b/c/y");
    check("/..", "/");
    check("/.", "/");
    check("/", "/");
    check("/a/%2e%2E/b", "/b");
    check("/a//../b", "/a/b");
    check("/a/...", "/a/...");
}

#[test]
fn slashes_merge_and_matrix_parameters_go() {
    let merge = RouteOptions { duplicate_slashes: DuplicateSlashes::Merge, ..DEFAULT };
    check(merge, "//a///b//", "/a/b/");
    check(merge, "//", "/");
    check(merge, "/a/b", "/a/b");
    let strip = RouteOptions { matrix_parameters: MatrixParameters::Strip, ..DEFAULT };
    check(strip, "/a;v=1/b;x;y/c", "/a/b/c");
    check(strip, "/;v/;", "//");
    check(strip, "/a%3Bv", "/a%3Bv");
    check(ALL, "/a/..;x=1/b%2f%2f;c/./d", "/b/d");
}

/// The rules one after another, on lists of segments.
fn slowly(text: &[u8], options: &RouteOptions) -> Vec<u8> {
    let text = literal(text, options);
    let mut segments: Vec<Vec<u8>> = text[1..].split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect();
    if options.matrix_parameters == MatrixParameters::Strip {
        for segment in &mut segments {
            *segment = segment.split(|byte| *byte == b';').next().unwrap().to_vec();
        }
    }
    if options.dot_segments == DotSegments::Remove {
        let mut kept: Vec<Vec<u8>> = Vec::new();
        for (position, segment) in segments.iter().enumerate() {
            let dots = matches!(&**segment, b"." | b"..");
            if &**segment == b".." {
                kept.pop();
            }
            if !dots {
                kept.push(segment.clone());
            } else if position + 1 == segments.len() {
                kept.push(Vec::new());
            }
        }
        segments = kept;
    }
    if options.duplicate_slashes == DuplicateSlashes::Merge {
        let last = segments.len() - 1;
        let mut position = 0;
        segments.retain(|segment| {
            position += 1;
            !segment.is_empty() || position > last
        });
    }
    segments.iter().flat_map(|segment| [b"/", &**segment].concat()).collect()
}

fn options() -> impl Strategy<Value = RouteOptions> {
    let percent =
        prop_oneof![Just(PercentEncoding::Unreserved), Just(PercentEncoding::Slashes), Just(PercentEncoding::Keep)];
    (any::<[bool; 4]>(), percent).prop_map(|([fold, merge, dots, matrix], percent_encoding)| RouteOptions {
        case: if fold { Case::Insensitive } else { Case::Sensitive },
        duplicate_slashes: if merge { DuplicateSlashes::Merge } else { DuplicateSlashes::Keep },
        dot_segments: if dots { DotSegments::Remove } else { DotSegments::Keep },
        matrix_parameters: if matrix { MatrixParameters::Strip } else { MatrixParameters::Keep },
        percent_encoding,
        ..DEFAULT
    })
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec!["/", ".", "..", "/..", "/.", "//", ";", "%2e", "%2F", "%41", "%", "a", "B"])
            .prop_map(|text| text.as_bytes().to_vec()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    prop::collection::vec(piece, 0..20).prop_map(|pieces| [vec![b'/'], pieces.concat()].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn agrees_with_lists_of_segments(text in text(), options in options()) {
        let mut buffer = vec![0; text.len()];
        let normal = path(&text, &options, &mut buffer).to_vec();
        prop_assert_eq!(&normal, &slowly(&text, &options));
        prop_assert_eq!(normal.first(), Some(&b'/'));
    }

    /// What the rules do not concern stays as it is, and everything stays so once it is in normal form under rules that decode nothing.
    #[test]
    fn the_rules_concern_what_they_change(text in text(), options in options()) {
        let mut room = ROOM;
        let split = Split::new(&text, &mut room).unwrap();
        let text = &text[..split.length];
        let mut buffer = vec![0; text.len()];
        let normal = path(text, &options, &mut buffer);
        prop_assert!(concerns(text, &split, &options) || normal == text);
        let keep = RouteOptions { percent_encoding: PercentEncoding::Keep, ..options };
        let mut again = vec![0; normal.len()];
        // Merging may bring dots together only with slashes, which are gone, so a second time changes nothing but those.
        if options.dot_segments == DotSegments::Keep {
            prop_assert_eq!(path(normal, &keep, &mut again), normal);
        }
    }
}
