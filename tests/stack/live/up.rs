//! `up --stack`, as a user has it.

use edge_observer::proxy::ProxyKind;
use edge_observer::tools::Tools;
use edge_observer::up::{self, UpOptions};

use crate::stack::tool;
use crate::support::proxy::{envoy_binary, module_path};

fn options() -> UpOptions {
    UpOptions {
        proxy: ProxyKind::Envoy,
        stack: true,
        requests: Some(800),
        module: Some(module_path().to_owned()),
        latency_scale: 0.1,
        quiet: true,
        ..UpOptions::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_has_every_request_of_a_finite_run() {
    let programs = [tool(Tools::prometheus), tool(Tools::alertmanager), envoy_binary()];
    if programs.iter().any(Option::is_none) {
        return;
    }
    let accounting = up::run(options()).await.unwrap();
    assert!(accounting.is_exact(), "{:?}", accounting.problems);
    let stored = accounting.stored.as_ref().unwrap();
    assert_eq!((stored.requests, stored.firing.as_slice()), (800, &["Watchdog".to_owned()][..]), "{stored:?}");
    assert!(stored.rules > 80 && stored.series > 500, "{stored:?}");
    let shown = accounting.to_text();
    assert!(shown.contains("Prometheus: 800 requests in "), "{shown}");
    // One request that Prometheus has not is a problem.
    let mut other = stored.clone();
    other.requests -= 1;
    let other = accounting.clone().stored(other);
    assert_eq!(other.problems, ["800 requests sent, Prometheus has 799"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_namespace_is_refused_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("shop.yaml");
    std::fs::write(&config, "namespace: shop\n").unwrap();
    let message = up::run(UpOptions { config: Some(config), ..options() }).await.unwrap_err().to_string();
    assert!(message.contains("namespace `eucora`, and this configuration has `shop`"), "{message}");
}
