//! gRPC callouts: calls and streams that a module opens by itself, and what comes of them.

pub(crate) mod response;
pub(crate) mod service;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;

use crate::HeaderMap;

/// A gRPC callout of one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GrpcId {
    /// Which of the worker's VMs opened it: numbers begin anew in each.
    pub(crate) generation: u32,
    /// The number that the module sees.
    pub(crate) token: u32,
}

impl GrpcId {
    /// Whether it is a stream; else it is a call, which has one message each way.
    #[must_use]
    pub const fn is_stream(self) -> bool {
        self.token & 3 == 2
    }
}

/// A gRPC callout that a module opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcCallout {
    /// To be named by everything that follows.
    pub id: GrpcId,
    /// Where it goes.
    pub cluster: String,
    /// The request's headers: `:path` has service and method, and the initial metadata is among them.
    pub headers: HeaderMap,
    /// After which a call ends with [`GrpcEvent::Timeout`]; none waits for ever, as a stream does.
    pub timeout: Option<Duration>,
}

impl GrpcCallout {
    /// A header's first value, where it is UTF-8.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.headers.get(name)?).ok()
    }
}

/// What a module does with its gRPC callouts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrpcCommand {
    /// It opens one.
    Open(GrpcCallout),
    /// It sends a message; a call does so once, when it is opened.
    Send {
        /// On which one.
        id: GrpcId,
        /// The message with the five bytes before it. It counts against what a VM may send ahead until it is dropped.
        frame: Bytes,
        /// Nothing follows.
        end: bool,
    },
    /// It sends nothing any more.
    Close(GrpcId),
    /// It wants to hear nothing any more: the stream is to be reset.
    Cancel(GrpcId),
}

impl GrpcCommand {
    /// Which callout it is about.
    pub(crate) fn id_mut(&mut self) -> &mut GrpcId {
        match self {
            Self::Open(GrpcCallout { id, .. }) | Self::Send { id, .. } | Self::Close(id) | Self::Cancel(id) => id,
        }
    }
}

/// What comes back to a gRPC callout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrpcEvent {
    /// The response's headers, with `:status`.
    Headers {
        /// The headers.
        headers: HeaderMap,
        /// Nothing follows.
        end: bool,
    },
    /// Bytes of the response's body, cut in whatever way.
    Data(Bytes),
    /// The response's trailers, which end it.
    Trailers(HeaderMap),
    /// The response has ended without trailers.
    End,
    /// The proxy has waited for as long as the call may take.
    Timeout,
    /// It was broken off, or never began.
    Reset(GrpcReset),
}

/// Why there is no response, or no more of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrpcReset {
    /// No connection could be made.
    ConnectionFailure,
    /// The connection was closed.
    ConnectionTermination,
    /// The upstream reset the stream.
    RemoteReset,
    /// What was to be sent, or what came, is not HTTP.
    ProtocolError,
    /// There are as many requests as there may be.
    Overflow,
}
