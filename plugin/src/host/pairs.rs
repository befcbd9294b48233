//! The block of bytes in which the host hands over a header map, read in place.
//!
//! Layout, all numbers 32-bit little-endian: the number of pairs; for each pair the length of its name and of its
//! value; then for each pair name, NUL, value, NUL. A block that is not so laid out ends the iteration early, and
//! every access is checked, whatever the lengths claim.

use std::slice::ChunksExact;

use telemetry::filter::NameLengths;

/// One pass over the names and values of a header map.
#[derive(Clone, Debug)]
pub(crate) struct Pairs<'a> {
    /// The lengths not yet used, 8 bytes a pair.
    lengths: ChunksExact<'a, u8>,
    /// All names and values.
    content: &'a [u8],
    /// Where the next pair begins in `content`, if the lengths are true. It wraps around if they are not.
    at: usize,
    wanted: NameLengths,
}

impl Default for Pairs<'_> {
    fn default() -> Self {
        Self { lengths: [].chunks_exact(8), content: &[], at: 0, wanted: NameLengths::ALL }
    }
}

impl<'a> Pairs<'a> {
    /// A pass over `block`, which is empty when the host has no such map.
    pub(crate) fn new(block: &'a [u8]) -> Self {
        Self::split(block).unwrap_or_default()
    }

    fn split(block: &'a [u8]) -> Option<Self> {
        let (count, rest) = take_number(block)?;
        let (lengths, content) = rest.split_at_checked(count.checked_mul(8)?)?;
        Some(Self { lengths: lengths.chunks_exact(8), content, ..Self::default() })
    }

    /// The same pass over names of some lengths alone; the others are not looked at.
    pub(crate) fn of(self, wanted: NameLengths) -> Self {
        Self { wanted, ..self }
    }

    fn pair(&self, start: usize, name_len: usize, value_len: usize) -> Option<(&'a [u8], &'a [u8])> {
        let (name, rest) = self.content.get(start..)?.split_at_checked(name_len)?;
        // Between the two NULs.
        let (value, rest) = rest.get(1..)?.split_at_checked(value_len)?;
        rest.first()?;
        Some((name, value))
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (name_len, lengths) = take_number(self.lengths.next()?)?;
            let (value_len, _) = take_number(lengths)?;
            let start = self.at;
            self.at = start.wrapping_add(name_len).wrapping_add(value_len).wrapping_add(2);
            if self.wanted.contains(name_len) {
                let pair = self.pair(start, name_len, value_len);
                if pair.is_none() {
                    *self = Self::default();
                }
                return pair;
            }
        }
    }
}

/// A header map as the host takes it.
pub(crate) fn header_block<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone) -> Vec<u8> {
    let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    let mut block = number(pairs.clone().count()).to_vec();
    for (name, value) in pairs.clone() {
        block.extend(number(name.len()));
        block.extend(number(value.len()));
    }
    for text in pairs.flat_map(|(name, value)| [name, value]) {
        block.extend_from_slice(text);
        block.push(0);
    }
    block
}

fn take_number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((usize::try_from(u32::from_le_bytes(*number)).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
        let number = |n: usize| u32::try_from(n).unwrap().to_le_bytes();
        let mut block = number(pairs.len()).to_vec();
        for (name, value) in pairs {
            block.extend(number(name.len()));
            block.extend(number(value.len()));
        }
        for (name, value) in pairs {
            block.extend([name, &b"\0"[..], value, b"\0"].concat());
        }
        block
    }

    #[test]
    fn names_and_values_come_in_order_with_duplicates() {
        let pairs: &[(&[u8], &[u8])] = &[(b":path", b"/"), (b"x", b""), (b"x", b"\xff\0y"), (b"", b"z")];
        assert_eq!(Pairs::new(&block(pairs)).collect::<Vec<_>>(), pairs);
        assert_eq!(Pairs::new(&block(&[])).count(), 0);
    }

    #[test]
    fn no_map_is_no_pairs() {
        assert_eq!(Pairs::new(b"").count(), 0);
    }

    #[test]
    fn names_of_other_lengths_are_passed_over() {
        let long = [b'x'; 70];
        let pairs: &[(&[u8], &[u8])] =
            &[(b"a", b"1"), (b"bbb", b"22"), (b"", b"0"), (b"ccc", b""), (&long, b"l"), (&long[..63], b"m")];
        let block = block(pairs);
        let of = |names: &[&[u8]]| Pairs::new(&block).of(NameLengths::of(names)).collect::<Vec<_>>();
        assert_eq!(of(&[b"xyz"]), [pairs[1], pairs[3]]);
        assert_eq!(of(&[b"z", b""]), [pairs[0], pairs[2]]);
        assert_eq!(of(&[b"zz"]), []);
        // Names that are very long are told apart by the one who asked.
        assert_eq!(of(&[&long[..64]]), pairs[4..]);
    }

    #[test]
    fn every_truncation_ends_early_and_quietly() {
        let whole = block(&[(b"a", b"1"), (b"b", b"2"), (b"cc", b"33")]);
        for len in 0..whole.len() {
            assert!(Pairs::new(&whole[..len]).count() < 3, "{len}");
        }
    }

    #[test]
    fn lengths_that_lie_are_not_followed() {
        for at in 0..12 {
            let mut lying = block(&[(b"a", b"1")]);
            lying[at] = 0xff;
            assert!(Pairs::new(&lying).count() <= 1, "{at}");
        }
        assert_eq!(Pairs::new(&[0xff; 4096]).count(), 0);
    }
}
