//! Access logs in the common and combined formats, as Apache httpd and nginx write them.
//!
//! ```text
//! HOST IDENT USER [TIME] "METHOD TARGET VERSION" STATUS BYTES ["REFERER" "USER-AGENT" …]
//! ```
//!
//! A log is full of what the internet sends: `"-"` where no request came, escaped binary, scanners' garbage. Such a line is no error: it is a
//! [`Skip`] with its reason, and the reasons are counted and shown. Fields after the user agent (nginx's `main` format has one) are passed over.

mod parse;

use std::collections::BTreeMap;
use std::io::BufRead;

use thiserror::Error;

pub use parse::line;

/// One request of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The client's address or name.
    pub host: String,
    /// The time as it was written, without brackets.
    pub time: String,
    /// The method, with the log's escapes undone.
    pub method: Vec<u8>,
    /// The request target, with the log's escapes undone.
    pub target: Vec<u8>,
    /// The protocol's version.
    pub version: Version,
    /// The status that was answered.
    pub status: u16,
    /// Bytes of the body; `-` is 0.
    pub bytes: u64,
    /// The `Referer` header, in the combined format, unless `-`.
    pub referer: Option<Vec<u8>>,
    /// The `User-Agent` header, in the combined format, unless `-`.
    pub user_agent: Option<Vec<u8>>,
}

/// The HTTP version of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// `HTTP/1.0` or `HTTP/1.1`.
    Http1,
    /// `HTTP/2.0`, `HTTP/2`, `HTTP/3.0` or `HTTP/3`.
    Http2Or3,
}

/// Why a line is not a request that could be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Error)]
pub enum Skip {
    /// Nothing but blanks.
    #[error("blank line")]
    Blank,
    /// Not `HOST IDENT USER [TIME]` at the start.
    #[error("not an access log line")]
    NotALogLine,
    /// A quoted field never ends.
    #[error("a quoted field does not end")]
    OpenQuote,
    /// A backslash that no server writes.
    #[error("an escape that no server writes")]
    BadEscape,
    /// `"-"` or `""`: the connection ended before a request came.
    #[error("no request (`-`)")]
    NoRequest,
    /// Bytes that are no request line, as of a TLS handshake on a plain port.
    #[error("not an HTTP request line")]
    NotARequestLine,
    /// `GET /`: HTTP/0.9, which no proxy takes.
    #[error("no HTTP version (HTTP/0.9)")]
    NoVersion,
    /// A version that does not exist, or one that nothing speaks.
    #[error("unknown HTTP version")]
    UnknownVersion,
    /// The status is not a number of three digits.
    #[error("status is not a number of three digits")]
    BadStatus,
    /// The size is neither a number nor `-`.
    #[error("size is not a number")]
    BadSize,
}

/// A whole log: its requests in order, with the line each came from, and the lines that were skipped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessLog {
    /// Line number (from 1) and request.
    pub entries: Vec<(usize, Entry)>,
    /// How many lines were skipped for which reason, and the first such line.
    pub skipped: BTreeMap<Skip, Skipped>,
    /// Lines in all.
    pub lines: usize,
}

/// Lines skipped for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skipped {
    /// How many.
    pub lines: u64,
    /// The first one's number, from 1.
    pub first: usize,
}

impl AccessLog {
    /// Reads a log to its end. Lines are bytes: a log is not always UTF-8.
    pub fn read(mut reader: impl BufRead) -> std::io::Result<Self> {
        let mut log = Self::default();
        let mut buffer = Vec::new();
        loop {
            buffer.clear();
            if reader.read_until(b'\n', &mut buffer)? == 0 {
                return Ok(log);
            }
            log.lines += 1;
            let text = buffer.strip_suffix(b"\n").unwrap_or(&buffer);
            match line(text.strip_suffix(b"\r").unwrap_or(text)) {
                Ok(entry) => log.entries.push((log.lines, entry)),
                Err(skip) => {
                    log.skipped.entry(skip).or_insert(Skipped { lines: 0, first: log.lines }).lines += 1;
                }
            }
        }
    }

    /// Lines skipped for any reason.
    pub fn skipped_lines(&self) -> u64 {
        self.skipped.values().map(|skipped| skipped.lines).sum()
    }
}
