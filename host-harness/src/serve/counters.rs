//! The proxy's own stats, named as Envoy names those of its HTTP connection manager.

use crate::{Counter, Gauge, Stats};

/// Handles to the stats of one connection manager; clones count into the same ones.
#[derive(Debug, Clone)]
pub(super) struct Counters {
    pub(super) rq_total: Counter,
    pub(super) rq_http1_total: Counter,
    pub(super) rq_http2_total: Counter,
    pub(super) rq_completed: Counter,
    pub(super) rq_active: Gauge,
    pub(super) rq_rx_reset: Counter,
    pub(super) rq_tx_reset: Counter,
    pub(super) cx_total: Counter,
    pub(super) cx_http1_total: Counter,
    pub(super) cx_http2_total: Counter,
    pub(super) cx_active: Gauge,
    pub(super) cx_destroy: Counter,
    pub(super) cx_protocol_error: Counter,
    pub(super) cx_upgrades_total: Counter,
    pub(super) cx_upgrades_active: Gauge,
    classes: [Counter; 5],
}

impl Counters {
    pub(super) fn new(stats: &Stats, stat_prefix: &str) -> Self {
        let name = |suffix: &str| format!("http.{stat_prefix}.downstream_{suffix}");
        let counter = |suffix: &str| stats.counter(&name(suffix));
        let gauge = |suffix: &str| stats.gauge(&name(suffix));
        Self {
            rq_total: counter("rq_total"),
            rq_http1_total: counter("rq_http1_total"),
            rq_http2_total: counter("rq_http2_total"),
            rq_completed: counter("rq_completed"),
            rq_active: gauge("rq_active"),
            rq_rx_reset: counter("rq_rx_reset"),
            rq_tx_reset: counter("rq_tx_reset"),
            cx_total: counter("cx_total"),
            cx_http1_total: counter("cx_http1_total"),
            cx_http2_total: counter("cx_http2_total"),
            cx_active: gauge("cx_active"),
            cx_destroy: counter("cx_destroy"),
            cx_protocol_error: counter("cx_protocol_error"),
            cx_upgrades_total: counter("cx_upgrades_total"),
            cx_upgrades_active: gauge("cx_upgrades_active"),
            classes: ["rq_1xx", "rq_2xx", "rq_3xx", "rq_4xx", "rq_5xx"].map(counter),
        }
    }

    /// A response with this status begins. Statuses outside 100 to 599 are completed but of no class, as in Envoy.
    pub(super) fn response(&self, status: u16) {
        self.rq_completed.inc();
        if let Some(class) = usize::from(status / 100).checked_sub(1).and_then(|class| self.classes.get(class)) {
            class.inc();
        }
    }
}
