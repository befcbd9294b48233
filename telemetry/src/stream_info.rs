//! What is known about one HTTP stream between its request and its end. No heap, never cloned, and written in its place: it is hundreds of bytes,
//! of which most streams use a few.

use crate::correlation::traceparent::TraceParent;
use crate::correlation::{CorrelationId, Outcome};
use crate::method::Method;
use crate::route::{EndpointId, PlaceholderBuffer};
use crate::rule::RuleSet;
use crate::rule::probe::Probes;

/// What is known about one HTTP stream.
#[derive(Debug)]
pub struct StreamInfo {
    /// The request's method.
    pub(crate) method: Method,
    /// Its endpoint, as far as it is known before the response.
    pub(crate) endpoint: EndpointId,
    /// A placeholder label that asks for admission once the status is known; empty where there is none.
    pub(crate) placeholder: PlaceholderBuffer,
    /// The ID that the upstream, the response and the access log get.
    pub(crate) correlation_id: Option<CorrelationId>,
    /// What became of the incoming ID.
    pub(crate) outcome: Outcome,
    /// The trace that this filter started.
    pub(crate) started_trace: Option<TraceParent>,
    /// When the request headers came.
    pub(crate) start_ns: u64,
    /// The rules that may be about it.
    pub(crate) rules: RuleSet,
    /// What its path looks for, where a rule asks that.
    pub(crate) probes: Probes,
}

impl Default for StreamInfo {
    #[inline]
    fn default() -> Self {
        Self {
            method: Method::Other,
            endpoint: EndpointId::UNKNOWN,
            placeholder: PlaceholderBuffer::default(),
            correlation_id: None,
            outcome: Outcome::NotSeen,
            started_trace: None,
            start_ns: 0,
            rules: 0,
            probes: 0,
        }
    }
}

impl StreamInfo {
    /// The request's method.
    #[inline]
    #[must_use]
    pub fn method(&self) -> Method {
        self.method
    }

    /// The endpoint, as far as it is known before the response: [`EndpointId::UNKNOWN`] for a placeholder label that is not admitted yet.
    #[inline]
    #[must_use]
    pub fn endpoint(&self) -> EndpointId {
        self.endpoint
    }

    /// Whether the endpoint is decided only when the stream has ended.
    #[inline]
    #[must_use]
    pub fn endpoint_is_pending(&self) -> bool {
        !self.placeholder.is_empty()
    }

    /// The ID that the upstream, the response and the access log get; `None` where the proxy should have made one and did not, and for one that
    /// came and is shown to nobody by the filter.
    #[inline]
    #[must_use]
    pub fn correlation_id(&self) -> Option<&CorrelationId> {
        self.correlation_id.as_ref()
    }

    /// What became of the incoming ID.
    #[inline]
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// When the request headers came, in nanoseconds since 1970.
    #[inline]
    #[must_use]
    pub fn start_ns(&self) -> u64 {
        self.start_ns
    }

    /// The rules that may be about it.
    #[inline]
    #[must_use]
    pub fn rules(&self) -> RuleSet {
        self.rules
    }
}
