//! The TCP proxy's own stats, named as Envoy names those of its TCP proxy, listener and cluster.

use crate::{Counter, Gauge, Stats};

/// Handles to the stats of one TCP proxy; clones count into the same ones.
#[derive(Debug, Clone)]
pub(in crate::serve) struct TcpCounters {
    pub(super) cx_total: Counter,
    pub(super) cx_rx_bytes_total: Counter,
    pub(super) cx_tx_bytes_total: Counter,
    pub(super) paused_reading_total: Counter,
    pub(super) resumed_reading_total: Counter,
    pub(super) idle_timeout: Counter,
    pub(super) listener_total: Counter,
    pub(super) listener_active: Gauge,
    pub(super) listener_destroy: Counter,
    pub(super) upstream_cx_total: Counter,
    pub(super) upstream_cx_active: Gauge,
    pub(super) upstream_cx_connect_fail: Counter,
    pub(super) upstream_cx_connect_timeout: Counter,
}

impl TcpCounters {
    pub(in crate::serve) fn new(stats: &Stats, stat_prefix: &str) -> Self {
        let proxy = |suffix: &str| stats.counter(&format!("tcp.{stat_prefix}.{suffix}"));
        let listener = |suffix: &str| format!("listener.{stat_prefix}.downstream_cx_{suffix}");
        let cluster = |suffix: &str| format!("cluster.upstream.upstream_cx_{suffix}");
        Self {
            cx_total: proxy("downstream_cx_total"),
            cx_rx_bytes_total: proxy("downstream_cx_rx_bytes_total"),
            cx_tx_bytes_total: proxy("downstream_cx_tx_bytes_total"),
            paused_reading_total: proxy("downstream_flow_control_paused_reading_total"),
            resumed_reading_total: proxy("downstream_flow_control_resumed_reading_total"),
            idle_timeout: proxy("idle_timeout"),
            listener_total: stats.counter(&listener("total")),
            listener_active: stats.gauge(&listener("active")),
            listener_destroy: stats.counter(&listener("destroy")),
            upstream_cx_total: stats.counter(&cluster("total")),
            upstream_cx_active: stats.gauge(&cluster("active")),
            upstream_cx_connect_fail: stats.counter(&cluster("connect_fail")),
            upstream_cx_connect_timeout: stats.counter(&cluster("connect_timeout")),
        }
    }
}
