//! What the tests of this folder and of the hands share, and the tests of the rendering.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::render::{RenderError, image_digest, manifest, render};
use super::*;
use crate::hands::Build;
use crate::plan::{Bake, IstioApply};

/// A manifest's digest.
pub(crate) const DIGEST: &str = "sha256:0b8a2fd7a9d5e5b5f8ab8f5c1ff1ad5ab15a1ecf2ee16b3c1d4fd8ac5ac4a1b2";

pub(crate) fn plan(kind: IstioKind) -> IstioPlan {
    IstioPlan {
        namespace: "eucora".to_owned(),
        name: "edge-observer".to_owned(),
        kind,
        apply: IstioApply::Kubectl(vec!["kubectl".to_owned()]),
    }
}

pub(crate) fn ring(name: &str, labels: &[(&str, &str)]) -> Ring {
    Ring {
        name: name.to_owned(),
        select: format!("edge_ring=\"{name}\""),
        expected: 2,
        instances: Vec::new(),
        match_labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        control: None,
        approval: false,
        bake: Bake { min: Duration::from_secs(1), max: Duration::from_secs(2) },
    }
}

/// A ring of the API's pods.
pub(crate) fn api_ring(name: &str) -> Ring {
    ring(name, &[("app", "eucora-api"), (RING, name)])
}

pub(crate) fn build(configuration: &Value) -> Build {
    Build {
        module: b"\0asm".to_vec(),
        module_sha256: crate::build::sha256(b"\0asm"),
        configuration: configuration.to_string(),
        digest: "0123456789ab".to_owned(),
        image: Some(format!("oci://registry.example/edge-observer@{DIGEST}")),
    }
}

#[test]
fn a_ring_becomes_a_plugin() {
    let build = build(&json!({"namespace": "shop", "metrics": {"buckets_seconds": [0.5, 1.0]}, "ring": "0",
        "events": {"sinks": [{"name": "a", "secret_env": "SPLUNK"}, {"name": "b"}]}}));
    let expected = "\
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata:
  annotations:
    edge-observer.io/config: \"0123456789ab\"
    edge-observer.io/image-digest: \"sha256:0b8a2fd7a9d5e5b5f8ab8f5c1ff1ad5ab15a1ecf2ee16b3c1d4fd8ac5ac4a1b2\"
    edge-observer.io/module-sha256: cd5d4935a48c0672cb06407bb443bc0087aff947c6b864bac886982c73b3027f
  labels:
    app.kubernetes.io/managed-by: edge-observer
    app.kubernetes.io/name: edge-observer
    edge-observer.io/ring: \"0\"
  name: edge-observer-ring-0
  namespace: eucora
spec:
  failStrategy: FAIL_OPEN
  imagePullPolicy: IfNotPresent
  match:
  - mode: SERVER
  phase: AUTHN
  pluginConfig:
    events:
      sinks:
      - name: a
        secret_env: SPLUNK
      - name: b
    metrics:
      buckets_seconds:
      - 0.5
      - 1
    namespace: shop
    ring: \"0\"
  pluginName: edge_observer
  priority: 1000
  selector:
    matchLabels:
      app: eucora-api
      edge-observer.io/ring: \"0\"
  url: \"oci://registry.example/edge-observer@sha256:0b8a2fd7a9d5e5b5f8ab8f5c1ff1ad5ab15a1ecf2ee16b3c1d4fd8ac5ac4a1b2\"
  vmConfig:
    env:
    - name: SPLUNK
      valueFrom: HOST
";
    let text = manifest(&plan(IstioKind::WasmPlugin), &api_ring("0"), &build).unwrap();
    assert_eq!(text, expected);
    assert_eq!(manifest(&plan(IstioKind::WasmPlugin), &api_ring("0"), &build).unwrap(), text);
}

#[test]
fn every_kind_is_what_its_crd_takes_and_reads_back_as_itself() {
    let build = build(&json!({"namespace": "shop", "events": {"sinks": [{"secret_env": "TOKEN"}]}}));
    for kind in [IstioKind::WasmPlugin, IstioKind::TrafficExtension, IstioKind::EnvoyFilter] {
        let object = render(&plan(kind), &api_ring("0"), &build).unwrap();
        assert!(schema::is_known(&object));
        assert_eq!(schema::check(&object), [], "{object:#}");
        let text = manifest(&plan(kind), &api_ring("0"), &build).unwrap();
        assert_eq!(serde_yaml_ng::from_str::<Value>(&text).unwrap(), object);
        assert!(text.contains("TOKEN"));
    }
}

#[test]
fn the_other_kinds_say_the_same() {
    let configuration = json!({"namespace": "shop"});
    let build = build(&configuration);
    let extension = render(&plan(IstioKind::TrafficExtension), &api_ring("1"), &build).unwrap();
    let plugin = render(&plan(IstioKind::WasmPlugin), &api_ring("1"), &build).unwrap();
    for field in ["selector", "phase", "priority", "match"] {
        assert_eq!(extension["spec"][field], plugin["spec"][field]);
    }
    for field in ["url", "imagePullPolicy", "pluginName", "failStrategy", "pluginConfig"] {
        assert_eq!(extension["spec"]["wasm"][field], plugin["spec"][field]);
    }
    let filter = render(&plan(IstioKind::EnvoyFilter), &api_ring("1"), &build).unwrap();
    assert_eq!(filter["spec"]["workloadSelector"]["labels"], plugin["spec"]["selector"]["matchLabels"]);
    let patches = filter["spec"]["configPatches"].as_array().unwrap();
    let names: Vec<&Value> = patches.iter().map(|patch| &patch["patch"]["value"]["name"]).collect();
    assert_eq!(names, ["edge_observer", "edge_observer"]);
    let wasm = &patches[0]["patch"]["value"]["typed_config"]["config"];
    assert_eq!(wasm["failure_policy"], "FAIL_OPEN");
    assert_eq!(wasm["configuration"]["value"], configuration.to_string());
    assert_eq!(wasm["vm_config"]["code"]["remote"]["sha256"], DIGEST.trim_start_matches("sha256:"));
    assert_eq!(wasm["vm_config"]["code"]["remote"]["http_uri"]["uri"], plugin["spec"]["url"]);
    assert_eq!(patches[1]["patch"]["operation"], "INSERT_FIRST");
}

#[test]
fn a_module_that_is_not_named_by_digest_is_refused() {
    let mut build = build(&json!({}));
    let refused = |build: &Build| render(&plan(IstioKind::WasmPlugin), &api_ring("0"), build).unwrap_err();
    for address in ["oci://r/x:1.2", "oci://x@sha256:00", "https://r/x.wasm", "oci://r/x@sha256:", "r/x"] {
        build.image = Some(address.to_owned());
        assert_eq!(refused(&build), RenderError::NoDigest(address.to_owned()));
    }
    build.image = None;
    assert_eq!(refused(&build), RenderError::NoImage);
    assert_eq!(image_digest(&format!("oci://r:5000/x@{DIGEST}")), Some(DIGEST));
    let mut build = super::tests::build(&json!([]));
    assert!(matches!(refused(&build), RenderError::Configuration(_)));
    build.configuration = "{".to_owned();
    assert!(matches!(refused(&build), RenderError::Configuration(_)));
}

#[test]
fn a_ring_of_any_name_has_an_object_and_a_label_that_kubernetes_takes() {
    let fits = |text: &str, inner: &[u8]| {
        let outer = |byte: &u8| byte.is_ascii_alphanumeric();
        text.len() <= 63
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || inner.contains(&byte))
            && text.as_bytes().first().is_some_and(outer)
            && text.as_bytes().last().is_some_and(outer)
    };
    let long = "a".repeat(64);
    let expected =
        BTreeMap::from([("0", "edge-observer-ring-0"), ("Early_1.", "edge-observer-ring-early-1"), (&long, "")]);
    for (name, object) in expected {
        let found = object_name(&plan(IstioKind::WasmPlugin), &api_ring(name));
        assert!(object.is_empty() || found == object, "{found}");
        assert!(fits(&found, b"-") && found.to_ascii_lowercase() == found, "{found}");
        assert!(fits(&label_value(&api_ring(name)), b"-_."), "{name}");
    }
}
