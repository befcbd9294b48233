//! The newest of a long series of small things: each with its bytes, which lie behind each other in one place.

use std::collections::VecDeque;

/// Things in their order, bounded by their number and by the bytes of all together; past that the oldest go. Nothing is allocated for one
/// of them alone.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    /// Each with how many of the bytes are its own.
    entries: VecDeque<(T, usize)>,
    bytes: Vec<u8>,
    /// How many of the bytes, from the first, are of entries that have gone.
    gone: usize,
    most_entries: usize,
    most_bytes: usize,
}

impl<T> Kept<T> {
    /// Nothing yet.
    pub(crate) const fn new(most_entries: usize, most_bytes: usize) -> Self {
        Self { entries: VecDeque::new(), bytes: Vec::new(), gone: 0, most_entries, most_bytes }
    }

    /// Adds all of a batch, and leaves nothing there.
    pub(crate) fn append(&mut self, batch: &mut Batch<T>) {
        self.entries.extend(batch.entries.drain(..));
        self.bytes.append(&mut batch.bytes);
        while self.entries.len() > self.most_entries || self.bytes.len() - self.gone > self.most_bytes {
            let Some((_, size)) = self.entries.pop_front() else { break };
            self.gone += size;
        }
        // Seldom enough that a byte is moved once, on average.
        if self.gone > self.bytes.len() / 2 {
            self.bytes.drain(..self.gone);
            self.gone = 0;
        }
    }

    /// Forgets everything. The memory stays for as much again, unless that was a lot.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.bytes.clear();
        self.bytes.shrink_to(1 << 20);
        self.gone = 0;
    }

    /// All of them with their bytes, the oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&T, &[u8])> {
        let mut rest = self.bytes.get(self.gone..).unwrap_or_default();
        self.entries.iter().map(move |(entry, size)| {
            let (bytes, behind) = rest.split_at_checked(*size).unwrap_or_default();
            rest = behind;
            (entry, bytes)
        })
    }
}

/// What is put together before it is kept.
#[derive(Debug)]
pub(crate) struct Batch<T> {
    entries: Vec<(T, usize)>,
    bytes: Vec<u8>,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), bytes: Vec::new() }
    }
}

impl<T> Batch<T> {
    /// How much there is before it is time to hand it over.
    const FULL_ENTRIES: usize = 1000;
    const FULL_BYTES: usize = 64 << 10;

    /// Adds one; `write` puts its bytes behind those that are there, which it must leave alone.
    pub(crate) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>) -> T) {
        let before = self.bytes.len();
        let entry = write(&mut self.bytes);
        self.entries.push((entry, self.bytes.len().saturating_sub(before)));
    }

    /// Whether there is nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether it is time to hand it over.
    pub(crate) fn is_full(&self) -> bool {
        self.entries.len() >= Self::FULL_ENTRIES || self.bytes.len() >= Self::FULL_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first() {
        let mut kept = Kept::new(100, 1000);
        let all = |kept: &Kept<usize>| -> Vec<(usize, Vec<u8>)> {
            kept.iter().map(|(entry, bytes)| (*entry, bytes.to_vec())).collect()
        };
        let push = |kept: &mut Kept<usize>, number: usize, size: usize| {
            let mut batch = Batch::default();
            batch.push(|bytes| {
                bytes.extend(std::iter::repeat_n(u8::try_from(number % 256).unwrap(), size));
                number
            });
            kept.append(&mut batch);
            assert!(batch.is_empty());
        };
        for number in 0..1000 {
            push(&mut kept, number, number % 7);
            let expected: Vec<_> = (number.saturating_sub(99)..=number)
                .map(|number| (number, vec![u8::try_from(number % 256).unwrap(); number % 7]))
                .collect();
            assert_eq!(all(&kept), expected);
        }
        push(&mut kept, 1, 990);
        assert_eq!(all(&kept).iter().map(|(number, _)| *number).collect::<Vec<_>>(), [998, 999, 1]);
        push(&mut kept, 2, 1001);
        assert_eq!(all(&kept), [], "too large by itself");
        push(&mut kept, 3, 1);
        assert_eq!(all(&kept), [(3, vec![3])]);
        kept.clear();
        push(&mut kept, 4, 2);
        assert_eq!(all(&kept), [(4, vec![4; 2])]);
    }
}
