//! Traffic with a ledger: what the client sent and what it saw, the source that counts are compared with.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::upstream::BEHAVIOUR;

/// What the client saw, by the labels that the filter should have counted it under.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Ledger {
    /// Streams by method label and status; status 0: the client left before an answer.
    pub(crate) streams: BTreeMap<(String, u16), u64>,
    /// Answers to bytes that are no well-formed request; their method label is whatever the proxy could read.
    pub(crate) malformed: BTreeMap<u16, u64>,
}

impl Ledger {
    /// Counts one stream.
    pub(crate) fn add(&mut self, method: &str, status: u16) {
        *self.streams.entry((method.to_owned(), status)).or_default() += 1;
    }

    /// Adds another ledger.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (key, count) in &other.streams {
            *self.streams.entry(key.clone()).or_default() += count;
        }
        for (key, count) in &other.malformed {
            *self.malformed.entry(*key).or_default() += count;
        }
    }

    /// All streams, malformed ones too.
    pub(crate) fn total(&self) -> u64 {
        self.streams.values().sum::<u64>() + self.malformed.values().sum::<u64>()
    }

    /// All streams by status.
    pub(crate) fn by_status(&self) -> BTreeMap<u16, u64> {
        let mut out = self.malformed.clone();
        for ((_, status), count) in &self.streams {
            *out.entry(*status).or_default() += count;
        }
        out
    }
}

const METHODS: [&str; 9] = ["GET", "GET", "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"];
const STATUSES: [u16; 16] = [200, 200, 200, 200, 201, 202, 204, 301, 304, 400, 401, 404, 409, 429, 500, 503];
const PATHS: [&str; 6] =
    ["/api/v1/deployments/", "/api/v1/health/", "/wp-login.php", "/", "/api/v1/assets/", "/%7Eunknown"];

/// The label under which a method is counted.
pub(crate) fn method_label(method: &str) -> &str {
    match method {
        "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" | "CONNECT" | "TRACE" => method,
        _ => "OTHER",
    }
}

fn request(rng: &mut ChaCha8Rng, authority: &str, http2: bool) -> (Request<Full<Bytes>>, String) {
    let head = rng.random_ratio(1, 12);
    let method = if head { "HEAD" } else { METHODS[rng.random_range(0..METHODS.len())] };
    let status = STATUSES[rng.random_range(0..STATUSES.len())];
    let mut behaviour = format!("status={status}");
    if rng.random_ratio(1, 20) {
        behaviour.push_str(";chunks=4;bytes=700");
    } else if rng.random_ratio(1, 40) {
        behaviour = "status=200;grpc-status=13;bytes=5".to_owned();
    } else if rng.random_ratio(1, 200) {
        behaviour = "reset".to_owned();
    } else if rng.random_ratio(1, 300) {
        behaviour.push_str(";delay-ms=30");
    }
    let path = if rng.random_ratio(1, 2) {
        format!("/api/v1/deployments/{}/", rng.random_range(0..1_000_000))
    } else {
        PATHS[rng.random_range(0..PATHS.len())].to_owned()
    };
    let body =
        if matches!(method, "POST" | "PUT" | "PATCH") { vec![b'b'; rng.random_range(0..600)] } else { Vec::new() };
    let uri = if http2 { format!("http://{authority}{path}") } else { path };
    let mut builder = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(uri);
    if !http2 {
        builder = builder.header("host", authority);
    }
    builder = match rng.random_range(0..6) {
        0 => builder.header("x-correlation-id", format!("load-{:016x}", rng.random::<u64>())),
        1 => builder.header("x-correlation-id", "short"),
        _ => builder,
    };
    (builder.header(BEHAVIOUR, behaviour).body(Full::new(Bytes::from(body))).unwrap(), method.to_owned())
}

/// Sends `count` well-formed requests over one kept-alive HTTP/1.1 connection, or several after closes.
pub(crate) async fn http1(target: SocketAddr, count: u64, seed: u64) -> Ledger {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let authority = target.to_string();
    let mut ledger = Ledger::default();
    let mut sender: Option<http1::SendRequest<Full<Bytes>>> = None;
    for _ in 0..count {
        if sender.as_ref().is_none_or(http1::SendRequest::is_closed) {
            let socket = TcpStream::connect(target).await.unwrap();
            socket.set_nodelay(true).unwrap();
            let (new, connection) = http1::handshake(TokioIo::new(socket)).await.unwrap();
            tokio::spawn(connection);
            sender = Some(new);
        }
        let live = sender.as_mut().unwrap();
        live.ready().await.unwrap();
        let (request, method) = request(&mut rng, &authority, false);
        let shown = format!("{request:?}");
        let response = live.send_request(request).await.unwrap_or_else(|e| panic!("{e:?} for {shown}"));
        ledger.add(method_label(&method), response.status().as_u16());
        let _ = response.into_body().collect().await;
    }
    ledger
}

/// Sends `count` well-formed requests over one HTTP/2 connection, eight at a time.
pub(crate) async fn http2(target: SocketAddr, count: u64, seed: u64) -> Ledger {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let authority = target.to_string();
    let mut ledger = Ledger::default();
    let mut sender = http2_connection(target).await;
    let mut sent = 0;
    while sent < count {
        let batch: Vec<_> = (0..8.min(count - sent)).map(|_| request(&mut rng, &authority, true)).collect();
        sent += batch.len() as u64;
        let mut answers = Vec::new();
        for (request, method) in batch {
            sender.ready().await.unwrap();
            let answer = sender.send_request(request);
            answers.push(async move {
                let response = answer.await.unwrap();
                let status = response.status().as_u16();
                let _ = response.into_body().collect().await;
                (method, status)
            });
        }
        for (method, status) in futures_util::future::join_all(answers).await {
            ledger.add(method_label(&method), status);
        }
    }
    ledger
}

/// Opens an HTTP/2 connection with prior knowledge.
pub(crate) async fn http2_connection(target: SocketAddr) -> http2::SendRequest<Full<Bytes>> {
    let socket = TcpStream::connect(target).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// Clients that leave before the answer: HTTP/1.1 by closing, HTTP/2 by resetting the stream.
pub(crate) async fn aborts(target: SocketAddr, each: u64) -> Ledger {
    let mut ledger = Ledger::default();
    for _ in 0..each {
        let mut socket = TcpStream::connect(target).await.unwrap();
        let text = format!("GET /api/v1/health/ HTTP/1.1\r\nhost: {target}\r\n{BEHAVIOUR}: hang\r\n\r\n");
        socket.write_all(text.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        drop(socket);
        ledger.add("GET", 0);
    }
    let mut sender = http2_connection(target).await;
    for _ in 0..each {
        sender.ready().await.unwrap();
        let request = Request::post(format!("http://{target}/api/v1/deployments/"))
            .header(BEHAVIOUR, "hang")
            .body(Full::new(Bytes::from_static(b"{}")))
            .unwrap();
        let gone = tokio::time::timeout(Duration::from_millis(20), sender.send_request(request)).await;
        assert!(gone.is_err(), "a hanging upstream answered");
        ledger.add("POST", 0);
    }
    ledger
}

/// Upgrades that are accepted, echo some bytes and are closed by the client.
pub(crate) async fn upgrades(target: SocketAddr, count: u64) -> Ledger {
    let mut ledger = Ledger::default();
    for _ in 0..count {
        let mut socket = TcpStream::connect(target).await.unwrap();
        let text = format!(
            "GET /api/v1/health/ HTTP/1.1\r\nhost: {target}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        socket.write_all(text.as_bytes()).await.unwrap();
        let (status, rest) = head(&mut socket).await;
        assert_eq!(status, Some(101), "{:?}", String::from_utf8_lossy(&rest));
        socket.write_all(b"ping").await.unwrap();
        let mut echo = [0; 4];
        socket.read_exact(&mut echo).await.unwrap();
        assert_eq!(&echo, b"ping");
        drop(socket);
        ledger.add("GET", 101);
    }
    ledger
}

/// Bytes that are no well-formed request; each is answered once and counted once.
pub(crate) const MALFORMED: [&[u8]; 8] = [
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a\r\nbad header\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n",
    b"G@T / HTTP/1.1\r\nhost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n",
    b"GET / HTTP/9.9\r\nhost: a\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
];

/// Sends each malformed request `each` times on a connection of its own, and one head of 100 KiB.
pub(crate) async fn malformed(target: SocketAddr, each: u64) -> Ledger {
    let mut ledger = Ledger::default();
    let large = format!("GET / HTTP/1.1\r\nhost: a\r\nx-large: {}\r\n\r\n", "a".repeat(100 * 1024));
    for bytes in MALFORMED.into_iter().chain([large.as_bytes()]) {
        for _ in 0..each {
            let mut socket = TcpStream::connect(target).await.unwrap();
            // The proxy may answer and close before it has read everything.
            let _ = socket.write_all(bytes).await;
            let (status, answer) = head(&mut socket).await;
            let shown = String::from_utf8_lossy(bytes.get(..60.min(bytes.len())).unwrap()).into_owned();
            let status = status.unwrap_or_else(|| panic!("no answer to {shown:?}: {answer:?}"));
            *ledger.malformed.entry(status).or_default() += 1;
        }
    }
    ledger
}

/// Reads a response head: its status, and all bytes that came.
pub(crate) async fn head(socket: &mut TcpStream) -> (Option<u16>, Vec<u8>) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !bytes.windows(4).any(|w| w == b"\r\n\r\n") {
        match tokio::time::timeout_at(deadline, socket.read(&mut buffer)).await {
            Ok(Ok(n)) if n > 0 => bytes.extend_from_slice(&buffer[..n]),
            _ => break,
        }
    }
    let status = bytes
        .strip_prefix(b"HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    (status, bytes)
}

/// One raw exchange on a connection of its own: the status and the whole head.
pub(crate) async fn raw(target: SocketAddr, request: &[u8]) -> (Option<u16>, String) {
    let mut socket = TcpStream::connect(target).await.unwrap();
    let _ = socket.write_all(request).await;
    let (status, bytes) = head(&mut socket).await;
    (status, String::from_utf8_lossy(&bytes).into_owned())
}
