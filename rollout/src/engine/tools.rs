//! What the engine works with; tests put others in their place.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::Timestamp;

use super::clock::Clock;
use crate::hands::{Build, Hands};
use crate::journal::Folder;
use crate::journal::disk::Disk;
use crate::journal::entry::Entry;
use crate::judge::{Case, Judgement, Look, judge, look};
use crate::metrics::Metrics;
use crate::plan::Plan;

/// What makes a rollout's parts from what is written in its journal. The same text always makes the same.
pub trait World: fmt::Debug {
    /// The plan of a rollout file; `base` is what its paths are relative to.
    ///
    /// # Errors
    /// Every mistake in it.
    fn plan(&self, text: &str, base: &Path) -> Result<Plan, Vec<String>>;

    /// The build of each ring, by ring.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    fn builds(&self, plan: &Plan, module: &[u8], configuration: &str) -> Result<BTreeMap<String, Build>, String>;

    /// The hands.
    ///
    /// # Errors
    /// When there cannot be any.
    fn hands(&self, plan: &Plan) -> Result<Box<dyn Hands>, String>;

    /// Prometheus.
    ///
    /// # Errors
    /// When it cannot be asked at all, for want of a token.
    fn metrics(&self, plan: &Plan) -> Result<Box<dyn Metrics>, String>;
}

/// The judge.
pub trait Judging: fmt::Debug {
    /// [`look`].
    fn look(&self, case: &Case<'_>, metrics: &dyn Metrics, at: Timestamp) -> Look;

    /// [`judge`].
    fn judge(&self, case: &Case<'_>, looks: &[Look]) -> Judgement;
}

/// The judge of this crate.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealJudge;

impl Judging for RealJudge {
    fn look(&self, case: &Case<'_>, metrics: &dyn Metrics, at: Timestamp) -> Look {
        look(case, metrics, at)
    }

    fn judge(&self, case: &Case<'_>, looks: &[Look]) -> Judgement {
        judge(case, looks)
    }
}

/// Who hears of what happens. What it does with it must not take long, and cannot fail the rollout.
pub trait Observer: fmt::Debug {
    /// An entry was written.
    fn entry(&mut self, entry: &Entry);

    /// This is waited for now; called when it changes.
    fn waits(&mut self, what: &str) {
        let _ = what;
    }
}

/// Nobody hears of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Observer for Quiet {
    fn entry(&mut self, _: &Entry) {}
}

/// How a process is told to stop. The first time it does what the rollout file says of tools that end ([`crate::plan::Killed`]); the second time it leaves
/// everything as it is. A step that was begun is finished first.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicU32>);

impl Stop {
    /// Tells it; may be called from a signal's thread.
    pub fn ask(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    /// How often it was told.
    #[must_use]
    pub fn asked(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

/// What the engine works with.
#[derive(Debug)]
pub struct Tools {
    /// What makes the rollout's parts.
    pub world: Box<dyn World>,
    /// The judge.
    pub judge: Box<dyn Judging>,
    /// Time.
    pub clock: Box<dyn Clock>,
    /// The disk of the journal.
    pub disk: Arc<dyn Disk>,
    /// Who hears of what happens.
    pub observer: Box<dyn Observer>,
    /// How it is told to stop.
    pub stop: Stop,
    /// Who does it: [`who`].
    pub who: String,
    /// The folder with the state of all rollouts.
    pub state: PathBuf,
}

impl Tools {
    /// The folder of the rollouts of a name.
    #[must_use]
    pub fn folder(&self, name: &str) -> Folder {
        Folder::new(&self.state, name)
    }
}

/// The user and host of this process: `USER@HOST`.
#[must_use]
pub fn who() -> String {
    let user = ["USER", "LOGNAME", "USERNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
    let host = ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok())
        .map(|host| host.trim().to_owned())
        .filter(|host| !host.is_empty())
        .or_else(|| std::env::var("HOSTNAME").ok());
    format!("{}@{}", user.as_deref().unwrap_or("unknown"), host.as_deref().unwrap_or("unknown"))
}
