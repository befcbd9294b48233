//! The scenario that took a gateway's route classifier down, as a run that proves its own figures: a large route table, a steady load on all of
//! it over HTTP/1.1 and HTTP/2, and between it a scanner's paths, of which none comes twice.
//!
//! What must hold, each with its number in the [`Report`]: every request answered, no 503, counts exact (by method, endpoint and status, in the
//! client's books, the filter's and the proxy's), series within the budget that the configuration states, no trap, a heartbeat from every
//! worker to the end, and memory that stops growing after the first quarter of the run (or, where the load was slow, after the last series came).

mod junk;
mod memory;
mod report;
mod table;
mod traffic;
mod upstream;
mod verdict;
mod watch;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use http::HeaderName;
use telemetry::route::{PlaceholderLimits, Unmatched};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

pub use memory::Memory;
pub use report::{Figure, Report};
pub use table::MAX_ROUTES;
pub use verdict::{Claim, Promise};

use crate::config_file::Loaded;
use crate::envoy::{AccessLog, EnvoyOptions, EnvoyProxy, OwnAnswers};
use crate::load::{self, CorrelationCheck, Ledger, LoadOptions};
use crate::proxy::{self, Proxy, ProxyKind, ProxyOptions};
use crate::scrape::{self, Scrape};
use crate::tools::{Fetch, Tools};
use crate::up::Accounting;
use traffic::Traffic;
use upstream::Upstream;
use verdict::Evidence;

/// Of so many requests one goes over HTTP/1.1: a connection of HTTP/2 carries many at a time, one of HTTP/1.1 a single one.
const HTTP1_EVERY: u64 = 4;
/// Requests at a time on a connection of HTTP/2; the shipped bootstrap allows 100.
const STREAMS: usize = 64;
/// A client goes away and comes back after so many requests.
const REQUESTS_PER_CONNECTION: u64 = 10_000;
/// The cap on learned endpoints, as by default.
const MAX_ENDPOINTS: usize = 40;
/// How long the filter may take to hand over its last counts.
const HAND_OVER: Duration = Duration::from_secs(90);
/// How long the workers may take to show that they are alive.
const NEXT_BEAT: Duration = Duration::from_secs(10);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What becomes of paths that no route has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum UnmatchedKind {
    /// They are `unknown`.
    #[default]
    Unknown,
    /// Their segments become typed placeholders, within a cap.
    Placeholders,
}

/// Who answers the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum AnsweredBy {
    /// Envoy's own routes, so that the machine has only Envoy and the client to carry. The embedded host has none, and asks an upstream.
    #[default]
    Proxy,
    /// An upstream on this machine.
    Upstream,
}

/// What the run is to do.
#[derive(Debug, Clone)]
pub struct ScannerOptions {
    /// Which proxy.
    pub proxy: ProxyKind,
    /// How long requests are sent.
    pub seconds: u32,
    /// Requests a second.
    pub rate: u32,
    /// Routes in the table, at most [`MAX_ROUTES`].
    pub routes: usize,
    /// Connections to the proxy, half of them of each protocol.
    pub connections: usize,
    /// What becomes of paths that no route has.
    pub unmatched: UnmatchedKind,
    /// Who answers.
    pub answered_by: AnsweredBy,
    /// Worker threads of the proxy.
    pub workers: u32,
    /// The module; `None` is the one that `cargo xtask build` writes.
    pub module: Option<PathBuf>,
    /// The seed of the table and of the traffic.
    pub seed: u64,
    /// Whether anything but the result may be printed.
    pub quiet: bool,
    /// Ends it, as Ctrl-C does.
    pub stop: CancellationToken,
}

impl Default for ScannerOptions {
    fn default() -> Self {
        Self {
            proxy: ProxyKind::Envoy,
            seconds: 120,
            rate: 5_000,
            routes: 1_000,
            connections: 8,
            unmatched: UnmatchedKind::default(),
            answered_by: AnsweredBy::default(),
            workers: 2,
            module: None,
            seed: 1,
            quiet: false,
            stop: CancellationToken::new(),
        }
    }
}

impl ScannerOptions {
    /// How many requests there are to send.
    fn requests(&self) -> u64 {
        u64::from(self.seconds) * u64::from(self.rate)
    }

    /// Who really answers.
    fn answered_by(&self) -> AnsweredBy {
        match self.proxy {
            ProxyKind::Harness => AnsweredBy::Upstream,
            ProxyKind::Envoy => self.answered_by,
        }
    }
}

/// Runs it.
///
/// # Errors
/// When something cannot be started, was stopped, or the proxy ended. A promise that was not held is no error but in the report.
pub async fn run(options: ScannerOptions) -> anyhow::Result<Report> {
    let unmatched = match options.unmatched {
        UnmatchedKind::Unknown => Unmatched::Unknown,
        UnmatchedKind::Placeholders => {
            Unmatched::Placeholders(PlaceholderLimits { max_endpoints: MAX_ENDPOINTS, ..PlaceholderLimits::default() })
        }
    };
    let loaded = table::configuration(&table::routes(options.routes.clamp(1, MAX_ROUTES), options.seed), unmatched)?;
    let module = proxy::module_path(options.module.as_deref())?;
    let upstream = Upstream::start()?;
    let proxy = tokio::select! {
        proxy = start(&options, &loaded, module, upstream.address()) => proxy?,
        () = options.stop.cancelled() => bail!("stopped"),
    };
    let measured = measure(&proxy, &loaded, &options).await;
    match measured {
        Ok(report) => {
            proxy.stop().await?;
            Ok(report)
        }
        Err(error) => {
            let said = complaints(&proxy);
            drop(tokio::task::spawn_blocking(move || drop(proxy)).await);
            if said.is_empty() { Err(error) } else { Err(anyhow::anyhow!("{error:#}; it said: {}", said.join("; "))) }
        }
    }
}

/// The proxy as it is shipped, but without its access log: two minutes of it would be gigabytes, and making a line costs as much as a third of the
/// filter, which at this rate is a load that a small machine does not have room for.
async fn start(
    options: &ScannerOptions,
    loaded: &Loaded,
    module: PathBuf,
    upstream: SocketAddr,
) -> anyhow::Result<Proxy> {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    match options.proxy {
        ProxyKind::Harness => {
            Proxy::start(ProxyOptions {
                kind: ProxyKind::Harness,
                module,
                configuration: loaded.json.clone(),
                upstream: upstream.into(),
                listen: any,
                admin: any,
                metrics: None,
                workers: options.workers,
            })
            .await
        }
        ProxyKind::Envoy => {
            let envoy = tokio::task::spawn_blocking(|| Tools::new(Fetch::Allowed).envoy()).await??;
            let mut envoy_options = EnvoyOptions::new(envoy.path, module);
            envoy_options.configuration.clone_from(&loaded.json);
            envoy_options.upstream = upstream.into();
            envoy_options.workers = options.workers.max(1);
            envoy_options.access_log = AccessLog::Off;
            envoy_options.own_answers = (options.answered_by() == AnsweredBy::Proxy)
                .then(|| OwnAnswers { header: upstream::ANSWER, statuses: traffic::statuses() });
            Ok(Proxy::Envoy(Box::new(EnvoyProxy::start(envoy_options).await?)))
        }
    }
}

async fn measure(proxy: &Proxy, loaded: &Loaded, options: &ScannerOptions) -> anyhow::Result<Report> {
    let config = &loaded.config;
    let header: HeaderName = config.correlation().header().parse().context("correlation.header")?;
    let source = Traffic::new(config.routes().specs().to_vec(), header.clone(), options.seed);
    let mut load = LoadOptions::new(proxy.listen());
    load.requests = Some(options.requests());
    load.http2_connections = (options.connections / 2).max(1);
    load.http1_connections = options.connections.saturating_sub(load.http2_connections).max(1);
    load.http2_streams = STREAMS;
    load.http1_every = Some(HTTP1_EVERY);
    load.rate = Some(f64::from(options.rate));
    load.limit = Some(Duration::from_secs(u64::from(options.seconds)));
    load.requests_per_connection = Some(REQUESTS_PER_CONNECTION);
    load.patience = PATIENCE;
    load.correlation = Some(CorrelationCheck { header, trusted: true });
    let (progress, pace) = (Arc::clone(&load.progress), Arc::clone(&load.pace));
    // Its own, so that whatever ends the watching ends the load too.
    let stop = options.stop.child_token();
    let _ends_with_this = stop.clone().drop_guard();
    load.stop = stop;

    let started = Instant::now();
    let sending = send(source, load)?;
    let (ledger, watched) = watch::until(sending, proxy, config, options, &progress).await?;
    let took = started.elapsed();
    if options.stop.is_cancelled() {
        bail!("stopped after {} of {} requests", ledger.total(), options.requests());
    }
    let last = last_scrape(proxy, loaded, &ledger).await?;
    let beats_go_on = beats_go_on(proxy, loaded, &last).await?;
    let evidence = Evidence {
        config,
        ledger: &ledger,
        scrape: &last,
        accounting: Accounting::new(config, &ledger, &last),
        asked: options.requests(),
        workers: options.workers,
        complaints: complaints(proxy),
        healthy: health(proxy).await,
        beats_go_on,
        watched: &watched,
    };
    Ok(Report::new(options, &evidence, &pace, took))
}

/// Sends the load from a thread of its own: one core at most, and no other task between its requests.
fn send(source: Traffic, load: LoadOptions) -> anyhow::Result<oneshot::Receiver<anyhow::Result<Ledger>>> {
    let (done, sending) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new()
        .name("load".to_owned())
        .spawn(move || {
            let ledger = runtime.block_on(load::run_from(Arc::new(source), load));
            // Nobody waits for it any more when the run was stopped.
            drop(done.send(ledger));
        })
        .context("cannot start a thread")?;
    Ok(sending)
}

/// The counts once they agree or time is up, and one tick later: what comes too much, comes late.
async fn last_scrape(proxy: &Proxy, loaded: &Loaded, ledger: &Ledger) -> anyhow::Result<Scrape> {
    let config = &loaded.config;
    scrape::wait_until(proxy.admin(), HAND_OVER, |scrape| Accounting::new(config, ledger, scrape).is_exact()).await?;
    tokio::time::sleep(Duration::from_millis(u64::from(config.metrics().flush_interval_ms()) + 200)).await;
    scrape::fetch(proxy.admin()).await
}

/// Whether every worker that ever beat still does.
async fn beats_go_on(proxy: &Proxy, loaded: &Loaded, last: &Scrape) -> anyhow::Result<bool> {
    let before = verdict::beats(&loaded.config, last);
    let waited = scrape::wait_until(proxy.admin(), NEXT_BEAT, |scrape| {
        let now = verdict::beats(&loaded.config, scrape);
        before.iter().all(|(worker, beats)| now.get(worker).is_some_and(|now| now > beats))
    })
    .await?;
    Ok(waited.in_time)
}

/// What Envoy or the filter complained about.
fn complaints(proxy: &Proxy) -> Vec<String> {
    match proxy {
        Proxy::Envoy(envoy) => envoy.complaints(),
        Proxy::Harness(_) => Vec::new(),
    }
}

/// Whether the proxy itself says that all of its threads are well.
async fn health(proxy: &Proxy) -> bool {
    let page = match proxy {
        Proxy::Envoy(_) => "/ready",
        Proxy::Harness(_) => "/healthz",
    };
    crate::client::get(proxy.admin(), page).await.is_ok_and(|answer| answer.status == 200)
}
