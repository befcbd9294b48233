//! Whether something has happened before, within a window of time, for all workers of a proxy together.
//!
//! [`once`] is for what counts once however often it is sent (an idempotency key, a correlation ID), [`count`] for thresholds on one source's
//! events. The memory of both lies in the proxy's shared data, whose values can be replaced but never deleted. So it is a fixed number of values,
//! the buckets, each of bounded size; a key's bucket and its entry there are found by its [hash](Secret::hash).
//!
//! As in [`admission`](crate::admission), this module decides what to do with a bucket as it was read; the caller writes the answer back with
//! compare-and-swap, and asks again with the new value when another worker was faster.
//!
//! ```
//! use telemetry::recent::{Secret, Seen, Window, bucket, once};
//!
//! let window = Window { seconds: 3600, buckets: 256, per_bucket: 64 };
//! let key = Secret::new([7; 16]).hash(&[b"approvals", b"1d3ac7e0"]);
//! assert!(bucket(key, window.buckets) < 256);
//! let Seen::First { write, evicted: false } = once(None, key, 1_700_000_000, window) else { panic!("nothing was seen yet") };
//! assert_eq!(once(Some(&write), key, 1_700_003_599, window), Seen::Again { write: None });
//! assert!(matches!(once(Some(&write), key, 1_700_003_600, window), Seen::First { .. }));
//! ```
//!
//! # Rules
//!
//! - An entry counts for the window's seconds and then makes room. When a bucket is full of entries that still count, one of them goes, and the
//!   answer says so: what it stood for may count again.
//! - A clock that is set back makes nothing older: an entry from the future is moved to the present as soon as its bucket is looked at, and from
//!   then on ages as any other. So a step of the clock neither forgets everything nor keeps anything for ever. A step forward ages everything.
//! - A value of another form (another version's, another plugin's) counts as empty.
//! - Hashes take the place of keys. They are made with a secret that the workers of a proxy agree on, so that nobody outside can find keys that
//!   share an entry (to hide a decision behind another one, or to be counted as someone else) or a bucket (to push others out of it). What is left
//!   is chance: with 64 bits and 16,384 entries, one key in 10^15 meets another's.

mod bursts;
mod first;
mod secret;

pub use bursts::{Burst, count};
pub use first::{Seen, once};
pub use secret::{Agreed, Secret};

/// How long things are remembered, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The time from an event to the first that no longer belongs with it; 0 remembers nothing.
    pub seconds: u32,
    /// How many values there are in the shared data.
    pub buckets: u32,
    /// The most entries in each; at least one.
    pub per_bucket: usize,
}

/// The bucket of a key, below `buckets`.
#[inline]
#[must_use]
pub fn bucket(hash: u64, buckets: u32) -> u32 {
    let share = ((hash >> 32) * u64::from(buckets)) >> 32;
    // Below `buckets`, as the first factor is below 2^32.
    u32::try_from(share).unwrap_or_default()
}

#[cfg(test)]
mod tests;
