//! What a host knows of one HTTP stream: facts from the proxy, and what the module did to it.

use std::net::SocketAddr;

use crate::{ConnectionState, Cost, HeaderMap};

/// A stream of one worker; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub(crate) u32);

/// What the proxy knows when a stream begins.
#[derive(Debug, Clone, Default)]
pub struct StreamFacts {
    /// The client, property `source.address`.
    pub source: Option<SocketAddr>,
    /// The local side of the client's connection, property `destination.address`.
    pub destination: Option<SocketAddr>,
    /// Number of the client's connection, property `connection.id`.
    pub connection_id: u64,
    /// Whether the client showed a certificate, property `connection.mtls`.
    pub mtls: bool,
    /// `HTTP/1.1` and the like, property `request.protocol`.
    pub protocol: &'static str,
    /// When the request began, nanoseconds since the Unix epoch; the host's clock when 0.
    pub start_ns: u64,
    /// What the streams of the client's connection share.
    pub connection_state: ConnectionState,
    /// Further properties by path, parts joined by a zero byte, as the module reads them.
    pub properties: Vec<(String, Vec<u8>)>,
}

/// What the proxy knows of where a stream or connection goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpstreamFacts {
    /// The host of the cluster, properties `upstream.address` and `upstream.port`.
    pub address: Option<SocketAddr>,
    /// The proxy's side of the connection to it, property `upstream.local_address`.
    pub local_address: Option<SocketAddr>,
    /// Why there was no connection to it, property `upstream.transport_failure_reason`.
    pub transport_failure_reason: String,
    /// How long the request waited for the connection, property `upstream.cx_pool_ready_duration`.
    pub pool_ready_ns: Option<u64>,
}

impl UpstreamFacts {
    /// Whether there is a connection, of which the proxy knows its side.
    pub(crate) fn is_connected(&self) -> bool {
        self.local_address.is_some()
    }
}

/// What the proxy knows when a stream has ended.
#[derive(Debug, Clone, Default)]
pub struct StreamEnd {
    /// The status that the client got, property `response.code`; none when it left before there was one.
    pub code: Option<u16>,
    /// Property `response.code_details`.
    pub details: String,
    /// Envoy's bit mask of response flags, property `response.flags`.
    pub flags: u64,
    /// From the first byte of the request to the last of the response, property `request.duration`; the host's clock when
    /// `None`.
    pub duration_ns: Option<u64>,
    /// Bytes of the request's body, property `request.size`.
    pub request_size: u64,
    /// Bytes of the response's body, property `response.size`.
    pub response_size: u64,
    /// Property `upstream.address`, where [`Worker::set_upstream`](crate::Worker::set_upstream) has not said it.
    pub upstream: Option<SocketAddr>,
    /// Request headers of a stream that the module never saw (refused before the filters), for the log phase.
    pub request_headers: Option<HeaderMap>,
    /// Response headers of such a stream.
    pub response_headers: Option<HeaderMap>,
}

/// What is left of a stream when it is over.
#[derive(Debug, Clone, Default)]
pub struct FinishedStream {
    /// What the module set with `proxy_set_property`, and as filter state of the proxy's own: names as the access log has them
    /// (`wasm.<path>`), in order; last, what lives as long as the connection.
    pub filter_state: Vec<(String, Vec<u8>)>,
    /// Request headers as they went upstream.
    pub request_headers: HeaderMap,
    /// Response headers as the client got them.
    pub response_headers: HeaderMap,
    /// What the module cost.
    pub cost: Cost,
}

impl FinishedStream {
    /// The value of filter state `name`, given with its `wasm.`.
    #[must_use]
    pub fn filter_state(&self, name: &str) -> Option<&[u8]> {
        self.filter_state.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice())
    }
}

/// A response that the module, or the host on its behalf, gives instead of the upstream's.
///
/// The module has seen its headers and body already, in the response callbacks: it goes to the client as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocalReply {
    /// Headers with `:status`.
    pub headers: HeaderMap,
    /// Body.
    pub body: Vec<u8>,
    /// For the access log's response code details.
    pub details: String,
}

impl LocalReply {
    /// The `:status`, 503 when it is not a number.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.headers
            .get(":status")
            .and_then(|value| std::str::from_utf8(value).ok())
            .and_then(|value| value.parse().ok())
            .unwrap_or(503)
    }
}

/// What a module asked for outside the callback of the direction that it concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamEvent {
    /// A paused request goes on.
    ContinueRequest,
    /// A paused response goes on.
    ContinueResponse,
    /// Reset the stream.
    Close,
    /// Answer with this.
    LocalReply(LocalReply),
}
