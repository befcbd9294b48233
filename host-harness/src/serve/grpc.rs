//! gRPC callouts over HTTP/2. What comes back waits until the VM has taken what came before, and the upstream with it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::error::Error;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{FutureExt as _, LocalBoxFuture, Shared};
use http::uri::PathAndQuery;
use http::{Method, Request, Response, Uri};
use http_body::{Body as _, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::callouts::{Answer, within};
use super::exchange::http_headers;
use super::options::Endpoint;
use super::pool::LocalExecutor;
use crate::{GrpcCallout, GrpcCommand, GrpcEvent, GrpcId, GrpcReset, HeaderMap};

/// Carries out one thread's gRPC callouts.
#[derive(Debug)]
pub(super) struct Grpc {
    channels: Vec<(String, Option<Rc<Channel>>)>,
    answers: mpsc::Sender<Answer>,
    open: Rc<RefCell<HashMap<GrpcId, Open>>>,
}

/// A callout that is under way.
#[derive(Debug)]
struct Open {
    /// To the request's body, while it has not ended.
    messages: Option<Messages>,
    /// How much of the request's body is to come, if its headers say so.
    declared: Option<usize>,
    cancelled: CancellationToken,
}

type Messages = mpsc::UnboundedSender<Result<Bytes, h2::Error>>;
type Body = UnsyncBoxBody<Bytes, h2::Error>;

impl Grpc {
    pub(super) fn new(
        clusters: &[(String, Option<Endpoint>)],
        connect_timeout: Duration,
        answers: mpsc::Sender<Answer>,
    ) -> Self {
        let channel = |endpoint: &Endpoint| Rc::new(Channel::new(endpoint.clone(), connect_timeout));
        let channels = clusters.iter().map(|(name, endpoint)| (name.clone(), endpoint.as_ref().map(channel))).collect();
        Self { channels, answers, open: Rc::default() }
    }

    /// Does what the module asked for; does not wait.
    pub(super) fn carry_out(&self, commands: Vec<GrpcCommand>) {
        for command in commands {
            match command {
                GrpcCommand::Open(callout) => self.open(callout),
                GrpcCommand::Send { id, frame, end } => self.send(id, frame, end),
                GrpcCommand::Close(id) => self.send(id, Bytes::new(), true),
                GrpcCommand::Cancel(id) => {
                    if let Some(open) = self.open.borrow_mut().remove(&id) {
                        open.cancel();
                    }
                }
            }
        }
    }

    /// The VM hears nothing any more.
    pub(super) fn cancel_all(&self) {
        for (_, open) in self.open.borrow_mut().drain() {
            open.cancel();
        }
    }

    fn send(&self, id: GrpcId, frame: Bytes, end: bool) {
        let mut all = self.open.borrow_mut();
        let Some(open) = all.get_mut(&id) else { return };
        if !open.fits(frame.len(), end) {
            open.cancel();
            all.remove(&id);
            let answers = self.answers.clone();
            let answer = Answer::Grpc(id, GrpcEvent::Reset(GrpcReset::ProtocolError));
            // When nobody listens any more, the VM is gone.
            tokio::task::spawn_local(async move { drop(answers.send(answer).await) });
            return;
        }
        let messages = if end { open.messages.take() } else { open.messages.clone() };
        if let Some(messages) = messages.filter(|_| !frame.is_empty()) {
            // When nobody listens any more, the response has ended.
            _ = messages.send(Ok(frame));
        }
    }

    fn open(&self, callout: GrpcCallout) {
        let GrpcCallout { id, cluster, headers, timeout } = callout;
        let channel = self.channels.iter().find(|(name, _)| *name == cluster).and_then(|(_, channel)| channel.clone());
        let (messages, mut body) = mpsc::unbounded_channel();
        let frames = futures_util::stream::poll_fn(move |cx| body.poll_recv(cx).map(|next| next.map(framed)));
        let request = request(&headers, StreamBody::new(frames).boxed_unsync());
        let cancelled = CancellationToken::new();
        let declared = headers.get("content-length").and_then(|length| std::str::from_utf8(length).ok()?.parse().ok());
        let open = Open { messages: Some(messages), declared, cancelled: cancelled.clone() };
        self.open.borrow_mut().insert(id, open);
        let (answers, all) = (self.answers.clone(), Rc::clone(&self.open));
        tokio::task::spawn_local(async move {
            let run = async {
                let deadline = timeout.map(|timeout| Instant::now() + timeout);
                let last = match (channel, request) {
                    (Some(channel), Some(request)) => carry_out(&channel, request, deadline, id, &answers).await,
                    _ => GrpcEvent::Reset(GrpcReset::ProtocolError),
                };
                if let Some(open) = all.borrow_mut().remove(&id) {
                    open.reset_request();
                }
                // When nobody listens any more, the VM is gone.
                drop(answers.send(Answer::Grpc(id, last)).await);
            };
            tokio::select! {
                () = run => {}
                () = cancelled.cancelled() => {}
            }
        });
    }
}

impl Open {
    /// Whether a piece of the body is what the headers declare.
    fn fits(&mut self, size: usize, end: bool) -> bool {
        let Some(declared) = &mut self.declared else { return true };
        let left = declared.checked_sub(size);
        *declared = left.unwrap_or_default();
        left.is_some_and(|left| !end || left == 0)
    }

    fn cancel(&self) {
        self.reset_request();
        self.cancelled.cancel();
    }

    /// Breaks off a request that has not ended; else it would look as if it had.
    fn reset_request(&self) {
        if let Some(messages) = &self.messages {
            // When nobody listens any more, it is broken off already.
            _ = messages.send(Err(h2::Reason::CANCEL.into()));
        }
    }
}

fn framed(message: Result<Bytes, h2::Error>) -> Result<Frame<Bytes>, h2::Error> {
    message.map(Frame::data)
}

/// The request as it goes out; none if it is not one that HTTP can carry.
fn request(map: &HeaderMap, body: Body) -> Option<Request<Body>> {
    let path = PathAndQuery::try_from(map.get(":path")?).ok()?;
    let uri = Uri::builder().scheme(map.get(":scheme")?).authority(map.get(":authority")?).path_and_query(path);
    let mut request = Request::new(body);
    *request.method_mut() = Method::from_bytes(map.get(":method")?).ok()?;
    *request.uri_mut() = uri.build().ok()?;
    *request.headers_mut() = http_headers(map);
    Some(request)
}

/// One callout, from the request to what ends its response, which is returned.
async fn carry_out(
    channel: &Channel,
    request: Request<Body>,
    deadline: Option<Instant>,
    id: GrpcId,
    answers: &mpsc::Sender<Answer>,
) -> GrpcEvent {
    let response = match within(deadline, channel.send(request)).await {
        Some(Ok(response)) => response,
        Some(Err(reset)) => return GrpcEvent::Reset(reset),
        None => return GrpcEvent::Timeout,
    };
    let (parts, mut body) = response.into_parts();
    let mut headers = HeaderMap::from([(":status", parts.status.as_str())]);
    headers.extend(parts.headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())));
    let end = body.is_end_stream();
    let mut event = GrpcEvent::Headers { headers, end };
    loop {
        if matches!(event, GrpcEvent::Headers { end: true, .. } | GrpcEvent::Trailers(_) | GrpcEvent::End) {
            return event;
        }
        // When nobody listens any more, the VM is gone.
        drop(answers.send(Answer::Grpc(id, event)).await);
        event = match within(deadline, body.frame()).await {
            Some(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => GrpcEvent::Data(data),
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    let trailers = trailers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
                    GrpcEvent::Trailers(trailers.collect())
                }
            },
            Some(Some(Err(error))) => return GrpcEvent::Reset(reason(&error)),
            Some(None) => GrpcEvent::End,
            None => return GrpcEvent::Timeout,
        };
    }
}

/// Why hyper could not go on.
fn reason(error: &hyper::Error) -> GrpcReset {
    let cause = error.source().and_then(|source| source.downcast_ref::<h2::Error>());
    match cause {
        Some(cause) if cause.is_reset() => GrpcReset::RemoteReset,
        Some(cause) if cause.is_library() => GrpcReset::ProtocolError,
        _ => GrpcReset::ConnectionTermination,
    }
}

/// The way to a cluster: a connection that all callouts share, made when it is needed.
struct Channel {
    endpoint: Endpoint,
    connect_timeout: Duration,
    connection: RefCell<Option<Connection>>,
}

/// None if it could not be made.
type Connection = Shared<LocalBoxFuture<'static, Option<SendRequest<Body>>>>;

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Channel {
    fn new(endpoint: Endpoint, connect_timeout: Duration) -> Self {
        Self { endpoint, connect_timeout, connection: RefCell::default() }
    }

    /// Sends a request. A connection that turns out to have been closed before it took the request is replaced by another.
    async fn send(&self, mut request: Request<Body>) -> Result<Response<Incoming>, GrpcReset> {
        loop {
            let (connection, fresh) = self.connection();
            let mut sender = connection.await.ok_or(GrpcReset::ConnectionFailure)?;
            match sender.try_send_request(request).await {
                Ok(response) => return Ok(response),
                Err(mut error) => match error.take_message() {
                    Some(unsent) if !fresh => request = unsent,
                    _ => return Err(reason(error.error())),
                },
            }
        }
    }

    /// The connection, and whether it is a new one.
    fn connection(&self) -> (Connection, bool) {
        let mut slot = self.connection.borrow_mut();
        let usable = |connection: &&Connection| match connection.peek() {
            Some(made) => made.as_ref().is_some_and(|sender| !sender.is_closed()),
            None => true,
        };
        if let Some(connection) = slot.as_ref().filter(usable) {
            return (connection.clone(), false);
        }
        let connection = connect(self.endpoint.clone(), self.connect_timeout).boxed_local().shared();
        (slot.insert(connection).clone(), true)
    }
}

async fn connect(endpoint: Endpoint, timeout: Duration) -> Option<SendRequest<Body>> {
    let connecting = tokio::time::timeout(timeout, TcpStream::connect((endpoint.host(), endpoint.port())));
    let stream = connecting.await.ok()?.ok()?;
    stream.set_nodelay(true).ok()?;
    let (sender, connection) = http2::handshake(LocalExecutor, TokioIo::new(stream)).await.ok()?;
    // Its errors reach the requests that are on it.
    tokio::task::spawn_local(connection);
    Some(sender)
}
