//! What a host knows of one TCP connection: facts from the proxy, and what the module did to it.

use std::net::SocketAddr;

use crate::{Cost, UpstreamFacts};

/// A connection of one worker; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub(crate) u32);

/// What the proxy knows of a connection.
#[derive(Debug, Clone, Default)]
pub struct ConnectionFacts {
    /// The client, property `source.address`.
    pub source: Option<SocketAddr>,
    /// The local side of the client's connection, property `destination.address`.
    pub destination: Option<SocketAddr>,
    /// The server, once the connection goes to it, properties `upstream.…`; see
    /// [`Worker::set_server`](crate::Worker::set_server).
    pub upstream: Option<UpstreamFacts>,
    /// Its number, property `connection.id`.
    pub id: u64,
    /// Whether the client showed a certificate, property `connection.mtls`.
    pub mtls: bool,
    /// When it began, nanoseconds since the Unix epoch; the host's clock when 0.
    pub start_ns: u64,
    /// Further properties by path, parts joined by a zero byte, as the module reads them.
    pub properties: Vec<(String, Vec<u8>)>,
}

/// What becomes of a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionOutcome {
    /// It goes on: connect to the server.
    Continue,
    /// The module holds it: nothing is connected and nothing read until [`ConnectionEvent::Continue`].
    Pause,
    /// Close the client's connection, after what has been sent to it.
    Close,
}

/// What becomes of data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataOutcome {
    /// These bytes go on: what came as the module left it, after everything held so far.
    Forward(Vec<u8>),
    /// The host keeps the bytes, and shows them again with the next that come.
    Hold,
    /// Close the client's connection, after what has been sent to it. These bytes do not go on.
    Close,
}

/// What a module asked for outside the callback concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionEvent {
    /// A paused connection goes on, and so does what the client has sent: see
    /// [`Worker::take_held_data`](crate::Worker::take_held_data).
    Continue,
    /// Close the client's connection, after what has been sent to it.
    Close,
}

/// Who closed a connection, as callbacks are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Peer {
    /// Nobody knows.
    Unknown = 0,
    /// The proxy.
    Local = 1,
    /// The other side.
    Remote = 2,
}

/// What is left of a connection when it is over.
#[derive(Debug, Clone, Default)]
pub struct FinishedConnection {
    /// What the module set with `proxy_set_property`: names as the access log has them (`wasm.<path>`), in order.
    pub filter_state: Vec<(String, Vec<u8>)>,
    /// What the module cost.
    pub cost: Cost,
}
