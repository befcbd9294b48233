//! host-harness.
