//! A reverse proxy that puts one module between real clients and a real upstream.
//!
//! It has Envoy's shape: a main thread with its own VM, which ticks too and answers the admin port, and worker threads
//! that each have a single-threaded event loop and a VM of their own. It is meant for a first day, for tests and for
//! looking at a filter without Envoy; it has one route, to one upstream.
//!
//! Trailers pass in both directions, over HTTP/1 without being announced, as with Envoy's `enable_trailers`.
//!
//! With [`Protocol::Tcp`] it is a TCP proxy, and the module a network filter between its connections.
//!
//! Every stream is counted once in `http.<stat_prefix>.…` and ends in exactly one log phase of the module, also when
//! the request was too broken to be shown to it. What is refused before the module sees it, and with which status, is
//! what Envoy 1.40 does, except that requests which hyper cannot parse always get 400, 414 or 431.

mod access_log;
mod admin;
mod callouts;
mod counters;
mod downstream;
mod exchange;
mod gate;
mod grpc;
mod options;
mod pool;
mod proxy;
mod request;
mod request_body;
mod response_body;
mod server;
mod signals;
mod stream;
mod tcp;
mod traffic;
mod trailers;
mod tunnel;

pub use options::{Endpoint, EndpointError, Protocol, ServeOptions, Upstream};
pub use server::{RunningServer, ServeError, start};
pub use signals::{Signal, Signals};
