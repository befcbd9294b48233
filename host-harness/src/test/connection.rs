//! A TCP connection through a host, step by step.

use std::net::SocketAddr;
use std::time::Duration;

use super::Host;
use super::events::nanoseconds;
use crate::{
    ConnectionEvent, ConnectionFacts, ConnectionId, ConnectionOutcome, Cost, DataOutcome, FinishedConnection, Peer,
    UpstreamFacts, Worker,
};

/// A connection that a client has opened to a server, with the module between them. It ends when this is dropped: the client
/// leaves.
///
/// ```
/// use host_harness::Peer;
/// use host_harness::test::Host;
///
/// // A filter that lets nothing through that begins with a zero byte.
/// let filter = r#"(module
///     (import "env" "proxy_get_buffer_bytes" (func $get (param i32 i32 i32 i32 i32) (result i32)))
///     (import "env" "proxy_close_stream" (func $close (param i32) (result i32)))
///     (memory (export "memory") 1)
///     (func (export "proxy_abi_version_0_2_1"))
///     (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
///     (func (export "proxy_on_downstream_data") (param i32 i32 i32) (result i32)
///         (drop (call $get (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 4)))
///         (if (i32.eqz (i32.load8_u (i32.const 1024))) (then (drop (call $close (i32.const 2)))))
///         (i32.const 0)))"#;
///
/// let mut host = Host::builder().module_bytes(filter).start()?;
/// let mut connection = host.connect();
/// connection.send("hello").reply("hi");
/// assert_eq!(connection.server_got(), b"hello");
/// assert_eq!(connection.client_got(), b"hi");
/// connection.send("\0");
/// let closed = connection.close();
/// assert_eq!(closed.by, Peer::Local);
/// assert_eq!(closed.server_got, b"hello");
/// # Ok::<(), host_harness::test::StartFailure>(())
/// ```
#[derive(Debug)]
pub struct Connection<'a> {
    host: &'a mut Host,
    worker: usize,
    id: ConnectionId,
    /// The module lets it go to the server.
    connected: bool,
    /// The module holds what the client sent.
    held: bool,
    client: Side,
    server: Side,
    closed: Option<Closed>,
}

/// One side of a connection.
#[derive(Debug, Default)]
struct Side {
    /// Sent, and not read by the proxy.
    unread: Vec<u8>,
    /// Nothing more will be sent, as the other side knows if the proxy has read that.
    ends: bool,
    end_read: bool,
    got: Vec<u8>,
    /// It was told that nothing more will come.
    got_end: bool,
}

/// What became of a connection.
#[derive(Debug, Clone)]
pub struct Closed {
    /// Who closed the client's connection: the proxy, or the client.
    pub by: Peer,
    /// What the server got.
    pub server_got: Vec<u8>,
    /// What the client got.
    pub client_got: Vec<u8>,
    /// What the module set with `proxy_set_property`: names with `wasm.`, in order.
    pub filter_state: Vec<(String, Vec<u8>)>,
    /// What the module cost.
    pub cost: Cost,
}

/// How long data that the module holds is waited for: as an exchange does.
const IDLE: Duration = Duration::from_secs(300);

impl Host {
    /// Opens a TCP connection from a client to a server; workers take turns.
    pub fn connect(&mut self) -> Connection<'_> {
        let facts = ConnectionFacts {
            source: Some(SocketAddr::from(([127, 0, 0, 1], 40_000))),
            destination: Some(SocketAddr::from(([127, 0, 0, 1], 10_000))),
            ..ConnectionFacts::default()
        };
        let worker = self.next;
        self.next = (self.next + 1) % self.workers.len().max(1);
        self.connect_on(worker, facts)
    }

    /// The same on one worker, of a client of which this is known. Without a number it gets one of its own.
    ///
    /// # Panics
    ///
    /// When there is no worker of this number.
    pub fn connect_on(&mut self, worker: usize, mut facts: ConnectionFacts) -> Connection<'_> {
        self.connections += 1;
        if facts.id == 0 {
            facts.id = self.connections;
        }
        let id = self.worker(worker).open_connection(facts);
        let outcome = self.worker(worker).new_connection(id);
        let mut connection = Connection {
            host: self,
            worker,
            id,
            connected: false,
            held: false,
            client: Side::default(),
            server: Side::default(),
            closed: None,
        };
        match outcome {
            ConnectionOutcome::Continue => connection.arrive(),
            ConnectionOutcome::Pause => {}
            ConnectionOutcome::Close => connection.end(Peer::Local),
        }
        connection.run();
        connection
    }
}

impl Connection<'_> {
    /// The client sends this. While the module holds it, time passes until the answers to callouts come that it may wait for.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.client.unread.extend_from_slice(bytes.as_ref());
        self.run();
        self
    }

    /// The client sends nothing more, and says so.
    pub fn send_end(&mut self) -> &mut Self {
        self.client.ends = true;
        self.run();
        self
    }

    /// The server sends this.
    pub fn reply(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.server.unread.extend_from_slice(bytes.as_ref());
        self.run();
        self
    }

    /// The server sends nothing more, and says so.
    pub fn reply_end(&mut self) -> &mut Self {
        self.server.ends = true;
        self.run();
        self
    }

    /// The server breaks the connection off.
    pub fn server_resets(&mut self) -> &mut Self {
        self.end(Peer::Local);
        self
    }

    /// What the server got so far.
    pub fn server_got(&mut self) -> &[u8] {
        self.run();
        &self.server.got
    }

    /// What the client got so far.
    pub fn client_got(&mut self) -> &[u8] {
        self.run();
        &self.client.got
    }

    /// Whether the server was told that the client sends nothing more.
    pub fn server_got_end(&mut self) -> bool {
        self.run();
        self.server.got_end
    }

    /// Whether the client was told that the server sends nothing more.
    pub fn client_got_end(&mut self) -> bool {
        self.run();
        self.client.got_end
    }

    /// Whether the module holds the new connection or what the client sent.
    pub fn is_paused(&mut self) -> bool {
        self.run();
        self.closed.is_none() && (self.held || !self.connected)
    }

    /// Whether the client's connection is open.
    pub fn is_open(&mut self) -> bool {
        self.run();
        self.closed.is_none()
    }

    /// Moves time on, with each tick and each answer to a callout when it is due.
    pub fn advance(&mut self, time: Duration) -> &mut Self {
        self.host.advance(time);
        self.run();
        self
    }

    /// The host, to look at or to move on while the connection is open.
    pub fn host(&mut self) -> &mut Host {
        self.host
    }

    /// Its number on its worker, for [`Host::worker`].
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// The client leaves, if the connection is still open. Says what became of it.
    pub fn close(mut self) -> Closed {
        self.end(Peer::Remote);
        let closed = self.closed.take();
        closed.unwrap_or_else(|| Closed {
            by: Peer::Unknown,
            server_got: Vec::new(),
            client_got: Vec::new(),
            filter_state: Vec::new(),
            cost: Cost::default(),
        })
    }

    fn worker(&mut self) -> &mut Worker {
        self.host.worker(self.worker)
    }

    /// The server is there.
    fn arrive(&mut self) {
        self.connected = true;
        let id = self.id;
        let address = Some(SocketAddr::from(([127, 0, 0, 1], 20_000)));
        self.worker().set_server(id, UpstreamFacts { address, ..UpstreamFacts::default() });
    }

    /// Takes everything as far as it goes.
    fn run(&mut self) {
        self.host.haste = 0;
        let until = self.host.now_ns().saturating_add(nanoseconds(IDLE));
        loop {
            self.host.settle();
            self.take_events();
            if self.closed.is_some() {
                return;
            }
            let moved = self.connected && (self.read_client() | self.read_server());
            let waits = self.closed.is_none() && (self.held || !self.connected);
            if !(moved || waits && self.host.owes() && self.host.run_next(until)) {
                return;
            }
        }
    }

    fn take_events(&mut self) {
        let id = self.id;
        for event in self.worker().take_events_of(id) {
            match event {
                _ if self.closed.is_some() => {}
                ConnectionEvent::Continue if self.connected => {
                    let bytes = self.worker().take_held_data(id);
                    self.held = false;
                    self.server.got.extend(bytes);
                    self.server.got_end |= self.client.end_read;
                    self.both_ended();
                }
                ConnectionEvent::Continue => self.arrive(),
                ConnectionEvent::Close => self.end(Peer::Local),
            }
        }
    }

    /// Reads what the client sent, if the proxy would; says whether it did.
    fn read_client(&mut self) -> bool {
        let id = self.id;
        let room = self.worker().wants_downstream_data(id);
        let Some((bytes, end)) = self.client.next(room) else { return false };
        match self.worker().downstream_data(id, &bytes, end) {
            DataOutcome::Forward(bytes) => {
                self.held = false;
                self.server.got.extend(bytes);
                self.server.got_end |= end;
            }
            DataOutcome::Hold => self.held = true,
            DataOutcome::Close => self.end(Peer::Local),
        }
        if end && self.client.got_end {
            self.end(Peer::Remote);
        }
        self.both_ended();
        true
    }

    /// The same of the server.
    fn read_server(&mut self) -> bool {
        let id = self.id;
        let room = self.worker().wants_upstream_data(id);
        let Some((bytes, end)) = self.server.next(room) else { return false };
        match self.worker().upstream_data(id, &bytes, end) {
            DataOutcome::Forward(bytes) => {
                self.client.got.extend(bytes);
                self.client.got_end |= end;
            }
            DataOutcome::Hold => {}
            DataOutcome::Close => self.end(Peer::Local),
        }
        self.both_ended();
        true
    }

    /// Closes the connection when the server's is over both ways.
    fn both_ended(&mut self) {
        if self.server.end_read && self.server.got_end {
            self.end(Peer::Local);
        }
    }

    /// The client's connection is closed, if it was not before.
    fn end(&mut self, by: Peer) {
        if self.closed.is_some() {
            return;
        }
        let id = self.id;
        let FinishedConnection { filter_state, cost } = self.worker().close_connection(id, by);
        let (server_got, client_got) = (self.server.got.clone(), self.client.got.clone());
        self.closed = Some(Closed { by, server_got, client_got, filter_state, cost });
        self.host.settle();
    }
}

impl Side {
    /// What the proxy reads next: everything, and the end with it.
    fn next(&mut self, room: bool) -> Option<(Vec<u8>, bool)> {
        let end = self.ends && !self.end_read;
        if !room || self.end_read || (self.unread.is_empty() && !end) {
            return None;
        }
        self.end_read = end;
        Some((std::mem::take(&mut self.unread), end))
    }
}

impl Closed {
    /// Filter state by its name with `wasm.`, where it is UTF-8.
    #[must_use]
    pub fn filter_state(&self, name: &str) -> Option<&str> {
        let (_, value) = self.filter_state.iter().find(|(known, _)| known == name)?;
        std::str::from_utf8(value).ok()
    }
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        // A panic of the module's host while another is on its way would hide the first.
        if !std::thread::panicking() {
            self.end(Peer::Remote);
        }
    }
}
