//! `up --stack`: Prometheus with the shipped rules, and Alertmanager whose receivers are on loopback, beside the proxy.

pub mod alertmanager;
mod program;
pub mod prometheus;
pub mod receivers;

pub use program::Program;
