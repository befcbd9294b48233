//! Integration tests: the built module in the embedded host and in real Envoy, checked from outside.

mod configuration;
mod corpus;
mod correlation;
mod exactness;
mod filter;
mod hostile;
mod module;
mod readme;
mod stack;
mod support;
