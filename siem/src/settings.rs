//! Where events go, how much may wait, and the secret.

use std::fmt;

use thiserror::Error;

use crate::format::{Format, Observer};
use crate::protocol::Protocol;

/// Where events go, and as what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The proxy's cluster that leads to the receiver.
    pub cluster: String,
    /// The receiver's authority: `:authority` of the calls.
    pub authority: String,
    /// What events are written as.
    pub format: Format,
    /// Who reports them.
    pub observer: Observer,
    /// The receiver's protocol.
    pub protocol: Protocol,
}

/// The one secret of a receiver: client secret, shared key, token or header value. Nothing shows it: neither `Debug` nor an error.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Settings that cannot work. The message says what is wrong, never what was found in a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{field}: {problem}")]
pub struct SettingsError {
    /// The setting, by the name of its field here; `secret` for the secret.
    pub field: &'static str,
    /// What is wrong, and the cure.
    pub problem: &'static str,
}

/// How much may wait, for how long, and how often it is tried. Values that cannot work are taken as the nearest that can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many events may wait or be under way, all told; 1 at least.
    pub queue_events: usize,
    /// How many bytes of memory they may take; one event always fits.
    pub queue_bytes: usize,
    /// How many events go into one call; 1 to 10,000.
    pub batch_events: usize,
    /// How many bytes one call may have; the protocol's own limit holds as well.
    pub batch_bytes: usize,
    /// How long an event waits for others, in milliseconds.
    pub max_wait_ms: u64,
    /// How many batches may be under way at once; 1 to 8.
    pub in_flight: usize,
    /// How many batches may wait for an acknowledgement, beside those under way; 1 to 64.
    pub unacknowledged: usize,
    /// How long a call may take, in milliseconds.
    pub timeout_ms: u32,
    /// The first failure is followed by a pause of up to this many milliseconds, the second by twice as much, and so on.
    pub backoff_base_ms: u64,
    /// No pause is longer, in milliseconds, unless the receiver asks for it.
    pub backoff_cap_ms: u64,
    /// The longest pause that a receiver may ask for, in milliseconds.
    pub max_retry_after_ms: u64,
    /// How long an event may be undeliverable before it is logged, in milliseconds.
    pub max_age_ms: u64,
    /// How often acknowledgements are asked for, in milliseconds.
    pub ack_poll_ms: u64,
    /// After how long without an acknowledgement a batch is sent again, in milliseconds.
    pub ack_timeout_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queue_events: 4096,
            queue_bytes: 4 << 20,
            batch_events: 500,
            batch_bytes: 1 << 20,
            max_wait_ms: 1_000,
            in_flight: 1,
            unacknowledged: 16,
            timeout_ms: 10_000,
            backoff_base_ms: 500,
            backoff_cap_ms: 60_000,
            max_retry_after_ms: 300_000,
            max_age_ms: 3_600_000,
            ack_poll_ms: 2_000,
            ack_timeout_ms: 300_000,
        }
    }
}
