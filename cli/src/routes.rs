//! `edge-observer routes`: what a route table does with real paths.

pub mod coverage;
