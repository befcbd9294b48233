//! metrics/prometheus.
