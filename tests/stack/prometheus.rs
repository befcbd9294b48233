//! Prometheus' own tools on what is shipped: the scrape configuration, the rules, and the page that the proxies serve.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use edge_observer::client;
use edge_observer::envoy::{EnvoyOptions, EnvoyProxy, Upstream as To};
use edge_observer::stack::prometheus::RULES;
use edge_observer::tools::Tools;

use crate::support::proxy::{Proxy, ProxyOptions, envoy_binary, module_path};
use crate::support::traffic;
use crate::support::upstream::Upstream;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn succeeds(output: &Output) {
    let shown = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{shown}");
}

#[test]
fn promtool_accepts_the_configuration() {
    let Some(promtool) = super::tool(Tools::promtool) else { return };
    succeeds(
        &Command::new(&promtool)
            .args(["check", "config"])
            .arg(root().join("prometheus/prometheus.yml"))
            .output()
            .unwrap(),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promtool_accepts_the_page_of_both_proxies() {
    let Some(promtool) = super::tool(Tools::promtool) else { return };
    let upstream = Upstream::start().await;
    let options = ProxyOptions::new(upstream.address);
    let mut proxies = vec![Proxy::harness(&options).await];
    proxies.extend(Proxy::envoy(&options).await);
    for proxy in proxies {
        traffic::http1(proxy.listen(), 300, 5).await;
        proxy.settled().await;
        let page = edge_observer::client::get(proxy.admin(), "/stats/prometheus").await.unwrap();
        let ours: Vec<_> = String::from_utf8(page.body.to_vec())
            .unwrap()
            .lines()
            .filter(|line| line.contains("eucora_"))
            .map(|line| format!("{line}\n"))
            .collect();
        assert!(ours.len() > 50, "{} lines", ours.len());
        let mut child = Command::new(&promtool)
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), ours.concat().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let shown = String::from_utf8_lossy(&output.stderr).into_owned();
        // Lint exits with 3 for matters of taste: the proxies give no help texts, and buckets are counters here.
        let parse_error = output.status.code().is_none_or(|code| code != 0 && code != 3);
        assert!(!parse_error, "{shown}");
        proxy.stop().await;
    }
}

/// A file that is not in the list would be shipped and never loaded by `up --stack`.
#[test]
fn every_file_of_rules_is_in_the_list() {
    let mut files: Vec<(String, String)> = std::fs::read_dir(root().join("prometheus/rules"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(&path).unwrap()))
        .collect();
    files.sort();
    let listed: Vec<_> = RULES.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    assert_eq!(files, listed);
}

/// The API's metrics and no others under the API's path, on both addresses; the whole page on one; nothing else of the admin interface.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_apis_metrics_path_is_answered_by_the_proxy() {
    let Some(binary) = envoy_binary() else { return };
    let upstream = Upstream::start().await;
    let mut options = EnvoyOptions::new(binary, module_path());
    options.upstream = To::from(upstream.address);
    options.metrics = Some(([127, 0, 0, 1], 0).into());
    options.metrics_path = true;
    let envoy = EnvoyProxy::start(options).await.unwrap();
    traffic::http1(envoy.listen(), 100, 5).await;
    let metrics = envoy.metrics().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    for address in [metrics, envoy.listen()] {
        loop {
            let answer = client::get(address, "/api/v1/metrics/").await.unwrap();
            let page = String::from_utf8(answer.body.to_vec()).unwrap();
            let names: BTreeSet<&str> = page
                .lines()
                .filter(|line| !line.starts_with('#') && !line.is_empty())
                .map(|line| line.split(['{', ' ']).next().unwrap())
                .collect();
            assert_eq!(answer.status, 200, "{page}");
            assert!(
                names.iter().all(|name| name.starts_with("eucora_") && !name.starts_with("eucora_edge_")),
                "{names:?}"
            );
            // They are there when the filter has handed them over, for the first time after a second.
            if names.contains("eucora_http_requests_total")
                && names.contains("eucora_http_request_duration_seconds_bucket")
            {
                break;
            }
            assert!(Instant::now() < deadline, "{names:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    let whole = client::get(metrics, "/stats/prometheus").await.unwrap();
    let whole = String::from_utf8(whole.body.to_vec()).unwrap();
    for name in ["eucora_http_requests_total{", "eucora_edge_heartbeat_total{", "envoy_server_concurrency{"] {
        assert!(whole.contains(name), "{name}");
    }
    for path in [
        "/",
        "/stats",
        "/quitquitquit",
        "/config_dump",
        "/api/v1/metrics",
        "/stats/prometheus/",
        "/api/v1/metrics/../../../config_dump",
    ] {
        assert_eq!(client::get(metrics, path).await.unwrap().status, 404, "{path}");
    }
    let (status, answer) =
        traffic::raw(metrics, b"POST /stats/prometheus HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(status, Some(404), "{answer}");
}
