//! Random bytes for identifiers: ChaCha8, keyed once per VM from the operating system's randomness.
//!
//! One hostcall per request would be dear, and the clock is not a source: two workers would make the same ID. Four blocks are made at a time. Their
//! first half block becomes the next key and the rest is given out, 14 seeds, each forgotten as it goes, so that what is in memory tells nothing
//! about IDs already given out. The key is mixed with fresh randomness now and then.

/// A generator of seeds.
#[derive(Debug)]
pub(crate) struct Random {
    key: [u32; 8],
    /// Output not yet given out: the last `left` of them.
    ready: [Seed; SEEDS],
    left: usize,
    /// Refills since the last fresh randomness.
    refills: u32,
}

/// A quarter of a block.
type Seed = [u32; 4];

/// The blocks of a refill.
const BLOCKS: usize = 4;
/// The seeds of a refill: all but the two that become the key.
const SEEDS: usize = 4 * BLOCKS - 2;

/// Refills between two requests for fresh randomness.
const RESEED_AFTER: u32 = 1 << 18;

impl Random {
    /// A generator keyed with 32 bytes of the operating system's randomness.
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self { key: words(&seed), ready: [[0; 4]; SEEDS], left: 0, refills: 0 }
    }

    /// 16 random bytes.
    pub(crate) fn seed(&mut self) -> [u8; 16] {
        if self.left == 0 {
            self.refill();
        }
        self.left = self.left.saturating_sub(1);
        let [a, b, c, d] = self.ready.get_mut(self.left).map(core::mem::take).unwrap_or_default();
        let low = u64::from(a) | u64::from(b) << 32;
        let high = u64::from(c) | u64::from(d) << 32;
        (u128::from(low) | u128::from(high) << 64).to_le_bytes()
    }

    /// Whether fresh randomness is due.
    pub(crate) fn is_due(&self) -> bool {
        self.refills >= RESEED_AFTER
    }

    /// Mixes in fresh randomness. What was unpredictable before stays so, however bad `seed` is.
    pub(crate) fn reseed(&mut self, seed: [u8; 32]) {
        for (word, fresh) in self.key.iter_mut().zip(words(&seed)) {
            *word ^= fresh;
        }
        self.ready = [[0; 4]; SEEDS];
        self.left = 0;
        self.refills = 0;
    }

    #[cold]
    fn refill(&mut self) {
        let key = self.key;
        let first = chacha8(&key, 0);
        let (next, seeds) = first.split_at(8);
        self.key.copy_from_slice(next);
        let (kept, rest) = self.ready.split_at_mut(2);
        kept.as_flattened_mut().copy_from_slice(seeds);
        for (counter, block) in (1..).zip(rest.as_chunks_mut::<4>().0) {
            block.as_flattened_mut().copy_from_slice(&chacha8(&key, counter));
        }
        self.left = SEEDS;
        self.refills = self.refills.saturating_add(1);
    }
}

fn words(seed: &[u8; 32]) -> [u32; 8] {
    let mut words = [0; 8];
    for (word, bytes) in words.iter_mut().zip(seed.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}

/// One block of ChaCha with 8 rounds and a zero nonce.
fn chacha8(key: &[u32; 8], counter: u32) -> [u32; 16] {
    let [k0, k1, k2, k3, k4, k5, k6, k7] = *key;
    let start = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574, k0, k1, k2, k3, k4, k5, k6, k7, counter, 0, 0, 0];
    let [mut a, mut b, mut c, mut d] = [
        [start[0], start[1], start[2], start[3]],
        [start[4], start[5], start[6], start[7]],
        [start[8], start[9], start[10], start[11]],
        [start[12], start[13], start[14], start[15]],
    ];
    for _ in 0..4 {
        quarter_rounds(&mut a, &mut b, &mut c, &mut d);
        // The diagonals become columns, and go back.
        b.rotate_left(1);
        c.rotate_left(2);
        d.rotate_left(3);
        quarter_rounds(&mut a, &mut b, &mut c, &mut d);
        b.rotate_right(1);
        c.rotate_right(2);
        d.rotate_right(3);
    }
    let mut block = [0; 16];
    for ((word, mixed), start) in block.iter_mut().zip([a, b, c, d].into_iter().flatten()).zip(start) {
        *word = mixed.wrapping_add(start);
    }
    block
}

/// The quarter round on four columns at once.
fn quarter_rounds(a: &mut [u32; 4], b: &mut [u32; 4], c: &mut [u32; 4], d: &mut [u32; 4]) {
    fn step(sum: &mut [u32; 4], addend: &[u32; 4], turned: &mut [u32; 4], by: u32) {
        for ((sum, addend), turned) in sum.iter_mut().zip(addend).zip(turned) {
            *sum = sum.wrapping_add(*addend);
            *turned = (*turned ^ *sum).rotate_left(by);
        }
    }
    step(a, b, d, 16);
    step(c, d, b, 12);
    step(a, b, d, 8);
    step(c, d, b, 7);
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn hex(block: &[u32; 16]) -> String {
        block.iter().flat_map(|word| word.to_le_bytes()).map(|byte| format!("{byte:02x}")).collect()
    }

    /// draft-strombergson-chacha-test-vectors-01, TC1, 256-bit key, 8 rounds: blocks 0 and 1.
    #[test]
    fn the_cipher_is_chacha8() {
        assert_eq!(
            hex(&chacha8(&[0; 8], 0)),
            "3e00ef2f895f40d67f5bb8e81f09a5a12c840ec3ce9a7f3b181be188ef711a1e\
             984ce172b9216f419f445367456d5619314a42a3da86b001387bfdb80e0cfe42"
        );
        assert_eq!(
            hex(&chacha8(&[0; 8], 1)),
            "d2aefa0deaa5c151bf0adb6c01f2a5adc0fd581259f9a2aadcf20f8fd566a26b\
             5032ec38bbc5da98ee0c6f568b872a65a08abf251deb21bb4b56e5d8821e68aa"
        );
    }

    #[test]
    fn seeds_do_not_repeat() {
        let mut random = Random::new([7; 32]);
        let mut seen = HashSet::new();
        assert!((0..10_000).all(|_| seen.insert(random.seed())));
    }

    #[test]
    fn different_keys_give_different_seeds() {
        assert_ne!(Random::new([1; 32]).seed(), Random::new([2; 32]).seed());
        let (mut left, mut right) = (Random::new([1; 32]), Random::new([1; 32]));
        assert_eq!(left.seed(), right.seed());
        right.reseed([3; 32]);
        assert_ne!(left.seed(), right.seed());
    }

    #[test]
    fn the_seeds_of_a_refill_are_four_blocks_but_for_the_next_key() {
        let mut random = Random::new([7; 32]);
        let mut seeds: Vec<u8> = (0..SEEDS).flat_map(|_| random.seed()).collect();
        assert_eq!(random.ready, [[0; 4]; SEEDS], "what was given out is forgotten");
        let key = words(&[7; 32]);
        let made: Vec<u32> = (0..4).flat_map(|counter| chacha8(&key, counter)).collect();
        assert_eq!(random.key, made[..8]);
        let mut made: Vec<u8> = made[8..].iter().flat_map(|word| word.to_le_bytes()).collect();
        seeds.sort_unstable();
        made.sort_unstable();
        assert_eq!(seeds, made);
    }

    #[test]
    fn fresh_randomness_is_due_after_many_refills() {
        let mut random = Random::new([7; 32]);
        assert!(!random.is_due());
        random.refills = RESEED_AFTER;
        assert!(random.is_due());
        random.reseed([8; 32]);
        assert!(!random.is_due());
    }
}
