//! Declared metrics equal the ledger of whoever made the traffic, to the last decision: with retries, failures, 202s, and bodies of every kind.

mod day;
mod hostile;
mod kinds;
mod ledger;

use crate::support::proxy::{Proxy, ProxyOptions};
use crate::support::upstream::Upstream;
use day::Day;
use ledger::Ledger;

use edge_observer::scrape::Scrape;

/// How many requests a day has.
const REQUESTS: usize = 10_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_of_decisions_is_counted_to_the_last_one_in_the_embedded_host() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::harness(&ProxyOptions::new(upstream.address)).await;
    a_day(proxy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_of_decisions_is_counted_to_the_last_one_in_envoy() {
    let upstream = Upstream::start().await;
    let Some(proxy) = Proxy::envoy(&ProxyOptions::new(upstream.address)).await else { return };
    a_day(proxy).await;
}

async fn a_day(proxy: Proxy) {
    let mut tasks = tokio::task::JoinSet::new();
    for person in 0..4 {
        tasks.spawn(day::live(Day::new(person, REQUESTS / 4), proxy.listen()));
    }
    let mut ledger = Ledger::default();
    while let Some(part) = tasks.join_next().await {
        ledger.merge(part.unwrap());
    }
    let scrape = proxy.settled().await;
    compare(&scrape, &ledger);
    proxy.stop().await;
}

fn compare(scrape: &Scrape, ledger: &Ledger) {
    let approvals = nonzero(scrape.counts_by("eucora_cab_approvals_total", ["decision", "risk_level"]));
    assert_eq!(approvals, ledger.approvals, "eucora_cab_approvals_total");
    let operations =
        nonzero(scrape.counts_by("eucora_connector_operations_total", ["connector", "operation", "status"]));
    assert_eq!(operations, ledger.operations, "eucora_connector_operations_total");
    let bodies = nonzero(scrape.counts_by("eucora_edge_body_total", ["outcome"]));
    assert_eq!(bodies, ledger.bodies, "eucora_edge_body_total");
    let rules = scrape.counts_by("eucora_edge_rule_total", ["rule_name", "outcome"]);
    for (rule, repeated) in &ledger.repeated {
        let counted = rules.get(&[rule.clone(), "repeated".to_owned()]).copied().unwrap_or_default();
        assert_eq!(counted, *repeated, "repetitions of {rule}");
    }
    assert!(!rules.keys().any(|[_, outcome]| outcome == "forgot"), "{rules:?}");
    // Every event was made once, and went to the log.
    let events = scrape.counts_by("eucora_edge_events_total", ["sink", "state"]);
    let state = |state: &str| events.get(&["log".to_owned(), state.to_owned()]).copied().unwrap_or_default();
    assert_eq!((state("made"), state("logged"), state("delivered")), (ledger.events, ledger.events, 0));
    assert!(ledger.approvals.len() > 8 && ledger.operations.len() > 20 && ledger.bodies.len() == 6, "{ledger:?}");
    assert!(ledger.repeated.values().all(|repeated| *repeated > 20), "{ledger:?}");
}

/// Series of counters are there from the start, at 0.
fn nonzero<const N: usize>(
    counts: std::collections::BTreeMap<[String; N], u64>,
) -> std::collections::BTreeMap<[String; N], u64> {
    counts.into_iter().filter(|(_, count)| *count > 0).collect()
}
