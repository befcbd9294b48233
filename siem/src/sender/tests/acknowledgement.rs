//! Splunk's codes and acknowledgements.

use super::*;

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
