//! The library behind `edge-observer`, the operator's tool: every command as a function, so that tests and other tools call what the command runs.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool prints")]

pub mod access_log;
pub mod check;
pub mod client;
pub mod config_file;
pub mod envoy;
pub mod load;
pub mod proxy;
pub mod quantile;
pub mod sample_api;
pub mod scrape;
pub mod table;
pub mod tools;
