//! Time as the module sees it: the system's, or a virtual one that only moves when told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Where a host takes the time from.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The system's clock.
    #[default]
    System,
    /// Nanoseconds since the Unix epoch; clones share the same instant.
    Virtual(Arc<AtomicU64>),
}

impl Clock {
    /// A virtual clock that stands at `unix_ns`.
    #[must_use]
    pub fn virtual_at(unix_ns: u64) -> Self {
        Self::Virtual(Arc::new(AtomicU64::new(unix_ns)))
    }

    /// Nanoseconds since the Unix epoch.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        match self {
            Self::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)),
            Self::Virtual(now) => now.load(Ordering::Relaxed),
        }
    }

    /// Moves a virtual clock to `unix_ns`, never backwards; does nothing to the system's.
    pub fn advance_to(&self, unix_ns: u64) {
        if let Self::Virtual(now) = self {
            now.fetch_max(unix_ns, Ordering::Relaxed);
        }
    }
}
