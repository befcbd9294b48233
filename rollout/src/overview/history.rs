//! All rollouts of a journal.

use jiff::Timestamp;
use serde::Serialize;

use super::{Overview, Phase, RingView, Stage};
use crate::journal::entry::{Entry, Outcome};
use crate::journal::rollouts;

/// A rollout, as a line among others.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Past {
    /// Its ID.
    pub rollout: String,
    /// When it began.
    pub started: Timestamp,
    /// Who began it.
    pub who: String,
    /// SHA-256 of the module.
    pub module_sha256: String,
    /// SHA-256 of the plugin configuration.
    pub configuration_sha256: String,
    /// How it ended; `None` while it is under way.
    pub outcome: Option<Outcome>,
    /// Why it ended so.
    pub reason: Option<String>,
    /// What is going on.
    pub phase: Phase,
    /// From its start to its end, or to now, in seconds.
    pub duration_seconds: f64,
    /// The rings that it was for.
    pub rings: Vec<String>,
    /// Those that the build was put in, or may have been.
    pub reached: Vec<String>,
    /// Those that were found to be free of harm.
    pub promoted: Vec<String>,
}

/// All rollouts of a journal, oldest first, at a time.
#[must_use]
pub fn history(entries: &[Entry], now: Timestamp) -> Vec<Past> {
    rollouts(entries).filter_map(|entries| Overview::of(entries, now)).map(past).collect()
}

fn past(view: Overview) -> Past {
    let names = |wanted: &dyn Fn(&RingView) -> bool| {
        view.rings.iter().filter(|ring| wanted(ring)).map(|ring| ring.name.clone()).collect()
    };
    let end = view.finished.as_ref().map_or(view.at, |said| said.at);
    Past {
        started: view.started.at,
        duration_seconds: end.duration_since(view.started.at).as_secs_f64().max(0.0),
        rings: names(&|ring| ring.stage != Stage::LeftOut),
        reached: names(&RingView::touched),
        promoted: names(&|ring| ring.promoted.is_some()),
        outcome: view.outcome,
        reason: view.finished.map(|said| said.what),
        who: view.started.who,
        phase: view.phase,
        rollout: view.rollout,
        module_sha256: view.module_sha256,
        configuration_sha256: view.configuration_sha256,
    }
}
