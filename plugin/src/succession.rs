//! Stats go on where a new module takes over.
//!
//! Envoy keeps a stat while a scope knows it, and every module has a scope of its own: when a module is replaced, what its predecessor counted goes with
//! that one's last VM, and with it all that was counted since the last scrape. Where two scopes know a stat of one name, it is the same stat. So each name
//! is listed in the proxy's shared data, which outlives modules, and the next module makes all of them known while its predecessor still runs.
//!
//! What a predecessor counts last under a name that nobody had listed in time goes with its scope all the same: that it leaves in shared data, and the
//! successor counts it.
//!
//! The list has no other bound than what the registry admits. A new configuration for the same module keeps the scope; there all this changes nothing.

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

/// What is under the list's own key: how many names there are, when they were last made known, and by which build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Header {
    names: u32,
    taken_ns: u64,
    build: Vec<u8>,
}

impl Header {
    fn read(value: &[u8]) -> Option<Self> {
        let (names, rest) = value.split_first_chunk()?;
        let (taken_ns, build) = rest.split_first_chunk()?;
        Some(Self { names: u32::from_le_bytes(*names), taken_ns: u64::from_le_bytes(*taken_ns), build: build.to_vec() })
    }

    fn value(&self) -> Vec<u8> {
        [&self.names.to_le_bytes()[..], &self.taken_ns.to_le_bytes(), &self.build].concat()
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

/// Lists a stat, unless it is; whether it was not.
pub(crate) fn list(key: &str, kind: MetricKind, stat_name: &str, shared: &mut dyn SharedData) -> bool {
    if shared.write(&format!("{key}={stat_name}"), &[], Write::Create) != Written::Yes {
        return false;
    }
    let before = update(key, shared, |before| Some(Header { names: before.names.checked_add(1)?, ..before.clone() }));
    if let Some(before) = before {
        let entry = format!("{}{stat_name}", letter(kind));
        shared.write(&place(key, before.names), entry.as_bytes(), Write::Create);
    }
    true
}

/// Makes known what other modules have counted; `build` is this one, which is configured on one thread after the other. Gives when that was done, which
/// changes when a successor does it.
pub(crate) fn take_over(
    key: &str,
    build: &str,
    shared: &mut dyn SharedData,
    mut now_ns: impl FnMut() -> Option<u64>,
    mut define: impl FnMut(MetricKind, &str),
) -> Option<u64> {
    let begun_ns = now_ns()?;
    let before = update(key, shared, |before| {
        let age_ns = begun_ns.checked_sub(before.taken_ns);
        let done = before.build == build.as_bytes() && age_ns.is_some_and(|age_ns| age_ns < SAME_TAKEOVER_NS);
        (!done).then(|| Header { names: before.names, taken_ns: begun_ns, build: build.as_bytes().to_vec() })
    });
    let Some(before) = before else {
        return taken_over(key, shared);
    };
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
    update(key, shared, |header| {
        (header.taken_ns == begun_ns).then(|| Header { taken_ns: ended_ns, ..header.clone() })
    });
    taken_over(key, shared)
}

/// When a build last took over.
pub(crate) fn taken_over(key: &str, shared: &mut dyn SharedData) -> Option<u64> {
    match shared.read(key) {
        Read::Value(value, _) => Header::read(value).map(|header| header.taken_ns),
        Read::Absent | Read::Failed => None,
    }
}

fn left(key: &str) -> String {
    format!("{key}.left")
}

/// Leaves counts to the successor; false where there is no room, or the host refuses.
pub(crate) fn leave(key: &str, stat_name: &str, delta: u64, shared: &mut dyn SharedData) -> bool {
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

/// Takes what predecessors left, which nobody else gets then.
pub(crate) fn take_left(key: &str, shared: &mut dyn SharedData, mut count: impl FnMut(&str, u64)) {
    let key = left(key);
    let (value, cas) = match shared.read(&key) {
        Read::Value(value, cas) if !value.is_empty() => (value.to_vec(), cas),
        _ => return,
    };
    if shared.write(&key, &[], Write::Update(cas)) != Written::Yes {
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

    fn taken(build: &str, now_ns: u64, shared: &mut Fake) -> Vec<String> {
        let mut taken = Vec::new();
        take_over("k", build, shared, || Some(now_ns), |kind, name| taken.push(format!("{kind:?} {name}")));
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
        let other = Header { names: 5, taken_ns: 7, build: b"x".to_vec() };
        let mut shared = Fake::default();
        shared.values.insert("k".to_owned(), (other.value(), 100));
        list("k", MetricKind::Counter, "a", &mut shared);
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
        let mut counted = Vec::new();
        take_left("k", &mut shared, |_, _| unreachable!());
        assert!(leave("k", "a", 3, &mut shared) && leave("k", "bb", u64::MAX, &mut shared));
        assert!(!leave("k", &"x".repeat(LEFT_LIMIT), 1, &mut shared));
        take_left("k", &mut shared, |name, delta| counted.push((name.to_owned(), delta)));
        take_left("k", &mut shared, |_, _| unreachable!());
        assert_eq!(counted, [("a".to_owned(), 3), ("bb".to_owned(), u64::MAX)]);
        assert!(leave("k", "c", 1, &mut shared));
        shared.values.insert("k.left".to_owned(), (vec![0; 9], 77));
        take_left("k", &mut shared, |_, _| unreachable!());
    }

    #[test]
    fn a_successor_is_noticed() {
        let mut shared = Fake::default();
        let mut take = |build, now_ns| take_over("k", build, &mut shared, || Some(now_ns), |_, _| {});
        assert_eq!((take("one", SECOND), take("one", SECOND + 5)), (Some(SECOND), Some(SECOND)));
        assert_eq!(take("two", 2 * SECOND), Some(2 * SECOND));
        assert_eq!(taken_over("k", &mut shared), Some(2 * SECOND));
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
        take_over("k", "one", &mut shared, clock, |_, _| taken += 1);
        assert_eq!(taken, 31);
    }

    #[test]
    fn threads_that_come_after_a_long_takeover_do_not_repeat_it() {
        let mut shared = Fake::default();
        for number in 0..15 {
            list("k", MetricKind::Counter, &number.to_string(), &mut shared);
        }
        let (mut now_ns, mut count) = (0, 0);
        let clock = || {
            now_ns += 4 * SECOND;
            Some(now_ns)
        };
        let taken = take_over("k", "one", &mut shared, clock, |_, _| count += 1);
        assert_eq!((taken, count), (Some(8 * SECOND), 15));
        let again = take_over("k", "one", &mut shared, || Some(9 * SECOND), |_, _| unreachable!());
        assert_eq!(again, taken);
    }
}
