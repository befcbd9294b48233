//! Clusters that callouts go to, by script.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Reply;
use crate::{Callout, CalloutOutcome};

/// What comes of a callout, and how long that takes.
type Script = dyn Fn(&Callout) -> (Duration, Answer) + Send + Sync;

/// What a cluster does with the callouts that a module sends to it.
#[derive(Clone)]
pub struct Upstream {
    script: Arc<Script>,
    takes: Duration,
    pub(super) has_endpoint: bool,
}

/// What comes of one callout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A response.
    Reply(Reply),
    /// Nothing, ever: the callout's own timeout ends it, if it has one.
    Silence,
    /// The connection is refused.
    Refusal,
    /// The connection is closed before there is a response.
    Close,
    /// The response breaks off.
    Reset,
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Self::Reply(reply)
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("takes", &self.takes).finish_non_exhaustive()
    }
}

impl Upstream {
    /// Every callout gets this.
    #[must_use]
    pub fn always(answer: impl Into<Answer>) -> Self {
        let answer = answer.into();
        Self::with(move |_| answer.clone())
    }

    /// What a callout gets depends on the callout.
    #[must_use]
    pub fn with<A: Into<Answer>>(script: impl Fn(&Callout) -> A + Send + Sync + 'static) -> Self {
        Self::timed(move |callout| (Duration::ZERO, script(callout).into()))
    }

    /// What a callout gets, and how long that takes, depends on the callout.
    #[must_use]
    pub fn timed(script: impl Fn(&Callout) -> (Duration, Answer) + Send + Sync + 'static) -> Self {
        Self { script: Arc::new(script), takes: Duration::ZERO, has_endpoint: true }
    }

    /// A cluster without endpoints: callouts fail at once.
    #[must_use]
    pub fn without_endpoint() -> Self {
        Self { has_endpoint: false, ..Self::always(Answer::Silence) }
    }

    /// How long its answers take, besides what the script says.
    #[must_use]
    pub fn after(mut self, time: Duration) -> Self {
        self.takes = time;
        self
    }

    /// What comes of a callout, and after which time; none if nothing ever does.
    pub(super) fn answer(&self, callout: &Callout) -> Option<(Duration, CalloutOutcome)> {
        let (takes, answer) = (self.script)(callout);
        let takes = takes.saturating_add(self.takes);
        let answer = match answer {
            Answer::Reply(reply) => Some(reply.into_outcome()),
            Answer::Silence => None,
            Answer::Refusal => Some(CalloutOutcome::connection_failure()),
            Answer::Close => Some(CalloutOutcome::connection_termination()),
            Answer::Reset => Some(CalloutOutcome::Reset),
        };
        match (answer, callout.timeout) {
            (Some(outcome), timeout) if timeout.is_none_or(|timeout| takes < timeout) => Some((takes, outcome)),
            (_, Some(timeout)) => Some((timeout, CalloutOutcome::timeout())),
            (_, None) => None,
        }
    }
}
