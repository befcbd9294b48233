//! gRPC servers, by script.

use std::time::Duration;

use super::Host;
use super::events::{What, nanoseconds};
use crate::{Callout, CalloutId, GrpcCallout, GrpcCommand, GrpcEvent, GrpcId, GrpcReset, HeaderMap, Role};

/// A gRPC callout that a module made, and what it has sent on it so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcRequest {
    /// What it was opened with.
    pub callout: GrpcCallout,
    /// The messages.
    pub messages: Vec<Vec<u8>>,
    /// Nothing follows.
    pub ended: bool,
    /// The module has cancelled it, or what came back was so wrong that the proxy has.
    pub cancelled: bool,
}

impl GrpcRequest {
    /// The request as an HTTP server sees it.
    pub(super) fn as_callout(&self) -> Callout {
        let GrpcCallout { cluster, headers, timeout, .. } = self.callout.clone();
        let frame = |message: &Vec<u8>| [&[0], prefix(message).as_slice(), message].concat();
        let body = self.messages.iter().flat_map(frame).collect();
        let GrpcId { generation, token } = self.callout.id;
        Callout { id: CalloutId { generation, token }, cluster, headers, body, trailers: HeaderMap::new(), timeout }
    }

    /// The newest message.
    #[must_use]
    pub fn message(&self) -> Option<&[u8]> {
        self.messages.last().map(Vec::as_slice)
    }

    /// The path: service and method.
    #[must_use]
    pub fn path(&self) -> &str {
        self.callout.header(":path").unwrap_or_default()
    }

    /// A header's first value, the initial metadata among them, where it is UTF-8.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.callout.header(name)
    }
}

/// What a gRPC server sends, in order.
///
/// ```
/// use std::time::Duration;
///
/// use host_harness::test::{GrpcReply, Host, Upstream};
///
/// let limits = Upstream::grpc(|request| match request.message() {
///     Some(b"many") => GrpcReply::new().status(8, "too many"),
///     _ => GrpcReply::new().after(Duration::from_millis(3)).message("fine").status(0, ""),
/// });
/// let builder = Host::builder().cluster("limits", limits);
/// # let _ = builder;
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrpcReply {
    metadata: HeaderMap,
    trailers: HeaderMap,
    wait: Duration,
    steps: Vec<(Duration, GrpcEvent)>,
}

impl GrpcReply {
    /// Nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A line of initial metadata, which goes out before the first message.
    #[must_use]
    pub fn metadata(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.metadata.add(name, value);
        self
    }

    /// Waits before what follows.
    #[must_use]
    pub fn after(mut self, time: Duration) -> Self {
        self.wait = self.wait.saturating_add(time);
        self
    }

    /// A message.
    #[must_use]
    pub fn message(self, message: impl AsRef<[u8]>) -> Self {
        let message = message.as_ref();
        self.bytes([&[0], prefix(message).as_slice(), message].concat())
    }

    /// Bytes where messages are expected.
    #[must_use]
    pub fn bytes(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.step(GrpcEvent::Data(bytes.into().into()))
    }

    /// A line of trailing metadata, which goes out with the status.
    #[must_use]
    pub fn trailer(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.trailers.add(name, value);
        self
    }

    /// The end, in trailers; the message is not said where it is empty.
    #[must_use]
    pub fn status(mut self, status: u32, message: &str) -> Self {
        let mut trailers = std::mem::take(&mut self.trailers);
        trailers.add("grpc-status", status.to_string());
        if !message.is_empty() {
            trailers.add("grpc-message", message);
        }
        self.step(GrpcEvent::Trailers(trailers))
    }

    /// The end, without trailers.
    #[must_use]
    pub fn end(self) -> Self {
        self.step(GrpcEvent::End)
    }

    /// A whole response in headers: an error of the server, or of something before it.
    #[must_use]
    pub fn headers_only(self, headers: impl Into<HeaderMap>) -> Self {
        self.step(GrpcEvent::Headers { headers: headers.into(), end: true })
    }

    /// The stream is broken off.
    #[must_use]
    pub fn reset(self, reset: GrpcReset) -> Self {
        self.step(GrpcEvent::Reset(reset))
    }

    /// What goes out, and after which time from now; headers first, unless they have gone out.
    pub(super) fn into_steps(self, began: bool) -> Vec<(Duration, GrpcEvent)> {
        let mut headers = HeaderMap::from([(":status", "200"), ("content-type", "application/grpc")]);
        headers.extend(self.metadata.iter());
        let mut began = began;
        let mut time = Duration::ZERO;
        let mut steps = Vec::new();
        for (wait, event) in self.steps {
            time = time.saturating_add(wait);
            if !began && !matches!(event, GrpcEvent::Headers { .. } | GrpcEvent::Reset(_)) {
                steps.push((time, GrpcEvent::Headers { headers: headers.clone(), end: false }));
            }
            began = true;
            steps.push((time, event));
        }
        steps
    }

    fn step(mut self, event: GrpcEvent) -> Self {
        self.steps.push((std::mem::take(&mut self.wait), event));
        self
    }
}

/// A message's length, as it goes before it.
fn prefix(message: &[u8]) -> [u8; 4] {
    u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes()
}

/// A callout, and how far what is sent to it has come.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) role: Role,
    pub(super) request: GrpcRequest,
    /// The server's headers have gone out.
    began: bool,
    /// When the last thing comes of what the server has sent.
    until_ns: u64,
}

impl Exchange {
    /// What it takes, about.
    pub(super) fn size(&self) -> usize {
        let GrpcRequest { callout, messages, .. } = &self.request;
        let messages: usize = messages.iter().map(|message| message.len() + size_of::<Vec<u8>>()).sum();
        size_of::<Self>() + callout.headers.byte_size() + messages
    }
}

impl Host {
    /// Every gRPC callout that the module made so far, in order, with what it has sent on it; of those of more than 256 MiB the
    /// newest.
    pub fn grpc_callouts(&mut self) -> Vec<&GrpcRequest> {
        self.collect(Duration::ZERO);
        self.grpc.iter().map(|exchange| &exchange.request).collect()
    }

    /// Takes what a module did with its gRPC callouts, and lets the servers decide.
    pub(super) fn collect_grpc(&mut self, role: Role, commands: Vec<GrpcCommand>, at_least: Duration) {
        for command in commands {
            match command {
                GrpcCommand::Open(callout) => {
                    let (id, timeout) = (callout.id, callout.timeout);
                    let request = GrpcRequest { callout, messages: Vec::new(), ended: false, cancelled: false };
                    let exchange = Exchange { role, request, began: false, until_ns: 0 };
                    self.made_bytes += exchange.size();
                    self.grpc.push(exchange);
                    if let Some(timeout) = timeout {
                        let due_ns = self.now_ns().saturating_add(nanoseconds(timeout.max(at_least)));
                        self.owe(due_ns, role, What::Grpc(id, GrpcEvent::Timeout));
                    }
                    if id.is_stream() {
                        self.serve_grpc(role, id, at_least, |_| {});
                    }
                }
                GrpcCommand::Send { id, frame, end } => {
                    self.made_bytes += frame.len() + size_of::<Vec<u8>>();
                    self.serve_grpc(role, id, at_least, |request| {
                        request.messages.push(frame.get(5..).unwrap_or_default().to_vec());
                        request.ended = end;
                    });
                }
                GrpcCommand::Close(id) => self.serve_grpc(role, id, at_least, |request| request.ended = true),
                GrpcCommand::Cancel(id) => {
                    if let Some(exchange) = self.exchange_of(role, id) {
                        exchange.request.cancelled = true;
                    }
                }
            }
        }
    }

    fn exchange_of(&mut self, role: Role, id: GrpcId) -> Option<&mut Exchange> {
        self.grpc.iter_mut().rev().find(|exchange| exchange.role == role && exchange.request.callout.id == id)
    }

    /// Something has reached the server, which may send something.
    fn serve_grpc(&mut self, role: Role, id: GrpcId, at_least: Duration, change: impl FnOnce(&mut GrpcRequest)) {
        let now = self.now_ns();
        let Self { grpc, clusters, .. } = self;
        let mut exchanges = grpc.iter_mut().rev();
        let Some(exchange) = exchanges.find(|exchange| exchange.role == role && exchange.request.callout.id == id)
        else {
            return;
        };
        change(&mut exchange.request);
        let cluster = &exchange.request.callout.cluster;
        let Some((_, upstream)) = clusters.iter().find(|(name, _)| name == cluster) else { return };
        let mut sent = Vec::new();
        for (after, event) in upstream.grpc_answer(&exchange.request, exchange.began) {
            exchange.began = true;
            // In the order in which it was sent.
            let due_ns = now.saturating_add(nanoseconds(after.max(at_least))).max(exchange.until_ns);
            exchange.until_ns = due_ns;
            sent.push((due_ns, event));
        }
        for (due_ns, event) in sent {
            self.owe(due_ns, role, What::Grpc(id, event));
        }
    }
}
