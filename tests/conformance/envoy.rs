//! Real Envoy with the probe.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::cases::Group;
use super::http1;
use super::log::Log;
use super::tcp;
use super::upstreams::{BACKEND, Upstreams};

/// Envoy as a child process.
#[derive(Debug)]
pub(super) struct Envoy {
    /// Where clients connect.
    pub(super) listen: SocketAddr,
    /// What the probe wrote.
    pub(super) log: Arc<Log>,
    /// The rest of Envoy's own log.
    others: Arc<Mutex<Vec<String>>>,
    process: Child,
    _folder: tempfile::TempDir,
}

impl Envoy {
    /// Starts it with the probe as an HTTP filter.
    pub(super) fn start(binary: &Path, module: &Path, upstreams: &Upstreams, group: &Group) -> Self {
        Self::run(binary, group.name, &bootstrap_json(module, upstreams, group))
    }

    /// Starts it with the probe as a network filter.
    pub(super) fn start_tcp(
        binary: &Path,
        module: &Path,
        upstreams: &Upstreams,
        group: &tcp::Group,
        server: SocketAddr,
    ) -> Self {
        Self::run(binary, group.name, &tcp_bootstrap_json(module, upstreams, group, server))
    }

    /// Starts it with one worker, and waits until it listens.
    fn run(binary: &Path, name: &str, configuration: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bootstrap = folder.path().join("envoy.json");
        std::fs::write(&bootstrap, configuration.to_string()).unwrap();
        let admin = folder.path().join("admin");
        let mut process = Command::new(binary)
            .arg("-c")
            .arg(&bootstrap)
            .arg("--admin-address-path")
            .arg(&admin)
            .args(["--concurrency", "1", "--disable-hot-restart", "-l", "error"])
            .args(["--component-log-level", "wasm:info", "--log-format", "%t|%v"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Log::new());
        let others = Arc::new(Mutex::new(Vec::new()));
        let stderr = process.stderr.take().unwrap();
        {
            let (log, others) = (log.clone(), others.clone());
            std::thread::spawn(move || read(stderr, &log, &others));
        }
        let deadline = Instant::now() + Duration::from_secs(30);
        let listen = loop {
            if let Some(listen) = listener(&admin) {
                break listen;
            }
            let ended = process.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "Envoy does not listen for {name:?} ({ended:?}): {:#?}",
                others.lock().unwrap()
            );
            std::thread::sleep(Duration::from_millis(50));
        };
        Self { listen, log, others, process, _folder: folder }
    }

    /// Panics with Envoy's last words if it does not run any more.
    pub(super) fn assert_runs(&mut self, case: &str) {
        if let Some(status) = self.process.try_wait().unwrap() {
            panic!("Envoy ended in {case} ({status}): {:#?}", self.others.lock().unwrap());
        }
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Hands over what the module wrote; the rest of Envoy's log is kept for the case that it does not start.
fn read(stderr: ChildStderr, log: &Log, others: &Mutex<Vec<String>>) {
    for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        // `wasm log NAME ROOT_ID VM_ID: MESSAGE`, from the thread that the format puts first.
        match line.split_once('|') {
            Some((thread, text)) if text.starts_with("wasm log") => {
                log.push(thread, text.split_once(": ").map_or("", |(_, message)| message));
            }
            _ => others.lock().unwrap().push(line.into_owned()),
        }
    }
}

/// Where the listener is, once it is there.
fn listener(admin: &Path) -> Option<SocketAddr> {
    let admin: SocketAddr = std::fs::read_to_string(admin).ok()?.parse().ok()?;
    let listeners = http1::get(admin, "/listeners")?;
    listeners.lines().find_map(|line| line.strip_prefix("probe::")?.parse().ok())
}

fn bootstrap_json(module: &Path, upstreams: &Upstreams, group: &Group) -> Value {
    let clusters: Vec<Value> = upstreams.clusters.iter().map(|(name, address)| cluster(name, *address)).collect();
    let manager = json!({
        "@type": format!("{FILTERS}.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "probe",
        "codec_type": "HTTP1",
        "http_protocol_options": { "enable_trailers": true },
        "use_remote_address": true,
        "route_config": {
            "name": "routes",
            "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [{
                "name": BACKEND,
                "match": { "prefix": "/" },
                "route": { "cluster": BACKEND, "timeout": "5s" },
            }] }],
        },
        "http_filters": [
            { "name": "probe", "typed_config": {
                "@type": format!("{FILTERS}.http.wasm.v3.Wasm"),
                "config": plugin(module, group.plugin, group.vm),
            } },
            { "name": "router", "typed_config": { "@type": format!("{FILTERS}.http.router.v3.Router") } },
        ],
    });
    bootstrap(&json!([{ "name": "manager", "typed_config": manager }]), &clusters)
}

fn tcp_bootstrap_json(module: &Path, upstreams: &Upstreams, group: &tcp::Group, server: SocketAddr) -> Value {
    let mut clusters: Vec<Value> = upstreams.clusters.iter().map(|(name, address)| cluster(name, *address)).collect();
    clusters.push(json!({
        "name": "server",
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": { "cluster_name": "server", "endpoints": [
            { "lb_endpoints": [{ "endpoint": { "address": socket_address(server) } }] },
        ] },
    }));
    let mut plugin = plugin(module, group.plugin, "");
    if group.fail_open {
        plugin["failure_policy"] = json!("FAIL_OPEN");
    }
    let filters = json!([
        { "name": "probe", "typed_config": {
            "@type": format!("{FILTERS}.network.wasm.v3.Wasm"),
            "config": plugin,
        } },
        { "name": "tcp_proxy", "typed_config": {
            "@type": format!("{FILTERS}.network.tcp_proxy.v3.TcpProxy"),
            "stat_prefix": "probe",
            "cluster": "server",
        } },
    ]);
    bootstrap(&filters, &clusters)
}

fn bootstrap(filters: &Value, clusters: &[Value]) -> Value {
    json!({
        "node": { "id": "probe-node", "cluster": "probe-cluster" },
        "admin": { "address": socket_address(loopback()) },
        "static_resources": {
            "listeners": [{
                "name": "probe",
                "address": socket_address(loopback()),
                "filter_chains": [{ "filters": filters }],
            }],
            "clusters": clusters,
        },
    })
}

const FILTERS: &str = "type.googleapis.com/envoy.extensions.filters";

fn plugin(module: &Path, plugin: &str, vm: &str) -> Value {
    json!({
        "name": "probe",
        "root_id": "probe-root",
        "configuration": string_value(plugin),
        "vm_config": {
            "vm_id": "probe-vm",
            "runtime": "envoy.wasm.runtime.v8",
            "code": { "local": { "filename": module } },
            "configuration": string_value(vm),
        },
    })
}

fn cluster(name: &str, address: Option<SocketAddr>) -> Value {
    let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let endpoints: Vec<Value> = address
        .map(|address| json!({ "lb_endpoints": [{ "endpoint": { "address": socket_address(address) } }] }))
        .into_iter()
        .collect();
    let protocol = if name.starts_with("grpc") {
        json!({ "http2_protocol_options": {} })
    } else {
        json!({ "http_protocol_options": { "enable_trailers": true } })
    };
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": { "cluster_name": name, "endpoints": endpoints },
        "typed_extension_protocol_options": { options: {
            "@type": format!("type.googleapis.com/{options}"),
            "explicit_http_config": protocol,
        } },
    })
}

/// Nothing at all where the text is empty.
fn string_value(text: &str) -> Option<Value> {
    (!text.is_empty()).then(|| json!({ "@type": "type.googleapis.com/google.protobuf.StringValue", "value": text }))
}

/// A free port on loopback.
fn loopback() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

fn socket_address(address: SocketAddr) -> Value {
    json!({ "socket_address": { "address": address.ip().to_string(), "port_value": address.port() } })
}
