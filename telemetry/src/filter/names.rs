//! Lengths of header names: most headers are not looked for, and need no more than a look at their length.

/// A set of lengths. Everything from 63 on is one length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameLengths(u64);

impl NameLengths {
    /// Every length.
    pub const ALL: Self = Self(u64::MAX);

    /// The lengths of these names.
    #[must_use]
    pub fn of(names: &[&[u8]]) -> Self {
        Self(names.iter().fold(0, |set, name| set | bit(name.len())))
    }

    /// Whether a name of this length may be one of them.
    #[inline]
    #[must_use]
    pub fn contains(self, length: usize) -> bool {
        self.0 & bit(length) != 0
    }
}

#[inline]
fn bit(length: usize) -> u64 {
    1 << length.min(63)
}
