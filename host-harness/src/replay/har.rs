//! HAR files: HTTP Archive 1.2, as browsers and proxies export it.

use std::io::{self, BufRead};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::Uri;
use jiff::Timestamp;
use serde::Deserialize;

use super::{Arrival, Recorded, Skip, pieces, reply, zeros};
use crate::HeaderMap;
use crate::test::Request;

/// Only what is used; a HAR file has much more.
#[derive(Debug, Deserialize)]
struct Har {
    log: Log,
}

#[derive(Debug, Deserialize)]
struct Log {
    entries: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    started_date_time: Option<String>,
    /// Milliseconds.
    time: Option<f64>,
    request: HarRequest,
    response: HarResponse,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HarRequest {
    method: String,
    url: String,
    #[serde(default)]
    http_version: String,
    #[serde(default)]
    headers: Vec<Header>,
    post_data: Option<Content>,
    body_size: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct HarResponse {
    /// 0 where there was no answer.
    #[serde(default)]
    status: i64,
    #[serde(default)]
    headers: Vec<Header>,
    content: Option<Content>,
}

#[derive(Debug, Deserialize)]
struct Header {
    name: String,
    value: String,
}

#[derive(Debug, Deserialize)]
struct Content {
    text: Option<String>,
    encoding: Option<String>,
    size: Option<i64>,
}

/// All exchanges, in the order of their beginning.
pub(super) fn read(reader: impl BufRead) -> io::Result<Vec<Result<Recorded, Skip>>> {
    let har: Har = serde_json::from_reader(reader)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("it is no HAR file: {error}")))?;
    let mut recorded: Vec<_> = har.log.entries.iter().map(recorded).collect();
    recorded.sort_by_key(|recorded| recorded.as_ref().ok().and_then(|recorded| recorded.start_ns));
    Ok(recorded)
}

fn recorded(entry: &Entry) -> Result<Recorded, Skip> {
    let start = entry.started_date_time.as_deref().and_then(|time| time.parse::<Timestamp>().ok());
    let start_ns = start.and_then(|time| u64::try_from(time.as_nanosecond()).ok());
    let took = Duration::try_from_secs_f64(entry.time.unwrap_or(0.0).max(0.0) / 1000.0).unwrap_or_default();
    let request = request(&entry.request)?.takes(took);
    let request = match u16::try_from(entry.response.status) {
        Ok(status @ 100..=999) => {
            let mut headers = headers(&entry.response.headers);
            let body = entry.response.content.as_ref().map(content).unwrap_or_default();
            plain(&mut headers, &body);
            request.reply(reply(status, &headers, body))
        }
        // Blocked, or broken off by the client.
        Ok(0) => request.aborted(),
        _ => return Err("the response has no HTTP status".to_owned()),
    };
    Ok(Recorded { start_ns, arrival: Arrival::Request(Box::new(request)) })
}

fn request(request: &HarRequest) -> Result<Request, Skip> {
    let uri: Uri = request.url.parse().map_err(|_| "the URL cannot be read".to_owned())?;
    let (Some(scheme @ ("http" | "https")), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err("the URL is not one of HTTP".to_owned());
    };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut map = HeaderMap::from([
        (":authority", authority.as_str()),
        (":path", path),
        (":method", request.method.as_str()),
        (":scheme", scheme),
    ]);
    let body = match &request.post_data {
        Some(data) if data.text.is_some() => content(data),
        _ => zeros(u64::try_from(request.body_size.unwrap_or(0)).unwrap_or(0)),
    };
    let mut headers = headers(&request.headers);
    headers.remove("host");
    plain(&mut headers, &body);
    map.extend(headers.iter());
    let protocol = protocol(&request.http_version);
    let request = Request::get("/").headers(map).protocol(protocol);
    Ok(body.into_iter().fold(request, Request::chunk))
}

/// Browsers write the version in many ways.
fn protocol(version: &str) -> &'static str {
    match version.to_ascii_lowercase().as_str() {
        "h3" | "http/3" | "http/3.0" => "HTTP/3",
        "h2" | "http/2" | "http/2.0" => "HTTP/2",
        "http/1.0" => "HTTP/1.0",
        _ => "HTTP/1.1",
    }
}

/// Without pseudo-headers, which come from the URL, and without what belongs to one connection.
fn headers(headers: &[Header]) -> HeaderMap {
    const HOP_BY_HOP: [&str; 5] = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];
    let mut map = HeaderMap::new();
    for Header { name, value } in headers {
        let name = name.to_ascii_lowercase();
        if !name.starts_with(':') && !HOP_BY_HOP.contains(&name.as_str()) {
            map.add(name, value);
        }
    }
    map
}

/// Bodies are recorded as they were before they were encoded.
fn plain(headers: &mut HeaderMap, body: &[Vec<u8>]) {
    headers.remove("content-encoding");
    if headers.get("content-length").is_some() {
        headers.set("content-length", body.iter().map(Vec::len).sum::<usize>().to_string());
    }
}

/// A body: its text where that was recorded, else zeros of its size.
fn content(content: &Content) -> Vec<Vec<u8>> {
    let bytes = match (&content.text, content.encoding.as_deref()) {
        (Some(text), Some("base64")) => BASE64_STANDARD.decode(text.trim()).ok(),
        (Some(text), _) => Some(text.as_bytes().to_vec()),
        (None, _) => None,
    };
    match bytes {
        Some(bytes) => pieces(&bytes),
        None => zeros(u64::try_from(content.size.unwrap_or(0)).unwrap_or(0)),
    }
}
