//! Plugins that fail, that may not do everything, and that speak an older ABI: the embedded host beside real Envoy. Each scenario runs in both, and what clients
//! got must be the same.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use host_harness::serve::{self, ServeOptions};
use host_harness::{FailurePolicy, Module, PluginConfig};
use serde_json::{Value, json};

use crate::support::proxy::envoy_binary;

const NAME: &str = "options";

/// What an operator says of the plugin, for one host and for the other.
struct Scenario {
    abi: &'static str,
    policy: FailurePolicy,
    capabilities: &'static [&'static str],
    /// Paths in their order; a number is a wait in milliseconds.
    steps: &'static [&'static str],
    /// What clients get.
    expected: &'static [u16],
    /// Reloads that succeeded, failed, came too early.
    reloads: [u64; 3],
}

const ALL: Scenario = Scenario {
    abi: "proxy_abi_version_0_2_1",
    policy: FailurePolicy::FailClosed,
    capabilities: &[],
    steps: &[],
    expected: &[],
    reloads: [0; 3],
};

#[test]
fn a_failed_plugin_is_closed() {
    same(&Scenario { steps: &["/", "/t", "/", "1600", "/"], expected: &[204, 503, 503, 503], ..ALL });
}

#[test]
fn a_failed_plugin_is_passed_by() {
    let policy = FailurePolicy::FailOpen;
    // The route answers 418.
    same(&Scenario { policy, steps: &["/", "/t", "/", "1600", "/"], expected: &[204, 503, 418, 418], ..ALL });
}

#[test]
fn a_failed_plugin_starts_again() {
    let policy = FailurePolicy::FailReload { backoff: Duration::from_secs(3) };
    same(&Scenario {
        policy,
        // The back-off counts from the last start: a VM that has lived for longer is replaced at once.
        steps: &["/", "4600", "/t", "/", "/t", "/", "/", "4600", "/", "/"],
        expected: &[204, 503, 204, 503, 503, 503, 204, 204],
        reloads: [2, 0, 2],
        ..ALL
    });
}

#[test]
fn hostcalls_that_are_not_allowed_fail() {
    let capabilities = &["proxy_on_request_headers", "proxy_get_header_map_value", "proxy_send_local_response"];
    same(&Scenario { capabilities, steps: &["/", "/p", "/r", "/c"], expected: &[204, 210, 276, 210], ..ALL });
}

#[test]
fn hostcalls_that_are_allowed_work() {
    let capabilities = &[
        "proxy_on_request_headers",
        "proxy_get_header_map_value",
        "proxy_send_local_response",
        "proxy_set_property",
        "random_get",
        "proxy_call_foreign_function",
    ];
    same(&Scenario { capabilities, steps: &["/", "/p", "/r", "/c"], expected: &[204, 200, 200, 300], ..ALL });
}

#[test]
fn a_callback_that_is_not_allowed_is_not_called() {
    same(&Scenario { capabilities: &["proxy_on_log"], steps: &["/", "/t"], expected: &[418, 418], ..ALL });
}

#[test]
fn modules_of_all_versions_of_the_abi() {
    for abi in ["proxy_abi_version_0_1_0", "proxy_abi_version_0_2_0", "proxy_abi_version_0_2_1"] {
        same(&Scenario { abi, steps: &["/", "/p", "/c"], expected: &[204, 200, 300], ..ALL });
    }
}

/// Runs it in both hosts.
#[track_caller]
fn same(scenario: &Scenario) {
    let parameters = if scenario.abi.ends_with("0_1_0") { "" } else { "i32" };
    let text = include_str!("plugin_options/module.wat").replace("ABI", scenario.abi).replace("PARAMETERS", parameters);
    let wasm = wat::parse_str(&text).unwrap();
    assert_eq!(in_host(scenario, &wasm), (scenario.expected.to_vec(), scenario.reloads), "the embedded host");
    if let Some(binary) = envoy_binary() {
        assert_eq!(in_envoy(scenario, &wasm, &binary), (scenario.expected.to_vec(), scenario.reloads), "Envoy");
    }
}

fn in_host(scenario: &Scenario, wasm: &[u8]) -> (Vec<u16>, [u64; 3]) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let upstream = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let to = upstream.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut client in upstream.incoming().map_while(Result::ok) {
            let _ = client.read(&mut [0; 4096]);
            let _ = client.write_all(b"HTTP/1.1 418 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    let plugin = PluginConfig {
        name: NAME.into(),
        vm_id: NAME.into(),
        allowed_capabilities: scenario.capabilities.iter().map(ToString::to_string).collect(),
        failure_policy: scenario.policy,
        ..PluginConfig::default()
    };
    let mut options = ServeOptions::new(Module::from_bytes(wasm).unwrap(), plugin, to.into());
    options.workers = 1;
    let server = runtime.block_on(serve::start(options)).unwrap();
    let statuses = send(server.listen, scenario.steps);
    let stats = server.shared().stats().clone();
    let reloads = ["success", "failure", "backoff"]
        .map(|result| stats.counter(&format!("wasm.{NAME}.vm_reload_{result}")).value());
    runtime.block_on(server.shutdown());
    (statuses, reloads)
}

/// Ends Envoy when dropped.
struct Envoy(Child);

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn in_envoy(scenario: &Scenario, wasm: &[u8], binary: &Path) -> (Vec<u16>, [u64; 3]) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    std::fs::write(file("module.wasm"), wasm).unwrap();
    std::fs::write(file("envoy.json"), bootstrap(scenario, &file("module.wasm")).to_string()).unwrap();
    let process = Command::new(binary)
        .arg("-c")
        .arg(file("envoy.json"))
        .arg("--admin-address-path")
        .arg(file("admin"))
        .args(["--concurrency", "1", "--disable-hot-restart", "-l", "off"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut envoy = Envoy(process);
    let deadline = Instant::now() + Duration::from_secs(30);
    let (admin, listen) = loop {
        let admin = std::fs::read_to_string(file("admin")).ok().and_then(|text| text.parse().ok());
        let listeners = admin.and_then(|admin| get(admin, "/listeners"));
        let listen = listeners.and_then(|(_, text)| {
            text.lines().find_map(|line| line.strip_prefix("options::")?.parse::<SocketAddr>().ok())
        });
        if let (Some(admin), Some(listen)) = (admin, listen) {
            break (admin, listen);
        }
        assert!(envoy.0.try_wait().unwrap().is_none() && Instant::now() < deadline, "Envoy does not start");
        std::thread::sleep(Duration::from_millis(50));
    };
    let statuses = send(listen, scenario.steps);
    let (_, stats) = get(admin, "/stats?filter=vm_reload").unwrap();
    let stat = |result: &str| {
        let line = format!("wasm.{NAME}.vm_reload_{result}: ");
        stats
            .lines()
            .find_map(|text| text.strip_prefix(&line)?.parse().ok())
            .unwrap_or_else(|| panic!("{result}: {stats}"))
    };
    (statuses, ["success", "failure", "backoff"].map(stat))
}

fn bootstrap(scenario: &Scenario, module: &Path) -> Value {
    const FILTERS: &str = "type.googleapis.com/envoy.extensions.filters";
    let address = json!({ "socket_address": { "address": "127.0.0.1", "port_value": 0 } });
    let allowed: serde_json::Map<_, _> =
        scenario.capabilities.iter().map(|capability| ((*capability).to_owned(), json!({}))).collect();
    let plugin = json!({
        "name": NAME,
        "failure_policy": match scenario.policy {
            FailurePolicy::FailClosed => "FAIL_CLOSED",
            FailurePolicy::FailOpen => "FAIL_OPEN",
            FailurePolicy::FailReload { .. } => "FAIL_RELOAD",
        },
        "reload_config": match scenario.policy {
            FailurePolicy::FailReload { backoff } => json!({
                "backoff": { "base_interval": format!("{}s", backoff.as_secs()) },
            }),
            FailurePolicy::FailClosed | FailurePolicy::FailOpen => Value::Null,
        },
        "capability_restriction_config": { "allowed_capabilities": allowed },
        "vm_config": { "vm_id": NAME, "runtime": "envoy.wasm.runtime.v8", "code": { "local": { "filename": module } } },
    });
    let manager = json!({
        "@type": format!("{FILTERS}.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": NAME,
        // Else it waits for a second before it closes a connection.
        "delayed_close_timeout": "0s",
        "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [{
            "match": { "prefix": "/" },
            "direct_response": { "status": 418 },
        }] }] },
        "http_filters": [
            { "name": NAME, "typed_config": { "@type": format!("{FILTERS}.http.wasm.v3.Wasm"), "config": plugin } },
            { "name": "router", "typed_config": { "@type": format!("{FILTERS}.http.router.v3.Router") } },
        ],
    });
    json!({
        "admin": { "address": address },
        "static_resources": { "listeners": [{
            "name": NAME,
            "address": address,
            "filter_chains": [{ "filters": [{ "name": "manager", "typed_config": manager }] }],
        }] },
    })
}

/// Sends the paths one after the other, and gives the statuses.
fn send(proxy: SocketAddr, steps: &[&str]) -> Vec<u16> {
    let step = |step: &&str| match step.parse() {
        Ok(wait) => {
            std::thread::sleep(Duration::from_millis(wait));
            None
        }
        Err(_) => Some(get(proxy, step).map_or(0, |(status, _)| status)),
    };
    steps.iter().filter_map(step).collect()
}

/// Status and everything that came.
fn get(to: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(to).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some((text.get(9..12)?.parse().ok()?, text))
}
