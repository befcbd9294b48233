//! The parts of a property's path.

use crate::abi::Status;
use crate::hostcall::Answer;

/// What is left of a path, part by part.
pub(super) type Path<'a> = std::slice::Split<'a, u8, fn(&u8) -> bool>;

/// A path's parts, which a zero byte separates. A closing one is allowed.
pub(super) fn parts(path: &[u8]) -> Path<'_> {
    fn is_separator(byte: &u8) -> bool {
        *byte == 0
    }
    path.strip_suffix(b"\0").unwrap_or(path).split(is_separator)
}

/// Nothing is deeper than what the path has named so far.
pub(super) fn end(mut rest: Path<'_>) -> Answer {
    if rest.next().is_some() { Err(Status::NotFound.into()) } else { Ok(()) }
}
