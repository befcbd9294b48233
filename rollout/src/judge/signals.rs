//! The signals that gates are made of: each a query for one arm, whose result has a series for each proxy, or several.
//!
//! In a query `{{select}}` stands for the arm's label matchers, `{{namespace}}` for the namespace of the filter's metrics, `{{ring}}` for the ring's name.
//! Each can be replaced by `gates.signals` of the rollout file; the result must keep the labels that are named here.

use crate::plan::{Gates, OwnKind, Plan, Preset, Ring};

/// What runs, by `instance` and `config`; 1 for it, 0 for what it replaced.
pub const BUILD: &str = "build";
/// Beats of each worker, by `instance` and `worker`.
pub const HEARTBEAT: &str = "heartbeat";
/// Threads of a proxy that should beat, by `instance`.
pub const THREADS: &str = "threads";
/// Requests that the filter counted, by `instance`.
pub const COUNTED: &str = "counted";
/// When that was scraped, by `instance`, in seconds.
pub const COUNTED_AT: &str = "counted_at";
/// Requests that the proxy completed, by `instance`.
pub const REQUESTS: &str = "requests";
/// When that was scraped, by `instance`, in seconds.
pub const REQUESTS_AT: &str = "requests_at";
/// Of those, what was answered with 5xx, by `instance`.
pub const FAILED: &str = "failed";
/// VMs that failed, by `instance`.
pub const VM_FAILURES: &str = "vm_failures";
/// Modules and configurations that were refused, by `instance`.
pub const REFUSALS: &str = "refusals";
/// Seconds since the proxy started, by `instance`.
pub const UPTIME: &str = "uptime";
/// Sum of durations, by `instance` and `endpoint`, in microseconds.
pub const DURATION_SUM: &str = "duration_sum";
/// How many durations, by `instance` and `endpoint`.
pub const DURATION_COUNT: &str = "duration_count";
/// Sum of the proxy's own durations, by `instance`, in milliseconds.
pub const PROXY_SUM: &str = "proxy_duration_sum";
/// How many.
pub const PROXY_COUNT: &str = "proxy_duration_count";
/// Sum of the upstream's durations, by `instance`, in milliseconds.
pub const UPSTREAM_SUM: &str = "upstream_duration_sum";
/// How many.
pub const UPSTREAM_COUNT: &str = "upstream_duration_count";
/// Processor time, by `instance`, in seconds.
pub const CPU: &str = "cpu";
/// Resident memory, by `instance`, in bytes.
pub const MEMORY: &str = "memory";
/// Series of the filter, by `instance`.
pub const SERIES: &str = "series";
/// How many series the configuration allows, by `instance`.
pub const BUDGET: &str = "series_budget";
/// Requests that were counted under `_overflow`, by `instance`.
pub const OVERFLOW: &str = "overflow";

/// Every signal that `gates.signals` may replace.
pub const ALL: [&str; 22] = [
    BUILD,
    HEARTBEAT,
    THREADS,
    COUNTED,
    COUNTED_AT,
    REQUESTS,
    REQUESTS_AT,
    FAILED,
    VM_FAILURES,
    REFUSALS,
    UPTIME,
    DURATION_SUM,
    DURATION_COUNT,
    PROXY_SUM,
    PROXY_COUNT,
    UPSTREAM_SUM,
    UPSTREAM_COUNT,
    CPU,
    MEMORY,
    SERIES,
    BUDGET,
    OVERFLOW,
];

/// A query for one arm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    /// Its name.
    pub name: String,
    /// The expression, with its placeholders.
    pub query: String,
    /// Whether the control is asked too.
    pub compared: bool,
}

impl Signal {
    /// The expression for a ring.
    #[must_use]
    pub fn resolved(&self, gates: &Gates, ring: &Ring) -> String {
        self.query
            .replace("{{namespace}}", &gates.namespace)
            .replace("{{select}}", &ring.select)
            .replace("{{ring}}", &ring.name)
    }
}

/// Whether a proxy that is well may have no such series.
#[must_use]
pub fn may_be_absent(name: &str) -> bool {
    const OPTIONAL: [&str; 9] =
        [THREADS, FAILED, VM_FAILURES, REFUSALS, PROXY_SUM, PROXY_COUNT, UPSTREAM_SUM, UPSTREAM_COUNT, OVERFLOW];
    // A counter of what is bad begins with the first of it.
    OPTIONAL.contains(&name) || name == BUDGET || name.ends_with(":bad")
}

/// The signals that a plan's gates need.
#[must_use]
pub fn of(plan: &Plan) -> Vec<Signal> {
    let gates = &plan.gates;
    let mut wanted: Vec<&str> = vec![BUILD, HEARTBEAT, THREADS, REQUESTS, VM_FAILURES, REFUSALS, UPTIME];
    let mut need = |wanted_by: bool, names: &[&'static str]| {
        if wanted_by {
            wanted.extend(names);
        }
    };
    need(gates.completeness.is_some(), &[COUNTED, COUNTED_AT, REQUESTS_AT]);
    need(gates.errors.is_some(), &[FAILED]);
    need(
        gates.latency.is_some(),
        &[DURATION_SUM, DURATION_COUNT, PROXY_SUM, PROXY_COUNT, UPSTREAM_SUM, UPSTREAM_COUNT],
    );
    need(gates.cpu.is_some(), &[CPU]);
    need(gates.memory.is_some(), &[MEMORY]);
    need(gates.series.is_some(), &[SERIES, BUDGET]);
    need(gates.overflow.is_some(), &[OVERFLOW]);
    let mut signals: Vec<Signal> = wanted
        .into_iter()
        .map(|name| Signal {
            name: name.to_owned(),
            query: gates.signals.get(name).cloned().unwrap_or_else(|| preset(gates.preset, name)),
            compared: true,
        })
        .collect();
    for own in &gates.own {
        let mut add = |part: &str, query: &str, compared| {
            signals.push(Signal { name: own_name(&own.name, part), query: query.to_owned(), compared });
        };
        match &own.kind {
            OwnKind::Share { bad, total, .. } => {
                add("bad", bad, true);
                add("total", total, true);
            }
            OwnKind::Mean { sum, count, .. } => {
                add("sum", sum, true);
                add("count", count, true);
            }
            OwnKind::Within { query, .. } => add("value", query, false),
        }
    }
    signals
}

/// The name of a part of an own gate.
#[must_use]
pub fn own_name(gate: &str, part: &str) -> String {
    format!("own:{gate}:{part}")
}

/// What a preset asks; empty for a name that is no signal.
fn preset(preset: Preset, name: &str) -> String {
    let filter =
        |by: &str, metric: &str| format!("sum by (instance{by}) ({{{{namespace}}}}_{metric}{{{{{{select}}}}}})");
    let at = |metric: &str| format!("max by (instance) (timestamp({metric}))");
    let text = match name {
        BUILD => "max by (instance, config) ({{namespace}}_edge_build_info{{{select}}})".to_owned(),
        HEARTBEAT => "max by (instance, worker) ({{namespace}}_edge_heartbeat_total{{{select}}})".to_owned(),
        // One more than there are workers: the main thread has a VM too; past 256 the others share a number.
        THREADS => "clamp_max(max by (instance) (envoy_server_concurrency{{{select}}}) + 1, 257)".to_owned(),
        COUNTED => filter("", "http_requests_total"),
        COUNTED_AT => at("{{namespace}}_http_requests_total{{{select}}}"),
        REFUSALS => {
            "sum by (instance) ({__name__=~\"envoy_extension_config_discovery_.+_(config_fail|update_rejected)\",{{select}}})".to_owned()
        }
        VM_FAILURES => "sum by (instance) ({__name__=~\"envoy_wasm_.*vm_reload_(success|failure)\",{{select}}})".to_owned(),
        UPTIME => "max by (instance) (envoy_server_uptime{{{select}}})".to_owned(),
        DURATION_SUM => filter(", endpoint", "http_request_duration_microseconds_total"),
        DURATION_COUNT => filter(", endpoint", "http_request_duration_seconds_count"),
        SERIES => "count by (instance) ({__name__=~\"{{namespace}}_.+\",{{select}}})".to_owned(),
        BUDGET => "max by (instance) ({{namespace}}_edge_series_budget{{{select}}})".to_owned(),
        OVERFLOW => "sum by (instance) ({{namespace}}_http_requests_total{endpoint=\"_overflow\",{{select}}})".to_owned(),
        _ => match preset {
            Preset::Envoy => envoy(name),
            Preset::Istio => istio(name),
        },
    };
    match preset {
        Preset::Envoy => text,
        // A pod is a proxy; the label `instance` is its address there, and its name says more.
        Preset::Istio => text.replace("by (instance", "by (pod"),
    }
}

fn envoy(name: &str) -> String {
    let ingress = "envoy_http_conn_manager_prefix=\"ingress\",{{select}}";
    let sum = |metric: &str, matchers: &str| format!("sum by (instance) ({metric}{{{matchers}}})");
    match name {
        REQUESTS => sum("envoy_http_downstream_rq_completed", ingress),
        REQUESTS_AT => format!("max by (instance) (timestamp(envoy_http_downstream_rq_completed{{{ingress}}}))"),
        FAILED => sum("envoy_http_downstream_rq_xx", &format!("envoy_response_code_class=\"5\",{ingress}")),
        PROXY_SUM => sum("envoy_http_downstream_rq_time_sum", ingress),
        PROXY_COUNT => sum("envoy_http_downstream_rq_time_count", ingress),
        UPSTREAM_SUM => sum("envoy_cluster_upstream_rq_time_sum", "{{select}}"),
        UPSTREAM_COUNT => sum("envoy_cluster_upstream_rq_time_count", "{{select}}"),
        CPU => sum("namedprocess_namegroup_cpu_seconds_total", "{{select}}"),
        MEMORY => sum("namedprocess_namegroup_memory_bytes", "memtype=\"resident\",{{select}}"),
        _ => String::new(),
    }
}

fn istio(name: &str) -> String {
    let inbound = "reporter=\"destination\",{{select}}";
    let sum = |metric: &str, matchers: &str| format!("sum by (instance) ({metric}{{{matchers}}})");
    match name {
        REQUESTS => sum("istio_requests_total", inbound),
        REQUESTS_AT => format!("max by (instance) (timestamp(istio_requests_total{{{inbound}}}))"),
        FAILED => sum("istio_requests_total", &format!("response_code=~\"5..\",{inbound}")),
        PROXY_SUM => sum("istio_request_duration_milliseconds_sum", inbound),
        PROXY_COUNT => sum("istio_request_duration_milliseconds_count", inbound),
        CPU => sum("container_cpu_usage_seconds_total", "container=\"istio-proxy\",{{select}}"),
        MEMORY => sum("container_memory_working_set_bytes", "container=\"istio-proxy\",{{select}}"),
        // The sidecar does not report its upstream's time by itself.
        UPSTREAM_SUM | UPSTREAM_COUNT => "vector(0) unless vector(0)".to_owned(),
        _ => String::new(),
    }
}
