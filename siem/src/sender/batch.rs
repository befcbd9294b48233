//! Events that go together.

use std::collections::VecDeque;

use super::counts::{Reason, Settled};
use crate::event::Event;
use crate::settings::Settings;

/// An event that waits.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) event: Box<Event>,
    pub(super) since_ms: u64,
}

/// Events that were sent together, or are to be.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// `None` until it is sent: pieces of a batch have IDs of their own.
    pub(super) id: Option<[u8; 16]>,
    pub(super) entries: VecDeque<Entry>,
}

/// A body, what is in it, and what cannot be in any.
#[derive(Debug, Default)]
pub(super) struct Filled {
    pub(super) taken: VecDeque<Entry>,
    pub(super) body: String,
    pub(super) too_large: Vec<Entry>,
}

impl Batch {
    pub(super) fn of(entries: VecDeque<Entry>) -> Self {
        Self { id: None, entries }
    }

    /// Two halves, the first of which is the larger.
    pub(super) fn halves(mut self) -> (Self, Self) {
        let second = self.entries.split_off(self.entries.len().div_ceil(2));
        (Self::of(self.entries), Self::of(second))
    }
}

/// Takes entries from the front as long as their records fit: at most `max_events`, and `aim` bytes, of which a single record may take up to
/// `max_bytes`.
pub(super) fn fill(
    entries: &mut VecDeque<Entry>,
    settings: &Settings,
    max_events: usize,
    aim: usize,
    max_bytes: usize,
) -> Filled {
    let frame = settings.protocol.frame();
    let mut filled = Filled { body: frame.open.to_owned(), ..Filled::default() };
    let mut record = String::new();
    while filled.taken.len() < max_events {
        let Some(entry) = entries.pop_front() else { break };
        record.clear();
        settings.protocol.record(settings, &entry.event, &mut record);
        let alone = frame.open.len() + record.len() + frame.close.len();
        if alone > max_bytes {
            filled.too_large.push(entry);
            continue;
        }
        let between = if filled.taken.is_empty() { "" } else { frame.between };
        let length = filled.body.len() + between.len() + record.len() + frame.close.len();
        if !filled.taken.is_empty() && length > aim {
            entries.push_front(entry);
            break;
        }
        filled.body.push_str(between);
        filled.body.push_str(&record);
        filled.taken.push_back(entry);
    }
    filled.body.push_str(frame.close);
    filled
}

/// Events that came to their end and were not yet asked for.
#[derive(Debug, Default)]
pub(super) struct Ends {
    ends: VecDeque<Settled>,
    bytes: usize,
    pub(super) delivered: u64,
    pub(super) logged: [u64; Reason::ALL.len()],
}

impl Ends {
    pub(super) fn deliver(&mut self, entry: &Entry) {
        self.delivered += 1;
        self.ends.push_back(Settled::Delivered { uid: entry.event.uid });
    }

    pub(super) fn log(&mut self, entry: Entry, reason: Reason) {
        self.count(reason);
        self.bytes = self.bytes.saturating_add(entry.event.size());
        self.ends.push_back(Settled::Logged { event: entry.event, reason });
    }

    /// An event that is given back at once.
    pub(super) fn count(&mut self, reason: Reason) {
        let count = Reason::ALL.iter().zip(&mut self.logged).find(|(known, _)| **known == reason);
        if let Some((_, count)) = count {
            *count += 1;
        }
    }

    pub(super) fn next(&mut self) -> Option<Settled> {
        let end = self.ends.pop_front()?;
        if let Settled::Logged { event, .. } = &end {
            self.bytes = self.bytes.saturating_sub(event.size());
        }
        Some(end)
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
