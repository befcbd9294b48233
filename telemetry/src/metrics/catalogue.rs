//! The one table of metrics: name, kind, unit, labels, help.
//!
//! Everything that names a metric takes it from here. A label's values come from a closed set, from configuration, or from
//! a pool with a cap; never straight from a request.

/// What a metric is to the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// The latest value.
    Gauge,
    /// The proxy's own histogram: it is handed single values and picks the buckets itself.
    Histogram,
}

impl MetricKind {
    /// `counter`, `gauge` or `histogram`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One row of the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// The name after `<namespace>_`.
    pub suffix: &'static str,
    /// What it is to the proxy.
    pub kind: MetricKind,
    /// What one unit of its value is.
    pub unit: &'static str,
    /// The labels, in the order in which the stat name carries them.
    pub labels: &'static [&'static str],
    /// What it says, for the reference.
    pub help: &'static str,
    /// Kept by the proxy (a histogram, by configuration) rather than counted here.
    pub native: bool,
}

/// Requests, by method, endpoint and status.
pub const REQUESTS: Metric = Metric {
    suffix: "http_requests_total",
    kind: MetricKind::Counter,
    unit: "requests",
    labels: &["method", "endpoint", "status"],
    help: "HTTP streams that ended, each counted once; status `0` when the client left before an answer",
    native: false,
};

/// Cumulative latency buckets.
pub const DURATION_BUCKET: Metric = Metric {
    suffix: "http_request_duration_seconds_bucket",
    kind: MetricKind::Counter,
    unit: "requests",
    labels: &["method", "endpoint", "le"],
    help: "Requests that took at most `le` seconds (cumulative; exact, from whole microseconds)",
    native: false,
};

/// The number of requests timed.
pub const DURATION_COUNT: Metric = Metric {
    suffix: "http_request_duration_seconds_count",
    kind: MetricKind::Counter,
    unit: "requests",
    labels: &["method", "endpoint"],
    help: "Requests timed; equals the sum of the requests over all statuses",
    native: false,
};

/// The exact sum of the durations.
pub const DURATION_SUM: Metric = Metric {
    suffix: "http_request_duration_microseconds_total",
    kind: MetricKind::Counter,
    unit: "microseconds",
    labels: &["method", "endpoint"],
    help: "The exact sum of the durations, in microseconds; a recording rule divides it into `…_duration_seconds_sum`",
    native: false,
};

/// Envoy's histogram, by configuration.
pub const DURATION_HISTOGRAM: Metric = Metric {
    suffix: "http_request_duration_milliseconds",
    kind: MetricKind::Histogram,
    unit: "milliseconds",
    labels: &["method", "endpoint"],
    help: "Durations in whole milliseconds, for statsd, OTLP and native histograms; only with `metrics.histogram: true`",
    native: true,
};

/// Which build and configuration runs.
pub const BUILD_INFO: Metric = Metric {
    suffix: "edge_build_info",
    kind: MetricKind::Gauge,
    unit: "builds",
    labels: &["version", "config", "ring"],
    help: "1 for the build and configuration that runs, 0 for one it replaced; `config` is the configuration's digest, `ring` is left out when it is empty",
    native: false,
};

/// What the configuration may lead to.
pub const SERIES_BUDGET: Metric = Metric {
    suffix: "edge_series_budget",
    kind: MetricKind::Gauge,
    unit: "series",
    labels: &[],
    help: "The most series that the configuration in force may lead to, `metrics.series_budget`",
    native: false,
};

/// A sign of life.
pub const HEARTBEAT: Metric = Metric {
    suffix: "edge_heartbeat_total",
    kind: MetricKind::Counter,
    unit: "ticks",
    labels: &["worker"],
    help: "Ticks of the filter on each of the proxy's threads; where fewer counts move than there are threads, one has lost its filter (a new VM may count under another number)",
    native: false,
};

/// What became of correlation IDs.
pub const CORRELATION: Metric = Metric {
    suffix: "edge_correlation_total",
    kind: MetricKind::Counter,
    unit: "requests",
    labels: &["outcome", "reason"],
    help: "Requests by what became of their correlation ID (`kept`, `generated`, `refused`, `none`) and why; sums to the requests",
    native: false,
};

/// Paths that no template covers and for which there was no room.
pub const ENDPOINT_OVERFLOW: Metric = Metric {
    suffix: "edge_endpoint_overflow_total",
    kind: MetricKind::Counter,
    unit: "requests",
    labels: &[],
    help: "Requests counted under the endpoint `_overflow`, because `routes.placeholders.max_endpoints` or `max_per_parent` was reached or the label was too long",
    native: false,
};

/// Hostcalls that failed.
pub const HOSTCALL_FAULTS: Metric = Metric {
    suffix: "edge_hostcall_faults_total",
    kind: MetricKind::Counter,
    unit: "calls",
    labels: &["hostcall"],
    help: "Calls from the filter to the proxy that the proxy refused; the request went on",
    native: false,
};

/// What became of rules.
pub const RULES: Metric = Metric {
    suffix: "edge_rule_total",
    kind: MetricKind::Counter,
    unit: "streams",
    labels: &["rule_name", "outcome"],
    help: "Streams that a rule is about: `fired`, `repeated` (a client tried again, and it was not counted twice), `forgot` (fired, and to remember it another key was given up before its time), `no_value` (there was nothing to count)",
    native: false,
};

/// What came of reading bodies.
pub const BODIES: Metric = Metric {
    suffix: "edge_body_total",
    kind: MetricKind::Counter,
    unit: "bodies",
    labels: &["outcome"],
    help: "Request bodies that a rule wanted a value of: `complete`, or why none was taken: `incomplete`, `malformed`, `too_deep`, `too_large`, `compressed`",
    native: false,
};

/// How requests for polled gauges went.
pub const POLLS: Metric = Metric {
    suffix: "edge_poll_total",
    kind: MetricKind::Counter,
    unit: "requests",
    labels: &["poll", "outcome"],
    help: "Requests for polled gauges: `ok`, or why the answer did not count",
    native: false,
};

/// How old polled gauges are.
pub const POLL_STALENESS: Metric = Metric {
    suffix: "edge_poll_staleness_seconds",
    kind: MetricKind::Gauge,
    unit: "seconds",
    labels: &["poll"],
    help: "The time since the last answer that counted",
    native: false,
};

/// What became of security events.
pub const EVENTS: Metric = Metric {
    suffix: "edge_events_total",
    kind: MetricKind::Counter,
    unit: "events",
    labels: &["sink", "state"],
    help: "Security events by sink: `made`, and how each ended: `delivered`, or `logged` to the proxy's log; made = delivered + logged + queued. The sink `log` is the proxy's log where none is configured",
    native: false,
};

/// Why security events went to the log.
pub const EVENTS_LOGGED: Metric = Metric {
    suffix: "edge_events_logged_total",
    kind: MetricKind::Counter,
    unit: "events",
    labels: &["sink", "reason"],
    help: "Security events that went to the proxy's log, and why; sums to those `logged`",
    native: false,
};

/// Calls to sinks.
pub const EVENT_BATCHES: Metric = Metric {
    suffix: "edge_event_batches_total",
    kind: MetricKind::Counter,
    unit: "calls",
    labels: &["sink", "state"],
    help: "Batches of security events that were sent: `first` for the first time, `again` after a failure",
    native: false,
};

/// Events that wait.
pub const EVENTS_QUEUED: Metric = Metric {
    suffix: "edge_events_queued",
    kind: MetricKind::Gauge,
    unit: "events",
    labels: &["sink", "worker"],
    help: "Security events that wait or are under way, in each worker",
    native: false,
};

/// How long the oldest event has waited.
pub const EVENT_QUEUE_AGE: Metric = Metric {
    suffix: "edge_event_queue_age_seconds",
    kind: MetricKind::Gauge,
    unit: "seconds",
    labels: &["sink", "worker"],
    help: "The age of the oldest security event that waits, in each worker; 0 where none does",
    native: false,
};

/// Every metric, in the order of the reference.
pub const METRICS: &[Metric] = &[
    REQUESTS,
    DURATION_BUCKET,
    DURATION_COUNT,
    DURATION_SUM,
    DURATION_HISTOGRAM,
    BUILD_INFO,
    SERIES_BUDGET,
    HEARTBEAT,
    CORRELATION,
    ENDPOINT_OVERFLOW,
    HOSTCALL_FAULTS,
    RULES,
    BODIES,
    POLLS,
    POLL_STALENESS,
    EVENTS,
    EVENTS_LOGGED,
    EVENT_BATCHES,
    EVENTS_QUEUED,
    EVENT_QUEUE_AGE,
];

/// Values of `worker`: numbers below this, and `other` for every thread past them.
pub const MAX_WORKERS: u32 = 256;

/// Values of `hostcall`: names up to this many, then `other`.
pub const MAX_HOSTCALLS: usize = 32;

/// Build-info series of one process's life that the budget allows for: this build and the ones it replaced.
pub const MAX_BUILDS: usize = 16;

/// Reasons for which an event goes to the log: those of a sink, and that there is none.
pub const LOG_REASONS: usize = siem::sender::Reason::ALL.len() + 1;
