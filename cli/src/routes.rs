//! `edge-observer routes`: where the route table comes from.

pub mod import;
