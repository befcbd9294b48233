//! Hashes of keys that nobody outside the proxy can foresee.

use std::fmt;

/// The version of the stored form.
const VERSION: u8 = 1;

/// A secret that all workers of a proxy share, and that exists nowhere else.
///
/// A constant would be in the source for all to see, and a random number of each worker's own would give each its own hashes. So the first worker
/// proposes its random number, and it lies in the proxy's shared data from then on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret([u8; 16]);

/// What to do about the shared secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreed {
    /// It is this one.
    On(Secret),
    /// There is none. It is this one if its [`value`](Secret::value) can be written in place of what was read.
    Propose(Secret),
}

impl Secret {
    /// A secret of random bytes, not agreed on with anybody.
    #[inline]
    #[must_use]
    pub fn new(random: [u8; 16]) -> Self {
        Self(random)
    }

    /// The secret in the shared data's `current` value, or a new one.
    #[must_use]
    pub fn agree(current: Option<&[u8]>, random: [u8; 16]) -> Agreed {
        let known = current.and_then(|value| value.strip_prefix(&[VERSION])).and_then(|bytes| bytes.try_into().ok());
        known.map_or(Agreed::Propose(Self(random)), |bytes| Agreed::On(Self(bytes)))
    }

    /// What to write into the shared data.
    #[must_use]
    pub fn value(&self) -> [u8; 17] {
        let mut value = [VERSION; 17];
        if let Some(bytes) = value.last_chunk_mut() {
            *bytes = self.0;
        }
        value
    }

    /// The hash of a key of several parts, by SipHash-2-4. The parts' lengths are hashed too, so that what stands on either side of a boundary
    /// makes a difference.
    #[inline]
    #[must_use]
    pub fn hash(&self, parts: &[&[u8]]) -> u64 {
        let mut sip = Sip::new(self.0);
        for part in parts {
            sip.write(&(part.len() as u64).to_le_bytes());
            sip.write(part);
        }
        sip.finish()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// SipHash-2-4 (Aumasson and Bernstein, 2012).
struct Sip {
    state: [u64; 4],
    /// The bytes that do not make a word yet, the last one highest.
    word: u64,
    length: u64,
}

impl Sip {
    #[inline]
    fn new(key: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, high @ ..] = key;
        let (low, high) = (u64::from_le_bytes([a, b, c, d, e, f, g, h]), u64::from_le_bytes(high));
        let state = [
            low ^ 0x736f_6d65_7073_6575,
            high ^ 0x646f_7261_6e64_6f6d,
            low ^ 0x6c79_6765_6e65_7261,
            high ^ 0x7465_6462_7974_6573,
        ];
        Self { state, word: 0, length: 0 }
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.word = self.word >> 8 | u64::from(*byte) << 56;
            self.length = self.length.wrapping_add(1);
            if self.length.is_multiple_of(8) {
                self.mix(self.word);
            }
        }
    }

    #[inline]
    fn finish(mut self) -> u64 {
        // The bytes that are left, then zeros, then the length's lowest byte.
        let left = self.length % 8;
        let bytes = if left == 0 { 0 } else { self.word >> (64 - 8 * left) };
        self.mix(bytes | self.length << 56);
        self.state[2] ^= 0xff;
        for _ in 0..4 {
            self.round();
        }
        self.state.iter().fold(0, |hash, word| hash ^ word)
    }

    #[inline]
    fn mix(&mut self, word: u64) {
        self.state[3] ^= word;
        self.round();
        self.round();
        self.state[0] ^= word;
    }

    #[inline]
    fn round(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.state;
        a = a.wrapping_add(b);
        b = b.rotate_left(13) ^ a;
        a = a.rotate_left(32);
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
        self.state = [a, b, c, d];
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_vectors_of_the_reference() {
        let key = std::array::from_fn(|index| u8::try_from(index).unwrap());
        let message: Vec<u8> = (0..15).collect();
        for (length, expected) in [
            (0, 0x726f_db47_dd0e_0e31),
            (1, 0x74f8_39c5_93dc_67fd),
            (8, 0x93f5_f579_9a93_2462),
            (15, 0xa129_ca61_49be_45e5),
        ] {
            let mut sip = Sip::new(key);
            sip.write(&message[..length]);
            assert_eq!(sip.finish(), expected, "{length} bytes");
        }
    }

    #[test]
    fn boundaries_make_a_difference() {
        let secret = Secret::new([1; 16]);
        assert_ne!(secret.hash(&[b"ab", b"c"]), secret.hash(&[b"a", b"bc"]));
        assert_ne!(secret.hash(&[b"a", b""]), secret.hash(&[b"a"]));
        assert_ne!(secret.hash(&[b"a"]), Secret::new([2; 16]).hash(&[b"a"]));
    }

    #[test]
    fn workers_agree_on_the_first_secret() {
        let Agreed::Propose(first) = Secret::agree(None, [1; 16]) else { panic!("there is none yet") };
        assert_eq!(Secret::agree(Some(&first.value()), [2; 16]), Agreed::On(first));
        for other in [&b""[..], &[1; 16], &[2; 17], &[1; 18]] {
            assert_eq!(Secret::agree(Some(other), [2; 16]), Agreed::Propose(Secret::new([2; 16])));
        }
        assert_eq!(format!("{first:?}"), "Secret");
    }

    proptest! {
        #[test]
        #[allow(deprecated, reason = "the standard library's SipHash-2-4, which is as good an oracle as ever")]
        fn any_bytes_are_hashed_as_by_the_standard_library(key in any::<[u8; 16]>(), bytes in prop::collection::vec(any::<u8>(), 0..80), cut in 0_usize..80) {
            use std::hash::{Hasher, SipHasher};
            let half = |half: usize| u64::from_le_bytes(key[8 * half..8 * half + 8].try_into().unwrap());
            let mut expected = SipHasher::new_with_keys(half(0), half(1));
            expected.write(&bytes);
            let (before, after) = bytes.split_at(cut.min(bytes.len()));
            let mut sip = Sip::new(key);
            sip.write(before);
            sip.write(after);
            prop_assert_eq!(sip.finish(), expected.finish());
        }
    }
}
