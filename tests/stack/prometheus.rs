//! Prometheus' own tools on what is shipped: the scrape configuration, the rules, and the page that the proxies serve.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use edge_observer::tools::{Fetch, Tools, skip_test};
use fancy_regex::Regex;
use telemetry::metrics::METRICS;

use crate::support::proxy::{Proxy, ProxyOptions};
use crate::support::traffic;
use crate::support::upstream::Upstream;

fn promtool() -> Option<PathBuf> {
    match Tools::new(Fetch::Never).promtool() {
        Ok(tool) => Some(tool.path),
        Err(error) => {
            skip_test(&format_args!("{error}; `cargo xtask test` installs it"));
            None
        }
    }
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(root().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no .{extension} file in {folder}");
    files
}

fn succeeds(output: &Output) {
    let shown = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{shown}");
}

#[test]
fn promtool_accepts_configuration_and_rules() {
    let Some(promtool) = promtool() else { return };
    succeeds(
        &Command::new(&promtool)
            .args(["check", "config"])
            .arg(root().join("prometheus/prometheus.yml"))
            .output()
            .unwrap(),
    );
    succeeds(&Command::new(&promtool).args(["test", "rules"]).args(files("prometheus/tests", "yml")).output().unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promtool_accepts_the_page_of_both_proxies() {
    let Some(promtool) = promtool() else { return };
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

#[test]
fn rules_and_dashboards_name_only_metrics_of_the_catalogue() {
    let mut known: BTreeSet<String> = METRICS.iter().map(|metric| format!("eucora_{}", metric.suffix)).collect();
    let mut used = Vec::new();
    let name = Regex::new(r"\beucora_[a-z0-9_]+").unwrap();
    for path in files("prometheus/rules", "yml").into_iter().chain(files("grafana/dashboards", "json")) {
        let text = std::fs::read_to_string(&path).unwrap();
        // A recording rule adds a name.
        for line in text.lines() {
            if let Some(record) = line.trim_start_matches(['-', ' ']).strip_prefix("record: ") {
                known.insert(record.to_owned());
            }
        }
        for found in name.find_iter(&text) {
            let found = found.unwrap();
            // The middle of `level:metric:operation` is free.
            let inside_rule = text[..found.start()].ends_with(':') || text[found.end()..].starts_with(':');
            if !inside_rule {
                used.push((path.clone(), found.as_str().to_owned()));
            }
        }
    }
    assert!(used.len() > 10);
    for (path, name) in used {
        assert!(known.contains(&name), "{}: no metric is called {name}", path.display());
    }
}
