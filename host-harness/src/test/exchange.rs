//! A request, its reply, and what became of both.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::Host;
use super::events::nanoseconds;
use crate::{
    BodyOutcome, CalloutOutcome, Cost, FinishedStream, HeaderMap, HeadersOutcome, LocalReply, StreamEnd, StreamEvent,
    StreamFacts, StreamId, Worker,
};

/// A request for [`Host::exchange`](super::Host::exchange), and what the upstream does with it.
#[derive(Debug, Clone)]
pub struct Request {
    headers: HeaderMap,
    body: Vec<Vec<u8>>,
    trailers: Option<HeaderMap>,
    facts: StreamFacts,
    reply: Option<Reply>,
    takes: Duration,
    code_details: &'static str,
    flags: u64,
}

/// What the upstream answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    headers: HeaderMap,
    body: Vec<Vec<u8>>,
    trailers: Option<HeaderMap>,
}

/// Headers, body and trailers as they arrived somewhere.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// Headers with pseudo-headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Vec<u8>,
    /// Trailers.
    pub trailers: Option<HeaderMap>,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} \"{}\" {:?}", self.headers, self.body.escape_ascii(), self.trailers)
    }
}

impl Message {
    /// The `:status`.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        std::str::from_utf8(self.headers.get(":status")?).ok()?.parse().ok()
    }

    /// A header's first value, where it is UTF-8.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.headers.get(name)?).ok()
    }
}

/// What became of a request.
#[derive(Debug, Clone, Default)]
pub struct Exchange {
    /// What the upstream got; none when it got nothing.
    pub upstream: Option<Message>,
    /// What the client got; none when the stream was reset or the client left.
    pub response: Option<Message>,
    /// The response is the module's own, or the host's on its behalf, with these details.
    pub local_reply: Option<String>,
    /// The module holds the request or the response, and nothing came to let it go.
    pub stuck: bool,
    /// What the module set with `proxy_set_property`: names with `wasm.`, in order.
    pub filter_state: Vec<(String, Vec<u8>)>,
    /// What the module cost.
    pub cost: Cost,
}

impl Exchange {
    /// The status that the client got.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.response.as_ref().and_then(Message::status)
    }

    /// A header that the upstream got.
    #[must_use]
    pub fn upstream_header(&self, name: &str) -> Option<&str> {
        self.upstream.as_ref()?.header(name)
    }

    /// A header that the client got.
    #[must_use]
    pub fn response_header(&self, name: &str) -> Option<&str> {
        self.response.as_ref()?.header(name)
    }

    /// Filter state by its name with `wasm.`, where it is UTF-8.
    #[must_use]
    pub fn filter_state(&self, name: &str) -> Option<&str> {
        let (_, value) = self.filter_state.iter().find(|(known, _)| known == name)?;
        std::str::from_utf8(value).ok()
    }
}

impl Request {
    /// A request with this method and path, to `example.com` over HTTP.
    #[must_use]
    pub fn new(method: impl AsRef<[u8]>, path: impl AsRef<[u8]>) -> Self {
        let mut headers = HeaderMap::new();
        headers.add(":authority", "example.com");
        headers.add(":path", path);
        headers.add(":method", method);
        headers.add(":scheme", "http");
        let source = SocketAddr::from(([127, 0, 0, 1], 40_000));
        let destination = SocketAddr::from(([127, 0, 0, 1], 10_000));
        let facts = StreamFacts {
            source: Some(source),
            destination: Some(destination),
            protocol: "HTTP/1.1",
            ..StreamFacts::default()
        };
        Self {
            headers,
            body: Vec::new(),
            trailers: None,
            facts,
            reply: Some(Reply::status(200)),
            takes: Duration::ZERO,
            code_details: "via_upstream",
            flags: 0,
        }
    }

    /// A `GET`.
    #[must_use]
    pub fn get(path: impl AsRef<[u8]>) -> Self {
        Self::new("GET", path)
    }

    /// A `POST` with this body in one piece.
    #[must_use]
    pub fn post(path: impl AsRef<[u8]>, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", path).chunk(body)
    }

    /// Exactly these headers, pseudo-headers among them, in place of all so far.
    #[must_use]
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    /// One more header line.
    #[must_use]
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers.add(name, value);
        self
    }

    /// Without this header.
    #[must_use]
    pub fn without(mut self, name: impl AsRef<[u8]>) -> Self {
        self.headers.remove(name);
        self
    }

    /// One more piece of the body.
    #[must_use]
    pub fn chunk(mut self, chunk: impl Into<Vec<u8>>) -> Self {
        self.body.push(chunk.into());
        self
    }

    /// Trailers.
    #[must_use]
    pub fn trailers(mut self, trailers: impl Into<HeaderMap>) -> Self {
        self.trailers = Some(trailers.into());
        self
    }

    /// The client's address.
    #[must_use]
    pub fn source(mut self, source: SocketAddr) -> Self {
        self.facts.source = Some(source);
        self
    }

    /// The client showed a certificate.
    #[must_use]
    pub fn mtls(mut self) -> Self {
        self.facts.mtls = true;
        self
    }

    /// `HTTP/2` and the like; it is `HTTP/1.1` when not said.
    #[must_use]
    pub fn protocol(mut self, protocol: &'static str) -> Self {
        self.facts.protocol = protocol;
        self
    }

    /// A property that the module can read, parts joined by a zero byte.
    #[must_use]
    pub fn property(mut self, path: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.facts.properties.push((path.into(), value.into()));
        self
    }

    /// What the upstream answers; 200 when not said.
    #[must_use]
    pub fn reply(mut self, reply: Reply) -> Self {
        self.reply = Some(reply);
        self
    }

    /// How long the upstream takes.
    #[must_use]
    pub fn takes(mut self, time: Duration) -> Self {
        self.takes = time;
        self
    }

    /// The client leaves before there is an answer.
    #[must_use]
    pub fn aborted(mut self) -> Self {
        self.reply = None;
        self.code_details = "downstream_remote_disconnect";
        self.flags = 0x4000;
        self
    }

    pub(super) fn facts(&self) -> StreamFacts {
        self.facts.clone()
    }
}

impl Reply {
    /// A reply with this status and nothing else.
    #[must_use]
    pub fn status(status: u16) -> Self {
        let headers = HeaderMap::from([(":status", status.to_string())]);
        Self { headers, body: Vec::new(), trailers: None }
    }

    /// One more header line.
    #[must_use]
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers.add(name, value);
        self
    }

    /// One more piece of the body.
    #[must_use]
    pub fn chunk(mut self, chunk: impl Into<Vec<u8>>) -> Self {
        self.body.push(chunk.into());
        self
    }

    /// Trailers.
    #[must_use]
    pub fn trailers(mut self, trailers: impl Into<HeaderMap>) -> Self {
        self.trailers = Some(trailers.into());
        self
    }
}

impl Reply {
    /// The reply as the answer to a callout.
    pub(super) fn into_outcome(self) -> CalloutOutcome {
        let Self { headers, body, trailers } = self;
        CalloutOutcome::Response { headers, body: body.concat(), trailers: trailers.unwrap_or_default() }
    }
}

/// Why a direction does not go on.
enum Halt {
    LocalReply(LocalReply),
    Reset,
    Stuck,
}

/// How long a stream that the module holds is waited for: Envoy's idle timeout of a stream.
const IDLE: Duration = Duration::from_secs(300);

/// Takes a request through a worker of the host.
pub(super) fn run(host: &mut Host, worker: usize, facts: StreamFacts, request: Request) -> Exchange {
    let start = host.now_ns();
    let stream = host.worker(worker).open_stream(facts);
    let mut run = Run { host, worker, stream };
    let mut exchange = Exchange::default();
    let Request { headers, body, trailers, reply, takes, code_details, flags, .. } = request;
    let mut end = StreamEnd { details: code_details.to_owned(), flags, ..StreamEnd::default() };

    let mut message = Message::default();
    let sent = run.send(true, (headers, &body, trailers), &mut message);
    exchange.upstream = (!message.headers.is_empty()).then_some(message);
    run.host.advance(takes);
    let halted = match (sent, reply) {
        (Ok(()), Some(reply)) => {
            let mut message = Message::default();
            let got = run.send(false, (reply.headers, &reply.body, reply.trailers), &mut message);
            if !message.headers.is_empty() {
                exchange.response = Some(message);
            }
            got
        }
        (sent, _) => sent,
    };
    match halted {
        Ok(()) => {}
        Err(Halt::LocalReply(reply)) => {
            end.details.clone_from(&reply.details);
            exchange.local_reply = Some(reply.details);
            exchange.response = Some(Message { headers: reply.headers, body: reply.body, trailers: None });
        }
        Err(Halt::Reset) => {
            // A response that had begun has its status in the log.
            end.code = exchange.response.take().as_ref().and_then(Message::status);
            if let Some(details) = run.worker().reset_details(stream) {
                details.clone_into(&mut end.details);
            }
        }
        Err(Halt::Stuck) => exchange.stuck = true,
    }
    end.code = end.code.or(exchange.status());
    end.duration_ns = Some(run.host.now_ns().saturating_sub(start));
    end.request_size = body.iter().map(|chunk| chunk.len() as u64).sum();
    end.response_size = exchange.response.as_ref().map_or(0, |response| response.body.len() as u64);
    let FinishedStream { filter_state, cost, .. } = run.worker().finish(stream, end);
    exchange.filter_state = filter_state;
    exchange.cost = cost;
    run.host.settle();
    exchange
}

/// One stream on its way through a worker.
struct Run<'a> {
    host: &'a mut Host,
    worker: usize,
    stream: StreamId,
}

impl Run<'_> {
    fn worker(&mut self) -> &mut Worker {
        self.host.worker(self.worker)
    }

    /// Takes headers, body and trailers of one direction through the worker; what arrives is in `message`.
    fn send(
        &mut self,
        request: bool,
        (headers, body, trailers): (HeaderMap, &[Vec<u8>], Option<HeaderMap>),
        message: &mut Message,
    ) -> Result<(), Halt> {
        let stream = self.stream;
        let end = body.is_empty() && trailers.is_none();
        let outcome = if request {
            self.worker().request_headers(stream, headers, end)
        } else {
            self.worker().response_headers(stream, headers, end)
        };
        self.passed(request, outcome)?;
        let worker = self.worker();
        let map = if request { worker.request_map(stream) } else { worker.response_map(stream) };
        message.headers = map.clone();
        for (index, chunk) in body.iter().enumerate() {
            let end = index + 1 == body.len() && trailers.is_none();
            let outcome = if request {
                self.worker().request_body(stream, chunk, end)
            } else {
                self.worker().response_body(stream, chunk, end)
            };
            match outcome {
                BodyOutcome::Forward(bytes) => message.body.extend(bytes),
                BodyOutcome::Hold if end => {
                    self.resumed(request)?;
                    message.body.extend(self.held(request));
                }
                BodyOutcome::Hold => {}
                BodyOutcome::LocalReply(reply) => return Err(Halt::LocalReply(reply)),
                BodyOutcome::Close => return Err(Halt::Reset),
            }
        }
        if let Some(trailers) = trailers {
            let outcome = if request {
                self.worker().request_trailers(stream, trailers)
            } else {
                self.worker().response_trailers(stream, trailers)
            };
            self.passed(request, outcome)?;
            message.body.extend(self.held(request));
        }
        let worker = self.worker();
        let map = if request { worker.request_trailers_map(stream) } else { worker.response_trailers_map(stream) };
        message.trailers = (!map.is_empty()).then(|| map.clone());
        Ok(())
    }

    fn held(&mut self, request: bool) -> Vec<u8> {
        let stream = self.stream;
        if request {
            self.worker().take_held_request_body(stream)
        } else {
            self.worker().take_held_response_body(stream)
        }
    }

    fn passed(&mut self, request: bool, outcome: HeadersOutcome) -> Result<(), Halt> {
        match outcome {
            HeadersOutcome::Continue => Ok(()),
            HeadersOutcome::Pause => self.resumed(request),
            HeadersOutcome::LocalReply(reply) => Err(Halt::LocalReply(reply)),
            HeadersOutcome::Close => Err(Halt::Reset),
        }
    }

    /// Waits for what lets the held stream go: as long as the host owes the module something, or its time is over.
    fn resumed(&mut self, request: bool) -> Result<(), Halt> {
        let until = self.host.now_ns().saturating_add(nanoseconds(IDLE));
        loop {
            for (id, event) in self.worker().take_events() {
                match event {
                    _ if id != self.stream => {}
                    StreamEvent::ContinueRequest if request => return Ok(()),
                    StreamEvent::ContinueResponse if !request => return Ok(()),
                    StreamEvent::LocalReply(reply) => return Err(Halt::LocalReply(reply)),
                    StreamEvent::Close => return Err(Halt::Reset),
                    StreamEvent::ContinueRequest | StreamEvent::ContinueResponse => {}
                }
            }
            if !self.host.owes() || !self.host.run_next(until) {
                return Err(Halt::Stuck);
            }
        }
    }
}
