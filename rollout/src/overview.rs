//! A rollout as people want to see it now: a fold over its entries, and the time left.
//!
//! [`Overview::of`] takes the entries of one rollout, as [`Read::rollouts`](crate::journal::Read::rollouts) finds them in a journal, and nothing else: no file, no clock, no
//! Prometheus. What `rollout status --json` prints is an [`Overview`] as it is here; its shape is versioned by [`SHAPE`], times are RFC 3339 in UTC,
//! lengths of time are seconds, and a field that is `null` is not known or has not happened yet.
//!
//! ```
//! use rollout::journal::Read;
//! use rollout::overview::Overview;
//!
//! let now = jiff::Timestamp::UNIX_EPOCH;
//! assert!(Overview::of(Read::default().latest(), now).is_none(), "no rollout was ever started");
//! ```

#[cfg(test)]
pub(crate) mod fixture;
mod fold;
mod history;
#[cfg(test)]
mod tests;
mod time;
mod words;

use jiff::Timestamp;
use serde::Serialize;

use crate::hands::Taken;
use crate::journal::entry::{Entry, Event, Outcome};
use crate::judge::{Judgement, Verdict};

pub(crate) use fold::is_a_persons;
pub use history::{Past, history};
pub use words::{outcome, words};

/// The version of the shape of an [`Overview`] as JSON. A new field does not change it, a field that goes or means something else does.
pub const SHAPE: u32 = 1;

/// A rollout at one time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overview {
    /// [`SHAPE`].
    pub shape: u32,
    /// The time that it is told for.
    pub at: Timestamp,
    /// The rollout's ID.
    pub rollout: String,
    /// The plan's name; `None` where the rollout file of then cannot be read any more, of which the rest of the plan's fields are then missing too.
    pub name: Option<String>,
    /// What is going on.
    pub phase: Phase,
    /// When it began, who began it, and `started`.
    pub started: Said,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// When, who and why it ended.
    pub finished: Option<Said>,
    /// SHA-256 of the module.
    pub module_sha256: String,
    /// SHA-256 of the plugin configuration.
    pub configuration_sha256: String,
    /// The checks before the start.
    pub preflight: Vec<Check>,
    /// In the order in which they get the build.
    pub rings: Vec<RingView>,
    /// It waits for a person.
    pub waiting: Option<Wait>,
    /// A person paused it.
    pub paused: Option<Said>,
    /// It is, or was, taken back, and why.
    pub rolling_back: Option<Said>,
    /// The latest trouble.
    pub trouble: Option<Said>,
    /// How many troubles there were.
    pub troubles: u64,
    /// The latest entry, in words.
    pub last: Said,
    /// The latest thing that a person said: start, approve, pause, resume, roll back.
    pub person: Said,
    /// Seconds since the latest entry.
    pub silent_seconds: f64,
    /// Entries should have been written since then, and were not: whoever was at it may be gone.
    pub stalled: bool,
}

/// What is going on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum Phase {
    /// Checks, before anything is changed.
    Preflight,
    /// What is in place is being recorded.
    Recording,
    /// This ring is next.
    Next {
        /// The ring.
        ring: String,
    },
    /// The build is being put in place.
    Writing {
        /// The ring.
        ring: String,
    },
    /// It is in place, and not every proxy runs it yet.
    Converging {
        /// The ring.
        ring: String,
    },
    /// Every proxy runs it; caches fill, nothing is judged.
    Settling {
        /// The ring.
        ring: String,
    },
    /// The ring is watched and judged.
    Baking {
        /// The ring.
        ring: String,
    },
    /// For a person.
    Waiting {
        /// The ring.
        ring: String,
    },
    /// By a person.
    Paused {
        /// The ring whose turn it is, where one is left.
        ring: Option<String>,
    },
    /// Every ring has the build; it is not written down yet that it is over.
    Closing,
    /// It is being taken back.
    RollingBack,
    /// Every ring that it was for has the build.
    Done,
    /// Every ring has what it had before.
    RolledBack,
    /// It was not started.
    Refused,
}

/// Who said or did what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Said {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub who: String,
    /// What.
    pub what: String,
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wait {
    /// The ring.
    pub ring: String,
    /// Since when, and for what.
    pub said: Said,
}

/// A check before the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name.
    pub check: String,
    /// Whether it holds.
    pub holds: bool,
    /// What was found.
    pub found: String,
}

/// How far a ring is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Nothing was done to it.
    Untouched,
    /// This rollout does not go so far.
    LeftOut,
    /// The build is being put in place.
    Writing,
    /// Not every proxy runs it yet.
    Converging,
    /// Every proxy runs it; nothing is judged yet.
    Settling,
    /// It is watched and judged.
    Baking,
    /// It keeps the build.
    Promoted,
    /// It is being taken back.
    TakingBack,
    /// It was seen to run what it ran before.
    Back,
}

/// One ring.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RingView {
    /// Its name.
    pub name: String,
    /// How far it is.
    pub stage: Stage,
    /// How many proxies it has.
    pub expected: Option<u32>,
    /// The ring that it is compared with.
    pub control: Option<String>,
    /// Whether a person has to approve before it gets the build.
    pub approval: bool,
    /// The builds that its proxies ran before, by the label `config`; several where it was not one.
    pub before: Vec<String>,
    /// The build that it gets, by the label `config`.
    pub build: Option<String>,
    /// Where bytes are put in: its proxies' files, or its object.
    pub places: Vec<PlaceView>,
    /// When it began to get the build.
    pub started: Option<Timestamp>,
    /// When every proxy ran it.
    pub converged: Option<Timestamp>,
    /// Who approved, and what they said.
    pub approvals: Vec<Said>,
    /// When it was decided that it keeps the build, and why.
    pub promoted: Option<Said>,
    /// When it was seen to run what it ran before, and what was found.
    pub verified: Option<Said>,
    /// How often it was looked at since every proxy ran the build.
    pub looks: u64,
    /// The first of these looks.
    pub first_look: Option<Timestamp>,
    /// The latest look, also while proxies took the build.
    pub last_look: Option<Timestamp>,
    /// The verdict, the latest or the one that it keeps the build for: each gate's, with its reason, numbers, history and progress.
    pub judgement: Option<Judgement>,
    /// The latest verdict since it keeps the build, by the gates that it is still looked at by.
    pub watched: Option<Judgement>,
    /// How long it is still watched, while it is.
    pub bake: Option<BakeView>,
}

/// One place that bytes are put in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlaceView {
    /// The instance's name, or the object's.
    pub name: String,
    /// Whether what was there before was recorded.
    pub recorded: bool,
    /// SHA-256 of what was there before; `None` where nothing was.
    pub before_sha256: Option<String>,
    /// Whether anything was, or may have been, put there.
    pub touched: bool,
    /// SHA-256 of what was last put there.
    pub sha256: Option<String>,
    /// What the proxies said of the build.
    pub written: Option<Taken>,
    /// What they said of what was there before.
    pub restored: Option<Taken>,
}

/// How long a ring is still watched. All in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BakeView {
    /// Since every proxy ran the build.
    pub passed_seconds: f64,
    /// Until it is judged for the first time; 0 once it is.
    pub settle_left_seconds: f64,
    /// The least that it is watched.
    pub min_seconds: f64,
    /// Of this what is left.
    pub min_left_seconds: f64,
    /// The most that it is watched.
    pub max_seconds: f64,
    /// Of this what is left.
    pub max_left_seconds: f64,
    /// Until it passes, if its evidence goes on to come in as it did so far, and is good. `None` while that cannot be said.
    pub estimate_seconds: Option<f64>,
}

impl Overview {
    /// Of the entries of one rollout, oldest first, at a time. `None` where they do not begin with a rollout.
    #[must_use]
    pub fn of(entries: &[Entry], now: Timestamp) -> Option<Self> {
        let plan = match &entries.first()?.what {
            Event::Opened { plan, base, .. } => crate::plan::parse(plan, std::path::Path::new(base)).ok(),
            _ => return None,
        };
        let mut view = fold::fold(entries, plan.as_ref(), now)?;
        time::tell(&mut view, plan.as_ref());
        Some(view)
    }

    /// A ring, by its name.
    #[must_use]
    pub fn ring(&self, name: &str) -> Option<&RingView> {
        self.rings.iter().find(|ring| ring.name == name)
    }

    /// The ring whose turn it is.
    #[must_use]
    pub fn current(&self) -> Option<&RingView> {
        self.rings.iter().find(|ring| ring.promoted.is_none() && ring.stage != Stage::LeftOut)
    }
}

impl RingView {
    /// The verdict to be shown: the one that it keeps the build for, unless it has failed since.
    #[must_use]
    pub fn verdict(&self) -> Option<&Judgement> {
        self.watched.as_ref().filter(|watched| watched.verdict == Verdict::Fail).or(self.judgement.as_ref())
    }

    /// Whether anything was, or may have been, put in one of its places.
    #[must_use]
    pub fn touched(&self) -> bool {
        self.places.iter().any(|place| place.touched)
    }
}
