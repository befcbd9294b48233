//! A proxy with a counting module in front of an upstream that does what its paths say.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use host_harness::serve::{RunningServer, ServeOptions, start};
use host_harness::{Module, PluginConfig};
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{Full, StreamBody};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A running proxy and what it needs.
pub struct Site {
    pub server: RunningServer,
    pub log: tempfile::NamedTempFile,
    _upstream: Upstream,
}

/// Ends the upstream when dropped.
struct Upstream(tokio::task::JoinHandle<()>);

impl Drop for Upstream {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Drains the proxy while the upstream still answers.
pub async fn shutdown(site: Site) {
    let Site { server, log: _log, _upstream } = site;
    tokio::time::timeout(Duration::from_secs(20), server.shutdown()).await.unwrap();
}

pub fn module() -> Module {
    Module::from_bytes(include_bytes!("counting.wat").as_slice()).unwrap()
}

/// A proxy in front of the test upstream, with other options if wanted.
pub async fn site(change: impl FnOnce(&mut ServeOptions)) -> Site {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let upstream = tokio::spawn(upstream(listener));
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut options = ServeOptions::new(module(), PluginConfig::default(), address.into());
    options.access_log = Some(log.path().to_owned());
    change(&mut options);
    Site { server: start(options).await.unwrap(), log, _upstream: Upstream(upstream) }
}

impl Site {
    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.server.listen).await.unwrap()
    }

    /// Sends bytes on a connection of their own and reads until the other side closes or says nothing for a while.
    pub async fn raw(&self, bytes: &[u8]) -> String {
        let mut socket = self.connect().await;
        // The proxy may answer and close before it has read everything.
        let _ = socket.write_all(bytes).await;
        read_some(&mut socket).await
    }

    pub fn counter(&self, name: &str) -> u64 {
        self.server.shared().stats().counter(name).value()
    }

    fn proxy(&self, name: &str) -> u64 {
        self.counter(&format!("http.ingress.downstream_{name}"))
    }

    /// Waits until `streams` streams have ended, and checks that proxy, module and access log agree on them.
    pub async fn ended(&self, streams: u64) {
        let text = || self.log();
        until(|| self.proxy("rq_total") >= streams && text().lines().count() as u64 >= streams).await;
        assert_eq!(self.proxy("rq_total"), streams, "{}", text());
        assert_eq!(self.counter("wasmcustom.logged"), streams, "{}", text());
        assert_eq!(text().lines().count() as u64, streams, "{}", text());
        let lines = self.lines();
        for class in 1..=5 {
            let logged = lines.iter().filter(|line| line["status"].as_u64().unwrap() / 100 == class).count();
            assert_eq!(self.proxy(&format!("rq_{class}xx")), logged as u64, "{}", text());
        }
    }

    /// The access log, without a line that is still being written.
    fn log(&self) -> String {
        let mut text = std::fs::read_to_string(self.log.path()).unwrap();
        text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
        text
    }

    pub fn lines(&self) -> Vec<serde_json::Value> {
        self.log().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Status, flags and details of the newest line.
    pub fn last(&self) -> (u64, String, String) {
        let line = self.lines().pop().unwrap();
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        (line["status"].as_u64().unwrap(), text("flags"), text("details"))
    }
}

/// Polls until `true`, for at most ten seconds.
pub async fn until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "it did not come to pass");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub async fn read_some(socket: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut wait = Duration::from_secs(5);
    let mut buffer = [0; 4096];
    while let Ok(Ok(read)) = tokio::time::timeout(wait, socket.read(&mut buffer)).await {
        if read == 0 {
            break;
        }
        text.extend_from_slice(&buffer[..read]);
        wait = Duration::from_millis(150);
    }
    String::from_utf8_lossy(&text).into_owned()
}

type AnyBody = Pin<Box<dyn Body<Data = Bytes, Error = Infallible> + Send>>;

fn full(text: impl Into<Bytes>) -> AnyBody {
    Box::pin(Full::new(text.into()))
}

/// Answers by the path until it is dropped.
async fn upstream(listener: TcpListener) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((mut socket, _)) = listener.accept().await {
        connections.spawn(async move {
            let mut head = [0; 12];
            if socket.peek(&mut head).await.is_ok() && head.starts_with(b"GET /raw/") {
                return raw_upstream(&mut socket).await;
            }
            let service = hyper::service::service_fn(answer);
            let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            let _ = builder.serve_connection_with_upgrades(TokioIo::new(socket), service).await;
        });
    }
}

/// Answers that a server library would not give.
async fn raw_upstream(socket: &mut TcpStream) {
    let mut head = vec![0; 4096];
    let read = socket.read(&mut head).await.unwrap_or_default();
    let head = String::from_utf8_lossy(&head[..read]).into_owned();
    let answer: &[u8] = if head.starts_with("GET /raw/cut ") {
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this"
    } else if head.starts_with("GET /raw/garbage ") {
        b"this is not HTTP\r\n\r\n"
    } else if head.starts_with("GET /raw/8bit ") {
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-value: \xff\xfe\r\nconnection: x-mine\r\nx-mine: 1\r\n\r\n"
    } else {
        b""
    };
    let _ = socket.write_all(answer).await;
}

async fn answer(mut request: Request<Incoming>) -> Result<Response<AnyBody>, Infallible> {
    let path = request.uri().path().to_owned();
    let mut response = Response::new(full(""));
    match path.as_str() {
        "/echo" => {
            let headers = request.headers().clone();
            *response.body_mut() = Box::pin(UntilError(request.into_body()));
            for (name, value) in headers.iter().filter(|(name, _)| name.as_str().starts_with("x-")) {
                response.headers_mut().append(name, value.clone());
            }
        }
        "/never" => std::future::pending().await,
        "/slow" => tokio::time::sleep(Duration::from_millis(300)).await,
        "/trickle" => {
            let frames = futures_util::stream::unfold(0, |sent| async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Some((Ok(Frame::data(Bytes::from_static(b"drip\n"))), sent + 1))
            });
            *response.body_mut() = Box::pin(StreamBody::new(frames));
        }
        "/grpc" => {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "5".parse().unwrap());
            let frames = [Ok(Frame::data(Bytes::from_static(b"message"))), Ok(Frame::trailers(trailers))];
            *response.body_mut() = Box::pin(StreamBody::new(futures_util::stream::iter(frames)));
            response.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
        }
        "/websocket" => {
            *response.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
            response.headers_mut().insert("connection", "upgrade".parse().unwrap());
            response.headers_mut().insert("upgrade", "websocket".parse().unwrap());
            tokio::spawn(async move {
                let upgraded = hyper::upgrade::on(&mut request).await.unwrap();
                let (mut read, mut write) = tokio::io::split(TokioIo::new(upgraded));
                let _ = tokio::io::copy(&mut read, &mut write).await;
                let _ = write.shutdown().await;
            });
        }
        "/big" => *response.body_mut() = full(vec![b'x'; 8 << 20]),
        _ => {
            let status = path.strip_prefix("/status/").and_then(|status| status.parse().ok()).unwrap_or(200);
            *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
            if !matches!(status, 204 | 304) {
                *response.body_mut() = full(path);
            }
        }
    }
    Ok(response)
}

/// A body that ends where the client's breaks off.
pub struct UntilError<B>(B);

impl<B: Body<Data = Bytes> + Unpin> Body for UntilError<B> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = Pin::new(&mut self.get_mut().0).poll_frame(cx);
        frame.map(|frame| frame.and_then(Result::ok).map(Ok))
    }
}

/// A client over HTTP/2 without TLS.
pub async fn http2(address: SocketAddr) -> hyper::client::conn::http2::SendRequest<Full<Bytes>> {
    let socket = TcpStream::connect(address).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// A client over HTTP/1.1.
pub async fn http1(address: SocketAddr) -> hyper::client::conn::http1::SendRequest<Full<Bytes>> {
    let socket = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// Sends a request when the connection is free for it.
pub async fn send(
    client: &mut hyper::client::conn::http1::SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Response<Incoming> {
    client.ready().await.unwrap();
    client.send_request(request).await.unwrap()
}

pub fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(path).header("host", "test").body(Full::default()).unwrap()
}

pub fn get2(path: &str) -> Request<Full<Bytes>> {
    Request::get(format!("http://test{path}")).body(Full::default()).unwrap()
}
