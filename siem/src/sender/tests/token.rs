//! Azure's tokens, and the IDs of its batches.

use super::*;

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
fn nothing_shows_a_secret() {
    let mut bench = azure();
    bench.push([1]);
    let fetch = bench.poll().unwrap();
    bench.reply(&fetch, 200, &[], GRANT);
    let batch = bench.poll().unwrap();
    let shown = format!("{:?} {fetch:?} {batch:?} {:?}", bench.sender, bench.sender.limits);
    assert!(!shown.contains("hush") && !shown.contains("\"tok\""), "{shown}");
}
