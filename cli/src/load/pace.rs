//! How well a load kept its pace.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// From here on a request was late; below it is the timer's own coarseness and a busy machine's scheduler.
const LATE: Duration = Duration::from_millis(50);

/// How late requests were sent, against the moment at which the rate had them due. Shared by everything that sends.
#[derive(Debug, Default)]
pub struct Pace {
    sent: AtomicU64,
    late: AtomicU64,
    sum_us: AtomicU64,
    worst_us: AtomicU64,
}

impl Pace {
    /// Writes down one request.
    pub(super) fn sent_after(&self, delay: Duration) {
        let us = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.late.fetch_add(u64::from(delay > LATE), Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
        self.worst_us.fetch_max(us, Ordering::Relaxed);
    }

    /// The mean delay.
    pub fn mean(&self) -> Duration {
        Duration::from_micros(self.sum_us.load(Ordering::Relaxed) / self.sent.load(Ordering::Relaxed).max(1))
    }

    /// The longest delay.
    pub fn worst(&self) -> Duration {
        Duration::from_micros(self.worst_us.load(Ordering::Relaxed))
    }

    /// Requests that were sent more than 50 ms after they were due.
    pub fn late(&self) -> u64 {
        self.late.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_added_up() {
        let pace = Pace::default();
        assert_eq!((pace.mean(), pace.worst(), pace.late()), (Duration::ZERO, Duration::ZERO, 0));
        for ms in [0, 2, 100] {
            pace.sent_after(Duration::from_millis(ms));
        }
        assert_eq!(
            (pace.mean(), pace.worst(), pace.late()),
            (Duration::from_millis(34), Duration::from_millis(100), 1)
        );
    }
}
