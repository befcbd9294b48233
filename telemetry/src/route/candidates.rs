//! Labels that ask to be admitted, and how often each was asked for.
//!
//! A scanner asks for a million paths once; an API's users ask for its endpoints again and again. So a label is admitted only after several
//! hits, and the hits are counted in a table of fixed size: places of four entries, chosen by a hash. A label that finds no free entry in its
//! place wears down the one with the fewest hits there, and takes its entry when that has none left (Misra and Gries' rule). No label ever has more
//! hits than it was asked for, so one that was not asked for often enough is never admitted; one that comes often enough among the junk is.

/// Places of the table; a power of two.
const PLACES: usize = 256;
/// Entries of a place.
const WAYS: usize = 4;

/// A label's hash, and its hits in the lowest bits; all zero where the entry is free.
#[derive(Clone, Copy, Debug, Default)]
struct Entry(u64);

const HITS: u64 = 0xffff;

impl Entry {
    #[inline]
    fn hits(self) -> u64 {
        self.0 & HITS
    }

    #[inline]
    fn is_of(self, hash: u64) -> bool {
        self.0 & !HITS == hash & !HITS && self.0 != 0
    }
}

/// The hits of labels that are not admitted yet. 8 KiB, which are only taken once a label asks.
#[derive(Clone, Debug)]
pub struct Candidates {
    needed: u16,
    places: Vec<[Entry; WAYS]>,
}

impl Candidates {
    /// None yet; `needed` hits make a label ready to be admitted.
    #[must_use]
    pub fn new(needed: u16) -> Self {
        Self { needed, places: Vec::new() }
    }

    /// Counts a hit of this label; true when it has as many as are needed.
    ///
    /// ```
    /// let mut candidates = telemetry::route::Candidates::new(3);
    /// assert_eq!([(); 4].map(|()| candidates.hit(b"/users/{int}")), [false, false, true, true]);
    /// ```
    #[inline]
    pub fn hit(&mut self, label: &[u8]) -> bool {
        if self.needed <= 1 {
            return true;
        }
        if self.places.is_empty() {
            self.places = vec![[Entry::default(); WAYS]; PLACES];
        }
        let hash = hash(label);
        // The highest bits: the lowest make way for the hits.
        let place = usize::try_from(hash >> 56).unwrap_or(0) % PLACES;
        let Some(entries) = self.places.get_mut(place) else { return false };
        if let Some(entry) = entries.iter_mut().find(|entry| entry.is_of(hash)) {
            if entry.hits() < u64::from(self.needed) {
                entry.0 += 1;
            }
            return entry.hits() >= u64::from(self.needed);
        }
        let Some(fewest) = entries.iter_mut().min_by_key(|entry| entry.hits()) else { return false };
        match fewest.hits() {
            0 | 1 => *fewest = Entry(hash & !HITS | 1),
            _ => fewest.0 -= 1,
        }
        false
    }
}

/// Eight bytes at a time, multiplied and folded. An attacker who finds two labels of one hash gains hits for a label of theirs, which they could
/// as well ask for often enough.
#[inline]
fn hash(text: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let (words, rest) = text.as_chunks::<8>();
    let rest = rest.iter().fold(1_u64, |word, byte| word << 8 | u64::from(*byte));
    let mixed = words.iter().map(|word| u64::from_le_bytes(*word)).chain([rest]).fold(FACTOR, |hash, word| {
        let product = u128::from(hash ^ word) * u128::from(FACTOR);
        #[expect(clippy::cast_possible_truncation, reason = "both halves of the product are folded into one")]
        let (low, high) = (product as u64, (product >> 64) as u64);
        hash.rotate_left(23) ^ low ^ high
    });
    // Not zero but for the hits, which would be a free entry.
    mixed.wrapping_mul(FACTOR) | 1 << 16
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn one_hit_may_be_enough_and_takes_no_memory() {
        for needed in [0, 1] {
            let mut candidates = Candidates::new(needed);
            assert!(candidates.hit(b"/a"));
            assert!(candidates.places.is_empty());
        }
    }

    #[test]
    fn a_label_needs_all_of_its_hits_whatever_else_comes() {
        for needed in [2, 3, 100, u16::MAX] {
            let mut candidates = Candidates::new(needed);
            for number in 1..needed {
                assert!(!candidates.hit(b"/api/{int}"), "{number} of {needed}");
            }
            assert!(candidates.hit(b"/api/{int}"));
            assert!(candidates.hit(b"/api/{int}"));
        }
    }

    #[test]
    fn a_million_labels_asked_for_once_are_never_ready_and_take_no_more_room() {
        let mut candidates = Candidates::new(3);
        for number in 0..1_000_000 {
            assert!(!candidates.hit(format!("/junk/{number}x").as_bytes()), "{number}");
        }
        assert_eq!(candidates.places.len(), PLACES);
    }

    #[test]
    fn a_label_that_comes_often_among_junk_is_ready_in_the_end() {
        let mut candidates = Candidates::new(3);
        let mut ready = 0;
        for number in 0..100_000 {
            candidates.hit(format!("/junk/{number}x").as_bytes());
            if number % 50 == 0 && candidates.hit(b"/api/real") {
                ready += 1;
            }
        }
        assert!(ready > 1000, "{ready}");
    }

    #[test]
    fn no_label_has_more_hits_than_it_was_asked_for() {
        let mut candidates = Candidates::new(5);
        let mut asked: BTreeMap<u32, u32> = BTreeMap::new();
        let mut state = 1_u32;
        for _ in 0..200_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let label = state >> 16 & 0x1fff;
            let count = asked.entry(label).or_default();
            *count += 1;
            assert!(!candidates.hit(format!("/l/{label}").as_bytes()) || *count >= 5);
        }
    }

    #[test]
    fn labels_spread_over_the_places() {
        let mut used = [0_u32; PLACES];
        for number in 0..PLACES * 16 {
            used[usize::try_from(hash(format!("/a/b{number}").as_bytes()) >> 56).unwrap()] += 1;
        }
        assert!(used.iter().all(|count| (2..48).contains(count)), "{used:?}");
    }
}
