//! Each rule by itself, against answers written by hand.

mod acknowledgement;
mod simulation;
mod token;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::event::Class;
use crate::protocol::json::{Authorization, Framing};
use crate::protocol::{json, splunk_hec};
use crate::testing::{hostile, logs_ingestion, settings};

const START_NS: u64 = 1_700_000_000_000_000_000;

/// A sender, its clock, and what came of its events.
struct Bench {
    sender: Sender,
    now_ms: u64,
    drawn: u64,
    delivered: Vec<u8>,
    logged: Vec<(u8, Reason)>,
}

fn json_protocol() -> Protocol {
    Protocol::Json(json::Settings {
        path: "/in".to_owned(),
        framing: Framing::Array,
        authorization: Authorization::Bearer,
    })
}

fn hec(acknowledge: bool) -> Protocol {
    Protocol::SplunkHec(splunk_hec::Settings { acknowledge, ..splunk_hec::Settings::default() })
}

impl Bench {
    fn new(protocol: Protocol, limits: Limits) -> Self {
        let sender = Sender::new(settings(protocol), limits, Secret::new("hush")).unwrap();
        Self { sender, now_ms: 0, drawn: 0, delivered: Vec::new(), logged: Vec::new() }
    }

    /// Several at once would go in one batch.
    fn of_json() -> Self {
        Self::new(json_protocol(), Limits { max_wait_ms: 0, ..Limits::default() })
    }

    fn now_ns(&self) -> u64 {
        START_NS + self.now_ms * 1_000_000
    }

    fn push(&mut self, numbers: impl IntoIterator<Item = u8>) {
        for number in numbers {
            let event = Event::new([number; 16], "CAB_APPROVAL", Class::Decision, self.now_ns());
            if let Err(event) = self.sender.push(event, self.now_ns()) {
                self.logged.push((event.uid[0], Reason::QueueFull));
            }
        }
    }

    /// With pauses as long as they may be, and IDs that differ.
    fn poll(&mut self) -> Option<Call> {
        let now_ns = self.now_ns();
        let call = self.sender.poll(now_ns, &mut || {
            self.drawn += 1;
            u64::MAX - self.drawn
        });
        self.drain();
        call
    }

    fn later(&mut self, ms: u64) -> &mut Self {
        self.now_ms += ms;
        self
    }

    fn reply(&mut self, call: &Call, status: u16, headers: &[(&str, &str)], body: &str) {
        let headers: BTreeMap<_, _> = headers.iter().copied().collect();
        let header = |name: &str| headers.get(name).map(|value| value.as_bytes().to_vec());
        let status = (status != 0).then_some(status);
        self.sender.answer(call.id, self.now_ns(), &Answer { status, header: &header, body: body.as_bytes() });
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(end) = self.sender.next_settled() {
            match end {
                Settled::Delivered { uid } => self.delivered.push(uid[0]),
                Settled::Logged { event, reason } => self.logged.push((event.uid[0], reason)),
            }
        }
        let counts = self.sender.counts();
        assert_eq!(counts.made, counts.delivered + counts.all_logged() + counts.queued as u64);
    }

    /// Answers all calls with the same status until there are none; says how many there were.
    fn reply_to_all(&mut self, status: u16) -> usize {
        let mut calls = 0;
        while let Some(call) = self.poll() {
            self.reply(&call, status, &[], "");
            calls += 1;
        }
        calls
    }
}

fn numbers(call: &Call) -> Vec<u8> {
    let body = str::from_utf8(&call.body).unwrap();
    let numbers = body.split("\"EventUid\":\"").skip(1).filter_map(|rest| rest.get(..2));
    numbers.map(|digits| u8::from_str_radix(digits, 16).unwrap()).collect()
}

fn header<'a>(call: &'a Call, name: &str) -> &'a str {
    let header = call.headers.iter().find(|(known, _)| known == name);
    header.map_or("", |(_, value)| str::from_utf8(value).unwrap())
}

const GRANT: &str = r#"{"token_type":"Bearer","expires_in":3600,"access_token":"tok"}"#;

#[test]
fn events_wait_for_others_but_not_for_long() {
    let mut bench = Bench::new(json_protocol(), Limits { batch_events: 3, ..Limits::default() });
    bench.push([1, 2]);
    assert!(bench.poll().is_none());
    let call = bench.later(1_000).poll().unwrap();
    assert_eq!(numbers(&call), [1, 2]);
    assert_eq!(
        (header(&call, ":method"), header(&call, ":path"), header(&call, ":authority"), header(&call, "authorization")),
        ("POST", "/in", "siem.example", "Bearer hush")
    );
    bench.push([3, 4, 5, 6]);
    assert!(bench.poll().is_none(), "one batch at a time");
    bench.reply(&call, 200, &[], "");
    assert_eq!(bench.delivered, [1, 2]);
    assert_eq!(numbers(&bench.poll().unwrap()), [3, 4, 5]);
}

#[test]
fn a_full_queue_gives_events_back() {
    let mut bench = Bench::new(json_protocol(), Limits { queue_events: 2, ..Limits::default() });
    bench.push([1, 2, 3]);
    assert_eq!(bench.logged, [(3, Reason::QueueFull)]);
    assert_eq!(bench.sender.counts().logged(Reason::QueueFull), 1);
    let mut bench = Bench::new(json_protocol(), Limits { queue_bytes: 1, ..Limits::default() });
    bench.push([1, 2]);
    assert_eq!(bench.logged, [(2, Reason::QueueFull)], "one event always fits");
}

#[test]
fn a_failure_is_sent_again_after_a_pause() {
    let mut bench = Bench::of_json();
    bench.push([1]);
    let first = bench.poll().unwrap();
    bench.reply(&first, 503, &[], "");
    assert!(bench.poll().is_none());
    assert!(bench.later(499).poll().is_none());
    let second = bench.later(1).poll().unwrap();
    assert_ne!(first.id, second.id);
    assert_eq!(first.body, second.body);
    // 500 ms is the base of the pause: the second is up to 1,000 ms, the third up to 2,000 ms.
    bench.reply(&second, 0, &[], "");
    assert!(bench.later(100).poll().is_none());
    let third = bench.later(1_000).poll().unwrap();
    bench.reply(&third, 200, &[], "");
    assert_eq!(bench.delivered, [1]);
    let counts = bench.sender.counts();
    assert_eq!((counts.batches, counts.retries, counts.last_status), (1, 2, Some(200)));
}

#[test]
fn retry_after_is_heeded_but_bounded() {
    for (value, least_ms) in [("20", 20_000), ("Tue, 14 Nov 2023 22:13:40 GMT", 20_000), ("86400", 300_000)] {
        let mut bench = Bench::of_json();
        bench.push([1]);
        let call = bench.poll().unwrap();
        bench.reply(&call, 429, &[("retry-after", value)], "");
        assert!(bench.later(least_ms - 1).poll().is_none(), "{value}");
        assert!(bench.later(502).poll().is_some(), "{value}");
    }
}

#[test]
fn a_call_that_is_never_answered_is_given_up() {
    let mut bench = Bench::of_json();
    bench.push([1]);
    let call = bench.poll().unwrap();
    assert!(bench.later(15_000).poll().is_none());
    assert!(bench.later(1).poll().is_none(), "the pause comes first");
    let again = bench.later(1_000).poll().unwrap();
    bench.reply(&call, 200, &[], "");
    assert!(bench.delivered.is_empty(), "an answer that comes too late says nothing");
    bench.reply(&again, 200, &[], "");
    bench.reply(&again, 200, &[], "");
    assert_eq!(bench.delivered, [1]);
}

#[test]
fn a_batch_that_is_too_large_is_halved_until_it_fits() {
    let mut bench = Bench::of_json();
    bench.push(0..8);
    while let Some(call) = bench.poll() {
        let numbers = numbers(&call);
        let status = if numbers.len() > 2 || numbers.contains(&5) { 413 } else { 200 };
        bench.reply(&call, status, &[], "");
    }
    bench.delivered.sort();
    assert_eq!(bench.delivered, [0, 1, 2, 3, 4, 6, 7]);
    assert_eq!(bench.logged, [(5, Reason::TooLarge)]);
}

#[test]
fn after_a_413_calls_are_smaller_until_they_have_grown_again() {
    let mut bench = Bench::of_json();
    let (mut calls, mut refused) = (0, 0);
    while calls < 100 {
        bench.push(0..50);
        let call = bench.poll().unwrap();
        let is_too_large = call.body.len() > 3_000;
        bench.reply(&call, if is_too_large { 413 } else { 200 }, &[], "");
        calls += 1;
        refused += u32::from(is_too_large);
    }
    // Halving alone would have cost three in seven.
    assert!((2..=30).contains(&refused), "{refused}");
    while let Some(call) = bench.poll() {
        bench.reply(&call, 200, &[], "");
    }
    bench.push(0..200);
    assert_eq!(numbers(&bench.poll().unwrap()).len(), 200);
    assert!(bench.logged.iter().all(|(_, reason)| *reason == Reason::QueueFull));
}

#[test]
fn an_event_larger_than_any_call_is_logged_at_once() {
    let mut bench = Bench::new(json_protocol(), Limits { batch_bytes: 100, max_wait_ms: 0, ..Limits::default() });
    bench.push([1, 2]);
    assert!(bench.poll().is_none());
    assert_eq!(bench.logged, [(1, Reason::TooLarge), (2, Reason::TooLarge)]);
}

#[test]
fn what_is_around_the_records_counts_as_well() {
    let length = |events, batch_bytes| {
        let limits = Limits { batch_bytes, max_wait_ms: 0, ..Limits::default() };
        let mut bench = Bench::new(json_protocol(), limits);
        bench.push(0..events);
        bench.poll().map(|call| call.body.len())
    };
    let (one, two) = (length(1, 1 << 20).unwrap(), length(2, 1 << 20).unwrap());
    assert_eq!((length(1, one), length(1, one - 1)), (Some(one), None));
    assert_eq!((length(2, two), length(2, two - 1)), (Some(two), Some(one)));
}

#[test]
fn the_event_at_fault_is_found_by_halves() {
    for refusal in [400, 422] {
        let mut bench = Bench::of_json();
        bench.push(0..100);
        while let Some(call) = bench.poll() {
            let status = if numbers(&call).contains(&77) { refusal } else { 200 };
            bench.reply(&call, status, &[], "");
        }
        assert_eq!(bench.delivered.len(), 99);
        assert_eq!(bench.logged, [(77, Reason::Refused)]);
    }
}

#[test]
fn a_success_begins_the_count_of_refusals_anew() {
    let mut bench = Bench::new(json_protocol(), Limits { max_wait_ms: 0, batch_events: 4, ..Limits::default() });
    bench.push(0..200);
    while let Some(call) = bench.poll() {
        let status = if numbers(&call).iter().any(|number| number % 4 == 3) { 400 } else { 200 };
        bench.reply(&call, status, &[], "");
    }
    assert_eq!((bench.delivered.len(), bench.logged.len()), (150, 50));
}

#[test]
fn a_search_without_any_success_ends() {
    let mut bench = Bench::new(json_protocol(), Limits { max_wait_ms: 0, backoff_cap_ms: 0, ..Limits::default() });
    bench.push(0..200);
    assert!(bench.reply_to_all(400) <= 32);
    assert_eq!(bench.logged.len(), 200);
}

#[test]
fn a_receiver_that_takes_nothing_is_not_flooded() {
    for status in [400, 413] {
        let mut bench = Bench::of_json();
        bench.push(0..200);
        assert!(bench.reply_to_all(status) <= 48, "{status}");
        assert!(bench.poll().is_none());
        assert!(bench.later(501).reply_to_all(status) <= 9, "{status}");
    }
}

#[test]
fn what_is_refused_is_logged_and_followed_by_a_pause() {
    for status in [403, 404, 301, 409] {
        let mut bench = Bench::of_json();
        bench.push([1, 2]);
        let call = bench.poll().unwrap();
        bench.reply(&call, status, &[], "");
        assert_eq!(bench.logged, [(1, Reason::Refused), (2, Reason::Refused)], "{status}");
        bench.push([3]);
        assert!(bench.poll().is_none());
        assert!(bench.later(501).poll().is_some());
    }
}

#[test]
fn events_that_are_too_old_are_logged() {
    let mut bench = Bench::new(json_protocol(), Limits { max_wait_ms: 0, max_age_ms: 60_000, ..Limits::default() });
    bench.push([1]);
    let call = bench.poll().unwrap();
    bench.push([2]);
    bench.reply(&call, 503, &[("retry-after", "50")], "");
    bench.later(30_000).push([3]);
    assert!(bench.later(30_000).poll().is_some(), "3 is young enough");
    assert_eq!(bench.logged, [(2, Reason::Expired), (1, Reason::Expired)]);
}

#[test]
fn the_end_of_the_vm_settles_everything() {
    let mut bench = Bench::of_json();
    bench.push([1]);
    let call = bench.poll().unwrap();
    bench.push([2]);
    bench.sender.abandon();
    bench.reply(&call, 200, &[], "");
    assert_eq!(bench.logged, [(1, Reason::Abandoned), (2, Reason::Abandoned)]);
    assert!(bench.sender.push(Event::new([3; 16], "X", Class::Probe, 0), bench.now_ns()).is_err());
    assert!(bench.later(1_000).poll().is_none());
    assert_eq!(bench.sender.counts().all_logged(), 3);
}

#[test]
fn settings_that_cannot_work_are_named() {
    let refused = |settings: Settings, secret: &str| {
        Sender::new(settings, Limits::default(), Secret::new(secret)).unwrap_err().to_string()
    };
    let json = || settings(json_protocol());
    assert_eq!(
        refused(Settings { authority: "https://x/".to_owned(), ..json() }, "s"),
        "authority: is not a host, or a host and a port, without scheme and path"
    );
    assert_eq!(refused(json(), "s\r\nx: y"), "secret: has white space around it or characters beyond visible ASCII");
    assert_eq!(refused(Settings { cluster: String::new(), ..json() }, "s"), "cluster: is empty");
    let azure = |rule: &str| {
        Protocol::LogsIngestion(crate::protocol::logs_ingestion::Settings { rule: rule.to_owned(), ..logs_ingestion() })
    };
    assert!(refused(settings(azure("../x")), "s").starts_with("rule: is not"));
    let collector = settings(Protocol::DataCollector(crate::testing::data_collector()));
    assert_eq!(refused(collector, "not base64"), "secret: is not base64");
}

proptest! {
    /// What passes the check makes a call that no host refuses and no text forges.
    #[test]
    fn settings_that_pass_make_sound_headers(
        texts in prop::collection::vec(prop_oneof![9 => "[a-z0-9_]{1,9}", 1 => hostile(), 1 => "[!-~]{0,9}"], 8),
        kind in 0..4_u8,
    ) {
        let text = |at: usize| texts[at].clone();
        let protocol = match kind {
            0 => Protocol::LogsIngestion(crate::protocol::logs_ingestion::Settings {
                rule: text(0),
                stream: text(1),
                token_cluster: text(2),
                token_authority: text(3).replace('_', "-"),
                token_path: format!("/{}", text(4)),
                client_id: text(5),
                scope: text(6),
            }),
            1 => Protocol::DataCollector(crate::protocol::data_collector::Settings {
                workspace_id: text(0),
                log_type: text(1),
            }),
            2 => Protocol::SplunkHec(splunk_hec::Settings {
                host: Some(text(0)),
                source: Some(text(1)),
                sourcetype: Some(text(2)),
                index: Some(text(3)),
                acknowledge: true,
            }),
            _ => Protocol::Json(json::Settings {
                path: format!("/{}", text(0)),
                framing: Framing::Lines,
                authorization: Authorization::Header(text(1)),
            }),
        };
        let secret = if kind == 1 { crate::testing::SHARED_KEY.to_owned() } else { text(6) };
        let settings = Settings { authority: text(7).replace('_', "-"), ..settings(protocol) };
        let limits = Limits { max_wait_ms: 0, ..Limits::default() };
        let Ok(mut sender) = Sender::new(settings, limits, Secret::new(secret)) else { return Ok(()) };
        prop_assert!(sender.push(Event::new([1; 16], "X", Class::Probe, START_NS), START_NS).is_ok());
        let mut calls = 0;
        while let Some(call) = sender.poll(START_NS, &mut || 1) {
            calls += 1;
            for (name, value) in &call.headers {
                let is_name = |byte: u8| byte.is_ascii_graphic() && !byte.is_ascii_uppercase();
                prop_assert!(!name.is_empty() && name.bytes().all(is_name), "{}", name);
                prop_assert!(value.iter().all(|byte| matches!(byte, b' '..=b'~')), "{}", name);
            }
            let names: std::collections::BTreeSet<_> = call.headers.iter().map(|(name, _)| name).collect();
            prop_assert_eq!(names.len(), call.headers.len());
            prop_assert!(calls < 4);
            let body = br#"{"expires_in":3600,"access_token":"tok","code":0,"ackId":0,"acks":{"0":true}}"#;
            sender.answer(call.id, START_NS, &Answer { status: Some(200), header: &|_| None, body });
        }
        // With a token, or the question after the acknowledgement, one more than the batch.
        prop_assert_eq!(calls, if matches!(kind, 0 | 2) { 2 } else { 1 });
    }
}
