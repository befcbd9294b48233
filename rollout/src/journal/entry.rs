//! What is written down.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::hands::{Taken, Target};
use crate::judge::{Judgement, Look};

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number, from 0.
    pub sequence: u64,
    /// When it was written, by this machine's clock, which may jump.
    pub at: Timestamp,
    /// Who: the user and host of the process, or of the command that asked for it.
    pub who: String,
    /// What.
    pub what: Event,
    /// SHA-256 of the line before, in hexadecimal; 64 zeros for the first.
    pub previous: String,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A rollout begins. Everything that it needs is in here or in the blobs, so that no other file can change it afterwards.
    Opened {
        /// Its ID, a UUIDv7.
        rollout: String,
        /// The rollout file, as text.
        plan: String,
        /// The folder that its paths are relative to.
        base: String,
        /// SHA-256 of the module; the bytes are a blob.
        module_sha256: String,
        /// SHA-256 of the plugin configuration; the text is a blob.
        configuration_sha256: String,
        /// The label `config` that each ring will report, by ring.
        digests: BTreeMap<String, String>,
    },
    /// A check before the start.
    Preflight {
        /// Its name.
        check: String,
        /// Whether it holds.
        holds: bool,
        /// What was found.
        found: String,
    },
    /// What was in place, before anything is changed there; the bytes are a blob.
    Recorded {
        /// Where.
        target: Target,
        /// SHA-256 of the bytes; `None` where nothing was.
        sha256: Option<String>,
        /// The label `config` that the ring's proxies reported, where it was one.
        digest: Option<String>,
    },
    /// The ring is about to get the build.
    RingStarted {
        /// The ring.
        ring: String,
    },
    /// These bytes are about to be put in place.
    Writing {
        /// Where.
        target: Target,
        /// SHA-256 of the bytes, which are a blob; `None` where what is there is taken away.
        sha256: Option<String>,
    },
    /// They were, and this is what the proxies said.
    Written {
        /// Where.
        target: Target,
        /// The answer.
        taken: Taken,
    },
    /// Every proxy of the ring reports the build.
    Converged {
        /// The ring.
        ring: String,
    },
    /// The ring was looked at and judged.
    Looked {
        /// The ring.
        ring: String,
        /// What was asked and answered.
        look: Look,
        /// The verdict on all looks so far.
        judgement: Judgement,
    },
    /// The ring keeps the build.
    Promoted {
        /// The ring.
        ring: String,
        /// Why: the judge, or a person over an inconclusive verdict.
        why: String,
    },
    /// Nothing goes on until a person says so.
    Waiting {
        /// The ring.
        ring: String,
        /// For what.
        why: String,
    },
    /// A person approved what was waited for.
    Approved {
        /// The ring.
        ring: String,
        /// What they said.
        comment: String,
    },
    /// A person paused the rollout.
    Paused {
        /// What they said.
        comment: String,
    },
    /// It goes on: after a pause, or with another process.
    Resumed {
        /// What they said, or why.
        comment: String,
    },
    /// It is being taken back.
    RollingBack {
        /// Why.
        reason: String,
    },
    /// The bytes of before are in place again.
    Restored {
        /// Where.
        target: Target,
        /// What the proxies said.
        taken: Taken,
    },
    /// The ring's proxies report what they ran before.
    Verified {
        /// The ring.
        ring: String,
        /// What was found.
        found: String,
    },
    /// Something went wrong that is tried again.
    Trouble {
        /// What.
        what: String,
    },
    /// The rollout is over.
    Finished {
        /// How.
        outcome: Outcome,
        /// Why.
        reason: String,
    },
}

/// How a rollout ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every ring that it was for has the build.
    Done,
    /// Every ring has what it had before.
    RolledBack,
    /// It was not started.
    Refused,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Done => "done",
            Self::RolledBack => "rolled back",
            Self::Refused => "refused",
        })
    }
}
