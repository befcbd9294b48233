//! Where events go, how much may wait, and the secret.

use std::fmt;

use thiserror::Error;

use crate::format::{Format, Observer};
use crate::protocol::{Protocol, check_authority};

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

impl Settings {
    /// Whether these settings can work, as far as can be told without the receiver.
    ///
    /// # Errors
    ///
    /// The first that cannot.
    pub fn check(&self) -> Result<(), SettingsError> {
        let observer = &self.observer;
        for (field, value) in [
            ("cluster", &self.cluster),
            ("vendor", &observer.vendor),
            ("product", &observer.product),
            ("device", &observer.device),
        ] {
            if value.is_empty() {
                return Err(SettingsError { field, problem: "is empty" });
            }
        }
        check_authority("authority", &self.authority)?;
        self.protocol.check()
    }

    /// Whether this can be the secret of the protocol.
    ///
    /// # Errors
    ///
    /// What is wrong with it, without showing any of it.
    pub fn check_secret(&self, secret: &Secret) -> Result<(), SettingsError> {
        self.protocol.check_secret(secret)
    }
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
    /// How many batches may be under way or wait for an acknowledgement; 1 to 64.
    pub unacknowledged: usize,
    /// How long a call may take, in milliseconds.
    pub timeout_ms: u32,
    /// The first failure is followed by a pause of up to this many milliseconds, the second by twice as much, and so on; a day at most.
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
            unacknowledged: 32,
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

/// The longest pause, in milliseconds.
const DAY_MS: u64 = 86_400_000;

impl Limits {
    /// The nearest limits that can work.
    pub(crate) fn sane(self) -> Self {
        Self {
            queue_events: self.queue_events.max(1),
            batch_events: self.batch_events.clamp(1, 10_000),
            in_flight: self.in_flight.clamp(1, 8),
            unacknowledged: self.unacknowledged.clamp(1, 64),
            timeout_ms: self.timeout_ms.max(1),
            backoff_base_ms: self.backoff_base_ms.min(DAY_MS),
            backoff_cap_ms: self.backoff_cap_ms.min(DAY_MS),
            max_retry_after_ms: self.max_retry_after_ms.min(DAY_MS),
            ack_poll_ms: self.ack_poll_ms.max(1),
            ..self
        }
    }
}
