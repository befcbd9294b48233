//! Which objects carry the filter, and which pods they reach.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::istio::{MODULE, PLUGIN, RING};

/// An object that carries the filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carrier {
    /// `WasmPlugin`, `TrafficExtension` or `EnvoyFilter`.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The ring that it says it carries.
    pub ring: Option<String>,
    /// Which pods.
    pub reach: Reach,
}

impl Carrier {
    /// `KIND NAMESPACE/NAME`.
    #[must_use]
    pub fn object(&self) -> String {
        format!("{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// Which pods an object reaches, of its namespace, or of all where that is the root namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// All that are no waypoints.
    All,
    /// Those with each of these labels.
    Labels(BTreeMap<String, String>),
    /// The gateways, or the waypoints of services, of `targetRefs`.
    Targets(Vec<Workload>),
}

/// What a `targetRefs` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Its API group; empty for Kubernetes' own.
    pub group: String,
    /// `Gateway`, `Service`, …
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// Those of some objects that carry the filter. Lists, as `kubectl get -o json` prints them, are looked into.
#[must_use]
pub fn carriers(objects: &[Value]) -> Vec<Carrier> {
    let mut all = Vec::new();
    for object in objects {
        match object.get("items").and_then(Value::as_array) {
            Some(items) => all.extend(items.iter()),
            None => all.push(object),
        }
    }
    // Whatever has the repository of one of ours is the same filter, under whichever name.
    let repositories: Vec<&str> = all.iter().filter(|o| is_named(o)).flat_map(|o| urls(o)).map(repository).collect();
    let is_ours =
        |object: &Value| is_named(object) || urls(object).iter().any(|url| repositories.contains(&repository(url)));
    all.into_iter().filter(|object| is_ours(object)).filter_map(carrier).collect()
}

fn carrier(object: &Value) -> Option<Carrier> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let kind = text("/kind").filter(|kind| ["WasmPlugin", "TrafficExtension", "EnvoyFilter"].contains(kind))?;
    let ring = object.pointer("/metadata/labels").and_then(|labels| labels.get(RING)).and_then(Value::as_str);
    Some(Carrier {
        kind: kind.to_owned(),
        namespace: text("/metadata/namespace").unwrap_or("default").to_owned(),
        name: text("/metadata/name").unwrap_or_default().to_owned(),
        ring: ring.map(str::to_owned),
        reach: reach(object),
    })
}

fn reach(object: &Value) -> Reach {
    let target = |target: &Value| {
        let text = |field: &str| target.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        Workload { group: text("group"), kind: text("kind"), name: text("name") }
    };
    let mut targets: Vec<Workload> =
        object.pointer("/spec/targetRefs").and_then(Value::as_array).into_iter().flatten().map(target).collect();
    targets.extend(object.pointer("/spec/targetRef").map(target));
    if !targets.is_empty() {
        return Reach::Targets(targets);
    }
    let labels = ["/spec/selector/matchLabels", "/spec/workloadSelector/labels"];
    let labels: BTreeMap<String, String> = labels
        .iter()
        .filter_map(|pointer| object.pointer(pointer).and_then(Value::as_object))
        .flatten()
        .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect();
    if labels.is_empty() { Reach::All } else { Reach::Labels(labels) }
}

/// Whether an object says that it is the filter: by its plugin's name or root ID, its annotations, or the module's file.
fn is_named(object: &Value) -> bool {
    let annotated = object.pointer("/metadata/annotations").is_some_and(|all| all.get(MODULE).is_some());
    let by_file = |url: &str| {
        let file = repository(url).rsplit('/').next().unwrap_or_default();
        file.trim_end_matches(".wasm").replace('-', "_") == PLUGIN
    };
    annotated || names(object).contains(&PLUGIN) || urls(object).into_iter().any(by_file)
}

fn names(object: &Value) -> Vec<&str> {
    texts(object.get("spec").unwrap_or(&Value::Null), &["pluginName", "root_id", "rootId"])
}

/// Where a module comes from: only Wasm's own fields, `uri` being common in other filters too.
fn urls(object: &Value) -> Vec<&str> {
    let spec = object.get("spec").unwrap_or(&Value::Null);
    let mut found: Vec<&str> = ["/url", "/wasm/url"].iter().filter_map(|at| spec.pointer(at)?.as_str()).collect();
    let mut code = Vec::new();
    every(spec, &mut |key, value| {
        if key == "code" {
            code.extend(texts(value, &["uri", "filename"]));
        }
    });
    found.extend(code);
    found
}

/// The texts of all fields of some names, however deep; what a plugin configuration says is none of Istio's.
fn texts<'a>(value: &'a Value, fields: &[&str]) -> Vec<&'a str> {
    let mut found = Vec::new();
    every(value, &mut |key, value| {
        if fields.contains(&key) {
            found.extend(value.as_str());
        }
    });
    found
}

fn every<'a>(value: &'a Value, see: &mut impl FnMut(&'a str, &'a Value)) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields.iter().filter(|(key, _)| *key != "pluginConfig") {
                see(key, value);
                every(value, see);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| every(item, see)),
        _ => {}
    }
}

/// An address without its digest and tag.
fn repository(url: &str) -> &str {
    let url = url.split_once("://").map_or(url, |(_, rest)| rest);
    let url = url.split_once('@').map_or(url, |(name, _)| name);
    match url.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => url,
    }
}
