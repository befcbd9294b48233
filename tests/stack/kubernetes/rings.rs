//! The rings under `envoy/istio`: an object for each, all of one base.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use serde::Deserialize as _;
use serde_json::{Value, json};
use telemetry::config::Config;

const RINGS: [&str; 5] = ["0", "1", "2", "3", "4"];

/// Each kind that a base can be of: its file, and where the plugin's configuration is.
const KINDS: [(&str, &str, &str); 2] = [
    ("WasmPlugin", "wasmplugin.yaml", "/spec/pluginConfig"),
    ("TrafficExtension", "trafficextension.yaml", "/spec/wasm/pluginConfig"),
];

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../envoy/istio"))
}

fn read(name: &str) -> Value {
    serde_yaml_ng::from_str(&std::fs::read_to_string(folder().join(name)).unwrap()).unwrap()
}

/// What Kustomize makes of the base for a ring.
fn made(ring: &str, kind: &str, file: &str) -> Value {
    let overlay = read(&format!("rings/{ring}/kustomization.yaml"));
    assert_eq!(overlay["resources"], json!(["../../base"]), "ring {ring}");
    let mut object = read(&format!("base/{file}"));
    let patches = overlay["patches"].as_array().unwrap();
    let patch = patches.iter().find(|patch| patch["target"] == json!({"kind": kind})).unwrap();
    let operations: Vec<Value> = serde_yaml_ng::from_str(patch["patch"].as_str().unwrap()).unwrap();
    for operation in operations {
        assert_eq!(operation["op"], "add", "{operation}");
        let (parent, name) = operation["path"].as_str().unwrap().rsplit_once('/').unwrap();
        let parent = object.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        parent.insert(name.replace("~1", "/"), operation["value"].clone());
    }
    let suffix = overlay["nameSuffix"].as_str().unwrap();
    object["metadata"]["name"] = format!("{}{suffix}", object["metadata"]["name"].as_str().unwrap()).into();
    object
}

#[test]
fn each_ring_is_the_base_for_its_own_pods() {
    assert_eq!(read("rings/kustomization.yaml")["resources"], json!(RINGS));
    for (kind, file, configuration) in KINDS {
        let base = read(&format!("base/{file}"));
        let mut digests = BTreeSet::new();
        for ring in RINGS {
            let mut object = made(ring, kind, file);
            assert_eq!(object["metadata"]["name"], format!("edge-observer-ring-{ring}"));
            assert_eq!(object["metadata"]["labels"], json!({"edge-observer.io/ring": ring}));
            assert_eq!(
                object["spec"]["selector"]["matchLabels"],
                json!({"app": "eucora-api", "edge-observer.io/ring": ring})
            );
            let config = object.pointer(configuration).unwrap();
            assert_eq!(config["ring"], ring);
            digests.insert(Config::from_value(config.clone()).unwrap().digest().to_owned());
            // And is the base in everything else.
            object.pointer_mut(configuration).unwrap().as_object_mut().unwrap().remove("ring");
            object["metadata"] = base["metadata"].clone();
            object["spec"]["selector"] = base["spec"]["selector"].clone();
            assert_eq!(object, base, "{kind} of ring {ring}");
        }
        assert_eq!(digests.len(), RINGS.len(), "{digests:?}");
    }
}

/// With the program itself, where there is one: not every distribution's `kubectl` has a Kustomize that knows `patches`, so it is not asked for.
#[test]
fn kustomize_makes_the_same() {
    let output = Command::new("kubectl").arg("kustomize").arg(folder().join("rings")).output();
    let Ok(output) = output.inspect_err(|error| eprintln!("skipped: kubectl: {error}")) else { return };
    if !output.status.success() {
        eprintln!("skipped: this kubectl cannot: {}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let found: Vec<Value> = serde_yaml_ng::Deserializer::from_slice(&output.stdout)
        .map(|document| Value::deserialize(document).unwrap())
        .collect();
    let listed = read("base/kustomization.yaml")["resources"].clone();
    let chosen: Vec<_> = KINDS.iter().filter(|(_, file, _)| listed == json!([file])).collect();
    let [(kind, file, _)] = chosen[..] else { panic!("one of two: {listed}") };
    let expected: Vec<Value> = RINGS.iter().map(|ring| by_value(made(ring, kind, file))).collect();
    assert_eq!(found.into_iter().map(by_value).collect::<Vec<_>>(), expected);
}

/// Kustomize writes `1.0` as `1`, as the API server does.
fn by_value(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, by_value(value))).collect(),
        Value::Array(items) => items.into_iter().map(by_value).collect(),
        Value::Number(number) => number.as_f64().into(),
        other => other,
    }
}
