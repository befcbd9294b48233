//! A ring's object.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{CONFIG, IMAGE, MODULE, PLUGIN, RING, label_value, object_name, yaml};
use crate::hands::Build;
use crate::plan::{IstioKind, IstioPlan, Ring};

/// Before Istio's own filters, and before other plugins of this phase: a request that authentication turns away is seen by the filters before it alone.
const PHASE: &str = "AUTHN";

/// Plugins of one phase are ordered by it, the highest first.
const PRIORITY: i64 = 1000;

/// `EnvoyFilter`s are applied from the lowest to the highest, and each goes to the front of the chain.
const LAST: i64 = 1000;

const WASM: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
const RBAC: &str = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC";
const STRING: &str = "type.googleapis.com/google.protobuf.StringValue";

/// Why there is no object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// Nothing says where proxies fetch the module.
    #[error(
        "artifact.image: is missing; give the address of the image that proxies fetch, `oci://REGISTRY/REPOSITORY@sha256:…`"
    )]
    NoImage,
    /// An image without a digest.
    #[error(
        "artifact.image: found `{0}`; name the image by digest, `oci://REGISTRY/REPOSITORY@sha256:…`: a proxy fetches a tag once and then believes it"
    )]
    NoDigest(String),
    /// The plugin configuration cannot be a field.
    #[error("the plugin configuration is no JSON object: {0}")]
    Configuration(String),
}

/// The digest of an image's manifest in its address, `sha256:…`.
#[must_use]
pub fn image_digest(address: &str) -> Option<&str> {
    let (name, digest) = address.strip_prefix("oci://")?.rsplit_once('@')?;
    let hex = digest.strip_prefix("sha256:")?;
    let is_hex = hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    (name.contains('/') && is_hex).then_some(digest)
}

/// The object of a ring that makes its pods run a build.
///
/// # Errors
/// Without an image that is named by digest, or with a configuration that is no JSON object.
pub fn render(plan: &IstioPlan, ring: &Ring, build: &Build) -> Result<Value, RenderError> {
    let image = build.image.as_deref().ok_or(RenderError::NoImage)?;
    let digest = image_digest(image).ok_or_else(|| RenderError::NoDigest(image.to_owned()))?;
    let configuration: Value =
        serde_json::from_str(&build.configuration).map_err(|error| RenderError::Configuration(error.to_string()))?;
    if !configuration.is_object() {
        return Err(RenderError::Configuration("it is another value".to_owned()));
    }
    let spec = match plan.kind {
        IstioKind::WasmPlugin => {
            let mut spec = wasm(image, configuration);
            merge(&mut spec, placed(ring));
            spec
        }
        IstioKind::TrafficExtension => {
            let mut spec = placed(ring);
            merge(&mut spec, json!({"wasm": wasm(image, configuration)}));
            spec
        }
        IstioKind::EnvoyFilter => envoy_filter(ring, build, image, digest, &configuration),
    };
    Ok(yaml::canonical(json!({
        "apiVersion": plan.kind.api_version(),
        "kind": plan.kind.name(),
        "metadata": {
            "name": object_name(plan, ring),
            "namespace": plan.namespace,
            "labels": {"app.kubernetes.io/name": plan.name, "app.kubernetes.io/managed-by": "edge-observer", RING: label_value(ring)},
            "annotations": {MODULE: build.module_sha256, IMAGE: digest, CONFIG: build.digest},
        },
        "spec": spec,
    })))
}

/// The same as the text of a file.
///
/// # Errors
/// As [`render`].
pub fn manifest(plan: &IstioPlan, ring: &Ring, build: &Build) -> Result<String, RenderError> {
    Ok(yaml::text(render(plan, ring, build)?))
}

fn merge(into: &mut Value, from: Value) {
    if let (Some(into), Value::Object(from)) = (into.as_object_mut(), from) {
        into.extend(from);
    }
}

/// Where and when it runs.
fn placed(ring: &Ring) -> Value {
    json!({
        "selector": {"matchLabels": ring.match_labels},
        "phase": PHASE,
        "priority": PRIORITY,
        "match": [{"mode": "SERVER"}],
    })
}

/// What runs. With `FAIL_CLOSE`, Istio's default, a module that fails makes every request a 503.
fn wasm(image: &str, configuration: Value) -> Value {
    let secrets = secrets(&configuration);
    let mut wasm = json!({
        "url": image,
        "imagePullPolicy": "IfNotPresent",
        "pluginName": PLUGIN,
        "failStrategy": "FAIL_OPEN",
        "pluginConfig": configuration,
    });
    if !secrets.is_empty() {
        let env: Vec<Value> = secrets.into_iter().map(|name| json!({"name": name, "valueFrom": "HOST"})).collect();
        merge(&mut wasm, json!({"vmConfig": {"env": env}}));
    }
    wasm
}

/// The variables in which sinks have their secrets: given by name, so that no value stands in the object.
fn secrets(configuration: &Value) -> BTreeSet<String> {
    let sinks = configuration.pointer("/events/sinks").and_then(Value::as_array);
    let name = |sink: &Value| sink.get("secret_env").and_then(Value::as_str).map(str::to_owned);
    sinks.into_iter().flatten().filter_map(name).collect()
}

/// The filter's configuration as a resource of its own, which Envoy swaps without a restart of the listener, and the place in the chain that it belongs to.
fn envoy_filter(ring: &Ring, build: &Build, image: &str, digest: &str, configuration: &Value) -> Value {
    let mut vm = json!({
        // Constant on purpose: workers share counts of what was admitted under this ID, also from one version of the module to the next.
        "vm_id": PLUGIN,
        "runtime": "envoy.wasm.runtime.v8",
        // Istio's agent fetches it before Envoy sees it, and needs no cluster. The digest of an `oci://` address is its manifest's.
        "code": {"remote": {
            "http_uri": {"uri": image, "timeout": "30s", "cluster": "_"},
            "sha256": digest.trim_start_matches("sha256:"),
        }},
    });
    let secrets = secrets(configuration);
    if !secrets.is_empty() {
        merge(&mut vm, json!({"environment_variables": {"host_env_keys": secrets}}));
    }
    json!({
        "workloadSelector": {"labels": ring.match_labels},
        "priority": LAST,
        "configPatches": [
            {
                "applyTo": "EXTENSION_CONFIG",
                "match": {"context": "SIDECAR_INBOUND"},
                "patch": {"operation": "ADD", "value": {
                    "name": PLUGIN,
                    "typed_config": {
                        "@type": WASM,
                        "config": {
                            "name": PLUGIN,
                            "root_id": PLUGIN,
                            "failure_policy": "FAIL_OPEN",
                            "vm_config": vm,
                            "configuration": {"@type": STRING, "value": build.configuration},
                        },
                    },
                }},
            },
            {
                "applyTo": "HTTP_FILTER",
                "match": {
                    "context": "SIDECAR_INBOUND",
                    "listener": {"filterChain": {"filter": {"name": "envoy.filters.network.http_connection_manager"}}},
                },
                "patch": {"operation": "INSERT_FIRST", "value": {
                    "name": PLUGIN,
                    "config_discovery": {
                        "config_source": {"resource_api_version": "V3", "ads": {}, "initial_fetch_timeout": "15s"},
                        // The agent puts an RBAC filter that lets everything through in place of a module that it cannot fetch; the same is the default,
                        // so that a registry that does not answer keeps no pod from becoming ready.
                        "type_urls": [WASM, RBAC],
                        "default_config": {"@type": RBAC},
                    },
                }},
            },
        ],
    })
}
