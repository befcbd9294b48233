//! TCP connections: the order of callbacks, and what their answers and hostcalls do to the connection.

use super::{NewContext, Worker};
use crate::abi::StreamType;
use crate::vm::state::{Action, Connection};
use crate::{
    ConnectionEvent, ConnectionFacts, ConnectionId, ConnectionOutcome, DataOutcome, FinishedConnection, Peer,
    UpstreamFacts,
};

/// One way through the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    /// From the client.
    Downstream,
    /// From the server.
    Upstream,
}

impl Worker {
    /// Opens a connection. The module hears of it with [`Self::new_connection`].
    pub fn open_connection(&mut self, mut facts: ConnectionFacts) -> ConnectionId {
        let NewContext { id, root, bypass, now_ns } = self.new_context();
        if facts.start_ns == 0 {
            facts.start_ns = now_ns;
        }
        let connection = Connection { root, facts, bypass, ..Connection::default() };
        self.vm.state_mut().connections.insert(id, Box::new(connection));
        ConnectionId(id)
    }

    /// A client has connected; nothing has been read and nothing connected to yet.
    pub fn new_connection(&mut self, connection: ConnectionId) -> ConnectionOutcome {
        let ConnectionId(id) = connection;
        let Some(connection) = self.connection_mut(id) else {
            return ConnectionOutcome::Close;
        };
        if connection.bypass {
            return ConnectionOutcome::Continue;
        }
        let root = connection.root;
        connection.created = true;
        self.vm.call("proxy_on_context_create", id, |exports| &exports.context_create, (id, root), &[id, root]);
        let answer = self.vm.call("proxy_on_new_connection", id, |exports| &exports.new_connection, id, &[id]);
        let asked = self.settle(id);
        if asked.close || self.vm.failure().is_some() {
            ConnectionOutcome::Close
        } else if answer.unwrap_or(0) == 0 || asked.continue_downstream {
            ConnectionOutcome::Continue
        } else {
            ConnectionOutcome::Pause
        }
    }

    /// The server that the connection goes to, once it is connected.
    pub fn set_server(&mut self, connection: ConnectionId, server: UpstreamFacts) {
        if let Some(connection) = self.connection_mut(connection.0) {
            connection.facts.upstream = Some(server);
        }
    }

    /// The client has sent something, or nothing more will come after it.
    pub fn downstream_data(&mut self, connection: ConnectionId, bytes: &[u8], end_of_stream: bool) -> DataOutcome {
        self.data(connection, Direction::Downstream, bytes, end_of_stream)
    }

    /// The server has sent something, or nothing more will come after it.
    ///
    /// Data that the module holds goes on only with more data, or never: there is no way to continue in this direction, as in
    /// Envoy.
    pub fn upstream_data(&mut self, connection: ConnectionId, bytes: &[u8], end_of_stream: bool) -> DataOutcome {
        self.data(connection, Direction::Upstream, bytes, end_of_stream)
    }

    /// What the client has sent and the module held, after [`ConnectionEvent::Continue`].
    pub fn take_held_data(&mut self, connection: ConnectionId) -> Vec<u8> {
        // The module may still look at the place, and put something there: it goes on with what comes next.
        self.connection_mut(connection.0)
            .map_or_else(Vec::new, |connection| std::mem::take(&mut connection.flows[0].bytes))
    }

    /// Whether the client is to be read: not while the module holds more than [`Limits::body`](crate::Limits::body) of its data.
    #[must_use]
    pub fn wants_downstream_data(&self, connection: ConnectionId) -> bool {
        self.has_room(connection, Direction::Downstream)
    }

    /// The same of the server.
    #[must_use]
    pub fn wants_upstream_data(&self, connection: ConnectionId) -> bool {
        self.has_room(connection, Direction::Upstream)
    }

    fn has_room(&self, connection: ConnectionId, direction: Direction) -> bool {
        let connection = self.vm.state().connections.get(&connection.0);
        let flow = connection.and_then(|connection| connection.flows.get(direction as usize));
        flow.is_some_and(|flow| flow.bytes.len() <= self.shared.options.limits.body)
    }

    /// The client's connection is over: downstream close, done, log, delete.
    pub fn close_connection(&mut self, connection: ConnectionId, by: Peer) -> FinishedConnection {
        let ConnectionId(id) = connection;
        let Some(connection) = self.connection_mut(id) else {
            return FinishedConnection::default();
        };
        if connection.created && !connection.failed {
            let peer = by as u32;
            self.vm.call(
                "proxy_on_downstream_connection_close",
                id,
                |exports| &exports.downstream_connection_close,
                (id, peer),
                &[id, peer],
            );
            self.vm.call("proxy_on_done", id, |exports| &exports.done, id, &[id]);
            self.vm.call("proxy_on_log", id, |exports| &exports.log, id, &[id]);
            self.vm.call("proxy_on_delete", id, |exports| &exports.delete, id, &[id]);
            if self.connection_mut(id).is_some_and(|connection| connection.end_untold) {
                self.server_ended(id);
            }
        }
        let Some(connection) = self.vm.state_mut().connections.remove(&id) else {
            return FinishedConnection::default();
        };
        // What is asked for a connection that is gone has no effect; what is asked for others has.
        self.settle(id);
        self.connection_events.retain(|(connection, _)| connection.0 != id);
        let Connection { root, filter_state, cost, .. } = *connection;
        self.release_root(root);
        FinishedConnection { filter_state: filter_state.list(), cost: *cost }
    }

    /// What the module asked of connections since the last call, outside the callback concerned.
    pub fn take_connection_events(&mut self) -> Vec<(ConnectionId, ConnectionEvent)> {
        std::mem::take(&mut self.connection_events)
    }

    /// The same of one connection; those of others stay.
    pub(crate) fn take_events_of(&mut self, connection: ConnectionId) -> Vec<ConnectionEvent> {
        let own = self.connection_events.extract_if(.., |(id, _)| *id == connection);
        own.map(|(_, event)| event).collect()
    }

    /// How many connections are open.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.vm.state().connections.len()
    }

    pub(super) fn connection_mut(&mut self, id: u32) -> Option<&mut Connection> {
        self.vm.state_mut().connections.get_mut(&id).map(Box::as_mut)
    }

    /// Data comes; the module sees it after everything that it held; what it wants happens.
    fn data(
        &mut self,
        connection: ConnectionId,
        direction: Direction,
        bytes: &[u8],
        end_of_stream: bool,
    ) -> DataOutcome {
        let ConnectionId(id) = connection;
        let Some(connection) = self.connection_mut(id) else {
            return DataOutcome::Close;
        };
        if direction == Direction::Downstream {
            connection.received += bytes.len() as u64;
        }
        if connection.bypass {
            return DataOutcome::Forward(bytes.to_vec());
        }
        let failed = connection.failed;
        let Some(flow) = connection.flows.get_mut(direction as usize).filter(|_| !failed) else {
            return DataOutcome::Close;
        };
        flow.bytes.extend_from_slice(bytes);
        flow.current = true;
        let size = u32::try_from(flow.bytes.len()).unwrap_or(u32::MAX);
        let (parameters, shown) = ((id, size, u32::from(end_of_stream)), [id, size, u32::from(end_of_stream)]);
        let answer = match direction {
            Direction::Downstream => {
                self.vm.call("proxy_on_downstream_data", id, |exports| &exports.downstream_data, parameters, &shown)
            }
            Direction::Upstream => {
                self.vm.call("proxy_on_upstream_data", id, |exports| &exports.upstream_data, parameters, &shown)
            }
        };
        let asked = self.settle(id);
        let failed = self.vm.failure().is_some();
        let server_ended = direction == Direction::Upstream && end_of_stream;
        let Some(connection) = self.connection_mut(id) else {
            return DataOutcome::Close;
        };
        if asked.close || failed {
            connection.end_untold = server_ended;
            return DataOutcome::Close;
        }
        let proceeds = direction == Direction::Downstream && asked.continue_downstream;
        let stops = answer.is_some_and(|answer| answer != 0);
        let mut forwarded = None;
        if let Some(flow) = connection.flows.get_mut(direction as usize) {
            // What was to stop stays readable, also when it went on all the same.
            flow.current = stops;
            forwarded = (!stops || proceeds).then(|| std::mem::take(&mut flow.bytes));
        }
        if direction == Direction::Upstream {
            if let Some(forwarded) = &forwarded {
                connection.sent += forwarded.len() as u64;
            }
            if asked.continue_downstream {
                self.notify(id, ConnectionEvent::Continue);
            }
        }
        if server_ended && self.server_ended(id) {
            return DataOutcome::Close;
        }
        forwarded.map_or(DataOutcome::Hold, DataOutcome::Forward)
    }

    /// Tells the module that the server sends nothing more; says whether it then closed the connection.
    fn server_ended(&mut self, id: u32) -> bool {
        let peer = Peer::Unknown as u32;
        self.vm.call(
            "proxy_on_upstream_connection_close",
            id,
            |exports| &exports.upstream_connection_close,
            (id, peer),
            &[id, peer],
        );
        let asked = self.settle(id);
        if asked.continue_downstream {
            self.notify(id, ConnectionEvent::Continue);
        }
        asked.close || self.vm.failure().is_some()
    }

    /// What a hostcall in another context's callback asks of a connection.
    pub(super) fn act_on_connection(&mut self, id: u32, action: &Action) {
        match action {
            Action::Continue(StreamType::Downstream) => self.notify(id, ConnectionEvent::Continue),
            Action::Close => self.notify(id, ConnectionEvent::Close),
            Action::Continue(_) | Action::LocalReply(_) | Action::Done => {}
        }
    }

    fn notify(&mut self, id: u32, event: ConnectionEvent) {
        let event = (ConnectionId(id), event);
        if !self.connection_events.contains(&event) {
            self.connection_events.push(event);
        }
    }
}
