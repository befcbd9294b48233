//! Events that outlive their VM.
//!
//! An event that waits for its receiver lies in the proxy's shared data as well, under the number of its worker. When a VM dies, its number runs
//! out, and the worker that sees that first takes over what lies there. The places are few and used again: shared data cannot be deleted.

use siem::event::Event;

use crate::shared::{Read, SharedData, Write, Written};

/// How many events of one worker there is room for.
pub(crate) const PLACES: u32 = 2_048;
/// How many events may wait for the worker's number, which comes with the first tick.
const MAX_EARLY: usize = 256;

/// The places of one worker's events.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// What the keys begin with, the worker's number included; empty before there is one.
    prefix: String,
    /// What lies there. **Invariant:** sorted by `EventUid`, none twice.
    #[expect(clippy::vec_box, reason = "an event is large, and the list moves when one comes or goes")]
    kept: Vec<Box<Kept>>,
    /// Places that are free, below `used`.
    free: Vec<u32>,
    /// How many places were ever used, as it lies in the shared data.
    used: u32,
}

/// An event that lies in the shared data.
#[derive(Debug)]
struct Kept {
    /// `None` before there is a number.
    place: Option<u32>,
    /// The sinks that have yet to settle it.
    sinks: Vec<String>,
    event: Event,
}

impl Outbox {
    /// Whether there is a number.
    pub(crate) fn is_open(&self) -> bool {
        !self.prefix.is_empty()
    }

    /// From now on under this worker's number. Gives what a worker that had the number before has left behind.
    pub(crate) fn open(&mut self, namespace: &str, worker: u32, shared: &mut dyn SharedData) -> Vec<Left> {
        let prefix = prefix(namespace, worker);
        if self.prefix == prefix {
            return Vec::new();
        }
        // What lies under the old number is this VM's own, and moves along.
        let moving = std::mem::take(&mut self.kept);
        for place in moving.iter().filter_map(|kept| kept.place) {
            overwrite(&key(&self.prefix, place), &[], shared);
        }
        let left = take(namespace, worker, shared);
        *self = Self { prefix, used: read_used(namespace, worker, shared), ..Self::default() };
        self.free = (0..self.used).rev().collect();
        for kept in moving {
            self.put(&kept.event, kept.sinks, shared);
        }
        left
    }

    /// Keeps an event that these sinks have yet to settle; without room it is only in this VM's memory.
    pub(crate) fn put(&mut self, event: &Event, sinks: Vec<String>, shared: &mut dyn SharedData) {
        if sinks.is_empty() {
            return;
        }
        if self.prefix.is_empty() {
            if self.kept.len() < MAX_EARLY {
                self.keep(Kept { place: None, sinks, event: event.clone() });
            }
            return;
        }
        let place = match self.free.pop() {
            Some(place) => place,
            None if self.used < PLACES => {
                let used = self.used + 1;
                if !overwrite(&self.prefix, &used.to_le_bytes(), shared) {
                    return;
                }
                self.used = used;
                used - 1
            }
            None => return,
        };
        let kept = Kept { place: Some(place), sinks, event: event.clone() };
        if overwrite(&key(&self.prefix, place), &kept.value(), shared) {
            self.keep(kept);
        } else {
            self.free.push(place);
        }
    }

    /// Where the event is, or would be.
    fn position(&self, uid: [u8; 16]) -> Result<usize, usize> {
        self.kept.binary_search_by_key(&uid, |kept| kept.event.uid)
    }

    fn keep(&mut self, kept: Kept) {
        match self.position(kept.event.uid) {
            Ok(at) => {
                if let Some(known) = self.kept.get_mut(at) {
                    **known = kept;
                }
            }
            Err(at) => self.kept.insert(at, Box::new(kept)),
        }
    }

    /// A sink has settled an event.
    pub(crate) fn settle(&mut self, uid: [u8; 16], sink: &str, shared: &mut dyn SharedData) {
        let Ok(at) = self.position(uid) else { return };
        let Some(kept) = self.kept.get_mut(at) else { return };
        kept.sinks.retain(|waiting| waiting != sink);
        let (place, is_settled) = (kept.place, kept.sinks.is_empty());
        if let Some(place) = place {
            let value = if is_settled { Vec::new() } else { kept.value() };
            overwrite(&key(&self.prefix, place), &value, shared);
        }
        if is_settled {
            self.kept.remove(at);
            self.free.extend(place);
        }
    }
}

/// An event that a dead VM has left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) event: Event,
    /// The sinks that have yet to settle it.
    pub(crate) sinks: Vec<String>,
}

/// Takes over what lies under a worker's number. Each event goes to one of those who try at the same time.
pub(crate) fn take(namespace: &str, worker: u32, shared: &mut dyn SharedData) -> Vec<Left> {
    let prefix = prefix(namespace, worker);
    let mut left = Vec::new();
    for place in 0..read_used(namespace, worker, shared) {
        let key = key(&prefix, place);
        let Read::Value(value, cas) = shared.read(&key) else { continue };
        if value.is_empty() {
            continue;
        }
        let found = parse(value);
        if shared.write(&key, &[], Write::Update(cas)) == Written::Yes {
            left.extend(found);
        }
    }
    left
}

impl Kept {
    /// How many sinks, then each with its length, then the event.
    fn value(&self) -> Vec<u8> {
        let short = |length: usize| u8::try_from(length).unwrap_or(u8::MAX);
        let mut value = vec![short(self.sinks.len())];
        for sink in &self.sinks {
            value.push(short(sink.len()));
            value.extend_from_slice(sink.as_bytes());
        }
        value.extend_from_slice(&self.event.encode());
        value
    }
}

/// `None` for what is of another form.
fn parse(value: &[u8]) -> Option<Left> {
    let (count, mut rest) = value.split_first()?;
    let mut sinks = Vec::new();
    for _ in 0..*count {
        let (length, after) = rest.split_first()?;
        let (name, after) = after.split_at_checked(usize::from(*length))?;
        sinks.push(String::from_utf8(name.to_vec()).ok()?);
        rest = after;
    }
    Some(Left { event: Event::decode(rest)?, sinks })
}

fn prefix(namespace: &str, worker: u32) -> String {
    format!("{namespace}.edge.outbox.{worker}")
}

fn key(prefix: &str, place: u32) -> String {
    format!("{prefix}.{place}")
}

fn read_used(namespace: &str, worker: u32, shared: &mut dyn SharedData) -> u32 {
    match shared.read(&prefix(namespace, worker)) {
        Read::Value(value, _) => value.try_into().map_or(0, u32::from_le_bytes).min(PLACES),
        Read::Absent | Read::Failed => 0,
    }
}

/// Only the worker itself, and who takes over from it, writes here.
fn overwrite(key: &str, value: &[u8], shared: &mut dyn SharedData) -> bool {
    const ATTEMPTS: usize = 4;
    for _ in 0..ATTEMPTS {
        let write = match shared.read(key) {
            Read::Value(_, cas) => Write::Update(cas),
            Read::Absent => Write::Create,
            Read::Failed => return false,
        };
        match shared.write(key, value, write) {
            Written::Yes => return true,
            Written::Raced => {}
            Written::Failed => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use siem::event::Class;

    use super::*;
    use crate::shared::tests::Fake;

    fn event(number: u8) -> Event {
        Event::new([number; 16], "CAB_APPROVAL", Class::Decision, u64::from(number))
    }

    fn sinks() -> Vec<String> {
        vec!["a".to_owned(), "b".to_owned()]
    }

    #[test]
    fn what_a_dead_worker_leaves_is_taken_over_once() {
        let mut shared = Fake::default();
        let mut dead = Outbox::default();
        assert_eq!(dead.open("eucora", 0, &mut shared), []);
        for number in 1..=3 {
            dead.put(&event(number), sinks(), &mut shared);
        }
        dead.settle([1; 16], "a", &mut shared);
        dead.settle([2; 16], "a", &mut shared);
        dead.settle([2; 16], "b", &mut shared);
        let left = take("eucora", 0, &mut shared);
        assert_eq!(
            left,
            [Left { event: event(1), sinks: vec!["b".to_owned()] }, Left { event: event(3), sinks: sinks() }]
        );
        assert_eq!(take("eucora", 0, &mut shared), []);
        assert_eq!(take("eucora", 1, &mut shared), []);
    }

    #[test]
    fn the_next_worker_of_that_number_takes_over_too() {
        let mut shared = Fake::default();
        let mut dead = Outbox::default();
        dead.open("eucora", 0, &mut shared);
        dead.put(&event(1), sinks(), &mut shared);
        let mut next = Outbox::default();
        assert_eq!(next.open("eucora", 0, &mut shared).len(), 1);
        next.put(&event(2), sinks(), &mut shared);
        assert_eq!(shared.values["eucora.edge.outbox.0"].0, 1_u32.to_le_bytes());
        assert_eq!(take("eucora", 0, &mut shared)[0].event, event(2));
    }

    #[test]
    fn places_are_used_again_and_there_is_an_end_of_them() {
        let mut shared = Fake::default();
        let mut outbox = Outbox::default();
        outbox.open("eucora", 7, &mut shared);
        for round in 0..10_000_u32 {
            let mut event = event(1);
            event.uid = u128::from(round).to_le_bytes();
            outbox.put(&event, vec!["a".to_owned()], &mut shared);
            outbox.settle(event.uid, "a", &mut shared);
        }
        assert_eq!(shared.values.len(), 2);
        for round in 0..PLACES + 10 {
            let mut event = event(1);
            event.uid = u128::from(round).to_le_bytes();
            outbox.put(&event, vec!["a".to_owned()], &mut shared);
        }
        assert_eq!(shared.values.len(), usize::try_from(PLACES).unwrap() + 1);
        assert_eq!(outbox.kept.len(), usize::try_from(PLACES).unwrap());
    }

    #[test]
    fn a_worker_with_another_number_moves_its_events() {
        let mut shared = Fake::default();
        let mut outbox = Outbox::default();
        outbox.open("eucora", 0, &mut shared);
        outbox.put(&event(1), sinks(), &mut shared);
        outbox.open("eucora", 1, &mut shared);
        assert_eq!(take("eucora", 0, &mut shared), []);
        assert_eq!(take("eucora", 1, &mut shared).len(), 1);
    }

    #[test]
    fn what_comes_before_the_number_is_kept_once_there_is_one() {
        let mut shared = Fake::default();
        let mut outbox = Outbox::default();
        outbox.put(&event(1), sinks(), &mut shared);
        outbox.put(&event(2), vec!["a".to_owned()], &mut shared);
        outbox.settle([2; 16], "a", &mut shared);
        assert!(shared.values.is_empty());
        outbox.open("eucora", 7, &mut shared);
        assert_eq!(take("eucora", 7, &mut shared), [Left { event: event(1), sinks: sinks() }]);
    }

    #[test]
    fn garbage_is_nobodys_event() {
        for value in [&b""[..], b"\x05", b"\x01\x09a", b"\x00", b"\x00\xff\xff"] {
            assert_eq!(parse(value), None, "{value:?}");
        }
    }

    #[test]
    fn a_host_that_refuses_keeps_nothing() {
        let mut shared = Fake::default();
        shared.refuse = true;
        let mut outbox = Outbox::default();
        assert_eq!(outbox.open("eucora", 0, &mut shared), []);
        outbox.put(&event(1), sinks(), &mut shared);
        assert!(outbox.kept.is_empty());
        outbox.settle([1; 16], "a", &mut shared);
    }
}
