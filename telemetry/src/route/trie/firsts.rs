//! What the root's texts begin with: enough to turn most of a scanner's paths away before anything else of them is looked at.

use super::key::{key, spread};
use crate::route::split::{ends_segment, marks};

/// A set of keys in open addressing with linear probing; 0 is a free slot, of which there is at least one.
#[derive(Clone, Debug, Default)]
pub(super) struct Firsts {
    slots: Vec<u64>,
    bits: u32,
}

impl Firsts {
    pub(super) fn new<'a>(texts: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        let size = (2 * texts.clone().count()).next_power_of_two().max(2);
        let mut firsts = Self { slots: vec![0; size], bits: size.trailing_zeros() };
        for text in texts {
            let key = key(text);
            let mut slot = spread(key, firsts.bits);
            while firsts.slots.get(slot).is_some_and(|taken| *taken != 0 && *taken != key) {
                slot = (slot + 1) & (size - 1);
            }
            if let Some(free) = firsts.slots.get_mut(slot) {
                *free = key;
            }
        }
        firsts
    }

    /// Whether the first segment of a path may be one of the texts. It is where its first 8 bytes are not plain: a `%` may stand for another
    /// byte.
    #[inline]
    pub(super) fn may_begin(&self, path: &[u8]) -> bool {
        // The missing bytes of a short path are zero, like those of a short text.
        let word = match path {
            [_, rest @ ..] => rest.first_chunk().map_or_else(|| key(rest), |bytes| u64::from_le_bytes(*bytes)),
            [] => return true,
        };
        let found = marks(word);
        let wanted = if found == 0 {
            word
        } else {
            let shift = found.trailing_zeros() & !7;
            if !ends_segment((word >> shift) & 0xff) {
                return true;
            }
            word & ((1 << shift) - 1)
        };
        if wanted == 0 {
            return true;
        }
        let mut slot = spread(wanted, self.bits);
        loop {
            match self.slots.get(slot) {
                Some(key) if *key == wanted => return true,
                Some(0) => return false,
                Some(_) => slot = (slot + 1) & (self.slots.len() - 1),
                None => return true,
            }
        }
    }

    /// Bytes on the heap.
    #[cfg(feature = "tools")]
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.slots)
    }
}
