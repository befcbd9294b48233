//! The scrape configuration for Istio's sidecars, with a pod that is described instead of discovered: what is relabelled, and that the rules work with it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use edge_observer::envoy::{EnvoyOptions, EnvoyProxy, Upstream as To};
use edge_observer::stack::prometheus::{Prometheus, PrometheusOptions};
use edge_observer::tools::Tools;
use serde_yaml_ng::Value;

use super::backing::free;
use crate::support::proxy::{envoy_binary, module_path};
use crate::support::traffic;
use crate::support::upstream::Upstream;

const CONFIG: &str = include_str!("../../../prometheus/prometheus-istio.yml");

/// An address of its own for the pod, since the agent's port is fixed.
const POD: [u8; 4] = [127, 0, 0, 20];

/// What Kubernetes would say of the ports of two containers of a pod.
fn discovered() -> Value {
    let port = |container: &str, name: &str| {
        serde_json::json!({
            "targets": ["127.0.0.20:1"],
            "labels": {
                "__meta_kubernetes_pod_container_name": container,
                "__meta_kubernetes_pod_container_port_name": name,
                "__meta_kubernetes_pod_ip": "127.0.0.20",
                "__meta_kubernetes_pod_name": "web-5d9c-x2x8k",
                "__meta_kubernetes_namespace": "eucora",
            },
        })
    };
    let ports = [port("web", "http"), port("istio-proxy", "http-envoy-prom"), port("istio-proxy", "status-port")];
    serde_yaml_ng::to_value(ports).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sidecar_is_one_target_with_the_same_labels() {
    let Some(binary) = envoy_binary() else { return };
    let Some(prometheus) = crate::stack::tool(Tools::prometheus) else { return };
    let mut config: Value = serde_yaml_ng::from_str(CONFIG).unwrap();
    let job = &mut config["scrape_configs"][0];
    job.as_mapping_mut().unwrap().remove("kubernetes_sd_configs").unwrap();
    job["static_configs"] = discovered();
    config["global"]["scrape_interval"] = "500ms".into();
    config["global"]["evaluation_interval"] = "500ms".into();
    config["alerting"]["alertmanagers"] = Value::Sequence(Vec::new());
    let (upstream, folder) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let mut options = EnvoyOptions::new(binary, module_path());
    options.upstream = To::from(upstream.address);
    options.metrics = Some(SocketAddr::from((POD, 15020)));
    let envoy = EnvoyProxy::start(options).await.unwrap();
    traffic::http1(envoy.listen(), 200, 3).await;
    let mut options = PrometheusOptions::new(prometheus, free(), folder.path());
    options.configuration = Some(serde_yaml_ng::to_string(&config).unwrap());
    let prometheus = Prometheus::start(&options).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let expected =
        [("job", "istio-sidecars"), ("instance", "web-5d9c-x2x8k"), ("namespace", "eucora"), ("service", "eucora-api")];
    for query in [
        "up",
        "eucora_edge_build_info",
        "eucora_edge_workers:alive > 0",
        "service_instance:eucora_http_requests:sum > 0",
    ] {
        loop {
            let samples = prometheus.query(query).await.unwrap();
            if let [sample] = &samples[..] {
                for (label, value) in expected {
                    // A sum keeps fewer labels.
                    assert!(
                        sample.label(label) == value || (query.contains(':') && sample.label(label).is_empty()),
                        "{query}: {sample:?}"
                    );
                }
                break;
            }
            assert!(samples.len() < 2, "{query}: {samples:?}");
            assert!(Instant::now() < deadline, "{query}: nothing");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    let kept = prometheus.query(r#"count by (__name__) ({job="istio-sidecars"})"#).await.unwrap();
    let strange: Vec<_> = kept
        .iter()
        .map(|sample| sample.label("__name__"))
        .filter(|name| name.starts_with("envoy_cluster_up"))
        .collect();
    assert!(kept.len() > 20 && strange.is_empty(), "{} names, {strange:?}", kept.len());
}
