//! What others hear of a rollout: annotations in Grafana, events for a SIEM.
//!
//! An [`Announcer`] hears each entry after it was written and hands what is of interest to a thread for each receiver, by a queue that never waits. So a
//! receiver that is slow, away or wrong neither delays nor fails the rollout; what it did not take is told at the end, by [`Announcer::finish`].
//!
//! | entry | Grafana | SIEM |
//! |---|---|---|
//! | opened | a point | `ROLLOUT_STARTED` |
//! | ring started, until it is promoted or taken back | a region | `ROLLOUT_RING_STARTED`, `ROLLOUT_RING_PROMOTED` |
//! | waiting, approved, paused, resumed | points | `ROLLOUT_WAITING`, `ROLLOUT_APPROVED`, `ROLLOUT_PAUSED`, `ROLLOUT_RESUMED` |
//! | rolling back, until it is over | a region | `ROLLOUT_ROLLING_BACK` |
//! | verified | a point | `ROLLOUT_RING_RESTORED` |
//! | finished | a point, or the region's end | `ROLLOUT_FINISHED` |
//!
//! All have the rollout's ID: as a tag, and as the event's correlation ID.

#[cfg(test)]
mod fakes;
mod grafana;
mod http;
mod notice;
mod queue;
mod receiver;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::journal::entry::{Entry, Event};
use crate::plan::Plan;
use notice::{Notice, Whose};
use queue::Queue;

/// How many announcements may wait for one receiver. A rollout has a few for each ring.
const MAX_WAITING: usize = 256;

/// How long after the deadline a thread may take to account for what it did.
const GRACE: Duration = Duration::from_millis(250);

/// Why nothing can be announced.
#[derive(Debug, thiserror::Error)]
pub enum AnnounceError {
    /// A variable that the rollout file names is not there.
    #[error("{field}: the variable `{variable}` is not set; set it, or leave out the field")]
    NoSecret {
        /// Where it is named.
        field: &'static str,
        /// The variable.
        variable: String,
    },
    /// The sink is none that the plugin configuration could have.
    #[error("{0}")]
    Sink(String),
    /// There is no thread for it.
    #[error("announce: no thread can be started: {0}")]
    Thread(std::io::Error),
}

/// Tells others of a rollout. Its clones are the same.
#[derive(Debug, Clone)]
pub struct Announcer {
    receivers: Vec<Arc<Queue<Notice>>>,
}

impl Announcer {
    /// Of the rollouts of a plan. `so_far` are the entries of one that goes on, which are not announced again; none for one that begins.
    ///
    /// # Errors
    /// When the rollout file asks for something that cannot work: a secret that is not there, a sink that is none.
    pub fn start(plan: &Plan, so_far: &[Entry]) -> Result<Self, AnnounceError> {
        Self::with(plan, so_far, &|name| std::env::var(name).ok())
    }

    /// The same, with these variables.
    fn with(plan: &Plan, so_far: &[Entry], variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, AnnounceError> {
        let rollout = so_far.iter().find_map(|entry| match &entry.what {
            Event::Opened { rollout, .. } => Some(rollout.clone()),
            _ => None,
        });
        let whose = Whose { name: plan.name.clone(), rollout: rollout.unwrap_or_default() };
        let past: Vec<Notice> = so_far.iter().filter_map(Notice::of).collect();
        let mut receivers = Vec::new();
        if let Some(grafana) = &plan.announce.grafana {
            let worker = grafana::Worker::new(grafana, whose.clone(), &past, variable)?;
            receivers.push(run("Grafana", "annotations", move |queue| worker.run(queue))?);
        }
        if let Some(siem) = &plan.announce.siem {
            let worker = receiver::Worker::new(siem, whose, variable)?;
            receivers.push(run("the SIEM", "events", move |queue| worker.run(queue))?);
        }
        Ok(Self { receivers })
    }

    /// An entry was written. Returns at once.
    pub fn entry(&self, entry: &Entry) {
        if let Some(notice) = Notice::of(entry) {
            self.receivers.iter().for_each(|queue| queue.push(notice.clone()));
        }
    }

    /// What could not be delivered so far, a line for each receiver. What still waits is not meant.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        self.receivers.iter().filter_map(|queue| queue.told().problems()).collect()
    }

    /// It is over: what waits is delivered within `patience`, all told, and a line for each receiver that did not take everything says what and why.
    #[must_use]
    pub fn finish(&self, patience: Duration) -> Vec<String> {
        let deadline = Instant::now() + patience;
        self.receivers.iter().for_each(|queue| queue.end(deadline));
        // A little more, for the threads to say what came of it.
        let latest = deadline + GRACE;
        self.receivers.iter().filter_map(|queue| queue.wait_until_over(latest).at_the_end()).collect()
    }
}

fn run(
    who: &'static str,
    what: &'static str,
    work: impl FnOnce(&Queue<Notice>) + Send + 'static,
) -> Result<Arc<Queue<Notice>>, AnnounceError> {
    let queue = Arc::new(Queue::new(who, what, MAX_WAITING));
    let own = Arc::clone(&queue);
    let run = move || {
        work(&own);
        own.over();
    };
    // It is not joined: a call that hangs must not hold up the end. What it still does after `finish` ends with the process.
    std::thread::Builder::new().name(format!("announce to {who}")).spawn(run).map_err(AnnounceError::Thread)?;
    Ok(queue)
}
