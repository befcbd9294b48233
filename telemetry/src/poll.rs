//! Gauges that no traffic shows: a worker asks the API for a JSON summary now and then, and reads them out of it.
//!
//! One worker of the proxy asks for all: the one that holds the lease in the proxy's shared data, as [`election::propose`] decides. A [`Plan`] says
//! what to ask and where each series is in the answer; a [`Poller`] says when, and which series have new values. Neither makes a request or reads
//! a clock: the caller does, on the root context's tick.
//!
//! ```
//! use telemetry::poll::election::{Proposal, propose};
//! use telemetry::poll::{Answer, GaugeSpec, Missing, Outcome, Plan, PollSpec, Poller};
//!
//! let plan = Plan::new(PollSpec {
//!     cluster: "api".into(),
//!     authority: "api.internal".into(),
//!     path: "/api/v1/summary".into(),
//!     headers: Vec::new(),
//!     interval_ms: 15_000,
//!     timeout_ms: 5_000,
//!     backoff_ms: 1_000,
//!     backoff_cap_ms: 60_000,
//!     stale_after_ms: 90_000,
//!     gauges: vec![GaugeSpec {
//!         name: "active_deployments".into(),
//!         labels: vec![("ring".into(), vec!["0".into(), "1".into()])],
//!         pointer: "/active_deployments/{ring}".into(),
//!         scale: 1,
//!         missing: Missing::Zero,
//!         stale: None,
//!     }],
//! })?;
//! let mut poller = Poller::new(plan);
//!
//! // Ticks, a second apart, until it is time to ask.
//! let (second, mut now_ns, mut lease) = (1_000_000_000, 0, None::<[u8; 32]>);
//! loop {
//!     now_ns += second;
//!     let current = lease.as_ref().map(|value| &value[..]);
//!     let held = match propose(current, [7; 16], now_ns, 10 * second, poller.fresh_ns(now_ns)) {
//!         Proposal::Held(held) => held,
//!         Proposal::Other => unreachable!("there is but one worker"),
//!     };
//!     // With compare-and-swap, in a proxy.
//!     lease = Some(held.write);
//!     if let Some(request) = poller.tick(now_ns, Some(&held), 42) {
//!         assert_eq!((request.cluster.as_str(), request.path.as_str()), ("api", "/api/v1/summary"));
//!         break;
//!     }
//! }
//!
//! // The host has a token for the call. Its answer comes later.
//! poller.sent(3);
//! poller.piece(3, br#"{"active_deployments": {"1": 12}}"#);
//! assert_eq!(poller.answer(3, now_ns + second, Answer::Status(200)), Some(Outcome::Ok));
//! assert_eq!(poller.changed().collect::<Vec<_>>(), [(0, 0), (1, 12)]);
//! assert_eq!(poller.staleness_s(), Some(0));
//! # Ok::<(), telemetry::poll::PlanError>(())
//! ```
//!
//! # Rules
//!
//! - A worker that gets the lease asks for the first time at a random moment within the interval, then every interval, give or take a tenth. After
//!   a failure it asks again after a random time up to `backoff_ms`, which doubles with each failure in a row, up to `backoff_cap_ms`.
//! - One request at a time. A request that has had no answer for twice its time-out is given up; answers with any other token are ignored.
//! - Without the lease nothing is asked or reported, and an answer that comes after the lease has run out is ignored.
//! - An answer counts when its status is 200 and its body one complete JSON document of at most [`MAX_BODY`] bytes. Then every series gets a value:
//!   a number, times the gauge's scale; for an array or object the number of its members; for `true` 1 and `false` 0. What is absent, below zero,
//!   too large or of another type is missing, and is what the gauge says of that. All change together, or none.
//! - Staleness is the time since the last answer that counted, whichever worker had it; before the first, since the first election. From
//!   `stale_after_ms` on, gauges go to their declared stale value, if they have one.
//! - All times are sums of the time between calls. A clock that is set back stands still for a moment; one that is set forward makes everything
//!   due: one request.

pub mod election;
mod plan;
mod poller;

pub use plan::{GaugeSpec, Missing, Plan, PlanError, PollSpec, Series};
pub use poller::{Answer, Outcome, Poller};

/// The longest body that is read, in bytes.
pub const MAX_BODY: usize = 1 << 20;

#[cfg(test)]
mod tests;
