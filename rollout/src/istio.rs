//! istio.
