use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::Path;

use serde_json::{Value, json};

use super::fakes::{Fake, Got, grafana};
use super::*;
use crate::journal::entry::Outcome;
use crate::overview::fixture::{ALICE, BOB, ID, PLAN, Story, failed, good, paused, taken_back};
use crate::plan::{AnnouncePlan, GrafanaPlan, SiemPlan};

const TOKEN: &str = "glsa_0123456789";
const LONG: Duration = Duration::from_secs(20);

fn plan(announce: AnnouncePlan) -> Plan {
    Plan { announce, ..crate::plan::parse(PLAN, Path::new("/")).unwrap() }
}

fn to_grafana(url: &str) -> Plan {
    let grafana = GrafanaPlan { url: url.to_owned(), token_env: Some("GRAFANA".to_owned()) };
    plan(AnnouncePlan { grafana: Some(grafana), siem: None })
}

fn to_siem(url: &str, sink: Value) -> Plan {
    plan(AnnouncePlan { grafana: None, siem: Some(SiemPlan { url: url.to_owned(), sink }) })
}

fn variable(name: &str) -> Option<String> {
    match name {
        "GRAFANA" => Some(TOKEN.to_owned()),
        "SPLUNK" => Some("12345678-1234-1234-1234-123456789012".to_owned()),
        _ => None,
    }
}

/// Tells a whole journal, and what could not be delivered.
fn tell(plan: &Plan, entries: &[Entry], patience: Duration) -> Vec<String> {
    let announcer = Announcer::with(plan, &[], &variable).unwrap();
    entries.iter().for_each(|entry| announcer.entry(entry));
    announcer.finish(patience)
}

fn methods(got: &[Got]) -> Vec<&str> {
    got.iter().map(|got| got.line.split(" HTTP").next().unwrap()).collect()
}

fn none() -> Vec<String> {
    Vec::new()
}

#[test]
fn grafana_gets_a_region_for_each_ring_and_points_for_the_rest() {
    let fake = grafana(TOKEN);
    let story = good();
    assert_eq!(tell(&to_grafana(&fake.url), &story.entries, LONG), none());
    let got = fake.got();
    let post = "POST /api/annotations";
    assert_eq!(
        methods(&got),
        // Started, ring 0, waiting, approved, ring 1, ring 2, done.
        [
            post,
            post,
            "PATCH /api/annotations/2",
            post,
            post,
            post,
            "PATCH /api/annotations/6",
            post,
            "PATCH /api/annotations/8",
            post
        ]
    );
    let started = got[0].json();
    assert_eq!(started["time"], 1_700_000_000_000_i64);
    assert_eq!(started["tags"], json!(["rollout", "edge-observer", format!("rollout:{ID}"), "started"]));
    assert_eq!(started["text"], "started, module 120970d81283 (alice@ops-1)");
    let ring = got[2].json();
    assert_eq!(ring["tags"], json!(["rollout", "edge-observer", format!("rollout:{ID}"), "ring:0", "promoted"]));
    assert_eq!(ring["text"], "ring 0 keeps the build: every gate passed on 48000 requests (alice@ops-1)");
    assert_eq!(ring["timeEnd"].as_i64().unwrap() - ring["time"].as_i64().unwrap(), 622_000, "{ring}");
    assert_eq!(got[4].json()["text"], "approved ring 1: CHG-4711 (bob@ops-2)");
    assert_eq!(got[9].json()["text"], "rollout done: all 3 rings have the build (alice@ops-1)");
}

#[test]
fn a_rollback_ends_the_regions_of_rings_and_is_one_itself() {
    let fake = grafana(TOKEN);
    assert_eq!(tell(&to_grafana(&fake.url), &taken_back().entries, LONG), none());
    let got = fake.got();
    let tagged = |outcome: &str| -> Vec<&Got> {
        got.iter().filter(|got| got.json()["tags"].as_array().unwrap().last() == Some(&json!(outcome))).collect()
    };
    assert_eq!(methods(&got).iter().filter(|line| line.starts_with("PATCH")).count(), 3, "{:?}", methods(&got));
    let ring = tagged("rolling-back").into_iter().find(|got| got.line.starts_with("PATCH")).unwrap().json();
    assert!(ring["tags"].as_array().unwrap().contains(&json!("ring:1")), "{ring}");
    let back = tagged("rolled-back");
    assert_eq!(methods(&back.iter().map(|got| (*got).clone()).collect::<Vec<_>>()), ["PATCH /api/annotations/8"]);
    assert_eq!(back[0].json()["timeEnd"].as_i64().unwrap() - back[0].json()["time"].as_i64().unwrap(), 39_000);
    assert_eq!(tagged("restored").len(), 2);
}

#[test]
fn another_process_makes_whole_regions_of_what_one_before_it_began() {
    let fake = grafana(TOKEN);
    let story = failed();
    let at = story.entries.iter().position(|entry| matches!(entry.what, Event::RollingBack { .. })).unwrap();
    let (past, now) = story.entries.split_at(at);
    let announcer = Announcer::with(&to_grafana(&fake.url), past, &variable).unwrap();
    now.iter().for_each(|entry| announcer.entry(entry));
    assert_eq!(announcer.finish(LONG), none());
    let region = fake.got()[0].json();
    assert_eq!(fake.got()[0].line, "POST /api/annotations HTTP/1.1");
    assert!(region["timeEnd"].as_i64() > region["time"].as_i64(), "{region}");
    // The ID is that of the journal.
    let tags = json!(["rollout", "edge-observer", format!("rollout:{ID}"), "ring:0", "rolling-back"]);
    assert_eq!(region["tags"], tags, "{region}");
}

#[test]
fn a_region_that_somebody_took_away_is_made_again() {
    let fake = Fake::new(|count, got| match got.line.starts_with("PATCH") {
        true => (404, r#"{"message":"Could not find annotation to update"}"#.to_owned()),
        false => (200, format!(r#"{{"id":{}}}"#, count + 1)),
    });
    let mut story = Story::new();
    story.open(0, ID).start("0").bake("0");
    assert_eq!(tell(&to_grafana(&fake.url), &story.entries, LONG), none());
    let got = fake.got();
    assert_eq!(
        methods(&got),
        ["POST /api/annotations", "POST /api/annotations", "PATCH /api/annotations/2", "POST /api/annotations"]
    );
    assert_eq!(got[2].body, got[3].body);
}

#[test]
fn grafana_that_refuses_is_not_asked_again_and_told() {
    let fake = grafana("another");
    let problems = tell(&to_grafana(&fake.url), &paused().entries, LONG);
    assert_eq!(
        problems,
        [
            "Grafana did not take 3 of 3 annotations: it answered 401: Invalid API key; the token in `GRAFANA` has to be one of a service account that may write annotations (3)"
        ]
    );
    assert_eq!(fake.got().len(), 3, "each once");
}

#[test]
fn grafana_that_fails_for_a_while_gets_everything() {
    let fake = Fake::new(|count, _| if count < 2 { (500, "{}".to_owned()) } else { (200, r#"{"id":1}"#.to_owned()) });
    assert_eq!(tell(&to_grafana(&fake.url), &paused().entries, LONG), none());
    assert_eq!(fake.got().len(), 3 + 2);
}

#[test]
fn text_in_annotations_is_no_html() {
    let fake = grafana(TOKEN);
    let mut story = Story::new();
    story.open(0, ID);
    story.tell(1, BOB, Event::Paused { comment: format!("<img src=x onerror=alert(1)> & {}", "x".repeat(5_000)) });
    assert_eq!(tell(&to_grafana(&fake.url), &story.entries, LONG), none());
    let text = fake.got()[1].json()["text"].as_str().unwrap().to_owned();
    assert!(text.starts_with("paused: &lt;img src=x onerror=alert(1)&gt; &amp; xxx") && text.len() < 1_100, "{text}");
}

/// Neither telling nor the end waits for a receiver longer than it was given.
#[track_caller]
fn check_patience(url: &str, expected: &[&str]) {
    let both = Plan {
        announce: AnnouncePlan {
            siem: Some(SiemPlan { url: url.to_owned(), sink: json!({"json": {}}) }),
            ..to_grafana(url).announce
        },
        ..to_grafana(url)
    };
    let announcer = Announcer::with(&both, &[], &variable).unwrap();
    let began = Instant::now();
    paused().entries.iter().for_each(|entry| announcer.entry(entry));
    let told = began.elapsed();
    let problems = announcer.finish(Duration::from_millis(300));
    let ended = began.elapsed() - told;
    assert!(told < Duration::from_secs(1), "{told:?}");
    assert!(ended < Duration::from_secs(3), "{ended:?}");
    assert_eq!(problems.len(), 2, "{problems:?}");
    for (problem, expected) in problems.iter().zip(expected) {
        assert!(problem.contains(expected), "{problem}");
    }
}

#[test]
fn a_receiver_that_hangs_delays_nothing() {
    let fake = Fake::new(|_, _| (0, String::new()));
    check_patience(&fake.url, &["Grafana did not take 3 of 3 annotations", "the SIEM did not take 3 of 3 events"]);
}

#[test]
fn a_receiver_that_is_away_delays_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    check_patience(&url, &["Grafana did not take 3 of 3 annotations", "the SIEM did not take 3 of 3 events"]);
}

#[test]
fn what_has_no_room_is_counted() {
    let queue = Queue::new("Grafana", "annotations", 2);
    (0..5).for_each(|item| queue.push(item));
    assert_eq!(
        queue.told().problems().unwrap(),
        "Grafana did not take 3 of 5 annotations: more waited than there is room for (3)"
    );
    assert_eq!((queue.take(None), queue.take(None)), (Some(0), Some(1)));
    assert_eq!(queue.take(Some(Instant::now())), None);
    queue.delivered(2);
    queue.end(Instant::now());
    queue.push(6);
    assert_eq!(queue.take(None), None);
    assert!(!queue.rest(LONG), "there is no time any more");
    let line = queue.wait_until_over(Instant::now()).at_the_end().unwrap();
    assert_eq!(
        line,
        "Grafana did not take 4 of 6 annotations: it came after the end (1); more waited than there is room for (3)"
    );
}

#[test]
fn a_siem_gets_an_event_for_each_with_the_rollouts_id() {
    let fake = Fake::new(|_, _| (200, String::new()));
    let sink = json!({"json": {"path": "/in", "framing": "lines"}});
    assert_eq!(tell(&to_siem(&fake.url, sink), &taken_back().entries, LONG), none());
    let got = fake.got();
    assert!(got.iter().all(|got| got.line == "POST /in HTTP/1.1"), "{:?}", methods(&got));
    assert_eq!(got[0].header("host"), fake.url.strip_prefix("http://"));
    let events: Vec<Value> = got
        .iter()
        .flat_map(|got| got.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>())
        .collect();
    let kinds: Vec<&str> = events.iter().map(|event| event["EventType"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        [
            "ROLLOUT_STARTED",
            "ROLLOUT_RING_STARTED",
            "ROLLOUT_RING_PROMOTED",
            "ROLLOUT_WAITING",
            "ROLLOUT_APPROVED",
            "ROLLOUT_RING_STARTED",
            "ROLLOUT_ROLLING_BACK",
            "ROLLOUT_RING_RESTORED",
            "ROLLOUT_RING_RESTORED",
            "ROLLOUT_FINISHED",
        ]
    );
    assert!(events.iter().all(|event| event["CorrelationId"] == ID), "{events:?}");
    let uids: BTreeSet<&str> = events.iter().map(|event| event["EventUid"].as_str().unwrap()).collect();
    assert_eq!(uids.len(), events.len());
    assert!(uids.iter().all(|uid| uid.as_bytes()[14] == b'7'), "{uids:?}");
    let approved = &events[4];
    assert_eq!(
        (&approved["Decision"], &approved["ApprovedBy"], &approved["Ring"]),
        (&json!("APPROVED"), &json!(BOB), &json!("1"))
    );
    assert_eq!(
        events[0]["Extra"],
        json!({"Rollout": "edge-observer", "Operator": ALICE, "Detail": "started, module 120970d81283", "ModuleSha256": crate::build::sha256(b"module")})
    );
    assert_eq!(events[9]["Extra"]["Outcome"], "rolled-back");
    assert_eq!(events[0]["Timestamp"], "2023-11-14T22:13:20.000000Z");
}

#[test]
fn splunk_gets_its_envelope_and_its_token() {
    let fake = Fake::new(|_, got| {
        let is_there = got.header("authorization") == Some("Splunk 12345678-1234-1234-1234-123456789012");
        if is_there {
            (200, r#"{"text":"Success","code":0}"#.to_owned())
        } else {
            (403, r#"{"text":"Invalid token","code":4}"#.to_owned())
        }
    });
    let sink =
        json!({"name": "soc", "secret_env": "SPLUNK", "splunk_hec": {"index": "edge", "sourcetype": "edge:rollout"}});
    assert_eq!(tell(&to_siem(&fake.url, sink), &failed().entries, LONG), none());
    let got = fake.got();
    assert_eq!(methods(&got)[0], "POST /services/collector/event");
    let first: Value = serde_json::from_str(got[0].body.lines().next().unwrap()).unwrap();
    let envelope = ["event", "host", "index", "sourcetype", "time"];
    assert_eq!(first.as_object().unwrap().keys().map(String::as_str).collect::<BTreeSet<_>>(), envelope.into());
    assert_eq!(
        (&first["host"], &first["index"], &first["event"]["EventType"]),
        (&json!("edge-observer"), &json!("edge"), &json!("ROLLOUT_STARTED"))
    );
}

#[test]
fn a_siem_that_refuses_or_fails_is_told_with_its_answer() {
    let refuses = Fake::new(|_, _| (400, "{}".to_owned()));
    let problems = tell(&to_siem(&refuses.url, json!({"json": {}})), &paused().entries, LONG);
    assert_eq!(problems, ["the SIEM did not take 3 of 3 events: refused; it answered 400 (3)"]);
    let fails = Fake::new(|_, _| (503, String::new()));
    let problems = tell(&to_siem(&fails.url, json!({"json": {}})), &paused().entries, Duration::from_secs(2));
    assert_eq!(problems, ["the SIEM did not take 3 of 3 events: abandoned; it answered 503 (3)"]);
    let recovers = Fake::new(|count, _| if count == 0 { (503, String::new()) } else { (200, String::new()) });
    assert_eq!(tell(&to_siem(&recovers.url, json!({"json": {}})), &paused().entries, LONG), none());
}

#[test]
fn what_cannot_work_is_told_before_anything_begins() {
    let error = |plan: &Plan| Announcer::with(plan, &[], &|_| None).unwrap_err().to_string();
    assert_eq!(
        error(&to_grafana("http://127.0.0.1:1")),
        "announce.grafana.token_env: the variable `GRAFANA` is not set; set it, or leave out the field"
    );
    let sink = json!({"secret_env": "SPLUNK", "splunk_hec": {}});
    assert_eq!(
        error(&to_siem("http://127.0.0.1:1", sink)),
        "announce.siem.sink.secret_env: the variable `SPLUNK` is not set; set it, or leave out the field"
    );
    let said = error(&to_siem("http://127.0.0.1:1", json!({"json": {}, "secret": "hunter2"})));
    assert!(said.starts_with("announce.siem.sink.secret: unknown field") && !said.contains("hunter2"), "{said}");
    let said = error(&to_siem("http://127.0.0.1:1", json!({})));
    assert!(said.starts_with("announce.siem.sink: give one of"), "{said}");
}

#[test]
fn with_nobody_to_tell_nothing_is_told() {
    let mut story = good();
    story.tell(0, ALICE, Event::Finished { outcome: Outcome::Refused, reason: String::new() });
    assert_eq!(tell(&plan(AnnouncePlan::default()), &story.entries, Duration::ZERO), none());
}
