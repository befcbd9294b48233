//! The library behind `edge-observer`, the operator's tool: every command as a function, so that tests and other tools call what the command runs.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool prints")]

pub mod accept;
pub mod check;
pub mod client;
pub mod config_file;
pub mod envoy;
#[cfg(feature = "proxies")]
pub mod fleet;
pub mod goal;
pub mod load;
pub mod process;
#[cfg(feature = "proxies")]
pub mod proxy;
pub mod quantile;
#[cfg(feature = "proxies")]
pub mod replay;
#[cfg(feature = "proxies")]
pub mod rollout;
pub mod routes;
pub mod sample_api;
#[cfg(feature = "proxies")]
pub mod scanner;
pub mod scrape;
pub mod stack;
pub mod table;
pub mod tools;
#[cfg(feature = "proxies")]
pub mod up;

use thiserror::Error;

/// A command that was called wrongly; the tool's exit code is then 2.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Usage(String);

impl Usage {
    /// The error with this message.
    pub fn error(message: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Self(message.into()))
    }
}
