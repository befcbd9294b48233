//! From an entry of the log to a request that can be sent, or the reason why not.

use access_log::{Entry, Version};
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use thiserror::Error;

use crate::client::{self, Protocol};

/// Methods that every HTTP/1 parser knows, those of WebDAV among them.
const EVERY_PROXY_TAKES: [&str; 15] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
];

/// A request of the log, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wire {
    /// The method.
    pub method: Method,
    /// The target, as the log has it.
    pub target: String,
    /// The protocol it is sent over.
    pub protocol: Protocol,
    /// `Referer` and `User-Agent`.
    pub headers: HeaderMap,
    /// The status that the upstream answers with.
    pub status: u16,
    /// The size of the body that the upstream answers with, where there is one.
    pub bytes: u64,
}

/// Why a request of the log is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Error)]
pub enum Unsendable {
    /// A tunnel, not a request.
    #[error("CONNECT is a tunnel, not a request")]
    Connect,
    /// A question to the server itself.
    #[error("`OPTIONS *` asks the proxy itself, not the upstream")]
    Server,
    /// 1xx, or a number that no server answers with.
    #[error("its status is no final answer of a server")]
    Status,
    /// A target with bytes that no client can send, or that would go out as something else.
    #[error("its target cannot be sent as it is")]
    Target,
}

impl Wire {
    /// The request of an entry.
    ///
    /// # Errors
    /// Why it cannot be sent so that the answer and the path come out as the log has them.
    pub fn new(entry: &Entry) -> Result<Self, Unsendable> {
        let method = Method::from_bytes(&entry.method).map_err(|_| Unsendable::Target)?;
        if method == Method::CONNECT {
            return Err(Unsendable::Connect);
        }
        if entry.target == b"*" && method == Method::OPTIONS {
            return Err(Unsendable::Server);
        }
        if !(200..600).contains(&entry.status) {
            return Err(Unsendable::Status);
        }
        let target = std::str::from_utf8(&entry.target).map_err(|_| Unsendable::Target)?;
        let uri = Uri::try_from(target).map_err(|_| Unsendable::Target)?;
        let absolute = uri.scheme().is_some();
        // A URI loses its fragment, and a bare `host:port` is an authority: what would go out must be what the log has.
        // As text: the type's own comparison passes over a fragment and the case of a host.
        let sent = uri.to_string();
        if sent != target && !(absolute && sent == format!("{target}/")) {
            return Err(Unsendable::Target);
        }
        if !absolute && !target.starts_with('/') {
            return Err(Unsendable::Target);
        }
        // Envoy's HTTP/1 parser refuses a method that it does not know, whatever the log says was answered; on HTTP/2 it takes any.
        let wants_http2 = entry.version == Version::Http2Or3 || !EVERY_PROXY_TAKES.contains(&method.as_str());
        // On HTTP/2 there is no absolute form.
        let can_http2 = !absolute && client::uri(Protocol::Http2, "localhost", target).is_ok();
        let protocol = if wants_http2 && can_http2 { Protocol::Http2 } else { Protocol::Http1 };
        let mut headers = HeaderMap::new();
        for (name, value) in [(header::REFERER, &entry.referer), (header::USER_AGENT, &entry.user_agent)] {
            if let Some(value) = value.as_deref().and_then(|value| HeaderValue::from_bytes(value).ok()) {
                headers.insert(name, value);
            }
        }
        Ok(Self { method, target: target.to_owned(), protocol, headers, status: entry.status, bytes: entry.bytes })
    }

    /// Whether an answer to this request has a body.
    pub fn has_body(&self) -> bool {
        self.method != Method::HEAD && self.status != 204 && self.status != 304
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(request: &str, status: u16) -> Result<Wire, Unsendable> {
        let line = format!("h - - [17/May/2015:10:05:03 +0000] \"{request}\" {status} 5 \"http://r/\" \"agent\"");
        Wire::new(&access_log::line(line.as_bytes()).unwrap())
    }

    #[test]
    fn requests_go_out_as_the_log_has_them() {
        for target in ["/", "/a?b=c&d", "/%7Ex", "/{id}", "/a//b/../c", "http://h/x?y"] {
            let found = wire(&format!("GET {target} HTTP/1.1"), 200).unwrap();
            assert_eq!((found.target.as_str(), found.protocol), (target, Protocol::Http1));
            assert_eq!(found.headers.len(), 2);
        }
        assert_eq!(wire("PROPFIND /x HTTP/2.0", 405).unwrap().protocol, Protocol::Http2);
        assert_eq!(wire("PROPFIND /x HTTP/1.1", 405).unwrap().protocol, Protocol::Http1);
        // HTTP/1 would get the proxy's own 400 for it.
        assert_eq!(wire("get /x HTTP/1.1", 405).unwrap().protocol, Protocol::Http2);
    }

    #[test]
    fn what_cannot_be_sent_says_why() {
        let cases = [
            ("CONNECT h:443 HTTP/1.1", 200, Unsendable::Connect),
            ("OPTIONS * HTTP/1.1", 200, Unsendable::Server),
            ("GET /ws HTTP/1.1", 101, Unsendable::Status),
            ("GET / HTTP/1.1", 600, Unsendable::Status),
            ("GET /two words HTTP/1.1", 400, Unsendable::Target),
            ("GET /x#fragment HTTP/1.1", 200, Unsendable::Target),
            ("GET /\\xff\\xfe HTTP/1.1", 400, Unsendable::Target),
            ("GET * HTTP/1.1", 400, Unsendable::Target),
            ("GET relative HTTP/1.1", 400, Unsendable::Target),
            ("GET host:80 HTTP/1.1", 400, Unsendable::Target),
        ];
        for (request, status, expected) in cases {
            assert_eq!(wire(request, status), Err(expected), "{request}");
        }
    }

    #[test]
    fn some_answers_have_no_body() {
        for (request, status, expected) in [
            ("GET / HTTP/1.1", 200, true),
            ("HEAD / HTTP/1.1", 200, false),
            ("GET / HTTP/1.1", 304, false),
            ("GET / HTTP/1.1", 204, false),
        ] {
            assert_eq!(wire(request, status).unwrap().has_body(), expected, "{request} {status}");
        }
    }
}
