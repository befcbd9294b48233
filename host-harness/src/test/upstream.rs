//! Clusters that callouts go to, by script.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{GrpcReply, GrpcRequest, Reply};
use crate::{Callout, CalloutOutcome, GrpcEvent, GrpcReset};

/// What a cluster does with the callouts that a module sends to it.
#[derive(Clone)]
pub struct Upstream {
    script: Script,
    takes: Duration,
    pub(super) has_endpoint: bool,
}

/// What a cluster's servers speak, and how they answer.
#[derive(Clone)]
enum Script {
    Http(Arc<HttpScript>),
    Grpc(Arc<GrpcScript>),
}

/// What comes of a callout, and how long that takes.
type HttpScript = dyn Fn(&Callout) -> (Duration, Answer) + Send + Sync;
/// What is sent to a callout that has come so far.
type GrpcScript = dyn Fn(&GrpcRequest) -> GrpcReply + Send + Sync;

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

impl Answer {
    /// The answer as a gRPC client gets it.
    fn into_grpc_events(self) -> Vec<GrpcEvent> {
        match self {
            Self::Reply(reply) => reply.into_grpc_events(),
            Self::Silence => Vec::new(),
            Self::Refusal => vec![GrpcEvent::Reset(GrpcReset::ConnectionFailure)],
            Self::Close => vec![GrpcEvent::Reset(GrpcReset::ConnectionTermination)],
            Self::Reset => vec![GrpcEvent::Reset(GrpcReset::RemoteReset)],
        }
    }
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
        Self::new(Script::Http(Arc::new(script)))
    }

    /// What is sent on a gRPC callout depends on what the module has sent: a call has its message; a stream is asked after when it
    /// is opened, at each message and at the end.
    #[must_use]
    pub fn grpc(script: impl Fn(&GrpcRequest) -> GrpcReply + Send + Sync + 'static) -> Self {
        Self::new(Script::Grpc(Arc::new(script)))
    }

    fn new(script: Script) -> Self {
        Self { script, takes: Duration::ZERO, has_endpoint: true }
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
        let (takes, answer) = match &self.script {
            Script::Http(script) => script(callout),
            // It speaks HTTP/2 alone.
            Script::Grpc(_) => (Duration::ZERO, Answer::Close),
        };
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

    /// What is sent now on a gRPC callout, and after which times.
    pub(super) fn grpc_answer(&self, request: &GrpcRequest, began: bool) -> Vec<(Duration, GrpcEvent)> {
        let steps = match &self.script {
            Script::Grpc(script) => script(request).into_steps(began),
            // It does not know gRPC, and answers a request when that is complete.
            Script::Http(_) if !request.ended => Vec::new(),
            Script::Http(script) => {
                let (takes, answer) = script(&request.as_callout());
                answer.into_grpc_events().into_iter().map(|event| (takes, event)).collect()
            }
        };
        steps.into_iter().map(|(time, event)| (time.saturating_add(self.takes), event)).collect()
    }
}
