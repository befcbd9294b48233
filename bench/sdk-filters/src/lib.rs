//! What our filter is measured beside: two filters written with the proxy-wasm SDK as one usually would, in one module.
//!
//! The first line of the plugin's configuration says which: `empty` does nothing in any callback, so it costs what
//! having an SDK's filter in the way costs; `naive` does the whole job, a hostcall for each thing it wants. See
//! [`config`] for the lines that follow.
//!
//! Natively only what makes no hostcall is compiled.

pub mod config;
pub mod correlation;
#[cfg(target_family = "wasm")]
mod naive;
#[cfg(target_family = "wasm")]
mod random;
#[cfg(target_family = "wasm")]
mod root;
pub mod routes;
