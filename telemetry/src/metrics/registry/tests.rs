//! The registry against a model of the proxy.
