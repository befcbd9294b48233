//! A conformance probe: a proxy-wasm filter on the raw ABI that makes hostcalls in each phase, with good and bad
//! arguments, and logs what the host answers. Run it in two hosts and compare the logs line by line.
//!
//! - The request header `x-case` names the case, `NAME` or `NAME@CHOICE`; without it the probe is silent.
//! - A TCP connection has the case that the one before it named, which begins with `case NAME`.
//! - The plugin's configuration is a list of words: `configure:CASE` runs a case in `on_configure`, `tick:CASE` in the
//!   first tick after it, `queue:NAME` registers a queue, and `connection:CASE` names the first connection's case. The
//!   VM's configuration may say `vm_start:CASE`.
//! - Every line begins with `probe| `. Nothing that differs from run to run is printed: contexts are `root` and
//!   `stream`, callouts are numbered within their case, queues are named, and some headers are left out
//!   (`report::MASKED`).
//!
//! A case is one function, called in every phase of the stream (and for the callouts, queues and ticks that it asked
//! for); it looks at `turn::Turn::phase` and returns an action. To add one, write it in its topic's file and list it
//! in that file's `CASES`.

#![cfg(target_family = "wasm")]

mod buffers;
mod callouts;
mod connections;
mod declared;
mod exports;
mod expressions;
mod foreign;
mod general;
mod grpc;
mod headers;
mod host;
mod local_reply;
mod metrics;
mod properties;
mod protobuf;
mod queues;
mod report;
mod shared_data;
mod signatures;
mod stream_control;
mod turn;
