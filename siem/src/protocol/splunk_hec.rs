//! Splunk's HTTP Event Collector.
//!
//! Source: Splunk, "Format events for HTTP Event Collector", "About HTTP Event Collector Indexer Acknowledgment" and "Possible error codes"
//! (<https://docs.splunk.com/Documentation/Splunk/latest/Data/FormateventsforHTTPEventCollector>, `…/AboutHECIDXAck`,
//! `…/TroubleshootHTTPEventCollector`).
//!
//! - `POST /services/collector/event`, `authorization: Splunk <token>`; the body is one envelope after the other, never an array. `time` is in
//!   seconds with a fraction.
//! - There is no limit of the protocol on a call (`max_content_length` in `limits.conf`, 838,860,800 bytes by default, 1 MB advised in Splunk
//!   Cloud): `batch_bytes` is the limit.
//!
//! | code | status | meaning | what is done |
//! |---|---|---|---|
//! | 0 | 200 | success | delivered, or its acknowledgement awaited |
//! | 1, 4 | 403 | token disabled, invalid | the batch goes to the log |
//! | 2, 3 | 401 | token missing, not for this | tried again until too old |
//! | 5, 7, 10, 11, 14, 16 | 400 | no data, wrong index, channel, acknowledgement off, query string | the batch goes to the log |
//! | 6, 12, 13, 15 | 400 | an event is not well formed | `invalid-event-number`, from zero, goes to the log; the others are sent again |
//! | 8, 9, 18, 19, 20 | 500, 503 | error, busy, queues full | tried again |
//!
//! A status without a code means what it means elsewhere.
//!
//! With **acknowledgement** each call has `x-splunk-request-channel`, a GUID that the sender makes once. A 200 then only means that the batch looks
//! valid: its `ackId` is asked about with `POST /services/collector/ack`, and its events are delivered when that says `true`. A batch that is not
//! acknowledged in time is sent again. Answers of the same channel must come from the same indexer: a load balancer between needs sticky sessions.
//! A token without acknowledgement sends no `ackId`; its events go to the log as `unacknowledged`, for the setting is wrong.

use super::headers::check_value;
use super::{Headers, Moment, Verdict, post};
use crate::event::Event;
use crate::format::{Format, Shape};
use crate::json::{self, Object, as_u64, member};
use crate::settings::{self, Secret, SettingsError};

/// Settings of the protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The `host` of the events; the observer's device if there is none.
    pub host: Option<String>,
    /// The `source` of the events.
    pub source: Option<String>,
    /// The `sourcetype` of the events.
    pub sourcetype: Option<String>,
    /// The `index` of the events; the token's own if there is none.
    pub index: Option<String>,
    /// Whether the token has indexer acknowledgement: events count as delivered when they are acknowledged.
    pub acknowledge: bool,
}

impl Settings {
    pub(super) fn envelope(&self, settings: &settings::Settings, event: &Event, out: &mut String) {
        let mut envelope = Object::new(out);
        let micros = event.time_ns / 1_000;
        envelope
            .raw("time", &format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000))
            .text("host", self.host.as_ref().unwrap_or(&settings.observer.device))
            .maybe("source", self.source.as_deref())
            .maybe("sourcetype", self.sourcetype.as_deref())
            .maybe("index", self.index.as_deref());
        let value = envelope.value("event");
        if settings.format == Format::Cef {
            let mut line = String::new();
            settings.format.write(event, &settings.observer, Shape::default(), &mut line);
            json::text(&line, value);
        } else {
            settings.format.write(event, &settings.observer, Shape::default(), value);
        }
        envelope.finish();
    }

    pub(super) fn headers(&self, authority: &str, secret: &Secret, moment: Moment<'_>) -> Headers {
        self.call(authority, "/services/collector/event", secret, moment.channel)
    }

    fn call(&self, authority: &str, path: &str, secret: &Secret, channel: [u8; 16]) -> Headers {
        let mut headers = post(authority, path, "application/json");
        headers.push(("authorization".into(), format!("Splunk {}", secret.reveal()).into_bytes()));
        if self.acknowledge {
            headers.push(("x-splunk-request-channel".into(), guid(channel).into_bytes()));
        }
        headers
    }

    /// The call that asks about acknowledgements.
    pub(crate) fn ack_request(
        &self,
        authority: &str,
        secret: &Secret,
        channel: [u8; 16],
        acks: impl Iterator<Item = u64>,
    ) -> (Headers, String) {
        let path = format!("/services/collector/ack?channel={}", guid(channel));
        let mut body = "{\"acks\":[".to_owned();
        for (at, ack) in acks.enumerate() {
            body.extend([if at == 0 { "" } else { "," }, &ack.to_string()]);
        }
        body.push_str("]}");
        (self.call(authority, &path, secret, channel), body)
    }

    pub(super) fn verdict(&self, status: u16, body: &[u8]) -> Verdict {
        let number = |name| member(body, name).and_then(as_u64);
        let code = number("code");
        match code {
            Some(0) if (200..=299).contains(&status) => {}
            Some(1 | 4 | 5 | 7 | 10 | 11 | 14 | 16) => return Verdict::Refused,
            Some(2 | 3) => return Verdict::Unauthorized,
            Some(6 | 12 | 13 | 15) => {
                let blamed = number("invalid-event-number").and_then(|number| usize::try_from(number).ok());
                return blamed.map_or(Verdict::Suspect, Verdict::Blamed);
            }
            Some(8 | 9 | 18..=20) => return Verdict::Retry,
            _ => {}
        }
        match Verdict::of_status(status) {
            Verdict::Delivered if self.acknowledge => match (number("ackId"), code) {
                (Some(ack), _) => Verdict::Accepted(ack),
                (None, Some(_)) => Verdict::NeverAcknowledged,
                // No answer of Splunk's: a proxy's page, or cut short.
                (None, None) => Verdict::Retry,
            },
            verdict => verdict,
        }
    }

    pub(super) fn check(&self) -> Result<(), SettingsError> {
        for (field, value) in
            [("host", &self.host), ("source", &self.source), ("sourcetype", &self.sourcetype), ("index", &self.index)]
        {
            if let Some(value) = value {
                check_value(field, value)?;
            }
        }
        Ok(())
    }
}

/// Whether the answer to [`Settings::ack_request`] says that this batch is indexed.
pub(crate) fn is_acknowledged(body: &[u8], ack: u64) -> bool {
    member(body, "acks").and_then(|acks| member(acks, &ack.to_string())) == Some(b"true")
}

fn guid(channel: [u8; 16]) -> String {
    let mut text = String::new();
    crate::uuid::write(channel, &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Class;
    use crate::protocol::Protocol;
    use crate::testing;

    fn check(acknowledge: bool, status: u16, body: &str, expected: Verdict) {
        let settings = Settings { acknowledge, ..Settings::default() };
        assert_eq!(settings.verdict(status, body.as_bytes()), expected, "{status} {body}");
    }

    #[test]
    fn codes_say_more_than_the_status() {
        check(false, 200, r#"{"text":"Success","code":0}"#, Verdict::Delivered);
        check(false, 200, "", Verdict::Delivered);
        check(false, 403, r#"{"text":"Token disabled","code":1}"#, Verdict::Refused);
        check(false, 403, r#"{"text":"Invalid token","code":4}"#, Verdict::Refused);
        check(false, 401, r#"{"text":"Token is required","code":2}"#, Verdict::Unauthorized);
        check(false, 401, r#"{"text":"Invalid authorization","code":3}"#, Verdict::Unauthorized);
        check(false, 400, r#"{"text":"Incorrect index","code":7,"invalid-event-number":1}"#, Verdict::Refused);
        let malformed = r#"{"text":"Invalid data format","code":6,"invalid-event-number":3}"#;
        check(false, 400, malformed, Verdict::Blamed(3));
        check(false, 400, r#"{"text":"Invalid data format","code":6}"#, Verdict::Suspect);
        check(false, 503, r#"{"text":"Server is busy","code":9}"#, Verdict::Retry);
        check(false, 500, r#"{"text":"Internal server error","code":8}"#, Verdict::Retry);
        check(false, 503, r#"{"text":"Queue is full","code":18}"#, Verdict::Retry);
        check(false, 503, "<html>", Verdict::Retry);
        check(false, 413, "", Verdict::TooLarge);
        check(false, 400, r#"{"text":"?","code":99}"#, Verdict::Suspect);
        check(false, 503, r#"{"code":0}"#, Verdict::Retry);
    }

    #[test]
    fn with_acknowledgement_a_200_is_not_the_end() {
        check(true, 200, r#"{"text":"Success","code":0,"ackId":7}"#, Verdict::Accepted(7));
        check(true, 200, r#"{"text":"Success","code":0}"#, Verdict::NeverAcknowledged);
        check(true, 200, "<html>", Verdict::Retry);
        check(true, 400, r#"{"text":"ACK is disabled","code":14}"#, Verdict::Refused);
        assert!(is_acknowledged(br#"{"acks":{"6":false,"7":true}}"#, 7));
        assert!(!is_acknowledged(br#"{"acks":{"6":false,"7":true}}"#, 6));
        assert!(!is_acknowledged(br#"{"acks":{"6":false,"7":true}}"#, 8));
        assert!(!is_acknowledged(br#"{"acks":{"7":"true"}}"#, 7));
    }

    #[test]
    fn an_envelope_has_the_time_in_seconds() {
        let own = Settings { source: Some("edge".to_owned()), index: Some("main".to_owned()), ..Settings::default() };
        let settings = testing::settings(Protocol::SplunkHec(own.clone()));
        let event = Event::new([0; 16], "CAB_APPROVAL", Class::Decision, 1_700_000_000_012_345_678);
        let mut out = String::new();
        own.envelope(&settings, &event, &mut out);
        assert_eq!(
            out,
            r#"{"time":1700000000.012345,"host":"edge-1","source":"edge","index":"main","event":{"EventType":"CAB_APPROVAL","Timestamp":"2023-11-14T22:13:20.012345Z","EventUid":"00000000-0000-0000-0000-000000000000","Count":1}}"#
        );
    }

    #[test]
    fn acknowledgements_are_asked_for_on_their_channel() {
        let own = Settings { acknowledge: true, ..Settings::default() };
        let (headers, body) = own.ack_request("splunk:8088", &Secret::new("t"), [0x22; 16], [3, 5].into_iter());
        assert_eq!(body, r#"{"acks":[3,5]}"#);
        assert_eq!(headers[1].1, b"/services/collector/ack?channel=22222222-2222-2222-2222-222222222222");
        assert!(headers.contains(&("authorization".into(), b"Splunk t".to_vec())));
        assert!(
            headers.contains(&("x-splunk-request-channel".into(), b"22222222-2222-2222-2222-222222222222".to_vec()))
        );
    }
}
