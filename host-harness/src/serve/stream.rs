//! One request and its response, from the first byte to the one log phase that ends it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use http::Version;

use super::access_log::Line as LogLine;
use super::gate::Gate;
use super::pool::Line;
use super::proxy::{Client, Proxy};
use crate::{HeaderMap, StreamEnd, StreamFacts, StreamId, UpstreamFacts};

/// Envoy's response flags, as far as this proxy sets them: the bit, and what access logs write.
pub(super) mod flags {
    /// The upstream took too long.
    pub(in crate::serve) const UPSTREAM_TIMEOUT: u64 = 0x4;
    /// The proxy broke the stream off.
    pub(in crate::serve) const LOCAL_RESET: u64 = 0x8;
    /// No connection to the upstream.
    pub(in crate::serve) const CONNECTION_FAILURE: u64 = 0x20;
    /// The upstream closed the connection.
    pub(in crate::serve) const CONNECTION_TERMINATION: u64 = 0x40;
    /// No route.
    pub(in crate::serve) const NO_ROUTE: u64 = 0x100;
    /// The client closed the connection.
    pub(in crate::serve) const DOWNSTREAM_TERMINATION: u64 = 0x4000;
    /// No further try to connect.
    pub(in crate::serve) const RETRY_LIMIT: u64 = 0x8000;
    /// The client did not speak HTTP.
    pub(in crate::serve) const DOWNSTREAM_PROTOCOL_ERROR: u64 = 1 << 18;
    /// The upstream did not speak HTTP.
    pub(in crate::serve) const UPSTREAM_PROTOCOL_ERROR: u64 = 1 << 23;

    const NAMES: [(u64, &str); 9] = [
        (LOCAL_RESET, "LR"),
        (UPSTREAM_TIMEOUT, "UT"),
        (CONNECTION_FAILURE, "UF"),
        (CONNECTION_TERMINATION, "UC"),
        (NO_ROUTE, "NR"),
        (DOWNSTREAM_TERMINATION, "DC"),
        (RETRY_LIMIT, "URX"),
        (DOWNSTREAM_PROTOCOL_ERROR, "DPE"),
        (UPSTREAM_PROTOCOL_ERROR, "UPE"),
    ];

    /// The flags as access logs write them.
    pub(in crate::serve) fn text(flags: u64) -> String {
        let set: Vec<&str> = NAMES.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name).collect();
        if set.is_empty() { String::from("-") } else { set.join(",") }
    }
}

/// One stream. It ends when its [`Guard`] is dropped.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) proxy: Rc<Proxy>,
    pub(super) client: Rc<Client>,
    pub(super) id: StreamId,
    pub(super) gate: Gate,
    pub(super) version: Version,
    started: Instant,
    start_ns: u64,
    finished: Cell<bool>,
    /// The response is out to its last byte.
    complete: Cell<bool>,
    code: Cell<Option<u16>>,
    flags: Cell<u64>,
    details: RefCell<Option<String>>,
    pub(super) request_size: Cell<u64>,
    pub(super) response_size: Cell<u64>,
    /// The connection on which the request went out.
    upstream: RefCell<Option<Line>>,
    /// From the request's last byte to the upstream to its first byte back.
    pub(super) upstream_us: Cell<Option<u64>>,
    /// Headers of a request that was refused before the module saw it.
    unseen: RefCell<Option<HeaderMap>>,
    /// The client's request was read to its end, and when.
    pub(super) request_done: tokio::sync::watch::Sender<Option<Instant>>,
}

/// Ends its stream when dropped.
#[derive(Debug)]
pub(super) struct Guard(Rc<Stream>);

impl Guard {
    /// A request begins. It is counted here, whatever becomes of it.
    pub(super) fn begin(proxy: &Rc<Proxy>, client: &Rc<Client>, version: Version) -> Self {
        proxy.counters.rq_total.inc();
        proxy.counters.rq_active.add(1);
        client.open.set(client.open.get() + 1);
        let two = version == Version::HTTP_2;
        if two {
            proxy.counters.rq_http2_total.inc()
        } else {
            proxy.counters.rq_http1_total.inc()
        }
        let mut vm = proxy.vm.borrow_mut();
        let start_ns = vm.shared().clock().now_ns();
        let id = vm.open_stream(StreamFacts {
            source: Some(client.peer),
            destination: client.local,
            connection_id: client.id,
            protocol: if two { "HTTP/2" } else { "HTTP/1.1" },
            start_ns,
            connection_state: client.state.clone(),
            ..StreamFacts::default()
        });
        let stream = Rc::new(Stream {
            proxy: Rc::clone(proxy),
            client: Rc::clone(client),
            id,
            gate: Gate::default(),
            version,
            started: Instant::now(),
            start_ns,
            finished: Cell::default(),
            complete: Cell::default(),
            code: Cell::default(),
            flags: Cell::default(),
            details: RefCell::default(),
            request_size: Cell::default(),
            response_size: Cell::default(),
            upstream: RefCell::default(),
            upstream_us: Cell::default(),
            unseen: RefCell::default(),
            request_done: tokio::sync::watch::Sender::new(None),
        });
        proxy.streams.borrow_mut().insert(id, Rc::downgrade(&stream));
        Self(stream)
    }

    pub(super) const fn stream(&self) -> &Rc<Stream> {
        &self.0
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.finish();
    }
}

impl Stream {
    /// A response with this status begins.
    pub(super) fn respond(&self, status: u16) {
        self.code.set(Some(status));
        self.proxy.counters.response(status);
    }

    /// Why the stream ends as it does; the first reason stands.
    pub(super) fn explain(&self, flags: u64, details: impl Into<String>) {
        let mut known = self.details.borrow_mut();
        if known.is_none() {
            *known = Some(details.into());
            self.flags.set(self.flags.get() | flags);
        }
    }

    /// The request goes to the upstream.
    pub(super) fn goes_upstream(&self) {
        let address = self.proxy.options.upstream.address();
        self.tell_upstream(UpstreamFacts { address, ..UpstreamFacts::default() });
    }

    /// It goes out on this connection.
    pub(super) fn connected(&self, line: &Line) {
        *self.upstream.borrow_mut() = Some(line.clone());
        self.tell_upstream(UpstreamFacts { address: Some(line.address), ..UpstreamFacts::default() });
    }

    /// The mark for the request's trailers, which go out over HTTP/1.
    pub(super) fn mark_trailers(&self, trailers: &http::HeaderMap) -> Option<Bytes> {
        self.upstream.borrow().as_ref().map(|line| line.trailers.mark(trailers))
    }

    /// The upstream has answered. Only now is the module told of the connection: Envoy connects while it reads the request.
    pub(super) fn answered(&self, pool_ready_ns: Option<u64>) {
        let ends = self.upstream.borrow().as_ref().map(|line| (line.address, line.local));
        self.tell_upstream(UpstreamFacts {
            address: ends.map(|(upstream, _)| upstream),
            local_address: ends.map(|(_, proxy)| proxy),
            pool_ready_ns,
            ..UpstreamFacts::default()
        });
    }

    /// There was no connection, for this reason.
    pub(super) fn not_connected(&self, reason: String) {
        let address = self.proxy.options.upstream.address();
        self.tell_upstream(UpstreamFacts { address, transport_failure_reason: reason, ..UpstreamFacts::default() });
    }

    fn tell_upstream(&self, upstream: UpstreamFacts) {
        self.proxy.vm.borrow_mut().set_upstream(self.id, upstream);
    }

    /// The request's headers, of a request that the module does not get to see.
    pub(super) fn keep_unseen(&self, headers: HeaderMap) {
        *self.unseen.borrow_mut() = Some(headers);
    }

    /// The response is out to its last byte.
    pub(super) fn complete(&self) {
        self.complete.set(true);
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finished.get()
    }

    /// The request's body was read to its end.
    pub(super) fn request_ended(&self) {
        self.request_done.send_if_modified(|done| {
            let first = done.is_none();
            done.get_or_insert_with(Instant::now);
            first
        });
    }

    fn finish(&self) {
        if self.finished.replace(true) {
            return;
        }
        let proxy = &self.proxy;
        let cut = !self.complete.get();
        if cut {
            // With no other reason known, it was the client that went away.
            self.explain(flags::DOWNSTREAM_TERMINATION, "downstream_remote_disconnect");
            let remote = self.flags.get() & flags::DOWNSTREAM_TERMINATION != 0;
            if remote { proxy.counters.rq_rx_reset.inc() } else { proxy.counters.rq_tx_reset.inc() }
        }
        self.explain(0, "via_upstream");
        let duration = self.started.elapsed();
        let end = StreamEnd {
            code: self.code.get(),
            details: self.details.borrow().clone().unwrap_or_default(),
            flags: self.flags.get(),
            duration_ns: Some(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)),
            request_size: self.request_size.get(),
            response_size: self.response_size.get(),
            upstream: self.upstream.borrow().as_ref().map(|line| line.address),
            request_headers: self.unseen.borrow().clone(),
            response_headers: self.unseen_response(),
        };
        let finished = proxy.vm.borrow_mut().finish(self.id, end.clone());
        proxy.streams.borrow_mut().remove(&self.id);
        proxy.counters.rq_active.add(-1);
        self.client.open.set(self.client.open.get() - 1);
        if let Some(log) = &proxy.log {
            log.write(&LogLine {
                start_ns: self.start_ns,
                version: self.version,
                end: &end,
                finished: &finished,
                unseen: self.unseen.borrow().as_ref(),
                upstream_us: self.upstream_us.get(),
                client: self.client.peer,
            });
        }
        proxy.route_events();
    }

    /// The response to a request that the module never saw.
    fn unseen_response(&self) -> Option<HeaderMap> {
        let mut headers = HeaderMap::new();
        headers.add(":status", self.code.get()?.to_string());
        Some(headers)
    }
}
