//! Bytes from the client to the server and back, through the module.

use tokio::net::TcpStream;
use tokio::time::Instant;

use super::Connection;
use super::side::{Reading, Side, Sides};
use crate::serve::stream::flags;
use crate::{ConnectionEvent, ConnectionOutcome, DataOutcome, Peer, UpstreamFacts};

/// One connection on its way.
#[derive(Debug)]
pub(super) struct Relay {
    connection: Connection,
    client: Side,
    server: Option<Side>,
    /// The client's side is not read because the server's is full.
    paused: bool,
}

/// Which socket can do what.
enum Ready {
    ReadClient,
    ReadServer,
    Write,
    Event(ConnectionEvent),
    Idle,
}

impl Relay {
    pub(super) fn new(connection: Connection, client: TcpStream) -> Self {
        Self { connection, client: Side::new(client), server: None, paused: false }
    }

    /// The connection is over, for the module too.
    pub(super) fn close(self, by: Peer) -> Sides {
        let Self { connection, client, server, .. } = self;
        connection.closed_by.set(by);
        if server.is_some() {
            connection.proxy.counters.upstream_cx_active.add(-1);
        }
        Sides { client, server }
    }

    /// Runs until the client's connection is to be closed; says who closed it.
    pub(super) async fn run(&mut self) -> Peer {
        if self.begin().await.is_none() {
            return Peer::Local;
        }
        let Some(server) = self.connect().await else { return Peer::Local };
        self.server = Some(server);
        let idle = self.connection.proxy.options.idle_timeout;
        let mut deadline = Instant::now() + idle;
        loop {
            let ready = self.ready(deadline).await;
            if !matches!(ready, Ready::Event(_) | Ready::Idle) {
                deadline = Instant::now() + idle;
            }
            if let Some(peer) = self.step(ready) {
                return peer;
            }
        }
    }

    /// Shows the module the new connection and waits until it may go on.
    async fn begin(&self) -> Option<()> {
        let Connection { proxy, id, inbox, .. } = &self.connection;
        let outcome = proxy.vm.borrow_mut().new_connection(*id);
        proxy.route_events();
        match outcome {
            ConnectionOutcome::Continue => Some(()),
            ConnectionOutcome::Close => None,
            ConnectionOutcome::Pause => match tokio::time::timeout(proxy.options.idle_timeout, inbox.event()).await {
                Ok(ConnectionEvent::Continue) => Some(()),
                Ok(ConnectionEvent::Close) => None,
                Err(_) => {
                    proxy.counters.idle_timeout.inc();
                    None
                }
            },
        }
    }

    /// Connects to the server. The client is not read meanwhile.
    async fn connect(&self) -> Option<Side> {
        let Connection { proxy, id, inbox, .. } = &self.connection;
        let options = &proxy.options;
        proxy.counters.upstream_cx_total.inc();
        let target = (options.upstream.host(), options.upstream.port());
        let closed = async {
            // Nothing is held yet that could go on.
            while inbox.event().await != ConnectionEvent::Close {}
        };
        let begun = Instant::now();
        let connected = tokio::select! {
            connected = tokio::time::timeout(options.connect_timeout, TcpStream::connect(target)) => connected,
            () = closed => return None,
        };
        let failed = match connected {
            Ok(Ok(socket)) => {
                let _ = socket.set_nodelay(true);
                if let Ok(server) = socket.peer_addr() {
                    self.connection.server.set(Some(server));
                    let upstream = UpstreamFacts {
                        address: Some(server),
                        local_address: socket.local_addr().ok(),
                        pool_ready_ns: u64::try_from(begun.elapsed().as_nanos()).ok(),
                        ..UpstreamFacts::default()
                    };
                    proxy.vm.borrow_mut().set_server(*id, upstream);
                }
                proxy.counters.upstream_cx_active.add(1);
                return Some(Side::new(socket));
            }
            Ok(Err(_)) => &proxy.counters.upstream_cx_connect_fail,
            Err(_) => &proxy.counters.upstream_cx_connect_timeout,
        };
        failed.inc();
        self.connection.flags.set(flags::CONNECTION_FAILURE | flags::RETRY_LIMIT);
        None
    }

    /// Waits for something to do.
    async fn ready(&mut self, deadline: Instant) -> Ready {
        let Some(server) = &self.server else { return Ready::Idle };
        let Connection { proxy, id, inbox, .. } = &self.connection;
        let (client_room, server_room) = {
            let vm = proxy.vm.borrow();
            (vm.wants_downstream_data(*id), vm.wants_upstream_data(*id))
        };
        let counters = &proxy.counters;
        if self.paused == server.has_room() {
            self.paused = !self.paused;
            if self.paused { counters.paused_reading_total.inc() } else { counters.resumed_reading_total.inc() }
        }
        let read_client = self.client.reading == Reading::Open && client_room && !self.paused;
        let read_server = server.reading == Reading::Open && server_room && self.client.has_room();
        tokio::select! {
            () = self.client.readable(), if read_client => Ready::ReadClient,
            () = server.readable(), if read_server => Ready::ReadServer,
            () = self.client.writable() => Ready::Write,
            () = server.writable() => Ready::Write,
            event = inbox.event() => Ready::Event(event),
            () = tokio::time::sleep_until(deadline) => Ready::Idle,
        }
    }

    /// Does it; says who closed the connection if that is over now.
    fn step(&mut self, ready: Ready) -> Option<Peer> {
        let server = self.server.as_mut()?;
        let Connection { proxy, id, received, .. } = &self.connection;
        match ready {
            Ready::ReadClient => {
                let bytes = self.client.read();
                received.set(received.get() + bytes.len() as u64);
                proxy.counters.cx_rx_bytes_total.add(bytes.len() as u64);
                let ended = self.client.reading == Reading::Ended;
                if !bytes.is_empty() || ended {
                    let outcome = proxy.vm.borrow_mut().downstream_data(*id, &bytes, ended);
                    proxy.route_events();
                    match outcome {
                        DataOutcome::Forward(bytes) => server.give(&bytes, ended),
                        DataOutcome::Hold => {}
                        DataOutcome::Close => return Some(Peer::Local),
                    }
                }
                if self.client.reading == Reading::Broken || self.client.is_over() {
                    return Some(Peer::Remote);
                }
            }
            Ready::ReadServer => {
                let bytes = server.read();
                let ended = server.reading == Reading::Ended;
                if !bytes.is_empty() || ended {
                    let outcome = proxy.vm.borrow_mut().upstream_data(*id, &bytes, ended);
                    proxy.route_events();
                    match outcome {
                        DataOutcome::Forward(bytes) => self.client.give(&bytes, ended),
                        DataOutcome::Hold => {}
                        DataOutcome::Close => return Some(Peer::Local),
                    }
                }
                if server.reading == Reading::Broken {
                    return Some(Peer::Local);
                }
            }
            Ready::Write => {}
            Ready::Event(ConnectionEvent::Continue) => {
                let bytes = proxy.vm.borrow_mut().take_held_data(*id);
                server.give(&bytes, self.client.reading == Reading::Ended);
            }
            Ready::Event(ConnectionEvent::Close) => return Some(Peer::Local),
            Ready::Idle => {
                proxy.counters.idle_timeout.inc();
                return Some(Peer::Local);
            }
        }
        self.write()
    }

    /// Writes what can be written.
    fn write(&mut self) -> Option<Peer> {
        let server = self.server.as_mut()?;
        let Connection { proxy, sent, .. } = &self.connection;
        let (to_client, to_server) = (self.client.write(), server.write());
        if let Ok(written) = to_client {
            sent.set(sent.get() + written as u64);
            proxy.counters.cx_tx_bytes_total.add(written as u64);
        }
        match (to_client, to_server) {
            (Err(_), _) => Some(Peer::Remote),
            (_, Err(_)) => Some(Peer::Local),
            _ if server.is_over() || self.client.is_over() => Some(Peer::Local),
            _ => None,
        }
    }
}
