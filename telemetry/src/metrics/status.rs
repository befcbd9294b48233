//! The values of the `status` label.

use std::fmt;

/// Codes from 1000 up are never their own label.
const CODES: usize = 1000;
const WORDS: usize = CODES.div_ceil(64);

/// One value of the `status` label: a code, or `other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatusLabel(u16);

impl StatusLabel {
    /// Every code for which there is no label of its own.
    pub const OTHER: Self = Self(u16::MAX);

    /// The label of this code; [`StatusLabel::OTHER`] past 999.
    #[inline]
    pub fn code(code: u16) -> Self {
        if usize::from(code) < CODES { Self(code) } else { Self::OTHER }
    }

    /// The code, unless it is `other`.
    #[inline]
    pub fn as_code(self) -> Option<u16> {
        (self != Self::OTHER).then_some(self.0)
    }
}

impl fmt::Display for StatusLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_code() {
            Some(code) => write!(f, "{code}"),
            None => f.write_str("other"),
        }
    }
}

/// A set of status codes below 1000.
#[derive(Clone, PartialEq, Eq)]
pub struct StatusSet {
    bits: [u64; WORDS],
}

impl StatusSet {
    /// The set of these codes; codes from 1000 up are left out.
    pub fn new(codes: impl IntoIterator<Item = u16>) -> Self {
        let mut bits = [0; WORDS];
        for code in codes {
            if let Some(word) = bits.get_mut(usize::from(code) / 64) {
                *word |= 1u64 << (code % 64);
            }
        }
        Self { bits }
    }

    /// `0` (no answer), every code in the IANA HTTP Status Code Registry (read in 2025, the unused 306 and 418 included),
    /// and `499`, Envoy's and nginx's word for a client that left.
    pub fn registered() -> Self {
        let ranges = [
            0..=0,
            100..=104,
            200..=208,
            226..=226,
            300..=308,
            400..=418,
            421..=426,
            428..=429,
            431..=431,
            451..=451,
            499..=499,
            500..=508,
            510..=511,
        ];
        Self::new(ranges.into_iter().flatten())
    }

    /// Whether the code is in the set.
    #[inline]
    pub fn contains(&self, code: u16) -> bool {
        self.bits.get(usize::from(code) / 64).is_some_and(|word| word >> (code % 64) & 1 == 1)
    }

    /// How many codes there are.
    pub fn len(&self) -> usize {
        self.bits.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The codes in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        (0u16..1000).filter(|code| self.contains(*code))
    }
}

impl fmt::Debug for StatusSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
