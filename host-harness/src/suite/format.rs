//! What a suite says, once it has been read: cases with everything that holds for them.

use std::path::PathBuf;
use std::time::Duration;

use super::matcher::{BodyMatch, HeaderMatch, Number, Text};
use crate::abi::Status;
use crate::{Conformance, FailurePolicy, HeaderMap, LogLevel};

/// A file of cases.
#[derive(Debug, Clone)]
pub(super) struct Suite {
    pub(super) name: String,
    pub(super) file: PathBuf,
    /// Whether all cases run in one host, in their order.
    pub(super) shared: bool,
    pub(super) cases: Vec<Case>,
}

/// How a host is set up. What is not said is what the host's builder has.
#[derive(Debug, Clone, Default)]
pub(super) struct Setup {
    pub(super) module: Option<PathBuf>,
    pub(super) configuration: Option<Vec<u8>>,
    pub(super) vm_configuration: Option<Vec<u8>>,
    pub(super) name: Option<String>,
    pub(super) root_id: Option<String>,
    pub(super) vm_id: Option<String>,
    pub(super) capabilities: Option<Vec<String>>,
    pub(super) environment: Option<Vec<(String, String)>>,
    pub(super) workers: Option<u32>,
    pub(super) seed: Option<u64>,
    /// Nanoseconds since the Unix epoch.
    pub(super) clock: Option<u64>,
    pub(super) log_level: Option<LogLevel>,
    pub(super) conformance: Option<Conformance>,
    pub(super) failure_policy: Option<FailurePolicy>,
    pub(super) fuel_per_callback: Option<u64>,
    pub(super) memory_limit: Option<usize>,
    pub(super) body_limit: Option<usize>,
    pub(super) protocol: Option<Protocol>,
    pub(super) clusters: Option<Vec<(String, Cluster)>>,
    pub(super) faults: Option<Vec<FaultSpec>>,
}

/// What client and proxy speak.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Protocol {
    #[default]
    Http1,
    Http2,
}

impl Protocol {
    /// As the property `request.protocol` has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

/// What a cluster does with callouts: the first rule that fits.
#[derive(Debug, Clone)]
pub(super) enum Cluster {
    NoEndpoint,
    Refused,
    Rules(Vec<Rule>),
}

/// What a cluster does with callouts of a kind.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) when: When,
    pub(super) answer: RuleAnswer,
    pub(super) after: Duration,
}

/// Which callouts a rule is for.
#[derive(Debug, Clone, Default)]
pub(super) struct When {
    pub(super) method: Option<Text>,
    pub(super) path: Option<Text>,
    pub(super) headers: Vec<HeaderMatch>,
    pub(super) body: Option<BodyMatch>,
}

/// What comes of a callout.
#[derive(Debug, Clone)]
pub(super) enum RuleAnswer {
    Reply(Payload),
    Silence,
    Close,
    Reset,
}

/// A hostcall that fails.
#[derive(Debug, Clone)]
pub(super) struct FaultSpec {
    pub(super) hostcall: String,
    pub(super) nth: Option<u64>,
    /// The VM traps when there is none.
    pub(super) status: Option<Status>,
}

/// Headers, a body in pieces, and trailers.
#[derive(Debug, Clone, Default)]
pub(super) struct Payload {
    /// With pseudo-headers.
    pub(super) headers: HeaderMap,
    pub(super) pieces: Vec<Vec<u8>>,
    pub(super) trailers: Option<HeaderMap>,
}

/// A case, with all that the suite says for it.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) name: String,
    /// Where it stands, like `cases[2]`.
    pub(super) path: String,
    pub(super) setup: Setup,
    pub(super) skip: Option<String>,
    pub(super) only: Option<Only>,
    pub(super) steps: Vec<Step>,
    /// What must be so after the last step.
    pub(super) expect: HostExpect,
}

/// The proxy that a case is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Only {
    Harness,
    Envoy,
}

/// What is done in a case, and what must be so right after.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// Like `cases[2].steps[0]`.
    pub(super) path: String,
    pub(super) action: Action,
    pub(super) expect: HostExpect,
}

#[derive(Debug, Clone)]
pub(super) enum Action {
    /// Side by side.
    Streams(Vec<Stream>),
    Advance(Duration),
    Tick,
    Reconfigure {
        configuration: Vec<u8>,
        refused: Option<Text>,
    },
    Connection(Box<Talk>),
    /// Nothing is done.
    Look,
}

/// A TCP connection: what client and server do, in turns, and what must come of it.
#[derive(Debug, Clone)]
pub(super) struct Talk {
    pub(super) turns: Vec<Turn>,
    pub(super) expect: TalkExpect,
}

/// What one side of a connection does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Turn {
    Client(Vec<u8>),
    Server(Vec<u8>),
    ClientEnds,
    ServerEnds,
    ServerResets,
}

/// What must come of a connection.
#[derive(Debug, Clone, Default)]
pub(super) struct TalkExpect {
    /// Like `cases[2].expect`.
    pub(super) path: String,
    /// What the server got, and the client.
    pub(super) server: Option<BodyMatch>,
    pub(super) client: Option<BodyMatch>,
    pub(super) closed_by: Option<Closer>,
    pub(super) held: Option<bool>,
    pub(super) filter_state: Vec<(String, Option<Text>)>,
    pub(super) cost: Vec<(CostItem, Number)>,
}

/// Who closed the client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closer {
    Client,
    Proxy,
}

/// What the upstream does with a stream.
#[derive(Debug, Clone)]
pub(super) enum StreamReply {
    Payload(Payload),
    /// The connection is refused.
    Refused,
    /// The connection is closed before an answer.
    Closed,
    /// The answer breaks off after its headers.
    Reset,
}

/// A request, what the upstream answers, and what must come of it.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    /// Like `cases[2].streams[0]`, or the case's or step's own.
    pub(super) path: String,
    pub(super) request: Payload,
    pub(super) protocol: Protocol,
    /// None when the client leaves before there is one.
    pub(super) reply: Option<StreamReply>,
    pub(super) after: Duration,
    pub(super) source: Option<std::net::SocketAddr>,
    pub(super) mtls: bool,
    /// Paths with parts joined by a zero byte.
    pub(super) properties: Vec<(String, Vec<u8>)>,
    pub(super) expect: StreamExpect,
}

/// What must come of one stream.
#[derive(Debug, Clone, Default)]
pub(super) struct StreamExpect {
    /// Like `cases[2].expect`.
    pub(super) path: String,
    pub(super) upstream: Option<Arrival>,
    pub(super) response: Option<Arrival>,
    pub(super) local_reply: Option<LocalReplyExpect>,
    pub(super) held: Option<bool>,
    pub(super) filter_state: Vec<(String, Option<Text>)>,
    pub(super) cost: Vec<(CostItem, Number)>,
}

/// Whether a message arrived, and how.
#[derive(Debug, Clone)]
pub(super) enum Arrival {
    Nothing,
    Message(Box<MessageExpect>),
}

#[derive(Debug, Clone, Default)]
pub(super) struct MessageExpect {
    pub(super) status: Option<Number>,
    pub(super) method: Option<Text>,
    pub(super) path: Option<Text>,
    pub(super) headers: Vec<HeaderMatch>,
    pub(super) body: Option<BodyMatch>,
    pub(super) trailers: Vec<HeaderMatch>,
    /// Whether there are trailers at all.
    pub(super) no_trailers: bool,
}

#[derive(Debug, Clone)]
pub(super) enum LocalReplyExpect {
    No,
    Yes { details: Option<Text>, grpc_status: Option<Number> },
}

/// A part of what a stream costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CostItem {
    Hostcall(String),
    Hostcalls,
    Callbacks,
    Fuel,
    BytesIn,
    BytesOut,
    Allocations,
}

/// What must be so of the whole host.
#[derive(Debug, Clone, Default)]
pub(super) struct HostExpect {
    /// Like `cases[2].expect`.
    pub(super) path: String,
    /// How long it may take until it is so.
    pub(super) within: Duration,
    pub(super) log: Vec<LogExpect>,
    pub(super) no_log: Vec<LogExpect>,
    pub(super) metrics: Vec<(String, MetricExpect)>,
    pub(super) callouts: Option<CalloutsExpect>,
    pub(super) shared_data: Vec<(String, Option<Text>)>,
    /// Whether a VM has failed; not looked at when there is none.
    pub(super) failed: Option<bool>,
    pub(super) start_refused: Option<Text>,
}

impl HostExpect {
    /// Whether there is nothing to look at.
    pub(super) fn is_empty(&self) -> bool {
        let Self { path: _, within: _, log, no_log, metrics, callouts, shared_data, failed, start_refused } = self;
        log.is_empty()
            && no_log.is_empty()
            && metrics.is_empty()
            && callouts.is_none()
            && shared_data.is_empty()
            && failed.is_none()
            && start_refused.is_none()
    }
}

#[derive(Debug, Clone)]
pub(super) struct LogExpect {
    pub(super) level: Option<LogLevel>,
    pub(super) text: Text,
    /// At least one when there is none.
    pub(super) count: Option<Number>,
}

#[derive(Debug, Clone)]
pub(super) enum MetricExpect {
    /// A counter's or gauge's value at the end.
    Is(Number),
    /// How much a counter or gauge has grown since the case began.
    Increase(Number),
    /// How many observations a histogram has.
    Count(Number),
    Absent,
}

#[derive(Debug, Clone)]
pub(super) enum CalloutsExpect {
    Nothing,
    Some(Vec<CalloutExpect>),
}

#[derive(Debug, Clone)]
pub(super) struct CalloutExpect {
    pub(super) cluster: Option<String>,
    pub(super) message: MessageExpect,
    pub(super) count: Option<Number>,
}
