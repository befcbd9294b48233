//! Time, twice: what the clock on the wall says, which is written down and may jump, and what has passed, which may not.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::state::Mark;

/// Time, and waiting for it.
pub trait Clock: fmt::Debug {
    /// What the clock on the wall says.
    fn now(&self) -> Timestamp;

    /// How long this clock has been running; never goes back.
    fn steady(&self) -> Duration;

    /// Waits.
    fn sleep(&self, time: Duration);
}

/// This machine's.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn steady(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// How long ago entries were written: by what has passed for those of this process, and for older ones by what was on the wall when this process
/// began. That may be wrong by any jump of the clock between the two, but is never negative.
#[derive(Debug)]
pub(crate) struct Timeline {
    began: (Timestamp, Duration),
    own: BTreeMap<u64, Duration>,
}

impl Timeline {
    pub(crate) fn new(clock: &dyn Clock) -> Self {
        Self { began: (clock.now(), clock.steady()), own: BTreeMap::new() }
    }

    /// An entry was written just now.
    pub(crate) fn mark(&mut self, sequence: u64, clock: &dyn Clock) {
        self.own.insert(sequence, clock.steady());
    }

    /// What has passed since an entry was written.
    pub(crate) fn since(&self, mark: Mark, clock: &dyn Clock) -> Duration {
        let (wall, steady) = self.began;
        match self.own.get(&mark.sequence) {
            Some(written) => clock.steady().saturating_sub(*written),
            None => {
                Duration::try_from(wall.duration_since(mark.at)).unwrap_or_default()
                    + clock.steady().saturating_sub(steady)
            }
        }
    }
}
