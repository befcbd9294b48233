//! Receivers that misbehave while events are made at a rate, and are well again afterwards.

use std::time::Duration;

use serde_json::json;

use super::fakes::{Behaviour, Kind};
use super::ledger::{Posts, all_are_somewhere, posts, undelivered};
use super::{Host, RATE, Scene, settled, wait};

/// How many events are made under each misbehaviour.
const EVENTS: usize = 100;

/// One after the other: what comes of each is settled before the next.
async fn misbehaviours(host: Host, kind: Kind) {
    let mut scene = Scene::new(kind).await;
    let Some(proxy) = host.start(&scene.options(&json!({}))).await else { return };
    let (log, target) = (proxy.log(), proxy.listen());
    let mut all = Posts::default();
    let mut before = 0;
    for (name, behaviour) in [
        ("well", Some(Behaviour::Well)),
        ("refuse", Some(Behaviour::Refuse)),
        ("hang", Some(Behaviour::Hang)),
        ("busy", Some(Behaviour::Busy)),
        ("small", Some(Behaviour::Small(3_000))),
        ("fail", Some(Behaviour::Fail)),
        ("drop", Some(Behaviour::Drop)),
        ("away", None),
    ] {
        match behaviour {
            Some(behaviour) => scene.receiver.behave(behaviour),
            None => scene.server.go_away(),
        }
        all.add(posts(target, &format!("{name}-{kind:?}"), EVENTS, RATE).await);
        if behaviour.is_none() {
            scene.server.come_back().await;
        }
        // What is too large for it stays so until the queue is empty.
        if !matches!(behaviour, Some(Behaviour::Small(_))) {
            scene.receiver.behave(Behaviour::Well);
        }
        if name == "drop" {
            scene.receiver.revoke_tokens();
        }
        let account = settled(&proxy, all.ids.len()).await;
        let logged = account.logged - before;
        before = account.logged;
        match behaviour {
            // Those of the last batches may be taken by the receiver, which is well by then.
            Some(Behaviour::Refuse) => assert!(logged > 0, "{account:?}"),
            _ => assert_eq!(logged, 0, "{name}: {account:?}"),
        }
        assert_eq!(account.faults, 0, "{name}: {account:?}");
        assert_eq!(undelivered(&log.text()).len() as u64, account.logged, "{name}: {account:?}");
    }
    let account = settled(&proxy, all.ids.len()).await;
    eprintln!("{host:?}, {kind:?}: {account:?}");
    assert!(account.again > 5, "{account:?}");
    assert!(scene.receiver.accepted().len() as u64 >= account.delivered, "{account:?}");
    all_are_somewhere(&all, &scene.receiver, &log.text());
    proxy.stop().await;
    // The end of the proxy adds nothing.
    assert_eq!(undelivered(&log.text()).len() as u64, account.logged);
}

macro_rules! misbehaviours {
    ($($name:ident: $host:ident, $kind:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            misbehaviours(Host::$host, Kind::$kind).await;
        }
    )*};
}

misbehaviours! {
    logs_ingestion_loses_nothing_in_the_embedded_host: Embedded, LogsIngestion;
    logs_ingestion_loses_nothing_in_envoy: Envoy, LogsIngestion;
    data_collector_loses_nothing_in_the_embedded_host: Embedded, DataCollector;
    data_collector_loses_nothing_in_envoy: Envoy, DataCollector;
    splunk_loses_nothing_in_the_embedded_host: Embedded, Splunk;
    splunk_loses_nothing_in_envoy: Envoy, Splunk;
    splunk_with_acknowledgement_loses_nothing_in_envoy: Envoy, SplunkAck;
    json_loses_nothing_in_the_embedded_host: Embedded, Json;
    json_loses_nothing_in_envoy: Envoy, Json;
}

/// A queue that is full goes over into the log, and no request waits for a receiver that never answers.
async fn a_sink_that_hangs(host: Host) {
    let scene = Scene::new(Kind::Json).await;
    let changes = json!({ "limits": { "queue_events": 20, "timeout_ms": 60_000 } });
    let Some(proxy) = host.start(&scene.options(&changes)).await else { return };
    let (log, target) = (proxy.log(), proxy.listen());
    let well = posts(target, "sink-is-well", 300, RATE).await;
    settled(&proxy, well.ids.len()).await;
    scene.receiver.behave(Behaviour::Hang);
    let hanging = posts(target, "sink-hangs", 300, RATE).await;
    let (medians, all) = ((well.median(), hanging.median()), well.ids.len() + hanging.ids.len());
    let (_, account) = wait(&proxy, |account| account.made == all as u64).await;
    eprintln!(
        "{host:?}: median of {:?} with a sink that is well, {:?} with one that hangs: {account:?}",
        medians.0, medians.1
    );
    assert!((1..=40).contains(&account.queued), "{account:?}");
    assert_eq!(account.made, account.delivered + account.logged + account.queued, "{account:?}");
    assert_eq!(account.reasons.get("queue_full"), Some(&account.logged), "{account:?}");
    // A request that waited would wait for ever. That most take about as long as before is said with much room for a busy machine.
    assert!(medians.1 < medians.0 * 3 + Duration::from_millis(20), "{medians:?}");
    let mut both = well;
    both.add(hanging);
    proxy.stop().await;
    all_are_somewhere(&both, &scene.receiver, &log.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_waits_for_a_sink_in_the_embedded_host() {
    a_sink_that_hangs(Host::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_waits_for_a_sink_in_envoy() {
    a_sink_that_hangs(Host::Envoy).await;
}

/// How long a receiver is away, in seconds: `EDGE_OBSERVER_OUTAGE_SECONDS=60` is the full length.
fn outage() -> usize {
    std::env::var("EDGE_OBSERVER_OUTAGE_SECONDS").map_or(2, |seconds| seconds.parse().unwrap())
}

/// What fits into the queues waits for the receiver to come back, and the rest is in the log.
async fn an_outage(host: Host) {
    let mut scene = Scene::new(Kind::LogsIngestion).await;
    let changes = json!({ "limits": { "queue_events": 100, "backoff_cap_ms": 2_000 } });
    let Some(proxy) = host.start(&scene.options(&changes)).await else { return };
    let log = proxy.log();
    scene.server.go_away();
    let all = posts(proxy.listen(), "outage", outage() * RATE as usize, RATE).await;
    scene.server.come_back().await;
    let account = settled(&proxy, all.ids.len()).await;
    eprintln!("{host:?}, {} s: {account:?}", outage());
    // Two workers, each with a queue.
    assert!((100..=300).contains(&account.delivered), "{account:?}");
    assert_eq!(account.made, account.delivered + account.logged, "{account:?}");
    assert_eq!(account.logged, account.reasons.get("queue_full").copied().unwrap_or_default(), "{account:?}");
    assert_eq!(account.faults, 0, "{account:?}");
    proxy.stop().await;
    all_are_somewhere(&all, &scene.receiver, &log.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_loses_nothing_in_the_embedded_host() {
    an_outage(Host::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_loses_nothing_in_envoy() {
    an_outage(Host::Envoy).await;
}
