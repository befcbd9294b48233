//! hands/istio.
