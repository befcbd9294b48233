//! Values at declared places of a JSON document that arrives in pieces and is never kept.
//!
//! [`Pointers`] are the places, JSON pointers (RFC 6901) compiled once with the configuration. A [`Reader`] is fed with a body as it comes, in
//! pieces of any size, and keeps the values at those places and nothing else. Its memory is bounded by the pointers, its work is linear in the
//! bytes, and it allocates nothing once it has seen documents of the same kind.
//!
//! ```
//! use telemetry::json::{Document, Pointers, Reader, Value};
//!
//! let pointers = Pointers::compile(&["/decision", "/risk/score", "/approvers", "/approvers/0"])?;
//! let mut reader = Reader::new();
//! reader.reset(&pointers);
//! for piece in [&br#"{"decision":"appr"#[..], br#"oved","risk":{"score":4"#, br#"2.50},"approvers":["\u0061da"]}"#] {
//!     reader.feed(&pointers, piece);
//! }
//! assert_eq!(reader.finish(), Document::Complete);
//! assert_eq!(reader.value(&pointers, 0), Some(Value::Text("approved")));
//! assert_eq!(reader.value(&pointers, 1), Some(Value::Number("42.50")));
//! assert_eq!(reader.value(&pointers, 2), Some(Value::Items(1)));
//! assert_eq!(reader.value(&pointers, 3), Some(Value::Text("ada")));
//! # Ok::<(), telemetry::json::PointerError>(())
//! ```
//!
//! # Rules
//!
//! - The grammar is that of RFC 8259, to the letter: no comments, no trailing commas, no byte order mark, nothing after the document.
//! - Of members with one name the last counts, as for Python's `json.loads` and JavaScript's `JSON.parse`: it replaces the ones before with all
//!   that was kept beneath them, also when it is of another type.
//! - Names are compared after their escapes were resolved, byte by byte, whatever their length.
//! - An escaped surrogate without its other half is U+FFFD, and so is what is not UTF-8 in a text that is kept. Other texts, and names, are not
//!   checked for UTF-8: such a name is no declared one.
//! - Numbers are kept as they are written; [`number`] reads them.
//! - A text is kept up to [`MAX_TEXT`] bytes, a number up to [`MAX_NUMBER`]; past that it is [`Value::TooLong`] and none of it is kept.
//! - Arrays and objects nest to [`MAX_DEPTH`]. Nothing beyond, and nothing after the first error, is looked at.
//! - What was kept of a document that is not [`Document::Complete`] can be asked for, but is no more than the beginning of something.

mod kept;
pub mod number;
mod number_state;
mod pointers;
mod reader;
mod text;

pub use pointers::{PointerError, Pointers};
pub use reader::Reader;

/// How deep arrays and objects may nest.
pub const MAX_DEPTH: usize = 64;

/// The longest text that is kept, in bytes of UTF-8 after its escapes were resolved.
pub const MAX_TEXT: usize = 256;

/// The longest number that is kept, in bytes.
pub const MAX_NUMBER: usize = 64;

/// What was found at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A text.
    Text(&'a str),
    /// A number, as it was written.
    Number(&'a str),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
    /// An array or an object with so many members; names that come twice count twice.
    Items(u32),
    /// A text or a number that is too long to keep.
    TooLong,
}

/// What became of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// It is one JSON value, from its beginning to its end.
    Complete,
    /// It ended too early, or was empty.
    Incomplete,
    /// It is not JSON.
    Malformed,
    /// It nests deeper than [`MAX_DEPTH`].
    TooDeep,
}

#[cfg(test)]
mod tests;
