//! The time of day without the jumps.
//!
//! An ID needs the time of day and a duration needs a clock that nobody sets. One reading serves both: the monotonic
//! clock, plus how far the time of day is ahead of it, which is measured once a tick. A stream keeps the distance it
//! began with, so a clock that is set in between changes no duration.

use crate::host::{self, Fault};

/// The VM's notion of time.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// Time of day less monotonic time.
    ahead_ns: Option<u64>,
}

impl Clock {
    /// Not measured yet.
    pub(crate) const fn new() -> Self {
        Self { ahead_ns: None }
    }

    /// How far the time of day is ahead of the monotonic clock: what a stream begins with.
    pub(crate) fn ahead_ns(&mut self) -> Result<u64, Fault> {
        match self.ahead_ns {
            Some(ahead) => Ok(ahead),
            None => self.measure(),
        }
    }

    /// Compares the two clocks again.
    pub(crate) fn measure(&mut self) -> Result<u64, Fault> {
        let ahead = host::wall_clock_ns()?.wrapping_sub(host::monotonic_ns()?);
        self.ahead_ns = Some(ahead);
        Ok(ahead)
    }
}

/// Nanoseconds since 1970, by the monotonic clock.
pub(crate) fn now_ns(ahead_ns: u64) -> Result<u64, Fault> {
    host::monotonic_ns().map(|now| now.wrapping_add(ahead_ns))
}
