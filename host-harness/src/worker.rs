//! One thread's VM and the streams that run through it.

use std::sync::Arc;
use crate::{FinishedStream, HeaderMap, LocalReply, Module, PluginConfig, Shared, StreamEnd, StreamEvent, StreamFacts, StreamId};

/// Which of a proxy's threads a VM belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// The main thread: ticks, but sees no stream.
    Main,
    /// A worker, by its number.
    Worker(u32),
}

/// Why a plugin did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The host cannot link it.
    #[error("{0}")]
    Link(String),
    /// It trapped.
    #[error("{callback} failed: {message}")]
    Trap {
        /// Where.
        callback: &'static str,
        /// The trap and the module's backtrace.
        message: String,
    },
    /// `proxy_on_vm_start` or `proxy_on_configure` answered false.
    #[error("{callback} refused{}", if log.is_empty() { String::new() } else { format!(":\n{}", log.join("\n")) })]
    Refused {
        /// Which callback.
        callback: &'static str,
        /// What the module logged in it at warn or above.
        log: Vec<String>,
    },
}

/// What becomes of headers or trailers that the module saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadersOutcome {
    /// They go on, as `Worker::request_map` or `response_map` has them now.
    Continue,
    /// The module holds the stream; wait for [`StreamEvent`]s.
    Pause,
    /// This goes to the client, nothing to the upstream.
    LocalReply(LocalReply),
    /// Reset the stream.
    Close,
}

/// What becomes of a piece of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyOutcome {
    /// These bytes go on: the piece, or everything held so far.
    Forward(Vec<u8>),
    /// The host keeps the bytes until the module lets them go.
    Hold,
    /// This goes to the client.
    LocalReply(LocalReply),
    /// Reset the stream.
    Close,
}

/// One thread's VM with a plugin in it.
#[derive(Debug)]
pub struct Worker {
    shared: Arc<Shared>,
}

#[allow(unused_variables, clippy::missing_errors_doc, clippy::todo, reason = "being filled")]
impl Worker {
    /// Starts the plugin in a fresh VM.
    pub fn start(module: &Module, plugin: &PluginConfig, shared: &Arc<Shared>, role: Role) -> Result<Self, StartError> { todo!() }
    /// Starts the plugin in a throw-away VM to see whether it would.
    pub fn canary(module: &Module, plugin: &PluginConfig, shared: &Arc<Shared>) -> Result<(), StartError> { todo!() }
    /// Replaces the configuration: new streams get the new one; the old root context ends after its last stream.
    /// On an error the old one stays.
    pub fn reconfigure(&mut self, plugin: &PluginConfig) -> Result<(), StartError> { todo!() }
    /// Opens a stream. The module hears of it with the first callback.
    pub fn open_stream(&mut self, facts: StreamFacts) -> StreamId { todo!() }
    /// The request's headers with `:method`, `:scheme`, `:authority`, `:path` in front.
    pub fn request_headers(&mut self, stream: StreamId, headers: HeaderMap, end_of_stream: bool) -> HeadersOutcome { todo!() }
    /// A piece of the request's body.
    pub fn request_body(&mut self, stream: StreamId, chunk: &[u8], end_of_stream: bool) -> BodyOutcome { todo!() }
    /// The request's trailers.
    pub fn request_trailers(&mut self, stream: StreamId, trailers: HeaderMap) -> HeadersOutcome { todo!() }
    /// The response's headers with `:status` in front; also for the proxy's own replies.
    pub fn response_headers(&mut self, stream: StreamId, headers: HeaderMap, end_of_stream: bool) -> HeadersOutcome { todo!() }
    /// A piece of the response's body.
    pub fn response_body(&mut self, stream: StreamId, chunk: &[u8], end_of_stream: bool) -> BodyOutcome { todo!() }
    /// The response's trailers.
    pub fn response_trailers(&mut self, stream: StreamId, trailers: HeaderMap) -> HeadersOutcome { todo!() }
    /// The stream is over: log, done, delete.
    pub fn finish(&mut self, stream: StreamId, end: StreamEnd) -> FinishedStream { todo!() }
    /// Request headers as they are now.
    pub fn request_map(&self, stream: StreamId) -> &HeaderMap { todo!() }
    /// Request trailers as they are now.
    pub fn request_trailers_map(&self, stream: StreamId) -> &HeaderMap { todo!() }
    /// Response headers as they are now.
    pub fn response_map(&self, stream: StreamId) -> &HeaderMap { todo!() }
    /// Response trailers as they are now.
    pub fn response_trailers_map(&self, stream: StreamId) -> &HeaderMap { todo!() }
    /// Whether the module has a request body callback; if not, bodies need not pass through here.
    pub fn sees_request_body(&self) -> bool { todo!() }
    /// Whether the module has a response body callback.
    pub fn sees_response_body(&self) -> bool { todo!() }
    /// Whether the module has a request trailers callback.
    pub fn sees_request_trailers(&self) -> bool { todo!() }
    /// Whether the module has a response trailers callback.
    pub fn sees_response_trailers(&self) -> bool { todo!() }
    /// What the module asked for since the last call, outside the callback concerned.
    pub fn take_events(&mut self) -> Vec<(StreamId, StreamEvent)> { todo!() }
    /// When the next tick is due, nanoseconds since the Unix epoch by the host's clock.
    pub fn next_tick_ns(&self) -> Option<u64> { todo!() }
    /// Runs the ticks that are due.
    pub fn run_due_ticks(&mut self) { todo!() }
    /// Whether the VM has failed.
    pub fn failed(&self) -> Option<&str> { todo!() }
    /// Streams that are open.
    pub fn open_streams(&self) -> usize { todo!() }
    /// Ends the root contexts: done and delete. A root that answers false gets ticks until it calls `proxy_done`.
    /// Says whether all have ended.
    pub fn shutdown(&mut self) -> bool { todo!() }
    /// What all VMs share.
    pub fn shared(&self) -> &Arc<Shared> { &self.shared }
}
