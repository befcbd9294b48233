//! The block of bytes in which the host hands over a header map, read in place.
//!
//! Layout, all numbers 32-bit little-endian: the number of pairs; for each pair the length of its name and of its
//! value; then for each pair name, NUL, value, NUL. A block that is not so laid out ends the iteration early, and
//! every access is checked, whatever the lengths claim.

/// One pass over the names and values of a header map.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pairs<'a> {
    /// The lengths not yet used, 8 bytes a pair.
    lengths: &'a [u8],
    /// The names and values not yet given out.
    content: &'a [u8],
}

impl<'a> Pairs<'a> {
    /// A pass over `block`, which is empty when the host has no such map.
    pub(crate) fn new(block: &'a [u8]) -> Self {
        Self::split(block).unwrap_or_default()
    }

    fn split(block: &'a [u8]) -> Option<Self> {
        let (count, rest) = take_number(block)?;
        let (lengths, content) = rest.split_at_checked(count.checked_mul(8)?)?;
        Some(Self { lengths, content })
    }

    #[inline]
    fn pair(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        let (name_len, lengths) = take_number(self.lengths)?;
        let (value_len, lengths) = take_number(lengths)?;
        let (text, content) = self.content.split_at_checked(name_len.checked_add(value_len)?.checked_add(2)?)?;
        let (name, text) = text.split_at_checked(name_len)?;
        // Between the two NULs.
        let value = text.get(1..text.len().checked_sub(1)?)?;
        self.lengths = lengths;
        self.content = content;
        Some((name, value))
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let pair = self.pair();
        if pair.is_none() {
            *self = Self::default();
        }
        pair
    }
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
