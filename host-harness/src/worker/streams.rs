//! HTTP streams: the order of callbacks, and what their answers and hostcalls do to the stream.

use std::borrow::Cow;

use super::{Asked, BodyOutcome, HeadersOutcome, NewContext, Worker};
use crate::abi::MapType;
use crate::hostcall::local_reply;
use crate::vm::Exports;
use crate::vm::filter_state::FilterState;
use crate::vm::state::{Body, Stream};
use crate::{FinishedStream, HeaderMap, LocalReply, StreamEnd, StreamFacts, StreamId, UpstreamFacts};

/// Details of the 503 that stands for a failed VM.
const FAILED: &str = "wasm_fail_stream";

/// Details of a response that the upstream gave.
const VIA_UPSTREAM: &str = "via_upstream";

/// One way through the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Request,
    Response,
}

impl Direction {
    fn index(self) -> usize {
        self as usize
    }
}

/// A callback that takes headers or trailers.
#[derive(Debug, Clone, Copy)]
struct HeadersCallback {
    direction: Direction,
    map: MapType,
    end_of_stream: bool,
}

impl Worker {
    /// Opens a stream. The module hears of it with the first callback.
    pub fn open_stream(&mut self, mut facts: StreamFacts) -> StreamId {
        let NewContext { id, root, bypass, now_ns } = self.new_context();
        if facts.start_ns == 0 {
            facts.start_ns = now_ns;
        }
        let filter_state = FilterState::of_stream(facts.connection_state.clone());
        let stream = Stream { root, facts, bypass, filter_state, ..Stream::default() };
        self.vm.state_mut().streams.insert(id, Box::new(stream));
        StreamId(id)
    }

    /// Where the request goes, once the filters have let it go there, and again whenever more is known.
    pub fn set_upstream(&mut self, stream: StreamId, upstream: UpstreamFacts) {
        let now_ns = self.shared.clock().now_ns();
        if let Some(stream) = self.stream_mut(stream.0) {
            stream.upstream_ns[0].get_or_insert(now_ns);
            stream.upstream = Some(upstream);
        }
    }

    /// The request's headers, with `:method`, `:scheme`, `:authority` and `:path`.
    pub fn request_headers(&mut self, stream: StreamId, headers: HeaderMap, end_of_stream: bool) -> HeadersOutcome {
        self.headers(
            stream,
            headers,
            HeadersCallback { direction: Direction::Request, map: MapType::RequestHeaders, end_of_stream },
        )
    }

    /// The request's trailers.
    pub fn request_trailers(&mut self, stream: StreamId, trailers: HeaderMap) -> HeadersOutcome {
        let callback =
            HeadersCallback { direction: Direction::Request, map: MapType::RequestTrailers, end_of_stream: true };
        self.headers(stream, trailers, callback)
    }

    /// The response's headers with `:status`; also those of the proxy's own replies.
    pub fn response_headers(&mut self, stream: StreamId, headers: HeaderMap, end_of_stream: bool) -> HeadersOutcome {
        self.headers(
            stream,
            headers,
            HeadersCallback { direction: Direction::Response, map: MapType::ResponseHeaders, end_of_stream },
        )
    }

    /// The response's trailers.
    pub fn response_trailers(&mut self, stream: StreamId, trailers: HeaderMap) -> HeadersOutcome {
        let callback =
            HeadersCallback { direction: Direction::Response, map: MapType::ResponseTrailers, end_of_stream: true };
        self.headers(stream, trailers, callback)
    }

    /// A piece of the request's body.
    pub fn request_body(&mut self, stream: StreamId, chunk: &[u8], end_of_stream: bool) -> BodyOutcome {
        self.body(stream, Direction::Request, chunk, end_of_stream)
    }

    /// A piece of the response's body.
    pub fn response_body(&mut self, stream: StreamId, chunk: &[u8], end_of_stream: bool) -> BodyOutcome {
        self.body(stream, Direction::Response, chunk, end_of_stream)
    }

    /// Response code details of a reply of the proxy's own; to be said before [`Self::response_headers`].
    pub fn set_response_details(&mut self, stream: StreamId, details: impl Into<String>) {
        if let Some(stream) = self.stream_mut(stream.0) {
            stream.details = Some(Cow::Owned(details.into()));
        }
    }

    /// Why the module broke the response off, if it answered once more after that had begun.
    #[must_use]
    pub fn reset_details(&self, stream: StreamId) -> Option<&str> {
        self.vm.state().streams.get(&stream.0)?.reset_details.as_deref()
    }

    /// The request body that was kept back, after [`crate::StreamEvent::ContinueRequest`].
    pub fn take_held_request_body(&mut self, stream: StreamId) -> Vec<u8> {
        self.take_held(stream, Direction::Request)
    }

    /// The response body that was kept back, after [`crate::StreamEvent::ContinueResponse`].
    pub fn take_held_response_body(&mut self, stream: StreamId) -> Vec<u8> {
        self.take_held(stream, Direction::Response)
    }

    fn take_held(&mut self, stream: StreamId, direction: Direction) -> Vec<u8> {
        let body = self.stream_mut(stream.0).and_then(|stream| stream.bodies.get_mut(direction.index()));
        body.map_or_else(Vec::new, |body| {
            body.buffering = false;
            body.current = false;
            std::mem::take(&mut body.held)
        })
    }

    /// The stream is over: log, done, delete, or done, log, delete by the specification. A stream that the module never heard of is created now, as Envoy does.
    pub fn finish(&mut self, stream: StreamId, mut end: StreamEnd) -> FinishedStream {
        let id = stream.0;
        let Some(stream) = self.stream_mut(id) else {
            return FinishedStream::default();
        };
        let early = [(0, end.request_headers.take()), (2, end.response_headers.take())];
        for (index, map) in early {
            if let (Some(slot), Some(map)) = (stream.maps.get_mut(index), map)
                && !slot.present
            {
                slot.map = map;
                slot.present = true;
            }
        }
        if let (None, Some(_)) = (&stream.upstream, end.upstream) {
            stream.upstream = Some(UpstreamFacts { address: end.upstream, ..UpstreamFacts::default() });
        }
        stream.end = Some(end);
        if !stream.bypass && !stream.failed && self.vm.failure().is_none() {
            if self.shared.options.conformance.done_before_log() {
                self.create(id);
                self.vm.call("proxy_on_done", id, |exports| &exports.done, id, &[id]);
                self.log(id);
            } else {
                self.log(id);
                self.vm.call("proxy_on_done", id, |exports| &exports.done, id, &[id]);
            }
            self.vm.call("proxy_on_delete", id, |exports| &exports.delete, id, &[id]);
        }
        let Some(stream) = self.vm.state_mut().streams.remove(&id) else {
            return FinishedStream::default();
        };
        // What is asked for a stream that is gone has no effect; what is asked for others has.
        self.settle(id);
        self.events.retain(|(stream, _)| stream.0 != id);
        self.release_root(stream.root);
        let Stream { filter_state, cost, maps: [request, _, response, _], .. } = *stream;
        FinishedStream {
            filter_state: filter_state.list(),
            cost: *cost,
            request_headers: request.map,
            response_headers: response.map,
        }
    }

    /// The stream's headers are readable while it is logged.
    fn log(&mut self, id: u32) {
        if let Some(stream) = self.stream_mut(id) {
            stream.logging = true;
        }
        self.create(id);
        self.vm.call("proxy_on_log", id, |exports| &exports.log, id, &[id]);
        if let Some(stream) = self.stream_mut(id) {
            stream.logging = false;
        }
    }

    fn stream_mut(&mut self, id: u32) -> Option<&mut Stream> {
        self.vm.state_mut().streams.get_mut(&id).map(Box::as_mut)
    }

    /// Tells the module of the stream.
    fn create(&mut self, id: u32) {
        let Some(stream) = self.stream_mut(id) else {
            return;
        };
        if !std::mem::replace(&mut stream.created, true) {
            let root = stream.root;
            self.vm.call("proxy_on_context_create", id, |exports| &exports.context_create, (id, root), &[id, root]);
        }
    }

    /// Headers or trailers come; the module sees them; what it wants happens.
    fn headers(&mut self, stream: StreamId, map: HeaderMap, callback: HeadersCallback) -> HeadersOutcome {
        let id = stream.0;
        let HeadersCallback { direction, map: map_type, end_of_stream } = callback;
        let Some(stream) = self.stream_mut(id) else {
            return HeadersOutcome::Close;
        };
        let count = u32::try_from(map.len()).unwrap_or(u32::MAX);
        if map_type == MapType::ResponseHeaders {
            stream.code = map.get(":status").and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
            stream.details.get_or_insert(Cow::Borrowed(VIA_UPSTREAM));
        }
        if let Some(slot) = stream.map_mut(map_type) {
            slot.map = map;
            slot.present = true;
        }
        if direction == Direction::Response && end_of_stream {
            self.response_ended(id);
        }
        let Some(stream) = self.stream_mut(id) else {
            return HeadersOutcome::Close;
        };
        let first = map_type == MapType::RequestHeaders;
        if stream.bypass || !(stream.started || first) {
            return self.passed(id, map_type);
        }
        if stream.failed || self.vm.failure().is_some() {
            return self.failed_stream(id);
        }
        if first {
            self.create(id);
        }
        if let Some(stream) = self.stream_mut(id) {
            stream.started = true;
            stream.end_of_stream = end_of_stream;
            if let Some(slot) = stream.map_mut(map_type) {
                slot.current = true;
            }
        }
        let eos = u32::from(end_of_stream);
        let (two, three) = ((id, count), (id, count, eos));
        let (shown_two, shown) = ([id, count], [id, count, eos]);
        let vm = &mut self.vm;
        let answer = match map_type {
            MapType::RequestHeaders => {
                const NAME: &str = "proxy_on_request_headers";
                vm.call(NAME, id, |exports| &exports.request_headers, three, &shown)
                    .or_else(|| vm.call(NAME, id, |exports| &exports.request_headers_0_1_0, two, &shown_two))
            }
            MapType::ResponseHeaders => {
                const NAME: &str = "proxy_on_response_headers";
                vm.call(NAME, id, |exports| &exports.response_headers, three, &shown)
                    .or_else(|| vm.call(NAME, id, |exports| &exports.response_headers_0_1_0, two, &shown_two))
            }
            MapType::RequestTrailers => {
                vm.call("proxy_on_request_trailers", id, |exports| &exports.request_trailers, two, &shown_two)
            }
            _ => vm.call("proxy_on_response_trailers", id, |exports| &exports.response_trailers, two, &shown_two),
        };
        let trailers = matches!(map_type, MapType::RequestTrailers | MapType::ResponseTrailers);
        // For headers 2 is Envoy's "continue" too, everything else stops; for trailers everything but 0 stops.
        let stops = answer.is_some_and(|answer| answer != 0 && (trailers || answer != 2));
        let asked = self.settle(id);
        if self.vm.failure().is_some() {
            return self.failed_stream(id);
        }
        if !stops && let Some(slot) = self.stream_mut(id).and_then(|stream| stream.map_mut(map_type)) {
            slot.current = false;
        }
        if let Some(outcome) = self.decided(id, &asked, map_type == MapType::ResponseHeaders) {
            return match outcome {
                Ok(reply) => HeadersOutcome::LocalReply(reply),
                Err(Closed) => HeadersOutcome::Close,
            };
        }
        if stops && !continues(&asked, direction) {
            if let Some(paused) = self.stream_mut(id).and_then(|stream| stream.paused.get_mut(direction.index())) {
                *paused = true;
            }
            return HeadersOutcome::Pause;
        }
        self.passed(id, map_type)
    }

    /// The last of the response has come.
    fn response_ended(&mut self, id: u32) {
        let Self { shared, vm, .. } = self;
        if let Some(stream) = vm.state_mut().streams.get_mut(&id)
            && stream.details.as_deref() == Some(VIA_UPSTREAM)
            && let [Some(_), received @ None] = &mut stream.upstream_ns
        {
            *received = Some(shared.clock().now_ns());
        }
    }

    /// The headers go on.
    fn passed(&mut self, id: u32, map: MapType) -> HeadersOutcome {
        if map == MapType::ResponseHeaders
            && let Some(stream) = self.stream_mut(id)
        {
            stream.response_started = true;
        }
        HeadersOutcome::Continue
    }

    /// A piece of a body comes.
    fn body(&mut self, stream: StreamId, direction: Direction, chunk: &[u8], end_of_stream: bool) -> BodyOutcome {
        let id = stream.0;
        let has_callback = match direction {
            Direction::Request => self.sees_request_body(),
            Direction::Response => self.sees_response_body(),
        };
        let vm_failed = self.vm.failure().is_some();
        let limit = self.shared.options.limits.body;
        let Some(stream) = self.stream_mut(id) else {
            return BodyOutcome::Close;
        };
        if direction == Direction::Request {
            stream.received[0] += chunk.len() as u64;
        }
        if direction == Direction::Response && end_of_stream {
            self.response_ended(id);
        }
        let Some(stream) = self.stream_mut(id) else {
            return BodyOutcome::Close;
        };
        let failed = stream.failed || vm_failed;
        if stream.bypass || !stream.started || !(has_callback || failed) {
            return BodyOutcome::Forward(chunk.to_vec());
        }
        if failed {
            return self.failed_body(id);
        }
        stream.end_of_stream = end_of_stream;
        let Some(body) = stream.bodies.get_mut(direction.index()) else {
            return BodyOutcome::Close;
        };
        body.current = true;
        if body.held.len() + chunk.len() > limit && body.buffering {
            return self.too_large(id, direction);
        }
        if body.buffering {
            body.held.extend_from_slice(chunk);
        } else {
            chunk.clone_into(&mut body.chunk);
        }
        let size = u32::try_from(body.shown().len()).unwrap_or(u32::MAX);
        let eos = u32::from(end_of_stream);
        let shown = [id, size, eos];
        let parameters = (id, size, eos);
        let answer = match direction {
            Direction::Request => {
                self.vm.call("proxy_on_request_body", id, |exports: &Exports| &exports.request_body, parameters, &shown)
            }
            Direction::Response => self.vm.call(
                "proxy_on_response_body",
                id,
                |exports: &Exports| &exports.response_body,
                parameters,
                &shown,
            ),
        };
        // A piece of the response counts once it has been through the filters, one of the request when it comes.
        if direction == Direction::Response
            && let Some(stream) = self.stream_mut(id)
        {
            stream.received[1] += chunk.len() as u64;
        }
        let asked = self.settle(id);
        if self.vm.failure().is_some() {
            return self.failed_body(id);
        }
        if let Some(outcome) = self.decided(id, &asked, false) {
            return match outcome {
                Ok(reply) => BodyOutcome::LocalReply(reply),
                Err(Closed) => BodyOutcome::Close,
            };
        }
        let Some(stream) = self.stream_mut(id) else {
            return BodyOutcome::Close;
        };
        let Some(body) = stream.bodies.get_mut(direction.index()) else {
            return BodyOutcome::Close;
        };
        body.current = false;
        let stops = answer.unwrap_or(0) != 0 && !continues(&asked, direction);
        // 1 keeps the bytes and shows all of them next time, 2 keeps them, anything else drops the piece.
        let too_large = match answer {
            Some(1) if stops => keep(body, true, limit),
            Some(2) if stops => keep(body, false, limit),
            _ if stops => {
                body.chunk.clear();
                body.buffering = false;
                false
            }
            _ => {
                let mut bytes = std::mem::take(&mut body.held);
                bytes.append(&mut body.chunk);
                body.buffering = false;
                return BodyOutcome::Forward(bytes);
            }
        };
        if let Some(paused) = stream.paused.get_mut(direction.index()) {
            *paused = true;
        }
        if too_large { self.too_large(id, direction) } else { BodyOutcome::Hold }
    }

    /// What a local reply or a reset makes of the stream, if one was asked for.
    fn decided(&mut self, id: u32, asked: &Asked, direct: bool) -> Option<Result<LocalReply, Closed>> {
        if asked.close {
            return Some(Err(Closed));
        }
        let reply = asked.reply.as_deref()?.clone();
        let Some(stream) = self.stream_mut(id) else {
            return Some(Err(Closed));
        };
        if stream.response_started && !direct {
            stream.reset_details = Some(reply.details);
            return Some(Err(Closed));
        }
        if direct || stream.has_response() {
            // The upstream's response was on its way: Envoy replaces it without asking the filters again.
            self.store_reply(id, &reply);
            return Some(Ok(reply));
        }
        Some(Ok(self.deliver(id, reply)))
    }

    /// Takes a local reply through the module's response callbacks, as Envoy does. A module that holds its own reply is not
    /// waited for.
    pub(super) fn deliver(&mut self, id: u32, mut reply: LocalReply) -> LocalReply {
        self.store_reply(id, &reply);
        let Some(stream) = self.stream_mut(id) else {
            return reply;
        };
        stream.response_started = false;
        // Its own headers may still be answered with another.
        stream.replied = false;
        let empty = reply.body.is_empty();
        let headers = std::mem::take(&mut reply.headers);
        let outcome = self.headers(
            StreamId(id),
            headers,
            HeadersCallback { direction: Direction::Response, map: MapType::ResponseHeaders, end_of_stream: empty },
        );
        if let HeadersOutcome::LocalReply(other) = outcome {
            return other;
        }
        if !empty && self.sees_response_body() {
            match self.body(StreamId(id), Direction::Response, &std::mem::take(&mut reply.body), true) {
                BodyOutcome::Forward(bytes) => reply.body = bytes,
                BodyOutcome::Hold => reply.body = self.take_held(StreamId(id), Direction::Response),
                BodyOutcome::LocalReply(other) => return other,
                BodyOutcome::Close => {}
            }
        }
        if let Some(stream) = self.stream_mut(id) {
            stream.response_started = true;
            stream.paused = [false; 2];
        }
        reply.headers = self.map(StreamId(id), MapType::ResponseHeaders as usize).clone();
        reply
    }

    /// The reply is the stream's response from now on.
    pub(super) fn store_reply(&mut self, id: u32, reply: &LocalReply) {
        if let Some(stream) = self.stream_mut(id) {
            stream.replied = true;
            stream.response_started = true;
            stream.code = Some(reply.status());
            stream.details = Some(Cow::Owned(reply.details.clone()));
            if let Some(slot) = stream.map_mut(MapType::ResponseHeaders) {
                slot.map.clone_from(&reply.headers);
                slot.present = true;
            }
        }
    }

    /// The VM has failed: 503 while that is possible, else a reset. The module hears nothing more of the stream.
    fn failed_stream(&mut self, id: u32) -> HeadersOutcome {
        match self.host_reply(id, 503, FAILED) {
            Some(reply) => HeadersOutcome::LocalReply(reply),
            None => HeadersOutcome::Close,
        }
    }

    fn failed_body(&mut self, id: u32) -> BodyOutcome {
        match self.host_reply(id, 503, FAILED) {
            Some(reply) => BodyOutcome::LocalReply(reply),
            None => BodyOutcome::Close,
        }
    }

    /// A body is longer than the host keeps.
    fn too_large(&mut self, id: u32, direction: Direction) -> BodyOutcome {
        let (status, details) = match direction {
            Direction::Request => (413, "request_payload_too_large"),
            Direction::Response => (500, "response_payload_too_large"),
        };
        match self.host_reply(id, status, details) {
            Some(reply) => BodyOutcome::LocalReply(reply),
            None => BodyOutcome::Close,
        }
    }

    fn host_reply(&mut self, id: u32, status: u32, details: &str) -> Option<LocalReply> {
        let failed = self.vm.failure().is_some();
        let stream = self.stream_mut(id)?;
        stream.failed |= failed;
        if stream.response_started {
            return None;
        }
        let unstated = u32::MAX;
        let reply = local_reply(stream, status, &HeaderMap::new(), Vec::new(), details.to_owned(), unstated);
        self.store_reply(id, &reply);
        Some(reply)
    }
}

/// The stream is to be reset.
struct Closed;

fn continues(asked: &Asked, direction: Direction) -> bool {
    match direction {
        Direction::Request => asked.continue_request,
        Direction::Response => asked.continue_response,
    }
}

/// Keeps a piece back; says whether that is too much.
fn keep(body: &mut Body, buffering: bool, limit: usize) -> bool {
    let Body { held, chunk, .. } = body;
    held.append(chunk);
    body.buffering = buffering;
    // What is buffered stays readable, from other contexts' callbacks too.
    body.current = buffering;
    body.held.len() > limit
}
