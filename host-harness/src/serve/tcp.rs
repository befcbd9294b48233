//! The TCP proxy: the module as a network filter between each client and the server.

mod counters;
mod relay;
mod side;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) use counters::TcpCounters;
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::access_log::{AccessLog, add_filter_state, timestamp};
use super::callouts::Callouts;
use super::options::ServeOptions;
use super::proxy::Client;
use super::stream::flags;
use crate::{ConnectionEvent, ConnectionFacts, ConnectionId, FinishedConnection, Peer, Worker};
use relay::Relay;

/// How long what was already sent to a side may take to get there once the connection is closed.
const FLUSH_WITHIN: Duration = Duration::from_secs(1);

/// One worker thread's part of the proxy.
#[derive(Debug)]
pub(super) struct TcpProxy {
    /// Borrowed only within one callback, never across an await.
    pub(super) vm: RefCell<Worker>,
    pub(super) options: Arc<ServeOptions>,
    pub(super) counters: TcpCounters,
    pub(super) log: Option<AccessLog>,
    pub(super) callouts: Callouts,
    /// Connections that are open, for what the module asks of them from other callbacks.
    pub(super) connections: RefCell<HashMap<ConnectionId, Rc<Inbox>>>,
    pub(super) tasks: TaskTracker,
    /// Set when everything is to end now.
    pub(super) kill: CancellationToken,
}

/// What the module asked of a connection outside its callbacks.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    proceed: Cell<bool>,
    close: Cell<bool>,
    wake: Notify,
}

impl Inbox {
    fn put(&self, event: ConnectionEvent) {
        match event {
            ConnectionEvent::Continue => self.proceed.set(true),
            ConnectionEvent::Close => self.close.set(true),
        }
        self.wake.notify_one();
    }

    /// Returns when there is something to do, with what it is.
    async fn event(&self) -> ConnectionEvent {
        loop {
            if self.proceed.take() {
                return ConnectionEvent::Continue;
            }
            if self.close.get() {
                return ConnectionEvent::Close;
            }
            self.wake.notified().await;
        }
    }
}

impl TcpProxy {
    /// Hands what the module asked for to the connections and clusters concerned. To be called after every callback.
    pub(super) fn route_events(&self) {
        let events = {
            let mut vm = self.vm.borrow_mut();
            self.callouts.carry_out(&mut vm);
            vm.take_connection_events()
        };
        let connections = self.connections.borrow();
        for (id, event) in events {
            if let Some(inbox) = connections.get(&id) {
                inbox.put(event);
            }
        }
    }
}

/// One connection. It ends, for the module and in the counters, when this is dropped.
#[derive(Debug)]
struct Connection {
    proxy: Rc<TcpProxy>,
    id: ConnectionId,
    client: SocketAddr,
    inbox: Rc<Inbox>,
    started: Instant,
    start_ns: u64,
    closed_by: Cell<Peer>,
    flags: Cell<u64>,
    server: Cell<Option<SocketAddr>>,
    /// Bytes from the client, and to it.
    received: Cell<u64>,
    sent: Cell<u64>,
}

impl Connection {
    fn open(proxy: &Rc<TcpProxy>, client: &Client) -> Self {
        proxy.counters.cx_total.inc();
        proxy.counters.listener_total.inc();
        proxy.counters.listener_active.add(1);
        let mut vm = proxy.vm.borrow_mut();
        let start_ns = vm.shared().clock().now_ns();
        let id = vm.open_connection(ConnectionFacts {
            source: Some(client.peer),
            destination: client.local,
            id: client.id,
            start_ns,
            ..ConnectionFacts::default()
        });
        let inbox = Rc::<Inbox>::default();
        proxy.connections.borrow_mut().insert(id, Rc::clone(&inbox));
        Self {
            proxy: Rc::clone(proxy),
            id,
            client: client.peer,
            inbox,
            started: Instant::now(),
            start_ns,
            closed_by: Cell::new(Peer::Local),
            flags: Cell::default(),
            server: Cell::default(),
            received: Cell::default(),
            sent: Cell::default(),
        }
    }

    /// A line for the access log.
    fn line(&self, finished: &FinishedConnection) -> Value {
        let mut line = Map::new();
        line.insert(String::from("timestamp"), json!(timestamp(self.start_ns)));
        add_filter_state(&mut line, &finished.filter_state);
        let duration = self.started.elapsed();
        let fields = [
            ("protocol", json!("TCP")),
            ("flags", json!(flags::text(self.flags.get()))),
            ("duration_ms", json!(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))),
            ("bytes_received", json!(self.received.get())),
            ("bytes_sent", json!(self.sent.get())),
            ("upstream", json!(self.server.get())),
            ("client", json!(self.client.ip())),
        ];
        line.extend(fields.map(|(name, value)| (String::from(name), value)));
        Value::Object(line)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let proxy = &self.proxy;
        let finished = proxy.vm.borrow_mut().close_connection(self.id, self.closed_by.get());
        proxy.connections.borrow_mut().remove(&self.id);
        if let Some(log) = &proxy.log {
            log.append(&self.line(&finished));
        }
        proxy.counters.listener_active.add(-1);
        proxy.counters.listener_destroy.inc();
        proxy.route_events();
    }
}

/// Serves one connection to its end.
pub(super) async fn serve(proxy: Rc<TcpProxy>, socket: TcpStream, client: Client) {
    let mut relay = Relay::new(Connection::open(&proxy, &client), socket);
    let peer = tokio::select! {
        peer = relay.run() => peer,
        () = proxy.kill.cancelled() => Peer::Local,
    };
    let mut sides = relay.close(peer);
    // What the module let go on still gets there, if it can at once.
    let flushed = tokio::time::timeout(FLUSH_WITHIN, sides.flush(peer));
    tokio::select! {
        _ = flushed => {}
        () = proxy.kill.cancelled() => {}
    }
}
