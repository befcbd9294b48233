//! The source of what Prometheus and Grafana are given: reads the alerting and recording rules under `prometheus/rules`, and makes the dashboards under
//! `grafana/`, with metrics named by the catalogue in `telemetry` and thresholds taken from the alerts.

pub mod pace;
