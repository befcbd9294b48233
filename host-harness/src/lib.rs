//! A proxy-wasm host on wasmtime that behaves like Envoy, for any filter in any language.
//!
//! ```
//! use host_harness::test::{Host, Reply, Request};
//!
//! // A filter that names itself in every response. Yours comes from `module_file("target/….wasm")`.
//! let filter = r#"(module
//!     (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
//!     (memory (export "memory") 1)
//!     (data (i32.const 0) "serverfilter")
//!     (func (export "proxy_abi_version_0_2_1"))
//!     (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
//!         (call $add (i32.const 2) (i32.const 0) (i32.const 6) (i32.const 6) (i32.const 6))))"#;
//!
//! let mut host = Host::builder().module_bytes(filter).workers(2).start()?;
//! let exchange = host.exchange(Request::get("/users/7").reply(Reply::status(404)));
//!
//! assert_eq!(exchange.status(), Some(404));
//! assert_eq!(exchange.response_header("server"), Some("filter"));
//! assert_eq!(exchange.upstream_header(":path"), Some("/users/7"));
//! assert_eq!(exchange.cost.hostcall("proxy_add_header_map_value"), 1);
//! # Ok::<(), host_harness::test::StartFailure>(())
//! ```
//!
//! # Four ways in
//!
//! - [`test::Host`] is a whole proxy in one thread, with virtual time: for tests. Give it requests or TCP connections, then ask
//!   what the upstream and the client got, and for stats, logs, filter state, shared data and cost. A test that fails prints the
//!   trace.
//! - [`suite`] runs tests that are data: YAML files of cases, for this host and for a real Envoy, which `SUITES.md` describes.
//! - [`replay`] sends recorded traffic through a module: HAR files and access logs, at the times of the recording.
//! - [`Worker`] and [`Shared`] are the parts: one VM for each thread of a proxy, and what they share. [`serve`] builds a
//!   reverse proxy and a TCP proxy of them.
//!
//! `examples/` has filters with their whole tests: headers, an auth service, metrics, TCP.
//!
//! Coming from proxy-wasm-test-framework or proxytest: `MIGRATING.md`.
//!
//! # Rules
//!
//! - What a hostcall answers in which callback is Envoy's behaviour, not the specification's, unless [`Conformance`] says
//!   otherwise: an unavailable header map is
//!   `BadArgument` to a value and `Ok` with nothing to pairs, recording a counter adds, adding 0 to it is `BadArgument`, and so
//!   on. The order of callbacks is Envoy's too: log, done, delete; a stream refused before the filters is created to be logged.
//! - A failed VM answers 503 from then on, is passed by, or is replaced after a back-off, as [`FailurePolicy`] says; a plugin's
//!   capabilities can be restricted; modules of ABI 0.1.0, 0.2.0 and 0.2.1 get the hostcalls of their version.
//! - Pausing, continuing, local replies and resets take effect. A local reply passes the module's own response callbacks first,
//!   which are not waited for.
//! - A gRPC callout is a call, of which the module hears one message or why there is none, or a stream, of which it hears
//!   everything. A stream to a cluster without an endpoint is told of while the hostcall runs, and a service without a target,
//!   at which Envoy ends, traps. Google's gRPC client and retries are not there.
//! - A TCP connection ends otherwise than a stream: downstream close, done, log, delete. Data that the module holds is shown again
//!   with what comes next; only the client's can be continued, and to close either side closes the client's connection. The
//!   server's end is told with its last data, whoever closes afterwards.
//! - Properties are there from the callback on in which Envoy has them, with its encodings; those of configuration have the names
//!   that [`Xds`] gives. Messages of which nothing is set are empty, and of `xds.node` there are the names alone. Properties can be
//!   declared; those that are flat buffers, or messages other than wrapped texts, are not looked into.
//! - Of the foreign functions that Envoy has, those for expressions (`expr_…`) are not there: see [`ForeignFunctions`].
//! - A module that imports what the host does not have is refused, with the list.
//! - Code is compiled once in a process, and where a [`CodeCache`] is given, once on a machine.
//! - No module can crash, hang or grow the host, as long as [`Limits`] says how much fuel or time a callback may take: every
//!   pointer is checked, memory is bounded, and hostcalls count as work.
//! - The same seed, clock and requests give the same result, cost included.

pub mod abi;
mod callout;
mod cel;
mod clock;
mod conformance;
mod connection;
mod cost;
pub mod exposition;
mod fault;
mod foreign;
mod grpc;
mod header_map;
mod hostcall;
mod inspect;
mod kept;
mod log;
mod module;
mod plugin;
mod protobuf;
mod queue;
pub mod replay;
pub mod serve;
mod shared;
mod stats;
pub mod stats_config;
mod stream;
pub mod suite;
pub mod test;
#[cfg(test)]
mod testing;
mod trace;
mod vm;
mod worker;
mod xds;

pub use callout::{Callout, CalloutId, CalloutOutcome, Cluster};
pub use clock::Clock;
pub use conformance::Conformance;
pub use connection::{
    ConnectionEvent, ConnectionFacts, ConnectionId, ConnectionOutcome, DataOutcome, FinishedConnection, Peer,
};
pub use cost::Cost;
pub use fault::Fault;
pub use foreign::ForeignFunctions;
pub use grpc::{GrpcCallout, GrpcCommand, GrpcEvent, GrpcId, GrpcReset};
pub use header_map::HeaderMap;
pub use inspect::{Function, Inspection, Memory};
pub use log::{LogEntry, LogLevel, LogSink};
pub use module::{AbiVersion, CacheError, CodeCache, EngineOptions, Module, ModuleError};
pub use plugin::{FailurePolicy, PluginConfig};
pub use shared::{Limits, Shared, SharedOptions};
pub use stats::{Counter, Gauge, Histogram, MODULE_PREFIX, Metric, Stats};
pub use stream::{FinishedStream, LocalReply, StreamEnd, StreamEvent, StreamFacts, StreamId, UpstreamFacts};
pub use trace::Trace;
pub use vm::filter_state::ConnectionState;
pub use worker::{BodyOutcome, HeadersOutcome, Role, StartError, Worker};
pub use xds::{TrafficDirection, Xds};

/// Runs the page's examples.
#[cfg(doctest)]
#[doc = include_str!("../MIGRATING.md")]
struct Migrating;
