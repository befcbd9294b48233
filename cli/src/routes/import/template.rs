//! A path as descriptions write it, to a template as the route table has it.
//!
//! Parameters come in many notations: `{id}`, `{id:[0-9]+}`, `{path*}`, `{+path}`, `{proxy+}`, `{name=shelves/*}`, `{.format}`, `:id`. One that
//! may hold slashes becomes `{name...}` where it is the last segment; elsewhere one segment is matched, and that is said. What a request path
//! cannot contain is percent-encoded, a query or fragment is cut off. Whatever was changed is told; what cannot be expressed is an error.

use telemetry::route::MAX_SEGMENTS;

use crate::table::printable;

/// The longest parameter name, as the route table has it.
const MAX_NAME: usize = 64;

/// The longest path that is looked at; a template has at most 512 bytes.
const MAX_PATH: usize = 4_096;

/// Why a path is not even looked at.
pub(super) fn too_long(path: &str) -> Option<String> {
    (path.len() > MAX_PATH).then(|| format!("it has {} bytes; a template has at most 512", path.len()))
}

/// A template, and what had to be changed to make it one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Converted {
    pub(super) template: String,
    pub(super) changes: Vec<String>,
}

/// What the description says of a parameter beside its place in the path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Spread {
    /// Nothing: one segment.
    #[default]
    Segment,
    /// It may hold slashes.
    Slashes,
    /// Its values begin with a dot, as Django REST framework's `{format}` does: the dot is text.
    Dotted,
    /// It has this form, in which `*` is a segment and `**` is any number of them: `shelves/*`.
    Form(String),
}

/// A piece of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Parameter { name: String, slashes: bool },
}

/// Converts a path; `spread` tells what is known of a parameter by its name.
pub(super) fn convert(path: &str, spread: &dyn Fn(&str) -> Spread) -> Result<Converted, String> {
    let mut scan = Scan { spread, segments: vec![Vec::new()], changes: Vec::new() };
    scan.path(path)?;
    let Scan { segments, mut changes, .. } = scan;
    if segments.len() > MAX_SEGMENTS {
        return Err(format!("it has {} segments; a template has at most {MAX_SEGMENTS}", segments.len()));
    }
    let segments = segments.into_iter().map(|segment| tidy(segment, &mut changes)).collect();
    Ok(Converted { template: write(segments, &mut changes), changes })
}

/// A template from pieces that were found elsewhere: text, or a parameter and whether it may hold slashes.
pub(super) fn from_segments(given: Vec<Vec<(String, Option<bool>)>>) -> Converted {
    let mut changes = Vec::new();
    let segments = given
        .into_iter()
        .map(|segment| {
            let pieces = segment.into_iter().map(|(text, parameter)| match parameter {
                Some(slashes) => Piece::Parameter { name: text, slashes },
                None => Piece::Text(text),
            });
            tidy(pieces.collect(), &mut changes)
        })
        .collect();
    Converted { template: write(segments, &mut changes), changes }
}

struct Scan<'a> {
    spread: &'a dyn Fn(&str) -> Spread,
    segments: Vec<Vec<Piece>>,
    changes: Vec<String>,
}

impl Scan<'_> {
    fn path(&mut self, path: &str) -> Result<(), String> {
        let trimmed = path.trim();
        if trimmed.len() != path.len() {
            self.changes.push("blanks around it were left out".to_owned());
        }
        let mut rest = trimmed;
        match rest.strip_prefix('/') {
            Some(after) => rest = after,
            None => self.changes.push("a `/` was put before it".to_owned()),
        }
        while let Some(found) = rest.chars().next() {
            let after = rest.get(found.len_utf8()..).unwrap_or_default();
            rest = match found {
                '/' => {
                    self.slash();
                    after
                }
                '{' => {
                    let inner = braced(after).ok_or_else(|| format!("`{}` has `{{` without `}}`", short(path)))?;
                    self.parameter(inner)?;
                    after.get(inner.len() + 1..).unwrap_or_default()
                }
                '}' => return Err(format!("`{}` has `}}` without `{{`", short(path))),
                '?' | '#' => {
                    self.changes.push(format!("`{}` was cut off; a template is a path alone", short(rest)));
                    ""
                }
                _ => {
                    self.text(found);
                    after
                }
            };
        }
        Ok(())
    }

    fn slash(&mut self) {
        self.segments.push(Vec::new());
    }

    fn push(&mut self, piece: Piece) {
        if let Some(segment) = self.segments.last_mut() {
            segment.push(piece);
        }
    }

    fn text(&mut self, found: char) {
        match self.segments.last_mut().and_then(|segment| segment.last_mut()) {
            Some(Piece::Text(text)) => text.push(found),
            Some(Piece::Parameter { .. }) | None => self.push(Piece::Text(found.to_string())),
        }
    }

    /// What stands between two braces.
    fn parameter(&mut self, inner: &str) -> Result<(), String> {
        let inner = inner.trim();
        // RFC 6570's operators.
        let (slashes, body) = match inner.chars().next() {
            Some('+') => (true, inner.get(1..).unwrap_or_default()),
            Some('?' | '&' | '#' | ';') => {
                self.changes.push(format!("`{{{}}}` was left out; it is no part of the path", short(inner)));
                return Ok(());
            }
            Some('/') => {
                for name in inner.get(1..).unwrap_or_default().split(',') {
                    self.slash();
                    self.named(name, false)?;
                }
                return Ok(());
            }
            Some('.') => {
                for name in inner.get(1..).unwrap_or_default().split(',') {
                    self.text('.');
                    self.named(name, false)?;
                }
                return Ok(());
            }
            _ => (false, inner),
        };
        self.named(body, slashes)
    }

    /// A parameter with the marks that routers put on its name.
    fn named(&mut self, body: &str, mut slashes: bool) -> Result<(), String> {
        let body = body.trim();
        let (body, form) = match body.split_once('=') {
            Some((name, form)) if !name.contains(':') => (name, Some(form.to_owned())),
            _ => (body, None),
        };
        let (name, kind) = body.split_once(':').map_or((body, None), |(name, kind)| (name, Some(kind.trim())));
        let name = name.trim();
        let bare = name.trim_start_matches('*');
        slashes |= bare.len() != name.len();
        let name = bare;
        let bare = name.trim_end_matches(['*', '+']);
        let bare = bare.strip_suffix("...").unwrap_or(bare);
        slashes |= bare.len() != name.len();
        let name = match bare.strip_suffix('?') {
            Some(required) => {
                self.changes.push(format!("`{{{}}}` may be left out of a path; here it may not", short(bare)));
                required
            }
            None => bare,
        };
        if let Some(kind) = kind {
            slashes |= kind == "path" || kind.contains(".*") || kind.contains(".+") || kind.contains('/');
        }
        let said = [body, name].into_iter().map(self.spread).find(|spread| *spread != Spread::Segment);
        let form = match said {
            Some(Spread::Form(said)) => form.or(Some(said)),
            Some(Spread::Slashes) => {
                slashes = true;
                form
            }
            Some(Spread::Dotted) => {
                self.text('.');
                form
            }
            Some(Spread::Segment) | None => form,
        };
        match form {
            Some(form) => self.form(name, &form),
            None => {
                self.push(Piece::Parameter { name: name.to_owned(), slashes });
                Ok(())
            }
        }
    }

    /// Google's `{name=shelves/*/books/**}`.
    fn form(&mut self, name: &str, form: &str) -> Result<(), String> {
        if form.is_empty() || form.contains(['{', '}']) {
            return Err(format!("`{{{}={}}}` has a form that cannot be expressed", short(name), short(form)));
        }
        let wild = form.split('/').filter(|segment| matches!(*segment, "*" | "**")).count();
        let mut number = 0;
        for (position, segment) in form.split('/').enumerate() {
            if position > 0 {
                self.slash();
            }
            if matches!(segment, "*" | "**") {
                number += 1;
                let name = if wild > 1 { format!("{name}_{number}") } else { name.to_owned() };
                self.push(Piece::Parameter { name, slashes: segment == "**" });
            } else {
                segment.chars().for_each(|found| self.text(found));
            }
        }
        Ok(())
    }
}

/// The text up to the brace that closes the one before it; patterns may have braces of their own.
fn braced(text: &str) -> Option<&str> {
    let mut open = 1_usize;
    for (at, found) in text.char_indices() {
        match found {
            '{' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return text.get(..at);
        }
    }
    None
}

/// One segment in order: other routers' notations read, neighbouring parameters made one, text encoded.
fn tidy(segment: Vec<Piece>, changes: &mut Vec<String>) -> Vec<Piece> {
    if let [Piece::Text(text)] = segment.as_slice()
        && let Some(parameter) = foreign(text)
    {
        if let Piece::Parameter { name, .. } = &parameter {
            changes.push(format!("`{}` was taken for the parameter `{{{}}}`", short(text), short(&sanitised(name))));
        }
        return vec![parameter];
    }
    let mut tidied: Vec<Piece> = Vec::with_capacity(segment.len());
    for piece in segment {
        match (piece, tidied.last_mut()) {
            (Piece::Parameter { name, slashes }, Some(Piece::Parameter { name: before, slashes: either })) => {
                changes.push(format!(
                    "`{{{}}}{{{}}}` has no text between the two; they are one parameter",
                    short(before),
                    short(&name)
                ));
                // What is past the bound is cut off in the end; here it only must not add up.
                if before.len() < MAX_NAME {
                    *before = format!("{before}_{name}");
                }
                *either |= slashes;
            }
            (Piece::Text(text), _) => tidied.push(Piece::Text(encoded(&text, changes))),
            (parameter @ Piece::Parameter { .. }, _) => tidied.push(parameter),
        }
    }
    tidied
}

/// `:id`, `<int:id>`, `*` and `**`.
fn foreign(text: &str) -> Option<Piece> {
    let identifier = |name: &str| {
        !name.is_empty() && name.chars().all(|found| found.is_ascii_alphanumeric() || matches!(found, '_' | '-' | '.'))
    };
    if let Some(name) = text.strip_prefix(':').filter(|name| identifier(name)) {
        return Some(Piece::Parameter { name: name.to_owned(), slashes: false });
    }
    if let Some(inner) = text.strip_prefix('<').and_then(|text| text.strip_suffix('>')) {
        let (kind, name) = inner.rsplit_once(':').unwrap_or(("", inner));
        return Some(Piece::Parameter { name: name.to_owned(), slashes: kind == "path" });
    }
    match text {
        "*" => Some(Piece::Parameter { name: "any".to_owned(), slashes: true }),
        "**" => Some(Piece::Parameter { name: "rest".to_owned(), slashes: true }),
        _ => None,
    }
}

/// The text as a request path has it.
fn encoded(text: &str, changes: &mut Vec<String>) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(bytes.len());
    for (at, byte) in bytes.iter().enumerate() {
        let triplet = matches!(bytes.get(at..), Some([b'%', high, low, ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit());
        if byte.is_ascii_graphic() && (*byte != b'%' || triplet) && !matches!(byte, b'{' | b'}' | b'?' | b'#') {
            out.push(char::from(*byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    if out.len() != text.len() {
        changes.push(format!("`{}` is written `{}`, as in a request", short(text), short(&out)));
    }
    out
}

/// The name with the characters that a parameter may have.
fn sanitised(name: &str) -> String {
    let mut out: String = name
        .chars()
        .take(MAX_NAME)
        .map(|found| if found.is_ascii_alphanumeric() || matches!(found, '_' | '-' | '.') { found } else { '_' })
        .collect();
    out.truncate(out.trim_end_matches('.').len());
    if out.is_empty() { "parameter".to_owned() } else { out }
}

/// The template's text: names made unique, `...` at the end of one that may hold slashes.
fn write(mut segments: Vec<Vec<Piece>>, changes: &mut Vec<String>) -> String {
    if let [.., before, last] = segments.as_slice()
        && last.is_empty()
        && matches!(before.as_slice(), [Piece::Parameter { slashes: true, .. }])
    {
        // The rest of a path may end in a slash as it is.
        segments.pop();
    }
    let mut out = String::new();
    let mut names: Vec<String> = Vec::new();
    let count = segments.len();
    for (position, segment) in segments.into_iter().enumerate() {
        out.push('/');
        let whole = segment.len() == 1 && position + 1 == count;
        for piece in segment {
            let (given, slashes) = match piece {
                Piece::Text(text) => {
                    out.push_str(&text);
                    continue;
                }
                Piece::Parameter { name, slashes } => (name, slashes),
            };
            let plain = sanitised(&given);
            if plain != given {
                changes.push(format!("the parameter `{}` is called `{plain}`", short(&given)));
            }
            let name = unique(&plain, &names);
            if name != plain {
                changes.push(format!("`{{{plain}}}` is there twice; the later one is `{{{name}}}`"));
            }
            if slashes && !whole {
                changes.push(format!(
                    "`{{{name}}}` may hold slashes, but is not the whole last segment; it matches one segment"
                ));
            }
            out.push('{');
            out.push_str(&name);
            out.push_str(if slashes && whole { "...}" } else { "}" });
            names.push(name);
        }
    }
    out
}

fn unique(name: &str, taken: &[String]) -> String {
    if !taken.iter().any(|other| other == name) {
        return name.to_owned();
    }
    // A template has at most as many parameters as names are tried here, and one of those is free.
    let tried = (2..=taken.len() + 2).map(|number| {
        let suffix = format!("_{number}");
        let kept = name.get(..name.len().min(MAX_NAME - suffix.len())).unwrap_or(name);
        format!("{kept}{suffix}")
    });
    tried.into_iter().find(|tried| !taken.contains(tried)).unwrap_or_else(|| name.to_owned())
}

/// The start of a text, for a message.
pub(super) fn short(text: &str) -> String {
    const MOST: usize = 80;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", printable(text.get(..end).unwrap_or_default())),
        None => printable(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telemetry::route::{RouteOptions, RouteSpec, RouteTable};

    fn plain(path: &str) -> Result<Converted, String> {
        convert(path, &|_| Spread::Segment)
    }

    fn check(path: &str, expected: &str, changes: &[&str]) {
        let found = plain(path).unwrap();
        assert_eq!(found.template, expected, "{path}");
        assert_eq!(found.changes.len(), changes.len(), "{path}: {:?}", found.changes);
        for (found, expected) in found.changes.iter().zip(changes) {
            assert!(found.contains(expected), "{path}: {found}");
        }
        let route = RouteSpec { methods: None, template: expected.to_owned(), name: None };
        RouteTable::build(&[route], &RouteOptions::default()).unwrap_or_else(|problems| panic!("{path}: {problems:?}"));
    }

    #[test]
    fn plain_paths_stay_as_they_are() {
        for path in ["/", "/a", "/a/", "/a//b", "/{id}", "/repos/{owner}/{repo}/compare/{base}...{head}", "/v{n}.json"]
        {
            check(path, path, &[]);
        }
        check("/users('{id}')/messages", "/users('{id}')/messages", &[]);
        check("/v1/{name}:cancel", "/v1/{name}:cancel", &[]);
        check("/a%20b/%C3%A9", "/a%20b/%C3%A9", &[]);
        check("/@me/~x/$batch", "/@me/~x/$batch", &[]);
    }

    #[test]
    fn parameters_in_other_notations_are_read() {
        check("/a/{ id }", "/a/{id}", &[]);
        check("/a/{id:[0-9]{3}}", "/a/{id}", &[]);
        check("/a/{id:int}", "/a/{id}", &[]);
        check("/a/{id:3}", "/a/{id}", &[]);
        check("/a/:id/b", "/a/{id}/b", &["`:id` was taken for"]);
        check("/a/:.", "/a/{parameter}", &["`:.` was taken for", "is called"]);
        check("/a/<int:id>", "/a/{id}", &["`<int:id>` was taken for"]);
        check("/a{.format}", "/a.{format}", &[]);
        check("/a{/x,y}", "/a/{x}/{y}", &[]);
        check("/a/{id?}", "/a/{id}", &["may be left out"]);
        check("/v1/{name=shelves/*}", "/v1/shelves/{name}", &[]);
        check("/v1/{name=shelves/*/books/*}:read", "/v1/shelves/{name_1}/books/{name_2}:read", &[]);
        check("/v1/{name=*}", "/v1/{name}", &[]);
    }

    #[test]
    fn one_that_holds_slashes_is_the_rest_where_it_is_last() {
        for path in [
            "{path+}",
            "{+path}",
            "{path*}",
            "{*path}",
            "{**path}",
            "{path...}",
            "{path:.*}",
            "{path:path}",
            "{path=**}",
            "{path+}/",
        ] {
            check(&format!("/files/{path}"), "/files/{path...}", &[]);
        }
        check("/{proxy+}", "/{proxy...}", &[]);
        check("/v1/{name=shelves/**}", "/v1/shelves/{name...}", &[]);
        check("/a/<path:rest>", "/a/{rest...}", &["was taken for"]);
        check("/api/*", "/api/{any...}", &["`*` was taken for"]);
        check("/api/**", "/api/{rest...}", &["`**` was taken for"]);
        check("/a{/path*}", "/a/{path...}", &[]);
        check("/a/{path+}/b", "/a/{path}/b", &["may hold slashes"]);
        check("/a/x{path+}", "/a/x{path}", &["may hold slashes"]);
        check("/v1/{name=operations/**}:cancel", "/v1/operations/{name}:cancel", &["may hold slashes"]);
    }

    #[test]
    fn what_the_description_says_of_a_parameter_counts() {
        let spread = |name: &str| match name {
            "path" => Spread::Slashes,
            "name" => Spread::Form("projects/*".to_owned()),
            "format" => Spread::Dotted,
            _ => Spread::Segment,
        };
        let check =
            |path: &str, expected: &str| assert_eq!(convert(path, &spread).unwrap().template, expected, "{path}");
        check("/a/{path}", "/a/{path...}");
        check("/a/{path}/b", "/a/{path}/b");
        check("/v1/{name}/x", "/v1/projects/{name}/x");
        check("/v1/{other}/x", "/v1/{other}/x");
        check("/v1/{id}{format}", "/v1/{id}.{format}");
    }

    #[test]
    fn faults_are_mended_and_told() {
        check("a/b", "/a/b", &["a `/` was put before it"]);
        check("", "/", &["a `/` was put before it"]);
        check(" /a ", "/a", &["blanks around it"]);
        check("/a b/é", "/a%20b/%C3%A9", &["`a b` is written `a%20b`", "`é` is written `%C3%A9`"]);
        check("/100%", "/100%25", &["`100%` is written `100%25`"]);
        check("/a\0\u{1b}", "/a%00%1B", &["is written"]);
        check("/a?x={x}", "/a", &["`?x={x}` was cut off"]);
        check("/a#top", "/a", &["`#top` was cut off"]);
        check("/a{?x,y}", "/a", &["`{?x,y}` was left out"]);
        check("/{a}/{a}/{a}", "/{a}/{a_2}/{a_3}", &["is there twice", "is there twice"]);
        check("/{a}{b}/c", "/{a_b}/c", &["has no text between the two"]);
        check("/{a}{b+}", "/{a_b...}", &["has no text between the two"]);
        check("/{user name}", "/{user_name}", &["the parameter `user name` is called `user_name`"]);
        check("/<{x}>", "/<{x}>", &[]);
        check("/{}", "/{parameter}", &["the parameter `` is called `parameter`"]);
        check("/{é}", "/{_}", &["is called `_`"]);
        check("/{a$b}/{a b}", "/{a_b}/{a_b_2}", &["is called", "is called", "is there twice"]);
        let long = "n".repeat(500);
        check(
            &format!("/{{{long}}}/{{{long}}}"),
            &format!("/{{{}}}/{{{}_2}}", "n".repeat(64), "n".repeat(62)),
            &["is called", "is called", "twice"],
        );
    }

    #[test]
    fn what_cannot_be_expressed_is_an_error() {
        let check = |path: &str, expected: &str| {
            let error = plain(path).unwrap_err();
            assert!(error.contains(expected), "{path}: {error}");
        };
        check("/a/{b", "`{` without `}`");
        check("/a/b}", "`}` without `{`");
        check("/{a=}", "cannot be expressed");
        check(&"/a".repeat(100), "100 segments");
    }

    proptest::proptest! {
        /// Whatever a description holds, the result is a template, or so long that the table says so.
        #[test]
        fn any_path_becomes_a_template_or_an_error(pieces in proptest::collection::vec(proptest::sample::select(vec![
            "/", "{", "}", "a", "id", "+", "*", "**", ":", "=", "?", "#", "%", "%41", "é", "\0", " ", ".", "...", "<", ">", "{x}", "{x+}", "{y=a/*}", ",", ";", "&",
        ]), 0..14)) {
            let path = pieces.concat();
            if let Ok(found) = plain(&path) {
                let route = RouteSpec { methods: None, template: found.template.clone(), name: None };
                proptest::prop_assert!(RouteTable::build(&[route], &RouteOptions::default()).is_ok(), "{:?}: {:?}", path, found);
            }
        }
    }
}
