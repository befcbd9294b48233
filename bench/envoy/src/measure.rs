//! Rounds over every variant, in an order that is drawn anew for each, so that whatever else the machine does falls on all alike.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use edge_observer::client::{Connection, Protocol, RequestBody};
use edge_observer::envoy::{AccessLog, EnvoyOptions, EnvoyProxy, OwnAnswers};
use edge_observer::tools::{Fetch, Tools};
use edge_observer::{process, scrape};
use http::{Request, StatusCode, header};
use indicatif::{ProgressBar, ProgressStyle};
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

use crate::variants::{CORRELATION_HEADER, Correlates, REQUEST_ID_HEADER, Variant};
use crate::workload::{self, ANSWER, Workload};

/// How long it may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) rounds: u32,
    /// Requests of one run of the workload `tiny`.
    pub(crate) requests: u32,
}

impl Pace {
    pub(crate) const FULL: Pace = Pace { rounds: 40, requests: 4_000 };
    pub(crate) const QUICK: Pace = Pace { rounds: 12, requests: 2_000 };
}

/// The share of the rounds whose cost is reported: a machine with neighbours only ever adds to it.
const SHARE: f64 = 0.2;
/// How long a filter may take to hand over its counts.
const HAND_OVER: Duration = Duration::from_secs(30);

/// One figure over all rounds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a place"
        )]
        let place = (last as f64 * share).round() as usize;
        sorted.get(place).copied().unwrap_or(f64::NAN)
    }

    /// The figure of each round.
    pub(crate) fn rounds(&self) -> &[f64] {
        &self.0
    }

    /// The figure that is reported.
    pub(crate) fn low(&self) -> f64 {
        self.quantile(SHARE)
    }
}

/// What one variant cost under one workload.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cost {
    /// Processor time of Envoy's process for each request, in microseconds.
    pub(crate) cpu_us: Samples,
    /// Requests a second.
    pub(crate) rate: Samples,
    /// Median and 99th percentile of a run's requests, in microseconds.
    pub(crate) p50_us: Samples,
    pub(crate) p99_us: Samples,
}

/// One variant's figures.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) name: &'static str,
    pub(crate) what: String,
    /// In the order of the workloads that were asked for.
    pub(crate) costs: Vec<Cost>,
    /// Resident memory at the end, in bytes.
    pub(crate) resident: u64,
}

/// A variant that runs.
struct Running {
    variant: Variant,
    envoy: EnvoyProxy,
    pid: u32,
    costs: Vec<Cost>,
    sent: u64,
}

/// Measures every variant under every workload.
pub(crate) async fn measure(
    variants: Vec<Variant>,
    module: &Path,
    paths: &[String],
    workloads: &[Workload],
    pace: Pace,
) -> Result<Vec<Figures>> {
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    let (uris, log) = (folder.path().join("uris"), folder.path().join("log"));
    let lines: String = paths.iter().map(|path| format!("http://edge{path}\n")).collect();
    std::fs::write(&uris, lines).context("cannot write the requests")?;

    let cores = Cores::find();
    // This process and the load generator on one core, the proxies on another.
    cores.pin(std::process::id(), cores.load)?;
    let upstream = crate::upstream::start().await?;
    let mut running = Vec::new();
    for variant in variants {
        running.push(start(variant, module, upstream, &cores).await?);
    }
    let first = paths.first().context("no requests")?;
    for one in &mut running {
        one.probe(first).await.with_context(|| one.variant.name)?;
    }

    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let runs = u64::from(pace.rounds) * (running.len() * workloads.len()) as u64;
    let bar = ProgressBar::new(runs)
        .with_style(ProgressStyle::with_template("    {bar:40} {percent} %, {eta} left  {wide_msg}")?);
    let mut order: Vec<usize> = (0..running.len()).collect();
    for (place, workload) in workloads.iter().enumerate() {
        let requests = workload.requests(pace.requests);
        bar.set_message(workload.name());
        for one in &mut running {
            one.costs.push(Cost::default());
            // The first run fills pools and caches, and makes the series.
            one.run(*workload, requests, &uris, &log).await.with_context(|| one.variant.name)?;
        }
        for _ in 0..pace.rounds {
            order.shuffle(&mut rng);
            for number in &order {
                let Some(one) = running.get_mut(*number) else { continue };
                let cost = one.run(*workload, requests, &uris, &log).await.with_context(|| one.variant.name)?;
                if let Some(costs) = one.costs.get_mut(place) {
                    for (samples, sample) in
                        [&mut costs.cpu_us, &mut costs.rate, &mut costs.p50_us, &mut costs.p99_us].into_iter().zip(cost)
                    {
                        samples.0.push(sample);
                    }
                }
                bar.inc(1);
            }
        }
    }
    bar.finish_and_clear();

    let mut figures = Vec::new();
    for mut one in running {
        one.check_counts().await.with_context(|| one.variant.name)?;
        let resident = process::resident(one.pid).context("Envoy ended")?;
        one.envoy.stop(Duration::from_secs(2)).await?;
        figures.push(Figures { name: one.variant.name, what: one.variant.what, costs: one.costs, resident });
    }
    Ok(figures)
}

async fn start(variant: Variant, module: &Path, upstream: SocketAddr, cores: &Cores) -> Result<Running> {
    let binary = tokio::task::spawn_blocking(|| Tools::new(Fetch::Allowed).envoy()).await??;
    let mut options = EnvoyOptions::new(binary.path, module);
    options.delivery = variant.delivery.clone();
    if let Some(configuration) = &variant.configuration {
        options.configuration.clone_from(configuration);
    }
    options.upstream = upstream.into();
    options.workers = 1;
    options.access_log = AccessLog::Off;
    options.own_answers = Some(OwnAnswers { header: ANSWER, statuses: vec![StatusCode::OK] });
    options.request_id_in_response = variant.correlates == Correlates::Envoy;
    let envoy = EnvoyProxy::start(options).await.with_context(|| variant.name)?;
    let pid = envoy.pid().context("Envoy has no process ID")?;
    cores.pin(pid, cores.proxies)?;
    Ok(Running { variant, envoy, pid, costs: Vec::new(), sent: 0 })
}

impl Running {
    /// One run: CPU µs a request, requests a second, median and 99th percentile of the latency in µs.
    async fn run(&mut self, workload: Workload, requests: u32, uris: &Path, log: &Path) -> Result<[f64; 4]> {
        let before = process::scheduled(self.pid).context("this system does not tell what a process ran")?;
        let sent = workload::send(self.envoy.listen(), workload, requests, uris, log).await?;
        let ran = process::scheduled(self.pid).context("Envoy ended")?.saturating_sub(before);
        self.sent += u64::from(requests);
        let latencies = Samples(sent.latencies);
        let requests = f64::from(requests);
        Ok([
            ran.as_secs_f64() * 1e6 / requests,
            requests / sent.seconds,
            latencies.quantile(0.5),
            latencies.quantile(0.99),
        ])
    }

    /// That it does its work: a correlation ID that came is given back, and one is made where none came.
    async fn probe(&mut self, path: &str) -> Result<()> {
        let name = match self.variant.correlates {
            Correlates::Nobody | Correlates::Filter => CORRELATION_HEADER,
            Correlates::Envoy => REQUEST_ID_HEADER,
        };
        for given in [Some("0195d1f2-7c3b-7a90-8e21-3f6a9b2c4d5e"), None] {
            let mut connection = Connection::open(self.envoy.listen(), Protocol::Http1).await?;
            let mut request = Request::get(path).header(header::HOST, "edge").header(ANSWER, "200");
            if let Some(id) = given {
                request = request.header(name, id);
            }
            let answer = connection.send(request.body(RequestBody::default())?).await?;
            self.sent += 1;
            ensure!(answer.status() == StatusCode::OK, "answers with {}", answer.status());
            let id = answer.headers().get(name).map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned());
            match (self.variant.correlates, id, given) {
                (Correlates::Nobody, None, _) => {}
                (Correlates::Filter, Some(id), None) if id.len() >= 32 => {}
                // The floor makes an ID without a look at what came, and Envoy believes none from outside.
                (Correlates::Filter, Some(id), Some(given)) if id == given || self.variant.makes_every_id() => {}
                (Correlates::Envoy, Some(_), _) => {}
                (_, id, _) => bail!("{name} is {id:?} on the response where {given:?} came"),
            }
        }
        Ok(())
    }

    /// That neither the proxy nor the filter has missed or made up a request.
    async fn check_counts(&self) -> Result<()> {
        let total = self.envoy.stat("http.ingress.downstream_rq_total").await?;
        ensure!(total == Some(self.sent), "{} requests were sent, and Envoy has counted {total:?}", self.sent);
        if let Some(metric) = &self.variant.counts {
            let count = |scrape: &scrape::Scrape| scrape.count(metric, &[]);
            let waited = scrape::wait_until(self.envoy.admin(), HAND_OVER, |scrape| count(scrape) == self.sent).await?;
            ensure!(
                waited.in_time,
                "{} requests were sent, and {metric} has counted {}",
                self.sent,
                count(&waited.scrape)
            );
        }
        let complaints = self.envoy.complaints();
        ensure!(complaints.is_empty(), "Envoy complains: {}", complaints.join("; "));
        Ok(())
    }
}

/// Which core does what.
struct Cores {
    proxies: usize,
    load: usize,
}

impl Cores {
    fn find() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { proxies: 0, load: cores - 1 }
    }

    /// Keeps all threads that a process has, and will have, on one core.
    fn pin(&self, pid: u32, core: usize) -> Result<()> {
        if self.proxies == self.load {
            return Ok(());
        }
        let status = std::process::Command::new("taskset")
            .args(["--all-tasks", "--cpu-list", "--pid", &core.to_string(), &pid.to_string()])
            .stdout(Stdio::null())
            .status()
            .context("cannot run taskset; it is part of util-linux")?;
        ensure!(status.success(), "taskset cannot keep process {pid} on core {core}");
        Ok(())
    }
}
