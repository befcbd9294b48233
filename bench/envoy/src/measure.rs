//! Rounds over every variant, in an order that is drawn anew for each, so that whatever else the machine does falls on all alike.
//!
//! Two processes of the same variant can differ by a tenth for as long as they live, by where their memory came to lie. So the proxies are
//! started several times, and a figure is the mean over the starts. What a variant adds is taken within each round: what the machine does
//! for longer than a round falls out of it.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use edge_observer::{process, quantile};
use indicatif::{ProgressBar, ProgressStyle};
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

use crate::running::{self, Running};
use crate::variants::Variant;
use crate::workload::{Files, Workload};

/// How long it may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// How often the proxies are started.
    pub(crate) starts: u32,
    /// Rounds after each start.
    pub(crate) rounds: u32,
    /// Requests of one run of the workload `tiny`.
    pub(crate) requests: u32,
}

impl Pace {
    pub(crate) const FULL: Pace = Pace { starts: 6, rounds: 10, requests: 4_000 };
    pub(crate) const QUICK: Pace = Pace { starts: 2, rounds: 8, requests: 2_000 };
}

/// The share of the rounds whose cost is reported: a machine with neighbours only ever adds to it.
const SHARE: f64 = 0.2;

/// One figure of each round, by the start of the proxies.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<Vec<f64>>);

impl Samples {
    /// What this share of the rounds after a start did not exceed: the mean over the starts.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a few starts")]
        let starts = self.0.len() as f64;
        self.0.iter().map(|rounds| quantile::of(rounds, share)).sum::<f64>() / starts
    }

    /// The figure of each round, by start.
    pub(crate) fn rounds(&self) -> &[Vec<f64>] {
        &self.0
    }

    fn push(&mut self, start: usize, sample: f64) {
        if self.0.len() <= start {
            self.0.resize(start + 1, Vec::new());
        }
        if let Some(rounds) = self.0.get_mut(start) {
            rounds.push(sample);
        }
    }

    /// What these add to those of another variant in the same round: the median of a start's rounds, as the mean over the starts.
    pub(crate) fn added_to(&self, base: &Self) -> Added {
        let of_start = |(own, base): (&Vec<f64>, &Vec<f64>)| {
            let differences: Vec<f64> = own.iter().zip(base).map(|(own, base)| own - base).collect();
            quantile::of(&differences, 0.5)
        };
        let starts: Vec<f64> = self.0.iter().zip(&base.0).map(of_start).collect();
        #[expect(clippy::cast_precision_loss, reason = "a few starts")]
        let number = starts.len() as f64;
        let mean = starts.iter().sum::<f64>() / number;
        let squares: f64 = starts.iter().map(|start| (start - mean).powi(2)).sum();
        let error = (starts.len() > 1).then(|| (squares / (number - 1.0) / number).sqrt());
        Added { mean, error }
    }

    /// The figure that is reported.
    pub(crate) fn low(&self) -> f64 {
        self.quantile(SHARE)
    }
}

/// How much more one variant costs than another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Added {
    pub(crate) mean: f64,
    /// The standard error of the mean; there is none of one start.
    pub(crate) error: Option<f64>,
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

impl Cost {
    fn push(&mut self, start: usize, [cpu_us, rate, p50_us, p99_us]: [f64; 4]) {
        for (samples, sample) in
            [(&mut self.cpu_us, cpu_us), (&mut self.rate, rate), (&mut self.p50_us, p50_us), (&mut self.p99_us, p99_us)]
        {
            samples.push(start, sample);
        }
    }
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

/// Measures every variant under every workload.
pub(crate) async fn measure(
    variants: &[Variant],
    paths: &[String],
    workloads: &[Workload],
    pace: Pace,
) -> Result<Vec<Figures>> {
    let files = Files::new(paths)?;
    let binary = running::envoy_binary().await?;
    let cores = Cores::find();
    // This process and the load generator on one core, the proxies on another.
    cores.pin(std::process::id(), cores.load)?;
    let upstream = crate::upstream::start().await?;
    let first = paths.first().context("no requests")?;
    let mut figures: Vec<Figures> = variants
        .iter()
        .map(|variant| Figures {
            name: variant.name,
            what: variant.what.clone(),
            costs: vec![Cost::default(); workloads.len()],
            resident: 0,
        })
        .collect();

    let runs = u64::from(pace.starts) * u64::from(pace.rounds) * (variants.len() * workloads.len()) as u64;
    let bar = ProgressBar::new(runs)
        .with_style(ProgressStyle::with_template("    {bar:40} {percent} %, {eta} left  {wide_msg}")?);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut order: Vec<usize> = (0..variants.len()).collect();
    for start in 0..pace.starts as usize {
        bar.set_message("starting the proxies");
        bar.tick();
        let mut running = Vec::new();
        for variant in variants {
            let mut one = Running::start(variant, binary.clone(), upstream, 1).await.with_context(|| variant.name)?;
            cores.pin(one.pid, cores.proxies)?;
            one.probe(first).await.with_context(|| variant.name)?;
            running.push(one);
        }
        for (place, workload) in workloads.iter().enumerate() {
            let requests = workload.requests(pace.requests);
            bar.set_message(workload.name());
            for one in &mut running {
                // The first run fills pools and caches, and makes the series.
                run(one, *workload, requests, &files).await.with_context(|| one.variant.name)?;
            }
            for _ in 0..pace.rounds {
                order.shuffle(&mut rng);
                for number in &order {
                    let (Some(one), Some(figures)) = (running.get_mut(*number), figures.get_mut(*number)) else {
                        continue;
                    };
                    let cost = run(one, *workload, requests, &files).await.with_context(|| one.variant.name)?;
                    if let Some(costs) = figures.costs.get_mut(place) {
                        costs.push(start, cost);
                    }
                    bar.inc(1);
                }
            }
        }
        for (mut one, figures) in running.into_iter().zip(&mut figures) {
            one.check_counts().await.with_context(|| one.variant.name)?;
            figures.resident = process::resident(one.pid).context("Envoy ended")?;
            one.envoy.stop(Duration::from_secs(2)).await?;
        }
    }
    bar.finish_and_clear();
    Ok(figures)
}

/// One run: CPU µs a request, requests a second, median and 99th percentile of the latency in µs.
async fn run(one: &mut Running<'_>, workload: Workload, requests: u32, files: &Files) -> Result<[f64; 4]> {
    let before = process::scheduled(one.pid).context("this system does not tell what a process ran")?;
    let sent = one.send(workload, requests, files).await?;
    let ran = process::scheduled(one.pid).context("Envoy ended")?.saturating_sub(before);
    let requests = f64::from(requests);
    Ok([
        ran.as_secs_f64() * 1e6 / requests,
        requests / sent.seconds,
        quantile::of(&sent.latencies, 0.5),
        quantile::of(&sent.latencies, 0.99),
    ])
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
