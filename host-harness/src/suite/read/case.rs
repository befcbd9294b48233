//! Cases: steps, streams, requests and replies.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::node::{Fields, Node};
use super::{connection, expect, setup, value};
use crate::HeaderMap;
use crate::suite::format::{Action, Case, HostExpect, Only, Payload, Protocol, Setup, Step, Stream, StreamReply};

pub(super) const FIELDS: [&str; 4] = ["name", "skip", "only", "expect"];
/// What a case is made of besides one stream.
pub(super) const PARTS: [&str; 3] = ["streams", "steps", "connection"];
/// The proxies that a case may be for.
pub(super) const PROXIES: [&str; 2] = ["harness", "envoy"];
pub(super) const STREAM_FIELDS: [&str; 3] = ["request", "reply", "client_leaves"];
pub(super) const ACTION_FIELDS: [&str; 7] =
    ["streams", "connection", "advance", "tick", "reconfigure", "reconfigure_file", "refused"];
pub(super) const REQUEST_FIELDS: [&str; 14] = [
    "method",
    "path",
    "scheme",
    "authority",
    "headers",
    "without",
    "body",
    "chunks",
    "chunk_size",
    "trailers",
    "protocol",
    "source",
    "mtls",
    "properties",
];
pub(super) const REPLY_FIELDS: [&str; 7] = ["status", "headers", "body", "chunks", "chunk_size", "trailers", "after"];
/// The most streams that run side by side.
const MOST_STREAMS: usize = 1000;

/// Reads a case; what it does not say of the setup, the suite says.
pub(super) fn read(node: &Node<'_>, suite: &Setup, shared: bool) -> Option<Case> {
    let fields = node.fields(&[&FIELDS, &STREAM_FIELDS, &PARTS, &setup::FIELDS])?;
    let own = setup::read(&fields);
    if shared && let Some((name, node)) = setup::FIELDS.iter().find_map(|name| Some((name, fields.get(name)?))) {
        node.mistake(format!("all cases of this suite share one host; say `{name}` at the top, or drop `shared`"));
    }
    let setup = own.or(suite);
    let name = fields.required("name", "a name").and_then(|node| node.text()).unwrap_or_default();
    let protocol = setup.protocol.unwrap_or_default();
    let path = node.path().to_owned();
    fields.at_most_one(&["request", "streams", "steps", "connection"]);
    let mut expect = HostExpect { path: format!("{path}.expect"), ..HostExpect::default() };
    let mut steps = Vec::new();
    if fields.has("request") {
        let (stream, host) = stream(&fields, node, protocol, true)?;
        expect = host;
        let action = Action::Streams(vec![stream]);
        steps.push(Step { path: path.clone(), action, expect: HostExpect::default() });
    } else if let Some(node) = fields.get("connection") {
        without_request(&fields);
        let (talk, host) = connection::read(&node, fields.get("expect").as_ref())?;
        if !host.path.is_empty() {
            expect = host;
        }
        let action = Action::Connection(Box::new(talk));
        steps.push(Step { path: path.clone(), action, expect: HostExpect::default() });
    } else {
        without_request(&fields);
        if let Some(node) = fields.get("expect") {
            expect = expect::host(&node);
        }
        if let Some(node) = fields.get("streams") {
            let action = Action::Streams(streams(&node, protocol));
            steps.push(Step { path: path.clone(), action, expect: HostExpect::default() });
        }
        if let Some(node) = fields.get("steps") {
            steps.extend(node.list().unwrap_or_default().iter().filter_map(|node| step(node, protocol)));
        }
    }
    if expect.start_refused.is_some() && (shared || !steps.is_empty()) {
        node.at(&format!("{path}.expect.start_refused"))
            .mistake("found with a host that must start; use it alone in a case of its own host");
    }
    // A module that fails is a mistake unless it is meant to.
    if expect.start_refused.is_none() {
        expect.failed.get_or_insert(false);
    }
    let only =
        fields.get("only").and_then(|node| Some(if node.word(&PROXIES)? == 0 { Only::Harness } else { Only::Envoy }));
    let skip = fields.get("skip").and_then(|node| node.text());
    Some(Case { name, path, setup, skip, only, steps, expect })
}

fn step(node: &Node<'_>, protocol: Protocol) -> Option<Step> {
    let fields = node.fields(&[&STREAM_FIELDS, &ACTION_FIELDS, &["expect"]])?;
    fields.at_most_one(&["request", "streams", "connection", "advance", "tick", "reconfigure", "reconfigure_file"]);
    if let Some(node) = fields.get("refused")
        && !fields.has("reconfigure")
        && !fields.has("reconfigure_file")
    {
        node.mistake("found without `reconfigure`; add it");
    }
    let path = node.path().to_owned();
    if fields.has("request") {
        let (stream, expect) = stream(&fields, node, protocol, true)?;
        return Some(Step { path, action: Action::Streams(vec![stream]), expect });
    }
    without_request(&fields);
    if let Some(node) = fields.get("connection") {
        let (talk, expect) = connection::read(&node, fields.get("expect").as_ref())?;
        return Some(Step { path, action: Action::Connection(Box::new(talk)), expect });
    }
    let expect = fields.get("expect").map(|node| expect::host(&node));
    let action = if let Some(node) = fields.get("streams") {
        Action::Streams(streams(&node, protocol))
    } else if let Some(node) = fields.get("advance") {
        Action::Advance(value::duration(&node)?)
    } else if let Some(node) = fields.get("tick") {
        if !node.flag()? {
            return node.refuse("`true`");
        }
        Action::Tick
    } else if fields.has("reconfigure") || fields.has("reconfigure_file") {
        let configuration = setup::configuration(&fields, "reconfigure", "reconfigure_file")?;
        let refused = match fields.get("refused") {
            Some(node) => Some(value::part(&node)?),
            None => None,
        };
        Action::Reconfigure { configuration, refused }
    } else if expect.is_some() {
        Action::Look
    } else {
        node.mistake(
            "nothing is done; use `request`, `streams`, `connection`, `advance`, `tick`, `reconfigure` or `expect`",
        );
        return None;
    };
    Some(Step { path, action, expect: expect.unwrap_or_default() })
}

/// What is of a stream has no meaning where there is none.
fn without_request(fields: &Fields<'_>) {
    for node in ["reply", "client_leaves"].iter().filter_map(|name| fields.get(name)) {
        node.mistake("found without `request`; add it");
    }
}

fn streams(node: &Node<'_>, protocol: Protocol) -> Vec<Stream> {
    let list = node.list().unwrap_or_default();
    if list.is_empty() {
        node.mistake("found no stream; add one");
    }
    if list.len() > MOST_STREAMS {
        node.mistake(format!("found {} streams; use at most {MOST_STREAMS}", list.len()));
        return Vec::new();
    }
    let read = |node: &Node<'_>| {
        let fields = node.fields(&[&STREAM_FIELDS, &["expect"]])?;
        Some(stream(&fields, node, protocol, false)?.0)
    };
    list.iter().filter_map(read).collect()
}

/// A stream, and what it expects of the host where that may stand beside it.
fn stream(fields: &Fields<'_>, node: &Node<'_>, protocol: Protocol, alone: bool) -> Option<(Stream, HostExpect)> {
    let (stream_expect, host) = match fields.get("expect") {
        Some(node) if alone => expect::both(&node),
        Some(node) => (expect::stream(&node), HostExpect::default()),
        None => Default::default(),
    };
    let path = node.path();
    let mut stream = request(&fields.required("request", "a request, like `GET /`")?, protocol)?;
    path.clone_into(&mut stream.path);
    stream.expect = stream_expect;
    let leaves = fields.get("client_leaves").and_then(|node| node.flag()).unwrap_or(false);
    fields.at_most_one(&["reply", "client_leaves"]);
    if leaves {
        stream.reply = None;
    } else if let Some(node) = fields.get("reply") {
        let (reply, after) = stream_reply(&node)?;
        stream.reply = Some(reply);
        stream.after = after;
    }
    let mut host = host;
    if host.path.is_empty() {
        host.path = format!("{path}.expect");
    }
    Some((stream, host))
}

/// `GET /path`, `/path`, or a mapping.
fn request(node: &Node<'_>, protocol: Protocol) -> Option<Stream> {
    let mut stream = Stream {
        path: String::new(),
        request: Payload::default(),
        protocol,
        reply: Some(StreamReply::Payload(Payload {
            headers: HeaderMap::from([(":status", "200")]),
            ..Payload::default()
        })),
        after: Duration::ZERO,
        source: None,
        mtls: false,
        properties: Vec::new(),
        expect: Default::default(),
    };
    if let Some(text) = node.as_text() {
        let (method, path) = text.split_once(' ').unwrap_or(("GET", text));
        if !path.starts_with('/') && path != "*" {
            return node.refuse("a method and a path, like `GET /`");
        }
        stream.request.headers = pseudo("example.com", path, method, "http");
        return Some(stream);
    }
    if !node.is_mapping() {
        return node.refuse("a method and a path, like `GET /`, or a mapping");
    }
    let fields = node.fields(&[&REQUEST_FIELDS])?;
    let text = |name: &str, otherwise: &str| match fields.get(name) {
        Some(node) => node.text(),
        None => Some(otherwise.to_owned()),
    };
    if let Some(node) = fields.get("protocol") {
        stream.protocol = setup::protocol(&node)?;
    }
    let method = if fields.has("body") { "POST" } else { "GET" };
    let mut headers = pseudo(
        &text("authority", "example.com")?,
        &text("path", "/")?,
        &text("method", method)?,
        &text("scheme", "http")?,
    );
    add_headers(&mut headers, fields.get("headers").map(|node| value::headers(&node)).unwrap_or_default());
    stream.request = payload(&fields, headers, stream.protocol);
    for node in fields.get("without").and_then(|node| node.list()).unwrap_or_default() {
        stream.request.headers.remove(node.text()?);
    }
    stream.mtls = fields.get("mtls").and_then(|node| node.flag()).unwrap_or(false);
    if let Some(node) = fields.get("source") {
        let text = node.text()?;
        let address = text.parse::<SocketAddr>().ok();
        let address = address.or_else(|| Some(SocketAddr::new(text.parse::<IpAddr>().ok()?, 40_000)));
        stream.source = match address {
            Some(address) => Some(address),
            None => return node.refuse("an address, like `10.0.0.1` or `10.0.0.1:1234`"),
        };
    }
    for (name, node) in fields.get("properties").and_then(|node| node.entries()).unwrap_or_default() {
        stream.properties.push((name.replace('.', "\0"), value::scalar(&node)?));
    }
    Some(stream)
}

fn pseudo(authority: &str, path: &str, method: &str, scheme: &str) -> HeaderMap {
    HeaderMap::from([(":authority", authority), (":path", path), (":method", method), (":scheme", scheme)])
}

/// Adds header lines; pseudo-headers among them take the place of those that are there.
fn add_headers(headers: &mut HeaderMap, more: HeaderMap) {
    for (name, value) in more.iter() {
        if name.starts_with(b":") { headers.set(name, value) } else { headers.add(name, value) }
    }
}

/// What an upstream may do that is no reply.
pub(super) const REPLY_WORDS: [&str; 3] = ["refused", "closed", "reset"];

/// What the upstream does with a stream, and how long that takes.
fn stream_reply(node: &Node<'_>) -> Option<(StreamReply, Duration)> {
    let word = |node: &Node<'_>| {
        let replies = [StreamReply::Refused, StreamReply::Closed, StreamReply::Reset];
        replies.into_iter().nth(node.word(&REPLY_WORDS)?)
    };
    if node.as_text().is_some() {
        return Some((word(node)?, Duration::ZERO));
    }
    if !node.is_mapping() {
        let (payload, after) = reply(node)?;
        return Some((StreamReply::Payload(payload), after));
    }
    let fields = node.fields(&[&["answer"], &REPLY_FIELDS])?;
    if let Some(answer) = fields.get("answer") {
        for other in REPLY_FIELDS.iter().filter(|name| **name != "after") {
            fields.at_most_one(&["answer", other]);
        }
        let after = fields.get("after").map_or(Some(Duration::ZERO), |node| value::duration(&node))?;
        return Some((word(&answer)?, after));
    }
    let (payload, after) = reply_fields(&fields)?;
    Some((StreamReply::Payload(payload), after))
}

/// A status, or a mapping; and how long it takes.
pub(super) fn reply(node: &Node<'_>) -> Option<(Payload, Duration)> {
    if node.is_mapping() {
        return reply_fields(&node.fields(&[&REPLY_FIELDS])?);
    }
    let status = node.whole(200..=599)?;
    let headers = HeaderMap::from([(":status", status.to_string())]);
    Some((Payload { headers, ..Payload::default() }, Duration::ZERO))
}

pub(super) fn reply_fields(fields: &Fields<'_>) -> Option<(Payload, Duration)> {
    let status = fields.get("status").map_or(Some(200), |node| node.whole(200..=599))?;
    let mut headers = HeaderMap::from([(":status", status.to_string())]);
    add_headers(&mut headers, fields.get("headers").map(|node| value::headers(&node)).unwrap_or_default());
    let after = fields.get("after").map_or(Some(Duration::ZERO), |node| value::duration(&node))?;
    // Replies come over HTTP/2, where trailers need no word beforehand.
    Some((payload(fields, headers, Protocol::Http2), after))
}

/// With the header that says how long the body is, as a client or server would send it.
fn payload(fields: &Fields<'_>, mut headers: HeaderMap, protocol: Protocol) -> Payload {
    let pieces = value::pieces(fields);
    let trailers = fields.get("trailers").map(|node| value::headers(&node)).filter(|map| !map.is_empty());
    let said = headers.get("content-length").is_some() || headers.get("transfer-encoding").is_some();
    match &trailers {
        _ if said => {}
        Some(_) if protocol == Protocol::Http1 => headers.add("transfer-encoding", "chunked"),
        Some(_) => {}
        None if pieces.is_empty() => {}
        None => headers.add("content-length", pieces.iter().map(Vec::len).sum::<usize>().to_string()),
    }
    Payload { headers, pieces, trailers }
}
