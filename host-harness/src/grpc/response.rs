//! How Envoy's gRPC client reads a response: what it tells of what comes.

use std::borrow::Cow;

use crate::hostcall::{grpc_status_of, percent_encoded};
use crate::{GrpcEvent, GrpcReset, HeaderMap};

/// What a module is told of its callout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// Headers of the response.
    InitialMetadata(HeaderMap),
    /// A message; a call's only one, and the end of it.
    Message(Vec<u8>),
    /// Trailers of the response.
    TrailingMetadata(HeaderMap),
    /// The end: a stream's always, a call's when it failed.
    Close {
        /// The gRPC status.
        status: u32,
        /// Why.
        message: String,
    },
}

/// gRPC statuses.
mod status {
    pub(super) const OK: u32 = 0;
    pub(super) const UNKNOWN: u32 = 2;
    pub(super) const RESOURCE_EXHAUSTED: u32 = 8;
    pub(super) const INTERNAL: u32 = 13;
    pub(super) const UNAVAILABLE: u32 = 14;
    /// The last one.
    pub(super) const UNAUTHENTICATED: u32 = 16;
    /// Of one that is none.
    pub(super) const INVALID: u32 = u32::MAX;
}

/// The bytes before a message: flags and length.
const PREFIX: usize = 5;
/// The flag of a compressed message.
const COMPRESSED: u8 = 1;

/// A response on its way in.
#[derive(Debug)]
pub(crate) struct Response {
    /// It is a call's, of which only the outcome is told.
    call: bool,
    max_message: usize,
    /// Bytes of a message that is not complete.
    held: Vec<u8>,
    /// A call's last message.
    last: Option<Vec<u8>>,
    /// Headers have come.
    began: bool,
    /// Response code details.
    details: Cow<'static, str>,
}

impl Response {
    /// Nothing has come yet.
    pub(crate) fn new(call: bool, max_message: usize) -> Self {
        Self { call, max_message, held: Vec::new(), last: None, began: false, details: Cow::Borrowed("") }
    }

    /// What there is to tell of what came. After [`Told::Close`], or a call's message, there is nothing more to come.
    pub(crate) fn take(&mut self, event: GrpcEvent) -> Vec<Told> {
        let told = match event {
            GrpcEvent::Headers { headers, end } => {
                self.began = true;
                self.details = Cow::Borrowed("via_upstream");
                self.headers(headers, end)
            }
            GrpcEvent::Data(bytes) => self.data(&bytes),
            GrpcEvent::Trailers(trailers) => self.trailers(trailers),
            GrpcEvent::End => self.broken(status::UNKNOWN),
            GrpcEvent::Timeout => {
                self.details = Cow::Borrowed("response_timeout");
                self.proxy_ends("upstream request timeout")
            }
            GrpcEvent::Reset(reset) => {
                let (words, name) = reasons(reset);
                let when = if self.began { "after" } else { "before" };
                self.details = format!("upstream_reset_{when}_response_started{{{name}}}").into();
                self.proxy_ends(&format!(
                    "upstream connect error or disconnect/reset before headers. reset reason: {words}"
                ))
            }
        };
        self.tell(told)
    }

    /// What there is to tell of a request that the proxy does not send.
    pub(crate) fn refuse(&mut self, message: &str, details: String) -> Vec<Told> {
        self.details = details.into();
        let told = self.proxy_ends(message);
        self.tell(told)
    }

    fn tell(&mut self, told: Vec<Told>) -> Vec<Told> {
        if self.call { told.into_iter().filter_map(|told| self.outcome(told)).collect() } else { told }
    }

    /// The proxy's own answer where there is none of the upstream's yet.
    fn proxy_ends(&mut self, message: &str) -> Vec<Told> {
        if self.began {
            return self.broken(status::INTERNAL);
        }
        let headers = HeaderMap::from([
            (":status", "200"),
            ("content-type", "application/grpc"),
            ("grpc-status", status::UNAVAILABLE.to_string().as_str()),
            ("grpc-message", percent_encoded(message.as_bytes()).as_str()),
        ]);
        self.headers(headers, true)
    }

    /// Trailers in the place of headers where nothing follows, an error where the HTTP status is one.
    fn headers(&mut self, headers: HeaderMap, end: bool) -> Vec<Told> {
        let status = headers.get(":status").and_then(number).unwrap_or_default();
        if status == 200 && !end {
            return vec![Told::InitialMetadata(headers)];
        }
        let mut told = vec![Told::InitialMetadata(HeaderMap::new())];
        told.extend(if end && (status == 200 || grpc_status(&headers).is_some()) {
            self.trailers(headers)
        } else {
            self.broken(grpc_status_of(status))
        });
        told
    }

    /// Messages are told when all that came with them is well-formed.
    fn data(&mut self, bytes: &[u8]) -> Vec<Told> {
        self.held.extend_from_slice(bytes);
        let mut taken = 0;
        let mut told = Vec::new();
        let mut compressed = false;
        while let Some(rest) = self.held.get(taken..) {
            if rest.first().is_some_and(|flags| flags & !COMPRESSED != 0) {
                return self.broken(status::INTERNAL);
            }
            let Some(([flags, length @ ..], after)) = rest.split_first_chunk::<PREFIX>() else { break };
            let length = u32::from_be_bytes(*length) as usize;
            if length > self.max_message {
                return self.broken(status::RESOURCE_EXHAUSTED);
            }
            let Some(message) = after.get(..length) else { break };
            taken += PREFIX + length;
            // None can be read, but an empty one need not be.
            compressed |= *flags == COMPRESSED && length > 0;
            if !compressed {
                told.push(Told::Message(message.to_vec()));
            }
        }
        self.held.drain(..taken);
        if compressed {
            told.extend(self.broken(status::INTERNAL));
        }
        told
    }

    fn trailers(&mut self, mut trailers: HeaderMap) -> Vec<Told> {
        for name in ["grpc-status", "grpc-message"] {
            let lines: Vec<&[u8]> = trailers.get_all(name).collect();
            if lines.len() > 1 {
                // Envoy keeps them in one line.
                let joined = lines.join(&b',');
                trailers.set(name, joined);
            }
        }
        let status = grpc_status(&trailers).unwrap_or(status::UNKNOWN);
        let message = String::from_utf8_lossy(trailers.get("grpc-message").unwrap_or_default()).into_owned();
        vec![Told::TrailingMetadata(trailers), self.close(status, &message)]
    }

    fn broken(&mut self, status: u32) -> Vec<Told> {
        vec![Told::TrailingMetadata(HeaderMap::new()), self.close(status, "")]
    }

    /// The upstream's words and the proxy's.
    fn close(&self, status: u32, message: &str) -> Told {
        let message = match (message, self.details.as_ref()) {
            ("", details) => details.to_owned(),
            (message, "") => message.to_owned(),
            (message, details) => format!("{message}{{{details}}}"),
        };
        Told::Close { status, message }
    }

    /// What is told of a call: its last message if it went well, else its end.
    fn outcome(&mut self, told: Told) -> Option<Told> {
        match told {
            Told::InitialMetadata(_) | Told::TrailingMetadata(_) => None,
            Told::Message(message) => {
                self.last = Some(message);
                None
            }
            Told::Close { status: status::OK, .. } => Some(match self.last.take() {
                Some(message) => Told::Message(message),
                None => Told::Close { status: status::INTERNAL, message: String::new() },
            }),
            failed @ Told::Close { .. } => Some(failed),
        }
    }
}

/// A reason in the proxy's words, and as response code details have it.
fn reasons(reset: GrpcReset) -> (&'static str, &'static str) {
    match reset {
        GrpcReset::ConnectionFailure => {
            ("remote connection failure", "remote_connection_failure|delayed_connect_error:_Connection_refused")
        }
        GrpcReset::ConnectionTermination => ("connection termination", "connection_termination"),
        GrpcReset::RemoteReset => ("remote reset", "remote_reset"),
        GrpcReset::ProtocolError => ("protocol error", "protocol_error"),
        GrpcReset::Overflow => ("overflow", "overflow"),
    }
}

/// The `grpc-status`, if there is any; one that is none of gRPC's is [`status::INVALID`].
fn grpc_status(headers: &HeaderMap) -> Option<u32> {
    let value = headers.get("grpc-status").filter(|value| !value.is_empty())?;
    Some(number(value).filter(|status| *status <= status::UNAUTHENTICATED).unwrap_or(status::INVALID))
}

fn number(value: &[u8]) -> Option<u32> {
    std::str::from_utf8(value).ok()?.parse().ok()
}
