//! Alertmanager with the shipped configuration, whose receivers are on loopback.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use serde_yaml_ng::{Mapping, Value};

use super::Program;
use super::receivers::{HEARTBEAT_TOKEN, OPSGENIE_KEY, PAGERDUTY_KEY};
use crate::client;

/// The shipped configuration.
pub const CONFIGURATION: &str = include_str!("../../../prometheus/alertmanager.yml");

/// The shipped templates, by file name.
pub const TEMPLATES: [(&str, &str); 2] = [
    ("eucora.tmpl", include_str!("../../../prometheus/templates/eucora.tmpl")),
    ("site.tmpl", include_str!("../../../prometheus/templates/site.tmpl")),
];

/// The secrets that the configuration reads, and what the receivers on loopback know.
const SECRETS: [(&str, &str); 3] = [
    ("pagerduty-routing-key", PAGERDUTY_KEY),
    ("opsgenie-api-key", OPSGENIE_KEY),
    ("heartbeat-token", HEARTBEAT_TOKEN),
];

/// Where the shipped configuration has its secrets.
const SECRETS_FOLDER: &str = "/etc/alertmanager/secrets";

/// How long Alertmanager may take to be ready.
const START: Duration = Duration::from_secs(30);

/// How often somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timings {
    /// From a group's first alert to its first message.
    pub group_wait: Duration,
    /// Between the messages of a group that changes.
    pub group_interval: Duration,
    /// Between the messages of a group that does not.
    pub repeat_interval: Duration,
}

impl Timings {
    /// For a test that watches alerts come and go: one second, and no repetition but the heartbeat's.
    pub fn short() -> Self {
        let second = Duration::from_secs(1);
        Self { group_wait: second, group_interval: second, repeat_interval: Duration::from_secs(3600) }
    }
}

/// What of the shipped configuration is changed besides addresses and secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoopbackOptions {
    /// For all groups; the heartbeat repeats with each `group_interval`. `None` keeps the shipped ones.
    pub timings: Option<Timings>,
    /// Whether tickets have to wait for office hours.
    pub mute_times: bool,
    /// Whether alerts inhibit others.
    pub inhibition: bool,
}

impl Default for LoopbackOptions {
    /// As shipped.
    fn default() -> Self {
        Self { timings: None, mute_times: true, inhibition: true }
    }
}

/// Writes the shipped configuration and templates into `folder`, with the addresses of `receivers` and their secrets. Returns the
/// configuration file.
///
/// # Errors
/// When the shipped file is not of the form that this program knows, or a file cannot be written.
pub fn loopback_config(receivers: SocketAddr, folder: &Path, options: &LoopbackOptions) -> anyhow::Result<PathBuf> {
    let folder = std::path::absolute(folder)?;
    let secrets = folder.join("secrets");
    let templates = folder.join("templates");
    for (place, files) in [(&secrets, &SECRETS[..]), (&templates, &TEMPLATES[..])] {
        std::fs::create_dir_all(place).with_context(|| format!("{} cannot be made", place.display()))?;
        for (name, text) in files {
            let file = place.join(name);
            std::fs::write(&file, text).with_context(|| format!("{} cannot be written", file.display()))?;
        }
    }
    let mut root: Value = serde_yaml_ng::from_str(CONFIGURATION)?;
    // Aliases of the shipped file are values of their own here.
    replace_in(&mut root, SECRETS_FOLDER, &secrets.to_string_lossy());
    set(&mut root, "templates.0", templates.join("*.tmpl").to_string_lossy())?;
    set(&mut root, "global.pagerduty_url", format!("http://{receivers}/v2/enqueue"))?;
    set(&mut root, "global.opsgenie_api_url", format!("http://{receivers}/jsm/ops/integration/"))?;
    let tickets = at(receiver(&mut root, "tickets")?, "opsgenie_configs.0")?;
    add(tickets, "api_url", format!("http://{receivers}/tickets/"))?;
    set(receiver(&mut root, "heartbeat")?, "webhook_configs.0.url", format!("http://{receivers}/heartbeat"))?;
    let mut routes = vec![at(&mut root, "route")?];
    while let Some(route) = routes.pop() {
        change_route(route, options)?;
        if let Some(Value::Sequence(below)) = route.get_mut("routes") {
            routes.extend(below);
        }
    }
    if !options.mute_times {
        remove(&mut root, "time_intervals")?;
    }
    if !options.inhibition {
        remove(&mut root, "inhibit_rules")?;
    }
    let file = folder.join("alertmanager.yml");
    std::fs::write(&file, serde_yaml_ng::to_string(&root)?)
        .with_context(|| format!("{} cannot be written", file.display()))?;
    Ok(file)
}

fn change_route(route: &mut Value, options: &LoopbackOptions) -> anyhow::Result<()> {
    if !options.mute_times && route.get("mute_time_intervals").is_some() {
        remove(route, "mute_time_intervals")?;
    }
    let Some(timings) = options.timings else { return Ok(()) };
    let heartbeat = route.get("receiver").and_then(Value::as_str) == Some("heartbeat");
    let repeat = if heartbeat { timings.group_interval } else { timings.repeat_interval };
    for (name, value) in
        [("group_wait", timings.group_wait), ("group_interval", timings.group_interval), ("repeat_interval", repeat)]
    {
        // Those that a route has from the one above it, too: the same for all.
        add(route, name, format!("{}ms", value.as_millis()))?;
    }
    Ok(())
}

/// The value at a path of field names and list indices.
fn at<'a>(root: &'a mut Value, path: &str) -> anyhow::Result<&'a mut Value> {
    path.split('.').try_fold(root, |value, step| {
        let next = match step.parse::<usize>() {
            Ok(index) => value.get_mut(index),
            Err(_) => value.get_mut(step),
        };
        next.with_context(|| format!("prometheus/alertmanager.yml has no `{path}` where it is looked for"))
    })
}

/// Sets a field that the shipped file has, so that a rename there cannot silently undo an edit here.
fn set(root: &mut Value, path: &str, to: impl AsRef<str>) -> anyhow::Result<()> {
    *at(root, path)? = to.as_ref().into();
    Ok(())
}

fn fields(value: &mut Value) -> anyhow::Result<&mut Mapping> {
    value.as_mapping_mut().context("prometheus/alertmanager.yml has something else where a mapping was expected")
}

fn add(to: &mut Value, name: &str, value: impl AsRef<str>) -> anyhow::Result<()> {
    fields(to)?.insert(name.into(), value.as_ref().into());
    Ok(())
}

fn remove(from: &mut Value, name: &str) -> anyhow::Result<()> {
    fields(from)?.remove(name).with_context(|| format!("prometheus/alertmanager.yml has no `{name}`"))?;
    Ok(())
}

fn receiver<'a>(root: &'a mut Value, name: &str) -> anyhow::Result<&'a mut Value> {
    let receivers = at(root, "receivers")?.as_sequence_mut().context("`receivers` is no list")?;
    receivers
        .iter_mut()
        .find(|receiver| receiver.get("name").and_then(Value::as_str) == Some(name))
        .with_context(|| format!("prometheus/alertmanager.yml has no receiver `{name}`"))
}

fn replace_in(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::String(text) => *text = text.replace(from, to),
        Value::Sequence(items) => items.iter_mut().for_each(|item| replace_in(item, from, to)),
        Value::Mapping(fields) => fields.values_mut().for_each(|field| replace_in(field, from, to)),
        Value::Tagged(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A running Alertmanager. Dropping it ends it.
#[derive(Debug)]
pub struct Alertmanager {
    program: Program,
    address: SocketAddr,
}

impl Alertmanager {
    /// Starts `binary` with a configuration file, on `listen` or, where its port is 0, on a free one. Its data and log go beside the file.
    ///
    /// # Errors
    /// When it does not start, or is not ready within half a minute: with the end of its log.
    pub async fn start(binary: &Path, configuration: &Path, listen: SocketAddr) -> anyhow::Result<Self> {
        let folder = configuration.parent().context("the configuration file has no folder")?;
        let address = if listen.port() == 0 { free_port()? } else { listen };
        let mut command = Command::new(binary);
        command
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!("--storage.path={}", folder.join("alertmanager-data").display()))
            .arg(format!("--web.listen-address={address}"))
            // No cluster: it would listen on every address of the machine.
            .arg("--cluster.listen-address=");
        let mut program = Program::start("alertmanager", &command, &folder.join("alertmanager.log"))?;
        program
            .until(START, async || client::get(address, "/-/ready").await.is_ok_and(|answer| answer.status == 200))
            .await?;
        Ok(Self { program, address })
    }

    /// Where its pages and API are.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has written.
    pub fn log(&self) -> &Path {
        self.program.log()
    }

    /// Ends it and waits for it.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.program.stop().await
    }
}

fn free_port() -> anyhow::Result<SocketAddr> {
    Ok(std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
