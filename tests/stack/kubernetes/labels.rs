//! The series of the operator's targets have the labels that the rules ask for, in a real Prometheus.
//!
//! The operator writes a scrape configuration from each monitor: rules of its own that set labels from what Kubernetes says of a target, and then
//! the monitor's. That is done here as it does it, with targets on loopback of which the same is said.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::time::{Duration, Instant};

use edge_observer::stack::Program;
use edge_observer::tools::Tools;
use serde_json::{Value as Json, json};
use serde_yaml_ng::Value;

use super::{documents, folder};

const PAGE: &str = r#"eucora_http_requests_total{method="GET",endpoint="/api/v1/health/",status="200"} 5
eucora_edge_heartbeat_total{worker="0"} 7
envoy_server_live{} 1
istio_requests_total{} 3
pg_up{} 1
"#;

/// Serves the page at every path until the process ends.
fn pages() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{PAGE}",
                PAGE.len()
            );
        }
    });
    address
}

/// A monitor's rule of relabelling in Prometheus' spelling.
fn rule(relabeling: &Value) -> Json {
    let names = [
        ("sourceLabels", "source_labels"),
        ("targetLabel", "target_label"),
        ("regex", "regex"),
        ("replacement", "replacement"),
        ("action", "action"),
    ];
    let mut rule = serde_json::Map::new();
    for (name, value) in relabeling.as_mapping().unwrap() {
        let (_, spelt) = names.iter().find(|(theirs, _)| name == theirs).unwrap_or_else(|| panic!("{name:?}"));
        rule.insert((*spelt).to_owned(), serde_json::to_value(value).unwrap());
    }
    rule.into()
}

fn rules(endpoint: &Value, field: &str) -> Vec<Json> {
    endpoint.get(field).and_then(Value::as_sequence).into_iter().flatten().map(rule).collect()
}

/// What the operator makes of an endpoint of a monitor, and what Kubernetes would say of a target of it.
fn scrape(monitor: &Value, number: usize, target: SocketAddr, keep_operators_labels: bool) -> Json {
    let name = monitor["metadata"]["name"].as_str().unwrap();
    let pods = monitor["kind"] == "PodMonitor";
    let endpoint = &monitor["spec"][if pods { "podMetricsEndpoints" } else { "endpoints" }][number];
    let port = endpoint["port"].as_str().unwrap();
    let app = monitor["spec"]["selector"]["matchLabels"]["app"].as_str().unwrap();
    let from = |source: &str, label: &str| json!({ "source_labels": [source], "target_label": label });
    let (object, port_name) = if pods {
        ("__meta_kubernetes_pod", "__meta_kubernetes_pod_container_port_name")
    } else {
        ("__meta_kubernetes_service", "__meta_kubernetes_endpoint_port_name")
    };
    let mut relabel = vec![
        json!({ "source_labels": [format!("{object}_label_app"), format!("{object}_labelpresent_app")],
                "regex": format!("({app});true"), "action": "keep" }),
        json!({ "source_labels": [port_name], "regex": port, "action": "keep" }),
        from("__meta_kubernetes_namespace", "namespace"),
        from("__meta_kubernetes_pod_container_name", "container"),
        from("__meta_kubernetes_pod_name", "pod"),
    ];
    if pods {
        relabel.push(json!({ "target_label": "job", "replacement": format!("eucora/{name}") }));
    } else {
        relabel.push(from("__meta_kubernetes_service_name", "service"));
        relabel.push(from("__meta_kubernetes_service_name", "job"));
    }
    relabel.push(json!({ "target_label": "endpoint", "replacement": port }));
    let ours = rules(endpoint, "relabelings");
    relabel.extend(ours.into_iter().filter(|rule| !keep_operators_labels || rule["action"] != "labeldrop"));
    let labels = json!({
        format!("{object}_label_app"): app,
        format!("{object}_labelpresent_app"): "true",
        port_name: port,
        "__meta_kubernetes_namespace": "eucora",
        "__meta_kubernetes_service_name": "a-kubernetes-service",
        "__meta_kubernetes_pod_name": "api-7d4b9c-x2x5z",
        "__meta_kubernetes_pod_container_name": "istio-proxy",
    });
    json!({
        "job_name": format!("{name}/{number}"),
        "scrape_interval": "1s",
        "metrics_path": endpoint.get("path").and_then(Value::as_str).unwrap_or("/metrics"),
        "relabel_configs": relabel,
        "metric_relabel_configs": rules(endpoint, "metricRelabelings"),
        "static_configs": [{ "targets": [target.to_string()], "labels": labels }],
    })
}

/// What a real Prometheus has after scraping with these, by name: the labels of each series.
async fn scraped(scrapes: &[Json]) -> Option<BTreeMap<String, Vec<BTreeMap<String, String>>>> {
    let prometheus = crate::stack::tool(Tools::prometheus)?;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("prometheus.yml");
    std::fs::write(&config, json!({ "scrape_configs": scrapes }).to_string()).unwrap();
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let mut command = Command::new(prometheus);
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
        .arg(format!("--web.listen-address={address}"));
    let mut program = Program::start("prometheus", &command, &folder.path().join("log")).unwrap();
    let get = async |path: &str| {
        let answer = edge_observer::client::get(address, path).await.ok()?;
        (answer.status == 200).then(|| serde_json::from_slice::<Json>(&answer.body).unwrap_or_default())
    };
    program.until(Duration::from_secs(60), async || get("/-/ready").await.is_some()).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        // Not the series that Prometheus makes of a scrape.
        let found =
            get("/api/v1/query?query=%7B__name__%3D~%22eucora_.%2B%7Cenvoy_.%2B%7Cistio_.%2B%7Cpg_.%2B%7Cup%22%7D")
                .await
                .unwrap();
        let mut all = BTreeMap::<_, Vec<_>>::new();
        for series in found["data"]["result"].as_array().unwrap() {
            let labels: BTreeMap<String, String> = serde_json::from_value(series["metric"].clone()).unwrap();
            all.entry(labels["__name__"].clone()).or_default().push(labels);
        }
        // All targets have been scraped, and what they gave is there.
        if all.get("up").is_some_and(|up| up.len() == scrapes.len()) && all.len() > 1 {
            program.stop().await.unwrap();
            return Some(all);
        }
        assert!(Instant::now() < deadline, "{found}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The endpoints of a file's monitors.
fn scrapes(file: &str, target: SocketAddr) -> Vec<Json> {
    let mut scrapes = Vec::new();
    for monitor in documents(file) {
        let spec = &monitor["spec"];
        let endpoints =
            spec.get("endpoints").or_else(|| spec.get("podMetricsEndpoints")).unwrap().as_sequence().unwrap().len();
        scrapes.extend((0..endpoints).map(|number| scrape(&monitor, number, target, false)));
    }
    scrapes
}

fn has(series: &BTreeMap<String, String>, labels: &[(&str, &str)]) {
    for (label, value) in labels {
        assert_eq!(series.get(*label).map_or("", String::as_str), *value, "{label} of {series:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_envoy_and_for_the_exporters_they_are_those_of_the_shipped_jobs() {
    let target = pages();
    let mut all = scrapes("servicemonitor-edge.yaml", target);
    all.extend(scrapes("servicemonitor-exporters.yaml", target));
    let Some(found) = scraped(&all).await else { return };
    let mut jobs: Vec<_> = found["up"].iter().map(|up| up["job"].as_str()).collect();
    jobs.sort_unstable();
    assert_eq!(jobs, ["celery", "control-plane", "edge", "postgres", "redis"]);
    let common = [("service", "eucora-api"), ("instance", "127.0.0.1"), ("namespace", "eucora"), ("container", "")];
    for series in found.values().flatten() {
        has(series, &common);
        has(series, &[("exported_endpoint", ""), ("exported_service", ""), ("exported_instance", "")]);
    }
    let of = |name: &str, job: &str| -> Vec<_> { found[name].iter().filter(|series| series["job"] == job).collect() };
    let [requests] = of("eucora_http_requests_total", "control-plane")[..] else { panic!("{found:#?}") };
    has(requests, &[("endpoint", "/api/v1/health/"), ("method", "GET"), ("status", "200")]);
    for (name, control_plane, edge) in
        [("eucora_http_requests_total", 1, 0), ("eucora_edge_heartbeat_total", 0, 1), ("envoy_server_live", 0, 1)]
    {
        assert_eq!((of(name, "control-plane").len(), of(name, "edge").len()), (control_plane, edge), "{name}");
    }
    has(of("pg_up", "postgres")[0], &[("endpoint", "")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_istio_they_are_those_of_the_shipped_job() {
    let Some(found) = scraped(&scrapes("podmonitor-istio.yaml", pages())).await else { return };
    for series in found.values().flatten() {
        has(
            series,
            &[
                ("job", "istio-sidecars"),
                ("service", "eucora-api"),
                ("instance", "api-7d4b9c-x2x5z"),
                ("container", ""),
            ],
        );
    }
    has(&found["eucora_http_requests_total"][0], &[("endpoint", "/api/v1/health/")]);
    assert!(found.contains_key("envoy_server_live") && found.contains_key("eucora_edge_heartbeat_total"));
    assert!(!found.contains_key("istio_requests_total"), "{found:#?}");
}

/// What the monitors' rules are there for, and a proof that the operator is imitated well enough to see it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_our_rules_the_operators_label_takes_the_place_of_the_route() {
    let monitor = &documents("podmonitor-istio.yaml")[0];
    let Some(found) = scraped(&[scrape(monitor, 0, pages(), true)]).await else { return };
    let requests = &found["eucora_http_requests_total"][0];
    has(requests, &[("endpoint", "http-envoy-prom"), ("exported_endpoint", "/api/v1/health/")]);
}

#[test]
fn monitors_ask_for_the_same_pages_as_the_shipped_jobs() {
    let jobs = |file: &str| {
        let text = std::fs::read_to_string(folder().join("..").join(file)).unwrap();
        let file: Value = serde_yaml_ng::from_str(&text).unwrap();
        let jobs = file["scrape_configs"].as_sequence().unwrap().clone();
        let name = |job: &Value| job["job_name"].as_str().unwrap().to_owned();
        jobs.into_iter().map(|job| (name(&job), job)).collect::<BTreeMap<_, _>>()
    };
    let mut shipped = jobs("prometheus.yml");
    shipped.extend(jobs("prometheus-istio.yml"));
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let mut asked = Vec::new();
    for file in ["servicemonitor-edge.yaml", "servicemonitor-exporters.yaml", "podmonitor-istio.yaml"] {
        for scrape in scrapes(file, any) {
            let relabel = scrape["relabel_configs"].as_array().unwrap();
            let name =
                relabel.iter().rfind(|rule| rule["target_label"] == "job").unwrap()["replacement"].as_str().unwrap();
            let job = &shipped[name];
            assert_eq!(
                scrape["metrics_path"],
                job.get("metrics_path").and_then(Value::as_str).unwrap_or("/metrics"),
                "{name}"
            );
            let of_job =
                job.get("metric_relabel_configs").map_or(json!([]), |rules| serde_json::to_value(rules).unwrap());
            assert_eq!(scrape["metric_relabel_configs"], of_job, "{name}");
            asked.push(name.to_owned());
        }
    }
    // Prometheus and Alertmanager have monitors where the operator runs them, and of containers the kubelet tells what they take.
    let rest: Vec<_> = shipped.into_keys().filter(|name| !asked.contains(name)).collect();
    assert_eq!(rest, ["alertmanager", "process", "prometheus"]);
}
