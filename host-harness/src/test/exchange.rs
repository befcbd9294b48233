//! A request, its reply, and what became of both.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::Answer;
use crate::{CalloutOutcome, ConnectionState, Cost, GrpcEvent, HeaderMap, StreamFacts};

/// A request for [`Host::exchange`](super::Host::exchange), and what the upstream does with it.
#[derive(Debug, Clone)]
pub struct Request {
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<Vec<u8>>,
    pub(super) trailers: Option<HeaderMap>,
    facts: StreamFacts,
    pub(super) upstream: SocketAddr,
    /// None when the client leaves before there is one.
    pub(super) answer: Option<Answer>,
    pub(super) takes: Duration,
    pub(super) code_details: &'static str,
    pub(super) flags: u64,
    /// Whether the end of a body comes by itself.
    pub(super) end_alone: bool,
}

/// What the upstream answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<Vec<u8>>,
    pub(super) trailers: Option<HeaderMap>,
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
    /// The response is the module's own, the host's on its behalf, or the proxy's for want of one, with these details.
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
            upstream: SocketAddr::from(([127, 0, 0, 1], 20_000)),
            answer: Some(Answer::Reply(Reply::status(200))),
            takes: Duration::ZERO,
            code_details: "via_upstream",
            flags: 0,
            end_alone: false,
        }
    }

    /// Its headers, with pseudo-headers.
    #[must_use]
    pub fn header_map(&self) -> &HeaderMap {
        &self.headers
    }

    /// Its body, in one piece.
    #[must_use]
    pub fn whole_body(&self) -> Vec<u8> {
        self.body.concat()
    }

    /// The headers of the upstream's reply; `None` where there is none.
    #[must_use]
    pub fn reply_headers(&self) -> Option<&HeaderMap> {
        match &self.answer {
            Some(Answer::Reply(reply)) => Some(&reply.headers),
            _ => None,
        }
    }

    /// The client's address.
    #[must_use]
    pub fn client(&self) -> Option<SocketAddr> {
        self.facts.source
    }

    /// How long the upstream takes.
    #[must_use]
    pub fn time(&self) -> Duration {
        self.takes
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

    /// What is kept for the client's connection: requests that are given the same came on one. Each has its own when not said.
    #[must_use]
    pub fn connection_state(mut self, state: &ConnectionState) -> Self {
        self.facts.connection_state = state.clone();
        self
    }

    /// The upstream's address.
    #[must_use]
    pub fn upstream(mut self, upstream: SocketAddr) -> Self {
        self.upstream = upstream;
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
    pub fn reply(self, reply: Reply) -> Self {
        self.answer(reply)
    }

    /// What comes of the request at the upstream, also if that is no reply. A connection that is refused, or closed before a
    /// response, is the proxy's 503, which passes the module; a reset comes after the headers of a 200; at a silent upstream
    /// the client leaves after five minutes.
    ///
    /// ```
    /// use host_harness::test::{Answer, Host, Request};
    ///
    /// # let filter = "(module (memory (export \"memory\") 1) (func (export \"proxy_abi_version_0_2_1\")))";
    /// let mut host = Host::builder().module_bytes(filter).start()?;
    /// let exchange = host.exchange(Request::get("/").answer(Answer::Refusal));
    /// assert_eq!((exchange.status(), exchange.upstream), (Some(503), None));
    /// # Ok::<(), host_harness::test::StartFailure>(())
    /// ```
    #[must_use]
    pub fn answer(mut self, answer: impl Into<Answer>) -> Self {
        self.answer = Some(answer.into());
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
        self.answer = None;
        self.code_details = "downstream_remote_disconnect";
        self.flags = 0x4000;
        self
    }

    /// The end of a body comes by itself after the last piece, in both directions, as proxies have it over HTTP/1; otherwise
    /// it comes with the last piece, as over HTTP/2.
    #[must_use]
    pub fn end_alone(mut self) -> Self {
        self.end_alone = true;
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

    /// Exactly these headers, `:status` among them, in place of all so far.
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

impl Reply {
    /// The reply as a gRPC client gets it.
    pub(super) fn into_grpc_events(self) -> Vec<GrpcEvent> {
        let Self { headers, body, trailers } = self;
        let end = body.is_empty() && trailers.is_none();
        let mut events = vec![GrpcEvent::Headers { headers, end }];
        events.extend(body.into_iter().map(|piece| GrpcEvent::Data(piece.into())));
        match trailers {
            Some(trailers) => events.push(GrpcEvent::Trailers(trailers)),
            None if !end => events.push(GrpcEvent::End),
            None => {}
        }
        events
    }
}
