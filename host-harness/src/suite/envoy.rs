//! Cases in a real Envoy: a process of its own for each, with scripted servers around it on loopback.

mod admin;
mod bootstrap;
mod client;
mod connection;
mod pieces;
mod process;
mod servers;

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::runtime::Runtime;

use super::check::{HostSeen, Metrics, StreamSeen, TalkSeen};
use super::format::{Action, Case, Cluster, HostExpect, Setup, Stream, StreamReply, Talk};
use super::interrupt::Interrupt;
use super::matcher::Text;
use super::runner::{Proxy, Refusal};
use crate::Conformance;
use bootstrap::Filter;
use process::Process;
use servers::Servers;

/// A running Envoy.
#[derive(Debug)]
pub(super) struct Envoy {
    process: Process,
    filter: Filter,
    /// How many configurations the filter was given after its first.
    updates: u64,
    servers: Servers,
    unseen_clusters: Vec<String>,
    /// Names of filter state, in the order of the access log's fields.
    state_names: Vec<String>,
    log_before: usize,
    callouts_before: usize,
    /// Whether the admin interface answers.
    answers: bool,
    interrupt: Interrupt,
    /// Dropped last: everything else runs in it.
    runtime: Runtime,
}

/// How long what happened may take until it is to be seen.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long Envoy may take until it has taken a configuration.
const TAKEN_WITHIN: Duration = Duration::from_secs(5);
/// How long the line of a stream may take to come to the access log.
const LOGGED_WITHIN: Duration = Duration::from_secs(5);

/// Whether the upstream refuses a stream's connection.
fn is_refused(stream: &Stream) -> bool {
    matches!(stream.reply, Some(StreamReply::Refused))
}

/// The streams of a case.
fn streams(case: &Case) -> impl Iterator<Item = &Stream> {
    case.steps.iter().flat_map(|step| match &step.action {
        Action::Streams(streams) => streams.as_slice(),
        Action::Advance(_) | Action::Tick | Action::Reconfigure { .. } | Action::Look | Action::Connection(_) => &[],
    })
}

/// The TCP connections of a case.
fn talks(case: &Case) -> impl Iterator<Item = &Talk> {
    case.steps.iter().filter_map(|step| match &step.action {
        Action::Connection(talk) => Some(talk.as_ref()),
        Action::Streams(_) | Action::Advance(_) | Action::Tick | Action::Reconfigure { .. } | Action::Look => None,
    })
}

/// Whether the listener is one for TCP.
fn is_tcp(cases: &[&Case]) -> bool {
    cases.iter().any(|case| talks(case).next().is_some())
}

/// Why Envoy cannot run a case, which is one of those that share it.
pub(super) fn cannot(case: &Case, all: &[&Case]) -> Option<String> {
    if is_tcp(all) && all.iter().any(|case| streams(case).next().is_some()) {
        return Some("a listener of Envoy's takes HTTP or TCP, and its cases have both".to_owned());
    }
    if let Some(stream) = streams(case).find(|stream| is_refused(stream))
        && !all.iter().flat_map(|case| streams(case)).all(is_refused)
    {
        return Some(format!("{}.reply: Envoy's upstream refuses all streams of its cases or none", stream.path));
    }
    if case.setup.faults.as_ref().is_some_and(|faults| !faults.is_empty()) {
        return Some("Envoy has no faults".to_owned());
    }
    if case.setup.conformance == Some(Conformance::Spec) {
        return Some("Envoy does not do as the specification says".to_owned());
    }
    case.steps.iter().find_map(|step| {
        let (field, why) = match &step.action {
            Action::Advance(_) => ("advance", "Envoy's clock cannot be moved"),
            Action::Tick => ("tick", "Envoy's clock cannot be moved"),
            Action::Reconfigure { .. } if is_tcp(all) => {
                ("reconfigure", "Envoy's network filters are not replaced here")
            }
            Action::Reconfigure { .. } | Action::Look => return None,
            Action::Connection(talk) => return cannot_ask_for(&talk.expect.filter_state, &talk.expect.path),
            Action::Streams(streams) => return streams.iter().find_map(cannot_send),
        };
        Some(format!("{}.{field}: {why}", step.path))
    })
}

fn cannot_send(stream: &Stream) -> Option<String> {
    let what = if stream.source.is_some() {
        "source"
    } else if stream.mtls {
        "mtls"
    } else if !stream.properties.is_empty() {
        "properties"
    } else {
        return cannot_ask_for(&stream.expect.filter_state, &stream.expect.path);
    };
    Some(format!("{}.request.{what}: Envoy finds it out itself", stream.path))
}

fn cannot_ask_for(filter_state: &[(String, Option<Text>)], path: &str) -> Option<String> {
    let name = filter_state.iter().map(|(name, _)| name).find(|name| !can_be_asked_for(name))?;
    Some(format!("{path}.filter_state.{name}: Envoy's access log cannot have it"))
}

/// Whether a filter state's name can stand in a format of the access log.
fn can_be_asked_for(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte))
}

/// What a setup says that Envoy is not given, and why.
pub(super) fn not_given(setup: &Setup) -> Vec<(&'static str, &'static str)> {
    [
        ("clock", setup.clock.is_some(), "Envoy's clock cannot be set"),
        ("seed", setup.seed.is_some(), "Envoy's randomness has no seed"),
        ("fuel_per_callback", setup.fuel_per_callback.is_some(), "Envoy does not meter"),
        ("memory_limit", setup.memory_limit.is_some(), "Envoy has a bound of its own"),
        ("body_limit", setup.body_limit.is_some(), "Envoy has a bound of its own"),
    ]
    .into_iter()
    .filter_map(|(field, given, why)| given.then_some((field, why)))
    .collect()
}

impl Envoy {
    /// Starts it for cases of one setup, and waits until it listens.
    pub(super) fn start(binary: &Path, cases: &[&Case], interrupt: &Interrupt) -> Result<Self, Refusal> {
        let fail = |error: String| Refusal { lines: vec![error], log: Vec::new(), trace: String::new() };
        let none = Setup::default();
        let setup = cases.first().map_or(&none, |case| &case.setup);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|error| fail(error.to_string()))?;
        let clusters = setup.clusters.clone().unwrap_or_default();
        let mut all = cases.iter().flat_map(|case| streams(case)).peekable();
        let upstream_refuses = all.peek().is_some() && all.all(is_refused);
        let servers = runtime
            .block_on(Servers::start(&clusters, upstream_refuses, is_tcp(cases)))
            .map_err(|error| fail(format!("no servers around Envoy: {error}")))?;
        let state_names: Vec<String> = state_names(cases).into_iter().collect();
        let folder = tempfile::tempdir().map_err(|error| fail(format!("no folder for Envoy: {error}")))?;
        let steps = cases.iter().flat_map(|case| &case.steps);
        let is_replaced = steps.into_iter().any(|step| matches!(step.action, Action::Reconfigure { .. }));
        let filter = Filter::new(folder.path(), setup, is_replaced, is_tcp(cases)).map_err(fail)?;
        let config = bootstrap::write(folder.path(), &filter, &servers, &state_names).map_err(fail)?;
        let process = runtime.block_on(Process::start(binary, folder, &config, setup, interrupt))?;
        let unseen_clusters =
            clusters.into_iter().filter(|(_, cluster)| !matches!(cluster, Cluster::Rules(_))).map(|(name, _)| name);
        Ok(Self {
            process,
            filter,
            updates: 0,
            servers,
            unseen_clusters: unseen_clusters.collect(),
            state_names,
            log_before: 0,
            callouts_before: 0,
            answers: true,
            interrupt: interrupt.clone(),
            runtime,
        })
    }

    /// None at all when Envoy does not answer: a module that never returns stops it for good.
    fn metrics(&mut self) -> Metrics {
        let metrics = self.answers.then(|| self.runtime.block_on(admin::metrics(self.process.admin))).flatten();
        self.answers = metrics.is_some();
        metrics.unwrap_or_default()
    }

    /// The access log, when it has a line of each of these clients.
    async fn access_log_of(&self, clients: &[SocketAddr]) -> HashMap<SocketAddr, Value> {
        let until = Instant::now() + LOGGED_WITHIN;
        loop {
            let lines = self.process.access_log();
            let missing = clients.iter().any(|client| !lines.contains_key(client));
            if !missing || Instant::now() >= until || self.interrupt.is_stopped() {
                return lines;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The filter state that a line of the access log has.
    fn filter_state(&self, line: &Value) -> Vec<(String, Vec<u8>)> {
        let value = |(index, name): (usize, &String)| {
            let value = line.get(bootstrap::state_field(index))?.as_str()?;
            Some((name.clone(), value.as_bytes().to_vec()))
        };
        self.state_names.iter().enumerate().filter_map(value).collect()
    }

    /// Fills in what the access log knows of streams. Waits for their lines.
    async fn read_access_log(&self, sent: Vec<client::Sent>) -> Vec<StreamSeen> {
        let clients: Vec<SocketAddr> = sent.iter().filter_map(|sent| sent.client).collect();
        let lines = self.access_log_of(&clients).await;
        let fill = |sent: client::Sent| {
            let mut seen = sent.seen;
            seen.upstream = sent.client.and_then(|client| self.servers.take_upstream(client));
            let Some(line) = sent.client.and_then(|client| lines.get(&client)) else { return seen };
            let details = line.get("details").and_then(|details| details.as_str());
            seen.local_reply =
                details.filter(|details| seen.response.is_some() && *details != "via_upstream").map(str::to_owned);
            seen.filter_state = self.filter_state(line);
            seen
        };
        sent.into_iter().map(fill).collect()
    }
}

/// The names of filter state that cases ask for, without the prefix.
fn state_names(cases: &[&Case]) -> BTreeSet<String> {
    let of_streams = cases.iter().flat_map(|case| streams(case)).flat_map(|stream| &stream.expect.filter_state);
    let names = of_streams.chain(cases.iter().flat_map(|case| talks(case)).flat_map(|talk| &talk.expect.filter_state));
    names.map(|(name, _)| name.strip_prefix("wasm.").unwrap_or(name).to_owned()).collect()
}

impl Drop for Envoy {
    fn drop(&mut self) {
        self.runtime.block_on(self.process.end());
    }
}

impl Proxy for Envoy {
    fn begin(&mut self) -> Metrics {
        self.log_before = self.process.log().len();
        self.callouts_before = self.servers.callouts().len();
        self.metrics()
    }

    fn streams(&mut self, streams: &[Stream]) -> Result<Vec<StreamSeen>, String> {
        let listen = self.process.listen;
        let sends = streams.iter().map(|stream| client::send(listen, stream, &self.servers));
        self.runtime.block_on(async {
            let sent = futures_util::future::join_all(sends).await.into_iter().collect::<Result<_, _>>()?;
            Ok(self.read_access_log(sent).await)
        })
    }

    fn connection(&mut self, talk: &Talk) -> Result<TalkSeen, String> {
        let listen = self.process.listen;
        let server = self.servers.tcp.clone().ok_or("there is no server for connections")?;
        self.runtime.block_on(async {
            let (client, mut seen) = connection::talk(listen, server, talk).await?;
            if !talk.expect.filter_state.is_empty() {
                let lines = self.access_log_of(&[client]).await;
                seen.filter_state = lines.get(&client).map(|line| self.filter_state(line)).unwrap_or_default();
            }
            Ok(seen)
        })
    }

    fn advance(&mut self, _time: Duration) -> Result<(), String> {
        Err("Envoy's clock cannot be moved".to_owned())
    }

    fn tick(&mut self) -> Result<(), String> {
        Err("Envoy's clock cannot be moved".to_owned())
    }

    fn reconfigure(&mut self, configuration: &[u8]) -> Result<(), String> {
        let lines_before = self.process.log().len();
        self.filter.configure(configuration);
        self.updates += 1;
        let taken = self.runtime.block_on(async {
            let had = admin::updates(self.process.admin).await.ok_or("Envoy does not answer")?;
            bootstrap::update(self.process.folder(), &self.filter.typed_config(), self.updates)?;
            let until = Instant::now() + TAKEN_WITHIN;
            while Instant::now() < until {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let (taken, refused) = admin::updates(self.process.admin).await.ok_or("Envoy does not answer")?;
                if refused > had.1 {
                    return Ok(false);
                }
                if taken > had.0 {
                    // Workers hear of it a little later.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    return Ok(true);
                }
            }
            Err(format!("Envoy neither took nor refused it within {} s", TAKEN_WITHIN.as_secs()))
        });
        match taken {
            Ok(true) => Ok(()),
            Ok(false) => {
                let log = self.process.log();
                let lines: Vec<&str> = log.iter().skip(lines_before).map(|(_, line)| line.as_str()).collect();
                Err(format!("Envoy refused it:\n{}", lines.join("\n")))
            }
            Err(error) => Err(error),
        }
    }

    fn host(&mut self, _wanted: &HostExpect) -> HostSeen {
        HostSeen {
            metrics: self.metrics(),
            log: self.process.log().into_iter().skip(self.log_before).collect(),
            callouts: self.servers.callouts().into_iter().skip(self.callouts_before).collect(),
            unseen_clusters: self.unseen_clusters.clone(),
            shared_data: None,
            failed: self.process.failed().or_else(|| (!self.answers).then(|| "Envoy does not answer".to_owned())),
        }
    }

    fn wait(&mut self, waited: &mut Duration, within: Duration) -> bool {
        const STEP: Duration = Duration::from_millis(50);
        if *waited >= within.max(PATIENCE) || self.interrupt.is_stopped() {
            return false;
        }
        std::thread::sleep(STEP);
        *waited += STEP;
        true
    }

    fn trace(&mut self) -> String {
        self.process.all_lines()
    }
}
