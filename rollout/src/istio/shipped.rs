//! The manifests of `envoy/istio/`: each is what its CRD takes, and the plugin that stands alone would meet every ring.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize as _;
use serde_json::{Value, json};

use super::tests::{api_ring, build, plan};
use super::{disjoint, render::render, schema};
use crate::plan::IstioKind;

/// Files that hold no object that an API server takes as it is.
const NO_OBJECTS: [&str; 2] = ["mesh-config.yaml", "pod-annotations.yaml"];

/// Kinds that are not Istio's.
const OTHER_KINDS: [&str; 2] = ["Kustomization", "NetworkPolicy"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../envoy/istio")
}

fn documents(text: &str) -> Vec<Value> {
    serde_yaml_ng::Deserializer::from_str(text).map(|document| Value::deserialize(document).unwrap()).collect()
}

/// Each YAML file below a folder, with its documents.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<Value>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            found.push((path.clone(), documents(&fs::read_to_string(&path).unwrap())));
        }
    }
    found
}

fn file(name: &str) -> Value {
    documents(&fs::read_to_string(folder().join(name)).unwrap()).remove(0)
}

#[test]
fn every_manifest_is_what_its_crd_takes() {
    let mut kinds = BTreeMap::new();
    for (path, documents) in files(&folder()) {
        if NO_OBJECTS.iter().any(|name| path.ends_with(name)) {
            continue;
        }
        assert!(!documents.is_empty(), "{}", path.display());
        for object in documents {
            let kind = object["kind"].as_str().unwrap().to_owned();
            *kinds.entry(kind.clone()).or_insert(0) += 1;
            if OTHER_KINDS.contains(&kind.as_str()) {
                continue;
            }
            assert!(schema::is_known(&object), "{}: no schema for {kind} {}", path.display(), object["apiVersion"]);
            assert_eq!(schema::check(&object), [], "{}", path.display());
        }
    }
    for kind in ["EnvoyFilter", "Kustomization", "NetworkPolicy", "Telemetry", "TrafficExtension", "WasmPlugin"] {
        assert!(kinds.contains_key(kind), "{kinds:?}");
    }
}

#[test]
fn the_plugins_that_stand_alone_meet_every_ring_that_a_rollout_makes() {
    let rings: Vec<Value> = ["0", "1", "2", "3", "4"]
        .into_iter()
        .map(|ring| render(&plan(IstioKind::WasmPlugin), &api_ring(ring), &build(&json!({}))).unwrap())
        .collect();
    assert_eq!(disjoint::overlaps(&rings, &[], disjoint::ROOT_NAMESPACE), []);
    for name in ["base/wasmplugin.yaml", "base/trafficextension.yaml", "envoyfilter.yaml"] {
        let found = disjoint::overlaps(&rings, &[file(name)], disjoint::ROOT_NAMESPACE);
        assert_eq!(found.len(), 5, "{name}: {found:?}");
    }
}
