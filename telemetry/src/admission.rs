//! Proxy-wide admission of label values that no configuration can name in advance.
//!
//! A proxy runs one VM per worker, and a series that one worker creates exists for the whole proxy, so a cap has to hold over all of them.
//! The workers share one value per pool in the proxy's shared data: an append-only list of admitted items. This module decides what to do with
//! the value as it was read; the caller writes the answer back with compare-and-swap and asks again when another worker was faster.
//!
//! The format is a run of items, each one length byte and then so many bytes. A value that is not of this form (another version's, another
//! plugin's) admits nothing, which keeps the cap.

use crate::route;

/// What to do about an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proposal {
    /// The item was admitted before; nothing to write.
    AlreadyIn,
    /// Write this value in place of the one that was read; the item is admitted when that succeeds.
    Append(Vec<u8>),
    /// The pool is full (or its value unreadable, or the item unstorable): the item is not admitted.
    Full,
}

/// What bounds a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most items.
    pub items: usize,
    /// Where the items are paths: the most different segments in one place.
    pub per_parent: Option<usize>,
}

/// A list of items that other workers may append to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pool {
    /// Endpoint labels made of typed placeholders.
    Endpoints,
    /// Status codes outside the configured set, as decimal text.
    Statuses,
}

/// The answer to asking for an item's admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It is in the pool, for every worker and for good.
    Yes,
    /// It is not in the pool, for which there is no room.
    Full,
    /// The pool could not be read or written this time; ask again with the next request.
    Unavailable,
}

/// Decides about `item`, given the pool's `current` value (`None` before the first item) and its limits.
///
/// Items past the cap count as absent, so lowering the cap is honoured although the proxy keeps the old value.
///
/// ```
/// use telemetry::admission::{Limits, Proposal, propose};
///
/// let limits = Limits { items: 1, per_parent: None };
/// let Proposal::Append(value) = propose(None, b"599", limits) else { panic!("room for one") };
/// assert_eq!(propose(Some(&value), b"599", limits), Proposal::AlreadyIn);
/// assert_eq!(propose(Some(&value), b"598", limits), Proposal::Full);
/// ```
#[must_use]
pub fn propose(current: Option<&[u8]>, item: &[u8], limits: Limits) -> Proposal {
    let Ok(length) = u8::try_from(item.len()) else { return Proposal::Full };
    let current = current.unwrap_or_default();
    let mut walk = items(current);
    let mut count = 0;
    for known in walk.by_ref() {
        if count >= limits.items {
            return Proposal::Full;
        }
        if known == item {
            return Proposal::AlreadyIn;
        }
        count += 1;
    }
    let has_room = |most| route::has_room(items(current), item, most);
    if count >= limits.items || !walk.rest.is_empty() || !limits.per_parent.is_none_or(has_room) {
        return Proposal::Full;
    }
    let mut value = Vec::with_capacity(current.len() + 1 + item.len());
    value.extend_from_slice(current);
    value.push(length);
    value.extend_from_slice(item);
    Proposal::Append(value)
}

/// The items of a pool's value, in order of admission; stops at the first thing that is not one.
#[inline]
#[must_use]
pub fn items(value: &[u8]) -> Items<'_> {
    Items { rest: value }
}

/// See [`items`].
#[derive(Clone, Debug)]
pub struct Items<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Items<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.rest.split_first()?;
        let (item, rest) = rest.split_at_checked(usize::from(*length))?;
        self.rest = rest;
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn up_to(items: usize) -> Limits {
        Limits { items, per_parent: None }
    }

    fn admit(value: &mut Option<Vec<u8>>, item: &[u8], limits: Limits) -> bool {
        match propose(value.as_deref(), item, limits) {
            Proposal::AlreadyIn => true,
            Proposal::Append(next) => {
                *value = Some(next);
                true
            }
            Proposal::Full => false,
        }
    }

    #[test]
    fn a_cap_of_nothing_admits_nothing() {
        assert_eq!(propose(None, b"599", up_to(0)), Proposal::Full);
    }

    #[test]
    fn a_lowered_cap_is_honoured() {
        let mut value = None;
        for item in [&b"a"[..], b"b", b"c"] {
            assert!(admit(&mut value, item, up_to(3)));
        }
        assert!(admit(&mut value, b"a", up_to(2)));
        assert!(admit(&mut value, b"b", up_to(2)));
        assert!(!admit(&mut value, b"c", up_to(2)));
    }

    #[test]
    fn paths_have_a_cap_in_each_place_too() {
        let limits = Limits { items: 10, per_parent: Some(2) };
        let mut value = None;
        for (item, expected) in [
            ("/a/x", true),
            ("/a/y", true),
            ("/a/z", false),
            ("/b", true),
            ("/c", false),
            ("/a/x/1", true),
            ("/a/x", true),
        ] {
            assert_eq!(admit(&mut value, item.as_bytes(), limits), expected, "{item}");
        }
    }

    #[test]
    fn an_unreadable_value_admits_nothing_new() {
        assert_eq!(propose(Some(b"\x05ab"), b"x", up_to(10)), Proposal::Full);
        assert_eq!(propose(Some(b"\x01a\xff"), b"x", up_to(10)), Proposal::Full);
        assert_eq!(propose(Some(b"\x01a\xff"), b"a", up_to(10)), Proposal::AlreadyIn);
    }

    #[test]
    fn an_item_too_long_for_its_length_byte_is_refused() {
        assert!(matches!(propose(None, &[b'x'; 255], up_to(10)), Proposal::Append(_)));
        assert_eq!(propose(None, &[b'x'; 256], up_to(10)), Proposal::Full);
    }

    proptest! {
        /// Any order of proposals ends with the first `cap` distinct items, and those stay admitted.
        #[test]
        fn first_come_first_served_up_to_the_cap(
            asked in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..4), 0..60),
            cap in 0_usize..12,
        ) {
            let mut value = None;
            let mut expected: Vec<Vec<u8>> = Vec::new();
            for item in &asked {
                if !expected.contains(item) && expected.len() < cap {
                    expected.push(item.clone());
                }
                prop_assert_eq!(admit(&mut value, item, up_to(cap)), expected.contains(item));
            }
            let stored: Vec<Vec<u8>> = items(value.as_deref().unwrap_or_default()).map(<[u8]>::to_vec).collect();
            prop_assert_eq!(stored, expected);
        }

        #[test]
        fn any_value_is_read_without_harm(value in prop::collection::vec(any::<u8>(), 0..200), item in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = propose(Some(&value), &item, up_to(8));
            prop_assert!(items(&value).count() <= value.len());
        }
    }
}
