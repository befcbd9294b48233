//! One thread's VM and the streams that run through it.

mod callouts;
mod connections;
mod grpc;
mod lifecycle;
mod reload;
mod streams;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use crate::module::ModuleError;
use crate::vm::Vm;
use crate::vm::state::{Action, Root};
use crate::{ConnectionEvent, ConnectionId, FailurePolicy, HeaderMap, LocalReply, Shared, StreamEvent, StreamId};

/// Which of a proxy's threads a VM belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// A throw-away VM that only tries the configuration.
    Canary,
    /// The main thread: ticks, but sees no stream.
    Main,
    /// A worker, by its number.
    Worker(u32),
}

impl Role {
    /// A number of its own.
    pub(crate) fn number(self) -> u64 {
        match self {
            Self::Canary => 0,
            Self::Main => 1,
            Self::Worker(number) => u64::from(number) + 2,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Canary => f.write_str("canary"),
            Self::Main => f.write_str("main"),
            Self::Worker(number) => write!(f, "worker{number}"),
        }
    }
}

/// Why a plugin did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The module cannot be loaded.
    #[error(transparent)]
    Module(#[from] ModuleError),
    /// The host cannot link it.
    #[error("{0}")]
    Link(String),
    /// It trapped.
    #[error("{message}")]
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
    /// They go on, as [`Worker::request_map`] and its likes have them now.
    Continue,
    /// The module holds the stream; wait for [`StreamEvent`]s.
    Pause,
    /// This goes to the client, nothing more to the upstream.
    LocalReply(LocalReply),
    /// Reset the stream.
    Close,
}

/// What becomes of a piece of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyOutcome {
    /// These bytes go on: the piece as the module left it, after everything held so far.
    Forward(Vec<u8>),
    /// The host keeps the bytes until the module lets them go; see [`Worker::take_held_request_body`].
    Hold,
    /// This goes to the client.
    LocalReply(LocalReply),
    /// Reset the stream.
    Close,
}

/// One thread's VM with a plugin in it.
///
/// A proxy has one on its main thread and one on each worker thread. Streams go through a worker's: open it, hand over
/// headers, bodies and trailers as they come, and finish it. What the module did to them is in the answers and in the maps.
/// TCP connections go through it likewise, with their data.
#[derive(Debug)]
pub struct Worker {
    shared: Arc<Shared>,
    vm: Vm,
    /// The root context that new streams belong to.
    root: u32,
    policy: FailurePolicy,
    reload: reload::Reload,
    events: Vec<(StreamId, StreamEvent)>,
    connection_events: Vec<(ConnectionId, ConnectionEvent)>,
}

/// What hostcalls asked for a stream or a connection.
#[derive(Debug, Default)]
struct Asked {
    continue_request: bool,
    continue_response: bool,
    continue_downstream: bool,
    close: bool,
    reply: Option<Box<LocalReply>>,
}

/// A stream or a connection that begins.
struct NewContext {
    id: u32,
    root: u32,
    /// The VM has failed, and the plugin fails open.
    bypass: bool,
    now_ns: u64,
}

impl Worker {
    /// Request headers as they are now.
    #[must_use]
    pub fn request_map(&self, stream: StreamId) -> &HeaderMap {
        self.map(stream, 0)
    }

    /// Request trailers as they are now.
    #[must_use]
    pub fn request_trailers_map(&self, stream: StreamId) -> &HeaderMap {
        self.map(stream, 1)
    }

    /// Response headers as they are now.
    #[must_use]
    pub fn response_map(&self, stream: StreamId) -> &HeaderMap {
        self.map(stream, 2)
    }

    /// Response trailers as they are now.
    #[must_use]
    pub fn response_trailers_map(&self, stream: StreamId) -> &HeaderMap {
        self.map(stream, 3)
    }

    fn map(&self, stream: StreamId, index: usize) -> &HeaderMap {
        static NONE: HeaderMap = HeaderMap::EMPTY;
        let stream = self.vm.state().streams.get(&stream.0);
        stream.and_then(|stream| stream.maps.get(index)).map_or(&NONE, |slot| &slot.map)
    }

    /// Whether the module has a request body callback; if not, bodies need not pass through here.
    #[must_use]
    pub fn sees_request_body(&self) -> bool {
        self.vm.exports.request_body.is_some()
    }

    /// Whether the module has a response body callback.
    #[must_use]
    pub fn sees_response_body(&self) -> bool {
        self.vm.exports.response_body.is_some()
    }

    /// Whether the module has a request trailers callback.
    #[must_use]
    pub fn sees_request_trailers(&self) -> bool {
        self.vm.exports.request_trailers.is_some()
    }

    /// Whether the module has a response trailers callback.
    #[must_use]
    pub fn sees_response_trailers(&self) -> bool {
        self.vm.exports.response_trailers.is_some()
    }

    /// What the module asked for since the last call, outside the callback concerned: a stream's, or a root's acting on one.
    pub fn take_events(&mut self) -> Vec<(StreamId, StreamEvent)> {
        std::mem::take(&mut self.events)
    }

    /// Why the VM has failed, if it has.
    #[must_use]
    pub fn failed(&self) -> Option<&str> {
        self.vm.failure()
    }

    /// How many streams are open.
    #[must_use]
    pub fn open_streams(&self) -> usize {
        self.vm.state().streams.len()
    }

    /// Bytes of the module's memory.
    #[must_use]
    pub fn memory_size(&self) -> usize {
        self.vm.memory_size()
    }

    /// What the module has cost outside streams: root contexts' callbacks.
    #[must_use]
    pub fn root_cost(&self) -> crate::Cost {
        self.vm.state().roots.iter().fold(crate::Cost::default(), |mut sum, root| {
            sum.add(&root.cost);
            sum
        })
    }

    /// What all VMs share.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Begins a stream or a connection. A fresh VM takes over first, if one is due.
    fn new_context(&mut self) -> NewContext {
        self.reload_if_due();
        let bypass = self.vm.failure().is_some() && self.policy == FailurePolicy::FailOpen;
        let root = self.root;
        let state = self.vm.state_mut();
        let id = state.new_context_id();
        if let Some(root) = state.root_mut(root) {
            root.streams += 1;
        }
        NewContext { id, root, bypass, now_ns: self.shared.clock().now_ns() }
    }

    /// Carries out what hostcalls asked for: what concerns `own` is returned, everything else happens here.
    fn settle(&mut self, own: u32) -> Asked {
        let mut mine = Asked::default();
        while !self.vm.state().actions.is_empty() {
            let actions = std::mem::take(&mut self.vm.state_mut().actions);
            for (id, action) in actions {
                let state = self.vm.state_mut();
                if let Some(stream) = state.streams.get_mut(&id) {
                    stream.asked = [false; 3];
                } else if let Some(connection) = state.connections.get_mut(&id) {
                    connection.asked = [false; 2];
                }
                match action {
                    Action::Done => self.delete_root(id),
                    Action::Continue(crate::abi::StreamType::Request) if id == own => mine.continue_request = true,
                    Action::Continue(crate::abi::StreamType::Downstream) if id == own => {
                        mine.continue_downstream = true
                    }
                    Action::Continue(_) if id == own => mine.continue_response = true,
                    Action::Close if id == own => mine.close = true,
                    Action::LocalReply(reply) if id == own => mine.reply = mine.reply.or(Some(reply)),
                    action => self.act_on_other(id, action),
                }
            }
        }
        mine
    }

    /// Acts on a stream or a connection from another context's callback.
    fn act_on_other(&mut self, id: u32, action: Action) {
        if self.connection_mut(id).is_some() {
            return self.act_on_connection(id, &action);
        }
        let Some(stream) = self.vm.state_mut().streams.get_mut(&id) else {
            return;
        };
        let direction = |stream: crate::abi::StreamType| usize::from(stream != crate::abi::StreamType::Request);
        let event = match action {
            Action::Continue(stream_type) => {
                let Some(paused) = stream.paused.get_mut(direction(stream_type)) else {
                    return;
                };
                if !std::mem::take(paused) {
                    return;
                }
                if stream_type == crate::abi::StreamType::Request {
                    StreamEvent::ContinueRequest
                } else {
                    stream.response_started = true;
                    StreamEvent::ContinueResponse
                }
            }
            Action::Close => StreamEvent::Close,
            Action::LocalReply(reply) if stream.response_started => {
                stream.reset_details = Some(reply.details);
                StreamEvent::Close
            }
            Action::LocalReply(reply) if stream.has_response() => {
                self.store_reply(id, &reply);
                StreamEvent::LocalReply(*reply)
            }
            Action::LocalReply(reply) => StreamEvent::LocalReply(self.deliver(id, *reply)),
            Action::Done => return,
        };
        self.events.push((StreamId(id), event));
    }

    fn root_of(&mut self, id: u32) -> Option<&mut Root> {
        self.vm.state_mut().root_mut(id)
    }
}
