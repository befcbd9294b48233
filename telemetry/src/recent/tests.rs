use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const NOW: u64 = 1_700_000_000;

fn window(seconds: u32, per_bucket: usize) -> Window {
    Window { seconds, buckets: 1, per_bucket }
}

/// One bucket, and what was answered last.
#[derive(Debug, Default)]
struct Memory {
    value: Option<Vec<u8>>,
    evicted: bool,
}

impl Memory {
    fn is_first(&mut self, hash: u64, now_s: u64, window: Window) -> bool {
        match once(self.value.as_deref(), hash, now_s, window) {
            Seen::First { write, evicted } => {
                (self.value, self.evicted) = (Some(write), evicted);
                true
            }
            Seen::Again { write } => {
                self.value = write.or(self.value.take());
                false
            }
        }
    }

    fn count(&mut self, hash: u64, now_s: u64, window: Window, threshold: u32) -> Option<u32> {
        let burst = count(self.value.as_deref(), hash, now_s, window, threshold);
        (self.value, self.evicted) = (Some(burst.write), burst.evicted);
        burst.crossed
    }

    fn len(&self) -> usize {
        self.value.as_ref().map_or(0, Vec::len)
    }
}

#[test]
fn every_bucket_is_used_and_no_other() {
    let secret = Secret::new([3; 16]);
    let mut used = [0; 8];
    for key in 0_u32..1000 {
        used[bucket(secret.hash(&[&key.to_le_bytes()]), 8) as usize] += 1;
    }
    assert!(used.iter().all(|count| (80..180).contains(count)), "{used:?}");
    assert_eq!((bucket(u64::MAX, 8), bucket(0, 8), bucket(u64::MAX, 1), bucket(u64::MAX, 0)), (7, 0, 0, 0));
    assert_eq!(bucket(u64::MAX, u32::MAX), u32::MAX - 1);
}

#[test]
fn a_key_is_first_once_a_window() {
    let (mut memory, window) = (Memory::default(), window(60, 8));
    let answers = [0, 1, 59, 60, 61, 119, 120].map(|after| memory.is_first(5, NOW + after, window));
    assert_eq!(answers, [true, false, false, true, false, false, true]);
    assert!(memory.is_first(6, NOW, window));
}

#[test]
fn a_full_bucket_forgets_its_oldest_key_and_says_so() {
    let (mut memory, window) = (Memory::default(), window(60, 2));
    for (hash, is_first, evicted) in
        [(1, true, false), (2, true, false), (1, false, false), (3, true, true), (1, true, true), (3, false, true)]
    {
        assert_eq!((memory.is_first(hash, NOW, window), memory.evicted), (is_first, evicted), "{hash}");
    }
    // What no longer counts makes room first.
    assert_eq!((memory.is_first(9, NOW + 60, window), memory.evicted), (true, false));
    assert_eq!(memory.len(), 1 + 16);
    // Room for nothing is room for one.
    let none = Window { per_bucket: 0, ..window };
    let mut memory = Memory::default();
    assert_eq!([1, 1, 2, 1].map(|hash| memory.is_first(hash, NOW, none)), [true, false, true, true]);
}

#[test]
fn a_bucket_of_a_larger_window_is_cut_down() {
    let mut memory = Memory::default();
    for hash in 0..10 {
        memory.is_first(hash, NOW, window(60, 16));
    }
    assert!(memory.is_first(99, NOW, window(60, 3)) && memory.evicted);
    assert_eq!(memory.len(), 1 + 3 * 16);
    assert_eq!([9, 8, 99, 7].map(|hash| memory.is_first(hash, NOW, window(60, 16))), [false, false, false, true]);
}

#[test]
fn a_clock_set_back_forgets_nothing_and_keeps_nothing_for_ever() {
    let (mut memory, window) = (Memory::default(), window(60, 8));
    assert!(memory.is_first(1, NOW + 1_000_000, window) && memory.is_first(2, NOW + 1_000_000, window));
    assert_eq!([0, 59, 60].map(|after| memory.is_first(1, NOW + after, window)), [false, false, true]);
    // The other one was moved along with it.
    assert!(memory.is_first(2, NOW + 60, window));
    // And by one that is new.
    assert!(memory.is_first(3, NOW - 1000, window));
    assert_eq!([0, 59, 60].map(|after| memory.is_first(2, NOW - 1000 + after, window)), [false, false, true]);
}

#[test]
fn values_of_another_form_are_empty() {
    for value in [&b""[..], b"\x01abc", &[1; 16], &[1; 18], &[3; 17], &[2; 61], &[2; 62]] {
        assert!(
            matches!(once(Some(value), 1, NOW, window(60, 8)), Seen::First { write, evicted: false } if write.len() == 17)
        );
    }
    for value in [&b""[..], b"\x02abc", &[1; 61], &[2; 60], &[2; 62], &[3; 61]] {
        let burst = count(Some(value), 1, NOW, window(60, 8), 1);
        assert_eq!((burst.write.len(), burst.crossed, burst.evicted), (61, Some(1), false));
    }
}

#[test]
fn a_burst_is_reported_when_it_reaches_the_threshold_and_once_a_window_after() {
    let (mut memory, window) = (Memory::default(), window(60, 8));
    let reports: Vec<(u64, u32)> =
        (0..200).filter_map(|after| Some((after, memory.count(7, NOW + after, window, 5)?))).collect();
    let times: Vec<u64> = reports.iter().map(|(after, _)| *after).collect();
    assert_eq!(times, [4, 64, 124, 184]);
    assert_eq!(reports[0].1, 5);
    assert!(reports[1..].iter().all(|(_, count)| (60..=75).contains(count)), "{reports:?}");
}

#[test]
fn slow_events_are_no_burst() {
    let (mut memory, window) = (Memory::default(), window(60, 8));
    // Four in any 60 seconds, and in any 75.
    assert!((0..100).all(|event| memory.count(7, NOW + 20 * event, window, 5).is_none()));
}

#[test]
fn a_burst_across_the_edge_of_a_part_is_a_burst() {
    for offset in 0..70 {
        let (mut memory, window) = (Memory::default(), window(60, 8));
        let last = [0, 15, 30, 44, 59].map(|after| memory.count(7, NOW + offset + after, window, 5));
        assert_eq!(last, [None, None, None, None, Some(5)], "{offset}");
    }
}

#[test]
fn sources_are_counted_apart() {
    let (mut memory, window) = (Memory::default(), window(60, 8));
    for event in 0..4 {
        assert!((0..8).all(|source| memory.count(source, NOW + event, window, 5).is_none()));
    }
    assert!((0..8).all(|source| memory.count(source, NOW + 4, window, 5) == Some(5)));
    assert!(!memory.evicted);
}

#[test]
fn many_sources_with_an_event_each_do_not_hide_one_with_many() {
    let (mut memory, window) = (Memory::default(), window(60, 3));
    assert_eq!(memory.count(7, NOW, window, 5), None);
    for event in 0..3 {
        assert_eq!(memory.count(7, NOW, window, 5), None);
        assert!((100..200).all(|source| memory.count(1000 * event + source, NOW + event, window, 5).is_none()));
    }
    assert!(memory.evicted);
    assert_eq!(memory.count(7, NOW + 5, window, 5), Some(5));
    assert_eq!(memory.len(), 1 + 3 * 60);
}

#[test]
fn counts_end_at_their_largest_number() {
    let (mut memory, window) = (Memory::default(), window(60, 8));
    memory.count(7, NOW, window, 5);
    let value = memory.value.as_mut().unwrap();
    value[25..61].fill(0xff);
    assert_eq!(memory.count(7, NOW, window, 5), Some(u32::MAX));
}

#[test]
fn windows_at_the_limits() {
    for seconds in [0, 1, 2, 7, 8, 9, 63, 64, 65, u32::MAX] {
        let (mut memory, window) = (Memory::default(), window(seconds, 2));
        for now_s in [0, 0, 1, u64::MAX, u64::MAX, 5] {
            assert_ne!(memory.count(7, now_s, window, 0), Some(0));
            let _ = Memory::default().is_first(1, now_s, window);
        }
    }
    let (mut memory, none) = (Memory::default(), window(0, 2));
    assert!(memory.is_first(1, NOW, none) && memory.is_first(1, NOW, none));
    let mut memory = Memory::default();
    assert_eq!([0; 3].map(|_| memory.count(7, NOW, none, 2)), [None; 3]);
}

#[test]
fn a_clock_set_back_does_not_silence_a_source() {
    let (mut memory, window) = (Memory::default(), window(60, 8));
    assert_eq!((0..5).filter_map(|_| memory.count(7, NOW + 1_000_000, window, 5)).collect::<Vec<_>>(), [5]);
    // Within a window after the step nothing is reported twice; after that the source is reported again.
    assert!((0..60).all(|after| memory.count(7, NOW + after, window, 5).is_none()));
    assert!(memory.count(7, NOW + 60, window, 5).is_some());
    // Counts from before the step end too.
    assert_eq!(memory.count(7, NOW + 200, window, 1), Some(1));
}

/// Keys and steps of the clock.
fn steps(set_back: bool) -> impl Strategy<Value = Vec<(u64, i64)>> {
    let step = if set_back { -40_i64..40 } else { 0..20 };
    prop::collection::vec((0_u64..6, prop_oneof![2 => Just(0), 3 => step]), 0..120)
}

proptest! {
    /// With room for all: first exactly when the last first is a window ago.
    #[test]
    fn once_is_as_a_map_of_times(steps in steps(false), seconds in 0_u32..60) {
        let (mut memory, mut model, mut now_s) = (Memory::default(), BTreeMap::<u64, u64>::new(), NOW);
        for (hash, step) in steps {
            now_s = now_s.saturating_add_signed(step);
            let expected = model.get(&hash).is_none_or(|since_s| now_s - since_s >= u64::from(seconds));
            prop_assert_eq!(memory.is_first(hash, now_s, window(seconds, 6)), expected);
            if expected {
                model.insert(hash, now_s);
            }
            prop_assert!(!memory.evicted);
        }
    }

    /// With less room the oldest that still counts is forgotten, and nothing else; times past the present become the present.
    #[test]
    fn once_forgets_the_oldest(steps in steps(true), seconds in 1_u32..60, per_bucket in 1_usize..7) {
        let (mut memory, mut model, mut now_s) = (Memory::default(), Vec::<(u64, u64)>::new(), NOW);
        for (hash, step) in steps {
            now_s = now_s.saturating_add_signed(step);
            let counts = |since_s: &u64| now_s.saturating_sub(*since_s) < u64::from(seconds);
            let expected = !model.iter().any(|(known, since_s)| *known == hash && counts(since_s));
            prop_assert_eq!(memory.is_first(hash, now_s, window(seconds, per_bucket)), expected);
            if expected || model.iter().any(|(_, since_s)| *since_s > now_s) {
                model.retain(|(_, since_s)| counts(since_s));
                model.iter_mut().for_each(|(_, since_s)| *since_s = now_s.min(*since_s));
            }
            if expected {
                let is_full = model.len() == per_bucket;
                prop_assert_eq!(memory.evicted, is_full);
                model.drain(..usize::from(is_full));
                model.push((hash, now_s));
            }
            prop_assert!(memory.len() <= 1 + 16 * per_bucket);
        }
    }

    /// While the clock goes forward and there is room: a burst within the window is reported unless one was within the window, no report comes
    /// from events further apart than five quarters of it, and reports of a source are a window apart.
    #[test]
    fn bursts_are_those_in_the_list_of_events(steps in steps(false), seconds in 1_u32..80, threshold in 1_u32..8) {
        let (mut memory, mut now_s) = (Memory::default(), NOW);
        let mut events = Vec::new();
        let mut reported = BTreeMap::<u64, u64>::new();
        for (hash, step) in steps {
            now_s = now_s.saturating_add_signed(step);
            events.push((hash, now_s));
            let within = |seconds: u64| {
                u32::try_from(events.iter().filter(|(source, at)| *source == hash && now_s - at < seconds).count()).unwrap()
            };
            let seconds_64 = u64::from(seconds);
            let is_quiet = reported.get(&hash).is_some_and(|at| now_s - at < seconds_64);
            let crossed = memory.count(hash, now_s, window(seconds, 6), threshold);
            prop_assert!(!memory.evicted);
            if let Some(count) = crossed {
                prop_assert!(!is_quiet && count >= threshold);
                prop_assert!((within(seconds_64)..=within(seconds_64 * 5 / 4)).contains(&count), "{} of {}", count, within(seconds_64));
                reported.insert(hash, now_s);
            } else {
                prop_assert!(is_quiet || within(seconds_64) < threshold);
            }
        }
    }

    /// Whatever the clock does and however little room there is: nothing is made up, and the value has its bound.
    #[test]
    fn bursts_are_bounded(steps in steps(true), seconds in 1_u32..80, per_bucket in 1_usize..4, threshold in 1_u32..6) {
        let (mut memory, mut now_s, mut events) = (Memory::default(), NOW, 0);
        for (hash, step) in steps {
            now_s = now_s.saturating_add_signed(step);
            events += 1;
            let crossed = memory.count(hash, now_s, window(seconds, per_bucket), threshold);
            prop_assert!(crossed.is_none_or(|count| (threshold..=events).contains(&count)));
            prop_assert!(memory.len() <= 1 + 60 * per_bucket);
        }
    }

    #[test]
    fn any_value_is_read_without_harm(mut value in prop::collection::vec(any::<u8>(), 0..250), version in 0_u8..4, hash in any::<u64>(), now_s in any::<u64>(), seconds in any::<u32>()) {
        value.insert(0, version);
        let whole = (value.len() - 1) / 60 * 60 + 1;
        for value in [&value[..], &value[..whole]] {
            let _ = once(Some(value), hash, now_s, window(seconds, 3));
            let _ = count(Some(value), hash, now_s, window(seconds, 3), 5);
        }
    }
}
