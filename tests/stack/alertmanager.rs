//! The Alertmanager configuration: `amtool`, `amlint`, and where each alert goes.

mod formats;
mod inhibition;
mod live;
mod routes;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use edge_observer::stack::alertmanager::{LoopbackOptions, Timings, loopback_config};
use edge_observer::tools::{Tools, skip_test, target_dir};
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).canonicalize().unwrap()
}

fn shipped() -> PathBuf {
    root().join("prometheus/alertmanager.yml")
}

fn the_amtool() -> Option<PathBuf> {
    super::tool(Tools::amtool)
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn amtool_accepts_the_configuration() {
    let Some(amtool) = the_amtool() else { return };
    let output = Command::new(amtool).arg("check-config").arg(shipped()).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("1 templates"), "{}", said(&output));
}

#[test]
fn on_loopback_it_is_accepted_too_and_calls_nobody_else() {
    let Some(amtool) = the_amtool() else { return };
    let receivers = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
    for timings in [None, Some(Timings::short())] {
        for (mute_times, inhibition) in [(true, true), (true, false), (false, true), (false, false)] {
            let folder = tempfile::tempdir().unwrap();
            let options = LoopbackOptions { timings, mute_times, inhibition };
            let file = loopback_config(receivers, folder.path(), &options).unwrap();
            let output = Command::new(&amtool).arg("check-config").arg(&file).output().unwrap();
            assert!(output.status.success(), "{options:?}: {}", said(&output));
            let text = std::fs::read_to_string(file).unwrap();
            assert_eq!((text.matches("https://").count(), text.matches("/etc/").count()), (0, 0), "{text}");
            assert_eq!(text.matches("http://").count(), text.matches("http://127.0.0.1:9/").count(), "{text}");
            assert_eq!(text.contains("inhibit_rules"), inhibition);
            assert_eq!(text.contains("mute_time_intervals"), mute_times);
            assert_eq!(text.contains("24h"), timings.is_none());
        }
    }
}

/// `amlint`'s findings on files, with the rules beside them.
pub(super) fn amlint(files: &[PathBuf]) -> Option<Vec<Value>> {
    let folder = target_dir().join("edge-observer/tools/amlint");
    let program = folder.join("bin/amlint");
    if !program.exists() {
        skip_test(&"amlint is not here; `cargo xtask test` installs it");
        return None;
    }
    let output = Command::new("python3")
        .arg(program)
        .args(["check", "--format", "json", "--exit-zero", "--rules"])
        .arg(root().join("prometheus/rules/*.yml"))
        .args(files)
        .env("PYTHONPATH", folder)
        .output()
        .unwrap();
    Some(serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(&output))))
}

#[test]
fn amlint_finds_what_is_meant_and_nothing_else() {
    let Some(findings) = amlint(&[shipped()]) else { return };
    // Code, place, and why it stays.
    let meant = [
        ("empty-receiver", "receivers[none]", "it is there to tell nobody"),
        (
            "repeat-before-group",
            "route.routes[0]",
            "a heartbeat at every group_interval; equal, it would be every other",
        ),
    ];
    let unexpected: Vec<_> = findings
        .iter()
        .filter(|finding| !meant.iter().any(|(code, place, _)| finding["code"] == *code && finding["where"] == *place))
        .collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    assert_eq!(findings.len(), meant.len(), "a reason that is no longer needed");
}
