//! Envoy's configuration for a suite: one listener with the module, and nothing that adds to messages what can be left out.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use serde_json::{Map, Value, json};

use super::servers::{STREAM_HEADER, Servers};
use crate::FailurePolicy;
use crate::suite::format::Setup;

/// Where the access log is, below the folder.
pub(super) const ACCESS_LOG: &str = "access.log";
/// The listener's name.
pub(super) const LISTENER: &str = "suite";
/// The cluster to which streams go; one that a module names takes another name in no sensible suite.
const UPSTREAM: &str = "host_harness_upstream";
const FILTERS: &str = "type.googleapis.com/envoy.extensions.filters";

/// The name of the filter, and of the statistics about its updates.
const FILTER: &str = "module";
/// Where the filter's configuration is, below the folder, when it is to be replaced.
const UPDATES: &str = "filter.json";

/// Writes the filter's configuration where Envoy looks for new ones.
pub(super) fn update(folder: &Path, filter: &Value, version: u64) -> Result<(), String> {
    let mut resource = json!({
        "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
        "name": FILTER,
    });
    if let Some(fields) = resource.as_object_mut() {
        fields.insert("typed_config".to_owned(), filter.clone());
    }
    let text = json!({ "version_info": version.to_string(), "resources": [resource] }).to_string();
    let (path, new) = (folder.join(UPDATES), folder.join("new.json"));
    // Envoy looks when a file is renamed.
    std::fs::write(&new, text)
        .and_then(|()| std::fs::rename(&new, &path))
        .map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// Writes the bootstrap file.
pub(super) fn write(folder: &Path, filter: &Filter, servers: &Servers, state: &[String]) -> Result<PathBuf, String> {
    let path = folder.join("envoy.json");
    let typed = filter.typed_config();
    if filter.is_replaced {
        update(folder, &typed, 0)?;
    }
    let config = if filter.is_replaced {
        let source = json!({ "resource_api_version": "V3", "path_config_source": { "path": folder.join(UPDATES) } });
        let discovery = json!({ "config_source": source, "type_urls": [typed.get("@type")] });
        json!({ "name": FILTER, "config_discovery": discovery })
    } else {
        json!({ "name": FILTER, "typed_config": typed })
    };
    let chain = if filter.is_tcp {
        json!([config, tcp_proxy(folder, state)])
    } else {
        json!([http_manager(folder, &config, state)])
    };
    let text = bootstrap(&chain, servers).to_string();
    std::fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    Ok(path)
}

/// The field of the access log in which a filter state is.
pub(super) fn state_field(index: usize) -> String {
    format!("state{index}")
}

/// The filter in Envoy.
#[derive(Debug)]
pub(super) struct Filter {
    setup: Setup,
    /// The module where Envoy reads it.
    module: PathBuf,
    /// Whether its configuration is replaced while it runs.
    is_replaced: bool,
    /// Whether it is a network filter.
    is_tcp: bool,
}

impl Filter {
    /// Writes the module to the folder where Envoy cannot read it as it is.
    pub(super) fn new(folder: &Path, setup: &Setup, is_replaced: bool, is_tcp: bool) -> Result<Self, String> {
        Ok(Self { setup: setup.clone(), module: module(folder, setup)?, is_replaced, is_tcp })
    }

    /// Gives it another configuration.
    pub(super) fn configure(&mut self, configuration: &[u8]) {
        self.setup.configuration = Some(configuration.to_vec());
    }

    pub(super) fn typed_config(&self) -> Value {
        let kind = if self.is_tcp { "network" } else { "http" };
        json!({ "@type": format!("{FILTERS}.{kind}.wasm.v3.Wasm"), "config": plugin(&self.module, &self.setup) })
    }
}

/// Envoy does not read the text form.
fn module(folder: &Path, setup: &Setup) -> Result<PathBuf, String> {
    let file = setup.module.as_deref().ok_or("there is no module")?;
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let bytes = std::fs::read(file).map_err(|error| told(&error))?;
    if bytes.starts_with(b"\0asm") {
        return std::path::absolute(file).map_err(|error| told(&error));
    }
    let bytes = wat::parse_bytes(&bytes).map_err(|error| told(&error))?;
    let path = folder.join("module.wasm");
    std::fs::write(&path, bytes).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    Ok(path)
}

/// A network filter that passes connections on.
fn tcp_proxy(folder: &Path, state: &[String]) -> Value {
    json!({ "name": "tcp_proxy", "typed_config": {
        "@type": format!("{FILTERS}.network.tcp_proxy.v3.TcpProxy"),
        "stat_prefix": LISTENER,
        "cluster": UPSTREAM,
        "access_log": [access_log(folder, state)],
    } })
}

/// A network filter that makes streams of connections, for an HTTP filter.
fn http_manager(folder: &Path, filter: &Value, state: &[String]) -> Value {
    json!({ "name": "manager", "typed_config": {
        "@type": format!("{FILTERS}.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": LISTENER,
        "codec_type": "AUTO",
        // Else it waits for a second before it closes a connection.
        "delayed_close_timeout": "0s",
        "http_protocol_options": { "enable_trailers": true },
        "generate_request_id": false,
        "skip_xff_append": true,
        "server_header_transformation": "PASS_THROUGH",
        "access_log": [access_log(folder, state)],
        "route_config": {
            "name": LISTENER,
            "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [{
                "match": { "prefix": "/" },
                "route": { "cluster": UPSTREAM, "timeout": "0s" },
            }] }],
            "request_headers_to_add": [{
                "header": { "key": STREAM_HEADER, "value": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%" },
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }],
        },
        "http_filters": [
            filter,
            { "name": "router", "typed_config": {
                "@type": format!("{FILTERS}.http.router.v3.Router"),
                "suppress_envoy_headers": true,
            } },
        ],
    } })
}

fn bootstrap(chain: &Value, servers: &Servers) -> Value {
    let mut clusters = vec![cluster(UPSTREAM, Some(servers.upstream))];
    clusters.extend(servers.clusters.iter().map(|(name, address)| cluster(name, *address)));
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    json!({
        "node": { "id": "host-harness", "cluster": "host-harness" },
        "admin": { "address": socket_address(loopback) },
        "stats_flush_on_admin": true,
        // Every observation of a module's histograms is below the last bound.
        "stats_config": { "histogram_bucket_settings": [{ "match": { "prefix": "wasmcustom." }, "buckets": [1e20] }] },
        "static_resources": {
            "listeners": [{
                "name": LISTENER,
                "address": socket_address(loopback),
                "filter_chains": [{ "filters": chain }],
            }],
            "clusters": clusters,
        },
    })
}

fn access_log(folder: &Path, state: &[String]) -> Value {
    let mut fields = Map::new();
    fields.insert("client".to_owned(), json!("%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%"));
    fields.insert("details".to_owned(), json!("%RESPONSE_CODE_DETAILS%"));
    for (index, name) in state.iter().enumerate() {
        fields.insert(state_field(index), json!(format!("%FILTER_STATE(wasm.{name}:PLAIN)%")));
    }
    json!({
        "name": "file",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": folder.join(ACCESS_LOG),
            "log_format": { "json_format": fields },
        },
    })
}

fn plugin(module: &Path, setup: &Setup) -> Value {
    let policy = match setup.failure_policy.unwrap_or_default() {
        FailurePolicy::FailClosed => "FAIL_CLOSED",
        FailurePolicy::FailOpen => "FAIL_OPEN",
        FailurePolicy::FailReload { .. } => "FAIL_RELOAD",
    };
    let reload = match setup.failure_policy {
        Some(FailurePolicy::FailReload { backoff }) => Some(
            json!({ "backoff": { "base_interval": format!("{}.{:09}s", backoff.as_secs(), backoff.subsec_nanos()) } }),
        ),
        _ => None,
    };
    let capabilities: Map<String, Value> =
        setup.capabilities.iter().flatten().map(|capability| (capability.clone(), json!({}))).collect();
    let environment: Map<String, Value> =
        setup.environment.iter().flatten().map(|(name, value)| (name.clone(), json!(value))).collect();
    json!({
        "name": plugin_name(setup),
        "root_id": setup.root_id.clone().unwrap_or_default(),
        "configuration": value(setup.configuration.as_deref()),
        "failure_policy": policy,
        "reload_config": reload,
        "capability_restriction_config": { "allowed_capabilities": capabilities },
        "vm_config": {
            "vm_id": vm_id(setup),
            "runtime": "envoy.wasm.runtime.v8",
            "code": { "local": { "filename": module } },
            "configuration": value(setup.vm_configuration.as_deref()),
            "environment_variables": { "key_values": environment },
        },
    })
}

/// As the embedded host's, where nothing is said.
pub(super) fn plugin_name(setup: &Setup) -> &str {
    setup.name.as_deref().unwrap_or("plugin")
}

/// As the embedded host's, where nothing is said.
pub(super) fn vm_id(setup: &Setup) -> &str {
    setup.vm_id.as_deref().unwrap_or("vm")
}

/// Nothing at all where there are no bytes.
fn value(bytes: Option<&[u8]>) -> Option<Value> {
    let bytes = bytes.filter(|bytes| !bytes.is_empty())?;
    let google = "type.googleapis.com/google.protobuf";
    Some(match std::str::from_utf8(bytes) {
        Ok(text) => json!({ "@type": format!("{google}.StringValue"), "value": text }),
        Err(_) => {
            let text = base64::engine::general_purpose::STANDARD.encode(bytes);
            json!({ "@type": format!("{google}.BytesValue"), "value": text })
        }
    })
}

fn cluster(name: &str, address: Option<SocketAddr>) -> Value {
    let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let endpoints: Vec<Value> = address
        .map(|address| json!({ "lb_endpoints": [{ "endpoint": { "address": socket_address(address) } }] }))
        .into_iter()
        .collect();
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": { "cluster_name": name, "endpoints": endpoints },
        "typed_extension_protocol_options": { options: {
            "@type": format!("type.googleapis.com/{options}"),
            // One stream a connection, so that a connection that is closed is one stream's.
            "explicit_http_config": { "http2_protocol_options": { "max_concurrent_streams": 1 } },
        } },
    })
}

fn socket_address(address: SocketAddr) -> Value {
    json!({ "socket_address": { "address": address.ip().to_string(), "port_value": address.port() } })
}
