//! From a parsed request to the headers that the module sees, or to the refusal that Envoy would give it.

use http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue, TE, UPGRADE};
use http::request::Parts;
use http::{Method, StatusCode, Version};

use super::proxy::Client;
use super::stream::flags;
use crate::HeaderMap;

/// The methods that Envoy's HTTP/1 parser knows; with any other it does not take the request for HTTP.
const METHODS: &[&str] = &[
    "ACL",
    "BIND",
    "CHECKOUT",
    "CONNECT",
    "COPY",
    "DELETE",
    "GET",
    "HEAD",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MOVE",
    "MSEARCH",
    "NOTIFY",
    "OPTIONS",
    "PATCH",
    "POST",
    "PROPFIND",
    "PROPPATCH",
    "PURGE",
    "PUT",
    "QUERY",
    "REBIND",
    "REPORT",
    "SEARCH",
    "SOURCE",
    "SUBSCRIBE",
    "TRACE",
    "UNBIND",
    "UNLINK",
    "UNLOCK",
    "UNSUBSCRIBE",
];

/// Headers that concern one connection only.
const HOP_BY_HOP: [&str; 7] =
    ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te", "http2-settings"];

/// A request that may go through the module.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) headers: HeaderMap,
    pub(super) websocket: bool,
    pub(super) connect: bool,
}

/// A request that is answered before the module sees it.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) details: &'static str,
    pub(super) flags: u64,
    /// Its headers, if it was good enough to have any.
    pub(super) headers: Option<HeaderMap>,
    /// Whether the connection ends with the answer.
    pub(super) close: bool,
}

impl Refused {
    /// What Envoy's parser takes exception to: there is no request yet that could be described.
    pub(super) const fn by_parser(status: StatusCode, details: &'static str) -> Self {
        Self { status, details, flags: flags::DOWNSTREAM_PROTOCOL_ERROR, headers: None, close: true }
    }

    const fn with_headers(status: StatusCode, details: &'static str, headers: HeaderMap, close: bool) -> Self {
        Self { status, details, flags: 0, headers: Some(headers), close }
    }
}

/// Looks at a request as Envoy does before its filters run.
pub(super) fn check(parts: &Parts, client: &Client, max_bytes: usize) -> Result<Accepted, Box<Refused>> {
    let http1 = parts.version != Version::HTTP_2;
    let parser = |status, details| Err(Box::new(Refused::by_parser(status, details)));
    if matches!(parts.version, Version::HTTP_09 | Version::HTTP_10) {
        return parser(StatusCode::UPGRADE_REQUIRED, "low_version");
    }
    let connect = parts.method == Method::CONNECT;
    if http1 && !METHODS.contains(&parts.method.as_str()) {
        return parser(StatusCode::BAD_REQUEST, "http1.codec_error");
    }
    let size: usize = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if size + parts.uri.path().len() > max_bytes {
        let details = if http1 { "http1.headers_too_large" } else { "http2.too_large" };
        return parser(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, details);
    }
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    if !path.bytes().all(|byte| matches!(byte, 0x21..=0x7e)) {
        return parser(StatusCode::BAD_REQUEST, if http1 { "http1.codec_error" } else { "http2.invalid.header.field" });
    }
    if http1 {
        match parts.uri.scheme_str() {
            Some("https") => return parser(StatusCode::FORBIDDEN, "http1.https_url_on_plaintext_connection"),
            // `GET host` names an authority where a path belongs.
            None if !connect && parts.uri.authority().is_some() => {
                return parser(StatusCode::BAD_REQUEST, "http1.codec_error");
            }
            None | Some("http") => {}
            Some(_) => return parser(StatusCode::BAD_REQUEST, "http1.invalid_scheme"),
        }
        if parts.headers.get_all(CONTENT_LENGTH).iter().count() > 1 {
            return parser(StatusCode::BAD_REQUEST, "http1.codec_error");
        }
        let asterisk = path == "*" && parts.method != Method::OPTIONS;
        if asterisk || (connect && parts.uri.authority().is_none()) {
            return parser(StatusCode::BAD_REQUEST, "http1.invalid_url");
        }
    }
    let authority = authority(parts);
    if authority.as_ref().is_some_and(|authority| !authority.iter().all(|byte| is_host_byte(*byte))) {
        return parser(StatusCode::BAD_REQUEST, if http1 { "http1.codec_error" } else { "http2.invalid.header.field" });
    }

    let upgrade = http1.then(|| upgrade(parts)).flatten();
    let headers = collect(parts, client, authority.as_deref(), path, upgrade);
    if authority.is_none() {
        return Err(Box::new(Refused::with_headers(StatusCode::BAD_REQUEST, "missing_host_header", headers, true)));
    }
    if !connect && !path.starts_with('/') {
        return Err(Box::new(Refused::with_headers(StatusCode::NOT_FOUND, "absolute_path_rejected", headers, false)));
    }
    let websocket = upgrade.is_some_and(|name| name.as_bytes().eq_ignore_ascii_case(b"websocket"));
    if upgrade.is_some() && !websocket {
        return Err(Box::new(Refused::with_headers(StatusCode::FORBIDDEN, "upgrade_failed", headers, true)));
    }
    Ok(Accepted { headers, websocket, connect })
}

/// `:authority`: of the target if that has one, else all `host` lines.
fn authority(parts: &Parts) -> Option<Vec<u8>> {
    if let Some(authority) = parts.uri.authority() {
        return Some(Vec::from(authority.as_str()));
    }
    let hosts: Vec<&[u8]> = parts.headers.get_all(http::header::HOST).iter().map(HeaderValue::as_bytes).collect();
    (!hosts.is_empty()).then(|| hosts.join(&b','))
}

const fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'$'..=b'.' | b':' | b';' | b'=' | b'@' | b'[' | b']' | b'_' | b'~')
}

/// What the client wants to go over to, if it says so by both headers. Offers of HTTP/2 are for the next server only.
fn upgrade(parts: &Parts) -> Option<&HeaderValue> {
    let wanted = parts.headers.get(UPGRADE)?;
    let nominated = tokens(parts).any(|token| token.eq_ignore_ascii_case(b"upgrade"));
    (nominated && !wanted.as_bytes().eq_ignore_ascii_case(b"h2c")).then_some(wanted)
}

/// What `connection` names.
fn tokens(parts: &Parts) -> impl Iterator<Item = &[u8]> {
    parts.headers.get_all(CONNECTION).iter().flat_map(|value| {
        value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
    })
}

fn collect(
    parts: &Parts,
    client: &Client,
    authority: Option<&[u8]>,
    path: &str,
    upgrade: Option<&HeaderValue>,
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(authority) = authority {
        headers.add(":authority", authority);
    }
    if !path.is_empty() || parts.method != Method::CONNECT {
        headers.add(":path", if path.is_empty() { "/" } else { path });
    }
    headers.add(":method", parts.method.as_str());
    headers.add(":scheme", "http");
    let nominated: Vec<&[u8]> = tokens(parts).collect();
    for (name, value) in &parts.headers {
        let name = name.as_str();
        // To a WSGI server `x_y` and `x-y` are one header; what the module sets could be set again behind its back.
        let dropped = name.contains('_')
            || name == "host"
            || name == "expect"
            || HOP_BY_HOP.contains(&name)
            || nominated.iter().any(|token| token.eq_ignore_ascii_case(name.as_bytes()));
        if !dropped {
            headers.add(name, value.as_bytes());
        }
    }
    if parts.headers.get_all(TE).iter().any(|value| value.as_bytes().eq_ignore_ascii_case(b"trailers")) {
        headers.add("te", "trailers");
    }
    if let Some(upgrade) = upgrade {
        headers.set("connection", "upgrade");
        headers.set("upgrade", upgrade.as_bytes());
    }
    let address = client.peer.ip().to_string();
    let forwarded = match headers.get("x-forwarded-for") {
        Some(before) => [before, address.as_bytes()].join(&b","[..]),
        None => address.into_bytes(),
    };
    headers.set("x-forwarded-for", forwarded);
    headers.set("x-forwarded-proto", "http");
    headers.set("x-request-id", request_id());
    headers
}

/// A random (version 4) UUID.
fn request_id() -> String {
    let mut id: u128 = rand::random();
    id = id & !(0xf << 76) | 4 << 76;
    id = id & !(0x3 << 62) | 2 << 62;
    let hex = format!("{id:032x}");
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0..8), part(8..12), part(12..16), part(16..20), part(20..32))
}

/// Takes out of a response what concerns the upstream's connection only.
pub(super) fn response_headers(parts: &http::response::Parts, keep_upgrade: bool) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.add(":status", parts.status.as_str());
    let nominated: Vec<&[u8]> = parts
        .headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii))
        .collect();
    for (name, value) in &parts.headers {
        let name = name.as_str();
        let upgrade = keep_upgrade && matches!(name, "connection" | "upgrade");
        let dropped =
            HOP_BY_HOP.contains(&name) || nominated.iter().any(|token| token.eq_ignore_ascii_case(name.as_bytes()));
        if upgrade || !dropped {
            headers.add(name, value.as_bytes());
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        Client {
            id: 1,
            peer: ([192, 0, 2, 1], 1).into(),
            local: None,
            open: std::cell::Cell::new(0),
            state: crate::ConnectionState::default(),
            trailers: super::super::trailers::Outgoing::default(),
        }
    }

    fn checked(request: http::request::Builder) -> Result<Accepted, Box<Refused>> {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        check(&parts, &client(), 96 << 10)
    }

    fn refusal(request: http::request::Builder) -> (u16, &'static str, bool) {
        let refused = checked(request).unwrap_err();
        (refused.status.as_u16(), refused.details, refused.headers.is_some())
    }

    fn get(target: &str) -> http::request::Builder {
        http::Request::get(target).header("host", "a")
    }

    #[test]
    fn requests_are_refused_as_envoy_refuses_them() {
        assert_eq!(refusal(http::Request::get("/")), (400, "missing_host_header", true));
        assert_eq!(refusal(get("/").version(Version::HTTP_10)), (426, "low_version", false));
        assert_eq!(refusal(get("/").method("BREW")), (400, "http1.codec_error", false));
        assert_eq!(refusal(get("/é")), (400, "http1.codec_error", false));
        assert_eq!(refusal(get("*")), (400, "http1.invalid_url", false));
        assert_eq!(refusal(get("*").method("OPTIONS")), (404, "absolute_path_rejected", true));
        assert_eq!(refusal(get("b.example")), (400, "http1.codec_error", false));
        let lengths = get("/").header("content-length", "1").header("content-length", "1");
        assert_eq!(refusal(lengths), (400, "http1.codec_error", false));
        assert_eq!(refusal(get("https://b/")), (403, "http1.https_url_on_plaintext_connection", false));
        assert_eq!(refusal(get("ftp://b/")), (400, "http1.invalid_scheme", false));
        assert_eq!(refusal(http::Request::get("/").header("host", "a/b")), (400, "http1.codec_error", false));
        let upgrade = get("/").header("connection", "keep-alive, Upgrade").header("upgrade", "foo");
        assert_eq!(refusal(upgrade), (403, "upgrade_failed", true));
    }

    #[test]
    fn absolute_targets_win_over_the_host_header() {
        let accepted = checked(get("http://b.example/abs?q=1")).unwrap();
        assert_eq!(accepted.headers.get(":authority"), Some(&b"b.example"[..]));
        assert_eq!(accepted.headers.get(":path"), Some(&b"/abs?q=1"[..]));
        let accepted = checked(get("/").header("host", "b")).unwrap();
        assert_eq!(accepted.headers.get(":authority"), Some(&b"a,b"[..]));
    }

    #[test]
    fn what_concerns_one_connection_does_not_go_on() {
        let request = get("/")
            .header("connection", "x-a, keep-alive")
            .header("x-a", "1")
            .header("keep-alive", "5")
            .header("proxy-connection", "x")
            .header("te", "trailers")
            .header("upgrade", "foo")
            .header("x_b", "1")
            .header("x-kept", HeaderValue::from_bytes(b"\xff\xfe").unwrap())
            .header("x-forwarded-for", "1.2.3.4")
            .header("x-request-id", "mine");
        let headers = checked(request).unwrap().headers;
        for name in ["connection", "x-a", "keep-alive", "proxy-connection", "upgrade", "x_b", "host"] {
            assert_eq!(headers.get(name), None, "{name}");
        }
        assert_eq!(headers.get("te"), Some(&b"trailers"[..]));
        assert_eq!(headers.get("x-kept"), Some(&b"\xff\xfe"[..]));
        assert_eq!(headers.get("x-forwarded-for"), Some(&b"1.2.3.4,192.0.2.1"[..]));
        let id = String::from_utf8(headers.get("x-request-id").unwrap().to_vec()).unwrap();
        assert!(id.len() == 36 && id.as_bytes()[14] == b'4' && b"89ab".contains(&id.as_bytes()[19]), "{id}");
    }
}
