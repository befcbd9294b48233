//! How an event is written: one record of one line.

mod asim;
mod cef;
mod native;
mod ocsf;

use crate::event::Event;
use crate::json::Object;
use crate::sender::Reason;

pub use ocsf::VERSION as OCSF_VERSION;

/// A format of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// A JSON object with the field names that the API itself has used: `EventType`, `CorrelationId`, and so on.
    #[default]
    Native,
    /// A JSON object of the Open Cybersecurity Schema Framework, [`OCSF_VERSION`].
    Ocsf,
    /// A JSON object with the columns of Microsoft Sentinel's Advanced Security Information Model.
    Asim,
    /// A line of the Common Event Format. Where a protocol takes objects alone, it is the `Message` of one.
    Cef,
}

/// Who reports the events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observer {
    /// The vendor; not empty.
    pub vendor: String,
    /// The product; not empty.
    pub product: String,
    /// The product's version.
    pub version: String,
    /// The host or proxy that saw the requests: ASIM's `Dvc`, CEF's `dvchost`.
    pub device: String,
}

/// What is around a record, which some receivers ask for and others refuse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Adds `TimeGenerated` to native, ASIM and wrapped CEF records: Azure's tables need the column; the Data Collector reserves the name.
    pub time_generated: bool,
    /// Makes an object of a CEF line.
    pub objects: bool,
}

/// The longest record of an event, in bytes, beside what the observer's texts add: most of it if every character has to be escaped.
pub const MAX_RECORD: usize = 32_768;

impl Format {
    /// The format of a name: `native`, `ocsf`, `asim` or `cef`.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Native, Self::Ocsf, Self::Asim, Self::Cef].into_iter().find(|format| format.as_str() == name)
    }

    /// The format's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Ocsf => "ocsf",
            Self::Asim => "asim",
            Self::Cef => "cef",
        }
    }

    /// Adds the record of an event to `out`. It has no line break and no control character, whatever the event says, and at
    /// most [`MAX_RECORD`] bytes and the observer's.
    pub fn write(self, event: &Event, observer: &Observer, shape: Shape, out: &mut String) {
        match self {
            Self::Native => native::write(event, shape, out),
            Self::Ocsf => ocsf::write(event, observer, out),
            Self::Asim => asim::write(event, observer, shape, out),
            Self::Cef if shape.objects => {
                let mut line = String::new();
                cef::write(event, observer, &mut line);
                let mut object = Object::new(out);
                native::times(event, shape, &mut object);
                object.uuid("EventUid", event.uid).text("Message", &line);
                object.finish();
            }
            Self::Cef => cef::write(event, observer, out),
        }
    }
}

/// Adds the log line of an event: one JSON object with `event`, the native record, whole. Where it goes to the log instead of the receiver named
/// `sink`, `undelivered` says why, and a log shipper finds it by that.
///
/// ```
/// use siem::event::{Class, Event};
/// use siem::format::write_log_line;
/// use siem::sender::Reason;
///
/// let mut line = String::new();
/// let event = Event::new([7; 16], "CAB_APPROVAL", Class::Decision, 1_700_000_000_000_000_000);
/// write_log_line(&event, Some(Reason::Expired), "splunk", "edge_observer", 1_700_003_600_000_000_000, &mut line);
/// assert_eq!(
///     line,
///     r#"{"timestamp":"2023-11-14T23:13:20.000000Z","level":"warn","logger":"edge_observer","message":"security event","sink":"splunk","undelivered":"expired","event":{"EventType":"CAB_APPROVAL","Timestamp":"2023-11-14T22:13:20.000000Z","EventUid":"07070707-0707-0707-0707-070707070707","Count":1}}"#
/// );
/// ```
pub fn write_log_line(
    event: &Event,
    undelivered: Option<Reason>,
    sink: &str,
    logger: &str,
    now_ns: u64,
    out: &mut String,
) {
    let mut line = Object::new(out);
    line.time("timestamp", now_ns)
        .text("level", "warn")
        .text("logger", logger)
        .text("message", "security event")
        .text("sink", sink)
        .maybe("undelivered", undelivered.map(Reason::as_str));
    native::write(event, Shape::default(), line.value("event"));
    line.finish();
}

#[cfg(test)]
mod tests;
