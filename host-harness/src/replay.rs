//! Recorded traffic through a module: HAR files and access logs.
//!
//! What was recorded comes again, request by request: the module sees the requests as the clients sent them and the answers that
//! they got, and time moves on as it did then, with ticks in between. What a recording does not have is made up as little as
//! possible: an access log knows the size of a body and not its bytes, so these are zeros.

mod har;
mod lines;
mod report;

use std::collections::BTreeMap;
use std::io::{self, BufRead};
use std::time::Duration;

use http::Uri;

pub use report::{CostReport, LogReport, MetricReport, Report};

use crate::test::{Host, Reply, Request};
use crate::{HeaderMap, StreamEnd};

/// One exchange of a recording.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// When it began, nanoseconds since the Unix epoch, if that is known.
    pub start_ns: Option<u64>,
    /// What comes to the proxy.
    pub arrival: Arrival,
}

/// What comes to a proxy.
#[derive(Debug, Clone)]
pub enum Arrival {
    /// A request, with what the upstream answers.
    Request(Box<Request>),
    /// What no proxy takes for a request. The module learns of it when it is over.
    Refused,
}

/// Why something in a recording cannot be sent again, in words.
pub type Skip = String;

/// What a recording says next: an exchange, or why there is none at this place.
pub type Next = io::Result<Result<Recorded, Skip>>;

/// The longest body that is sent; longer ones are cut.
pub const MAX_BODY: u64 = 16 << 20;
/// Bodies come in pieces of this size at the most.
const PIECE: usize = 16 << 10;

/// Reads a recording: a HAR file (HTTP Archive 1.2), or an access log in the common or combined format. Which of them it is shows in
/// its first character.
///
/// # Errors
///
/// When the file cannot be read, or begins like a HAR file and is none.
pub fn read<'a>(mut reader: impl BufRead + 'a) -> io::Result<Box<dyn Iterator<Item = Next> + 'a>> {
    loop {
        let start = reader.fill_buf()?;
        let blanks = start.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        match start.get(blanks) {
            Some(b'{') => return Ok(Box::new(har::read(reader)?.into_iter().map(Ok))),
            None if blanks > 0 => reader.consume(blanks),
            _ => return Ok(Box::new(lines::read(reader))),
        }
    }
}

/// A module that gets recorded traffic.
#[derive(Debug)]
pub struct Replay {
    host: Host,
    report: Report,
    workers: usize,
    next: usize,
}

impl Replay {
    /// For this host, whose workers take turns.
    #[must_use]
    pub fn new(host: Host, workers: usize) -> Self {
        Self { host, report: Report::default(), workers: workers.max(1), next: 0 }
    }

    /// The next one. Those that began earlier than the one before come right after it: time does not go back.
    pub fn play(&mut self, recorded: Recorded) {
        let now = self.host.now_ns();
        if let Some(wait) = recorded.start_ns.and_then(|start| start.checked_sub(now)) {
            self.host.advance(Duration::from_nanos(wait));
        }
        let worker = self.next;
        self.next = (self.next + 1) % self.workers;
        match recorded.arrival {
            Arrival::Request(request) => {
                let exchange = self.host.exchange_on(worker, *request);
                self.report.exchange(&exchange);
            }
            Arrival::Refused => {
                let end =
                    StreamEnd { code: Some(400), details: "http1.codec_error".to_owned(), ..StreamEnd::default() };
                let finished = self.host.log_only(worker, end);
                self.report.refused(&finished);
            }
        }
    }

    /// Counts what could not be sent.
    pub fn skip(&mut self, reason: Skip) {
        *self.report.skipped.entry(reason).or_default() += 1;
    }

    /// Lets the module hand over what it holds: one more tick, then the end of its root contexts. Then what came of it all.
    #[must_use]
    pub fn finish(mut self) -> (Host, Report) {
        self.host.tick();
        self.report.ended = self.host.shutdown();
        self.report.complete(&mut self.host, self.workers);
        (self.host, self.report)
    }
}

/// The reasons in a recording, each with how often.
pub(crate) type Skips = BTreeMap<Skip, u64>;

/// A request line's target: with the authority where it names one.
fn target(target: &[u8]) -> (Option<String>, Vec<u8>) {
    let absolute = std::str::from_utf8(target).ok().and_then(|text| text.parse::<Uri>().ok());
    match absolute.as_ref().and_then(|uri| Some((uri.scheme()?, uri.authority()?, uri))) {
        Some((_, authority, uri)) => {
            let path = uri.path_and_query().map_or("/", |path| path.as_str());
            (Some(authority.to_string()), path.as_bytes().to_vec())
        }
        None => (None, target.to_vec()),
    }
}

/// Whether a proxy would take these bytes for a target: RFC 9112 has no blanks and controls in it.
fn is_target(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| *byte > b' ' && *byte != 0x7f)
}

/// Pieces of so many zeros.
fn zeros(size: u64) -> Vec<Vec<u8>> {
    let size = usize::try_from(size.min(MAX_BODY)).unwrap_or_default();
    let mut pieces = vec![vec![0; PIECE]; size / PIECE];
    if size % PIECE > 0 {
        pieces.push(vec![0; size % PIECE]);
    }
    pieces
}

/// Pieces of these bytes.
fn pieces(bytes: &[u8]) -> Vec<Vec<u8>> {
    let end = bytes.len().min(usize::try_from(MAX_BODY).unwrap_or(usize::MAX));
    bytes.get(..end).unwrap_or_default().chunks(PIECE).map(<[u8]>::to_vec).collect()
}

/// An answer with these headers besides its status, and this body.
fn reply(status: u16, headers: &HeaderMap, body: Vec<Vec<u8>>) -> Reply {
    let reply = headers.iter().fold(Reply::status(status), |reply, (name, value)| reply.header(name, value));
    body.into_iter().fold(reply, Reply::chunk)
}

#[cfg(test)]
mod tests;
