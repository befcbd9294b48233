//! The form in which paths and literals are compared, by the configured rules.
//!
//! In this order, which is Envoy's (and Tomcat's for matrix parameters):
//!
//! 1. `percent_encoding`: `%41` becomes `A` where that is an unreserved character (letters, digits, `-`, `.`, `_`, `~`; RFC 3986 section 6.2.2),
//!    with `slashes` `%2F` becomes `/`; every other `%2f` becomes `%2F`; a `%` without two hex digits stays. One pass, so `%2541` stays `%2541`.
//! 2. `case`: ASCII letters become lower-case.
//! 3. `matrix_parameters`: a segment ends before `;`.
//! 4. `dot_segments`: `.` and `..` are resolved (RFC 3986 section 5.2.4).
//! 5. `duplicate_slashes`: runs of slashes become one.
//!
//! By default only the first step is on, and without slashes: it cannot change what a path means. The others are for upstreams that read paths
//! so, and for proxies that rewrite paths behind the filter; a filter that saw another path than the upstream would lie.

use super::split::Split;
use super::{Case, DotSegments, DuplicateSlashes, MatrixParameters, PercentEncoding, RouteOptions};

/// Whether the text begins with `%` and two hex digits.
#[inline]
pub(super) fn is_triplet(text: &[u8]) -> bool {
    matches!(text, [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
}

/// The normal form of a template's literal. What the rules about segments would change is no literal; see [`never`].
pub(super) fn literal(text: &[u8], options: &RouteOptions) -> Vec<u8> {
    let mut normal = Vec::with_capacity(text.len());
    each_byte(text, options, |byte| normal.push(byte));
    normal
}

/// Why no path in normal form has a segment in this place of a template, and the cure. `literal` is the segment's text in normal form, or of a
/// segment with parameters one of its literals.
pub(super) fn never(literal: &[u8], alone: bool, last: bool, options: &RouteOptions) -> Option<&'static str> {
    if literal.contains(&b'/') {
        return Some("a slash, which `percent_encoding: slashes` makes of `%2F`; write `/`");
    }
    if options.matrix_parameters == MatrixParameters::Strip && literal.contains(&b';') {
        return Some("`;`, which `matrix_parameters: strip` takes away with what follows; end the segment before it");
    }
    if options.dot_segments == DotSegments::Remove && alone && matches!(literal, b"." | b"..") {
        return Some("a dot segment, which `dot_segments: remove` resolves; write the path that it stands for");
    }
    if options.duplicate_slashes == DuplicateSlashes::Merge && alone && literal.is_empty() && !last {
        return Some("two slashes in a row, which `duplicate_slashes: merge` makes one; write one");
    }
    None
}

/// Whether a path may be written otherwise in normal form.
#[inline]
pub(super) fn concerns(path: &[u8], split: &Split<'_>, options: &RouteOptions) -> bool {
    if !split.percent && keeps_plain_text(options) {
        return false;
    }
    (split.percent && options.percent_encoding != PercentEncoding::Keep && has_triplet(path, split))
        || options.case == Case::Insensitive
        || (options.rewrites_segments() && concerns_segments(path, split, options))
}

#[inline]
fn has_triplet(path: &[u8], split: &Split<'_>) -> bool {
    let mut rest = path.get(..split.length).unwrap_or_default();
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        rest = rest.get(at..).unwrap_or_default();
        if is_triplet(rest) {
            return true;
        }
        rest = rest.get(1..).unwrap_or_default();
    }
    false
}

#[inline]
fn concerns_segments(path: &[u8], split: &Split<'_>, options: &RouteOptions) -> bool {
    let path = path.get(..split.length).unwrap_or_default();
    let mut segments = (0..split.segments).map(|index| {
        let (start, end) = split.range(index);
        path.get(start..end).unwrap_or_default()
    });
    (options.matrix_parameters == MatrixParameters::Strip && path.contains(&b';'))
        || (options.dot_segments == DotSegments::Remove && segments.any(|segment| matches!(segment, b"." | b"..")))
        || (options.duplicate_slashes == DuplicateSlashes::Merge && path.windows(2).any(|pair| pair == b"//"))
}

/// Whether every path without `%` is in normal form.
#[inline]
pub(super) const fn keeps_plain_text(options: &RouteOptions) -> bool {
    matches!(options.case, Case::Sensitive) && !options.rewrites_segments()
}

impl RouteOptions {
    /// Whether a rule is on that changes which segments a path has.
    #[inline]
    const fn rewrites_segments(&self) -> bool {
        matches!(self.duplicate_slashes, DuplicateSlashes::Merge)
            || matches!(self.dot_segments, DotSegments::Remove)
            || matches!(self.matrix_parameters, MatrixParameters::Strip)
    }
}

/// Writes the normal form of a path, which begins with `/` and is never longer than the path, and gives back what was written.
#[inline]
pub(super) fn path<'a>(text: &[u8], options: &RouteOptions, to: &'a mut [u8]) -> &'a [u8] {
    let mut length = 0;
    each_byte(text, options, |byte| {
        if let Some(slot) = to.get_mut(length) {
            *slot = byte;
            length += 1;
        }
    });
    let mut pass = |on: bool, rewrite: fn(&mut [u8]) -> usize| {
        if on {
            length = rewrite(to.get_mut(..length).unwrap_or_default());
        }
    };
    pass(options.matrix_parameters == MatrixParameters::Strip, strip_matrix_parameters);
    pass(options.dot_segments == DotSegments::Remove, remove_dot_segments);
    pass(options.duplicate_slashes == DuplicateSlashes::Merge, merge_slashes);
    to.get(..length).unwrap_or_default()
}

#[inline]
fn each_byte(text: &[u8], options: &RouteOptions, mut put: impl FnMut(u8)) {
    let mut put = |byte: u8| match options.case {
        Case::Sensitive => put(byte),
        Case::Insensitive => put(byte.to_ascii_lowercase()),
    };
    if options.percent_encoding == PercentEncoding::Keep {
        text.iter().for_each(|byte| put(*byte));
        return;
    }
    let slashes = options.percent_encoding == PercentEncoding::Slashes;
    let digit = |at: usize| text.get(at).copied().and_then(hex_value);
    let mut at = 0;
    while let Some(byte) = text.get(at).copied() {
        at += 1;
        if byte != b'%' {
            put(byte);
            continue;
        }
        let (Some(high), Some(low)) = (digit(at), digit(at + 1)) else {
            put(byte);
            continue;
        };
        at += 2;
        let byte = high << 4 | low;
        let unreserved = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        if unreserved || (slashes && byte == b'/') {
            put(byte);
        } else {
            put(b'%');
            put(hex_digit(high));
            put(hex_digit(low));
        }
    }
}

/// Shortens each segment to what stands before `;`; gives back the new length.
#[inline]
fn strip_matrix_parameters(path: &mut [u8]) -> usize {
    let mut skipping = false;
    compact(path, |byte, _| {
        skipping = byte == b';' || (skipping && byte != b'/');
        !skipping
    })
}

/// Makes one slash of each run; gives back the new length.
#[inline]
fn merge_slashes(path: &mut [u8]) -> usize {
    compact(path, |byte, before| byte != b'/' || before != Some(b'/'))
}

/// Keeps the bytes for which `keep` says so, given the byte and the one kept before it.
#[inline]
fn compact(path: &mut [u8], mut keep: impl FnMut(u8, Option<u8>) -> bool) -> usize {
    let mut length = 0;
    let mut before = None;
    for index in 0..path.len() {
        let Some(byte) = path.get(index).copied() else { break };
        if keep(byte, before)
            && let Some(slot) = path.get_mut(length)
        {
            *slot = byte;
            before = Some(byte);
            length += 1;
        }
    }
    length
}

/// Resolves `.` and `..` in a path that begins with `/`; gives back the new length.
#[inline]
fn remove_dot_segments(path: &mut [u8]) -> usize {
    let mut length = 0;
    let mut start = 0;
    while start < path.len() {
        // One segment, with the slash before it.
        let after = path.get(start + 1..).unwrap_or_default();
        let end = after.iter().position(|byte| *byte == b'/').map_or(path.len(), |position| start + 1 + position);
        let dots = match path.get(start + 1..end).unwrap_or_default() {
            b"." => 1,
            b".." => 2,
            _ => 0,
        };
        if dots == 0 {
            path.copy_within(start..end, length);
            length += end - start;
        } else {
            if dots == 2 {
                let kept = path.get(..length).unwrap_or_default();
                length = kept.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
            }
            // At the end, what was named is a folder: its slash stays.
            if end == path.len()
                && let Some(slot) = path.get_mut(length)
            {
                *slot = b'/';
                length += 1;
            }
        }
        start = end;
    }
    length
}

/// The value of a hex digit.
#[inline]
const fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// The upper-case hex digit of a value below 16.
#[inline]
const fn hex_digit(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'A' - 10 + value }
}

#[cfg(test)]
mod tests;
