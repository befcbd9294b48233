//! Bad configuration never takes over; good configuration takes over under load without a failed request or a lost count.

use std::time::Duration;

use edge_observer::envoy::{self, Delivery, EnvoyOptions, EnvoyProxy};
use edge_observer::scrape;
use host_harness::Metric;

use crate::support::counters;
use crate::support::proxy::{
    Proxy, ProxyOptions, envoy_binary, filter_counts, filter_total, fold, module, module_path, proxy_total,
};
use crate::support::traffic::{self, Ledger};
use crate::support::upstream::Upstream;

/// Two mistakes of different kinds, and what must be said of both.
const BAD: &str = r#"{"correlation": {"header": "x correlation id"}, "routes": {"table": [
    {"template": "/users/{id}"}, {"template": "/users/{name}"}]}}"#;
const BAD_SAYS: [&str; 4] = [
    "correlation.header",
    "is not a header name",
    "routes.table[1].template",
    "conflicts with routes.table[0].template",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envoy_refuses_bad_configuration_at_start_with_our_messages() {
    let Some(binary) = envoy_binary() else { return };
    let mut options = EnvoyOptions::new(binary, module_path());
    options.configuration = BAD.to_owned();
    for delivery in [Delivery::Static, Delivery::Watched] {
        options.delivery = delivery;
        let error = EnvoyProxy::start(options.clone()).await.expect_err("a bad configuration was taken");
        says_everything(&error);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envoy_validates_the_shipped_configuration_and_refuses_a_bad_one() {
    let Some(binary) = envoy_binary() else { return };
    let mut options = EnvoyOptions::new(binary, module_path());
    for delivery in [Delivery::Static, Delivery::Watched] {
        options.delivery = delivery;
        envoy::validate(&options).await.unwrap();
    }
    options.delivery = Delivery::Static;
    options.configuration = BAD.to_owned();
    says_everything(&envoy::validate(&options).await.expect_err("`envoy --mode validate` took a bad configuration"));
}

fn says_everything(error: &dyn std::error::Error) {
    let text = error.to_string();
    for says in BAD_SAYS {
        assert!(text.contains(says), "`{says}` is not in: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_version_by_ecds_leaves_the_old_one_in_force() {
    let upstream = Upstream::start().await;
    let Some(mut proxy) = Proxy::envoy(&ProxyOptions::new(upstream.address)).await else { return };
    let target = proxy.listen();
    traffic::http1(target, 200, 1).await;
    let Proxy::Envoy(envoy) = &mut proxy else { unreachable!() };
    let before = envoy.ecds_stats().await.unwrap();

    let refused = envoy.update_config(BAD).await;
    let error = refused.expect_err("a bad version was taken");
    says_everything(&error);
    let after = envoy.ecds_stats().await.unwrap();
    assert!(
        after.config_fail + after.update_rejected > before.config_fail + before.update_rejected,
        "{before:?} {after:?}"
    );

    let ledger = traffic::http1(target, 200, 2).await;
    assert_eq!(ledger.total(), 200);
    let scrape = proxy.settled().await;
    assert_eq!(filter_total(&scrape), 400);
    assert_eq!(builds(&scrape).len(), 1, "one build is in force");
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn good_versions_by_ecds_swap_under_load_without_loss() {
    let upstream = Upstream::start().await;
    let Some(mut proxy) = Proxy::envoy(&ProxyOptions::new(upstream.address)).await else { return };
    let target = proxy.listen();
    let Proxy::Envoy(envoy) = &mut proxy else { unreachable!() };
    let mut load = tokio::task::JoinSet::new();
    for seed in 0..4 {
        load.spawn(traffic::http1(target, 8_000, seed));
        load.spawn(traffic::http2(target, 4_000, seed + 100));
    }
    let profile: serde_json::Value = serde_json::from_str(&envoy::profile_json()).unwrap();
    let mut swaps = 0;
    let mut ledger = Ledger::default();
    while !load.is_empty() {
        let mut next = profile.clone();
        swaps += 1;
        next["ring"] = (swaps % 5).to_string().into();
        envoy.update_config(&next.to_string()).await.unwrap();
        while let Some(part) = load.try_join_next() {
            ledger.merge(&part.unwrap());
        }
    }
    assert!(swaps >= 3, "{swaps} swaps under load");
    assert_eq!(ledger.total(), 48_000);

    let scrape = proxy.settled().await;
    assert_eq!(proxy_total(&scrape), 48_000);
    assert_eq!(filter_counts(&scrape), ledger.streams, "after {swaps} swaps");
    let outcomes = scrape.counts_by("eucora_edge_correlation_total", ["outcome"]);
    assert_eq!(outcomes.values().sum::<u64>(), 48_000);

    // Only the last build stands at 1.
    let last = (swaps % 5).to_string();
    let waited =
        scrape::wait_until(proxy.admin(), Duration::from_secs(10), |s| builds(s) == [last.clone()]).await.unwrap();
    assert!(waited.in_time, "builds at 1: {:?}, the last ring is {last}", builds(&waited.scrape));
    proxy.stop().await;
}

/// The rings of the builds that are in force.
fn builds(scrape: &scrape::Scrape) -> Vec<String> {
    scrape
        .metric("eucora_edge_build_info")
        .filter(|sample| sample.value == 1.0)
        .map(|sample| sample.label("ring").unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_host_refuses_bad_configuration_at_start_with_our_messages() {
    let plugin = host_harness::PluginConfig {
        root_id: "edge_observer".into(),
        configuration: BAD.into(),
        ..host_harness::PluginConfig::default()
    };
    let upstream = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
    let serve = host_harness::serve::ServeOptions::new(module(), plugin, upstream.into());
    says_everything(&host_harness::serve::start(serve).await.expect_err("a bad configuration was taken"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_in_the_middle_loses_no_count() {
    // The last counts are handed over when the root context ends, so the proxy's own log of stats at its end has them.
    let upstream = Upstream::start().await;
    let proxy = Proxy::harness(&ProxyOptions::new(upstream.address)).await;
    let Proxy::Harness { server, .. } = &proxy else { unreachable!() };
    let shared = server.shared().clone();
    let ledger = traffic::http1(proxy.listen(), 500, 3).await;
    proxy.stop().await;
    let mut by_status = std::collections::BTreeMap::new();
    for (stat, metric) in shared.stats().snapshot() {
        let (name, labels) = counters::parse(&stat);
        if let ("wasmcustom.eucora_http_requests_total", Metric::Counter(counter)) = (name.as_str(), metric) {
            *by_status.entry(labels["status"].parse::<u16>().unwrap()).or_default() += counter.value();
        }
    }
    assert_eq!(by_status, fold(&ledger.streams, |(_, status)| *status));
}
