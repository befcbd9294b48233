//! `edge-observer routes try` as an operator runs it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this crate is tests and nothing else: a panic is how one fails"
)]

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn tool(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edge-observer"));
    command.current_dir(root()).args(["routes", "try"]).args(arguments);
    command
}

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    text(&tool(arguments).output().unwrap())
}

fn text(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

const PROFILE: &str = "envoy/plugin-config/eucora.yaml";
const LOG: &str = "tests/data/access.log";

#[test]
fn the_shipped_profile_against_the_shipped_log() {
    let (code, out, err) = run(&[PROFILE, "--access-log", LOG]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.contains("covered 333 of 400 requests, 83.2 %"), "{out}");
    assert!(out.contains("answered with 404 or 405"), "{out}");
    assert!(!out.contains("paste"), "{out}");
    let (_, all, _) = run(&[PROFILE, "--access-log", LOG, "--all"]);
    assert!(
        all.contains("48 of 61 configured endpoints got no request:\n") && all.contains("\n/api/schema/\n"),
        "{all}"
    );
}

#[test]
fn a_log_on_standard_input_gives_the_same_proposals() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("empty.yaml");
    File::create(&config).unwrap();
    let config = config.to_str().unwrap();
    let json = |output: &Output| -> serde_json::Value { serde_json::from_slice(&output.stdout).unwrap() };
    let from_file = json(&tool(&[config, "--json", "--access-log", LOG]).output().unwrap());
    let piped =
        tool(&[config, "--json", "--access-log", "-"]).stdin(File::open(root().join(LOG)).unwrap()).output().unwrap();
    assert_eq!(json(&piped), from_file);
    // A pipe cannot be read twice, unlike a file that happens to be standard input.
    let mut child =
        tool(&[config, "--json", "--access-log", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let bytes = std::fs::read(root().join(LOG)).unwrap();
    child.stdin.take().unwrap().write_all(&bytes).unwrap();
    let found = json(&child.wait_with_output().unwrap());
    let templates = |value: &serde_json::Value| -> Vec<String> {
        value["proposals"]
            .as_array()
            .unwrap()
            .iter()
            .map(|route| route["template"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(templates(&found), templates(&from_file));
    assert!(templates(&found).contains(&"/api/v1/deployments/{deployment_id}/approve/".to_owned()), "{found}");
    assert_eq!(found["after"], from_file["after"]);
}

#[test]
fn wrong_usage_ends_with_2() {
    for arguments in [
        &[PROFILE][..],
        &["--access-log", LOG],
        &[PROFILE, "--access-log", LOG, "--top", "0"],
        &[PROFILE, "--access-log", LOG, "--top", "5", "--all"],
        &[PROFILE, "--access-log", "/nonexistent/access.log"],
        &["/nonexistent/config.yaml", "--access-log", LOG],
        &["-", "--access-log", "-"],
    ] {
        let (code, out, err) = run(arguments);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{arguments:?}: {err}");
        assert!(!err.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_configuration_with_mistakes_ends_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("bad.yaml");
    std::fs::write(&config, "namespace: Shop\n").unwrap();
    let (code, _, err) = run(&[config.to_str().unwrap(), "--access-log", LOG]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("bad.yaml: namespace: "), "{err}");
}
