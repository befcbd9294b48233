//! Real Envoy with a small module of our own, so that what fails here is the running of Envoy and not the filter.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::super::*;
use crate::tools::{self, Fetch, Tools};

/// Counts every request under the name that is its configuration, and refuses a configuration that begins with `X`.
const MODULE: &str = r#"(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_buffer_bytes" (func $get_buffer (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_property" (func $set_property (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_define_metric" (func $define_metric (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_increment_metric" (func $increment (param i32 i64) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 1024) "ring: `a b` has a space")
  (data (i32.const 2048) "eucora.outcome")
  (data (i32.const 2100) "0192\22 4711")
  (global $metric (mut i32) (i32.const 0))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "_initialize"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) i32.const 65536)
  (func (export "proxy_on_context_create") (param i32 i32))
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (drop (call $get_buffer (i32.const 7) (i32.const 0) (local.get 1) (i32.const 512) (i32.const 516)))
    (if (i32.eq (i32.load8_u (i32.const 65536)) (i32.const 88))
      (then
        (drop (call $log (i32.const 4) (i32.const 1024) (i32.const 23)))
        (return (i32.const 0))))
    (drop (call $define_metric (i32.const 0) (i32.load (i32.const 512)) (i32.load (i32.const 516)) (i32.const 520)))
    (global.set $metric (i32.load (i32.const 520)))
    i32.const 1)
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (drop (call $set_property (i32.const 2048) (i32.const 14) (i32.const 2100) (i32.const 10)))
    (drop (call $increment (global.get $metric) (i64.const 1)))
    i32.const 0))"#;

/// One label of each name in the catalogue, with the dots and signs that templates and bounds have.
const STAT: &str = "eucora_x_total.method=.=GET;.;endpoint=.=/v1.0/{base}...{head};.;status=.=200;.;le=.=+Inf;.;version=.=0.1.0;.;\
                    config=.=0123456789ab;.;ring=.=1;.;worker=.=2;.;outcome=.=kept;.;reason=.=trusted;.;hostcall=.=proxy_log;.;";

struct Bench {
    options: EnvoyOptions,
    folder: tempfile::TempDir,
}

/// None, with the reason printed, when there is no Envoy here and none is required.
fn bench() -> Option<Bench> {
    let envoy = match Tools::new(Fetch::Never).envoy() {
        Ok(envoy) => envoy,
        Err(error) => {
            tools::skip_test(&error);
            return None;
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let module = folder.path().join("counter.wasm");
    fs::write(&module, wat::parse_str(MODULE).unwrap()).unwrap();
    let mut options = EnvoyOptions::new(envoy.path, module);
    options.configuration = STAT.into();
    Some(Bench { options, folder })
}

/// Answers every request on every connection with 200.
async fn upstream() -> SocketAddr {
    serve(TcpListener::bind("127.0.0.1:0").await.unwrap())
}

fn serve(listener: TcpListener) -> SocketAddr {
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut seen = Vec::new();
                while stream.read_buf(&mut seen).await.is_ok_and(|n| n > 0) {
                    while let Some(end) = seen.windows(4).position(|window| window == b"\r\n\r\n") {
                        seen.drain(..end + 4);
                        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
                    }
                }
            });
        }
    });
    address
}

async fn get(proxy: &EnvoyProxy, path: &str) -> http::StatusCode {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    client.get(format!("http://{}{path}", proxy.listen()).parse().unwrap()).await.unwrap().status()
}

fn alive(pid: u32) -> bool {
    std::process::Command::new("/bin/sh")
        .args(["-c", &format!("kill -0 {pid} 2>/dev/null")])
        .status()
        .unwrap()
        .success()
}

async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 10s: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_files_are_valid_and_a_refused_configuration_is_not() {
    let Some(Bench { mut options, folder: _folder }) = bench() else { return };
    validate(&options).await.unwrap();
    options.configuration = "X".into();
    let error = validate(&options).await.unwrap_err();
    assert_eq!(error.messages()[0], "ring: `a b` has a space", "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clusters_of_sinks_are_valid() {
    let Some(Bench { options, folder }) = bench() else { return };
    let rendered = render(&options, folder.path(), 1).unwrap();
    let mut bootstrap: serde_yaml_ng::Value = serde_yaml_ng::from_str(&rendered.bootstrap).unwrap();
    let sinks: serde_yaml_ng::Value = serde_yaml_ng::from_str(include_str!("../../../../envoy/sinks.yaml")).unwrap();
    let clusters = bootstrap["static_resources"]["clusters"].as_sequence_mut().unwrap();
    clusters.extend(sinks["clusters"].as_sequence().unwrap().iter().cloned());
    assert_eq!(clusters.len(), 4);
    fs::create_dir(folder.path().join("ecds")).unwrap();
    fs::write(folder.path().join("ecds/edge-observer.yaml"), rendered.ecds).unwrap();
    let file = folder.path().join("with-sinks.yaml");
    fs::write(&file, serde_yaml_ng::to_string(&bootstrap).unwrap()).unwrap();
    process::validate_file(&options.binary, &file).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_serves_with_the_filter_and_leaves_complete_logs() {
    let Some(Bench { mut options, folder }) = bench() else { return };
    options.upstream = upstream().await.into();
    options.folder = Some(folder.path().join("run"));
    let mut proxy = EnvoyProxy::start(options).await.unwrap();
    let pid = proxy.pid().unwrap();
    for _ in 0..5 {
        assert_eq!(get(&proxy, "/v1.0/a...b?token=secret").await, 200);
    }

    let metrics = proxy.admin_get("/stats/prometheus?usedonly").await.unwrap();
    let expected = r#"eucora_x_total{method="GET",endpoint="/v1.0/{base}...{head}",status="200",le="+Inf",version="0.1.0",config="0123456789ab",ring="1",worker="2",outcome="kept",reason="trusted",hostcall="proxy_log"} 5"#;
    let found = metrics.lines().find(|line| line.starts_with("eucora_x_total")).unwrap();
    let labels = |line: &str| -> Vec<String> {
        let inside = line.split_once('{').unwrap().1.rsplit_once('}').unwrap().0;
        let mut labels: Vec<String> = inside.split("\",").map(|label| label.trim_end_matches('"').to_owned()).collect();
        labels.sort();
        labels
    };
    assert_eq!(labels(found), labels(expected));
    assert!(found.ends_with("} 5"), "{found}");
    assert_eq!(proxy.stat("http.ingress.downstream_rq_total").await.unwrap(), Some(5));
    assert_eq!(proxy.stat(&format!("wasmcustom.{}", STAT.trim_end_matches('.'))).await.unwrap(), Some(5));

    proxy.stop(Duration::from_secs(5)).await.unwrap();
    assert!(!alive(pid));
    let log = fs::read_to_string(proxy.access_log().unwrap()).unwrap();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 5);
    for line in lines {
        assert_eq!(line["outcome"], "0192\" 4711");
        // Of the request's header, which nobody has set.
        assert_eq!(line["correlation_id"], "-");
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["endpoint"], serde_json::Value::Null);
        assert_eq!((line["method"].as_str(), line["path"].as_str()), (Some("GET"), Some("/v1.0/a...b")));
        assert_eq!((line["status"].as_u64(), line["bytes_sent"].as_u64()), (Some(200), Some(2)));
        assert_eq!(line["protocol"], "HTTP/1.1");
        let (us, ms) = (line["duration_us"].as_u64().unwrap(), line["duration_ms"].as_u64().unwrap());
        assert!(us / 1000 <= ms + 1 && ms <= us / 1000 + 1, "{line}");
        let timestamp = line["timestamp"].as_str().unwrap();
        assert!(timestamp.len() == 24 && timestamp.ends_with('Z'), "{timestamp}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_configuration_at_start_is_an_error_with_the_filters_message() {
    let Some(Bench { mut options, folder: _folder }) = bench() else { return };
    options.configuration = "X".into();
    let error = EnvoyProxy::start(options.clone()).await.unwrap_err();
    assert!(matches!(error, EnvoyError::Refused { .. }), "{error}");
    assert_eq!(error.messages()[0], "ring: `a b` has a space");

    options.delivery = Delivery::Static;
    let error = EnvoyProxy::start(options.clone()).await.unwrap_err();
    assert!(matches!(error, EnvoyError::Ended { .. }), "{error}");
    assert_eq!(error.messages()[0], "ring: `a b` has a space");

    // Left to itself, Envoy with the shipped bootstrap lets traffic through.
    options.delivery = Delivery::Watched;
    options.keep_refused = true;
    options.upstream = upstream().await.into();
    let proxy = EnvoyProxy::start(options).await.unwrap();
    assert_eq!(get(&proxy, "/").await, 200);
    assert_eq!(proxy.ecds_stats().await.unwrap().update_rejected, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_is_swapped_and_a_bad_one_leaves_it_in_place() {
    let Some(Bench { mut options, folder: _folder }) = bench() else { return };
    options.upstream = upstream().await.into();
    options.configuration = "first".into();
    let mut proxy = EnvoyProxy::start(options).await.unwrap();
    assert_eq!(get(&proxy, "/").await, 200);

    proxy.update_config("second").await.unwrap();
    let error = proxy.update_config("X").await.unwrap_err();
    assert!(matches!(error, EnvoyError::Refused { .. }), "{error}");
    assert_eq!(error.messages()[0], "ring: `a b` has a space");
    for _ in 0..3 {
        assert_eq!(get(&proxy, "/").await, 200);
    }
    assert_eq!(proxy.stat("wasmcustom.first").await.unwrap(), Some(1));
    assert_eq!(proxy.stat("wasmcustom.second").await.unwrap(), Some(3));

    // The same one again is taken too: what is refused is the content and not the file.
    proxy.update_config("third").await.unwrap();
    let error = proxy.update_module(&PathBuf::from("/no/such/module.wasm")).await.unwrap_err();
    assert!(error.to_string().contains("/no/such/module.wasm"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_listens_on_ipv6_alone_is_reached_by_name() {
    let Some(Bench { mut options, folder: _folder }) = bench() else { return };
    let Ok(listener) = TcpListener::bind("[::1]:0").await else {
        // Not a tool that could be installed.
        return;
    };
    let address = serve(listener);
    let names = tokio::net::lookup_host("localhost:1").await.unwrap().any(|found| found.is_ipv6());
    for host in ["localhost", "::1"].into_iter().filter(|host| names || *host != "localhost") {
        options.upstream = Upstream { host: host.into(), port: address.port(), http2: false };
        let proxy = EnvoyProxy::start(options.clone()).await.unwrap();
        assert_eq!(get(&proxy, "/").await, 200, "{host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_proxy_ends_envoy_and_removes_its_folder() {
    let Some(Bench { options, folder: _folder }) = bench() else { return };
    let proxy = EnvoyProxy::start(options).await.unwrap();
    let (pid, folder) = (proxy.pid().unwrap(), proxy.folder().to_owned());
    assert!(alive(pid) && folder.is_dir());
    drop(proxy);
    eventually("Envoy is gone", || !alive(pid)).await;
    assert!(!folder.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_envoy_says_is_the_error() {
    let Some(Bench { mut options, folder: _folder }) = bench() else { return };
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let error = EnvoyProxy::start(EnvoyOptions { listen: address, ..options.clone() }).await.unwrap_err();
    assert!(error.to_string().contains(&format!("cannot bind '{address}': Address already in use")), "{error}");

    options.arguments = vec!["--no-such-flag".into()];
    let error = EnvoyProxy::start(options.clone()).await.unwrap_err();
    assert!(error.to_string().contains("--no-such-flag"), "{error}");

    options.binary = "/no/such/envoy".into();
    let error = EnvoyProxy::start(options).await.unwrap_err();
    assert!(error.to_string().contains("/no/such/envoy"), "{error}");
}
