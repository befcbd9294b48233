//! Endpoints that no configuration names: placeholder labels that were admitted while the filter ran.

use super::{EndpointId, PlaceholderLimits, RouteTable};
use crate::sorted::SortedMap;

/// The admitted placeholder labels of one worker. A lookup allocates nothing; entries are never removed, because their series are never removed.
#[derive(Clone, Debug)]
pub struct Learned {
    /// The identifier of the first entry of `labels`.
    base: u32,
    limits: PlaceholderLimits,
    /// In the order of their identifiers.
    labels: Vec<Box<str>>,
    /// Sorted by text. May hold texts that are labels of the table, with those identifiers.
    by_text: Vec<(Box<str>, EndpointId)>,
    /// Each beginning of an admitted label that ends before a slash or with the label, and how many different segments follow it.
    children: SortedMap<Box<[u8]>, usize>,
}

impl Learned {
    /// Room for as many labels as the table allows beside its own.
    #[must_use]
    pub fn new(table: &RouteTable) -> Self {
        let none = PlaceholderLimits { max_endpoints: 0, ..PlaceholderLimits::default() };
        Self {
            base: u32::try_from(table.labels().len()).unwrap_or(u32::MAX),
            limits: table.limits().copied().unwrap_or(none),
            labels: Vec::new(),
            by_text: Vec::new(),
            children: SortedMap::default(),
        }
    }

    /// The endpoint of a label that was learned.
    #[inline]
    #[must_use]
    pub fn get(&self, text: &[u8]) -> Option<EndpointId> {
        let position = self.by_text.binary_search_by(|(known, _)| known.as_bytes().cmp(text)).ok()?;
        self.by_text.get(position).map(|(_, id)| *id)
    }

    /// Learns a label that was admitted proxy-wide. `None` where there is no room, or the text is no label.
    ///
    /// A text that is also a label of the table gets that endpoint, so that no two endpoints have one name.
    pub fn learn(&mut self, table: &RouteTable, text: &[u8]) -> Option<EndpointId> {
        let position = match self.by_text.binary_search_by(|(known, _)| known.as_bytes().cmp(text)) {
            Ok(position) => return self.by_text.get(position).map(|(_, id)| *id),
            Err(position) => position,
        };
        if self.is_full() {
            return None;
        }
        let text = std::str::from_utf8(text).ok().filter(|text| !text.is_empty())?;
        let id = match table.labels().iter().position(|label| **label == *text) {
            Some(position) => EndpointId(u32::try_from(position).ok()?),
            None => {
                let id = EndpointId(self.base.checked_add(u32::try_from(self.labels.len()).ok()?)?);
                self.labels.push(text.into());
                id
            }
        };
        self.by_text.insert(position, (text.into(), id));
        let mut before: &[u8] = &[];
        for here in beginnings(text.as_bytes()) {
            if self.children.get(here).is_none() {
                self.children.get_or_insert_with(here.into(), || 0);
                *self.children.get_or_insert_with(before.into(), || 0) += 1;
            }
            before = here;
        }
        Some(id)
    }

    /// Whether one more label with this text is within the caps, as far as this worker knows.
    #[inline]
    #[must_use]
    pub fn has_room(&self, text: &[u8]) -> bool {
        if self.is_full() {
            return false;
        }
        let mut parent: &[u8] = &[];
        for here in beginnings(text) {
            if self.children.get(here).is_none() {
                return self.children.get(parent).is_none_or(|children| *children < self.limits.max_per_parent);
            }
            parent = here;
        }
        true
    }

    /// The text of a learned endpoint.
    #[inline]
    #[must_use]
    pub fn label(&self, id: EndpointId) -> Option<&str> {
        let position = usize::try_from(id.0.checked_sub(self.base)?).ok()?;
        self.labels.get(position).map(|label| &**label)
    }

    /// How many were admitted.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_text.len()
    }

    /// Whether none were.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_text.is_empty()
    }

    /// Whether there is no room for any other.
    #[inline]
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.by_text.len() >= self.limits.max_endpoints
    }
}

/// The beginnings of a label that end before a slash, the shortest first, and the label itself; without the empty one.
#[inline]
fn beginnings(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = text.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'/').map(|(end, _)| end);
    ends.chain([text.len()]).filter_map(|end| text.get(..end))
}

/// Whether one more label with this text leaves every place with at most `max_per_parent` different segments, beside the labels admitted before.
///
/// Slower than [`Learned::has_room`], for the list that all workers share.
#[inline]
#[must_use]
pub fn has_room<'a>(admitted: impl Iterator<Item = &'a [u8]> + Clone, text: &[u8], max_per_parent: usize) -> bool {
    let is_beginning =
        |of: &[u8], text: &[u8]| of.strip_prefix(text).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')));
    let mut parent: &[u8] = &[];
    for here in beginnings(text) {
        if !admitted.clone().any(|known| is_beginning(known, here)) {
            let mut segments: Vec<&[u8]> = Vec::new();
            for known in admitted.filter(|known| is_beginning(known, parent)) {
                let Some(segment) = segment_at(known, parent.len()) else { continue };
                if !segments.contains(&segment) {
                    segments.push(segment);
                }
            }
            return segments.len() < max_per_parent;
        }
        parent = here;
    }
    true
}

/// The segment whose slash is at this position.
#[inline]
fn segment_at(text: &[u8], slash: usize) -> Option<&[u8]> {
    text.get(slash + 1..)?.split(|byte| *byte == b'/').next()
}

#[cfg(test)]
mod tests;
