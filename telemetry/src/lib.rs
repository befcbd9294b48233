//! The core of edge-observer: everything that decides, and nothing that touches the proxy.
//!
//! For each HTTP stream it keeps or makes a correlation ID, finds the route template behind the path, and counts and times the request under a
//! bounded set of series. It makes no hostcall and has no clock, randomness or I/O: time and random bytes are arguments, edits and counts are
//! results. So the same code runs in the proxy, in the embedded host and in plain tests, natively and on `wasm32-wasip1` and
//! `wasm32-unknown-unknown`.
//!
//! ```
//! use telemetry::admission::{Admitted, Pool};
//! use telemetry::config::Config;
//! use telemetry::correlation::Sender;
//! use telemetry::filter::{Filter, State, StreamEnd};
//! use telemetry::stream_info::StreamInfo;
//!
//! let config = Config::from_json(br#"{"routes": {"table": [{"methods": ["GET"], "template": "/api/v1/deployments/{id}"}]}}"#)?;
//! let filter = Filter::new(config);
//! let mut state = State::new(&filter);
//!
//! // Request headers: what to read, what was decided, what to set.
//! let headers: [(&[u8], &[u8]); 2] = [(b":method", b"GET"), (b":path", b"/api/v1/deployments/42?full=1")];
//! let head = filter.request_head(headers.into_iter());
//! let mut info = StreamInfo::default();
//! filter.on_request(&state, &head, &Sender::default(), [7; 16], 1_700_000_000_000_000_000, &mut info);
//! assert_eq!(state.endpoint_label(&filter, info.endpoint()), "/api/v1/deployments/{id}");
//! let edits = filter.request_edits(&head, &info);
//! assert_eq!(edits.correlation_id.unwrap().as_str(), "018bcfe5-6800-7707-8707-070707070707");
//!
//! // The end of the stream, 42 ms later: one request counted, one duration, one correlation outcome.
//! let end = StreamEnd { status: Some(200), now_ns: 1_700_000_000_042_000_000, ..StreamEnd::default() };
//! let logged = filter.on_log(&mut state, Some(&info), &end, &mut |_: Pool, _: &[u8]| Admitted::Unavailable);
//! assert_eq!((logged.status, logged.duration_ns), (200, 42_000_000));
//! # Ok::<(), telemetry::config::ConfigErrors>(())
//! ```
//!
//! # Rules
//!
//! - Only configuration can fail. On the request path there is no `Result`: whatever a client sends has an outcome with a name, and is counted.
//! - Nothing there panics, and nothing there allocates once the series and labels in use have been seen.
//! - Every stream is counted once, with one correlation outcome, so the sums over both are equal.
//! - The number of series is bounded by the configuration, which is refused when it goes over its own budget.
//!
//! [`correlation`] has the rules for IDs, [`route`] those for templates, [`metrics`] the names, [`config`] the fields and [`filter`] the order of
//! steps.
//!
//! # Not here
//!
//! Hostcalls, header maps, shared data and ticks are the caller's. Of bodies the core keeps the values at declared pointers alone.

#![forbid(unsafe_code)]

pub mod admission;
pub mod config;
pub mod correlation;
mod decimal;
pub mod filter;
pub mod json;
pub mod log;
pub mod method;
pub mod metrics;
pub mod poll;
pub mod recent;
pub mod route;
pub mod rule;
mod sorted;
pub mod stream_info;
