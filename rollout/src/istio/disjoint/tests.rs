use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::istio::tests::{api_ring, build, plan, ring};
use crate::istio::{RING, render::render};
use crate::plan::{IstioKind, Ring};

fn objects(rings: &[Ring]) -> Vec<Value> {
    let build = build(&json!({}));
    rings.iter().map(|ring| render(&plan(IstioKind::WasmPlugin), ring, &build).unwrap()).collect()
}

fn five() -> Vec<Ring> {
    ["0", "1", "2", "3", "4"].map(api_ring).to_vec()
}

fn plugin(namespace: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin", "metadata": {"namespace": namespace, "name": name}, "spec": spec})
}

/// The pairs that overlap, between five rings and another object.
fn against(other: Value) -> Vec<Overlap> {
    overlaps(&objects(&five()), &[other], ROOT_NAMESPACE)
}

#[test]
fn five_rings_are_disjoint_also_when_they_are_there_already() {
    let new = objects(&five());
    assert_eq!(overlaps(&new, &[], ROOT_NAMESPACE), []);
    assert_eq!(overlaps(&new, &new, ROOT_NAMESPACE), []);
    assert_eq!(overlaps(&new, &[json!({"kind": "List", "items": new})], ROOT_NAMESPACE), []);
}

#[test]
fn rings_that_share_a_pod_are_named_with_the_cure() {
    let rings = [
        ring("0", &[("app", "api")]),
        ring("1", &[("app", "api"), ("ring", "1")]),
        ring("2", &[("tier", "x")]),
        ring("3", &[("app", "web")]),
    ];
    let found = overlaps(&objects(&rings), &[], ROOT_NAMESPACE);
    let ring_of = |object: &str| object.rsplit('-').next().unwrap().to_owned();
    let pairs: Vec<[String; 3]> =
        found.iter().map(|found| [ring_of(&found.one), ring_of(&found.other), found.pods.clone()]).collect();
    assert_eq!(
        pairs,
        [
            ["0", "1", "pods with app=api,ring=1"].map(str::to_owned),
            ["0", "2", "pods with app=api,tier=x"].map(str::to_owned),
            ["1", "2", "pods with app=api,ring=1,tier=x"].map(str::to_owned),
            ["2", "3", "pods with app=web,tier=x"].map(str::to_owned),
        ]
    );
    assert_eq!(
        found[0].to_string(),
        "WasmPlugin eucora/edge-observer-ring-0 and WasmPlugin eucora/edge-observer-ring-1 both match pods with app=api,ring=1: the filter would run twice there and count each request twice; give each ring's `match_labels` one key with a value of its own, such as `edge-observer.io/ring`"
    );
    let same_name = [ring("A", &[("r", "1")]), ring("a", &[("r", "2")])];
    assert_eq!(overlaps(&objects(&same_name), &[], ROOT_NAMESPACE)[0].pods, "one name");
}

#[test]
fn the_single_plugin_of_this_repository_overlaps_every_ring() {
    let text = include_str!("../../../../envoy/istio/base/wasmplugin.yaml");
    let found = against(serde_yaml_ng::from_str(text).unwrap());
    assert_eq!(found.len(), 5);
    assert_eq!(found[0].other, "WasmPlugin eucora/edge-observer");
    assert!(found[0].cure.starts_with("delete WasmPlugin eucora/edge-observer, or give its selector"), "{}", found[0]);
}

#[test]
fn plugins_of_whole_namespaces_of_the_root_and_under_other_names_are_found() {
    let ours = json!({"url": "oci://registry.example/edge-observer:1.0"});
    assert_eq!(against(plugin("eucora", "all", ours.clone())).len(), 5);
    assert_eq!(against(plugin("istio-system", "all", ours.clone())).len(), 5);
    assert_eq!(against(plugin("shop", "all", ours.clone())).len(), 0);
    assert_eq!(overlaps(&objects(&five()), &[plugin("mesh", "all", ours)], "mesh").len(), 5);
    let one =
        json!({"url": "https://x/y.wasm", "pluginName": "edge_observer", "selector": {"matchLabels": {RING: "3"}}});
    let found = against(plugin("eucora", "one", one));
    assert_eq!(found.iter().map(|o| o.one.as_str()).collect::<Vec<_>>(), ["WasmPlugin eucora/edge-observer-ring-3"]);
    let file = json!({"url": "file:///opt/edge_observer.wasm", "selector": {"matchLabels": {"version": "2"}}});
    assert_eq!(against(plugin("eucora", "file", file)).len(), 5);
    let stranger = json!({"url": "oci://registry.example/other:1", "pluginName": "other", "pluginConfig": {"pluginName": "edge_observer"}});
    assert_eq!(against(plugin("eucora", "stranger", stranger)).len(), 0);
}

#[test]
fn another_kind_of_the_same_rings_overlaps_and_says_so() {
    let build = build(&json!({}));
    for kind in [IstioKind::TrafficExtension, IstioKind::EnvoyFilter] {
        let other = render(&plan(kind), &api_ring("2"), &build).unwrap();
        let found = against(other);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].one, "WasmPlugin eucora/edge-observer-ring-2");
        let delete = format!("kubectl -n eucora delete {} edge-observer-ring-2", kind.name().to_ascii_lowercase());
        assert!(found[0].cure.contains(&delete), "{}", found[0].cure);
    }
}

#[test]
fn targets_are_gateways_and_waypoints() {
    let at = |kind: &str| json!({"url": "oci://registry.example/edge-observer:1", "targetRefs": [{"kind": kind, "name": "g"}]});
    // A gateway's pods could have the rings' labels too; a waypoint looks at no selector.
    assert_eq!(against(plugin("eucora", "g", at("Gateway"))).len(), 5);
    assert_eq!(against(plugin("eucora", "s", at("Service"))).len(), 0);
    let at_gateway = |name: &str| ring(name, &[(GATEWAY, name)]);
    let found = overlaps(
        &objects(&[at_gateway("g"), at_gateway("h")]),
        &[plugin("eucora", "x", at("Gateway"))],
        ROOT_NAMESPACE,
    );
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].pods, "Gateway g");
    let two = [plugin("eucora", "a", at("Service")), plugin("eucora", "b", at("Service"))];
    assert_eq!(overlaps(&two[..1], &two[1..], ROOT_NAMESPACE)[0].pods, "Service g");
}

fn labels() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    proptest::collection::btree_map(
        proptest::sample::select(vec!["a", "b", "c"]),
        proptest::sample::select(vec!["0", "1", "2"]),
        1..4,
    )
    .prop_map(|labels| labels.into_iter().collect())
}

proptest! {
    /// Against every pod there could be with these labels.
    #[test]
    fn selectors_overlap_exactly_when_some_pod_matches_both(one in labels(), other in labels()) {
        let found = overlaps(&objects(&[ring("0", &one), ring("1", &other)]), &[], ROOT_NAMESPACE);
        let rings = [ring("0", &one), ring("1", &other)];
        let values = ["0", "1", "2"];
        let mut both = false;
        for a in values { for b in values { for c in values {
            let labels = [("a", a), ("b", b), ("c", c)].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
            let mistakes = ring_of_each(&rings, &[Pod { name: "p".to_owned(), labels }]);
            both |= mistakes.iter().any(|mistake| matches!(mistake, PodMistake::Several { .. }));
        }}}
        prop_assert_eq!(!found.is_empty(), both);
    }
}

#[test]
fn each_pod_carries_exactly_one_ring() {
    let pod = |name: &str, labels: Value| json!({"metadata": {"name": name, "labels": labels}, "status": {"phase": "Running"}});
    let mut gone = pod("gone", json!({"app": "eucora-api"}));
    gone["status"]["phase"] = "Failed".into();
    let mut ending = pod("ending", json!({"app": "eucora-api"}));
    ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    let list = json!({"items": [
        pod("a", json!({"app": "eucora-api", RING: "0"})),
        pod("b", json!({"app": "eucora-api", RING: "0", "other": "x"})),
        pod("c", json!({"app": "eucora-api"})),
        pod("d", json!({"app": "eucora-api", RING: "1", "canary": "yes"})),
        pod("database", json!({"app": "postgres"})),
        gone, ending,
    ]});
    let rings = [api_ring("0"), api_ring("1"), ring("canary", &[("app", "eucora-api"), ("canary", "yes")])];
    let found: Vec<String> = ring_of_each(&rings, &pods(&list)).iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "pod c is in no ring and would never get the build; give its Deployment's template the label of one",
            "pod d is in the rings 1 and canary and would get the filter 2 times; leave it the label of one",
            "ring 1 has 1 pods, and `expected: 2`; a ring that is not whole cannot be judged: correct the number, or look why pods are missing",
            "ring canary has 1 pods, and `expected: 2`; a ring that is not whole cannot be judged: correct the number, or look why pods are missing",
        ]
    );
}
