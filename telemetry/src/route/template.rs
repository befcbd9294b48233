//! Path templates: text to segments, with every mistake named.

use std::cmp::Ordering;

use super::normalise::{self, is_triplet};
use super::{MAX_SEGMENTS, RouteOptions};

/// The longest template. It is a label value, and every series carries it.
const MAX_TEMPLATE: usize = 512;
/// The longest parameter name.
const MAX_PARAMETER: usize = 64;

/// One segment of a template, literals in the normal form in which paths are compared. The parameters' names are not part of it, so equal
/// segments match the same text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Segment {
    /// Exactly this text; empty between two slashes and after a slash at the end.
    Static(Vec<u8>),
    /// Literals with parameters between them; in a box, since few segments are one and all take the same room.
    Partial(Box<Partial>),
    /// `{name}`: any segment that is not empty.
    Parameter,
    /// `{name...}`: the rest of the path, if that is not empty.
    Tail,
}

/// A segment of literals and parameters: `{base}...{head}`, `v{n}.json`.
///
/// **Invariant:** every literal in `middle` is non-empty, and `prefix`, `middle` and `suffix` are not all empty.
/// They are ordered as the partial segments of one place are tried: the most telling literals first, then by text, so that the order of the table
/// does not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Partial {
    /// Before the first parameter; may be empty.
    pub(super) prefix: Vec<u8>,
    /// Between two parameters.
    pub(super) middle: Vec<Vec<u8>>,
    /// After the last parameter; may be empty.
    pub(super) suffix: Vec<u8>,
}

impl Partial {
    fn total(&self) -> usize {
        self.prefix.len() + self.suffix.len() + self.middle.iter().map(Vec::len).sum::<usize>()
    }
}

impl Ord for Partial {
    fn cmp(&self, other: &Self) -> Ordering {
        let longer = |a: usize, b: usize| b.cmp(&a);
        longer(self.prefix.len(), other.prefix.len())
            .then_with(|| longer(self.suffix.len(), other.suffix.len()))
            .then_with(|| longer(self.total(), other.total()))
            .then_with(|| other.prefix.cmp(&self.prefix))
            .then_with(|| other.middle.cmp(&self.middle))
            .then_with(|| other.suffix.cmp(&self.suffix))
    }
}

impl PartialOrd for Partial {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A piece of a segment's text.
enum Piece<'a> {
    Literal(&'a str),
    Parameter(&'a str),
}

/// Reads a template into its segments.
pub(super) fn parse(text: &str, options: &RouteOptions) -> Result<Vec<Segment>, Vec<String>> {
    let mut problems = Vec::new();
    let Some(path) = text.strip_prefix('/') else {
        let cure = if text.is_empty() { "write a path such as `/` or `/users/{id}`" } else { "start it with `/`" };
        return Err(vec![format!("found `{text}`; {cure}")]);
    };
    if text.len() > MAX_TEMPLATE {
        return Err(vec![format!("the template has {} bytes; use at most {MAX_TEMPLATE}", text.len())]);
    }
    if let Some(found) = text.chars().find(|found| !found.is_ascii_graphic()) {
        problems
            .push(format!("`{text}` has {found:?}, which no request path contains as it is; write it percent-encoded"));
    }
    if let Some(found) = text.chars().find(|found| matches!(found, '?' | '#')) {
        problems.push(format!("`{text}` has `{found}`; a template is a path alone, so end it before that"));
    }
    let count = path.split('/').count();
    if count > MAX_SEGMENTS {
        problems.push(format!("the template has {count} segments; use at most {MAX_SEGMENTS}"));
    }
    let mut names: Vec<&str> = Vec::new();
    let mut segments = Vec::with_capacity(count);
    for (position, segment) in path.split('/').enumerate() {
        match pieces(segment).and_then(|pieces| compile(segment, &pieces, position + 1 == count, options, &mut names)) {
            Ok(segment) => segments.push(segment),
            Err(problem) => problems.push(format!("`{text}`: {problem}")),
        }
    }
    if problems.is_empty() { Ok(segments) } else { Err(problems) }
}

/// Cuts a segment at its braces.
fn pieces(segment: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = segment;
    while !rest.is_empty() {
        let Some((literal, after)) = rest.split_once('{') else {
            pieces.push(Piece::Literal(rest));
            break;
        };
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        let Some((name, after)) = after.split_once('}') else {
            return Err(format!("`{segment}` has `{{` without `}}`; close the parameter"));
        };
        if name.contains('{') {
            return Err(format!("`{segment}` has `{{` inside a parameter; close the first one before it"));
        }
        pieces.push(Piece::Parameter(name));
        rest = after;
    }
    if pieces.iter().any(|piece| matches!(piece, Piece::Literal(text) if text.contains('}'))) {
        return Err(format!("`{segment}` has `}}` without `{{`; open the parameter"));
    }
    Ok(pieces)
}

fn compile<'a>(
    segment: &str,
    pieces: &[Piece<'a>],
    last: bool,
    options: &RouteOptions,
    names: &mut Vec<&'a str>,
) -> Result<Segment, String> {
    for piece in pieces {
        match piece {
            Piece::Literal(text) => check_literal(segment, text)?,
            Piece::Parameter(name) => {
                let plain = name.strip_suffix("...").unwrap_or(name);
                check_name(segment, plain)?;
                if names.contains(&plain) {
                    return Err(format!("`{{{plain}}}` is there twice; give each parameter its own name"));
                }
                names.push(plain);
            }
        }
    }
    let literal = |text: &str| normalise::literal(text.as_bytes(), options);
    let alone = pieces.iter().all(|piece| matches!(piece, Piece::Literal(_)));
    let mut literals = pieces.iter().filter_map(|piece| match piece {
        Piece::Literal(text) => Some(literal(text)),
        Piece::Parameter(_) => None,
    });
    let empty = pieces.is_empty().then(Vec::new);
    if let Some(why) = literals.by_ref().chain(empty).find_map(|text| normalise::never(&text, alone, last, options)) {
        return Err(format!("`{segment}` has {why}"));
    }
    match pieces {
        [] => return Ok(Segment::Static(Vec::new())),
        [Piece::Literal(text)] => return Ok(Segment::Static(literal(text))),
        [Piece::Parameter(name)] if !name.ends_with("...") => return Ok(Segment::Parameter),
        [Piece::Parameter(_)] if last => return Ok(Segment::Tail),
        _ => {}
    }
    if let Some(name) = pieces.iter().find_map(|piece| match piece {
        Piece::Parameter(name) if name.ends_with("...") => Some(name),
        Piece::Literal(_) | Piece::Parameter(_) => None,
    }) {
        return Err(format!("`{{{name}}}` takes the rest of the path; make it the whole last segment"));
    }
    let mut partial = Partial { prefix: Vec::new(), middle: Vec::new(), suffix: Vec::new() };
    let mut after_parameter = false;
    for (position, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Literal(text) if position == 0 => partial.prefix = literal(text),
            Piece::Literal(text) if position + 1 == pieces.len() => partial.suffix = literal(text),
            Piece::Literal(text) => partial.middle.push(literal(text)),
            Piece::Parameter(name) if after_parameter => {
                return Err(format!("`{{{name}}}` follows another parameter; put text between them"));
            }
            Piece::Parameter(_) => {}
        }
        after_parameter = matches!(piece, Piece::Parameter(_));
    }
    Ok(Segment::Partial(Box::new(partial)))
}

/// A literal has to be something that a request path can contain, and a segment without parameters not another router's notation for one.
fn check_literal(segment: &str, text: &str) -> Result<(), String> {
    if text == segment {
        check_notation(segment)?;
    }
    let bytes = text.as_bytes();
    let stray =
        bytes.iter().enumerate().any(|(at, byte)| *byte == b'%' && !is_triplet(bytes.get(at..).unwrap_or_default()));
    if stray {
        return Err(format!("`{text}` has `%` without two hex digits; write `%25` for a percent sign"));
    }
    Ok(())
}

fn check_notation(segment: &str) -> Result<(), String> {
    if segment == "*" || segment == "**" {
        return Err(format!(
            "`{segment}` is not a wildcard here; write `{{name}}` for one segment, `{{name...}}` at the end for the rest"
        ));
    }
    if let Some(name) = segment.strip_prefix(':').filter(|name| check_name(segment, name).is_ok()) {
        return Err(format!("`:{name}` is not a parameter here; write `{{{name}}}`"));
    }
    if segment.starts_with('<') && segment.ends_with('>') {
        let name = segment.trim_matches(['<', '>']);
        let name = name.rsplit_once(':').map_or(name, |(_type, name)| name);
        return Err(format!("`{segment}` is not a parameter here; write `{{{name}}}`"));
    }
    Ok(())
}

fn check_name(segment: &str, name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err(format!("`{segment}` has a parameter without a name; give it one"));
    }
    if name.len() > MAX_PARAMETER {
        return Err(format!("`{{{name}}}` has {} bytes; use at most {MAX_PARAMETER}", name.len()));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if !name.bytes().all(allowed) {
        return Err(format!(
            "`{{{name}}}` is not a parameter name; use letters, digits, `_`, `-` and `.`, without a type or pattern"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
