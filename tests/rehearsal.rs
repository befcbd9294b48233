//! The preflight's rehearsal of a build in the embedded host.

use std::path::Path;

use edge_observer::envoy::profile_json;
use edge_observer::rollout::preflight::rehearsal::{Rehearsed, rehearse};
use rollout::build::builds;
use rollout::hands::Build;
use rollout::plan::{Plan, parse};
use serde_json::{Value, json};

use crate::support::mortal::mortal_module;
use crate::support::proxy::module_path;

fn plan() -> Plan {
    let text = r#"
name: edge
artifact: {module: a, configuration: b}
hands: {file_ecds: {}}
prometheus: {url: http://p}
rings: [{name: "0", instances: [{name: a, ecds: a/e, modules: m, admin: http://a:1}]}]
"#;
    parse(text, Path::new("/")).unwrap()
}

fn build(module: &Path, configuration: &Value) -> Build {
    let module = std::fs::read(module).unwrap();
    builds(&plan(), &module, configuration).unwrap().remove("0").unwrap()
}

fn run(module: &Path, configuration: &Value) -> Result<Rehearsed, Vec<String>> {
    rehearse(&build(module, configuration), &[])
}

#[test]
fn the_shipped_build_loses_and_changes_nothing() {
    let profile: Value = serde_json::from_str(&profile_json()).unwrap();
    let github: Value = serde_yaml_ng::from_str(
        &std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/data/github.yaml")).unwrap(),
    )
    .unwrap();
    for configuration in [profile, github, json!({})] {
        let done = run(module_path(), &configuration).unwrap();
        assert!(done.requests > 2_000 && done.fuel > 0 && done.hostcalls > 3.0 && done.series > 20, "{done:?}");
    }
}

#[test]
fn a_module_that_traps_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let complaints = run(&mortal_module(folder.path()), &json!({})).unwrap_err();
    let all = complaints.join("\n");
    assert!(all.contains("the VM of worker") && all.contains("the filter counted"), "{all}");
}

#[test]
fn a_secret_that_the_proxies_have_is_given_and_one_that_nobody_has_is_missed() {
    let configuration = json!({ "events": { "sinks": [{
        "name": "siem", "cluster": "siem", "authority": "siem.example", "json": { "path": "/events", "authorization": "bearer" }, "secret_env": "SIEM_TOKEN",
    }] } });
    let build = build(module_path(), &configuration);
    let refused = rehearse(&build, &[]).unwrap_err().join("\n");
    assert!(refused.contains("SIEM_TOKEN"), "{refused}");
    let taken = rehearse(&build, &["SIEM_TOKEN".to_owned()]);
    assert!(taken.is_ok(), "{taken:?}");
}

#[test]
fn what_is_no_module_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("no.wasm");
    std::fs::write(&file, "no module").unwrap();
    let complaints = run(&file, &json!({})).unwrap_err();
    assert!(!complaints.is_empty() && !complaints[0].is_empty(), "{complaints:?}");
}
