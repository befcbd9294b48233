//! `up --stack`: Prometheus with the shipped rules, and Alertmanager whose receivers are on loopback, beside the proxy.

pub mod receivers;
