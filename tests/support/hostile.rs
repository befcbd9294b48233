//! Hostile requests, made at random from a seed: as header lists for the embedded host, and as bytes for a socket.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::upstream::BEHAVIOUR;

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
const METHODS: [&str; 16] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "M-SEARCH", "BREW",
    "QUERY", "PRI", "LINK",
];
const TARGETS: [&str; 20] = [
    "/", "*", "//", "/..", "/../../etc/passwd", "/%2e%2e/%2f", "/%", "/%zz", "/%00", "/api/v1/deployments/", "/api/v1/health/",
    "http://other.example/api/v1/health/", "http://", "https://[::1", "/?", "/#", "/a;b=c.;.status=.=200;.;",
    "/cache.x.y/tag.a;.b", "/{id}", "/api/v1/deployments/{id}/",
];

impl Hostile {
    /// A generator from a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// The next request.
    pub(crate) fn next_request(&mut self) -> HostileRequest {
        let method = self.method();
        let target = self.target();
        let mut headers = Vec::new();
        match self.rng.random_range(0..40) {
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
        match self.rng.random_range(0..20) {
            0 => self.token(12),
            1 => vec![TCHAR[self.rng.random_range(0..TCHAR.len())]],
            2 if self.rng.random_ratio(1, 50) => vec![b'A'; 4000],
            _ => METHODS[self.rng.random_range(0..METHODS.len())].as_bytes().to_vec(),
        }
    }

    fn target(&mut self) -> Vec<u8> {
        match self.rng.random_range(0..100) {
            0..30 => TARGETS[self.rng.random_range(0..TARGETS.len())].as_bytes().to_vec(),
            30..32 if self.rng.random_ratio(1, 60) => [b"/".to_vec(), vec![b'a'; 60 * 1024]].concat(),
            32..34 if self.rng.random_ratio(1, 20) => b"/a".repeat(1000),
            34..60 => format!("/api/v1/deployments/{}/", self.rng.random::<u64>()).into_bytes(),
            _ => {
                let mut path = b"/".to_vec();
                path.extend(self.value(60).into_iter().filter(|b| !matches!(b, b' ' | 0..=0x20)));
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
                bytes.retain(|b| !matches!(b, b'\r' | b'\n' | 0));
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

/// Sends `count` hostile requests over sockets, `depth` pipelined on each connection, and returns how many were written.
///
/// The answers are read and thrown away: the proxy's own counters are what counts are compared with.
pub(crate) async fn flood(target: std::net::SocketAddr, count: u64, depth: u64, seed: u64) -> u64 {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut hostile = Hostile::new(seed);
    let mut written = 0;
    while written < count {
        let mut batch = Vec::new();
        for _ in 0..depth.min(count - written) {
            batch.extend_from_slice(&hostile.next_request().to_bytes());
            written += 1;
        }
        batch.extend_from_slice(format!("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{BEHAVIOUR}: status=200\r\n\r\n").as_bytes());
        let Ok(socket) = tokio::net::TcpStream::connect(target).await else { continue };
        let (mut read, mut write) = socket.into_split();
        let sending = tokio::spawn(async move {
            let _ = write.write_all(&batch).await;
            write
        });
        let mut sink = [0; 16 * 1024];
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
        while let Ok(Ok(n)) = tokio::time::timeout_at(deadline, read.read(&mut sink)).await {
            if n == 0 {
                break;
            }
        }
        sending.abort();
    }
    written
}
