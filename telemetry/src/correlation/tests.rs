//! Acceptance of IDs, and traceparent.
