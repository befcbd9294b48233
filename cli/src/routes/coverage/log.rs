//! A log as a stream of requests: one line at a time, whatever its size.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, stdin};
use std::path::Path;
use std::time::{Duration, Instant};

use access_log::{Skip, Skipped};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use crate::Usage;
use crate::config_file::STDIN;

/// The longest line that is read; what is past it is passed over, and the line with it.
pub const MAX_LINE: usize = 1 << 20;
/// A reading that takes longer shows how far it is.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often that is looked at.
const STEP: u64 = 1 << 20;

/// Why a line is no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Error)]
pub(super) enum Unread {
    #[error(transparent)]
    Line(Skip),
    #[error("longer than 1 MiB")]
    TooLong,
    #[error("not a JSON object")]
    NotJson,
    #[error("JSON without `method`, `path` and `status`")]
    OtherJson,
}

/// What was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) bytes: u64,
    pub(super) lines: u64,
    pub(super) left: BTreeMap<Unread, Skipped>,
}

/// One request of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request<'a> {
    pub(super) method: Cow<'a, [u8]>,
    pub(super) target: Cow<'a, [u8]>,
    /// 0 where the client left before an answer.
    pub(super) status: u16,
}

/// A log that is open.
pub(super) struct Log {
    reader: Box<dyn BufRead>,
    /// Its size, for a plain file: such a one can be read again.
    pub(super) size: Option<u64>,
}

impl Log {
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let cannot = |error: io::Error| Usage::error(format!("cannot read {}: {error}", path.display()));
        if path.as_os_str() == STDIN {
            return Self::new(Box::new(stdin()), None, path);
        }
        let file = File::open(path).map_err(cannot)?;
        let metadata = file.metadata().map_err(cannot)?;
        if metadata.is_dir() {
            return Err(Usage::error(format!("{} is a folder; name a file in it", path.display())));
        }
        Self::new(Box::new(file), metadata.is_file().then_some(metadata.len()), path)
    }

    fn new(reader: Box<dyn Read>, size: Option<u64>, path: &Path) -> anyhow::Result<Self> {
        let mut reader = BufReader::with_capacity(1 << 16, reader);
        let start =
            reader.fill_buf().map_err(|error| Usage::error(format!("cannot read {}: {error}", path.display())))?;
        if start.starts_with(&[0x1f, 0x8b]) {
            let name = path.display();
            return Err(Usage::error(format!(
                "{name} is compressed; unpack it, or use `zcat FILE | … --access-log -`"
            )));
        }
        Ok(Self { reader: Box::new(reader), size })
    }

    /// Reads to the end, or so many bytes.
    pub(super) fn read(
        self,
        limit: Option<u64>,
        quiet: bool,
        each: &mut dyn FnMut(&Request<'_>),
    ) -> io::Result<Reading> {
        let mut progress = Progress::new(limit.or(self.size), quiet);
        let reading = match limit {
            Some(limit) => read(&mut self.reader.take(limit), &mut progress, each),
            None => read(&mut { self.reader }, &mut progress, each),
        };
        progress.finish();
        reading
    }
}

fn read(reader: &mut dyn BufRead, progress: &mut Progress, each: &mut dyn FnMut(&Request<'_>)) -> io::Result<Reading> {
    let mut reading = Reading::default();
    let mut line = Vec::new();
    while let Some((bytes, whole)) = next_line(reader, &mut line)? {
        reading.bytes += bytes;
        reading.lines += 1;
        progress.advance(bytes);
        let request = if whole { request(&line) } else { Err(Unread::TooLong) };
        match request {
            Ok(request) => each(&request),
            Err(why) => {
                let first = usize::try_from(reading.lines).unwrap_or(usize::MAX);
                reading.left.entry(why).or_insert(Skipped { lines: 0, first }).lines += 1;
            }
        }
    }
    Ok(reading)
}

/// Reads a line into `line`, without its end: how many bytes it took, and whether all of it is there. `None` at the end.
fn next_line(reader: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<Option<(u64, bool)>> {
    line.clear();
    let (mut bytes, mut whole) = (0, true);
    loop {
        let buffer = match reader.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        if buffer.is_empty() {
            return Ok((bytes > 0).then_some((bytes, whole)));
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let text = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or_default();
        whole &= line.len() + text.len() <= MAX_LINE;
        if whole {
            line.extend_from_slice(text);
        }
        let used = end.map_or(buffer.len(), |end| end + 1);
        reader.consume(used);
        bytes += used as u64;
        if end.is_some() {
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            return Ok(Some((bytes, whole)));
        }
    }
}

/// One line: a JSON object where it begins with a brace, else the common or combined format.
fn request(line: &[u8]) -> Result<Request<'_>, Unread> {
    if line.trim_ascii_start().first() == Some(&b'{') {
        return json(line);
    }
    let entry = access_log::line(line).map_err(Unread::Line)?;
    Ok(Request { method: entry.method.into(), target: entry.target.into(), status: entry.status })
}

/// What the proxy's own access log has of a request. A field that it has no value for is `null`, `-` or not there.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    path: Option<Cow<'a, str>>,
    /// A number, or its digits as text.
    status: Value,
}

fn json(line: &[u8]) -> Result<Request<'_>, Unread> {
    let text = String::from_utf8_lossy(line);
    let read = |text: &str| -> Result<Request<'static>, Unread> {
        let found: Line<'_> = serde_json::from_str(text).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => Unread::OtherJson,
            _ => Unread::NotJson,
        })?;
        let status = match &found.status {
            Value::Null => Some(0),
            Value::String(text) if text == "-" => Some(0),
            Value::String(text) => text.parse().ok(),
            Value::Number(number) => number.as_u64().and_then(|number| u16::try_from(number).ok()),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        let status = status.ok_or(Unread::OtherJson)?;
        let bytes = |text: Option<Cow<'_, str>>| text.map(|text| Cow::Owned(text.into_owned().into_bytes()));
        match (bytes(found.method), bytes(found.path)) {
            (Some(method), Some(target)) => Ok(Request { method, target, status }),
            // A request that the proxy refused before it had a head.
            (None, None) if status != 0 => {
                Ok(Request { method: Cow::Borrowed(b""), target: Cow::Borrowed(b""), status })
            }
            _ => Err(Unread::OtherJson),
        }
    };
    read(&text)
}

/// How far a reading is, on standard error, once it takes long.
struct Progress {
    total: Option<u64>,
    quiet: bool,
    started: Instant,
    done: u64,
    shown: u64,
    bar: Option<ProgressBar>,
}

impl Progress {
    fn new(total: Option<u64>, quiet: bool) -> Self {
        Self { total, quiet, started: Instant::now(), done: 0, shown: 0, bar: None }
    }

    fn advance(&mut self, bytes: u64) {
        self.done += bytes;
        if self.quiet || self.done - self.shown < STEP {
            return;
        }
        self.shown = self.done;
        if self.bar.is_none() && self.started.elapsed() >= PATIENCE {
            self.bar = Some(bar(self.total));
        }
        if let Some(bar) = &self.bar {
            bar.set_position(self.done);
        }
    }

    fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            "{bar:30} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left",
        ),
        None => (ProgressBar::new_spinner(), "{spinner} {binary_bytes}, {binary_bytes_per_sec}"),
    };
    bar.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<(String, String, u16), Unread> {
        request(line.as_bytes()).map(|request| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            (text(&request.method), text(&request.target), request.status)
        })
    }

    #[test]
    fn each_line_says_its_format() {
        let get = |path: &str, status| Ok(("GET".to_owned(), path.to_owned(), status));
        let check = |line: &str, expected| assert_eq!(of(line), expected, "{line}");
        check(r#"h - - [17/May/2015:10:05:03 +0000] "GET /a?b HTTP/1.1" 200 5"#, get("/a?b", 200));
        check(r#"{"method":"GET","path":"/a","status":200}"#, get("/a", 200));
        check(r#"  {"status":"404","method":"GET","path":"/\u00e9\"","x":[{"y":{}}]}"#, get("/é\"", 404));
        check(r#"{"method":"GET","path":"/a","status":0}"#, get("/a", 0));
        check(r#"{"method":"GET","path":"/a","status":null}"#, get("/a", 0));
        check(r#"{"method":null,"path":null,"status":400}"#, Ok((String::new(), String::new(), 400)));
        check(r#"{"method":"GET","path":"/a","status":99999}"#, Err(Unread::OtherJson));
        check(r#"{"method":"GET","path":"/a","status":-1}"#, Err(Unread::OtherJson));
        check(r#"{"method":"GET","path":"/a","status":2e2}"#, Err(Unread::OtherJson));
        check(r#"{"method":"GET","path":"/a"}"#, Err(Unread::OtherJson));
        check(r#"{"method":7,"path":"/a","status":200}"#, Err(Unread::OtherJson));
        check(r#"{"path":"/a","status":200}"#, Err(Unread::OtherJson));
        check(r#"{"method":"GET""#, Err(Unread::NotJson));
        check("{", Err(Unread::NotJson));
        check("", Err(Unread::Line(Skip::Blank)));
        check("hello", Err(Unread::Line(Skip::NotALogLine)));
        assert_eq!(request(b"{\"method\":\"GET\",\"path\":\"/\xff\",\"status\":200}").unwrap().status, 200);
        assert_eq!(request(b"\xff\xfe"), Err(Unread::Line(Skip::NotALogLine)));
        let deep = format!(
            "{{\"method\":\"GET\",\"path\":\"/\",\"status\":200,\"x\":{}{}}}",
            "[".repeat(50_000),
            "]".repeat(50_000)
        );
        assert!(matches!(of(&deep), Ok(_) | Err(Unread::NotJson)));
    }

    /// Reads as slowly as a pipe may.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = buffer.len().min(7).min(self.0.len());
            buffer[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }

    #[test]
    fn lines_are_bounded_and_counted() {
        let good = "{\"method\":\"GET\",\"path\":\"/a\",\"status\":200}";
        let text = [good, "\r\n\n", &"x".repeat(MAX_LINE + 1), "\n", good].concat();
        for reader in [&mut BufReader::new(Drip(text.as_bytes())) as &mut dyn BufRead, &mut text.as_bytes()] {
            let mut requests = 0;
            let reading = read(reader, &mut Progress::new(None, true), &mut |_| requests += 1).unwrap();
            assert_eq!((requests, reading.lines, reading.bytes), (2, 4, text.len() as u64));
            assert_eq!(reading.left.get(&Unread::TooLong), Some(&Skipped { lines: 1, first: 3 }));
            assert_eq!(reading.left.get(&Unread::Line(Skip::Blank)), Some(&Skipped { lines: 1, first: 2 }));
        }
    }

    #[test]
    fn a_long_line_takes_no_memory() {
        let mut line = Vec::new();
        let mut reader = BufReader::new(io::repeat(b'x').take(100 << 20));
        assert_eq!(next_line(&mut reader, &mut line).unwrap(), Some((100 << 20, false)));
        assert!(line.capacity() <= 2 * MAX_LINE, "{}", line.capacity());
    }
}
