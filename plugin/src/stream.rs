//! HTTP streams: gather, call the core, apply.
//!
//! A stream may end at any step and begin at any: the request's headers are seen unless another filter or the codec
//! answered first, the response's unless the client left, and `on_log` comes in any case. Whatever a hostcall refuses
//! is noted, and the stream goes on.
//!
//! Filter state is set as soon as it is known, so that whatever runs between here and the access log can use it too;
//! what is not known earlier is set in `on_log`, which Envoy calls before it writes the access log.

use telemetry::correlation::Sender;
use telemetry::filter::{CorsHead, Expose, RequestHead, StreamEnd};
use telemetry::rule::body::Body;
use telemetry::stream_info::StreamInfo;

use crate::clock;
use crate::faults::Faults;
use crate::flush::{HostMetrics, HostShared};
use crate::host::{self, HeaderMap, HostBuffer};
use crate::root::Instance;
use crate::rules;
use crate::shared;
use crate::vm::Tools;

const SOURCE_ADDRESS: &[u8] = b"source\0address";
const CONNECTION_MTLS: &[u8] = b"connection\0mtls";
const REQUEST_DURATION: &[u8] = b"request\0duration";
const EXPOSE_HEADERS: &[u8] = b"access-control-expose-headers";

/// One HTTP stream.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    /// The number of its instance.
    instance: usize,
    /// How far the time of day was ahead of the monotonic clock when the stream began.
    ahead_ns: u64,
    /// Its request's headers have come, and `info` is about it.
    seen: bool,
    /// It is counted.
    logged: bool,
    info: StreamInfo,
    /// Its request's body, while a rule may want a value of it.
    body: Option<Box<Body>>,
}

impl Stream {
    /// Makes another stream of it, which begins now.
    pub(crate) fn begin(&mut self, instance: usize) {
        self.instance = instance;
        self.seen = false;
        self.logged = false;
    }

    pub(crate) fn instance(&self) -> usize {
        self.instance
    }

    /// Takes the memory for its body, at its end.
    pub(crate) fn take_body(&mut self) -> Option<Box<Body>> {
        self.body.take()
    }

    /// The time, or 0 where the proxy does not tell it.
    fn now_ns(&self, faults: &mut Faults) -> u64 {
        faults.catch(clock::now_ns(self.ahead_ns)).unwrap_or(0)
    }

    pub(crate) fn on_request_headers(&mut self, instance: &mut Instance, tools: &mut Tools) {
        if self.seen || self.logged {
            return;
        }
        let Instance { filter, state, filter_state, faults, bodies, .. } = instance;
        self.ahead_ns = faults.catch(tools.clock.ahead_ns()).unwrap_or(0);
        let now_ns = self.now_ns(faults);
        let Some(random) = &mut tools.random else {
            return;
        };
        let Some(pairs) = faults.catch(host::header_pairs(HeaderMap::Request, &mut tools.headers)) else {
            return;
        };
        let head = filter.request_head(pairs.of(filter.request_names()));

        let facts = filter.sender_facts(&head);
        let mtls = facts.mtls && is_true(faults.catch(host::property(CONNECTION_MTLS, &mut tools.value)).flatten());
        let address =
            if facts.address { faults.catch(host::property(SOURCE_ADDRESS, &mut tools.value)).flatten() } else { None };
        let info = &mut self.info;
        filter.on_request(state, &head, &Sender { address, mtls }, random.seed(), now_ns, info);
        self.seen = true;
        if info.rules() != 0 && filter.config().rules().reads_body(info.rules()) {
            self.body = Some(rules::begin_body(filter, bodies, &mut tools.value, faults));
            tools.reading = tools.reading.saturating_add(1);
        }

        let edits = filter.request_edits(&head, info);
        if let Some(id) = edits.correlation_id {
            let name = filter.config().correlation().header().as_bytes();
            faults.catch(host::set_header(HeaderMap::Request, name, id.as_bytes()));
        }
        if let Some(trace) = edits.traceparent {
            faults.catch(host::set_header(HeaderMap::Request, b"traceparent", trace.as_bytes()));
        }
        if edits.remove_tracestate {
            faults.catch(host::remove_header(HeaderMap::Request, b"tracestate"));
        }

        if let (Some(key), Some(id)) = (&filter_state.correlation_id, info.correlation_id()) {
            show(key, id.as_bytes(), faults);
        }
        if let Some(key) = &filter_state.outcome {
            show(key, info.outcome().filter_state().as_bytes(), faults);
        }
        if let Some(key) = &filter_state.endpoint
            && !info.endpoint_is_pending()
        {
            show(key, state.endpoint_label(filter, info.endpoint()).as_bytes(), faults);
        }
        tools.trim();
    }

    pub(crate) fn on_request_body(&mut self, size: usize, instance: &mut Instance, tools: &mut Tools) {
        if let Some(body) = &mut self.body
            && !self.logged
        {
            rules::feed_body(body, size, instance, &mut tools.value);
            tools.trim();
        }
    }

    pub(crate) fn on_response_headers(&mut self, instance: &mut Instance, tools: &mut Tools) {
        if !self.seen {
            return;
        }
        let Instance { filter, faults, .. } = instance;
        let cors = if filter.reads_cors() {
            let pairs = faults.catch(host::header_pairs(HeaderMap::Response, &mut tools.headers));
            pairs.map(|pairs| filter.cors_head(pairs)).unwrap_or_default()
        } else {
            CorsHead::default()
        };
        let edits = filter.response_edits(&self.info, &cors, &mut tools.merged);
        if let Some(id) = edits.correlation_id {
            let name = filter.config().correlation().header().as_bytes();
            faults.catch(host::set_header(HeaderMap::Response, name, id.as_bytes()));
        }
        match edits.expose {
            Some(Expose::Set(value)) => {
                faults.catch(host::set_header(HeaderMap::Response, EXPOSE_HEADERS, value));
            }
            Some(Expose::Add(value)) => {
                faults.catch(host::add_header(HeaderMap::Response, EXPOSE_HEADERS, value));
            }
            None => {}
        }
        tools.trim();
    }

    pub(crate) fn on_log(&mut self, instance: &mut Instance, tools: &mut Tools) {
        if self.logged {
            return;
        }
        self.logged = true;
        let Instance { filter, state, filter_state, shared: keys, succession, faults, .. } = instance;
        let status = faults.catch(host::header_value(HeaderMap::Response, b":status", &mut tools.value)).flatten();
        let mut end = StreamEnd { status: status.and_then(parse_status), ..StreamEnd::default() };
        let info = self.seen.then_some(&self.info);
        if info.is_some_and(|info| info.start_ns() != 0) {
            end.now_ns = self.now_ns(faults);
        }
        if end.now_ns == 0 {
            // Our clock missed the beginning or the end, but the proxy's did not.
            end.duration_ns = faults.catch(host::property(REQUEST_DURATION, &mut tools.value)).and_then(parse_duration);
        }
        if info.is_none() {
            end.request = request_head(filter, faults, &mut tools.headers);
        }

        let value = &mut tools.value;
        let logged = filter.on_log(state, info, &end, &mut |pool, item| {
            let mut shared = HostShared { buffer: &mut *value, faults: &mut *faults };
            shared::admit(keys.of(pool), item, filter.pool_limits(pool), &mut shared)
        });
        if let Some(key) = &filter_state.outcome
            && info.is_none()
        {
            show(key, logged.outcome.filter_state().as_bytes(), faults);
        }
        if let Some(key) = &filter_state.endpoint
            && info.is_none_or(StreamInfo::endpoint_is_pending)
        {
            show(key, state.endpoint_label(filter, logged.endpoint).as_bytes(), faults);
        }
        if let Some(id) = state.histogram_id(filter, &logged, &mut HostMetrics::all(succession, &mut *faults)) {
            faults.catch(host::record_metric(id, logged.duration_ns / 1_000_000));
        }
        let candidates = filter.rules_of(info, &logged);
        if candidates != 0 || filter.shows_facts(info, &logged) {
            rules::fire(candidates, &logged, info, self.body.as_deref_mut(), instance, tools);
        }
        tools.trim();
    }
}

/// The request's headers, read again for a stream that did not show them in time.
fn request_head<'a>(
    filter: &telemetry::filter::Filter,
    faults: &mut Faults,
    buffer: &'a mut HostBuffer,
) -> Option<RequestHead<'a>> {
    let pairs = faults.catch(host::header_pairs(HeaderMap::Request, buffer))?;
    Some(filter.request_head(pairs.of(filter.request_names())))
}

pub(crate) fn show(key: &str, value: &[u8], faults: &mut Faults) {
    faults.catch(host::set_property(key.as_bytes(), value));
}

/// A property that is a truth value.
fn is_true(property: Option<&[u8]>) -> bool {
    property.is_some_and(|bytes| bytes.first().is_some_and(|byte| *byte != 0))
}

/// Nanoseconds, as the proxy writes a duration: signed, little-endian. Of one below 0 nothing can be said.
fn parse_duration(property: Option<&[u8]>) -> Option<u64> {
    let bytes = <[u8; 8]>::try_from(property?).ok()?;
    u64::try_from(i64::from_le_bytes(bytes)).ok()
}

fn parse_status(value: &[u8]) -> Option<u16> {
    core::str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_a_number() {
        assert_eq!(parse_status(b"200"), Some(200));
        for not_one in [&b""[..], b"2x0", b"-1", b"70000", b"\xff\xfe\xfd"] {
            assert_eq!(parse_status(not_one), None, "{not_one:?}");
        }
    }

    #[test]
    fn a_duration_is_eight_bytes_and_not_negative() {
        assert_eq!(parse_duration(Some(&1_300_369_i64.to_le_bytes())), Some(1_300_369));
        assert_eq!(parse_duration(Some(&(-1_i64).to_le_bytes())), None);
        assert_eq!(parse_duration(Some(b"1234")), None);
        assert_eq!(parse_duration(None), None);
    }

    #[test]
    fn only_a_byte_that_is_not_zero_is_true() {
        assert!(is_true(Some(&[1])));
        assert!(!is_true(Some(&[0])));
        assert!(!is_true(Some(&[])));
        assert!(!is_true(None));
    }
}
