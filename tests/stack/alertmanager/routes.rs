//! Where alerts go, asked from `amtool`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_yaml_ng::Value;

use super::{root, said, shipped, the_amtool};

/// The teams that may be in `team`, and the severities that may be in `severity`.
const TEAMS: [&str; 4] = ["api", "edge", "platform", "connectors"];
const SEVERITIES: [&str; 4] = ["critical", "warning", "info", "none"];

/// The labels that each alert of the rules is given, by its name.
pub(super) fn alerts() -> BTreeMap<String, BTreeMap<String, String>> {
    let mut alerts = BTreeMap::new();
    for rule in rules() {
        let Some(name) = rule.get("alert").and_then(Value::as_str) else { continue };
        let labels = rule.get("labels").and_then(Value::as_mapping);
        let mut labels: BTreeMap<String, String> = labels
            .into_iter()
            .flatten()
            .map(|(label, value)| (label.as_str().unwrap().to_owned(), value.as_str().unwrap().to_owned()))
            .collect();
        labels.insert("alertname".to_owned(), name.to_owned());
        alerts.insert(name.to_owned(), labels);
    }
    alerts
}

/// Every rule of every group.
fn rules() -> Vec<Value> {
    let mut rules = Vec::new();
    for file in yaml_files(&root().join("prometheus/rules")) {
        let file: Value = serde_yaml_ng::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        for group in file["groups"].as_sequence().unwrap() {
            rules.extend(group["rules"].as_sequence().unwrap().iter().cloned());
        }
    }
    rules
}

pub(super) fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|file| file.extension().is_some_and(|kind| kind == "yml")).collect();
    files.sort();
    assert!(!files.is_empty(), "{}", folder.display());
    files
}

/// Who is told of what has these labels.
fn expected(labels: &BTreeMap<String, String>) -> &'static str {
    if labels.get("alertname").is_some_and(|name| name == "Watchdog") {
        return "heartbeat";
    }
    match labels.get("severity").map(String::as_str) {
        Some("critical") => "oncall-pagerduty,oncall-opsgenie",
        Some("warning") => "tickets",
        Some("info" | "none") => "none",
        other => panic!("no receiver is meant for {other:?}"),
    }
}

/// The shipped file whose last resort is a receiver of its own, so that what falls there is seen.
fn with_marked_default(folder: &Path) -> PathBuf {
    let mut file: Value = serde_yaml_ng::from_str(&std::fs::read_to_string(shipped()).unwrap()).unwrap();
    file["route"]["receiver"] = "default".into();
    file["receivers"].as_sequence_mut().unwrap().push(serde_yaml_ng::from_str("name: default").unwrap());
    let place = folder.join("alertmanager.yml");
    std::fs::write(&place, serde_yaml_ng::to_string(&file).unwrap()).unwrap();
    place
}

/// Asks `amtool`; what it said when it does not agree.
fn route(amtool: &Path, file: &Path, receivers: &str, labels: &BTreeMap<String, String>) -> Result<(), String> {
    let output = Command::new(amtool)
        .args(["config", "routes", "test", "--config.file"])
        .arg(file)
        .arg(format!("--verify.receivers={receivers}"))
        .args(labels.iter().map(|(label, value)| format!("{label}={value}")))
        .output()
        .unwrap();
    if output.status.success() { Ok(()) } else { Err(format!("{labels:?}: {}", said(&output))) }
}

#[test]
fn every_severity_and_team_goes_where_it_is_meant_to() {
    let Some(amtool) = the_amtool() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = with_marked_default(folder.path());
    for severity in SEVERITIES {
        for team in TEAMS {
            let labels = [("severity", severity), ("team", team), ("alertname", "Any"), ("service", "eucora-api")];
            let labels = labels.map(|(label, value)| (label.to_owned(), value.to_owned())).into();
            route(&amtool, &file, expected(&labels), &labels).unwrap();
        }
    }
    // What nobody thought of goes to the last resort, which is a ticket as it is shipped.
    let odd = [("severity".to_owned(), "page".to_owned())].into();
    route(&amtool, &file, "default", &odd).unwrap();
    route(&amtool, &shipped(), "tickets", &odd).unwrap();
    route(&amtool, &shipped(), "tickets", &BTreeMap::new()).unwrap();
    // And the question itself can be answered with no.
    assert!(route(&amtool, &file, "tickets", &[("severity".to_owned(), "critical".to_owned())].into()).is_err());
}

#[test]
fn every_alert_goes_where_its_severity_says() {
    let Some(amtool) = the_amtool() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = with_marked_default(folder.path());
    let alerts = alerts();
    assert!(alerts.len() > 20, "{alerts:?}");
    let mut receivers = BTreeSet::new();
    for (name, labels) in &alerts {
        let (severity, team) = (labels.get("severity"), labels.get("team"));
        assert!(severity.is_some_and(|severity| SEVERITIES.contains(&severity.as_str())), "{name}: {severity:?}");
        assert!(team.is_some_and(|team| TEAMS.contains(&team.as_str())) || name == "Watchdog", "{name}: {team:?}");
        // As Prometheus sends it.
        let mut labels = labels.clone();
        labels.insert("service".to_owned(), "eucora-api".to_owned());
        labels.insert("environment".to_owned(), "production".to_owned());
        labels.insert("cluster".to_owned(), "eucora".to_owned());
        route(&amtool, &file, expected(&labels), &labels).unwrap();
        receivers.insert(expected(&labels));
    }
    for used in ["heartbeat", "tickets", "oncall-pagerduty,oncall-opsgenie"] {
        assert!(receivers.contains(used), "no alert goes to {used}");
    }
}
