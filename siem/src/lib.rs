//! Delivery of security events to a SIEM: formats, protocols and the sender's state machine, without I/O.
//!
//! An [`Event`](event::Event) is bounded in every part. A [`Sender`](sender::Sender) keeps events in a bounded queue, says which HTTP call to make
//! next, hears what came back, and settles each event as delivered or as one for the caller's log, with a reason. It makes no call itself and has
//! no clock and no randomness: time and random numbers are arguments, calls and settled events are results.
//!
//! ```
//! use siem::event::{Class, Event, Text};
//! use siem::format::{Format, Observer};
//! use siem::protocol::{Protocol, splunk_hec};
//! use siem::sender::{Answer, Sender, Settled};
//! use siem::settings::{Limits, Secret, Settings};
//!
//! let settings = Settings {
//!     cluster: "splunk".to_owned(),
//!     authority: "splunk.example:8088".to_owned(),
//!     format: Format::Native,
//!     observer: Observer {
//!         vendor: "EUCORA".to_owned(),
//!         product: "edge-observer".to_owned(),
//!         version: "0.1.0".to_owned(),
//!         device: "edge-1".to_owned(),
//!     },
//!     protocol: Protocol::SplunkHec(splunk_hec::Settings::default()),
//! };
//! let mut sender = Sender::new(settings, Limits::default(), Secret::new("12345678-1234-1234-1234-123456789012"))?;
//!
//! let (uid, mut now_ns) = ([7; 16], 1_700_000_000_000_000_000);
//! let mut event = Event::new(uid, "CAB_APPROVAL", Class::Decision, now_ns);
//! event.decision = Some(Text::new("APPROVED"));
//! event.approved_by = Some(Text::new("bob\r\n\"forged\":1"));
//! sender.push(event, now_ns).expect("there is room");
//!
//! // A second later the batch is due. Of a real caller's random numbers none is used twice.
//! now_ns += 1_000_000_000;
//! let call = sender.poll(now_ns, &mut || 4).expect("a batch is due");
//! assert_eq!(call.cluster, "splunk");
//! assert_eq!(
//!     String::from_utf8_lossy(&call.body),
//!     r#"{"time":1700000000.000000,"host":"edge-1","event":{"EventType":"CAB_APPROVAL","Decision":"APPROVED","ApprovedBy":"bob\r\n\"forged\":1","Timestamp":"2023-11-14T22:13:20.000000Z","EventUid":"07070707-0707-0707-0707-070707070707","Count":1}}
//! "#
//! );
//!
//! let body = br#"{"text":"Success","code":0}"#;
//! sender.answer(call.id, now_ns, &Answer { status: Some(200), header: &|_| None, body });
//! assert_eq!(sender.next_settled(), Some(Settled::Delivered { uid }));
//! # Ok::<(), siem::settings::SettingsError>(())
//! ```
//!
//! # Rules
//!
//! - Events made = delivered + logged + queued, after every step, and each is in one of these alone.
//! - An event is sent again until it is known to have arrived, so it may arrive twice; its `EventUid` stays the same.
//! - Memory is bounded: the texts of an event by their types, the queue by [`Limits`](settings::Limits), a call by its protocol.
//! - A record is one line, and no text in it can make a field, a line or a header.
//! - No secret is in an error or in what `Debug` shows; none is in a [`Call`](sender::Call) but in its headers and its body.
//! - Nothing panics, whatever a client, a receiver or the clock does.
//!
//! [`event`] has what an event says, [`format`](mod@format) how it is written, [`protocol`] what goes over the wire, [`sender`] when, and
//! [`settings`] where to.
//!
//! # Not here
//!
//! Which requests make events, the calls and the log are the caller's. So is keeping events over the end of a VM: [`event::Event::encode`] is for
//! the proxy's shared data. Bodies are not compressed: deflate would be a good part of the module's size, and the limits count what is inside.

#![forbid(unsafe_code)]

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
