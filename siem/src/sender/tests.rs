//! Each rule by itself, against answers written by hand.

mod simulation;

use std::collections::BTreeMap;

use super::*;
use crate::event::Class;
use crate::protocol::json::{Authorization, Framing};
use crate::protocol::{json, splunk_hec};
use crate::testing::{logs_ingestion, settings};

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

const GRANT: &str = r#"{"token_type":"Bearer","expires_in":3600,"access_token":"tok"}"#;

fn azure() -> Bench {
    Bench::new(Protocol::LogsIngestion(logs_ingestion()), Limits { max_wait_ms: 0, ..Limits::default() })
}

#[test]
fn a_token_is_fetched_when_there_is_something_to_send_and_kept() {
    let mut bench = azure();
    assert!(bench.poll().is_none());
    bench.push([1]);
    let fetch = bench.poll().unwrap();
    assert_eq!((fetch.cluster.as_str(), header(&fetch, ":path")), ("entra", "/tenant/oauth2/v2.0/token"));
    assert!(bench.poll().is_none());
    bench.reply(&fetch, 200, &[], GRANT);
    let batch = bench.poll().unwrap();
    assert_eq!((batch.cluster.as_str(), header(&batch, "authorization")), ("siem", "Bearer tok"));
    bench.reply(&batch, 204, &[], "");
    bench.push([2]);
    let batch = bench.poll().unwrap();
    assert_eq!(batch.cluster, "siem");
    bench.reply(&batch, 204, &[], "");
    assert_eq!(bench.delivered, [1, 2]);
}

#[test]
fn a_token_is_replaced_before_its_end_while_it_still_serves() {
    let mut bench = azure();
    bench.push([1]);
    let fetch = bench.poll().unwrap();
    bench.reply(&fetch, 200, &[], GRANT);
    bench.reply_to_all(204);
    for _ in 0..6 {
        bench.later(550_000).poll();
    }
    bench.push([2]);
    let fetch = bench.poll().unwrap();
    assert_eq!(fetch.cluster, "entra");
    let batch = bench.poll().unwrap();
    assert_eq!(batch.cluster, "siem");
    bench.reply(&fetch, 503, &[], "");
    bench.reply(&batch, 204, &[], "");
    assert_eq!(bench.delivered, [1, 2]);
    // At its end it serves no longer.
    bench.later(300_000).push([3]);
    let fetch = bench.poll().unwrap();
    assert_eq!(fetch.cluster, "entra");
    assert!(bench.poll().is_none());
}

#[test]
fn a_refused_token_is_replaced_once_without_a_pause() {
    let mut bench = azure();
    bench.push([1]);
    let next = |bench: &mut Bench, cluster: &str, status, body: &str| {
        let call = bench.poll().expect("no pause");
        assert_eq!(call.cluster, cluster);
        bench.reply(&call, status, &[], body);
    };
    next(&mut bench, "entra", 200, GRANT);
    next(&mut bench, "siem", 401, "");
    next(&mut bench, "entra", 200, GRANT);
    next(&mut bench, "siem", 401, "");
    // A token may be fetched in the pause, no batch sent.
    next(&mut bench, "entra", 200, GRANT);
    assert!(bench.poll().is_none());
    bench.later(501);
    next(&mut bench, "siem", 204, "");
    // After a success, again without a pause.
    bench.push([2]);
    next(&mut bench, "siem", 401, "");
    next(&mut bench, "entra", 200, GRANT);
    next(&mut bench, "siem", 204, "");
    assert_eq!(bench.delivered, [1, 2]);
}

#[test]
fn batches_that_were_under_way_with_the_refused_token_cost_no_pause() {
    let limits = Limits { max_wait_ms: 0, in_flight: 2, ..Limits::default() };
    let mut bench = Bench::new(Protocol::LogsIngestion(logs_ingestion()), limits);
    bench.push([1]);
    let fetch = bench.poll().unwrap();
    bench.reply(&fetch, 200, &[], GRANT);
    let first = bench.poll().unwrap();
    bench.push([2]);
    let second = bench.poll().unwrap();
    bench.reply(&first, 401, &[], "");
    bench.reply(&second, 401, &[], "");
    let fetch = bench.poll().unwrap();
    bench.reply(&fetch, 200, &[], GRANT);
    assert_eq!(bench.reply_to_all(204), 2);
    assert_eq!(bench.delivered.len(), 2);
}

#[test]
fn without_a_token_events_wait_until_they_are_too_old() {
    let mut bench = azure();
    bench.push([1]);
    let mut fetches = 0;
    for _ in 0..3_600 {
        if let Some(call) = bench.later(1_000).poll() {
            assert_eq!(call.cluster, "entra");
            bench.reply(&call, 400, &[], r#"{"error":"invalid_client"}"#);
            fetches += 1;
        }
    }
    assert!((60..120).contains(&fetches), "{fetches}");
    assert_eq!(bench.logged, [(1, Reason::Expired)]);
}

#[test]
fn a_batch_keeps_its_id_when_it_is_sent_again() {
    let mut bench = azure();
    bench.push([1]);
    let fetch = bench.poll().unwrap();
    bench.reply(&fetch, 200, &[], GRANT);
    let first = bench.poll().unwrap();
    bench.reply(&first, 500, &[], "");
    let second = bench.later(501).poll().unwrap();
    let id = header(&first, "x-ms-client-request-id");
    assert_eq!(id.len(), 36);
    assert_eq!(id, header(&second, "x-ms-client-request-id"));
}

#[test]
fn what_is_left_of_a_batch_has_an_id_of_its_own() {
    let limits = Limits { max_wait_ms: 0, max_age_ms: 60_000, in_flight: 2, batch_events: 8, ..Limits::default() };
    let mut bench = Bench::new(Protocol::LogsIngestion(logs_ingestion()), limits);
    let id = |call: &Call| header(call, "x-ms-client-request-id").to_owned();
    bench.push(0..4);
    let fetch = bench.poll().unwrap();
    bench.reply(&fetch, 200, &[], GRANT);
    bench.later(30_000).push(4..8);
    let failed = bench.poll().unwrap();
    bench.push(8..10);
    let too_large = bench.poll().unwrap();
    assert_eq!((numbers(&failed).len(), numbers(&too_large).len()), (8, 2));
    bench.reply(&failed, 503, &[], "");
    bench.reply(&too_large, 413, &[], "");
    let mut ids = vec![id(&failed), id(&too_large)];
    // Two halves, then what fits of the batch that failed, then what is young enough of the rest.
    bench.later(501);
    for expected in [&[8][..], &[9], &[0]] {
        let call = bench.poll().unwrap();
        assert_eq!(numbers(&call), expected);
        ids.push(id(&call));
        bench.reply(&call, 204, &[], "");
    }
    let call = bench.later(30_000).poll().unwrap();
    ids.push(id(&call));
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count);
}

#[test]
fn a_batch_that_lost_an_old_event_has_another_id() {
    let limits = Limits { max_wait_ms: 0, max_age_ms: 60_000, ..Limits::default() };
    let mut bench = Bench::new(Protocol::LogsIngestion(logs_ingestion()), limits);
    bench.push([1]);
    let fetch = bench.poll().unwrap();
    bench.reply(&fetch, 200, &[], GRANT);
    bench.later(30_000).push([2]);
    let both = bench.poll().unwrap();
    bench.reply(&both, 503, &[("retry-after", "29")], "");
    let one = bench.later(30_000).poll().unwrap();
    assert_eq!((numbers(&one), &bench.logged[..]), (vec![2], &[(1, Reason::Expired)][..]));
    assert_ne!(header(&both, "x-ms-client-request-id"), header(&one, "x-ms-client-request-id"));
}

#[test]
fn the_event_that_splunk_names_is_logged_and_the_others_sent_again() {
    let mut bench = Bench::new(hec(false), Limits { max_wait_ms: 0, ..Limits::default() });
    bench.push([1, 2, 3]);
    let call = bench.poll().unwrap();
    bench.reply(&call, 400, &[], r#"{"text":"Invalid data format","code":6,"invalid-event-number":1}"#);
    assert_eq!(bench.logged, [(2, Reason::Refused)]);
    let call = bench.poll().unwrap();
    assert_eq!(numbers(&call), [1, 3]);
    bench.reply(&call, 200, &[], r#"{"text":"Success","code":0}"#);
    assert_eq!(bench.delivered, [1, 3]);
}

#[test]
fn acknowledged_is_delivered_and_nothing_else_is() {
    let mut bench = Bench::new(hec(true), Limits { max_wait_ms: 0, ..Limits::default() });
    for (number, reply) in
        [(1, r#"{"text":"Success","code":0,"ackId":0}"#), (2, r#"{"text":"Success","code":0,"ackId":1}"#)]
    {
        bench.push([number]);
        // Acknowledgements are asked about first, as soon as there are any.
        let mut call = bench.poll().unwrap();
        if header(&call, ":path") != "/services/collector/event" {
            bench.reply(&call, 200, &[], r#"{"acks":{"0":false}}"#);
            call = bench.poll().unwrap();
        }
        assert_eq!(header(&call, "x-splunk-request-channel").len(), 36);
        bench.reply(&call, 200, &[], reply);
    }
    assert!(bench.delivered.is_empty());
    assert_eq!(bench.sender.counts().in_flight, 2);
    let ask = bench.later(2_000).poll().unwrap();
    assert_eq!(str::from_utf8(&ask.body).unwrap(), r#"{"acks":[0,1]}"#);
    bench.reply(&ask, 200, &[], r#"{"acks":{"0":false,"1":true}}"#);
    assert_eq!(bench.delivered, [2]);
    // 1 is not acknowledged in time, and sent again.
    let again = loop {
        let Some(call) = bench.later(10_000).poll() else { continue };
        if header(&call, ":path") == "/services/collector/event" {
            break call;
        }
        bench.reply(&call, 200, &[], r#"{"acks":{"0":false}}"#);
    };
    assert_eq!(numbers(&again), [1]);
}

#[test]
fn an_acknowledgement_is_of_the_batch_that_was_asked_about() {
    let limits = Limits { max_wait_ms: 0, ack_timeout_ms: 1_000, max_age_ms: 3_000, ..Limits::default() };
    let mut bench = Bench::new(hec(true), limits);
    let reply = r#"{"text":"Success","code":0,"ackId":0}"#;
    bench.push([1]);
    let call = bench.poll().unwrap();
    bench.reply(&call, 200, &[], reply);
    let ask = bench.poll().unwrap();
    assert_eq!(str::from_utf8(&ask.body).unwrap(), r#"{"acks":[0]}"#);
    // The first is sent again and is too old then; the receiver gives its number to the second.
    let call = bench.later(1_000).poll().unwrap();
    assert_eq!(numbers(&call), [1]);
    bench.reply(&call, 503, &[], "");
    bench.later(1_999).push([2]);
    let call = bench.later(1).poll().unwrap();
    assert_eq!((numbers(&call), &bench.logged[..]), (vec![2], &[(1, Reason::Expired)][..]));
    bench.reply(&call, 200, &[], reply);
    bench.reply(&ask, 200, &[], r#"{"acks":{"0":true}}"#);
    assert!(bench.delivered.is_empty());
}

#[test]
fn acknowledgements_are_asked_for_in_a_pause_but_not_faster_than_they_may() {
    let mut bench = Bench::new(hec(true), Limits { max_wait_ms: 0, ..Limits::default() });
    bench.push([1]);
    let call = bench.poll().unwrap();
    bench.reply(&call, 200, &[], r#"{"text":"Success","code":0,"ackId":0}"#);
    let ask = bench.poll().unwrap();
    bench.push([2]);
    let call = bench.poll().unwrap();
    bench.reply(&call, 503, &[("retry-after", "30")], r#"{"text":"Server is busy","code":9}"#);
    bench.reply(&ask, 503, &[("retry-after", "10")], "");
    assert!(bench.later(9_999).poll().is_none());
    let ask = bench.later(1).poll().unwrap();
    bench.reply(&ask, 200, &[], r#"{"acks":{"0":true}}"#);
    assert_eq!(bench.delivered, [1]);
    assert!(bench.later(19_999).poll().is_none());
    let call = bench.later(501).poll().unwrap();
    assert_eq!(numbers(&call), [2]);
    // However long a pause the receiver asks for, it is not longer than any other.
    bench.reply(&call, 200, &[], r#"{"text":"Success","code":0,"ackId":1}"#);
    let ask = bench.later(2_000).poll().unwrap();
    bench.reply(&ask, 429, &[("retry-after", "999999999")], "");
    assert_eq!(bench.sender.ask_acks_ms, 32_500 + 300_000);
}

#[test]
fn acknowledgements_are_asked_for_one_call_at_a_time() {
    let mut bench = Bench::new(hec(true), Limits { max_wait_ms: 0, ..Limits::default() });
    bench.push([1]);
    let call = bench.poll().unwrap();
    bench.reply(&call, 200, &[], r#"{"text":"Success","code":0,"ackId":0}"#);
    assert!(bench.poll().is_some());
    assert!(bench.later(10_000).poll().is_none());
    assert!(bench.later(5_001).poll().is_some(), "the first is given up");
}

#[test]
fn a_token_without_acknowledgement_is_found_out() {
    let mut bench = Bench::new(hec(true), Limits { max_wait_ms: 0, ..Limits::default() });
    bench.push([1]);
    let call = bench.poll().unwrap();
    bench.reply(&call, 200, &[], r#"{"text":"Success","code":0}"#);
    assert_eq!(bench.logged, [(1, Reason::Unacknowledged)]);
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

#[test]
fn nothing_shows_a_secret() {
    let mut bench = azure();
    bench.push([1]);
    let fetch = bench.poll().unwrap();
    bench.reply(&fetch, 200, &[], GRANT);
    let batch = bench.poll().unwrap();
    let shown = format!("{:?} {fetch:?} {batch:?} {:?}", bench.sender, bench.sender.limits);
    assert!(!shown.contains("hush") && !shown.contains("\"tok\""), "{shown}");
}
