//! Endpoints that no configuration names: placeholder labels that were admitted while the filter ran.

use super::{EndpointId, RouteTable};

/// The admitted placeholder labels of one worker. A lookup allocates nothing; entries are never removed, because their series are never removed.
#[derive(Clone, Debug)]
pub struct Learned {
    /// The identifier of the first entry of `labels`.
    base: u32,
    capacity: usize,
    /// In the order of their identifiers.
    labels: Vec<Box<str>>,
    /// Sorted by text. May hold texts that are labels of the table, with those identifiers.
    by_text: Vec<(Box<str>, EndpointId)>,
}

impl Learned {
    /// Room for `capacity` labels beside those of the table.
    #[must_use]
    pub fn new(table: &RouteTable, capacity: usize) -> Self {
        Self {
            base: u32::try_from(table.labels().len()).unwrap_or(u32::MAX),
            capacity,
            labels: Vec::new(),
            by_text: Vec::new(),
        }
    }

    /// The endpoint of a label that was learned.
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
        Some(id)
    }

    /// The text of a learned endpoint.
    #[must_use]
    pub fn label(&self, id: EndpointId) -> Option<&str> {
        let position = usize::try_from(id.0.checked_sub(self.base)?).ok()?;
        self.labels.get(position).map(|label| &**label)
    }

    /// How many were admitted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_text.len()
    }

    /// Whether none were.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_text.is_empty()
    }

    /// Whether there is no room for another.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.by_text.len() >= self.capacity
    }
}
