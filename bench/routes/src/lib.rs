//! Our router beside `matchit`, over the same tables and requests, natively and in Wasm.
//!
//! [`Bench`] holds a configuration compiled by both routers, and requests; it runs rounds of either and answers single questions. That much
//! is what is measured. It is built twice with the profile of the module that ships: for `wasm32-wasip1`, where its exports let a host do the
//! same (`host::WasmBench`), and as a native program that is told what to do through a pipe (`native::NativeBench`). What is measured and what
//! is compared is so one and the same code, and the driver around it, with its Wasm engine, may be compiled in any way.
//!
//! The driver (feature `driver`) makes tables and requests, hands them over as bytes, measures and reports.
//!
//! What is done to be fair to `matchit`: it is given the path as text that is known to be UTF-8, where ours takes bytes as they come; its
//! value for a path is an array by method, as ours has; its parameters' values are not looked at. Tables have nothing that it cannot do.

#![allow(
    clippy::cast_possible_truncation,
    reason = "counts of requests and of labels, far below the limits of what they are cast to"
)]

pub mod allocations;
mod bench;
#[cfg(target_family = "wasm")]
mod exports;
mod ours;
pub mod pipe;
mod requests;
mod rival;

#[cfg(feature = "driver")]
pub mod examples;
#[cfg(feature = "driver")]
pub mod host;
#[cfg(feature = "driver")]
pub mod hostile;
#[cfg(feature = "driver")]
pub mod native;
#[cfg(feature = "driver")]
pub mod tables;

pub use bench::{Bench, Subject};
pub use requests::{Request, decode, encode};
