//! Stats go on where a new module takes over.
//!
//! Envoy keeps a stat while a scope knows it, and every module has a scope of its own: when a module is replaced, what its predecessor counted goes with
//! that one's last VM, and with it all that was counted since the last scrape. Where two scopes know a stat of one name, it is the same stat. So each name
//! is listed in the proxy's shared data, which outlives modules, and the next module makes all of them known while its predecessor still runs.
//!
//! A name that is listed after the successor has begun to do so is not known to it, and what is counted under it would go with the predecessor's scope. That
//! the predecessor leaves in shared data instead, and the successor counts it.
//!
//! The list has no other bound than what the registries admit. A new configuration for the same module keeps the scope; there all this changes nothing.

use telemetry::metrics::MetricKind;

use crate::shared::{ATTEMPTS, Read, SharedData, Write, Written};

/// A thread does not work for longer than this on what its predecessor counted; what comes later begins at 0. It is the proxy's main thread, which has no
/// traffic, and each stat costs it what is told at [`crate::flush`].
const LIMIT_NS: u64 = 5_000_000_000;
/// Threads that are configured within this time of one another share a scope, and the first of them has done it for all.
const SAME_TAKEOVER_NS: u64 = 2_000_000_000;
/// The most bytes of what is left to a successor.
const LEFT_LIMIT: usize = 64 * 1024;
/// How many are made known between two looks at the clock.
const BETWEEN_LOOKS: u32 = 16;

/// What is under the list's own key: how many names there are, how often a build took over, when the last one did, and which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Header {
    names: u32,
    epoch: u32,
    taken_ns: u64,
    build: Vec<u8>,
}

impl Header {
    fn read(value: &[u8]) -> Option<Self> {
        let (names, rest) = value.split_first_chunk()?;
        let (epoch, rest) = rest.split_first_chunk()?;
        let (taken_ns, build) = rest.split_first_chunk()?;
        Some(Self {
            names: u32::from_le_bytes(*names),
            epoch: u32::from_le_bytes(*epoch),
            taken_ns: u64::from_le_bytes(*taken_ns),
            build: build.to_vec(),
        })
    }

    fn value(&self) -> Vec<u8> {
        [&self.names.to_le_bytes()[..], &self.epoch.to_le_bytes(), &self.taken_ns.to_le_bytes(), &self.build].concat()
    }
}

/// Changes the header; gives what it was before, `None` where `change` wants none, the host refuses or others are always faster.
fn update(key: &str, shared: &mut dyn SharedData, mut change: impl FnMut(&Header) -> Option<Header>) -> Option<Header> {
    for _ in 0..ATTEMPTS {
        let (before, write) = match shared.read(key) {
            Read::Value(value, cas) => (Header::read(value)?, Write::Update(cas)),
            Read::Absent => (Header::default(), Write::Create),
            Read::Failed => return None,
        };
        let after = change(&before)?;
        match shared.write(key, &after.value(), write) {
            Written::Yes => return Some(before),
            Written::Raced => {}
            Written::Failed => return None,
        }
    }
    None
}

fn place(key: &str, number: u32) -> String {
    format!("{key}.{number}")
}

const fn letter(kind: MetricKind) -> char {
    match kind {
        MetricKind::Counter => 'c',
        MetricKind::Gauge => 'g',
        MetricKind::Histogram => 'h',
    }
}

/// In which epoch a stat was listed, which it is now if it was not before; `None` where the host refuses.
fn list(key: &str, kind: MetricKind, stat_name: &str, shared: &mut dyn SharedData) -> Option<u32> {
    let name_key = format!("{key}={stat_name}");
    for _ in 0..ATTEMPTS {
        if let Read::Value(value, _) = shared.read(&name_key) {
            return value.try_into().ok().map(u32::from_le_bytes);
        }
        let before =
            update(key, shared, |before| Some(Header { names: before.names.checked_add(1)?, ..before.clone() }))?;
        match shared.write(&name_key, &before.epoch.to_le_bytes(), Write::Create) {
            Written::Yes => {
                let entry = format!("{}{stat_name}", letter(kind));
                shared.write(&place(key, before.names), entry.as_bytes(), Write::Create);
                return Some(before.epoch);
            }
            Written::Raced => {}
            Written::Failed => return None,
        }
    }
    None
}

/// Numbers from here on are of stats that are left to a successor. A proxy's own are small: each is a number of a stat, times 4, and a kind.
const FIRST_ORPHAN: u32 = 0xff00_0000;

/// What a build has to do with those before and after it.
#[derive(Debug)]
pub(crate) struct Succession {
    key: String,
    /// Names of a later epoch are not known to the successor.
    epoch: u32,
    /// Stats that are left to it.
    orphans: Vec<String>,
}

impl Succession {
    pub(crate) fn new(key: String) -> Self {
        Self { key, epoch: 0, orphans: Vec::new() }
    }

    /// Makes known what other modules have counted; `build` is this one, which is configured on one thread after the other.
    pub(crate) fn take_over(
        &mut self,
        build: &str,
        shared: &mut dyn SharedData,
        mut now_ns: impl FnMut() -> Option<u64>,
        mut define: impl FnMut(MetricKind, &str),
    ) {
        let Some(begun_ns) = now_ns() else { return };
        let key = &self.key;
        let mut epoch = 0;
        let before = update(key, shared, |before| {
            let age_ns = begun_ns.checked_sub(before.taken_ns);
            let done = before.build == build.as_bytes() && age_ns.is_some_and(|age_ns| age_ns < SAME_TAKEOVER_NS);
            epoch = if done { before.epoch } else { before.epoch.saturating_add(1) };
            (!done).then(|| Header { epoch, taken_ns: begun_ns, build: build.as_bytes().to_vec(), ..*before })
        });
        self.epoch = epoch;
        let Some(before) = before else { return };
        for number in 0..before.names {
            if number % BETWEEN_LOOKS == BETWEEN_LOOKS - 1
                && now_ns().is_none_or(|now_ns| now_ns.saturating_sub(begun_ns) >= LIMIT_NS)
            {
                break;
            }
            let Read::Value(entry, _) = shared.read(&place(key, number)) else { continue };
            let Ok(entry) = core::str::from_utf8(entry) else { continue };
            let kinds = [MetricKind::Counter, MetricKind::Gauge, MetricKind::Histogram];
            if let Some(kind) = kinds.into_iter().find(|kind| entry.starts_with(letter(*kind))) {
                define(kind, entry.get(1..).unwrap_or_default());
            }
        }
        // The other threads come now.
        let ended_ns = now_ns().unwrap_or(begun_ns);
        update(key, shared, |now| (now.epoch == epoch).then(|| Header { taken_ns: ended_ns, ..now.clone() }));
    }

    /// What one instance of a VM makes is there for all others of it: no name is unknown to a successor in the same VM.
    pub(crate) fn share_scope_of(&mut self, successor: &Self) {
        if self.key == successor.key {
            self.epoch = successor.epoch;
        }
    }

    /// Lists a stat before it is made; its number if it is not to be made, but left to a successor.
    pub(crate) fn list(&mut self, kind: MetricKind, stat_name: &str, shared: &mut dyn SharedData) -> Option<u32> {
        let listed = list(&self.key, kind, stat_name, shared)?;
        if listed <= self.epoch || kind != MetricKind::Counter {
            return None;
        }
        let number = FIRST_ORPHAN.checked_add(u32::try_from(self.orphans.len()).ok()?)?;
        self.orphans.push(stat_name.to_owned());
        Some(number)
    }

    /// Leaves what was counted under such a number to the successor; `None` where it is no such number, false where that has to wait.
    pub(crate) fn leave(&self, id: u32, delta: u64, shared: &mut dyn SharedData) -> Option<bool> {
        let number = usize::try_from(id.checked_sub(FIRST_ORPHAN)?).ok()?;
        Some(leave(&self.key, self.orphans.get(number)?, delta, shared))
    }

    /// Takes what predecessors left, which nobody else gets then; nothing while this build is a predecessor itself.
    pub(crate) fn take_left(&self, shared: &mut dyn SharedData, count: impl FnMut(&str, u64)) {
        take_left(&self.key, self.epoch, shared, count);
    }
}

fn left(key: &str) -> String {
    format!("{key}.left")
}

/// Leaves counts to the successor; false where there is no room, or the host refuses.
fn leave(key: &str, stat_name: &str, delta: u64, shared: &mut dyn SharedData) -> bool {
    let key = left(key);
    let Ok(length) = u16::try_from(stat_name.len()) else { return false };
    let entry = [&delta.to_le_bytes()[..], &length.to_le_bytes(), stat_name.as_bytes()].concat();
    for _ in 0..ATTEMPTS {
        let (mut value, write) = match shared.read(&key) {
            Read::Value(value, cas) => (value.to_vec(), Write::Update(cas)),
            Read::Absent => (Vec::new(), Write::Create),
            Read::Failed => return false,
        };
        if value.len() + entry.len() > LEFT_LIMIT {
            return false;
        }
        value.extend_from_slice(&entry);
        match shared.write(&key, &value, write) {
            Written::Yes => return true,
            Written::Raced => {}
            Written::Failed => return false,
        }
    }
    false
}

fn take_left(key: &str, epoch: u32, shared: &mut dyn SharedData, mut count: impl FnMut(&str, u64)) {
    let left = left(key);
    let (value, cas) = match shared.read(&left) {
        Read::Value(value, cas) if !value.is_empty() => (value.to_vec(), cas),
        _ => return,
    };
    let is_heir = match shared.read(key) {
        Read::Value(header, _) => Header::read(header).is_some_and(|header| header.epoch <= epoch),
        Read::Absent | Read::Failed => false,
    };
    if !is_heir || shared.write(&left, &[], Write::Update(cas)) != Written::Yes {
        return;
    }
    let mut rest = value.as_slice();
    while let Some((delta, after)) = rest.split_first_chunk()
        && let Some((length, after)) = after.split_first_chunk()
        && let Some((stat_name, after)) = after.split_at_checked(usize::from(u16::from_le_bytes(*length)))
    {
        if let Ok(stat_name) = core::str::from_utf8(stat_name) {
            count(stat_name, u64::from_le_bytes(*delta));
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::tests::Fake;

    const SECOND: u64 = 1_000_000_000;

    fn build() -> Succession {
        Succession::new("k".to_owned())
    }

    fn taken(name: &str, now_ns: u64, shared: &mut Fake) -> Vec<String> {
        let mut taken = Vec::new();
        build().take_over(name, shared, || Some(now_ns), |kind, name| taken.push(format!("{kind:?} {name}")));
        taken
    }

    #[test]
    fn a_build_makes_known_what_was_listed_before_it_once() {
        let mut shared = Fake::default();
        assert_eq!(taken("one", SECOND, &mut shared), [""; 0]);
        for (kind, name) in [(MetricKind::Counter, "a"), (MetricKind::Gauge, "b"), (MetricKind::Counter, "a")] {
            list("k", kind, name, &mut shared);
        }
        let all = ["Counter a", "Gauge b"];
        assert_eq!(taken("two", 2 * SECOND, &mut shared), all);
        // Its other threads.
        assert_eq!(taken("two", 3 * SECOND, &mut shared), [""; 0]);
        // Taken back at once, and put in place again much later.
        assert_eq!(taken("one", 4 * SECOND, &mut shared), all);
        list("k", MetricKind::Histogram, "c", &mut shared);
        assert_eq!(taken("one", 60 * SECOND, &mut shared), ["Counter a", "Gauge b", "Histogram c"]);
        // A clock that went back.
        assert_eq!(taken("one", SECOND, &mut shared).len(), 3);
    }

    #[test]
    fn another_worker_that_lists_first_is_not_written_over() {
        let other = Header { names: 5, epoch: 3, taken_ns: 7, build: b"x".to_vec() };
        let mut shared = Fake::default();
        shared.values.insert("k".to_owned(), (other.value(), 100));
        assert_eq!(list("k", MetricKind::Counter, "a", &mut shared), Some(3));
        assert_eq!(shared.values["k"].0, Header { names: 6, ..other }.value());
        assert_eq!(shared.values["k.5"].0, b"ca");
    }

    #[test]
    fn what_is_no_list_and_a_host_that_refuses_are_put_up_with() {
        let mut shared = Fake::default();
        shared.values.insert("k".to_owned(), (b"short".to_vec(), 1));
        list("k", MetricKind::Counter, "a", &mut shared);
        assert_eq!(taken("one", SECOND, &mut shared), [""; 0]);
        shared.values.insert("k".to_owned(), (Header { names: 3, ..Header::default() }.value(), 1));
        shared.values.insert("k.1".to_owned(), (b"\xff".to_vec(), 1));
        shared.values.insert("k.2".to_owned(), (b"?what".to_vec(), 1));
        assert_eq!(taken("one", SECOND, &mut shared), [""; 0]);
        shared.refuse = true;
        list("k", MetricKind::Counter, "b", &mut shared);
        assert_eq!(taken("two", SECOND, &mut shared), [""; 0]);
    }

    #[test]
    fn what_is_left_is_counted_once() {
        let mut shared = Fake::default();
        shared.values.insert("k".to_owned(), (Header::default().value(), 1));
        let mut counted = Vec::new();
        take_left("k", 0, &mut shared, |_, _| unreachable!());
        assert!(leave("k", "a", 3, &mut shared) && leave("k", "bb", u64::MAX, &mut shared));
        assert!(!leave("k", &"x".repeat(LEFT_LIMIT), 1, &mut shared));
        take_left("k", 0, &mut shared, |name, delta| counted.push((name.to_owned(), delta)));
        take_left("k", 0, &mut shared, |_, _| unreachable!());
        assert_eq!(counted, [("a".to_owned(), 3), ("bb".to_owned(), u64::MAX)]);
        assert!(leave("k", "c", 1, &mut shared));
        shared.values.insert("k.left".to_owned(), (vec![0; 9], 77));
        take_left("k", 0, &mut shared, |_, _| unreachable!());
    }

    #[test]
    fn what_a_successor_does_not_know_is_left_to_it() {
        let mut shared = Fake::default();
        let (mut old, mut of_old, mut new) = (build(), build(), build());
        let mut known = Vec::new();
        old.take_over("old", &mut shared, || Some(SECOND), |_, _| unreachable!());
        of_old.take_over("old", &mut shared, || Some(SECOND), |_, _| unreachable!());
        assert_eq!((old.epoch, of_old.epoch), (1, 1));
        assert_eq!(old.list(MetricKind::Counter, "early", &mut shared), None);
        new.take_over("new", &mut shared, || Some(2 * SECOND), |_, name| known.push(name.to_owned()));
        assert_eq!(known, ["early"]);
        // Its other worker makes the same stat, and the successor one of its own.
        assert_eq!(of_old.list(MetricKind::Counter, "early", &mut shared), None);
        assert_eq!(new.list(MetricKind::Counter, "early", &mut shared), None);
        assert_eq!(new.list(MetricKind::Counter, "its own", &mut shared), None);
        let mut leave = |build: &mut Succession, name| {
            let id = build.list(MetricKind::Counter, name, &mut shared).unwrap();
            assert_eq!(build.leave(id, 2, &mut shared), Some(true));
        };
        leave(&mut old, "late");
        leave(&mut of_old, "late");
        leave(&mut of_old, "its own");
        assert_eq!(old.leave(4, 2, &mut shared), None);
        assert_eq!(new.list(MetricKind::Counter, "late", &mut shared), None);
        // A worker of the old build would count it where it goes with the rest.
        of_old.take_left(&mut shared, |_, _| unreachable!());
        let mut counted = Vec::new();
        new.take_left(&mut shared, |name, delta| counted.push((name.to_owned(), delta)));
        assert_eq!(counted, [("late", 2), ("late", 2), ("its own", 2)].map(|(name, delta)| (name.to_owned(), delta)));
        // A gauge is told again by who has it.
        assert_eq!(old.list(MetricKind::Gauge, "level", &mut shared), None);
    }

    #[test]
    fn a_thread_does_not_wait_for_ever() {
        let mut shared = Fake::default();
        for number in 0..100 {
            list("k", MetricKind::Counter, &number.to_string(), &mut shared);
        }
        let (mut now_ns, mut taken) = (0, 0);
        let clock = || {
            now_ns += LIMIT_NS / 2;
            Some(now_ns)
        };
        build().take_over("one", &mut shared, clock, |_, _| taken += 1);
        assert_eq!(taken, 31);
    }

    #[test]
    fn threads_that_come_after_a_long_takeover_do_not_repeat_it() {
        let mut shared = Fake::default();
        list("k", MetricKind::Counter, "a", &mut shared);
        let (mut now_ns, mut count) = (0, 0);
        let clock = || {
            now_ns += 4 * SECOND;
            Some(now_ns)
        };
        build().take_over("one", &mut shared, clock, |_, _| count += 1);
        build().take_over("one", &mut shared, || Some(9 * SECOND), |_, _| unreachable!());
        assert_eq!(count, 1);
    }
}
