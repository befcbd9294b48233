//! A fleet on this machine: rings of real Envoys with the filter, traffic on each, and a Prometheus that watches them, to roll builds out on.
//!
//! Each proxy has a loopback address of its own, so that it is an `instance` of its own. All of them stand in front of one sample API, which is quick
//! and fails at a steady rate, and each gets the same steady mix of requests, of which exact books are kept.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use edge_observer::fleet::{Fleet, FleetOptions};
//!
//! let fleet = Fleet::start(FleetOptions::new("edge_observer.wasm".into())).await?;
//! let file = fleet.plan_file("new.wasm".as_ref(), &serde_json::json!({}), &serde_json::json!({"policy": {"interval": "1s"}}))?;
//! // … edge-observer rollout start FILE …
//! let totals = fleet.stop().await?;
//! assert!(totals.is_exact());
//! # Ok(()) }
//! ```

mod plan;
mod table;
mod totals;

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use telemetry::config::Config;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use table::run;
pub use totals::{ProxyTotals, Totals};

use crate::client;
use crate::envoy::{self, AccessLog, EnvoyOptions, EnvoyProxy};
use crate::load::{self, Ledger, LoadOptions, Pace, Shares};
use crate::sample_api::{SampleApi, SampleApiOptions};
use crate::stack::Program;
use crate::stack::prometheus::{Prometheus, PrometheusOptions};
use crate::tools::{Fetch, Tools};

/// Where clients, operators and Prometheus connect when those ports are free.
const PORTS: [u16; 3] = [10_000, 9901, 9102];
/// Where Prometheus is when that port is free.
const PROMETHEUS: u16 = 9090;
/// How often everything is scraped.
pub const SCRAPE: Duration = Duration::from_secs(1);
/// The sample API's latencies are multiplied by this: medians below 2 ms, and its rare slow calls take a tenth of a second.
const LATENCY_SCALE: f64 = 0.05;
/// How long a program may take to answer.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long requests in flight may take at the end.
const DRAIN: Duration = Duration::from_secs(5);

/// What a fleet is.
#[derive(Debug, Clone)]
pub struct FleetOptions {
    /// How many rings; they are called `0`, `1` and so on.
    pub rings: u8,
    /// How many proxies each ring has.
    pub per_ring: u8,
    /// Requests a second on each proxy; 0 sends none.
    pub rate: f64,
    /// Where everything of it is; `None` is a folder of its own that goes away with the fleet.
    pub folder: Option<PathBuf>,
    /// The module that runs at the beginning.
    pub module: PathBuf,
    /// The plugin configuration that runs at the beginning, without `ring` and `build`.
    pub configuration: Value,
    /// Variables of the VM's environment.
    pub environment: Vec<(String, String)>,
    /// The seed of the mixes and of the sample API.
    pub seed: u64,
    /// Whether proxies and Prometheus are where one looks for them, if those ports are free.
    pub usual_ports: bool,
}

impl FleetOptions {
    /// Five rings of two proxies with the EUCORA profile, and 40 requests a second on each.
    pub fn new(module: PathBuf) -> Self {
        Self {
            rings: 5,
            per_ring: 2,
            rate: 40.0,
            folder: None,
            module,
            configuration: serde_json::from_str(&envoy::profile_json()).unwrap_or_default(),
            environment: Vec::new(),
            seed: 1,
            usual_ports: false,
        }
    }
}

/// One proxy of a fleet.
#[derive(Debug)]
pub struct Member {
    /// Its ring.
    pub ring: String,
    /// Its address, which is its label `instance`.
    pub name: String,
    /// The proxy.
    pub envoy: EnvoyProxy,
}

/// A running fleet. Dropping it ends it.
#[derive(Debug)]
pub struct Fleet {
    members: Vec<Member>,
    prometheus: Prometheus,
    exporter: Program,
    loads: Vec<(String, JoinHandle<anyhow::Result<Ledger>>)>,
    enough: CancellationToken,
    pace: std::sync::Arc<Pace>,
    config: Config,
    folder: PathBuf,
    plans: AtomicU32,
    options: FleetOptions,
    started: std::time::Instant,
    _api: SampleApi,
    /// Kept for its `Drop`, which must come after the programs are gone.
    _private: Option<TempDir>,
}

/// Where one proxy will be.
#[derive(Debug, Clone)]
struct Place {
    ring: String,
    name: String,
    folder: PathBuf,
    listen: SocketAddr,
    admin: SocketAddr,
    metrics: SocketAddr,
}

impl Fleet {
    /// Starts everything and waits until every proxy runs the filter and Prometheus has scraped it.
    ///
    /// # Errors
    /// When a program is not on this machine or does not start, or the configuration has mistakes.
    pub async fn start(options: FleetOptions) -> anyhow::Result<Self> {
        let tools = Tools::new(Fetch::Allowed);
        let (envoy, prometheus, exporter) = (tools.envoy()?, tools.prometheus()?, tools.process_exporter()?);
        ensure!(options.rings > 0 && options.per_ring > 0, "a fleet has at least one ring and one proxy in it");
        let (folder, private) = folder(&options)?;
        let places = places(&options, &folder)?;

        let module = fs::read(&options.module).with_context(|| format!("cannot read {}", options.module.display()))?;
        let builds = plan::builds(&places, &module, &options.configuration)?;
        let config = Config::from_value(options.configuration.clone())?;
        let api = SampleApi::start(SampleApiOptions {
            routes: config.routes().specs().to_vec(),
            seed: options.seed,
            latency_scale: LATENCY_SCALE,
            ..SampleApiOptions::default()
        })
        .await?;

        let mut members = Vec::new();
        for place in &places {
            let build = builds.get(&place.ring).with_context(|| format!("no build for ring {}", place.ring))?;
            let modules = place.folder.join("modules");
            fs::create_dir_all(&modules).with_context(|| format!("cannot make {}", modules.display()))?;
            // The name that a rollout would give it.
            let short: String = build.module_sha256.chars().take(12).collect();
            let file = modules.join(format!("edge_observer-{short}.wasm"));
            fs::write(&file, &build.module).with_context(|| format!("cannot write {}", file.display()))?;
            let mut envoy = EnvoyOptions::new(&envoy.path, file);
            envoy.configuration.clone_from(&build.configuration);
            envoy.upstream = api.address().into();
            envoy.environment.clone_from(&options.environment);
            (envoy.listen, envoy.admin, envoy.metrics) = (place.listen, place.admin, Some(place.metrics));
            envoy.workers = 1;
            envoy.access_log = AccessLog::Off;
            envoy.folder = Some(place.folder.clone());
            let envoy = EnvoyProxy::start(envoy).await.with_context(|| format!("the proxy {}", place.name))?;
            members.push(Member { ring: place.ring.clone(), name: place.name.clone(), envoy });
        }

        let (exporter, processes) = start_exporter(&exporter.path, &envoy.path, &places, &folder).await?;
        let prometheus = start_prometheus(&prometheus.path, &members, processes, &folder, options.usual_ports).await?;
        let enough = CancellationToken::new();
        let mut fleet = Self {
            members,
            prometheus,
            exporter,
            loads: Vec::new(),
            enough,
            pace: std::sync::Arc::default(),
            config,
            folder,
            plans: AtomicU32::new(0),
            options,
            started: std::time::Instant::now(),
            _api: api,
            _private: private,
        };
        fleet.send();
        fleet.until_seen().await?;
        Ok(fleet)
    }

    /// Its proxies, ring by ring.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Its Prometheus.
    pub fn prometheus(&self) -> &Prometheus {
        &self.prometheus
    }

    /// Where everything of it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a rollout file for this module and configuration into the fleet's folder, and the configuration beside it. The times in it are short; the
    /// fields of `overrides` are put over its own, object by object.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn plan_file(&self, module: &Path, configuration: &Value, overrides: &Value) -> anyhow::Result<PathBuf> {
        let number = self.plans.fetch_add(1, Ordering::Relaxed);
        let folder = self.folder.join("rollouts").join(number.to_string());
        self.plan_file_in(&folder, module, configuration, overrides)
    }

    fn plan_file_in(
        &self,
        folder: &Path,
        module: &Path,
        configuration: &Value,
        overrides: &Value,
    ) -> anyhow::Result<PathBuf> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let settings = folder.join("configuration.yaml");
        fs::write(&settings, serde_yaml_ng::to_string(configuration)?)?;
        let file = folder.join("rollout.yaml");
        let text = plan::text(&self.places(), &std::path::absolute(module)?, self.prometheus.address(), overrides)?;
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }

    fn places(&self) -> Vec<Place> {
        let place = |member: &Member| Place {
            ring: member.ring.clone(),
            name: member.name.clone(),
            folder: member.envoy.folder().to_owned(),
            listen: member.envoy.listen(),
            admin: member.envoy.admin(),
            metrics: member.envoy.metrics().unwrap_or_else(|| member.envoy.admin()),
        };
        self.members.iter().map(place).collect()
    }

    /// Begins the load on every proxy.
    fn send(&mut self) {
        if self.options.rate <= 0.0 {
            return;
        }
        for member in &self.members {
            let mut load = LoadOptions::new(member.envoy.listen());
            load.mix.routes = self.config.routes().specs().to_vec();
            load.mix.seed = self.options.seed;
            // What waits on purpose would only blur the latencies.
            load.mix.shares = Shares { abort: 0.0, websocket: 0.0, ..Shares::default() };
            (load.http1_connections, load.http2_connections, load.http2_streams) = (4, 1, 4);
            load.rate = Some(self.options.rate);
            load.enough = self.enough.clone();
            load.pace = std::sync::Arc::clone(&self.pace);
            self.loads.push((member.name.clone(), tokio::spawn(load::run(load))));
        }
    }

    /// Waits until Prometheus has every proxy in all three jobs.
    async fn until_seen(&self) -> anyhow::Result<()> {
        let deadline = std::time::Instant::now() + START_LIMIT;
        let all = self.members.len();
        let processes = r#"namedprocess_namegroup_num_procs{job="process"} == 1"#;
        let builds = format!(r#"{}_edge_build_info{{job="edge"}} == 1"#, self.config.namespace());
        loop {
            let mut seen = Vec::new();
            for expression in [r#"up{job=~"edge|control-plane"} == 1"#, &builds, processes] {
                seen.push(self.prometheus.query(expression).await?.len());
            }
            if seen == [2 * all, all, all] {
                return Ok(());
            }
            ensure!(
                std::time::Instant::now() < deadline,
                "Prometheus sees {seen:?} targets, builds and processes of {all} proxies; look at http://{}/targets",
                self.prometheus.address()
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Ends the load, waits for what is in flight and for what the filter has yet to hand over, and ends everything.
    ///
    /// # Errors
    /// When a proxy is gone, or something does not end.
    pub async fn stop(mut self) -> anyhow::Result<Totals> {
        self.enough.cancel();
        let mut ledgers = BTreeMap::new();
        for (name, load) in std::mem::take(&mut self.loads) {
            ledgers.insert(name, load.await.context("a load generator failed")??);
        }
        let totals = totals::of(&self.members, &self.config, ledgers, &self.pace, self.started.elapsed()).await?;
        for member in &mut self.members {
            member.envoy.stop(DRAIN).await?;
        }
        self.prometheus.stop().await?;
        self.exporter.stop().await?;
        Ok(totals)
    }
}

fn folder(options: &FleetOptions) -> anyhow::Result<(PathBuf, Option<TempDir>)> {
    let (folder, private) = match &options.folder {
        Some(folder) => (std::path::absolute(folder)?, None),
        None => {
            let private = tempfile::Builder::new().prefix("edge-observer-fleet-").tempdir()?;
            (private.path().to_owned(), Some(private))
        }
    };
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok((folder, private))
}

/// An address for each proxy, from 127.0.0.2 on, and its ports.
fn places(options: &FleetOptions, folder: &Path) -> anyhow::Result<Vec<Place>> {
    let mut places = Vec::new();
    let mut last = 1_u8;
    for ring in 0..options.rings {
        for _ in 0..options.per_ring {
            last = last.checked_add(1).context("a fleet has at most 250 proxies")?;
            let address = IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
            let [listen, admin, metrics] = PORTS.map(|port| free(address, port, options.usual_ports));
            let name = address.to_string();
            places.push(Place {
                ring: ring.to_string(),
                folder: folder.join("proxies").join(&name),
                name,
                listen: listen?,
                admin: admin?,
                metrics: metrics?,
            });
        }
    }
    Ok(places)
}

/// The usual port of an address where it is wanted and free; else any.
fn free(address: IpAddr, usual: u16, wanted: bool) -> anyhow::Result<SocketAddr> {
    let bind = |port| TcpListener::bind((address, port)).and_then(|listener| listener.local_addr());
    let usual = if wanted { bind(usual).ok() } else { None };
    usual.map_or_else(|| bind(0), Ok).with_context(|| {
        format!("no port of {address} is free; the fleet needs the addresses 127.0.0.2 and on, as Linux has them")
    })
}

async fn start_prometheus(
    binary: &Path,
    members: &[Member],
    processes: SocketAddr,
    folder: &Path,
    usual_ports: bool,
) -> anyhow::Result<Prometheus> {
    let listen = free(IpAddr::V4(Ipv4Addr::LOCALHOST), PROMETHEUS, usual_ports)?;
    let mut options = PrometheusOptions::new(binary, listen, folder.join("prometheus"));
    options.interval = Some(SCRAPE);
    let metrics: Vec<String> = members.iter().filter_map(|one| Some(one.envoy.metrics()?.to_string())).collect();
    options.targets = BTreeMap::from([
        ("control-plane".to_owned(), metrics.clone()),
        ("edge".to_owned(), metrics),
        ("process".to_owned(), vec![processes.to_string()]),
    ]);
    // Alerts have their time; a fleet of an hour has other things to compute.
    options.rules = Vec::new();
    Prometheus::start(&options).await
}

/// Starts the exporter of processes with a group for each proxy, called as its `instance`.
async fn start_exporter(
    binary: &Path,
    envoy: &Path,
    places: &[Place],
    folder: &Path,
) -> anyhow::Result<(Program, SocketAddr)> {
    let group = |place: &Place| {
        let bootstrap = place.folder.join("bootstrap.yaml");
        serde_json::json!({
            "name": place.name,
            // The shell that guards a proxy has the same words in its command line, and is another program.
            "exe": [envoy],
            "cmdline": [literally(&format!("--config-path {}", bootstrap.display()))],
        })
    };
    let groups: Vec<Value> = places.iter().map(group).collect();
    let file = folder.join("process-exporter.yaml");
    fs::write(&file, serde_yaml_ng::to_string(&serde_json::json!({ "process_names": groups }))?)?;
    let listen = free(IpAddr::V4(Ipv4Addr::LOCALHOST), 0, false)?;
    let mut command = Command::new(binary);
    command
        .arg("-config.path")
        .arg(&file)
        .arg(format!("-web.listen-address={listen}"))
        // A proxy that was started again is found again.
        .arg("-recheck")
        .args(["-threads=false", "-gather-smaps=false"]);
    let mut program = Program::start("process-exporter", &command, &folder.join("process-exporter.log"))?;
    program
        .until(START_LIMIT, async || client::get(listen, "/metrics").await.is_ok_and(|answer| answer.status == 200))
        .await?;
    Ok((program, listen))
}

/// A text as a regular expression.
fn literally(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if !letter.is_alphanumeric() && !matches!(letter, '/' | '-' | '_' | ' ') {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}
