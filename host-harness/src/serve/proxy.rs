//! What all streams of one worker thread share.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::access_log::AccessLog;
use super::callouts::Callouts;
use super::counters::Counters;
use super::gate::{Direction, Interrupt};
use super::options::ServeOptions;
use super::pool::Pool;
use super::stream::Stream;
use super::trailers::Outgoing;
use crate::{ConnectionState, StreamEvent, StreamId, Worker};

/// One worker thread's part of the proxy.
#[derive(Debug)]
pub(super) struct Proxy {
    /// Borrowed only within one callback, never across an await.
    pub(super) vm: RefCell<Worker>,
    pub(super) options: Arc<ServeOptions>,
    pub(super) counters: Counters,
    pub(super) log: Option<AccessLog>,
    pub(super) pool: Rc<Pool>,
    pub(super) callouts: Callouts,
    /// Streams that are open, for what the module asks of them from other callbacks.
    pub(super) streams: RefCell<HashMap<StreamId, Weak<Stream>>>,
    /// Connections and tunnels.
    pub(super) tasks: TaskTracker,
    /// Set when requests in flight are to finish and connections to close.
    pub(super) drain: CancellationToken,
    /// Set when everything is to end now.
    pub(super) kill: CancellationToken,
}

/// A client's connection.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: u64,
    pub(super) peer: SocketAddr,
    pub(super) local: Option<SocketAddr>,
    /// Streams of this connection that have not ended.
    pub(super) open: Cell<usize>,
    /// What its streams share.
    pub(super) state: ConnectionState,
    /// Trailers of responses on their way to it over HTTP/1.
    pub(super) trailers: Outgoing,
}

impl Proxy {
    /// Hands what the module asked for to the streams and clusters concerned. To be called after every callback.
    pub(super) fn route_events(&self) {
        let events = {
            let mut vm = self.vm.borrow_mut();
            self.callouts.carry_out(&mut vm);
            vm.take_events()
        };
        for (id, event) in events {
            let stream = self.streams.borrow().get(&id).and_then(Weak::upgrade);
            let Some(stream) = stream else { continue };
            match event {
                StreamEvent::ContinueRequest => stream.gate.release(Direction::Request),
                StreamEvent::ContinueResponse => stream.gate.release(Direction::Response),
                StreamEvent::Close => stream.gate.interrupt(Interrupt::Close),
                StreamEvent::LocalReply(reply) => stream.gate.interrupt(Interrupt::Reply(reply)),
            }
        }
    }
}
