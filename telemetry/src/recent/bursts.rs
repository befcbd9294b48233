//! Thresholds on the events of one source.

use super::Window;

/// The first byte of a bucket of this form.
const VERSION: u8 = 2;

/// How many parts of the window are counted apart, with the one that is only half in it.
const PARTS: usize = 9;

/// The length of an entry: hash, newest part, time of the last report, counts.
const ENTRY: usize = 24 + 4 * PARTS;

/// What an event of a source comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Burst {
    /// The bucket with the event in it, to be written in place of the value that was read. Only then has the event been counted.
    pub write: Vec<u8>,
    /// To be reported: so many events of this source are within the window, this one among them.
    pub crossed: Option<u32>,
    /// Whether another source that still counts had to make room.
    pub evicted: bool,
}

/// One source.
#[derive(Clone, Copy)]
struct Source {
    hash: u64,
    /// The number of the newest part that has events.
    newest: u64,
    /// When the source was last reported; 0 for never.
    reported_s: u64,
    /// The events in the newest part and those before it.
    counts: [u32; PARTS],
}

/// Counts an event of the source with this hash, given its bucket's `current` value (`None` before the first) and the time in seconds.
///
/// A source is reported when `threshold` of its events have come within `window.seconds`, and then at most once in as many seconds, for as long as
/// it goes on; each report has the number of events within the window at that time.
///
/// The window slides, in steps of an eighth (of a second at least): every burst within the window is reported, as soon as it has reached the
/// threshold, and none that took longer than five quarters of it. When a bucket is full, the source with the fewest events within the window makes room, so
/// that many sources with an event each do not hide one with many.
///
/// A bucket is of one length of window: the caller's key names it.
#[inline]
#[must_use]
pub fn count(current: Option<&[u8]>, hash: u64, now_s: u64, window: Window, threshold: u32) -> Burst {
    let width = u64::from(window.seconds).div_ceil(PARTS as u64 - 1).max(1);
    let now = now_s / width;
    // How many parts before the present one reach into the window.
    let before = u64::from(window.seconds.saturating_sub(1)).div_ceil(width);

    let mut own = Source { hash, newest: now, reported_s: 0, counts: [0; PARTS] };
    let mut others: Vec<Source> = Vec::new();
    for mut source in sources(current) {
        source.newest = source.newest.min(now);
        source.reported_s = source.reported_s.min(now_s);
        let age = now - source.newest;
        if age > before || window.seconds == 0 {
            continue;
        }
        source.advance(usize::try_from(age).unwrap_or(PARTS), usize::try_from(before).unwrap_or(PARTS));
        source.newest = now;
        if source.hash == hash { own = source } else { others.push(source) }
    }

    let [latest, ..] = &mut own.counts;
    *latest = latest.saturating_add(1);
    let total = own.total();
    let is_due = own.reported_s == 0 || now_s - own.reported_s >= u64::from(window.seconds);
    let crossed = (total >= threshold && is_due).then_some(total);
    if crossed.is_some() {
        own.reported_s = now_s.max(1);
    }

    let mut evicted = false;
    while others.len() >= window.per_bucket.max(1) {
        // Of those with as few events, the one that came first.
        let Some((fewest, _)) = others.iter().enumerate().min_by_key(|(_, source)| source.total()) else { break };
        others.remove(fewest);
        evicted = true;
    }
    let mut write = Vec::with_capacity(1 + ENTRY * (others.len() + 1));
    write.push(VERSION);
    for source in others.iter().chain([&own]) {
        source.write(&mut write);
    }
    Burst { write, crossed, evicted }
}

/// The sources in a bucket.
#[inline]
fn sources(current: Option<&[u8]>) -> impl Iterator<Item = Source> {
    let entries: &[[u8; ENTRY]] = match current.and_then(|value| value.strip_prefix(&[VERSION])).map(<[u8]>::as_chunks)
    {
        Some((entries, [])) => entries,
        _ => &[],
    };
    entries.iter().map(|entry| {
        let (words, _) = entry.as_chunks::<8>();
        let word = |index: usize| words.get(index).map_or(0, |word| u64::from_le_bytes(*word));
        let (halves, _) = entry.as_chunks::<4>();
        let count = |index: usize| halves.get(6 + index).map_or(0, |half| u32::from_le_bytes(*half));
        Source { hash: word(0), newest: word(1), reported_s: word(2), counts: std::array::from_fn(count) }
    })
}

impl Source {
    /// Lets so many parts of time go by, and forgets what is then more than `before` parts ago.
    #[inline]
    fn advance(&mut self, parts: usize, before: usize) {
        let old = self.counts;
        self.counts = std::array::from_fn(|index| {
            let known = index.checked_sub(parts).and_then(|index| old.get(index));
            known.copied().filter(|_| index <= before).unwrap_or_default()
        });
    }

    #[inline]
    fn total(&self) -> u32 {
        self.counts.iter().fold(0, |total, count| total.saturating_add(*count))
    }

    #[inline]
    fn write(&self, to: &mut Vec<u8>) {
        for word in [self.hash, self.newest, self.reported_s] {
            to.extend_from_slice(&word.to_le_bytes());
        }
        for count in self.counts {
            to.extend_from_slice(&count.to_le_bytes());
        }
    }
}
