//! What goes over the wire to each kind of receiver, and what its answers mean.
//!
//! | | path | body | success | largest call |
//! |---|---|---|---|---|
//! | [`logs_ingestion`] | `/dataCollectionRules/{rule}/streams/{stream}` | JSON array | 204 | 1,048,576 bytes |
//! | [`data_collector`] | `/api/logs` | JSON array | 200 | 30,000,000 bytes |
//! | [`splunk_hec`] | `/services/collector/event` | envelopes, one after the other | 200 and code 0 | `batch_bytes` |
//! | [`json`] | any | JSON array or lines | 2xx | `batch_bytes` |
//!
//! What no protocol says otherwise: 401 is tried again, after a new token where there is one; 413 splits the batch; 400 and 422 may be the fault
//! of one event, which is looked for by halves; 408, 429, 5xx and no answer at all are tried again; anything else refuses the batch.

pub mod data_collector;
mod headers;
pub mod json;
pub mod logs_ingestion;
pub mod splunk_hec;

use crate::event::Event;
use crate::format::Shape;
use crate::settings::{Secret, Settings, SettingsError};

pub(crate) use headers::{Headers, check_authority, post};

/// A receiver's protocol and what is particular to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Azure Monitor's Logs Ingestion API.
    LogsIngestion(logs_ingestion::Settings),
    /// Azure Monitor's HTTP Data Collector API, for the clouds that still have it.
    DataCollector(data_collector::Settings),
    /// Splunk's HTTP Event Collector.
    SplunkHec(splunk_hec::Settings),
    /// Any receiver of JSON over HTTPS.
    Json(json::Settings),
}

/// What an answer to a batch means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All of it has arrived.
    Delivered,
    /// All of it was taken, and will be acknowledged under this number.
    Accepted(u64),
    /// All of it was taken, and will never be acknowledged.
    NeverAcknowledged,
    /// Later, perhaps.
    Retry,
    /// The credentials are not, or no longer, good.
    Unauthorized,
    /// In smaller pieces, perhaps.
    TooLarge,
    /// This event is at fault, counted from zero; the others were not taken either.
    Blamed(usize),
    /// Some event may be at fault.
    Suspect,
    /// Never.
    Refused,
}

impl Verdict {
    /// What a status code means where the protocol says nothing else.
    pub(crate) fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Delivered,
            401 => Self::Unauthorized,
            413 => Self::TooLarge,
            400 | 422 => Self::Suspect,
            408 | 429 | 500..=599 => Self::Retry,
            _ => Self::Refused,
        }
    }
}

/// What a call needs to know beside the settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment<'a> {
    pub(crate) now_ns: u64,
    pub(crate) batch: [u8; 16],
    /// The bearer token, for the protocol that has one.
    pub(crate) token: &'a str,
    /// Of acknowledgements.
    pub(crate) channel: [u8; 16],
}

/// What stands before, between and after the records of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) open: &'static str,
    pub(crate) between: &'static str,
    pub(crate) close: &'static str,
}

impl Frame {
    pub(crate) const ARRAY: Self = Self { open: "[", between: ",", close: "]" };
    pub(crate) const LINES: Self = Self { open: "", between: "\n", close: "\n" };
}

impl Protocol {
    /// The largest body that the receiver takes.
    pub(crate) fn max_bytes(&self) -> usize {
        match self {
            Self::LogsIngestion(_) => logs_ingestion::MAX_BYTES,
            Self::DataCollector(_) => data_collector::MAX_BYTES,
            Self::SplunkHec(_) | Self::Json(_) => usize::MAX,
        }
    }

    pub(crate) fn frame(&self) -> Frame {
        match self {
            Self::LogsIngestion(_) | Self::DataCollector(_) => Frame::ARRAY,
            Self::SplunkHec(_) => Frame::LINES,
            Self::Json(settings) => settings.frame(),
        }
    }

    /// Adds the record of an event.
    pub(crate) fn record(&self, settings: &Settings, event: &Event, out: &mut String) {
        let shape = match self {
            Self::LogsIngestion(_) => Shape { time_generated: true, objects: true },
            Self::DataCollector(_) => Shape { time_generated: false, objects: true },
            Self::SplunkHec(own) => return own.envelope(settings, event, out),
            Self::Json(own) => Shape { time_generated: true, objects: own.framing == json::Framing::Array },
        };
        settings.format.write(event, &settings.observer, shape, out);
    }

    /// The headers of a call.
    pub(crate) fn headers(&self, settings: &Settings, secret: &Secret, moment: Moment<'_>, body: &str) -> Headers {
        match self {
            Self::LogsIngestion(own) => own.headers(&settings.authority, moment),
            Self::DataCollector(own) => own.headers(settings, secret, moment, body),
            Self::SplunkHec(own) => own.headers(&settings.authority, secret, moment),
            Self::Json(own) => own.headers(settings, secret),
        }
    }

    /// What the answer to a batch means.
    pub(crate) fn verdict(&self, status: u16, body: &[u8]) -> Verdict {
        match self {
            Self::SplunkHec(own) => own.verdict(status, body),
            // A body that is too large is also answered with 404, says the reference; a wrong path is as well.
            Self::DataCollector(_) if status == 404 => Verdict::Suspect,
            Self::LogsIngestion(_) | Self::DataCollector(_) | Self::Json(_) => Verdict::of_status(status),
        }
    }

    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        match self {
            Self::LogsIngestion(own) => own.check(),
            Self::DataCollector(own) => own.check(),
            Self::SplunkHec(own) => own.check(),
            Self::Json(own) => own.check(),
        }
    }

    pub(crate) fn check_secret(&self, secret: &Secret) -> Result<(), SettingsError> {
        match self {
            Self::DataCollector(_) => data_collector::check_key(secret),
            Self::Json(own) if own.authorization == json::Authorization::None => Ok(()),
            // It goes into a form, which encodes it.
            Self::LogsIngestion(_) if secret.reveal().is_empty() => {
                Err(SettingsError { field: "secret", problem: "is empty" })
            }
            Self::LogsIngestion(_) => Ok(()),
            Self::SplunkHec(_) | Self::Json(_) => headers::check_value("secret", secret.reveal()),
        }
    }
}
