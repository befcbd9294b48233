//! What became of events.

use crate::event::Event;

/// Why an event went to the log instead of the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// There was no room in the queue.
    QueueFull,
    /// The record alone is larger than a call may be.
    TooLarge,
    /// The receiver refused it for good.
    Refused,
    /// It was undeliverable for longer than `max_age_ms`.
    Expired,
    /// The receiver took it, but will never acknowledge it.
    Unacknowledged,
    /// The VM ended first.
    Abandoned,
}

impl Reason {
    /// All reasons, in the order of their counts.
    pub const ALL: [Self; 6] =
        [Self::QueueFull, Self::TooLarge, Self::Refused, Self::Expired, Self::Unacknowledged, Self::Abandoned];

    /// The reason in a log line or a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::TooLarge => "too_large",
            Self::Refused => "refused",
            Self::Expired => "expired",
            Self::Unacknowledged => "unacknowledged",
            Self::Abandoned => "abandoned",
        }
    }
}

/// How an event ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The receiver has it.
    Delivered {
        /// The event's `EventUid`.
        uid: [u8; 16],
    },
    /// It is for the caller to log.
    Logged {
        /// The event.
        event: Box<Event>,
        /// Why.
        reason: Reason,
    },
}

/// What became of the events so far. **Invariant:** `made = delivered + logged + queued`, after every step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events given to `push`, those without room included.
    pub made: u64,
    /// Events that the receiver has.
    pub delivered: u64,
    /// Events given back to be logged, in the order of [`Reason::ALL`].
    pub logged: [u64; Reason::ALL.len()],
    /// Events that wait or are under way.
    pub queued: usize,
    /// Of these, events in a batch whose answer or acknowledgement is awaited.
    pub in_flight: usize,
    /// The memory that queued events take, in bytes.
    pub queued_bytes: usize,
    /// Batches sent for the first time.
    pub batches: u64,
    /// Batches sent again.
    pub retries: u64,
    /// The time of the oldest queued event, by its own `time_ns`.
    pub oldest_ns: Option<u64>,
    /// The status of the last answer to a batch; `None` if there was no answer, or no batch yet.
    pub last_status: Option<u16>,
}

impl Counts {
    /// Events given back for one reason.
    pub fn logged(&self, reason: Reason) -> u64 {
        let count = Reason::ALL.into_iter().zip(self.logged).find(|(known, _)| *known == reason);
        count.map_or(0, |(_, count)| count)
    }

    /// Events given back for any reason.
    pub fn all_logged(&self) -> u64 {
        self.logged.iter().sum()
    }
}
