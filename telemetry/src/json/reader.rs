//! The parser: one byte after the other, with one bit for each level that no pointer leads into.

use super::kept::{Kept, Kind};
use super::number_state::NumberState;
use super::pointers::{Pointers, Span};
use super::text::{Escapes, Meaning};
use super::{Document, MAX_DEPTH, Value};

/// Reads one document after the other. See the [module](super) for the rules.
///
/// The same [`Pointers`] are to be given from one [`reset`](Self::reset) to the next; with others the values are without meaning.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    state: State,
    /// How many arrays and objects are open.
    depth: usize,
    /// For each of them a bit, the innermost lowest: whether it is an array.
    arrays: u64,
    /// The outermost of them, as far as pointers lead to them.
    path: Vec<Level>,
    /// The place of the value that comes next or is being read, if pointers lead to it.
    node: Option<usize>,
    /// The same, if a pointer ends there.
    target: Option<usize>,
    name: Name,
    escapes: Escapes,
    kept: Kept,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    /// A value has to come.
    #[default]
    Value,
    /// The first member of an array, or its end.
    FirstItem,
    /// The first name of an object, or its end.
    FirstName,
    /// A name has to come.
    Name,
    /// `:`, after a name.
    Colon,
    /// A comma or an end, after a value; the end of the document after the outermost.
    After,
    Text {
        is_name: bool,
    },
    Number(NumberState),
    /// What is missing of `true`, `false` or `null`, which are of this kind.
    Literal(&'static [u8], Kind),
    /// Nothing more is looked at.
    Stopped(Document),
}

/// An open array or object that pointers lead to.
#[derive(Clone, Copy, Debug)]
struct Level {
    node: usize,
    /// How many members have begun.
    members: u32,
    /// The declared indices that are still to come.
    indices: Span,
}

/// The declared names that the name being read may be.
#[derive(Clone, Copy, Debug, Default)]
struct Name {
    candidates: Span,
    /// In how many bytes they agree with it.
    length: usize,
}

impl Reader {
    /// To be [`reset`](Self::reset) before its first document.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the last document and begins the next.
    #[inline]
    pub fn reset(&mut self, pointers: &Pointers) {
        self.kept.reset(pointers);
        self.path.clear();
        (self.state, self.depth, self.node) = (State::Value, 0, Some(0));
    }

    /// Takes the next piece of the document.
    #[inline]
    pub fn feed(&mut self, pointers: &Pointers, piece: &[u8]) {
        let mut rest = piece;
        while let Some((byte, after)) = rest.split_first() {
            if let State::Text { is_name } = self.state
                && !self.escapes.is_inside()
            {
                let is_plain = |byte: &u8| !matches!(byte, b'"' | b'\\' | ..b' ');
                let (plain, others) = rest.split_at(rest.iter().position(|byte| !is_plain(byte)).unwrap_or(rest.len()));
                if !plain.is_empty() {
                    if self.escapes.take_lone() {
                        self.push_char(pointers, char::REPLACEMENT_CHARACTER, is_name);
                    }
                    self.push(pointers, plain, is_name);
                    rest = others;
                    continue;
                }
            }
            if self.step(pointers, *byte) {
                rest = after;
            }
            if matches!(self.state, State::Stopped(_)) {
                return;
            }
        }
    }

    /// The document has ended.
    #[inline]
    pub fn finish(&mut self) -> Document {
        if let State::Number(number) = self.state
            && self.depth == 0
            && number.is_end()
        {
            self.close(Kind::Number);
        }
        match self.state {
            State::Stopped(document) => document,
            State::After if self.depth == 0 => Document::Complete,
            _ => Document::Incomplete,
        }
    }

    /// The value at the pointer with this index, if there is one so far.
    #[inline]
    #[must_use]
    pub fn value(&self, pointers: &Pointers, index: usize) -> Option<Value<'_>> {
        self.kept.value(pointers, index)
    }

    /// Takes one byte. Whether it is done with: one that ends a number is looked at again.
    #[inline]
    fn step(&mut self, pointers: &Pointers, byte: u8) -> bool {
        match self.state {
            State::Text { is_name } => self.special(pointers, byte, is_name),
            State::Number(number) => match number.next(byte) {
                Some(next) => {
                    self.push(pointers, &[byte], false);
                    self.state = State::Number(next);
                }
                None if number.is_end() => {
                    self.close(Kind::Number);
                    return false;
                }
                None => self.stop(Document::Malformed),
            },
            State::Literal(missing, kind) => match missing.split_first() {
                Some((next, [])) if *next == byte => self.end(kind),
                Some((next, missing)) if *next == byte => self.state = State::Literal(missing, kind),
                _ => self.stop(Document::Malformed),
            },
            _ if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') => {}
            State::FirstItem if byte == b']' => self.leave(),
            State::FirstName if byte == b'}' => self.leave(),
            State::Value | State::FirstItem => self.begin(pointers, byte),
            State::Name | State::FirstName if byte == b'"' => self.begin_name(pointers),
            State::Colon if byte == b':' => self.state = State::Value,
            State::After if self.depth > 0 => match (byte, self.is_in_array()) {
                (b',', true) => self.state = State::Value,
                (b',', false) => self.state = State::Name,
                (b']', true) | (b'}', false) => self.leave(),
                _ => self.stop(Document::Malformed),
            },
            State::Stopped(_) => {}
            State::Name | State::FirstName | State::Colon | State::After => self.stop(Document::Malformed),
        }
        true
    }

    /// The first byte of a value.
    #[inline]
    fn begin(&mut self, pointers: &Pointers, byte: u8) {
        let is_in_array = self.is_in_array();
        let level = self.level();
        let parent = level.as_ref().map(|level| level.node);
        let mut element = None;
        if let Some(level) = level {
            element = pointers.take_index(&mut level.indices, level.members);
            level.members = level.members.saturating_add(1);
        }
        if is_in_array {
            self.node = element;
        }
        self.target = self.node.filter(|node| pointers.is_target(*node));
        if let Some(node) = self.node {
            self.kept.visit(node, parent);
        }
        match byte {
            b'{' => self.enter(pointers, false),
            b'[' => self.enter(pointers, true),
            b'"' => {
                self.kept.open();
                self.escapes = Escapes::default();
                self.state = State::Text { is_name: false };
            }
            b't' => self.state = State::Literal(b"rue", Kind::Bool(true)),
            b'f' => self.state = State::Literal(b"alse", Kind::Bool(false)),
            b'n' => self.state = State::Literal(b"ull", Kind::Null),
            _ => match NumberState::first(byte) {
                Some(number) => {
                    self.kept.open();
                    self.push(pointers, &[byte], false);
                    self.state = State::Number(number);
                }
                None => self.stop(Document::Malformed),
            },
        }
    }

    /// The opening quotation mark of a name.
    #[inline]
    fn begin_name(&mut self, pointers: &Pointers) {
        let candidates = self.level().map(|level| pointers.children(level.node)).unwrap_or_default();
        self.name = Name { candidates, length: 0 };
        self.escapes = Escapes::default();
        self.state = State::Text { is_name: true };
    }

    /// An opening bracket or brace.
    #[inline]
    fn enter(&mut self, pointers: &Pointers, is_array: bool) {
        if self.depth >= MAX_DEPTH {
            return self.stop(Document::TooDeep);
        }
        self.depth += 1;
        self.arrays = self.arrays << 1 | u64::from(is_array);
        if let Some(node) = self.node {
            let indices = if is_array { pointers.indices(node) } else { Span::default() };
            self.path.push(Level { node, members: 0, indices });
        }
        self.state = if is_array { State::FirstItem } else { State::FirstName };
    }

    /// A closing bracket or brace.
    #[inline]
    fn leave(&mut self) {
        self.target = None;
        let mut kind = Kind::Nothing;
        if let Some(level) = self.level() {
            kind = Kind::Items(level.members);
            self.target = Some(level.node);
            self.path.pop();
        }
        self.depth -= 1;
        self.arrays >>= 1;
        self.end(kind);
    }

    /// A byte of a text that does not stand for itself.
    #[inline]
    fn special(&mut self, pointers: &Pointers, byte: u8, is_name: bool) {
        let (is_lone_before, meaning) = self.escapes.special(byte);
        if is_lone_before {
            self.push_char(pointers, char::REPLACEMENT_CHARACTER, is_name);
        }
        match meaning {
            Meaning::Nothing => {}
            Meaning::Char(c) => self.push_char(pointers, c, is_name),
            Meaning::End if is_name => {
                self.node = pointers.ends(self.name.candidates, self.name.length);
                self.state = State::Colon;
            }
            Meaning::End => self.close(Kind::Text),
            Meaning::Malformed => self.stop(Document::Malformed),
        }
    }

    #[inline]
    fn push_char(&mut self, pointers: &Pointers, c: char, is_name: bool) {
        self.push(pointers, c.encode_utf8(&mut [0; 4]).as_bytes(), is_name);
    }

    /// A name, text or number goes on with these bytes.
    #[inline]
    fn push(&mut self, pointers: &Pointers, bytes: &[u8], is_name: bool) {
        if is_name {
            for byte in bytes {
                if self.name.candidates.is_empty() {
                    break;
                }
                self.name.candidates = pointers.narrow(self.name.candidates, self.name.length, *byte);
                self.name.length += 1;
            }
        } else if self.target.is_some() {
            self.kept.push(bytes);
        }
    }

    /// A text or number has ended.
    #[inline]
    fn close(&mut self, kind: Kind) {
        if let Some(target) = self.target {
            self.kept.close(target, kind);
        }
        self.state = State::After;
    }

    /// Another value has ended.
    #[inline]
    fn end(&mut self, kind: Kind) {
        if let Some(target) = self.target {
            self.kept.set(target, kind);
        }
        self.state = State::After;
    }

    #[inline]
    fn stop(&mut self, document: Document) {
        self.state = State::Stopped(document);
    }

    /// The innermost open array or object, if pointers lead to it.
    #[inline]
    fn level(&mut self) -> Option<&mut Level> {
        if self.path.len() == self.depth { self.path.last_mut() } else { None }
    }

    #[inline]
    fn is_in_array(&self) -> bool {
        self.depth > 0 && self.arrays & 1 == 1
    }
}
