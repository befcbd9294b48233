//! Connections of one worker to the upstream.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::options::Endpoint;
use super::request_body::RequestBody;
use super::trailers::{Outgoing, Trailing};

/// Idle connections beyond this are closed.
const MAX_IDLE: usize = 256;
/// Below the keep-alive of common servers, so that a request seldom meets a connection that is just closing.
const IDLE_FOR: Duration = Duration::from_secs(30);

/// Connections of one worker to the upstream: HTTP/1.1 ones that wait for a request, and one HTTP/2 connection for gRPC.
#[derive(Debug)]
pub(super) struct Pool {
    upstream: Endpoint,
    connect_timeout: Duration,
    idle: RefCell<Vec<Idle>>,
    multiplexed: RefCell<Option<(http2::SendRequest<RequestBody>, Line)>>,
    closed: Cell<bool>,
}

#[derive(Debug)]
struct Idle {
    sender: http1::SendRequest<RequestBody>,
    line: Line,
    since: Instant,
}

/// A connection on which a request goes out.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// The upstream's end.
    pub(super) address: SocketAddr,
    /// The proxy's end.
    pub(super) local: SocketAddr,
    /// Trailers on their way to the upstream over HTTP/1.
    pub(super) trailers: Outgoing,
}

/// Why a request got no answer.
#[derive(Debug)]
pub(super) enum PoolError {
    /// There was no connection to be had.
    Connect(std::io::Error),
    /// Connecting took too long.
    ConnectTimeout,
    /// The connection ended, or what came over it was not HTTP.
    Request(hyper::Error),
}

/// Runs what hyper wants to run beside a connection on this thread.
#[derive(Debug, Clone, Copy)]
pub(super) struct LocalExecutor;

impl<F> hyper::rt::Executor<F> for LocalExecutor
where
    F: Future + 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}

impl Pool {
    pub(super) fn new(upstream: Endpoint, connect_timeout: Duration) -> Rc<Self> {
        Rc::new(Self {
            upstream,
            connect_timeout,
            idle: RefCell::default(),
            multiplexed: RefCell::default(),
            closed: Cell::default(),
        })
    }

    /// Closes what is idle, now and from now on.
    pub(super) fn close(&self) {
        self.closed.set(true);
        self.idle.borrow_mut().clear();
        self.multiplexed.borrow_mut().take();
    }

    /// Sends a request over HTTP/1.1 and gives the response's head. A connection that turns out to have been closed before
    /// it took the request is replaced by another.
    pub(super) async fn send(
        self: &Rc<Self>,
        mut request: Request<RequestBody>,
        connected: impl Fn(&Line),
    ) -> Result<Response<Incoming>, PoolError> {
        loop {
            let reused = self.take_idle();
            let fresh = reused.is_none();
            let (mut sender, line) = match reused {
                Some(idle) => idle,
                None => self.connect_http1().await?,
            };
            connected(&line);
            match sender.try_send_request(request).await {
                Ok(response) => {
                    self.keep_when_ready(sender, line);
                    return Ok(response);
                }
                Err(error) => request = again(error, fresh)?,
            }
        }
    }

    /// The same over HTTP/2, which gRPC needs.
    pub(super) async fn send_http2(
        self: &Rc<Self>,
        mut request: Request<RequestBody>,
        connected: impl Fn(&Line),
    ) -> Result<Response<Incoming>, PoolError> {
        loop {
            let shared = self.multiplexed.borrow().clone().filter(|(sender, _)| !sender.is_closed());
            let fresh = shared.is_none();
            let (mut sender, line) = match shared {
                Some(shared) => shared,
                None => self.connect_http2().await?,
            };
            connected(&line);
            match sender.try_send_request(request).await {
                Ok(response) => return Ok(response),
                Err(error) => request = again(error, fresh)?,
            }
        }
    }

    fn take_idle(&self) -> Option<(http1::SendRequest<RequestBody>, Line)> {
        let mut idle = self.idle.borrow_mut();
        while let Some(Idle { sender, line, since }) = idle.pop() {
            if sender.is_ready() && since.elapsed() < IDLE_FOR {
                return Some((sender, line));
            }
        }
        None
    }

    fn keep_when_ready(self: &Rc<Self>, mut sender: http1::SendRequest<RequestBody>, line: Line) {
        let pool = Rc::clone(self);
        tokio::task::spawn_local(async move {
            if sender.ready().await.is_err() || pool.closed.get() {
                return;
            }
            let mut idle = pool.idle.borrow_mut();
            idle.retain(|idle| idle.sender.is_ready() && idle.since.elapsed() < IDLE_FOR);
            if idle.len() < MAX_IDLE {
                idle.push(Idle { sender, line, since: Instant::now() });
            }
        });
    }

    async fn connect(&self) -> Result<(TcpStream, Line), PoolError> {
        let target = (self.upstream.host(), self.upstream.port());
        let connecting = tokio::time::timeout(self.connect_timeout, TcpStream::connect(target));
        let stream = connecting.await.map_err(|_| PoolError::ConnectTimeout)?.map_err(PoolError::Connect)?;
        stream.set_nodelay(true).map_err(PoolError::Connect)?;
        let address = stream.peer_addr().map_err(PoolError::Connect)?;
        let local = stream.local_addr().map_err(PoolError::Connect)?;
        Ok((stream, Line { address, local, trailers: Outgoing::default() }))
    }

    async fn connect_http1(&self) -> Result<(http1::SendRequest<RequestBody>, Line), PoolError> {
        let (stream, line) = self.connect().await?;
        let (sender, connection) = http1::Builder::new()
            .max_headers(1000)
            .handshake(TokioIo::new(Trailing::new(stream, line.trailers.clone())))
            .await
            .map_err(PoolError::Request)?;
        // Its errors reach the request that is on it.
        tokio::task::spawn_local(connection.with_upgrades());
        Ok((sender, line))
    }

    async fn connect_http2(&self) -> Result<(http2::SendRequest<RequestBody>, Line), PoolError> {
        let (stream, line) = self.connect().await?;
        let (sender, connection) =
            http2::handshake(LocalExecutor, TokioIo::new(stream)).await.map_err(PoolError::Request)?;
        tokio::task::spawn_local(connection);
        if !self.closed.get() {
            *self.multiplexed.borrow_mut() = Some((sender.clone(), line.clone()));
        }
        Ok((sender, line))
    }
}

/// The request, if it never went out and another connection may do better.
fn again(mut error: TrySendError<Request<RequestBody>>, fresh: bool) -> Result<Request<RequestBody>, PoolError> {
    match error.take_message() {
        Some(request) if !fresh => Ok(request),
        _ => Err(PoolError::Request(error.into_error())),
    }
}
