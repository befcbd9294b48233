//! An upstream whose behaviour each request chooses, by header: whatever the path and method are.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

/// The request header that chooses what the upstream does: `;`-separated `name=value` words.
///
/// `status=503`, `delay-ms=20`, `bytes=1000`, `chunks=5`, `grpc-status=13` (in trailers), `set-NAME=value` (a response header),
/// `hang`, `reset`.
pub(crate) const BEHAVIOUR: &str = "x-test-behaviour";

/// The response header in which the upstream tells the correlation IDs it was sent: the lines, joined by `|`.
pub(crate) const SEEN: &str = "x-test-seen";

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// A running upstream; it stops when dropped.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    _task: AbortOnDropHandle<()>,
}

impl Upstream {
    /// Starts on a free loopback port.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let Ok((socket, _)) = listener.accept().await else { continue };
                let _ = socket.set_nodelay(true);
                connections.spawn(async move {
                    let _ = auto::Builder::new(TokioExecutor::new())
                        .serve_connection_with_upgrades(TokioIo::new(socket), service_fn(answer))
                        .await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, _task: AbortOnDropHandle::new(task) }
    }

    /// Goes away, and returns when nothing of it is left.
    pub(crate) async fn stop(self) {
        let Self { _task: task, .. } = self;
        task.abort();
        let _ = task.await;
    }

    /// Its address as a URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

#[derive(Debug)]
struct Reset;

impl std::fmt::Display for Reset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is dropped on purpose")
    }
}

impl std::error::Error for Reset {}

async fn answer(mut request: Request<Incoming>) -> Result<Response<Body>, Reset> {
    let behaviour = request
        .headers()
        .get(BEHAVIOUR)
        .map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned())
        .unwrap_or_default();
    let words: Vec<(&str, &str)> =
        behaviour.split(';').map(|w| w.trim().split_once('=').unwrap_or((w.trim(), ""))).collect();
    let word = |name: &str| words.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
    let number = |name: &str| word(name).map(|v| v.parse::<u64>().unwrap());

    let seen: Vec<Vec<u8>> =
        request.headers().get_all("x-correlation-id").iter().map(|v| v.as_bytes().to_vec()).collect();

    if request.headers().get("upgrade").is_some() {
        return Ok(upgrade(&mut request, &seen));
    }
    // The body is read before the answer, so that a client's upload always ends.
    let _ = request.into_body().collect().await;
    if let Some(delay) = number("delay-ms") {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
    if word("hang").is_some() {
        std::future::pending::<()>().await;
    }
    if word("reset").is_some() {
        return Err(Reset);
    }

    let status = StatusCode::from_u16(number("status").unwrap_or(200) as u16).unwrap();
    let mut response = Response::new(body(&words));
    *response.status_mut() = status;
    response.headers_mut().insert(SEEN, seen_value(&seen));
    if word("grpc-status").is_some() {
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    }
    for (name, value) in words.iter().filter_map(|(name, value)| Some((name.strip_prefix("set-")?, value))) {
        response.headers_mut().insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    if word("own-id").is_some() {
        response.headers_mut().insert("x-correlation-id", HeaderValue::from_static("id-of-the-upstream"));
    }
    Ok(response)
}

fn body(words: &[(&str, &str)]) -> Body {
    let word = |name: &str| words.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
    let bytes = word("bytes").map_or(2, |v| v.parse::<usize>().unwrap());
    if let Some(status) = word("grpc-status") {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_str(status).unwrap());
        let frames =
            vec![Ok(Frame::data(Bytes::from(vec![0_u8; bytes]))), Ok::<_, std::io::Error>(Frame::trailers(trailers))];
        return BodyExt::boxed_unsync(StreamBody::new(stream::iter(frames)));
    }
    if let Some(chunks) = word("chunks") {
        let chunks = chunks.parse::<usize>().unwrap().max(1);
        let frames: Vec<Result<_, std::io::Error>> =
            (0..chunks).map(|_| Ok(Frame::data(Bytes::from(vec![b'x'; bytes])))).collect();
        return BodyExt::boxed_unsync(StreamBody::new(stream::iter(frames)));
    }
    Full::new(Bytes::from(vec![b'x'; bytes])).map_err(|never: Infallible| match never {}).boxed_unsync()
}

fn seen_value(seen: &[Vec<u8>]) -> HeaderValue {
    HeaderValue::from_bytes(&seen.join(&b'|')).unwrap_or(HeaderValue::from_static("unprintable"))
}

/// Accepts any upgrade and echoes the bytes until the client closes.
fn upgrade(request: &mut Request<Incoming>, seen: &[Vec<u8>]) -> Response<Body> {
    let protocol = request.headers().get("upgrade").cloned().unwrap_or(HeaderValue::from_static("websocket"));
    let upgraded = hyper::upgrade::on(request);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgraded.await {
            let (mut read, mut write) = tokio::io::split(TokioIo::new(upgraded));
            let _ = tokio::io::copy(&mut read, &mut write).await;
            let _ = write.shutdown().await;
        }
    });
    let mut response = Response::new(Empty::new().map_err(|never: Infallible| match never {}).boxed_unsync());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert("connection", HeaderValue::from_static("Upgrade"));
    headers.insert(HeaderName::from_static("upgrade"), protocol);
    headers.insert(SEEN, seen_value(seen));
    response
}
