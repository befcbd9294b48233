//! Callouts: requests that a module sends to a cluster by itself, and what comes of them.

use std::time::Duration;

use crate::HeaderMap;

/// A callout of one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CalloutId {
    /// Which of the worker's VMs made it: numbers begin anew in each.
    pub(crate) generation: u32,
    /// The number that the module sees.
    pub(crate) token: u32,
}

/// A cluster that callouts may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// Whether it has an endpoint; a callout to one without fails at once.
    pub has_endpoint: bool,
}

/// A request that a module sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callout {
    /// To be answered with.
    pub id: CalloutId,
    /// Where it goes.
    pub cluster: String,
    /// With `:method`, `:path` and `:authority`, and a `content-length` where there is a body.
    pub headers: HeaderMap,
    /// Body.
    pub body: Vec<u8>,
    /// Trailers.
    pub trailers: HeaderMap,
    /// After which the module gets [`CalloutOutcome::timeout`]; none waits for ever.
    pub timeout: Option<Duration>,
}

impl Callout {
    /// A header's first value, where it is UTF-8.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.headers.get(name)?).ok()
    }
}

/// What the module is told of its callout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CalloutOutcome {
    /// A response.
    Response {
        /// With `:status`.
        headers: HeaderMap,
        /// Body.
        body: Vec<u8>,
        /// Trailers.
        trailers: HeaderMap,
    },
    /// There was none. Envoy makes one of its own then; by the specification there are no headers.
    NoResponse {
        /// Of Envoy's response.
        status: u16,
        /// Its body.
        text: &'static str,
    },
    /// The response broke off: no headers, no body, and `proxy_get_status` says `reset`.
    Reset,
}

impl CalloutOutcome {
    /// Nobody answered in time: the proxy's 504.
    #[must_use]
    pub fn timeout() -> Self {
        Self::NoResponse { status: 504, text: "upstream request timeout" }
    }

    /// No connection could be made: the proxy's 503.
    #[must_use]
    pub fn connection_failure() -> Self {
        Self::NoResponse {
            status: 503,
            text: "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure",
        }
    }

    /// The connection was closed before the response's headers: the proxy's 503.
    #[must_use]
    pub fn connection_termination() -> Self {
        Self::NoResponse {
            status: 503,
            text: "upstream connect error or disconnect/reset before headers. reset reason: connection termination",
        }
    }

    /// What Envoy makes of it.
    pub(crate) fn in_envoy(self) -> Self {
        let Self::NoResponse { status, text } = self else { return self };
        let headers = HeaderMap::from([
            (":status", status.to_string().as_str()),
            ("content-length", text.len().to_string().as_str()),
            ("content-type", "text/plain"),
        ]);
        Self::Response { headers, body: text.into(), trailers: HeaderMap::new() }
    }
}
