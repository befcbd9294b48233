//! Rolls a build of the filter, its module and its configuration, out over a fleet of proxies ring by ring, judges each ring by what Prometheus says of
//! it, and takes it back when that is bad.
//!
//! The parts know of each other only what is here:
//!
//! - [`plan`]: the rollout file; every mistake at once.
//! - [`judge`]: from what was measured to a verdict. It has no clock and no I/O, and touches nothing.
//! - [`metrics`]: where the judge's numbers come from; only reads.
//! - [`build`]: the module and its configuration as each ring gets them.
//! - [`hands`]: what puts bytes in place on a fleet, and says whether the proxies took them: watched files, or Istio.
//! - [`journal`]: what happened, in an append-only file with a chain of hashes, and the bytes to go back to.
//! - [`engine`]: from the journal to the next step, until the rollout is over; may be killed anywhere.
//! - [`announce`]: what others hear of it: Grafana's annotations, a SIEM.
//! - [`overview`], [`report`]: the journal as people want to see it: now, and as evidence afterwards.
//! - [`istio`], [`oci`]: manifests for each ring, and the module as an OCI artifact.
//!
//! # Rules
//!
//! - Missing data is never a pass.
//! - Bytes are recorded, on disk for certain, before they are replaced.
//! - Every step can be done twice.

#![forbid(unsafe_code)]

pub mod announce;
pub mod build;
pub mod engine;
pub mod hands;
pub mod istio;
pub mod journal;
pub mod judge;
pub mod metrics;
pub mod oci;
pub mod overview;
pub mod plan;
pub mod report;
