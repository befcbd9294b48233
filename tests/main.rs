//! Integration tests: the built module in the embedded host and in real Envoy, checked from outside.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::cast_possible_truncation,
    clippy::print_stderr,
    reason = "this crate is tests and nothing else: a panic is how one fails"
)]

mod business;
mod configuration;
mod conformance;
mod corpus;
mod correlation;
mod descriptions;
mod django;
mod events;
mod exactness;
mod filter;
mod hostile;
mod languages;
mod logs;
mod module;
mod plugin_options;
mod polls;
mod readme;
mod rehearsal;
mod rollout;
mod routes;
mod routes_import;
mod scanner;
mod stack;
mod suites;
mod support;
