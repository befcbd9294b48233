//! The streams of a VM by their context ID.
//!
//! The host counts context IDs upwards for the life of the VM, several root contexts share one count, and tens of
//! thousands of streams may be open at once. So: a slab whose slots are reused, found through an open-addressed index
//! of IDs that is never more than half full. IDs that follow each other are spread evenly by multiplying with the
//! golden ratio, so that neither a burst of new streams nor a block of old ones that stay open makes long runs.

/// Values by context ID, in places that are used again as they were left: a value is large and need not be moved or cleared. Nothing is
/// allocated while the number of values stays under what it has been before.
#[derive(Debug)]
pub(crate) struct Contexts<T> {
    /// Context ID and slot; an ID of 0, which no context has, marks a free entry. Its length is a power of two.
    index: Vec<Entry>,
    slots: Vec<T>,
    /// Slots that are free.
    free: Vec<u32>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    id: u32,
    slot: u32,
}

/// 2^32 divided by the golden ratio.
const GOLDEN: u32 = 0x9e37_79b9;

/// The smallest index.
const SMALLEST: usize = 64;

impl<T> Contexts<T> {
    /// Nothing yet.
    pub(crate) const fn new() -> Self {
        Self { index: Vec::new(), slots: Vec::new(), free: Vec::new() }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// A place for what is under `id` from now on, with whatever is in it. None for ID 0, which belongs to no context.
    pub(crate) fn add(&mut self, id: u32) -> Option<&mut T>
    where
        T: Default,
    {
        if id == 0 {
            return None;
        }
        if let Some(at) = self.find(id) {
            let slot = self.index.get(at)?.slot;
            return self.slots.get_mut(slot as usize);
        }
        if (self.len() + 1) * 2 > self.index.len() {
            self.grow();
        }
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                let slot = u32::try_from(self.slots.len()).ok()?;
                self.slots.push(T::default());
                slot
            }
        };
        self.link(Entry { id, slot });
        self.slots.get_mut(slot as usize)
    }

    /// What is under `id`.
    pub(crate) fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        let at = self.find(id)?;
        let slot = self.index.get(at)?.slot;
        self.slots.get_mut(slot as usize)
    }

    /// Takes away what is under `id`; its place is for another from now on.
    pub(crate) fn remove(&mut self, id: u32) -> Option<&mut T> {
        let at = self.find(id)?;
        let slot = self.index.get(at)?.slot;
        self.unlink(at);
        self.free.push(slot);
        self.slots.get_mut(slot as usize)
    }

    /// Gives back memory once nothing is left of a crowd.
    pub(crate) fn shrink(&mut self) {
        if self.len() == 0 && self.index.len() > SMALLEST {
            *self = Self::new();
        }
    }

    fn mask(&self) -> usize {
        self.index.len().wrapping_sub(1)
    }

    /// Where `id` would be if nothing were in its way.
    fn home(&self, id: u32) -> usize {
        // The high bits of the product are the well-mixed ones.
        let bits = self.index.len().trailing_zeros();
        id.wrapping_mul(GOLDEN).checked_shr(u32::BITS - bits).unwrap_or(0) as usize
    }

    fn find(&self, id: u32) -> Option<usize> {
        if id == 0 || self.index.is_empty() {
            return None;
        }
        let mut at = self.home(id);
        // At least half of the entries are free, so this ends.
        loop {
            match self.index.get(at)?.id {
                0 => return None,
                found if found == id => return Some(at),
                _ => at = (at + 1) & self.mask(),
            }
        }
    }

    /// Puts `entry`, whose ID is not there yet, into the index, which has room.
    fn link(&mut self, entry: Entry) {
        let mut at = self.home(entry.id);
        let mask = self.mask();
        while let Some(place) = self.index.get_mut(at) {
            if place.id == 0 {
                *place = entry;
                return;
            }
            at = (at + 1) & mask;
        }
    }

    /// Frees entry `at` and moves up those that stand behind it only because it was in their way.
    fn unlink(&mut self, at: usize) {
        let mask = self.mask();
        let mut gap = at;
        let mut next = at;
        loop {
            next = (next + 1) & mask;
            let entry = self.index.get(next).copied().unwrap_or_default();
            if entry.id == 0 {
                break;
            }
            let displaced = next.wrapping_sub(self.home(entry.id)) & mask;
            if displaced >= next.wrapping_sub(gap) & mask {
                if let Some(place) = self.index.get_mut(gap) {
                    *place = entry;
                }
                gap = next;
            }
        }
        if let Some(place) = self.index.get_mut(gap) {
            *place = Entry::default();
        }
    }

    fn grow(&mut self) {
        let wanted = (self.index.len() * 2).max(SMALLEST);
        let old = core::mem::replace(&mut self.index, vec![Entry::default(); wanted]);
        for entry in old {
            if entry.id != 0 {
                self.link(entry);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The most steps that finding any of the values takes.
    fn longest_search<T>(contexts: &Contexts<T>) -> usize {
        let mask = contexts.mask();
        let entries = contexts.index.iter().enumerate().filter(|(_, entry)| entry.id != 0);
        entries.map(|(at, entry)| at.wrapping_sub(contexts.home(entry.id)) & mask).max().unwrap_or(0)
    }

    /// False for what has no place.
    fn insert(contexts: &mut Contexts<u32>, id: u32, value: u32) -> bool {
        contexts.add(id).map(|place| *place = value).is_some()
    }

    #[test]
    fn behaves_like_a_map_whatever_the_order() {
        let mut contexts = Contexts::new();
        let mut model = BTreeMap::new();
        let mut state = 12_345_u32;
        for step in 0..200_000_u32 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let id = (state >> 16) % 700;
            match state % 3 {
                0 => {
                    if insert(&mut contexts, id, step) {
                        model.insert(id, step);
                    }
                }
                1 => assert_eq!(contexts.remove(id).map(|value| *value), model.remove(&id)),
                _ => assert_eq!(contexts.get_mut(id), model.get_mut(&id)),
            }
            assert_eq!(contexts.len(), model.len());
        }
    }

    #[test]
    fn slots_are_reused_for_ever() {
        let mut contexts = Contexts::new();
        for id in 1..100_000_u32 {
            insert(&mut contexts, id, id);
            if let Some(old) = id.checked_sub(10) {
                contexts.remove(old);
            }
        }
        assert!(contexts.slots.len() <= 16, "{}", contexts.slots.len());
        assert_eq!(contexts.index.len(), SMALLEST);
    }

    #[test]
    fn fifty_thousand_open_streams_are_found_at_once() {
        let mut contexts = Contexts::new();
        for id in 1..=50_000_u32 {
            insert(&mut contexts, id, id);
        }
        // The first half stays open while a million more come and go.
        for id in 25_001..=50_000 {
            contexts.remove(id);
        }
        let mut longest = 0;
        for id in 50_001..1_050_000_u32 {
            insert(&mut contexts, id, id);
            contexts.remove(id - 25_000 * u32::from(id % 2 == 0));
            if id % 50_000 == 0 {
                longest = longest.max(longest_search(&contexts));
            }
        }
        assert!(longest < 40, "{longest}");
        assert_eq!(contexts.get_mut(17), Some(&mut 17));
    }

    #[test]
    fn memory_of_a_crowd_is_given_back() {
        let mut contexts = Contexts::new();
        for id in 1..=10_000_u32 {
            insert(&mut contexts, id, id);
        }
        for id in 1..=10_000 {
            contexts.shrink();
            assert_eq!(contexts.remove(id).map(|value| *value), Some(id));
        }
        contexts.shrink();
        assert_eq!(contexts.index.capacity() + contexts.slots.capacity() + contexts.free.capacity(), 0);
        insert(&mut contexts, 3, 3);
        assert_eq!(contexts.get_mut(3), Some(&mut 3));
    }

    #[test]
    fn unknown_ids_are_nothing() {
        let mut contexts = Contexts::<u32>::new();
        assert_eq!(contexts.get_mut(0), None);
        assert_eq!(contexts.remove(0), None);
        assert_eq!(contexts.remove(9), None);
        assert!(!insert(&mut contexts, 0, 1));
        assert_eq!(contexts.len(), 0);
    }
}
