//! How a host is set up: the same fields for a suite and for a case.

use std::time::Duration;

use jiff::Timestamp;
use serde_yaml_ng::Value;

use super::case::{REPLY_FIELDS, reply};
use super::node::{Fields, Node};
use super::value;
use crate::abi::Status;
use crate::suite::format::{Cluster, FaultSpec, Protocol, Rule, RuleAnswer, Setup, When};
use crate::{Conformance, FailurePolicy, LogLevel};

pub(super) const FIELDS: [&str; 23] = [
    "module",
    "configuration",
    "configuration_file",
    "vm_configuration",
    "vm_configuration_file",
    "plugin_name",
    "root_id",
    "vm_id",
    "environment",
    "allowed_capabilities",
    "workers",
    "seed",
    "clock",
    "log_level",
    "conformance",
    "failure_policy",
    "reload_backoff",
    "fuel_per_callback",
    "memory_limit",
    "body_limit",
    "protocol",
    "clusters",
    "faults",
];
pub(super) const RULE_FIELDS: [&str; 3] = ["when", "answer", "after"];
pub(super) const WHEN_FIELDS: [&str; 4] = ["method", "path", "headers", "body"];
pub(super) const FAULT_FIELDS: [&str; 4] = ["hostcall", "nth", "returns", "traps"];
pub(super) const CLUSTER_WORDS: [&str; 5] = ["silent", "refused", "closed", "reset", "no_endpoint"];
pub(super) const CONFORMANCES: [&str; 2] = ["envoy", "spec"];
pub(super) const FAILURE_POLICIES: [&str; 3] = ["fail_closed", "fail_open", "fail_reload"];
/// What a cluster may do that is no reply.
pub(super) const ANSWERS: [&str; 3] = ["silent", "closed", "reset"];
pub(super) const PROTOCOLS: [&str; 2] = ["HTTP/1.1", "HTTP/2"];
pub(super) const LEVELS: [(&str, LogLevel); 6] = [
    ("trace", LogLevel::Trace),
    ("debug", LogLevel::Debug),
    ("info", LogLevel::Info),
    ("warn", LogLevel::Warn),
    ("error", LogLevel::Error),
    ("critical", LogLevel::Critical),
];
/// What wasm32 can address.
const MOST_MEMORY: u64 = 4 << 30;

/// Reads what is there.
pub(super) fn read(fields: &Fields<'_>) -> Setup {
    let text = |name| fields.get(name).and_then(|node| node.text());
    let bytes = |name: &str, most| {
        let size = fields.get(name).and_then(|node| value::size(&node, most))?;
        usize::try_from(size).ok()
    };
    Setup {
        module: fields.get("module").and_then(|node| Some(node.resolve(&node.text()?))),
        configuration: configuration(fields, "configuration", "configuration_file"),
        vm_configuration: configuration(fields, "vm_configuration", "vm_configuration_file"),
        name: text("plugin_name"),
        root_id: text("root_id"),
        vm_id: text("vm_id"),
        capabilities: fields
            .get("allowed_capabilities")
            .and_then(|node| Some(node.list()?.iter().filter_map(|node| node.text()).collect())),
        environment: fields.get("environment").map(|node| environment(&node)),
        workers: fields.get("workers").and_then(|node| u32::try_from(node.whole(1..=64)?).ok()),
        seed: fields.get("seed").and_then(|node| node.whole(0..=u64::MAX)),
        clock: fields.get("clock").and_then(|node| clock(&node)),
        log_level: fields.get("log_level").and_then(|node| level(&node)),
        conformance: fields.get("conformance").and_then(|node| {
            let place = node.word(&CONFORMANCES)?;
            Some(if place == 0 { Conformance::Envoy } else { Conformance::Spec })
        }),
        failure_policy: failure_policy(fields),
        fuel_per_callback: fields.get("fuel_per_callback").and_then(|node| node.whole(1..=u64::MAX)),
        memory_limit: bytes("memory_limit", MOST_MEMORY),
        body_limit: bytes("body_limit", MOST_MEMORY),
        protocol: fields.get("protocol").and_then(|node| protocol(&node)),
        clusters: fields.get("clusters").map(|node| clusters(&node)),
        faults: fields.get("faults").and_then(|node| Some(node.list()?.iter().filter_map(fault).collect())),
    }
}

impl Setup {
    /// What a case says, and the suite's word where it says nothing. Clusters are taken one by one.
    pub(super) fn or(self, suite: &Self) -> Self {
        let suite = suite.clone();
        let clusters = match (self.clusters, suite.clusters) {
            (Some(own), Some(others)) => {
                let mut all = own;
                for (name, cluster) in others {
                    if !all.iter().any(|(known, _)| *known == name) {
                        all.push((name, cluster));
                    }
                }
                Some(all)
            }
            (own, others) => own.or(others),
        };
        Self {
            module: self.module.or(suite.module),
            configuration: self.configuration.or(suite.configuration),
            vm_configuration: self.vm_configuration.or(suite.vm_configuration),
            name: self.name.or(suite.name),
            root_id: self.root_id.or(suite.root_id),
            vm_id: self.vm_id.or(suite.vm_id),
            capabilities: self.capabilities.or(suite.capabilities),
            environment: self.environment.or(suite.environment),
            workers: self.workers.or(suite.workers),
            seed: self.seed.or(suite.seed),
            clock: self.clock.or(suite.clock),
            log_level: self.log_level.or(suite.log_level),
            conformance: self.conformance.or(suite.conformance),
            failure_policy: self.failure_policy.or(suite.failure_policy),
            fuel_per_callback: self.fuel_per_callback.or(suite.fuel_per_callback),
            memory_limit: self.memory_limit.or(suite.memory_limit),
            body_limit: self.body_limit.or(suite.body_limit),
            protocol: self.protocol.or(suite.protocol),
            clusters,
            faults: self.faults.or(suite.faults),
        }
    }
}

/// A text as it is, anything else as JSON, or a file's bytes.
pub(super) fn configuration(fields: &Fields<'_>, inline: &str, file: &str) -> Option<Vec<u8>> {
    fields.at_most_one(&[inline, file]);
    if let Some(node) = fields.get(file) {
        return value::file(&node);
    }
    configuration_value(&fields.get(inline)?)
}

pub(super) fn configuration_value(node: &Node<'_>) -> Option<Vec<u8>> {
    match node.value() {
        Value::Null => Some(Vec::new()),
        Value::String(text) => Some(text.clone().into_bytes()),
        _ => value::json(node).map(|json| json.to_string().into_bytes()),
    }
}

fn failure_policy(fields: &Fields<'_>) -> Option<FailurePolicy> {
    let policy = fields.get("failure_policy").and_then(|node| node.word(&FAILURE_POLICIES));
    let backoff = fields.get("reload_backoff");
    if let Some(node) = backoff.as_ref().filter(|_| policy != Some(2)) {
        node.mistake("found without `failure_policy: fail_reload` beside it; add that");
    }
    Some(match policy? {
        0 => FailurePolicy::FailClosed,
        1 => FailurePolicy::FailOpen,
        _ => FailurePolicy::FailReload {
            backoff: backoff.map_or(Some(FailurePolicy::RELOAD_BACKOFF), |node| value::duration(&node))?,
        },
    })
}

fn environment(node: &Node<'_>) -> Vec<(String, String)> {
    let variable = |(name, node): (String, Node<'_>)| {
        let value = String::from_utf8(value::scalar(&node)?).ok();
        value.map_or_else(|| node.refuse("a text"), |value| Some((name, value)))
    };
    node.entries().unwrap_or_default().into_iter().filter_map(variable).collect()
}

fn clock(node: &Node<'_>) -> Option<u64> {
    let time = match node.value() {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok().and_then(|time: Timestamp| u64::try_from(time.as_nanosecond()).ok()),
        _ => None,
    };
    time.map_or_else(|| node.refuse("a UTC time like `2026-01-01T00:00:00Z`, or nanoseconds since 1970"), Some)
}

pub(super) fn level(node: &Node<'_>) -> Option<LogLevel> {
    let place = node.word(&LEVELS.map(|(name, _)| name))?;
    LEVELS.get(place).map(|(_, level)| *level)
}

pub(super) fn protocol(node: &Node<'_>) -> Option<Protocol> {
    Some(if node.word(&PROTOCOLS)? == 0 { Protocol::Http1 } else { Protocol::Http2 })
}

fn clusters(node: &Node<'_>) -> Vec<(String, Cluster)> {
    let entries = node.entries().unwrap_or_default();
    entries.into_iter().filter_map(|(name, node)| Some((name, cluster(&node)?))).collect()
}

fn cluster(node: &Node<'_>) -> Option<Cluster> {
    match node.as_text() {
        Some("no_endpoint") => return Some(Cluster::NoEndpoint),
        Some("refused") => return Some(Cluster::Refused),
        Some(_) => {
            node.word(&CLUSTER_WORDS)?;
        }
        None => {}
    }
    Some(Cluster::Rules(node.one_or_more().iter().filter_map(rule).collect()))
}

/// A status, a word, or a mapping.
fn rule(node: &Node<'_>) -> Option<Rule> {
    let answer = |node: &Node<'_>| {
        Some(match node.word(&ANSWERS)? {
            0 => RuleAnswer::Silence,
            1 => RuleAnswer::Close,
            _ => RuleAnswer::Reset,
        })
    };
    if node.as_text().is_some() {
        return Some(Rule { when: When::default(), answer: answer(node)?, after: Duration::ZERO });
    }
    if !node.is_mapping() {
        let (payload, after) = reply(node)?;
        return Some(Rule { when: When::default(), answer: RuleAnswer::Reply(payload), after });
    }
    let fields = node.fields(&[&RULE_FIELDS, &REPLY_FIELDS])?;
    let when = fields.get("when").map_or(Some(When::default()), |node| when(&node))?;
    if let Some(word) = fields.get("answer") {
        fields.at_most_one(&["answer", "status"]);
        let after = fields.get("after").map_or(Some(Duration::ZERO), |node| value::duration(&node))?;
        return Some(Rule { when, answer: answer(&word)?, after });
    }
    let (payload, after) = super::case::reply_fields(&fields)?;
    Some(Rule { when, answer: RuleAnswer::Reply(payload), after })
}

fn when(node: &Node<'_>) -> Option<When> {
    let fields = node.fields(&[&WHEN_FIELDS])?;
    let text = |name| fields.get(name).and_then(|node| value::exact(&node));
    Some(When {
        method: text("method"),
        path: text("path"),
        headers: fields.get("headers").map(|node| value::header_matches(&node)).unwrap_or_default(),
        body: fields.get("body").and_then(|node| value::body_match(&node)),
    })
}

fn fault(node: &Node<'_>) -> Option<FaultSpec> {
    let fields = node.fields(&[&FAULT_FIELDS])?;
    fields.at_most_one(&["returns", "traps"]);
    let hostcall = hostcall(&fields.required("hostcall", "the hostcall's name, or `allocator`")?, true);
    let nth = fields.get("nth").and_then(|node| node.whole(1..=u64::MAX));
    let traps = fields.get("traps").and_then(|node| node.flag()).unwrap_or(false);
    let status = match fields.get("returns") {
        _ if traps => None,
        None => Some(Status::InternalFailure),
        Some(node) => {
            let names = Status::ALL.map(|status| format!("{status:?}"));
            let place = node.word(&names.each_ref().map(String::as_str))?;
            Status::ALL.get(place).copied()
        }
    };
    Some(FaultSpec { hostcall: hostcall?, nth, status })
}

/// The name of a hostcall that there is.
pub(super) fn hostcall(node: &Node<'_>, allocator: bool) -> Option<String> {
    let name = node.text()?;
    if crate::hostcall::NAMES.contains(&name.as_str()) || (allocator && name == "allocator") {
        return Some(name);
    }
    node.refuse("a hostcall's name, like `proxy_log`")
}
