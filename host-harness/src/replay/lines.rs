//! Access logs, a line at a time.

use std::io::{BufRead, Read as _};
use std::net::{IpAddr, SocketAddr};

use access_log::{Entry, Version};
use jiff::fmt::strtime;

use super::{Arrival, Next, Recorded, Skip, is_target, reply, target, zeros};
use crate::HeaderMap;
use crate::test::Request;

/// The longest line that is read.
const MAX_LINE: u64 = 1 << 20;

/// The exchanges of a log.
pub(super) fn read<'a>(reader: impl BufRead + 'a) -> impl Iterator<Item = Next> + 'a {
    let mut reader = reader;
    let mut line = Vec::new();
    std::iter::from_fn(move || next(&mut reader, &mut line).transpose())
}

fn next(reader: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<Option<Result<Recorded, Skip>>> {
    line.clear();
    if reader.by_ref().take(MAX_LINE).read_until(b'\n', line)? == 0 {
        return Ok(None);
    }
    if line.len() as u64 == MAX_LINE && !line.ends_with(b"\n") {
        reader.skip_until(b'\n')?;
        return Ok(Some(Err("longer than 1 MiB".to_owned())));
    }
    let text = line.strip_suffix(b"\n").unwrap_or(line);
    let entry = access_log::line(text.strip_suffix(b"\r").unwrap_or(text));
    Ok(Some(entry.map(|entry| recorded(&entry)).map_err(|skip| skip.to_string())))
}

fn recorded(entry: &Entry) -> Recorded {
    let start_ns = strtime::parse("%d/%b/%Y:%H:%M:%S %z", &entry.time).and_then(|time| time.to_timestamp());
    let start_ns = start_ns.ok().and_then(|time| u64::try_from(time.as_nanosecond()).ok());
    let arrival = if is_target(&entry.target) { Arrival::Request(Box::new(request(entry))) } else { Arrival::Refused };
    Recorded { start_ns, arrival }
}

fn request(entry: &Entry) -> Request {
    let (authority, path) = target(&entry.target);
    let mut request = Request::new(&entry.method, path);
    if let Some(authority) = authority {
        request = request.without(":authority").header(":authority", authority);
    }
    for (name, value) in [("referer", &entry.referer), ("user-agent", &entry.user_agent)] {
        if let Some(value) = value {
            request = request.header(name, value);
        }
    }
    if let Ok(address) = entry.host.parse::<IpAddr>() {
        request = request.source(SocketAddr::from((address, 0)));
    }
    if entry.version == Version::Http2Or3 {
        request = request.protocol("HTTP/2");
    }
    // nginx's number for a client that left before the answer.
    if entry.status == 499 {
        return request.aborted();
    }
    let bodiless = entry.method == b"HEAD" || matches!(entry.status, 100..200 | 204 | 304);
    let size = if bodiless { 0 } else { entry.bytes };
    let headers = if bodiless { HeaderMap::new() } else { HeaderMap::from([("content-length", size.to_string())]) };
    request.reply(reply(entry.status, &headers, zeros(size)))
}
