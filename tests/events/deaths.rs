//! A VM that traps anywhere, on a virtual clock: in any hostcall that has to do with events, the first time and later.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use host_harness::test::{Answer, Host, Reply, Request, Upstream};
use host_harness::{Callout, FailurePolicy, Fault};
use serde_json::json;

use super::fakes::{self, Kind, Receiver, Seen};
use super::ledger::undelivered;
use super::{SECRET, SINK, configuration};
use crate::support::counters;
use crate::support::proxy::module;

/// What a receiver makes of a call.
fn seen(callout: &Callout) -> Seen {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let target = callout.header(":path").unwrap().to_owned();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    Seen {
        method: callout.header(":method").unwrap().to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: callout.headers.iter().map(|(name, value)| (text(name), text(value))).collect(),
        body: callout.body.clone(),
        sent: callout.body.len(),
    }
}

/// A proxy on a virtual clock, its receiver, and whether that answers.
fn host(kind: Kind, failure_policy: FailurePolicy) -> (Host, Receiver, Arc<AtomicBool>) {
    let (receiver, answers) = (Receiver::new(kind), Arc::new(AtomicBool::new(true)));
    let (server, is_there) = (receiver.clone(), Arc::clone(&answers));
    let script = move |callout: &Callout| {
        if !is_there.load(Ordering::Relaxed) {
            return Answer::Silence;
        }
        match server.answer(seen(callout)) {
            fakes::Answer::Said(said) => {
                let reply = Reply::status(said.status);
                let reply = said.headers.iter().fold(reply, |reply, (name, value)| reply.header(name, value));
                Answer::Reply(reply.chunk(said.body))
            }
            fakes::Answer::Silence => Answer::Silence,
            fakes::Answer::Close => Answer::Close,
        }
    };
    let host = Host::builder()
        .module(&module())
        .configuration(configuration(kind, &json!({})).to_string())
        .env(SECRET, kind.secret())
        .cluster("siem", Upstream::with(script).after(Duration::from_millis(20)))
        .failure_policy(failure_policy)
        .workers(2)
        .seed(7)
        .start()
        .unwrap();
    (host, receiver, answers)
}

fn post(host: &mut Host, worker: usize, number: usize) -> String {
    let id = format!("death-{number:08}");
    host.exchange_on(worker, Request::post(format!("/decisions/{number}"), "").header("x-correlation-id", &id));
    id
}

/// Of one sink: made, delivered and logged.
fn counts(host: &Host) -> [u64; 3] {
    ["made", "delivered", "logged"].map(|wanted| {
        let of_state = |(stat, value): (String, u64)| {
            let (name, labels) = counters::parse(&stat);
            let is_it = name == "eucora_edge_events_total"
                && labels.get("state").is_some_and(|state| state == wanted)
                && labels.get("sink").is_some_and(|sink| sink == SINK);
            is_it.then_some(value)
        };
        host.stats().into_iter().filter_map(of_state).sum()
    })
}

fn queued(host: &Host) -> u64 {
    host.stats().into_iter().filter(|(stat, _)| stat.starts_with("eucora_edge_events_queued")).map(|(_, n)| n).sum()
}

#[test]
fn a_vm_that_dies_has_said_what_was_delivered() {
    let (mut host, receiver, _) = host(Kind::Json, FailurePolicy::FailOpen);
    host.advance(Duration::from_millis(250));
    for number in 0..5 {
        post(&mut host, 0, number);
    }
    // Between two ticks: the answer has come, and its events are settled.
    while receiver.accepted().len() < 5 {
        host.advance(Duration::from_millis(10));
    }
    host.advance(Duration::from_millis(30));
    host.add_fault(Fault::hostcall("proxy_get_header_map_pairs").nth(1).traps());
    post(&mut host, 0, 99);
    host.advance(Duration::from_secs(10));
    assert_eq!((counts(&host), queued(&host)), ([5, 5, 0], 0));
    assert_eq!(receiver.accepted().len(), 5);
}

/// With what the configuration before has not delivered the next goes on, where it has the sink; else it is in the log, and counted there.
#[test]
fn events_of_a_sink_that_is_gone_are_logged_and_counted() {
    for (name, expected) in [(SINK, [5, 5, 0]), ("another", [5, 0, 5])] {
        let (mut host, receiver, answers) = host(Kind::Json, FailurePolicy::FailOpen);
        host.advance(Duration::from_millis(250));
        answers.store(false, Ordering::Relaxed);
        for number in 0..5 {
            post(&mut host, 0, number);
        }
        host.advance(Duration::from_millis(250));
        host.reconfigure(configuration(Kind::Json, &json!({ "name": name })).to_string()).unwrap();
        answers.store(true, Ordering::Relaxed);
        host.advance(Duration::from_secs(10));
        assert_eq!((counts(&host), queued(&host)), (expected, 0), "{name}");
        let log: String = host.logs().iter().map(|line| format!("{}\n", line.message)).collect();
        assert_eq!([receiver.accepted().len() as u64, undelivered(&log).len() as u64], expected[1..], "{name}");
    }
}

/// A VM that is replaced in good order has no heir: its events are in the log.
#[test]
fn a_vm_that_is_replaced_in_good_order_logs_what_it_has() {
    let (mut host, receiver, answers) = host(Kind::SplunkAck, FailurePolicy::FailOpen);
    host.advance(Duration::from_millis(250));
    answers.store(false, Ordering::Relaxed);
    for number in 0..6 {
        post(&mut host, number % 2, number);
    }
    host.advance(Duration::from_millis(250));
    host.recreate(0).unwrap();
    answers.store(true, Ordering::Relaxed);
    host.advance(Duration::from_secs(10));
    assert_eq!((counts(&host), queued(&host), receiver.accepted().len()), ([6, 3, 3], 0, 3));
}

/// Wherever it traps, events that other requests have made arrive; only of the one in whose callback it happened there may be none, and only counts
/// of that callback may be missing.
#[test]
fn wherever_a_vm_traps_no_event_of_another_request_is_lost() {
    const HOSTCALLS: [&str; 8] = [
        "proxy_get_header_map_pairs",
        "proxy_get_property",
        "proxy_get_shared_data",
        "proxy_set_shared_data",
        "proxy_increment_metric",
        "proxy_define_metric",
        "proxy_http_call",
        "proxy_get_buffer_bytes",
    ];
    let mut died = 0;
    let policies = [FailurePolicy::FailOpen, FailurePolicy::FailReload { backoff: FailurePolicy::RELOAD_BACKOFF }];
    for (kind, failure_policy) in [Kind::Json, Kind::SplunkAck].into_iter().zip(policies) {
        for hostcall in HOSTCALLS {
            for nth in [1, 2, 3, 5, 9, 17] {
                let (mut host, receiver, answers) = host(kind, failure_policy);
                host.advance(Duration::from_millis(250));
                answers.store(nth % 2 == 0, Ordering::Relaxed);
                let mut ids: Vec<String> = (0..6).map(|number| post(&mut host, number % 2, number)).collect();
                host.add_fault(Fault::hostcall(hostcall).nth(nth).traps());
                ids.push(post(&mut host, 0, 6));
                let during: Vec<String> = (7..10).map(|number| post(&mut host, 0, number)).collect();
                host.advance(Duration::from_millis(130));
                let has_died = (0..2).any(|worker| host.worker(worker).failed().is_some());
                host.shared().clear_faults();
                answers.store(true, Ordering::Relaxed);
                host.advance(Duration::from_secs(2));
                // A reload comes with the next stream.
                let after: Vec<String> = (10..12).map(|number| post(&mut host, number % 2, number)).collect();
                host.advance(Duration::from_secs(20));
                let log: String = host.logs().iter().map(|line| format!("{}\n", line.message)).collect();
                let logged = undelivered(&log);
                let events: Vec<_> =
                    receiver.accepted().into_values().chain(logged.into_iter().map(|(_, event)| event)).collect();
                let mut uids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
                for event in &events {
                    let text = |name: &str| event[name].as_str().unwrap().to_owned();
                    uids.entry(text("CorrelationId")).or_default().insert(text("EventUid"));
                }
                let what = format!("{kind:?}, {hostcall} {nth}: {:?}, {}", counts(&host), queued(&host));
                assert!(uids.values().all(|uids| uids.len() == 1), "{what}");
                assert!(ids[..6].iter().all(|id| uids.contains_key(id)), "{what}: {uids:?}");
                died += u32::from(has_died);
                if !has_died {
                    assert!(during.iter().all(|id| uids.contains_key(id)), "{what}: {uids:?}");
                }
                if failure_policy != FailurePolicy::FailOpen {
                    assert!(after.iter().all(|id| uids.contains_key(id)), "{what}: {uids:?}");
                }
                assert_eq!(receiver.complaints(), Vec::<String>::new(), "{what}");
                assert_eq!(queued(&host), 0, "{what}");
                // All that one callback can have settled.
                let [made, delivered, logged] = counts(&host);
                assert!(made.abs_diff(delivered + logged) <= 7, "{what}");
            }
        }
    }
    assert!(died > 20, "{died}");
}
