//! A small HTTP client over hyper's connections: one TCP connection at a time, HTTP/1.1 or HTTP/2 by choice, nothing retried and nothing pooled.
//!
//! A load generator that keeps exact books cannot use a client that retries or reconnects behind its back.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// The body of every request that is sent.
pub type RequestBody = Full<Bytes>;

/// The protocol of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// HTTP/1.1 with keep-alive.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
}

/// A whole response.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, at most [`Answer::LIMIT`] bytes.
    pub body: Bytes,
}

impl Answer {
    /// The longest body that [`get`] takes: a scrape of a proxy at its series budget is some tens of MiB.
    pub const LIMIT: usize = 256 << 20;
}

/// One open connection.
#[derive(Debug)]
pub struct Connection {
    sender: Sender,
    driver: JoinHandle<()>,
    /// Whether the driver may go on by itself when this is dropped.
    retired: bool,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<RequestBody>),
    Http2(http2::SendRequest<RequestBody>),
}

impl Connection {
    /// Connects and shakes hands.
    pub async fn open(to: SocketAddr, protocol: Protocol) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(to).await.with_context(|| format!("no connection to {to}"))?;
        stream.set_nodelay(true)?;
        let io = TokioIo::new(stream);
        // A connection's own error reaches the request in flight; there is nobody else to tell.
        Ok(match protocol {
            Protocol::Http1 => {
                let (sender, connection) = http1::handshake(io).await?;
                let driver = tokio::spawn(async move { drop(connection.with_upgrades().await) });
                Self { sender: Sender::Http1(sender), driver, retired: false }
            }
            Protocol::Http2 => {
                let (sender, connection) =
                    http2::Builder::new(TokioExecutor::new()).timer(TokioTimer::new()).handshake(io).await?;
                let driver = tokio::spawn(async move { drop(connection.await) });
                Self { sender: Sender::Http2(sender), driver, retired: false }
            }
        })
    }

    /// The connection that was kept, if its peer has not closed it, else a new one; ready for a request.
    pub async fn kept_or_open(kept: Option<Self>, to: SocketAddr, protocol: Protocol) -> anyhow::Result<Self> {
        if let Some(mut kept) = kept
            && kept.ready().await
        {
            return Ok(kept);
        }
        let mut fresh = Self::open(to, protocol).await?;
        anyhow::ensure!(fresh.ready().await, "{to} closed a new connection");
        Ok(fresh)
    }

    /// The connection's protocol.
    pub fn protocol(&self) -> Protocol {
        match &self.sender {
            Sender::Http1(_) => Protocol::Http1,
            Sender::Http2(_) => Protocol::Http2,
        }
    }

    /// Waits until a request can be sent; `false` when the peer has closed the connection.
    pub async fn ready(&mut self) -> bool {
        match &mut self.sender {
            Sender::Http1(sender) => sender.ready().await.is_ok(),
            Sender::Http2(sender) => sender.ready().await.is_ok(),
        }
    }

    /// Hands a request to the connection at once; the future is its response. Two requests handed over in turn reach the peer in that order.
    pub fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = hyper::Result<Response<Incoming>>> + Send + use<> {
        let (http1, http2) = match &mut self.sender {
            Sender::Http1(sender) => (Some(sender.send_request(request)), None),
            Sender::Http2(sender) => (None, Some(sender.send_request(request))),
        };
        async move {
            match (http1, http2) {
                (Some(response), _) => response.await,
                (_, Some(response)) => response.await,
                (None, None) => std::future::pending().await,
            }
        }
    }
}

impl Connection {
    /// Sends nothing more, and closes the connection as soon as what is in flight has been answered. (Dropping it closes it at once.)
    pub fn retire(mut self) {
        self.retired = true;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if !self.retired {
            self.driver.abort();
        }
    }
}

/// `GET path`, whole, within ten seconds.
pub async fn get(from: SocketAddr, path: &str) -> anyhow::Result<Answer> {
    let exchange = async {
        let mut connection = Connection::open(from, Protocol::Http1).await?;
        let request = Request::get(path).header(http::header::HOST, from.to_string()).body(RequestBody::default())?;
        let response = connection.send(request).await?;
        let (head, body) = response.into_parts();
        let body = http_body_util::Limited::new(body, Answer::LIMIT)
            .collect()
            .await
            .map_err(|error| anyhow::anyhow!(error))?
            .to_bytes();
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    };
    tokio::time::timeout(Duration::from_secs(10), exchange)
        .await
        .with_context(|| format!("http://{from}{path} did not answer within 10 s"))?
}

/// The URI to put into a request for `target` (`/path?query`, `*` or absolute) on a connection of this protocol.
///
/// HTTP/2 has no target but `:scheme`, `:authority` and `:path`, which hyper takes from an absolute URI.
pub fn uri(protocol: Protocol, authority: &str, target: &str) -> Result<Uri, http::Error> {
    match protocol {
        Protocol::Http1 => Ok(Uri::try_from(target)?),
        Protocol::Http2 => Uri::builder().scheme("http").authority(authority).path_and_query(target).build(),
    }
}
