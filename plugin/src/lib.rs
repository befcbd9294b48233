//! The proxy-wasm filter: a thin rim around [`telemetry`], which decides everything.
//!
//! The rim gathers values from the proxy, asks the core, and applies the answer. It speaks the ABI itself, without an
//! SDK: the common one panics on statuses that proxies do return, and a panic ends the VM.
//!
//! | module | what |
//! |---|---|
//! | `host` | hostcalls and exports; the only `unsafe` |
//! | `vm` | which callback is for whom |
//! | `root` | configuration to `root::Instance` |
//! | `stream` | HTTP streams |
//! | `rules` | what a stream means beyond a request, where a rule says so |
//! | `calls` | what a root context asks for and delivers by itself: `polls`, `delivery` with its `outbox` |
//! | `flush` | once a tick: counts to the proxy's stats |
//! | `succession` | how counts go on where another module takes over |
//!
//! **Invariant:** no callback pauses or answers a stream, and none panics, whatever the host returns.
//!
//! **Invariant:** once a VM has seen its busiest moment, streams allocate nothing.

mod calls;
mod clock;
mod contexts;
mod delivery;
mod faults;
mod flush;
mod host;
mod outbox;
mod polls;
mod random;
mod root;
mod rules;
mod shared;
mod stream;
mod succession;
mod vm;
mod worker;

/// Who writes the log lines.
const LOGGER: &str = "edge_observer";
