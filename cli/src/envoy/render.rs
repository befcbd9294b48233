//! The shipped files as YAML values, with a run's differences put in.

use std::{net::SocketAddr, path::Path, time::Duration};

use serde_yaml_ng::{Mapping, Sequence, Value};
use telemetry::config::Config;

use super::{AccessLog, Delivery, EnvoyError, EnvoyOptions, OwnAnswers};

/// `envoy/bootstrap.yaml`.
pub const BOOTSTRAP: &str = include_str!("../../../envoy/bootstrap.yaml");
/// The access log's format with OpenTelemetry's names.
pub const ACCESS_LOG_OTEL: &str = include_str!("../../../envoy/access-log-otel.yaml");
/// The metrics under the API's own address and path.
const METRICS_PATH: &str = include_str!("../../../envoy/metrics-path.yaml");
/// `envoy/ecds/edge-observer.yaml`.
pub const ECDS: &str = include_str!("../../../envoy/ecds/edge-observer.yaml");
/// `envoy/plugin-config/eucora.yaml`.
pub const PROFILE: &str = include_str!("../../../envoy/plugin-config/eucora.yaml");
/// The filter's name in the chain and in Envoy's own stats.
pub const FILTER: &str = "edge_observer";

const BOOTSTRAP_FILE: &str = "bootstrap.yaml";
const METRICS_PATH_FILE: &str = "metrics-path.yaml";
const ECDS_FILE: &str = "ecds/edge-observer.yaml";
/// The namespace that the shipped bootstrap is written for.
const SHIPPED_NAMESPACE: &str = "eucora";

/// The two files of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// For `envoy -c`.
    pub bootstrap: String,
    /// For the watched folder.
    pub ecds: String,
}

/// The EUCORA profile as the JSON that the filter gets.
pub fn profile_json() -> String {
    // The profile is part of this program and a test reads it, so this cannot fail in a build that was tested.
    serde_yaml_ng::from_str::<serde_json::Value>(PROFILE).map(|value| value.to_string()).unwrap_or_default()
}

/// The files of a run, which live in `folder` (bootstrap) and `folder/ecds` (the watched file).
pub fn render(options: &EnvoyOptions, folder: &Path, version: u64) -> Result<Rendered, EnvoyError> {
    Ok(Rendered { bootstrap: bootstrap(options, folder)?, ecds: ecds(options, version)? })
}

/// The watched file for a configuration.
pub(super) fn ecds(options: &EnvoyOptions, version: u64) -> Result<String, EnvoyError> {
    let mut file = Document::parse(ECDS_FILE, ECDS)?;
    file.set("version_info", version.to_string())?;
    fill_wasm(&mut file, "resources.0.typed_config.config", options)?;
    file.text()
}

fn fill_wasm(file: &mut Document, at: &str, options: &EnvoyOptions) -> Result<(), EnvoyError> {
    file.set(&format!("{at}.vm_config.code.local.filename"), path_text(&options.module))?;
    if !options.environment.is_empty() {
        let names = options.environment.iter().map(|(name, _)| Value::from(name.as_str())).collect();
        let mut variables = Mapping::new();
        variables.insert("host_env_keys".into(), Value::Sequence(names));
        file.add(&format!("{at}.vm_config"), "environment_variables", Value::Mapping(variables))?;
    }
    file.set(&format!("{at}.configuration.value"), options.configuration.as_str())
}

fn bootstrap(options: &EnvoyOptions, folder: &Path) -> Result<String, EnvoyError> {
    let namespace = namespace_of(&options.configuration);
    let mut file = Document::parse(BOOTSTRAP_FILE, BOOTSTRAP)?;
    file.set("admin.address.socket_address.address", options.admin.ip().to_string())?;
    file.set("admin.address.socket_address.port_value", options.admin.port())?;
    file.replace_in(
        "stats_config.histogram_bucket_settings",
        &format!("wasmcustom.{SHIPPED_NAMESPACE}_"),
        &format!("wasmcustom.{namespace}_"),
    )?;

    if !options.json_log {
        // This program reads what Envoy says of refusals, and people read it at a terminal.
        file.set("application_log_config", Value::Mapping(Mapping::new()))?;
    }
    add_tags(&mut file, &options.configuration)?;

    file.set("static_resources.listeners.0.address.socket_address.address", options.listen.ip().to_string())?;
    file.set("static_resources.listeners.0.address.socket_address.port_value", options.listen.port())?;
    metrics_listener(&mut file, options)?;
    let hcm = "static_resources.listeners.0.filter_chains.0.filters.0.typed_config";
    match &options.access_log {
        AccessLog::Off => file.set(&format!("{hcm}.access_log"), Value::Sequence(Vec::new()))?,
        to => {
            let path = match to {
                AccessLog::File(path) => path_text(path),
                AccessLog::RunFolder => path_text(&folder.join("access.log")),
                AccessLog::Stdout | AccessLog::Off => "/dev/stdout".into(),
            };
            file.set(&format!("{hcm}.access_log.0.typed_config.path"), path)?;
            if options.otel_access_log {
                let format: Value = serde_yaml_ng::from_str(ACCESS_LOG_OTEL)
                    .map_err(|error| Document::shape("envoy/access-log-otel.yaml", error))?;
                file.set(&format!("{hcm}.access_log.0.typed_config.log_format"), format)?;
            }
            for before in ["FILTER_STATE(wasm.", "filter_state['wasm."] {
                file.replace_in(
                    &format!("{hcm}.access_log.0.typed_config.log_format"),
                    &format!("{before}{SHIPPED_NAMESPACE}."),
                    &format!("{before}{namespace}."),
                )?;
            }
        }
    }
    if let Some(timeout) = options.route_timeout {
        file.set(&format!("{hcm}.route_config.virtual_hosts.0.routes.0.route.timeout"), seconds(timeout))?;
    }
    if options.request_id_in_response {
        file.add(hcm, "always_set_request_id_in_response", true)?;
    }
    if let Some(own) = &options.own_answers {
        // Before the shipped route, which takes everything.
        file.list(&format!("{hcm}.route_config.virtual_hosts.0.routes"))?.splice(0..0, own_routes(own)?);
    }
    if options.metrics_path {
        let mut parts = Document::parse(METRICS_PATH_FILE, METRICS_PATH)?;
        parts.replace_in("route", &named_as_shipped(), &named_in(&namespace))?;
        let (route, rbac) = (std::mem::take(parts.at("route")?), std::mem::take(parts.at("http_filter")?));
        file.list(&format!("{hcm}.route_config.virtual_hosts.0.routes"))?.insert(0, route);
        file.list(&format!("{hcm}.http_filters"))?.insert(1, rbac);
    }
    let filter = format!("{hcm}.http_filters.0");
    match &options.delivery {
        Delivery::Watched => {
            let source = format!("{filter}.config_discovery.config_source.path_config_source");
            file.set(&format!("{source}.path"), path_text(&folder.join(ECDS_FILE)))?;
            file.set(&format!("{source}.watched_directory.path"), path_text(&folder.join("ecds")))?;
        }
        Delivery::Static => {
            let mut shipped = Document::parse(ECDS_FILE, ECDS)?;
            let wasm = std::mem::take(shipped.at("resources.0.typed_config")?);
            let mut entry = Mapping::new();
            entry.insert("name".into(), FILTER.into());
            entry.insert("typed_config".into(), wasm);
            file.set(&filter, Value::Mapping(entry))?;
            fill_wasm(&mut file, &format!("{filter}.typed_config.config"), options)?;
        }
        Delivery::Instead(filters) => {
            let filters: Result<Sequence, _> = filters.iter().map(serde_yaml_ng::to_value).collect();
            let filters = filters.map_err(|error| Document::shape(BOOTSTRAP_FILE, error))?;
            file.list(&format!("{hcm}.http_filters"))?.splice(0..1, filters);
        }
    }

    let cluster = "static_resources.clusters.0";
    let endpoint = format!("{cluster}.load_assignment.endpoints.0.lb_endpoints.0.endpoint.address.socket_address");
    file.set(&format!("{endpoint}.address"), options.upstream.host.as_str())?;
    file.set(&format!("{endpoint}.port_value"), options.upstream.port)?;
    if options.prefer_ipv6 {
        // `AUTO` is IPv6 first.
        file.set(&format!("{cluster}.dns_lookup_family"), "AUTO")?;
    }
    if options.upstream.http2 {
        let protocol = format!(
            "{cluster}.typed_extension_protocol_options.envoy\u{1}extensions\u{1}upstreams\u{1}http\u{1}v3\u{1}HttpProtocolOptions.explicit_http_config"
        );
        let mut http2 = Mapping::new();
        http2.insert("http2_protocol_options".into(), Value::Mapping(Mapping::new()));
        file.set(&protocol, Value::Mapping(http2))?;
    }
    for (name, address) in &options.clusters {
        let cluster = extra_cluster(name, *address)?;
        file.list("static_resources.clusters")?.push(cluster);
    }
    file.text()
}

/// The listener that Prometheus on another machine asks: at its address, or left out with its cluster.
fn metrics_listener(file: &mut Document, options: &EnvoyOptions) -> Result<(), EnvoyError> {
    let Some(metrics) = options.metrics else {
        for list in ["static_resources.listeners", "static_resources.clusters"] {
            file.list(list)?.truncate(1);
        }
        return Ok(());
    };
    let listen = "static_resources.listeners.1.address.socket_address";
    let admin =
        "static_resources.clusters.1.load_assignment.endpoints.0.lb_endpoints.0.endpoint.address.socket_address";
    for (at, address) in [(listen, metrics), (admin, options.admin)] {
        file.set(&format!("{at}.address"), address.ip().to_string())?;
        file.set(&format!("{at}.port_value"), address.port())?;
    }
    let namespace = namespace_of(&options.configuration);
    file.replace_in("static_resources.listeners.1", &named_as_shipped(), &named_in(&namespace))
}

/// How the routes to the metrics choose names of a namespace.
fn named_in(namespace: &str) -> String {
    format!("wasmcustom[.]{namespace}_")
}

fn named_as_shipped() -> String {
    named_in(SHIPPED_NAMESPACE)
}

/// A cluster of one address.
fn extra_cluster(name: &str, address: SocketAddr) -> Result<Value, EnvoyError> {
    let address = serde_json::json!({ "address": address.ip().to_string(), "port_value": address.port() });
    serde_yaml_ng::to_value(serde_json::json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": { "socket_address": address } } }] }],
        },
    }))
    .map_err(|error| Document::shape(BOOTSTRAP_FILE, error))
}

/// The shipped bootstrap with the extractors for the labels of this configuration.
///
/// # Errors
/// When the shipped file is not of the form that this program knows.
pub fn bootstrap_for(configuration: &str) -> Result<String, EnvoyError> {
    let mut file = Document::parse(BOOTSTRAP_FILE, BOOTSTRAP)?;
    add_tags(&mut file, configuration)?;
    file.text()
}

/// Adds extractors for the labels that a configuration declares. One that cannot be read will be refused by the filter, and has none.
fn add_tags(file: &mut Document, configuration: &str) -> Result<(), EnvoyError> {
    let Ok(config) = Config::from_json(configuration.as_bytes()) else { return Ok(()) };
    let tags = file.list("stats_config.stats_tags")?;
    for (name, regex) in telemetry::metrics::stats_tags(&config) {
        if !tags.iter().any(|tag| tag.get("tag_name").and_then(Value::as_str) == Some(name)) {
            let mut tag = Mapping::new();
            tag.insert("tag_name".into(), name.into());
            tag.insert("regex".into(), regex.into());
            tags.push(Value::Mapping(tag));
        }
    }
    Ok(())
}

/// A route for each status that Envoy answers by itself.
fn own_routes(own: &OwnAnswers) -> Result<Sequence, EnvoyError> {
    let route = |status: &http::StatusCode| {
        serde_yaml_ng::to_value(serde_json::json!({
            "match": {
                "prefix": "/",
                "headers": [{ "name": own.header.as_str(), "string_match": { "exact": status.as_str() } }],
            },
            "direct_response": { "status": status.as_u16() },
        }))
    };
    own.statuses.iter().map(route).collect::<Result<_, _>>().map_err(|error| Document::shape(BOOTSTRAP_FILE, error))
}

/// The namespace that a configuration asks for; the shipped one when it says none, or cannot be read and will be refused.
fn namespace_of(configuration: &str) -> String {
    serde_json::from_str::<serde_json::Value>(configuration)
        .ok()
        .and_then(|value| value.get("namespace")?.as_str().map(str::to_owned))
        .unwrap_or_else(|| SHIPPED_NAMESPACE.to_owned())
}

fn path_text(path: &Path) -> String {
    // Envoy resolves relative paths against its own working directory, which is this process's.
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy().into_owned()
}

fn seconds(duration: Duration) -> String {
    format!("{}.{:09}s", duration.as_secs(), duration.subsec_nanos())
}

/// A shipped file that is being edited. Paths are field names and list indices joined by dots; a dot inside a name is written
/// as U+0001.
struct Document {
    file: &'static str,
    root: Value,
}

impl Document {
    fn parse(file: &'static str, text: &str) -> Result<Self, EnvoyError> {
        match serde_yaml_ng::from_str(text) {
            Ok(root) => Ok(Self { file, root }),
            Err(error) => Err(Self::shape(file, error)),
        }
    }

    fn shape(file: &'static str, error: impl ToString) -> EnvoyError {
        EnvoyError::Shape { file, path: error.to_string() }
    }

    fn at(&mut self, path: &str) -> Result<&mut Value, EnvoyError> {
        let file = self.file;
        let mut value = &mut self.root;
        for step in path.split('.') {
            let step = step.replace('\u{1}', ".");
            let next = match step.parse::<usize>() {
                Ok(index) => value.get_mut(index),
                Err(_) => value.get_mut(step.as_str()),
            };
            value = next.ok_or_else(|| EnvoyError::Shape { file, path: path.replace('\u{1}', ".") })?;
        }
        Ok(value)
    }

    /// Sets a field that the shipped file has, so that a rename in the file cannot silently undo an edit here.
    fn set(&mut self, path: &str, to: impl Into<Value>) -> Result<(), EnvoyError> {
        *self.at(path)? = to.into();
        Ok(())
    }

    /// Adds a field that the shipped file does not have.
    fn add(&mut self, path: &str, name: &str, value: impl Into<Value>) -> Result<(), EnvoyError> {
        let file = self.file;
        match self.at(path)? {
            Value::Mapping(fields) => _ = fields.insert(name.into(), value.into()),
            _ => return Err(Self::shape(file, path)),
        }
        Ok(())
    }

    /// A field that is a list.
    fn list(&mut self, path: &str) -> Result<&mut Sequence, EnvoyError> {
        let file = self.file;
        match self.at(path)? {
            Value::Sequence(items) => Ok(items),
            _ => Err(Self::shape(file, path)),
        }
    }

    /// Replaces a piece of text in every string under a field.
    fn replace_in(&mut self, path: &str, from: &str, to: &str) -> Result<(), EnvoyError> {
        fn walk(value: &mut Value, from: &str, to: &str) {
            match value {
                Value::String(text) => *text = text.replace(from, to),
                Value::Sequence(items) => items.iter_mut().for_each(|item| walk(item, from, to)),
                Value::Mapping(fields) => fields.values_mut().for_each(|field| walk(field, from, to)),
                Value::Tagged(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
            }
        }
        walk(self.at(path)?, from, to);
        Ok(())
    }

    fn text(&self) -> Result<String, EnvoyError> {
        serde_yaml_ng::to_string(&self.root).map_err(|error| Self::shape(self.file, error))
    }
}
