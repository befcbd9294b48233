//! A map that is a sorted list.
//!
//! The maps here are small, or are filled once and nearly in order. The standard one would be a twentieth of the module: its tree is compiled anew for
//! every pair of types.

use std::borrow::Borrow;

/// **Invariant:** sorted by key, no key twice.
#[derive(Clone, Debug)]
pub(crate) struct SortedMap<K, V>(Vec<(K, V)>);

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord, V> SortedMap<K, V> {
    /// Where the key is, or would be.
    fn position<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        self.0.binary_search_by(|(known, _)| known.borrow().cmp(key))
    }

    pub(crate) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let at = self.position(key).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// The value of the key, made if there is none.
    pub(crate) fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let at = match self.position(&key) {
            Ok(at) => at,
            Err(at) => {
                self.0.insert(at, (key, make()));
                at
            }
        };
        #[expect(clippy::indexing_slicing, reason = "found there, or inserted there")]
        &mut self.0[at].1
    }

    /// In the order of the keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// In the order of the keys.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.0.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// In the order of the keys.
    pub(crate) fn into_entries(self) -> Vec<(K, V)> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_what_the_standard_map_is(keys in prop::collection::vec(0..40_u8, 0..80)) {
            let (mut map, mut model) = (SortedMap::default(), BTreeMap::new());
            for (number, key) in keys.into_iter().enumerate() {
                *map.get_or_insert_with(key, || 0) += number;
                *model.entry(key).or_insert(0) += number;
            }
            prop_assert!((0..40).all(|key| map.get(&key) == model.get(&key)));
            prop_assert!(map.iter().eq(model.iter()));
            prop_assert!(map.iter_mut().map(|(key, value)| (*key, *value)).eq(model.clone()));
            prop_assert!(map.into_entries().into_iter().eq(model));
        }
    }
}
