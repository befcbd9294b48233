//! One request at a time: a slot takes the next request of the mix, sends it on its line, and writes down what came of it.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{Request, Response, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use telemetry::method::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use super::{Kind, Ledger, Plan, Planned};
use crate::client::{self, Connection, Protocol, RequestBody};

/// How long a client waits on HTTP/1.1 before it leaves.
const LEAVE_AFTER: Duration = Duration::from_millis(40);

type ResponseFuture = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>;

/// One connection at a time to the target, opened again when the peer has closed it; shared by the slots of an HTTP/2 connection.
#[derive(Debug)]
pub(super) struct Line {
    target: SocketAddr,
    protocol: Protocol,
    /// After so many requests it is closed and opened anew.
    most: Option<u64>,
    held: Mutex<Held>,
}

/// A line's connection, and how many requests were handed to it.
#[derive(Debug, Default)]
struct Held {
    connection: Option<Connection>,
    requests: u64,
}

impl Line {
    pub(super) fn new(target: SocketAddr, protocol: Protocol, most: Option<u64>) -> Self {
        Self { target, protocol, most, held: Mutex::default() }
    }

    /// Hands a request to the connection.
    async fn send(&self, request: Request<RequestBody>) -> anyhow::Result<ResponseFuture> {
        let mut held = self.held.lock().await;
        if self.most.is_some_and(|most| held.requests >= most) {
            held.requests = 0;
            if let Some(used) = held.connection.take() {
                used.retire();
            }
        }
        let mut live = Connection::kept_or_open(held.connection.take(), self.target, self.protocol).await?;
        let response = Box::pin(live.send(request));
        held.connection = Some(live);
        held.requests += 1;
        Ok(response)
    }

    /// Closes the connection.
    async fn close(&self) {
        self.held.lock().await.connection.take();
    }
}

/// One request at a time.
#[derive(Debug)]
pub(super) struct Slot {
    plan: Arc<Plan>,
    line: Arc<Line>,
    ledger: Ledger,
}

impl Slot {
    pub(super) fn new(plan: Arc<Plan>, line: Arc<Line>) -> Self {
        Self { plan, line, ledger: Ledger::default() }
    }

    /// Takes requests until there are none left.
    pub(super) async fn run(mut self) -> Ledger {
        let stop = self.plan.options.stop.clone();
        // Long polls on HTTP/2 that are to be left: dropped once a later request on the same connection was answered, because then the proxy has
        // certainly read the earlier ones.
        let mut leaving: Vec<ResponseFuture> = Vec::new();
        while let Some(number) = self.plan.take(self.line.protocol).await {
            let planned = self.plan.source.request(number);
            let method = Method::from_bytes(planned.method.as_str().as_bytes());
            let before = self.ledger.total();
            let protocol = self.line.protocol;
            let work = async {
                match (planned.kind, protocol) {
                    (Kind::Plain, _) => {
                        self.exchange(&planned, method).await;
                        leaving.clear();
                    }
                    (Kind::Abort, Protocol::Http1) => self.leave_http1(&planned, method).await,
                    (Kind::Abort, Protocol::Http2) => match self.open(&planned).await {
                        Ok(response) => {
                            self.ledger.abort(method);
                            leaving.push(response);
                        }
                        Err(why) => self.ledger.fail(method, || why),
                    },
                    (Kind::Websocket, _) => self.websocket(&planned, method).await,
                }
            };
            let ended = tokio::select! {
                () = work => true,
                () = stop.cancelled() => false,
            };
            if !ended {
                self.ledger.give_up(before, method, || "the load was stopped".to_owned());
                break;
            }
            self.plan.options.progress.fetch_add(1, Ordering::Relaxed);
        }
        if !leaving.is_empty() {
            tokio::time::sleep(LEAVE_AFTER * 5).await;
        }
        drop(leaving);
        self.ledger
    }

    /// A request, its whole answer, and what the answer says.
    async fn exchange(&mut self, planned: &Planned, method: Method) {
        let patience = self.plan.options.patience;
        let before = self.ledger.total();
        let answered = tokio::time::timeout(patience, async {
            let response = self.open(planned).await?.await.map_err(|error| describe(&error))?;
            self.note(planned, method, &response);
            let mut body = response.into_body();
            while let Some(frame) = body.frame().await {
                if frame.is_err() {
                    return Ok::<_, String>(false);
                }
            }
            Ok(true)
        })
        .await;
        match answered {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => self.ledger.truncated += 1,
            Ok(Err(why)) => self.ledger.fail(method, || format!("{} {}: {why}", planned.method, planned.target)),
            Err(_) => {
                self.ledger.give_up(before, method, || {
                    format!("{} {}: no answer within {} s", planned.method, planned.target, patience.as_secs())
                });
                if self.line.protocol == Protocol::Http1 {
                    self.line.close().await;
                }
            }
        }
    }

    /// Writes down the head of an answer.
    fn note(&mut self, planned: &Planned, method: Method, response: &Response<Incoming>) {
        let status = response.status().as_u16();
        self.ledger.answer(method, status);
        self.ledger.business.answer(planned, status, response.headers());
        if let Some(route) = planned.route {
            self.ledger.answer_of(route, method, status);
        }
        // What the proxy itself refuses before any filter carries no ID.
        let refused = planned.odd && status == 400;
        if let Some(check) = self.plan.options.correlation.as_ref().filter(|_| !refused) {
            self.ledger.correlation.check(check, &planned.id, response.headers(), || {
                format!("{} {} ({status})", planned.method, planned.target)
            });
        }
    }

    /// Hands a request to the line; the answer is still to come.
    async fn open(&self, planned: &Planned) -> Result<ResponseFuture, String> {
        let request = self.request(planned, self.line.protocol).map_err(|error| error.to_string())?;
        self.line.send(request).await.map_err(|error| format!("{error:#}"))
    }

    fn request(&self, planned: &Planned, protocol: Protocol) -> Result<Request<RequestBody>, http::Error> {
        let mut request = Request::builder()
            .method(planned.method.clone())
            .uri(client::uri(protocol, &self.plan.authority, &planned.target)?)
            .body(RequestBody::new(planned.body.clone()))?;
        *request.headers_mut() = planned.headers.clone();
        if protocol == Protocol::Http1 {
            request.headers_mut().insert(header::HOST, http::HeaderValue::try_from(self.plan.authority.as_str())?);
        }
        Ok(request)
    }

    /// A long poll on a connection of its own, which is closed before the answer. Written by hand: only then is it certain that the whole request
    /// has left this process.
    async fn leave_http1(&mut self, planned: &Planned, method: Method) {
        let mut bytes =
            format!("{} {} HTTP/1.1\r\nhost: {}\r\n", planned.method, planned.target, self.plan.authority).into_bytes();
        for (name, value) in &planned.headers {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        let sent = async {
            let mut stream = TcpStream::connect(self.line.target).await?;
            stream.write_all(&bytes).await?;
            // An answer would be a surprise; it is read so that the close is an orderly one.
            let mut head = [0; 12];
            match tokio::time::timeout(LEAVE_AFTER, stream.read_exact(&mut head)).await {
                Err(_) => Ok(None),
                Ok(read) => read.map(|_| Some(head)),
            }
        };
        match sent.await {
            Ok(None) => self.ledger.abort(method),
            Ok(Some(head)) => match head
                .get(9..)
                .and_then(|digits| std::str::from_utf8(digits).ok())
                .and_then(|digits| digits.parse().ok())
            {
                Some(status) => self.ledger.answer(method, status),
                None => self.ledger.fail(method, || "an answer that is not HTTP".to_owned()),
            },
            Err(error) => {
                let error: std::io::Error = error;
                self.ledger.fail(method, || format!("{} {}: {error}", planned.method, planned.target));
            }
        }
    }

    /// A WebSocket on a connection of its own: one message there and back, then a close.
    async fn websocket(&mut self, planned: &Planned, method: Method) {
        let patience = self.plan.options.patience;
        let before = self.ledger.total();
        let talked = tokio::time::timeout(patience, async {
            let mut connection =
                Connection::open(self.line.target, Protocol::Http1).await.map_err(|error| format!("{error:#}"))?;
            let request = self.request(planned, Protocol::Http1).map_err(|error| error.to_string())?;
            let mut response = connection.send(request).await.map_err(|error| describe(&error))?;
            self.note(planned, method, &response);
            if response.status() != http::StatusCode::SWITCHING_PROTOCOLS {
                drop(response.into_body().collect().await);
                return Ok(true);
            }
            let upgraded = hyper::upgrade::on(&mut response).await.map_err(|error| describe(&error))?;
            let mut io = TokioIo::new(upgraded);
            Ok::<_, String>(echoes(&mut io).await.unwrap_or(false))
        })
        .await;
        match talked {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => self.ledger.truncated += 1,
            Ok(Err(why)) => self.ledger.give_up(before, method, || format!("WebSocket {}: {why}", planned.target)),
            Err(_) => self.ledger.give_up(before, method, || {
                format!("WebSocket {}: no answer within {} s", planned.target, patience.as_secs())
            }),
        }
    }
}

/// Sends `hello` and a close, masked with zeros; whether both come back.
async fn echoes(io: &mut (impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin)) -> std::io::Result<bool> {
    io.write_all(b"\x81\x85\0\0\0\0hello\x88\x80\0\0\0\0").await?;
    io.flush().await?;
    let mut back = [0; 9];
    io.read_exact(&mut back).await?;
    io.shutdown().await?;
    Ok(&back == b"\x81\x05hello\x88\x00")
}

/// An error with its causes: hyper's own text leaves them out.
fn describe(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
