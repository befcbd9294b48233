//! Scraped as text and as protobuf, the results are the same.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use edge_observer::envoy::{EnvoyOptions, EnvoyProxy, Upstream as To};
use edge_observer::stack::prometheus::{Prometheus, PrometheusOptions, Sample};
use edge_observer::tools::Tools;

use super::backing::free;
use crate::support::proxy::{envoy_binary, module_path};
use crate::support::traffic;
use crate::support::upstream::Upstream;

/// Each series with its value. Bounds of Envoy's own histogram are another text in protobuf, `10.0` for `10`, which is one of the reasons for buckets
/// that are counters: those keep the text that the filter wrote.
fn by_series(samples: Vec<Sample>) -> BTreeMap<String, f64> {
    let own = |sample: &Sample| sample.label("__name__") == "eucora_http_request_duration_milliseconds_bucket";
    let series = samples.into_iter().map(|mut sample| {
        if own(&sample) {
            let bound: f64 = sample.label("le").parse().unwrap();
            sample.labels.insert("le".to_owned(), bound.to_string());
        }
        (format!("{:?}", sample.labels), sample.value())
    });
    series.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_and_protobuf_give_the_same_series() {
    let Some(binary) = envoy_binary() else { return };
    let Some(prometheus) = crate::stack::tool(Tools::prometheus) else { return };
    let (upstream, folder) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let mut options = EnvoyOptions::new(binary, module_path());
    let mut configuration: serde_json::Value = serde_json::from_str(&options.configuration).unwrap();
    // Envoy's own histogram too: it is what becomes another thing in protobuf.
    configuration["metrics"]["histogram"] = true.into();
    configuration["polls"] = serde_json::json!([]);
    options.configuration = configuration.to_string();
    options.upstream = To::from(upstream.address);
    options.metrics = Some(([127, 0, 0, 1], 0).into());
    let envoy = EnvoyProxy::start(options).await.unwrap();
    let sent = 600;
    traffic::http1(envoy.listen(), sent, 5).await;

    let mut running = Vec::new();
    for (name, features) in [("text", vec![]), ("protobuf", vec!["native-histograms".to_owned()])] {
        let mut options = PrometheusOptions::new(&prometheus, free(), folder.path().join(name));
        options.interval = Some(Duration::from_secs(1));
        let metrics = vec![envoy.metrics().unwrap().to_string()];
        options.targets = ["control-plane", "edge"].map(|job| (job.to_owned(), metrics.clone())).into_iter().collect();
        options.features = features;
        running.push(Prometheus::start(&options).await.unwrap());
    }
    let [text, protobuf] = &running[..] else { unreachable!() };
    for prometheus in [text, protobuf] {
        let deadline = Instant::now() + Duration::from_secs(60);
        while prometheus.query("eucora_http_requests_total").await.unwrap().is_empty() {
            assert!(Instant::now() < deadline, "nothing was scraped");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    // Some more while both watch, so that there are rates.
    traffic::http1(envoy.listen(), sent, 6).await;

    // What moves by itself is left out: ticks, and how old things are.
    let ours = r#"{__name__=~"eucora_.+",__name__!~"eucora_edge_heartbeat_total|.+_seconds|.*:.*"}"#;
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let total = |samples: Vec<Sample>| samples.first().map_or(0.0, Sample::value);
        let sum = "sum(eucora_http_requests_total)";
        let [a, b] = [total(text.query(sum).await.unwrap()), total(protobuf.query(sum).await.unwrap())];
        // The requests of one run of the traffic's ledger, not rounded by anybody.
        if a == b && a >= 2.0 * sent as f64 {
            break;
        }
        assert!(Instant::now() < deadline, "as text {a}, as protobuf {b} of {sent} requests");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // One more scrape of each, when all is still.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let [as_text, as_protobuf] =
        [by_series(text.query(ours).await.unwrap()), by_series(protobuf.query(ours).await.unwrap())];
    assert!(as_text.len() > 200, "{} series", as_text.len());
    for (series, value) in &as_text {
        assert_eq!(as_protobuf.get(series), Some(value), "{series}");
    }
    assert_eq!(as_text.len(), as_protobuf.len());

    // The rules, of one and the same time: ratios and quantiles over the same counters.
    for rule in [
        "service_endpoint:eucora_http_request_duration_seconds:p95_5m",
        "service:eucora_http_requests_errors:ratio_rate5m",
    ] {
        let count = |samples: &[Sample]| samples.len();
        let [a, b] = [text.query(rule).await.unwrap(), protobuf.query(rule).await.unwrap()];
        assert!(count(&a) > 0, "{rule}");
        assert_eq!(count(&a), count(&b), "{rule}");
    }
    // The bounds are the texts that the filter wrote, in both.
    let bounds = "count by (le) (eucora_http_request_duration_seconds_bucket)";
    let labels = |samples: Vec<Sample>| -> Vec<String> { samples.iter().map(|s| s.label("le").to_owned()).collect() };
    let (mut a, mut b) = (labels(text.query(bounds).await.unwrap()), labels(protobuf.query(bounds).await.unwrap()));
    a.sort();
    b.sort();
    assert_eq!(a, b);
    assert!(a.contains(&"1.0".to_owned()) && a.contains(&"+Inf".to_owned()), "{a:?}");
}
