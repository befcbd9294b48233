//! Delivery of security events to a SIEM: formats, protocols and the sender's state machine, without I/O.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod base64;
pub mod event;
pub mod format;
pub mod hmac;
mod json;
pub mod protocol;
pub mod sender;
pub mod settings;
pub mod sha256;
#[cfg(test)]
mod testing;
pub mod time;
mod uuid;
