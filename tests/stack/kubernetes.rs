//! What is shipped for Kubernetes: for the Prometheus operator made from the same files, valid, and with the same labels on every series; and the rings.

mod labels;
mod rings;

use std::path::PathBuf;
use std::process::Command;

use edge_observer::stack::alertmanager::{CONFIGURATION, TEMPLATES};
use edge_observer::tools::{Tools, skip_test, target_dir};
use serde::Deserialize as _;
use serde_json::json;
use serde_yaml_ng::Value;

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../prometheus/kubernetes"))
}

/// The documents of a file.
fn documents(name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(folder().join(name)).unwrap();
    serde_yaml_ng::Deserializer::from_str(&text).map(|document| Value::deserialize(document).unwrap()).collect()
}

/// Compares with the shipped file, or writes it when `UPDATE_EXPECT` is set.
fn is_made_from(name: &str, sources: &str, documents: &[Value]) {
    let mut text = format!(
        "# Made from {sources} by `UPDATE_EXPECT=1 cargo test --workspace --test integration -- kubernetes`. Change those instead.\n"
    );
    for document in documents {
        text.push_str("---\n");
        text.push_str(&serde_yaml_ng::to_string(document).unwrap());
    }
    let file = folder().join(name);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let shipped = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(shipped == text, "{name} is out of date; run again with UPDATE_EXPECT=1");
}

fn yaml(value: serde_json::Value) -> Value {
    serde_yaml_ng::to_value(value).unwrap()
}

#[test]
fn the_rules_are_the_shipped_ones() {
    let mut rules: Vec<_> =
        std::fs::read_dir(folder().join("../rules")).unwrap().map(|file| file.unwrap().path()).collect();
    rules.sort();
    let documents: Vec<_> = rules
        .iter()
        .filter(|file| file.extension().is_some_and(|kind| kind == "yml"))
        .map(|file| {
            let spec: Value = serde_yaml_ng::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
            let name = format!("edge-observer-{}", file.file_stem().unwrap().to_str().unwrap());
            let mut document = yaml(json!({
                "apiVersion": "monitoring.coreos.com/v1",
                "kind": "PrometheusRule",
                "metadata": { "name": name },
            }));
            document.as_mapping_mut().unwrap().insert("spec".into(), spec);
            document
        })
        .collect();
    assert!(documents.len() > 3);
    is_made_from("rules.yaml", "../rules/*.yml", &documents);
}

/// The folders in which the operator puts the keys of the secret named in `secrets`, and all files of `configSecret`.
const KEYS: &str = "/etc/alertmanager/secrets/edge-observer-oncall-keys/";
const CONFIG: &str = "/etc/alertmanager/config/*.tmpl";

#[test]
fn the_alertmanager_configuration_is_the_shipped_one_at_the_operators_places() {
    // As text, so that its comments stay.
    let text = CONFIGURATION
        .replace("/etc/alertmanager/secrets/", KEYS)
        .replace("\n  - templates/*.tmpl\n", &format!("\n  - {CONFIG}\n"));
    assert_eq!((text.matches(KEYS).count(), text.matches(CONFIG).count()), (3, 1));
    let mut files = serde_yaml_ng::Mapping::new();
    files.insert("alertmanager.yaml".into(), text.clone().into());
    for (name, template) in TEMPLATES {
        files.insert(name.into(), template.into());
    }
    let mut secret = yaml(json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": "edge-observer-alertmanager" },
    }));
    secret.as_mapping_mut().unwrap().insert("stringData".into(), Value::Mapping(files));
    is_made_from("alertmanager-config.yaml", "../alertmanager.yml and ../templates", &[secret]);

    let alertmanager = &documents("alertmanager.yaml")[0];
    assert_eq!(alertmanager["spec"]["configSecret"], "edge-observer-alertmanager");
    assert_eq!(alertmanager["spec"]["secrets"][0], KEYS.rsplit('/').nth(1).unwrap());

    let Some(amtool) = super::tool(Tools::amtool) else { return };
    let place = tempfile::tempdir().unwrap();
    for (name, template) in TEMPLATES {
        std::fs::write(place.path().join(name), template).unwrap();
    }
    let file = place.path().join("alertmanager.yaml");
    std::fs::write(&file, text.replace(CONFIG, &place.path().join("*.tmpl").to_string_lossy())).unwrap();
    let output = Command::new(amtool).arg("check-config").arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let Some(findings) = super::alertmanager::amlint(&[folder().join("alertmanager-config.yaml")]) else { return };
    let codes: Vec<_> = findings.iter().map(|finding| finding["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["empty-receiver", "repeat-before-group"], "as in the shipped file: {findings:#?}");
}

#[test]
fn kustomize_is_told_of_every_file() {
    let kustomization = &documents("kustomization.yaml")[0];
    let text = std::fs::read_to_string(folder().join("kustomization.yaml")).unwrap();
    let listed = kustomization["resources"].as_sequence().unwrap();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let chosen = listed.iter().any(|listed| *listed == name.as_str());
        // The other of two, to be taken in by hand.
        let offered = text.contains(&format!("\n  # - {name}\n"));
        assert!(chosen != offered || name == "kustomization.yaml", "{name}");
    }
    for name in listed {
        assert!(folder().join(name.as_str().unwrap()).is_file(), "{name:?}");
    }
}

/// Every object, with the types that the operator's API and Kubernetes' own are made from.
#[test]
fn objects_are_what_the_operator_takes() {
    let package = target_dir().join("edge-observer/tools/kubernetes-models/node_modules");
    if !package.exists() {
        skip_test(&"the operator's types are not here; `cargo xtask test` installs them");
        return;
    }
    let models = |object: &Value| match object["apiVersion"].as_str().unwrap() {
        "monitoring.coreos.com/v1" => "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1",
        "networking.k8s.io/v1" => "kubernetes-models/networking.k8s.io/v1",
        other => panic!("{other}"),
    };
    let mut all = Vec::new();
    for file in [
        "servicemonitor-edge.yaml",
        "podmonitor-istio.yaml",
        "servicemonitor-exporters.yaml",
        "rules.yaml",
        "alertmanager.yaml",
        "../../envoy/istio/network-policy.yaml",
    ] {
        all.extend(documents(file));
    }
    assert!(all.len() > 11, "{}", all.len());
    // In a folder beside the packages, where both programs find them.
    let place = tempfile::tempdir_in(package.parent().unwrap()).unwrap();
    let check = |name: &str, objects: &[Value]| {
        // Types know the fields and find those that there are not; the schema knows patterns and ranges.
        let mut types = String::new();
        let mut schema = String::new();
        for (number, object) in objects.iter().enumerate() {
            let kind = object["kind"].as_str().unwrap();
            let models = models(object);
            let object = serde_json::to_string(object).unwrap();
            types += &format!(
                "import {{ I{kind} as T{number} }} from '{models}/{kind}';\nexport const o{number}: T{number} = {object};\n"
            );
            schema += &format!(
                "import {{ {kind} as K{number} }} from '{models}/{kind}';\nnew K{number}({object}).validate();\n"
            );
        }
        std::fs::write(place.path().join(format!("{name}.mts")), types).unwrap();
        std::fs::write(place.path().join(format!("{name}.mjs")), schema).unwrap();
        let run = |arguments: &[&str]| {
            let output = Command::new("node").args(arguments).current_dir(place.path()).output().unwrap();
            (
                output.status.success(),
                format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)),
            )
        };
        let tsc = package.join("typescript/bin/tsc");
        let tsc = tsc.to_str().unwrap();
        let options = [
            "--noEmit",
            "--strict",
            "--skipLibCheck",
            "--target",
            "es2022",
            "--module",
            "esnext",
            "--moduleResolution",
            "bundler",
        ];
        let (typed, why) = run(&[&[tsc][..], &options, &[&format!("{name}.mts")]].concat());
        let (valid, why_not) = run(&[&format!("{name}.mjs")]);
        (typed, valid, why + &why_not)
    };
    let (typed, valid, why) = check("shipped", &all);
    assert!(typed && valid, "{why}");
    // And they do refuse.
    let mut misspelt = all[0].clone();
    misspelt["spec"]["endpoints"][0].as_mapping_mut().unwrap().insert("intervall".into(), "15s".into());
    let (typed, _, why) = check("misspelt", &[misspelt]);
    assert!(!typed && why.contains("intervall"), "{why}");
    let mut wrong = all[0].clone();
    wrong["spec"]["endpoints"][0]["interval"] = "often".into();
    let (_, valid, why) = check("wrong", &[wrong]);
    assert!(!valid && why.contains("interval"), "{why}");
    let mut policy = all.iter().find(|object| object["kind"] == "NetworkPolicy").unwrap().clone();
    policy["spec"]["ingress"][0].as_mapping_mut().unwrap().insert("form".into(), Value::Sequence(Vec::new()));
    let (typed, _, why) = check("policy", &[policy]);
    assert!(!typed && why.contains("form"), "{why}");
}
