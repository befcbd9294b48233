//! Values that all VMs of one proxy share, and how they are agreed on.
//!
//! Each worker of the proxy runs its own VM. What has to hold for all of them together (which worker is which, which
//! build is the latest, how many label values were admitted) lies in the proxy's shared data and is only ever
//! changed by compare-and-swap.

use telemetry::admission::{self, Admitted, Limits, Proposal};
use telemetry::poll::election::{self, Held};
use telemetry::recent::{self, Agreed, Secret, Seen, Window};
use telemetry::rule::fire::Occurrence;

pub(crate) use crate::host::Write;

/// What reading a shared value gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read<'a> {
    /// The value, and the number for [`Write::Update`].
    Value(&'a [u8], u32),
    /// There is none yet.
    Absent,
    /// The host refused.
    Failed,
}

/// What came of writing a shared value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// It is written.
    Yes,
    /// Another VM wrote since it was read.
    Raced,
    /// The host refused.
    Failed,
}

/// The proxy's shared data. Implementors count what the host refuses.
pub(crate) trait SharedData {
    /// Reads the value under `key`.
    fn read(&mut self, key: &str) -> Read<'_>;

    /// Writes the value under `key` if `write` allows it.
    fn write(&mut self, key: &str, value: &[u8], write: Write) -> Written;
}

/// How often a value is read again because another VM was faster. Each time one of the others has made progress.
pub(crate) const ATTEMPTS: usize = 16;

/// Asks the pool under `key` to take `item`, within its limits.
pub(crate) fn admit(key: &str, item: &[u8], limits: Limits, shared: &mut dyn SharedData) -> Admitted {
    for _ in 0..ATTEMPTS {
        let (proposal, write) = match shared.read(key) {
            Read::Value(value, cas) => (admission::propose(Some(value), item, limits), Write::Update(cas)),
            Read::Absent => (admission::propose(None, item, limits), Write::Create),
            Read::Failed => return Admitted::Unavailable,
        };
        match proposal {
            Proposal::AlreadyIn => return Admitted::Yes,
            Proposal::Full => return Admitted::Full,
            Proposal::Append(value) => match shared.write(key, &value, write) {
                Written::Yes => return Admitted::Yes,
                Written::Raced => {}
                Written::Failed => return Admitted::Unavailable,
            },
        }
    }
    Admitted::Unavailable
}

/// Whether what has this hash has occurred within the window; `prefix` is what the keys of its buckets begin with.
pub(crate) fn once(prefix: &str, window: Window, hash: u64, now_s: u64, shared: &mut dyn SharedData) -> Occurrence {
    let key = format!("{prefix}{}", recent::bucket(hash, window.buckets));
    for _ in 0..ATTEMPTS {
        let (seen, write) = match shared.read(&key) {
            Read::Value(value, cas) => (recent::once(Some(value), hash, now_s, window), Write::Update(cas)),
            Read::Absent => (recent::once(None, hash, now_s, window), Write::Create),
            Read::Failed => return Occurrence::Unknown,
        };
        let (value, occurrence) = match seen {
            Seen::First { write, evicted } => (write, Occurrence::First { forgot: evicted }),
            Seen::Again { write: Some(write) } => (write, Occurrence::Again),
            Seen::Again { write: None } => return Occurrence::Again,
        };
        match shared.write(&key, &value, write) {
            Written::Yes => return occurrence,
            Written::Raced => {}
            Written::Failed => return Occurrence::Unknown,
        }
    }
    Occurrence::Unknown
}

/// The lease under `key`, if it is this worker's: the one of a poll.
pub(crate) fn elect(
    key: &str,
    holder: [u8; 16],
    now_ns: u64,
    lease_ns: u64,
    fresh_ns: Option<u64>,
    shared: &mut dyn SharedData,
) -> Option<Held> {
    for _ in 0..ATTEMPTS {
        let (proposal, write) = match shared.read(key) {
            Read::Value(value, cas) => {
                (election::propose(Some(value), holder, now_ns, lease_ns, fresh_ns), Write::Update(cas))
            }
            Read::Absent => (election::propose(None, holder, now_ns, lease_ns, fresh_ns), Write::Create),
            Read::Failed => return None,
        };
        let election::Proposal::Held(held) = proposal else { return None };
        match shared.write(key, &held.write, write) {
            Written::Yes => return Some(held),
            Written::Raced => {}
            Written::Failed => return None,
        }
    }
    None
}

/// Gives such a lease back, if it is this worker's.
pub(crate) fn give_back(key: &str, holder: [u8; 16], shared: &mut dyn SharedData) {
    if let Read::Value(value, cas) = shared.read(key)
        && let Some(value) = election::release(Some(value), holder)
    {
        shared.write(key, &value, Write::Update(cas));
    }
}

/// Counts one more of a source's events; how many there were, when it is time to say so.
pub(crate) fn burst(
    prefix: &str,
    window: Window,
    threshold: u32,
    hash: u64,
    now_s: u64,
    shared: &mut dyn SharedData,
) -> Option<u32> {
    let key = format!("{prefix}{}", recent::bucket(hash, window.buckets));
    for _ in 0..ATTEMPTS {
        let (burst, write) = match shared.read(&key) {
            Read::Value(value, cas) => (recent::count(Some(value), hash, now_s, window, threshold), Write::Update(cas)),
            Read::Absent => (recent::count(None, hash, now_s, window, threshold), Write::Create),
            Read::Failed => return None,
        };
        match shared.write(&key, &burst.write, write) {
            Written::Yes => return burst.crossed,
            Written::Raced => {}
            Written::Failed => return None,
        }
    }
    None
}

/// The secret under `key` that hashes are made with, which the first of the workers proposes.
pub(crate) fn secret(key: &str, random: [u8; 16], shared: &mut dyn SharedData) -> Option<Secret> {
    for _ in 0..ATTEMPTS {
        let (agreed, write) = match shared.read(key) {
            Read::Value(value, cas) => (Secret::agree(Some(value), random), Write::Update(cas)),
            Read::Absent => (Secret::agree(None, random), Write::Create),
            Read::Failed => return None,
        };
        match agreed {
            Agreed::On(secret) => return Some(secret),
            Agreed::Propose(secret) => match shared.write(key, &secret.value(), write) {
                Written::Yes => return Some(secret),
                Written::Raced => {}
                Written::Failed => return None,
            },
        }
    }
    None
}

/// What came of [`replace`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Replaced {
    /// The value is there, in the place of this one, which this VM took away.
    Previous(Vec<u8>),
    /// The value is there, and this VM took nothing away.
    Nothing,
    /// The host refused, or the others were always faster.
    Failed,
}

/// Puts `value` under `key`.
pub(crate) fn replace(key: &str, value: &[u8], shared: &mut dyn SharedData) -> Replaced {
    for _ in 0..ATTEMPTS {
        let (previous, write) = match shared.read(key) {
            Read::Value(current, _) if current == value => return Replaced::Nothing,
            Read::Value(current, cas) => (Some(current.to_vec()), Write::Update(cas)),
            Read::Absent => (None, Write::Create),
            Read::Failed => return Replaced::Failed,
        };
        match shared.write(key, value, write) {
            Written::Yes => {
                return previous.map_or(Replaced::Nothing, Replaced::Previous);
            }
            Written::Raced => {}
            Written::Failed => return Replaced::Failed,
        }
    }
    Replaced::Failed
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn up_to(items: usize) -> Limits {
        Limits { items, per_parent: None }
    }

    /// Shared data as Envoy keeps it, and another VM that writes first now and then.
    #[derive(Debug, Default)]
    pub(crate) struct Fake {
        pub(crate) values: BTreeMap<String, (Vec<u8>, u32)>,
        pub(crate) refuse: bool,
        /// Written behind the caller's back before its next writes, last first.
        pub(crate) rivals: Vec<Vec<u8>>,
        count: u32,
    }

    impl SharedData for Fake {
        fn read(&mut self, key: &str) -> Read<'_> {
            match self.values.get(key) {
                _ if self.refuse => Read::Failed,
                Some((value, cas)) => Read::Value(value, *cas),
                None => Read::Absent,
            }
        }

        fn write(&mut self, key: &str, value: &[u8], write: Write) -> Written {
            if self.refuse {
                return Written::Failed;
            }
            if let Some(rival) = self.rivals.pop() {
                self.count += 1;
                self.values.insert(key.to_owned(), (rival, self.count));
            }
            let current = self.values.get(key).map(|(_, cas)| *cas);
            let allowed = match (write, current) {
                (Write::Create, None) => true,
                (Write::Update(read), Some(current)) => read == current,
                (Write::Create, Some(_)) | (Write::Update(_), None) => false,
            };
            if !allowed {
                return Written::Raced;
            }
            self.count += 1;
            self.values.insert(key.to_owned(), (value.to_vec(), self.count));
            Written::Yes
        }
    }

    #[test]
    fn a_pool_takes_items_up_to_its_cap() {
        let mut shared = Fake::default();
        assert_eq!(admit("k", b"599", up_to(2), &mut shared), Admitted::Yes);
        assert_eq!(admit("k", b"598", up_to(2), &mut shared), Admitted::Yes);
        assert_eq!(admit("k", b"599", up_to(2), &mut shared), Admitted::Yes);
        assert_eq!(admit("k", b"597", up_to(2), &mut shared), Admitted::Full);
    }

    #[test]
    fn an_item_that_another_worker_brings_first_counts_too() {
        let mut shared = Fake { rivals: vec![b"\x03598".to_vec()], ..Fake::default() };
        assert_eq!(admit("k", b"599", up_to(1), &mut shared), Admitted::Full);
        let mut shared = Fake { rivals: vec![b"\x03599".to_vec()], ..Fake::default() };
        assert_eq!(admit("k", b"599", up_to(1), &mut shared), Admitted::Yes);
        assert_eq!(shared.values["k"].0, b"\x03599");
    }

    #[test]
    fn a_host_that_refuses_admits_nothing_for_now() {
        let mut shared = Fake { refuse: true, ..Fake::default() };
        assert_eq!(admit("k", b"599", up_to(1), &mut shared), Admitted::Unavailable);
        assert_eq!(replace("k", b"x", &mut shared), Replaced::Failed);
    }

    #[test]
    fn only_one_worker_learns_what_was_replaced() {
        let mut shared = Fake::default();
        assert_eq!(replace("k", b"one", &mut shared), Replaced::Nothing);
        assert_eq!(replace("k", b"two", &mut shared), Replaced::Previous(b"one".to_vec()));
        assert_eq!(replace("k", b"two", &mut shared), Replaced::Nothing);
        shared.rivals = vec![b"three".to_vec()];
        assert_eq!(replace("k", b"three", &mut shared), Replaced::Nothing);
    }
}
