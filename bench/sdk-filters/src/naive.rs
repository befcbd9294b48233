//! A stream of the filter that does the job: correlation ID, endpoint, counter and histogram.
//!
//! What a client sends is read as bytes, because the SDK's calls for text panic on what is not UTF-8.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::SystemTime;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, MetricType};

use crate::routes::Routes;
use crate::{correlation, random};

const CORRELATION_ID: &str = "x-correlation-id";

thread_local! {
    /// The metrics defined so far, by stat name.
    static METRICS: RefCell<HashMap<String, u32>> = RefCell::default();
}

/// One HTTP stream.
pub(crate) struct Naive {
    routes: Rc<Routes>,
    /// What its request was, once its headers are seen.
    request: Option<Request>,
    /// What was answered, if anything was.
    status: Option<String>,
}

struct Request {
    correlation_id: Option<String>,
    method: String,
    endpoint: String,
    start: SystemTime,
}

impl Naive {
    pub(crate) fn new(routes: Rc<Routes>) -> Self {
        Self { routes, request: None, status: None }
    }

    /// The ID that the client sent, if it may be one.
    fn sent_id(&self) -> Option<String> {
        let id = String::from_utf8(self.get_http_request_header_bytes(CORRELATION_ID)?).ok()?;
        correlation::is_valid(&id).then_some(id)
    }

    fn make_id(&self) -> Option<String> {
        let id = correlation::uuid_v4(random::bytes()?);
        self.set_http_request_header(CORRELATION_ID, Some(&id));
        Some(id)
    }
}

impl Context for Naive {}

impl HttpContext for Naive {
    fn on_http_request_headers(&mut self, _headers: usize, _end_of_stream: bool) -> Action {
        let start = self.get_current_time();
        let correlation_id = self.sent_id().or_else(|| self.make_id());
        let method = method_label(&self.get_http_request_header_bytes(":method").unwrap_or_default()).to_string();
        let target = self.get_http_request_header_bytes(":path").unwrap_or_default();
        let target = String::from_utf8_lossy(&target);
        let path = target.split('?').next().unwrap_or_default();
        let endpoint = self.routes.find(&method, path).to_string();
        if let Some(id) = &correlation_id {
            self.set_property(vec!["bench.correlation_id"], Some(id.as_bytes()));
        }
        self.set_property(vec!["bench.endpoint"], Some(endpoint.as_bytes()));
        self.request = Some(Request { correlation_id, method, endpoint, start });
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _headers: usize, _end_of_stream: bool) -> Action {
        if let Some(id) = self.request.as_ref().and_then(|request| request.correlation_id.as_ref()) {
            self.set_http_response_header(CORRELATION_ID, Some(id));
        }
        self.status = self.get_http_response_header(":status");
        Action::Continue
    }

    fn on_log(&mut self) {
        // Of a stream that was over before it reached this filter there is nothing to tell.
        let Some(Request { method, endpoint, start, .. }) = &self.request else { return };
        let status = self.status.as_deref().unwrap_or("0");
        let duration = self.get_current_time().duration_since(*start).unwrap_or_default();
        let requests =
            format!("bench_http_requests_total.method=.={method};.;endpoint=.={endpoint};.;status=.={status};.;");
        if let Some(id) = metric(MetricType::Counter, requests) {
            let _ = hostcalls::increment_metric(id, 1);
        }
        let durations =
            format!("bench_http_request_duration_milliseconds.method=.={method};.;endpoint=.={endpoint};.;");
        if let Some(id) = metric(MetricType::Histogram, durations) {
            let _ = hostcalls::record_metric(id, u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
        }
    }
}

/// A metric, which is defined when it is used first.
fn metric(kind: MetricType, name: String) -> Option<u32> {
    METRICS.with_borrow_mut(|metrics| {
        if let Some(id) = metrics.get(&name) {
            return Some(*id);
        }
        let id = hostcalls::define_metric(kind, &name).ok()?;
        metrics.insert(name, id);
        Some(id)
    })
}

/// The label for a method: a client may send any token, and metrics are never freed.
fn method_label(method: &[u8]) -> &'static str {
    match method {
        b"GET" => "GET",
        b"HEAD" => "HEAD",
        b"POST" => "POST",
        b"PUT" => "PUT",
        b"PATCH" => "PATCH",
        b"DELETE" => "DELETE",
        b"OPTIONS" => "OPTIONS",
        b"CONNECT" => "CONNECT",
        b"TRACE" => "TRACE",
        _ => "OTHER",
    }
}
