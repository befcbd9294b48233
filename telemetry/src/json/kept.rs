//! What is kept of a document.

use super::pointers::Pointers;
use super::{MAX_NUMBER, MAX_TEXT, Value};

/// The values found so far.
///
/// When a name comes again, all that was kept beneath it is void. To clear it would take as long as there are pointers, for each such name; so
/// each visit of a place has a number, and a place remembers in which visit of the place above it was found.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    /// One for each node of the pointers.
    slots: Vec<Slot>,
    /// How many visits there were, in all documents.
    visits: u64,
    /// The text or number that is being read.
    open: Vec<u8>,
    is_too_long: bool,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    /// The last visit; 0 for none.
    visit: u64,
    /// The visit of the place above in which that was.
    within: u64,
    kind: Kind,
    /// The text or the number. Its memory is used again.
    text: String,
}

/// The type of a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Nothing,
    Text,
    Number,
    Bool(bool),
    Null,
    Items(u32),
    TooLong,
}

impl Kept {
    /// Begins a document.
    #[inline]
    pub(super) fn reset(&mut self, pointers: &Pointers) {
        self.slots.resize_with(pointers.node_count(), Slot::default);
        // What is left from before lies in visits of a document that is no more.
        if let Some(root) = self.slots.first_mut() {
            (root.visit, root.kind) = (0, Kind::Nothing);
        }
    }

    /// A value begins at `node`, in the value at `parent`.
    #[inline]
    pub(super) fn visit(&mut self, node: usize, parent: Option<usize>) {
        let within = parent.and_then(|parent| self.slots.get(parent)).map_or(0, |slot| slot.visit);
        self.visits += 1;
        if let Some(slot) = self.slots.get_mut(node) {
            (slot.visit, slot.within, slot.kind) = (self.visits, within, Kind::Nothing);
        }
    }

    /// The value at `node` is this one.
    #[inline]
    pub(super) fn set(&mut self, node: usize, kind: Kind) {
        if let Some(slot) = self.slots.get_mut(node) {
            slot.kind = kind;
        }
    }

    /// A text or number begins.
    #[inline]
    pub(super) fn open(&mut self) {
        self.open.clear();
        self.is_too_long = false;
    }

    /// It goes on.
    #[inline]
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.open.len() + bytes.len() > MAX_TEXT {
            self.is_too_long = true;
        }
        if !self.is_too_long {
            self.open.extend_from_slice(bytes);
        }
    }

    /// It ends, and is the value at `node`.
    #[inline]
    pub(super) fn close(&mut self, node: usize, kind: Kind) {
        let most = if kind == Kind::Number { MAX_NUMBER } else { MAX_TEXT };
        let Some(slot) = self.slots.get_mut(node) else { return };
        slot.text.clear();
        slot.kind = kind;
        if self.is_too_long || !write_lossy(&self.open, most, &mut slot.text) {
            slot.text.clear();
            slot.kind = Kind::TooLong;
        }
    }

    /// The value at the end of a pointer.
    #[inline]
    pub(super) fn value(&self, pointers: &Pointers, index: usize) -> Option<Value<'_>> {
        let mut node = pointers.target(index)?;
        let found = self.slots.get(node)?;
        let mut slot = found;
        while let Some(parent) = pointers.parent(node) {
            let above = self.slots.get(parent)?;
            if slot.within != above.visit {
                return None;
            }
            (node, slot) = (parent, above);
        }
        match found.kind {
            Kind::Nothing => None,
            Kind::Text => Some(Value::Text(&found.text)),
            Kind::Number => Some(Value::Number(&found.text)),
            Kind::Bool(value) => Some(Value::Bool(value)),
            Kind::Null => Some(Value::Null),
            Kind::Items(count) => Some(Value::Items(count)),
            Kind::TooLong => Some(Value::TooLong),
        }
    }
}

/// Appends the bytes as text, with U+FFFD for what is not UTF-8, if the text then has at most so many bytes.
#[inline]
fn write_lossy(bytes: &[u8], most: usize, to: &mut String) -> bool {
    for chunk in bytes.utf8_chunks() {
        to.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            to.push(char::REPLACEMENT_CHARACTER);
        }
        if to.len() > most {
            return false;
        }
    }
    true
}
