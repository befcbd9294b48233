//! `edge-observer routes`: where a route table comes from, what it does with real paths, and what it costs.

pub mod budget;
pub mod coverage;
pub mod decision;
pub mod import;
