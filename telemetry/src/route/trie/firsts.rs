//! What the root's texts begin with: enough to turn most of a scanner's paths away before anything else of them is looked at, and to know the
//! node behind a first segment of fewer than 8 bytes.

use super::Start;
use super::key::{key, spread};
use super::layout::{self, EDGE, child, link};
use crate::route::split::{ends_segment, marks};

/// A table of the root's edges in open addressing with linear probing, in the form of [`super::layout`]. Of the texts that are longer than a key
/// one with each key is there. A free slot is two zero words, and there is at least one.
#[derive(Clone, Debug, Default)]
pub(super) struct Firsts {
    slots: Vec<[u64; EDGE]>,
    bits: u32,
}

/// What the first bytes of a path say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::route) enum First {
    /// No text of the root begins so.
    Miss,
    /// The search begins at this node, after so many segments.
    Start(Start),
}

impl Firsts {
    /// The table of these texts and the nodes behind them.
    pub(super) fn new(edges: &[(&[u8], u32)]) -> Self {
        let size = (2 * edges.len()).next_power_of_two().max(2);
        let mut firsts = Self { slots: vec![[0; EDGE]; size], bits: size.trailing_zeros() };
        for (text, node) in edges {
            let key = key(text);
            let mut slot = spread(key, firsts.bits);
            while firsts.slots.get(slot).is_some_and(|[taken, link]| *link != 0 && *taken != key) {
                slot = (slot + 1) & (size - 1);
            }
            if let Some(free) = firsts.slots.get_mut(slot) {
                *free = [key, link(text.len(), *node)];
            }
        }
        firsts
    }

    /// Looks at the first 8 bytes of a path's first segment. A `%` among them may stand for another byte, so the search begins at the root.
    #[inline]
    pub(super) fn look(&self, path: &[u8]) -> First {
        let Some(rest) = path.get(1..) else { return First::Start(Start::ROOT) };
        // The missing bytes of a short path are zero, like those of a short text.
        let (word, there) = match rest.first_chunk() {
            Some(bytes) => (u64::from_le_bytes(*bytes), 8),
            None => (key(rest), rest.len()),
        };
        let found = marks(word);
        let (wanted, length) = if found == 0 {
            (word, there)
        } else {
            let shift = found.trailing_zeros() & !7;
            if !ends_segment((word >> shift) & 0xff) {
                return First::Start(Start::ROOT);
            }
            (word & ((1 << shift) - 1), (shift / 8) as usize)
        };
        let mut slot = spread(wanted, self.bits);
        loop {
            let Some([key, link]) = self.slots.get(slot) else { return First::Start(Start::ROOT) };
            let Some(node) = child(*link) else { return First::Miss };
            if *key == wanted {
                // Past 8 bytes the segment may go on, and there may be other texts with this key.
                let whole = length < 8 && layout::length(*link) == length;
                return First::Start(if whole { Start { node, depth: 1 } } else { Start::ROOT });
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
    }

    /// Bytes on the heap.
    #[cfg(feature = "tools")]
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.slots)
    }
}
