use serde_json::json;

use super::*;
use crate::istio::tests::{api_ring, build, plan};
use crate::plan::IstioKind;

mod cluster;
mod tree;

fn target(hands: &IstioHands, ring: &str) -> Target {
    hands.targets(&api_ring(ring)).remove(0)
}

fn at() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

#[test]
fn an_object_is_what_was_written_and_not_what_the_server_added() {
    let written = json!({"kind": "WasmPlugin", "metadata": {"name": "a", "annotations": {"mine": "1"}, "finalizers": ["x"]}, "spec": {"url": "u", "n": 1}});
    let mut served = written.clone();
    served["status"] = json!({"conditions": []});
    served["spec"]["n"] = json!(1.0);
    for field in ["managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink"] {
        served["metadata"][field] = json!("x");
    }
    assert_eq!(own(served), own(written.clone()));
    assert_eq!(own(written.clone()), written);
}

#[test]
fn a_ring_has_one_object_and_an_unknown_ring_none() {
    let hands = IstioHands::new(&plan(IstioKind::WasmPlugin), &[api_ring("0")]);
    assert_eq!(
        hands.targets(&api_ring("0")),
        [Target { ring: "0".to_owned(), name: "edge-observer-ring-0".to_owned() }]
    );
    let error = hands.render(&target(&hands, "7"), None, &build(&json!({}))).unwrap_err();
    assert_eq!(error.to_string(), "ring 7, edge-observer-ring-7: the rollout file has no such ring");
}

#[test]
fn what_an_api_server_would_refuse_is_not_rendered() {
    let mut ring = api_ring("0");
    ring.match_labels.insert("app".to_owned(), "api-*".to_owned());
    let hands = IstioHands::new(&plan(IstioKind::WasmPlugin), &[ring]);
    let error = hands.render(&target(&hands, "0"), None, &build(&json!({}))).unwrap_err().to_string();
    assert!(error.contains("spec.selector.matchLabels.app: wildcard not allowed in label value match"), "{error}");
}
