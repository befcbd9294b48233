//! Just enough HTTP/1.1 over blocking sockets that every byte on the wire is the test's own, and how messages are told.

use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

/// Headers that are not told: proxies make them, or they differ from run to run, or they are about one connection only.
/// Nor is the case's name, so that cases that do the same say the same.
const UNTOLD: [&str; 14] = [
    "connection",
    "date",
    "host",
    "server",
    "transfer-encoding",
    "user-agent",
    "x-case",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-external-address",
    "x-envoy-internal",
    "x-envoy-upstream-service-time",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-request-id",
];

/// Header lines, their names in lower case.
pub(super) type Fields = Vec<(String, String)>;

/// Where a message without a length ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unlimited {
    /// After its head, as a request's does.
    Head,
    /// Where the connection does, as a response's does.
    Close,
}

/// Why there is no message.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nothing came for as long as the socket waits.
    Timeout,
    /// The connection ended.
    Closed,
    /// It is not HTTP/1.1.
    Malformed,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Timeout,
            _ => Self::Closed,
        }
    }
}

/// A request or a response.
#[derive(Debug)]
pub(super) struct Message {
    /// The request line or status line.
    pub(super) first: String,
    /// Its headers.
    pub(super) headers: Fields,
    /// Its body, without chunks' sizes.
    pub(super) body: Vec<u8>,
    /// Its trailers.
    pub(super) trailers: Fields,
}

impl Message {
    /// The second word of the first line: the path of a request, the status of a response.
    pub(super) fn second_word(&self) -> &str {
        self.first.split(' ').nth(1).unwrap_or_default()
    }
}

/// Reads messages from a socket.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    socket: &'a TcpStream,
    held: Vec<u8>,
}

impl<'a> Reader<'a> {
    /// Reads from `socket`.
    pub(super) fn new(socket: &'a TcpStream) -> Self {
        Self { socket, held: Vec::new() }
    }

    /// What was read and is not part of a line, body or trailer yet.
    pub(super) fn held(&self) -> &[u8] {
        &self.held
    }

    /// The next message.
    pub(super) fn message(&mut self, unlimited: Unlimited) -> Result<Message, Failure> {
        let first = latin1(&self.line()?);
        let headers = self.fields()?;
        let last = |name: &str| headers.iter().rev().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
        let (body, trailers) = if last("transfer-encoding") == Some("chunked") {
            self.chunks()?
        } else if let Some(length) = last("content-length") {
            (self.exactly(length.parse().map_err(|_| Failure::Malformed)?)?, Vec::new())
        } else if unlimited == Unlimited::Close {
            (self.rest()?, Vec::new())
        } else {
            (Vec::new(), Vec::new())
        };
        Ok(Message { first, headers, body, trailers })
    }

    fn more(&mut self) -> Result<bool, Failure> {
        let mut buffer = [0; 1 << 16];
        let length = self.socket.read(&mut buffer)?;
        self.held.extend_from_slice(&buffer[..length]);
        Ok(length > 0)
    }

    fn exactly(&mut self, length: usize) -> Result<Vec<u8>, Failure> {
        while self.held.len() < length {
            if !self.more()? {
                return Err(Failure::Closed);
            }
        }
        Ok(self.held.drain(..length).collect())
    }

    fn rest(&mut self) -> Result<Vec<u8>, Failure> {
        while self.more()? {}
        Ok(std::mem::take(&mut self.held))
    }

    fn line(&mut self) -> Result<Vec<u8>, Failure> {
        loop {
            if let Some(at) = self.held.windows(2).position(|pair| pair == b"\r\n") {
                let mut line = self.exactly(at + 2)?;
                line.truncate(at);
                return Ok(line);
            }
            if !self.more()? {
                return Err(Failure::Closed);
            }
        }
    }

    fn fields(&mut self) -> Result<Fields, Failure> {
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(fields);
            }
            let colon = line.iter().position(|b| *b == b':').ok_or(Failure::Malformed)?;
            fields.push((latin1(&line[..colon]).to_lowercase(), latin1(line[colon + 1..].trim_ascii())));
        }
    }

    fn chunks(&mut self) -> Result<(Vec<u8>, Fields), Failure> {
        let mut body = Vec::new();
        loop {
            let line = latin1(&self.line()?);
            let digits = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(digits, 16).map_err(|_| Failure::Malformed)?;
            if size == 0 {
                return Ok((body, self.fields()?));
            }
            body.extend(self.exactly(size)?);
            self.line()?;
        }
    }
}

/// The body of a page.
pub(super) fn get(server: SocketAddr, path: &str) -> Option<String> {
    let mut socket = TcpStream::connect(server).ok()?;
    socket.write_all(format!("GET {path} HTTP/1.1\r\nhost: {server}\r\nconnection: close\r\n\r\n").as_bytes()).ok()?;
    let message = Reader::new(&socket).message(Unlimited::Close).ok()?;
    String::from_utf8(message.body).ok()
}

/// A chunked body of one chunk, or of none where `body` is empty, with its trailers.
pub(super) fn chunked(body: &[u8], trailers: &[(&str, &str)]) -> Vec<u8> {
    let mut data = Vec::new();
    if !body.is_empty() {
        data.extend(format!("{:x}\r\n", body.len()).bytes());
        data.extend(body);
        data.extend(b"\r\n");
    }
    data.extend(b"0\r\n");
    for (name, value) in trailers {
        data.extend(format!("{name}: {value}\r\n").bytes());
    }
    data.extend(b"\r\n");
    data
}

/// Header lines in one line of text.
pub(super) fn shown(fields: &[(String, String)]) -> String {
    let told = fields.iter().filter(|(name, _)| !UNTOLD.contains(&name.as_str()));
    told.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", ")
}

/// A body in one line of text; of a long one only how it begins.
pub(super) fn quoted(data: &[u8]) -> String {
    let mut text = String::new();
    for byte in data {
        let _ = match byte {
            b'\n' => write!(text, "\\n"),
            b'\r' => write!(text, "\\r"),
            b'\t' => write!(text, "\\t"),
            b'"' | b'\\' => write!(text, "\\{}", char::from(*byte)),
            b' '..=b'~' => write!(text, "{}", char::from(*byte)),
            _ => write!(text, "\\x{byte:02x}"),
        };
    }
    if data.len() <= 600 {
        return format!("\"{text}\"");
    }
    text.truncate(160);
    format!("\"{text}\"... ({} bytes)", data.len())
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}
