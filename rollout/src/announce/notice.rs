//! What of an entry is announced.

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::journal::entry::{Entry, Event, Outcome};
use crate::overview::words;

/// Which rollout.
#[derive(Debug, Clone)]
pub(super) struct Whose {
    /// The plan's name.
    pub(super) name: String,
    /// The rollout's ID.
    pub(super) rollout: String,
}

/// An announcement.
#[derive(Debug, Clone)]
pub(super) struct Notice {
    pub(super) sequence: u64,
    pub(super) at: Timestamp,
    pub(super) who: String,
    pub(super) kind: Kind,
    pub(super) ring: Option<String>,
    pub(super) text: String,
}

/// Of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Started { rollout: String, module_sha256: String },
    RingStarted,
    RingPromoted,
    Waiting,
    Approved,
    Paused,
    Resumed,
    RollingBack,
    RingRestored,
    Finished(Outcome),
}

impl Kind {
    /// The event type.
    pub(super) fn event(&self) -> &'static str {
        match self {
            Self::Started { .. } => "ROLLOUT_STARTED",
            Self::RingStarted => "ROLLOUT_RING_STARTED",
            Self::RingPromoted => "ROLLOUT_RING_PROMOTED",
            Self::Waiting => "ROLLOUT_WAITING",
            Self::Approved => "ROLLOUT_APPROVED",
            Self::Paused => "ROLLOUT_PAUSED",
            Self::Resumed => "ROLLOUT_RESUMED",
            Self::RollingBack => "ROLLOUT_ROLLING_BACK",
            Self::RingRestored => "ROLLOUT_RING_RESTORED",
            Self::Finished(_) => "ROLLOUT_FINISHED",
        }
    }

    /// How it stands, as a tag.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::Started { .. } => "started",
            Self::RingStarted => "ring-started",
            Self::RingPromoted => "promoted",
            Self::Waiting => "waiting",
            Self::Approved => "approved",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::RollingBack => "rolling-back",
            Self::RingRestored => "restored",
            Self::Finished(Outcome::Done) => "done",
            Self::Finished(Outcome::RolledBack) => "rolled-back",
            Self::Finished(Outcome::Refused) => "refused",
        }
    }
}

impl Notice {
    /// `None` for what only the journal needs: places, looks, troubles.
    pub(super) fn of(entry: &Entry) -> Option<Self> {
        let (kind, ring) = match &entry.what {
            Event::Opened { rollout, module_sha256, .. } => {
                (Kind::Started { rollout: rollout.clone(), module_sha256: module_sha256.clone() }, None)
            }
            Event::RingStarted { ring } => (Kind::RingStarted, Some(ring)),
            Event::Promoted { ring, .. } => (Kind::RingPromoted, Some(ring)),
            Event::Waiting { ring, .. } => (Kind::Waiting, Some(ring)),
            Event::Approved { ring, .. } => (Kind::Approved, Some(ring)),
            Event::Paused { .. } => (Kind::Paused, None),
            Event::Resumed { .. } => (Kind::Resumed, None),
            Event::RollingBack { .. } => (Kind::RollingBack, None),
            Event::Verified { ring, .. } => (Kind::RingRestored, Some(ring)),
            Event::Finished { outcome, .. } => (Kind::Finished(*outcome), None),
            Event::Preflight { .. }
            | Event::Recorded { .. }
            | Event::Writing { .. }
            | Event::Written { .. }
            | Event::Converged { .. }
            | Event::Looked { .. }
            | Event::Restored { .. }
            | Event::Trouble { .. } => return None,
        };
        Some(Self {
            sequence: entry.sequence,
            at: entry.at,
            who: entry.who.clone(),
            kind,
            ring: ring.cloned(),
            text: words(&entry.what),
        })
    }

    /// A UUID (version 7) that is the same whenever this entry is announced, so that a receiver can tell what came twice.
    pub(super) fn uid(&self, rollout: &str) -> [u8; 16] {
        let mut hash = Sha256::new();
        hash.update(rollout);
        hash.update(self.sequence.to_be_bytes());
        let ms = u64::try_from(self.at.as_millisecond()).unwrap_or_default().to_be_bytes();
        let mut uid = [0; 16];
        let bytes = ms.into_iter().skip(2).chain(hash.finalize());
        for (at, (to, from)) in uid.iter_mut().zip(bytes).enumerate() {
            *to = match at {
                6 => from & 0x0f | 0x70,
                8 => from & 0x3f | 0x80,
                _ => from,
            };
        }
        uid
    }
}
