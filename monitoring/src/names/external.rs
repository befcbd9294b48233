//! Metrics of other programs that the dashboards look at: Envoy, the exporters, Prometheus.

/// A metric of another program.
#[derive(Clone, Copy, Debug)]
pub struct External {
    /// Its name on the page.
    pub name: &'static str,
    /// Whether it only grows.
    pub is_counter: bool,
    /// Its labels, those of the target left out.
    pub labels: &'static [&'static str],
}

const fn counter(name: &'static str, labels: &'static [&'static str]) -> External {
    External { name, is_counter: true, labels }
}

const fn gauge(name: &'static str, labels: &'static [&'static str]) -> External {
    External { name, is_counter: false, labels }
}

/// Envoy's worker threads.
pub const CONCURRENCY: External = gauge("envoy_server_concurrency", &[]);
/// The seconds since Envoy's start.
pub const UPTIME: External = gauge("envoy_server_uptime", &[]);
/// What Envoy's allocator has handed out, in bytes.
pub const MEMORY_ALLOCATED: External = gauge("envoy_server_memory_allocated", &[]);
/// What Envoy's allocator has of the system, in bytes.
pub const MEMORY_PHYSICAL: External = gauge("envoy_server_memory_physical_size", &[]);
/// Requests that ended, by listener.
pub const RQ_COMPLETED: External = counter("envoy_http_downstream_rq_completed", &["envoy_http_conn_manager_prefix"]);
/// VMs that live in Envoy.
pub const WASM_VMS: External = gauge("envoy_wasm_wasm_vm_count", &[]);
/// VMs of the runtime V8 that were made.
pub const WASM_VMS_MADE: External = counter("envoy_wasm_envoy_wasm_runtime_v8_created", &[]);
/// VMs that were started again after a trap.
pub const VM_RELOADED: External = counter("envoy_wasm_edge_observer_vm_reload_success", &[]);
/// VMs that could not be started again.
pub const VM_RELOAD_FAILED: External = counter("envoy_wasm_edge_observer_vm_reload_failure", &[]);
/// Modules that could not be fetched.
pub const FETCH_FAILED: External = counter("envoy_wasm_remote_load_fetch_failures", &[]);
/// Configurations that were put in force.
pub const CONFIG_RELOADED: External =
    counter("envoy_extension_config_discovery_http_filter_edge_observer_config_reload", &[]);
/// Configurations that failed.
pub const CONFIG_FAILED: External =
    counter("envoy_extension_config_discovery_http_filter_edge_observer_config_fail", &[]);
/// Updates that were refused.
pub const CONFIG_REJECTED: External =
    counter("envoy_extension_config_discovery_http_filter_edge_observer_update_rejected", &[]);
/// Worker threads that were stuck for a while.
pub const WORKER_MISS: External = counter("envoy_server_worker_watchdog_miss", &["envoy_worker_id"]);
/// Whether a target was scraped.
pub const UP: External = gauge("up", &[]);
/// Alerts that fire or wait, as Prometheus keeps them.
pub const ALERTS: External = gauge(
    "ALERTS",
    &[
        "alertname",
        "alertstate",
        "severity",
        "team",
        "slo",
        "endpoint",
        "connector",
        "certificate",
        "ring",
        "worker",
        "sink",
        "poll",
        "hostcall",
    ],
);

/// All of the above, and what only the rules use.
pub const ALL: &[External] = &[
    CONCURRENCY,
    UPTIME,
    MEMORY_ALLOCATED,
    MEMORY_PHYSICAL,
    RQ_COMPLETED,
    WASM_VMS,
    WASM_VMS_MADE,
    VM_RELOADED,
    VM_RELOAD_FAILED,
    FETCH_FAILED,
    CONFIG_RELOADED,
    CONFIG_FAILED,
    CONFIG_REJECTED,
    WORKER_MISS,
    UP,
    ALERTS,
    gauge(
        "envoy_listener_ssl_certificate_expiration_unix_time_seconds",
        &["envoy_tls_certificate", "envoy_listener_address"],
    ),
    gauge(
        "envoy_cluster_ssl_certificate_expiration_unix_time_seconds",
        &["envoy_tls_certificate", "envoy_cluster_name"],
    ),
    gauge("pg_up", &[]),
    gauge("pg_stat_database_numbackends", &["datid", "datname"]),
    gauge("pg_settings_max_connections", &["server"]),
    gauge("pg_settings_superuser_reserved_connections", &["server"]),
    gauge("redis_up", &[]),
    gauge("redis_memory_used_bytes", &[]),
    gauge("redis_memory_max_bytes", &[]),
    gauge("celery_worker_up", &["hostname"]),
];
