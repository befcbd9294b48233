use std::fs;

use serde_json::json;

use super::*;
use crate::build::sha256;

const FILE: &str = r#"
version_info: "7"
resources:
- {"@type": type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig, name: other, typed_config: {a: 1}}
- "@type": type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig
  name: edge
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
    config:
      name: edge
      failurePolicy: FAIL_RELOAD
      vmConfig:
        environment_variables: {host_env_keys: [SIEM_TOKEN]}
        code: {remote: {http_uri: {uri: "http://a"}}}
"#;

fn build(module: &[u8]) -> Build {
    Build {
        module: module.to_vec(),
        module_sha256: sha256(module),
        configuration: json!({ "ring": "0", "build": "b" }).to_string(),
        digest: "0123456789ab".into(),
        image: None,
    }
}

fn hands(folder: &Path, file: &str) -> (FileEcds, Target) {
    let text = format!(
        "name: edge\nartifact: {{module: a, configuration: b}}\nhands: {{file_ecds: {{}}}}\nprometheus: {{url: http://p}}\n\
         rings: [{{name: \"0\", instances: [{{name: a, ecds: ecds/{file}, modules: modules, admin: \"http://127.0.0.1:1\"}}]}}]\n"
    );
    let plan = crate::plan::parse(&text, folder).unwrap();
    fs::create_dir_all(folder.join("ecds")).unwrap();
    let hands = FileEcds::new("edge", &plan.rings);
    let target = hands.targets(&plan.rings[0]).remove(0);
    (hands, target)
}

#[test]
fn a_build_changes_its_own_fields_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let (hands, target) = hands(folder.path(), "edge.yaml");
    let bytes = hands.render(&target, Some(FILE.as_bytes()), &build(b"one")).unwrap();
    let changed: serde_json::Value = serde_yaml_ng::from_slice(&bytes).unwrap();
    let module = folder.path().join("modules/edge_observer-7692c3ad3540.wasm");
    let mut expected: serde_json::Value = serde_yaml_ng::from_str(FILE).unwrap();
    expected["version_info"] = "7692c3ad3540-0123456789ab".into();
    let config = &mut expected["resources"][1]["typed_config"]["config"];
    config["vmConfig"]["code"] = json!({ "local": { "filename": module } });
    config["configuration"] =
        json!({ "@type": "type.googleapis.com/google.protobuf.StringValue", "value": build(b"one").configuration });
    assert_eq!(changed, expected);
    assert_eq!(fs::read(&module).unwrap(), b"one");
    // The same again, and nothing but the module was written.
    assert_eq!(hands.render(&target, Some(FILE.as_bytes()), &build(b"one")).unwrap(), bytes);
    assert_eq!(hands.read(&target).unwrap(), None);
    assert_eq!(fs::read_dir(folder.path().join("modules")).unwrap().count(), 1);
}

#[test]
fn where_nothing_is_the_shipped_file_is_put() {
    let folder = tempfile::tempdir().unwrap();
    let (hands, target) = hands(folder.path(), "edge.json");
    let bytes = hands.render(&target, None, &build(b"one")).unwrap();
    let file: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(file["resources"][0]["name"], "edge");
    assert_eq!(file["resources"][0]["typed_config"]["config"]["failure_policy"], "FAIL_OPEN");
    assert_eq!(file["resources"][0]["typed_config"]["config"]["configuration"]["value"], build(b"one").configuration);
}

#[test]
fn what_cannot_be_changed_is_refused_with_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    let (hands, target) = hands(folder.path(), "edge.yaml");
    let check = |file: &str, expected: &str| {
        let error = hands.render(&target, Some(file.as_bytes()), &build(b"one")).unwrap_err().to_string();
        assert!(error.starts_with("ring 0, a: ") && error.contains(expected), "{error}");
        assert!(!folder.path().join("modules").exists(), "a module was left behind");
    };
    check(": [", "is no YAML");
    check("a: 1", "has no list `resources`");
    check(
        &FILE.replace("name: edge", "name: edges"),
        "has no resource `edge`, only `other`, `edges`; set hands.file_ecds.filter",
    );
    check(&FILE.replace("FAIL_RELOAD", "FAIL_CLOSED"), "`failure_policy` is FAIL_CLOSED");
    check(
        &FILE.replace("failurePolicy: FAIL_RELOAD", "root_id: a"),
        "`failure_policy` is missing, which is FAIL_CLOSED",
    );
    check(&FILE.replace("wasm.v3.Wasm", "lua.v3.Lua"), "no Wasm filter");
}

#[test]
fn a_module_is_never_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let (hands, target) = hands(folder.path(), "edge.yaml");
    let module = folder.path().join("modules/edge_observer-7692c3ad3540.wasm");
    fs::create_dir_all(module.parent().unwrap()).unwrap();
    fs::write(&module, b"something else").unwrap();
    let error = hands.render(&target, None, &build(b"one")).unwrap_err().to_string();
    assert!(error.contains("has other bytes than its name says"), "{error}");
    assert_eq!(fs::read(&module).unwrap(), b"something else");
}

#[cfg(unix)]
#[test]
fn a_file_is_replaced_whole_and_keeps_its_permissions() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    let folder = tempfile::tempdir().unwrap();
    let (hands, target) = hands(folder.path(), "edge.yaml");
    let file = folder.path().join("ecds/edge.yaml");
    hands.write(&target, Some(b"one")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let inode = fs::metadata(&file).unwrap().ino();
    hands.write(&target, Some(b"one")).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().ino(), inode, "the same bytes were written again");
    // What a killed process left.
    fs::write(folder.path().join(".edge.yaml.new"), "half of a very long file").unwrap();
    hands.write(&target, Some(b"two")).unwrap();
    assert_ne!(fs::metadata(&file).unwrap().ino(), inode);
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o640);
    assert_eq!(hands.read(&target).unwrap().as_deref(), Some(b"two".as_slice()));
    hands.write(&target, None).unwrap();
    hands.write(&target, None).unwrap();
    assert_eq!(hands.read(&target).unwrap(), None);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something was left beside the folder");
    symlink(folder.path().join("elsewhere"), &file).unwrap();
    assert!(hands.write(&target, Some(b"one")).unwrap_err().to_string().contains("is a symbolic link"));
}

#[test]
fn a_proxy_that_is_away_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (hands, target) = hands(folder.path(), "edge.yaml");
    let error = hands.taken(&target, Some(FILE.as_bytes()), Timestamp::UNIX_EPOCH).unwrap_err().to_string();
    assert!(error.contains("http://127.0.0.1:1/stats"), "{error}");
    let stranger = Target { ring: "9".into(), name: "z".into() };
    assert!(hands.read(&stranger).unwrap_err().to_string().contains("has no such instance"));
}
