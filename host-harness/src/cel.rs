//! Expressions of CEL, the Common Expression Language, over what the proxy knows of a stream.
//!
//! There are all literals, operators and macros, and of functions `size`, `contains`, `startsWith`, `endsWith`, `matches`, `duration`,
//! `timestamp`, the parts of both in UTC, and conversions to `int`, `uint`, `double`, `string`, `bytes` and `dyn`. There are no messages to be
//! made, no types as values, and no other time zones.
//!
//! An expression comes from a module, which may mean harm: how deep one is has a bound, and so has the work to evaluate it.

mod evaluate;
mod functions;
mod parse;
mod time;
mod token;
mod value;

#[cfg(test)]
mod tests;

use functions::Function;
pub(crate) use value::Value;

use crate::HeaderMap;

/// How deep an expression may be.
const DEEP: usize = 250;

/// What an expression may be about.
pub(crate) trait Attributes {
    /// What is at a path, its parts joined by a zero byte: a value, or an object with parts of its own.
    fn find(&self, path: &[u8]) -> Option<Value>;

    /// Everything in an object, if it can be listed.
    fn list(&self, path: &[u8]) -> Option<HeaderMap>;

    /// Writes an object as bytes, if it can be.
    fn write(&self, path: &[u8], out: &mut Vec<u8>) -> Option<()>;

    /// Whether an object is a message: fields have names and no places, and those with nothing in them count as none.
    fn is_message(&self, path: &[u8]) -> bool;

    /// How many steps it takes to find something.
    fn steps(&self) -> u64;
}

/// An expression that can be evaluated.
#[derive(Debug)]
pub(crate) struct Expression(Node);

#[derive(Debug)]
enum Node {
    Value(Value),
    Name(String),
    /// A field of something.
    Field(Box<Node>, String),
    /// Whether something has a field.
    Has(Box<Node>, String),
    Call(Function, Vec<Node>),
    /// All of them are true.
    All(Vec<Node>),
    /// One of them is true.
    Any(Vec<Node>),
    /// If the first is true, then the second, else the third.
    Choice(Box<[Node; 3]>),
    List(Vec<Node>),
    Map(Vec<[Node; 2]>),
    Loop(Box<Loop>),
}

/// A macro: something for each item of a list, or for each key of a map.
#[derive(Debug)]
struct Loop {
    kind: LoopKind,
    over: Node,
    /// The item's name.
    name: String,
    /// Which items are taken; also what `all` and the like ask.
    condition: Option<Node>,
    /// What is made of them.
    result: Option<Node>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LoopKind {
    All,
    Exists,
    ExistsOne,
    /// `map` and `filter`.
    Collect,
}

/// Why an expression has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Something in it has none: a name that is not known, an operator that is not for such values, a number too large.
    Error,
    /// It takes too much work. This is not to be ignored, as the former is behind `true ||`.
    Work,
}

impl Expression {
    /// Reads one; `None` where it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        parse::expression(text).map(Self)
    }

    /// Its value, within so many steps, of which the rest is left.
    pub(crate) fn evaluate(&self, attributes: &dyn Attributes, steps: &mut u64) -> Result<Value, Failure> {
        evaluate::evaluate(&self.0, attributes, steps)
    }
}
