//! A proxy-wasm host on wasmtime that behaves like Envoy, for any filter.

pub mod abi;
mod clock;
mod cost;
mod fault;
mod header_map;
mod hostcall;
mod log;
mod module;
mod plugin;
mod shared;
mod stats;
mod stream;
mod worker;

pub use clock::Clock;
pub use cost::Cost;
pub use fault::Fault;
pub use header_map::HeaderMap;
pub use log::{LogEntry, LogLevel, LogSink};
pub use module::{EngineOptions, Module, ModuleError};
pub use plugin::{FailurePolicy, PluginConfig};
pub use shared::{Limits, Shared, SharedOptions};
pub use stats::{MODULE_PREFIX, Counter, Gauge, Histogram, Metric, Stats};
pub use stream::{FinishedStream, LocalReply, StreamEnd, StreamEvent, StreamFacts, StreamId};
pub use worker::{BodyOutcome, HeadersOutcome, Role, StartError, Worker};
