//! What counts once within a window.

use super::Window;

/// The first byte of a bucket of this form.
const VERSION: u8 = 1;

/// Whether a key was seen before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It was not, if this can be written in place of the value that was read.
    First {
        /// The bucket with the key in it.
        write: Vec<u8>,
        /// Whether a key that still counts had to make room.
        evicted: bool,
    },
    /// It was.
    Again {
        /// After the clock was set back, the bucket with its entries moved to the present. It is no harm if it cannot be written; then the next
        /// one to look moves them.
        write: Option<Vec<u8>>,
    },
}

/// Decides about a key, given its bucket's `current` value (`None` before the first) and the time in seconds.
///
/// It is first once, and then again for `window.seconds` from that first time, however often it comes.
#[inline]
#[must_use]
pub fn once(current: Option<&[u8]>, hash: u64, now_s: u64, window: Window) -> Seen {
    let entries = || entries(current);
    let recent = || {
        let entries = entries().map(|(hash, since_s)| (hash, since_s.min(now_s)));
        entries.filter(|(_, since_s)| now_s - since_s < u64::from(window.seconds))
    };
    if recent().any(|(known, _)| known == hash) {
        let is_ahead = entries().any(|(_, since_s)| since_s > now_s);
        return Seen::Again { write: is_ahead.then(|| write(recent())) };
    }
    // They stand in the order of their times, the oldest first, since none is later than the time at which it is written.
    let excess = (recent().count() + 1).saturating_sub(window.per_bucket.max(1));
    Seen::First { write: write(recent().skip(excess).chain([(hash, now_s)])), evicted: excess > 0 }
}

/// The hashes in a bucket, and when they were first seen.
#[inline]
fn entries(current: Option<&[u8]>) -> impl Iterator<Item = (u64, u64)> {
    let words = current.and_then(|value| value.strip_prefix(&[VERSION])).map(<[u8]>::as_chunks::<8>);
    let entries = match words.map(|(words, rest)| (words.as_chunks::<2>(), rest)) {
        Some(((entries, []), [])) => entries,
        _ => &[],
    };
    entries.iter().map(|[hash, since_s]| (u64::from_le_bytes(*hash), u64::from_le_bytes(*since_s)))
}

#[inline]
fn write(entries: impl Iterator<Item = (u64, u64)>) -> Vec<u8> {
    let mut value = vec![VERSION];
    for (hash, since_s) in entries {
        value.extend_from_slice(&hash.to_le_bytes());
        value.extend_from_slice(&since_s.to_le_bytes());
    }
    value
}
