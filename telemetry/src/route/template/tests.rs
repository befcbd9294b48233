//! Templates that are read, and templates that are refused with a cure.

use super::*;

fn segments(text: &str) -> Vec<Segment> {
    parse(text, &RouteOptions::default()).unwrap_or_else(|problems| panic!("{text}: {problems:?}"))
}

fn fixed(text: &str) -> Segment {
    Segment::Static(text.into())
}

fn partial(prefix: &str, middle: &[&str], suffix: &str) -> Segment {
    Segment::Partial(Box::new(Partial {
        prefix: prefix.into(),
        middle: middle.iter().map(|text| text.as_bytes().to_vec()).collect(),
        suffix: suffix.into(),
    }))
}

#[test]
fn every_notation_is_read() {
    let check = |text: &str, expected: &[Segment]| assert_eq!(segments(text), expected, "{text}");
    check("/", &[fixed("")]);
    check("/a", &[fixed("a")]);
    check("/a/", &[fixed("a"), fixed("")]);
    check("/a//b", &[fixed("a"), fixed(""), fixed("b")]);
    check("/users/{id}", &[fixed("users"), Segment::Parameter]);
    check("/files/{path...}", &[fixed("files"), Segment::Tail]);
    check("/compare/{base}...{head}", &[fixed("compare"), partial("", &["..."], "")]);
    check("/v{n}.json", &[partial("v", &[], ".json")]);
    check("/{name}:cancel", &[partial("", &[], ":cancel")]);
    check("/a{x}b{y}c{z}d", &[partial("a", &["b", "c"], "d")]);
    check("/{enterprise-team}/{a.b}/{_x1}", &[Segment::Parameter, Segment::Parameter, Segment::Parameter]);
    check("/caf%c3%a9/%41", &[fixed("caf%C3%A9"), fixed("A")]);
    check("/a*b/x:y/~!$&'()+,;=@", &[fixed("a*b"), fixed("x:y"), fixed("~!$&'()+,;=@")]);
    check(&"/a".repeat(64), &vec![fixed("a"); 64]);
}

#[test]
fn mistakes_are_named_with_their_cure() {
    let check = |text: &str, expected: &str| {
        assert_eq!(parse(text, &RouteOptions::default()).unwrap_err(), [expected], "{text}")
    };
    check("", "found ``; write a path such as `/` or `/users/{id}`");
    check("users/{id}", "found `users/{id}`; start it with `/`");
    check("/users/{id", "`/users/{id`: `{id` has `{` without `}`; close the parameter");
    check("/users/id}", "`/users/id}`: `id}` has `}` without `{`; open the parameter");
    check("/users/{a{b}}", "`/users/{a{b}}`: `{a{b}}` has `{` inside a parameter; close the first one before it");
    check("/users/{}", "`/users/{}`: `{}` has a parameter without a name; give it one");
    check("/{...}", "`/{...}`: `{...}` has a parameter without a name; give it one");
    check(
        "/{id:int}",
        "`/{id:int}`: `{id:int}` is not a parameter name; use letters, digits, `_`, `-` and `.`, without a type or pattern",
    );
    check("/{id}/{id}", "`/{id}/{id}`: `{id}` is there twice; give each parameter its own name");
    check("/{id}/{id...}", "`/{id}/{id...}`: `{id}` is there twice; give each parameter its own name");
    check("/{a}{b}", "`/{a}{b}`: `{b}` follows another parameter; put text between them");
    check("/{rest...}/x", "`/{rest...}/x`: `{rest...}` takes the rest of the path; make it the whole last segment");
    check("/v{rest...}", "`/v{rest...}`: `{rest...}` takes the rest of the path; make it the whole last segment");
    check(
        "/files/*",
        "`/files/*`: `*` is not a wildcard here; write `{name}` for one segment, `{name...}` at the end for the rest",
    );
    check("/users/:id", "`/users/:id`: `:id` is not a parameter here; write `{id}`");
    check("/users/<int:pk>/", "`/users/<int:pk>/`: `<int:pk>` is not a parameter here; write `{pk}`");
    check("/100%", "`/100%`: `100%` has `%` without two hex digits; write `%25` for a percent sign");
    check("/a?b=1", "`/a?b=1` has `?`; a template is a path alone, so end it before that");
    check("/a b", "`/a b` has ' ', which no request path contains as it is; write it percent-encoded");
    check("/caf\u{e9}", "`/caf\u{e9}` has 'é', which no request path contains as it is; write it percent-encoded");
    check(&"/a".repeat(65), "the template has 65 segments; use at most 64");
    check(&format!("/{}", "a".repeat(512)), "the template has 513 bytes; use at most 512");
    check(
        &format!("/{{{}}}", "n".repeat(65)),
        &format!("`/{{{0}}}`: `{{{0}}}` has 65 bytes; use at most 64", "n".repeat(65)),
    );
}

#[test]
fn all_mistakes_of_a_template_are_reported() {
    assert_eq!(parse("/{a/{b:int}/*", &RouteOptions::default()).unwrap_err().len(), 3);
}

#[test]
fn a_template_that_no_path_could_match_is_refused() {
    use super::super::{DotSegments, DuplicateSlashes, MatrixParameters, PercentEncoding};
    let options = RouteOptions {
        duplicate_slashes: DuplicateSlashes::Merge,
        dot_segments: DotSegments::Remove,
        percent_encoding: PercentEncoding::Slashes,
        matrix_parameters: MatrixParameters::Strip,
        ..RouteOptions::default()
    };
    let check = |text: &str, expected: &str| assert_eq!(parse(text, &options).unwrap_err(), [expected], "{text}");
    check("/a//b", "`/a//b`: `` has two slashes in a row, which `duplicate_slashes: merge` makes one; write one");
    check("//", "`//`: `` has two slashes in a row, which `duplicate_slashes: merge` makes one; write one");
    check(
        "/a/../b",
        "`/a/../b`: `..` has a dot segment, which `dot_segments: remove` resolves; write the path that it stands for",
    );
    check(
        "/a/%2e",
        "`/a/%2e`: `%2e` has a dot segment, which `dot_segments: remove` resolves; write the path that it stands for",
    );
    check("/a%2fb", "`/a%2fb`: `a%2fb` has a slash, which `percent_encoding: slashes` makes of `%2F`; write `/`");
    check(
        "/{a};v={b}",
        "`/{a};v={b}`: `{a};v={b}` has `;`, which `matrix_parameters: strip` takes away with what follows; end the segment before it",
    );
    for text in ["/", "/a/", "/.well-known/..{x}", "/{a}.{b}", "/a%3Bb"] {
        assert!(parse(text, &options).is_ok(), "{text}");
    }
}
