//! Hostile requests, made at random from a seed: as header lists for the embedded host, and as bytes for a socket.

use std::net::SocketAddr;
use std::time::Duration;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One request: method, target and header lines, all bytes.
#[derive(Debug, Clone)]
pub(crate) struct HostileRequest {
    /// The method token.
    pub(crate) method: Vec<u8>,
    /// The request target.
    pub(crate) target: Vec<u8>,
    /// Header lines in order, with duplicates.
    pub(crate) headers: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A generator; the same seed gives the same requests.
#[derive(Debug)]
pub(crate) struct Hostile {
    rng: ChaCha8Rng,
}

const TCHAR: &[u8] = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const METHODS: [&str; 12] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "M-SEARCH", "LINK", "UNLINK"];
/// Which many proxies refuse.
const ODD_METHODS: [&str; 5] = ["CONNECT", "get", "BREW", "QUERY", "PRI"];
const TARGETS: [&str; 12] = [
    "/",
    "//",
    "/..",
    "/../../etc/passwd",
    "/%2e%2e/%2f",
    "/api/v1/deployments/",
    "/api/v1/health/",
    "http://other.example/api/v1/health/",
    "/?",
    "/a;b=c.;.status=.=200;.;",
    "/cache.x.y/tag.a;.b",
    "/api/v1/deployments/{id}/",
];
const ODD_TARGETS: [&str; 8] = ["*", "/%", "/%zz", "/%00", "http://", "https://[::1", "/#", "a"];

impl Hostile {
    /// A generator from a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// The next request. Most get past a proxy's own checks, so that they meet the filter; some do not.
    pub(crate) fn next_request(&mut self) -> HostileRequest {
        let method = self.method();
        let target = self.target();
        let mut headers = Vec::new();
        match self.rng.random_range(0..200) {
            0 => {}
            1 => headers.push((b"host".to_vec(), self.value(40))),
            2 => headers.extend([(b"host".to_vec(), b"a".to_vec()), (b"host".to_vec(), b"b".to_vec())]),
            _ => headers.push((b"host".to_vec(), b"api.example".to_vec())),
        }
        for _ in 0..self.rng.random_range(0..4) {
            let name = match self.rng.random_range(0..10) {
                0..=3 => b"x-correlation-id".to_vec(),
                4 | 5 => b"traceparent".to_vec(),
                6 => b"access-control-expose-headers".to_vec(),
                7 => b"x-forwarded-for".to_vec(),
                _ => self.token(20),
            };
            let limit = if self.rng.random_ratio(1, 2000) { 60 * 1024 } else { 150 };
            let value = self.value(limit);
            headers.push((name, value));
        }
        HostileRequest { method, target, headers }
    }

    fn method(&mut self) -> Vec<u8> {
        match self.rng.random_range(0..200) {
            0 => self.token(12),
            1 => vec![TCHAR[self.rng.random_range(0..TCHAR.len())]],
            2 if self.rng.random_ratio(1, 10) => vec![b'A'; 4000],
            3..6 => ODD_METHODS[self.rng.random_range(0..ODD_METHODS.len())].as_bytes().to_vec(),
            _ => METHODS[self.rng.random_range(0..METHODS.len())].as_bytes().to_vec(),
        }
    }

    fn target(&mut self) -> Vec<u8> {
        match self.rng.random_range(0..100) {
            0..4 => ODD_TARGETS[self.rng.random_range(0..ODD_TARGETS.len())].as_bytes().to_vec(),
            4..30 => TARGETS[self.rng.random_range(0..TARGETS.len())].as_bytes().to_vec(),
            30..32 if self.rng.random_ratio(1, 60) => [b"/".to_vec(), vec![b'a'; 60 * 1024]].concat(),
            32..34 if self.rng.random_ratio(1, 20) => b"/a".repeat(1000),
            34..60 => format!("/api/v1/deployments/{}/", self.rng.random::<u64>()).into_bytes(),
            _ => {
                let mut path = b"/".to_vec();
                let refused = self.rng.random_ratio(1, 30);
                path.extend(self.value(60).into_iter().filter(|b| refused || matches!(b, b'!' | b'$'..=b'~')));
                path.retain(|b| *b != b' ');
                path
            }
        }
    }

    fn token(&mut self, limit: usize) -> Vec<u8> {
        (0..self.rng.random_range(1..=limit)).map(|_| TCHAR[self.rng.random_range(0..TCHAR.len())]).collect()
    }

    fn value(&mut self, limit: usize) -> Vec<u8> {
        let length = self.rng.random_range(0..=limit);
        match self.rng.random_range(0..4) {
            0 => self.token(limit.max(1)),
            1 => b"abcdefgh,ijkl".iter().copied().cycle().take(length).collect(),
            2 => vec![b'a'; length],
            _ => {
                let mut bytes = vec![0; length];
                self.rng.fill_bytes(&mut bytes);
                // Most proxies refuse control bytes in a value, so that only some requests have them: the others must come through.
                let refused = self.rng.random_ratio(1, 50);
                bytes.retain(|b| !matches!(b, b'\r' | b'\n' | 0) && (refused || !matches!(b, 1..0x20 | 0x7f)));
                bytes
            }
        }
    }
}

impl HostileRequest {
    /// As HTTP/1.1 bytes, without a body.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = [self.method.as_slice(), b" ", self.target.as_slice(), b" HTTP/1.1\r\n"].concat();
        for (name, value) in &self.headers {
            out.extend_from_slice(&[name.as_slice(), b": ", value.as_slice(), b"\r\n"].concat());
        }
        out.extend_from_slice(b"\r\n");
        out
    }

    /// As the header map a proxy would show, pseudo-headers first.
    pub(crate) fn to_pairs(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut pairs = vec![(b":method".to_vec(), self.method.clone()), (b":path".to_vec(), self.target.clone())];
        for (name, value) in &self.headers {
            let name = if name == b"host" { b":authority".to_vec() } else { name.to_ascii_lowercase() };
            pairs.push((name, value.clone()));
        }
        pairs
    }
}

/// Sends `count` hostile requests over one connection after the other, each after the answer to the one before, and returns
/// how many answers there were.
///
/// Nothing is pipelined: Envoy ends a connection with too many answers in its queue, and streams that it opened there are in
/// its own count but are shown to no filter.
pub(crate) async fn flood(target: SocketAddr, count: u64, seed: u64) -> u64 {
    let mut hostile = Hostile::new(seed);
    let mut connection: Option<TcpStream> = None;
    let mut answered = 0;
    for _ in 0..count {
        let request = hostile.next_request().to_bytes();
        // A connection that the proxy has closed in the meantime shows it at the first use; then a new one is tried.
        for _ in 0..2 {
            let mut socket = match connection.take() {
                Some(socket) => socket,
                None => TcpStream::connect(target).await.unwrap(),
            };
            let _ = socket.write_all(&request).await;
            match answer(&mut socket).await {
                Answer::None => continue,
                Answer::ThenClose => {}
                Answer::ThenMore => connection = Some(socket),
            }
            answered += 1;
            break;
        }
    }
    answered
}

enum Answer {
    None,
    ThenClose,
    ThenMore,
}

/// Reads until a whole response head has come; what is left of the response before is skipped.
async fn answer(socket: &mut TcpStream) -> Answer {
    const STATUS_LINE: &[u8] = b"HTTP/1.1 ";
    let find =
        |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).position(|window| window.eq_ignore_ascii_case(what));
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match tokio::time::timeout(Duration::from_secs(10), socket.read(&mut buffer)).await {
            Ok(Ok(n)) if n > 0 => bytes.extend_from_slice(&buffer[..n]),
            _ => return Answer::None,
        }
        let Some(start) = find(&bytes, STATUS_LINE) else { continue };
        let Some(length) = find(&bytes[start..], b"\r\n\r\n") else { continue };
        let closes = find(&bytes[start..start + length], b"connection: close").is_some();
        return if closes { Answer::ThenClose } else { Answer::ThenMore };
    }
}
