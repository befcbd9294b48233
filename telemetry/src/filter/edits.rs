//! Which headers to set.

use super::{Filter, RequestHead};
use crate::correlation::traceparent::TraceParent;
use crate::correlation::{CorrelationId, Header, Outcome};
use crate::stream_info::StreamInfo;

/// What to change on the request to the upstream. Every header is set, in place of all its lines, and never appended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestEdits<'a> {
    /// Set the correlation ID's header to this. `None` where the ID that came was kept: it is there already.
    pub correlation_id: Option<&'a CorrelationId>,
    /// Set `traceparent` to this.
    pub traceparent: Option<&'a TraceParent>,
    /// Remove `tracestate`: it belongs to a trace that was not continued.
    pub remove_tracestate: bool,
}

/// What to change on the response to the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponseEdits<'a> {
    /// Set the correlation ID's header to this.
    pub correlation_id: Option<&'a CorrelationId>,
    /// What to do to `Access-Control-Expose-Headers`.
    pub expose: Option<Expose<'a>>,
}

/// What to do to `Access-Control-Expose-Headers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expose<'a> {
    /// Set it to this value, which holds what was there.
    Set(&'a [u8]),
    /// Add a line with this value to those that are there.
    Add(&'a [u8]),
}

/// What the filter reads of a response's headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CorsHead<'a> {
    /// Whether the response is a CORS response: it has `Access-Control-Allow-Origin`.
    pub allow_origin: bool,
    /// Whether `Access-Control-Allow-Credentials` is `true`.
    pub credentials: bool,
    /// `Access-Control-Expose-Headers`
    pub expose: Header<'a>,
    /// Whether it names the correlation ID's header already.
    pub named: bool,
    /// Whether it has `*`, which means every header unless credentials are allowed (Fetch, section "CORS protocol and credentials").
    pub wildcard: bool,
}

impl Filter {
    /// What to change on the request.
    #[inline]
    #[must_use]
    pub fn request_edits<'a>(&self, head: &RequestHead<'_>, info: &'a StreamInfo) -> RequestEdits<'a> {
        let traceparent = info.started_trace.as_ref();
        RequestEdits {
            correlation_id: info.correlation_id().filter(|_| info.outcome != Outcome::Kept),
            traceparent,
            remove_tracestate: traceparent.is_some() && head.tracestate,
        }
    }

    /// Whether [`Filter::response_edits`] needs a [`CorsHead`] that was read from the response.
    #[inline]
    #[must_use]
    pub fn reads_cors(&self) -> bool {
        self.config.correlation().respond() && self.config.correlation().expose()
    }

    /// Picks what the filter needs from a response's headers, in one pass.
    #[inline]
    #[must_use]
    pub fn cors_head<'a>(&self, pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> CorsHead<'a> {
        let header = self.config.correlation().header().as_bytes();
        let mut head = CorsHead::default();
        for (name, value) in pairs {
            if name.eq_ignore_ascii_case(b"access-control-allow-origin") {
                head.allow_origin = true;
            } else if name.eq_ignore_ascii_case(b"access-control-allow-credentials") {
                head.credentials = value.trim_ascii() == b"true";
            } else if name.eq_ignore_ascii_case(b"access-control-expose-headers") {
                head.expose = head.expose.and(value);
                for listed in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    head.named |= listed.eq_ignore_ascii_case(header);
                    head.wildcard |= listed == b"*";
                }
            }
        }
        head
    }

    /// What to change on the response. `buffer` is for the merged value; reusing one saves allocations.
    #[inline]
    #[must_use]
    pub fn response_edits<'a>(
        &'a self,
        info: &'a StreamInfo,
        cors: &CorsHead<'_>,
        buffer: &'a mut Vec<u8>,
    ) -> ResponseEdits<'a> {
        if !self.config.correlation().respond() || info.correlation_id.is_none() {
            return ResponseEdits::default();
        }
        let header = self.config.correlation().header().as_bytes();
        let visible = cors.named || (cors.wildcard && !cors.credentials);
        let expose = if !self.reads_cors() || !cors.allow_origin || visible {
            None
        } else {
            match cors.expose {
                Header::None => Some(Expose::Set(header)),
                Header::One(value) => {
                    buffer.clear();
                    let value = value.trim_ascii();
                    if !value.is_empty() {
                        buffer.extend_from_slice(value);
                        buffer.extend_from_slice(b", ");
                    }
                    buffer.extend_from_slice(header);
                    Some(Expose::Set(buffer))
                }
                Header::Many => Some(Expose::Add(header)),
            }
        };
        ResponseEdits { correlation_id: info.correlation_id(), expose }
    }
}
