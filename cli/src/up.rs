//! `edge-observer up`: the filter in front of an API, with what to look at.
//!
//! Three ways of use, all with the same proxy, module and configuration files:
//! - without `--upstream`: the sample API behind the proxy, a steady mix of requests, a live table until Ctrl-C;
//! - with `--requests N`: the same with exactly N requests, and at the end an account of every one of them ([`Accounting`]);
//! - with `--upstream URL`: in front of the user's own API; nothing is sent, the table shows what others send.

mod accounting;
mod live;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use http::HeaderName;
use indicatif::{ProgressBar, ProgressStyle};
use telemetry::config::Config;
use telemetry::correlation::Trust;
use tokio_util::sync::CancellationToken;

pub use accounting::{Accounting, Class, EndpointRow, Row, Stored, endpoint_rows, endpoint_table};
pub(crate) use accounting::{metric_name, proxy_total};
pub(crate) use live::written;

use crate::Usage;
use crate::config_file::{self, Loaded};
use crate::envoy;
use crate::load::{self, CorrelationCheck, LoadOptions};
use crate::proxy::{self, Proxy, ProxyKind, ProxyOptions};
use crate::sample_api::{SampleApi, SampleApiOptions};
use crate::scrape;
use crate::stack::{self, Stack};

/// Where clients connect when nothing is said, and the port is free.
pub const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 10000);
/// Where the admin pages are when nothing is said, and the port is free.
pub const ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9901);

/// The namespace of the shipped rules.
const RULES_NAMESPACE: &str = "eucora";

/// How long the filter may take to hand over its last counts.
const HAND_OVER: Duration = Duration::from_secs(60);

/// What `up` is to do.
#[derive(Debug, Clone)]
pub struct UpOptions {
    /// Which proxy.
    pub proxy: ProxyKind,
    /// The user's own API; `None` starts the sample API.
    pub upstream: Option<envoy::Upstream>,
    /// The plugin configuration; `None` is the EUCORA profile.
    pub config: Option<PathBuf>,
    /// Where clients connect; `None` is [`LISTEN`] or, where that is taken or a finite run needs none, a free port.
    pub listen: Option<SocketAddr>,
    /// Where the admin pages are; likewise, with [`ADMIN`].
    pub admin: Option<SocketAddr>,
    /// Send so many requests, and account for them.
    pub requests: Option<u64>,
    /// Requests a second; `None` is 200 for the steady mix, and as fast as answers come for a finite run.
    pub rate: Option<f64>,
    /// Whether Prometheus and Alertmanager are started too; only with Envoy.
    pub stack: bool,
    /// Worker threads of the proxy.
    pub workers: u32,
    /// The module; `None` is the one that `cargo xtask build` writes.
    pub module: Option<PathBuf>,
    /// The seed of the mix and of the sample API.
    pub seed: u64,
    /// The sample API's latencies are multiplied by this.
    pub latency_scale: f64,
    /// Whether anything but the result may be printed: progress, addresses, the live table.
    pub quiet: bool,
    /// Ends it, as Ctrl-C does.
    pub stop: CancellationToken,
}

impl Default for UpOptions {
    fn default() -> Self {
        Self {
            proxy: ProxyKind::default(),
            upstream: None,
            config: None,
            listen: None,
            admin: None,
            requests: None,
            rate: None,
            stack: false,
            workers: 2,
            module: None,
            seed: 1,
            latency_scale: 1.0,
            quiet: false,
            stop: CancellationToken::new(),
        }
    }
}

/// A proxy with the filter in front of an API.
#[derive(Debug)]
struct Stand {
    loaded: Loaded,
    proxy: Proxy,
    /// `None` in front of the user's own API.
    api: Option<SampleApi>,
    /// Where it was asked for.
    stack: Option<Stack>,
}

impl Stand {
    async fn start(options: &UpOptions) -> anyhow::Result<Self> {
        // It may wait, on standard input or a pipe: not where Ctrl-C would wait with it.
        let config = options.config.clone();
        let loaded = tokio::task::spawn_blocking(move || load_config(config.as_deref())).await??;
        let module = proxy::module_path(options.module.as_deref())?;
        let (api, upstream) = match &options.upstream {
            Some(own) => (None, own.clone()),
            None => {
                let api = SampleApi::start(SampleApiOptions {
                    routes: loaded.config.routes().specs().to_vec(),
                    seed: options.seed,
                    latency_scale: options.latency_scale,
                    ..SampleApiOptions::default()
                })
                .await?;
                let upstream = api.address().into();
                (Some(api), upstream)
            }
        };
        let finite = options.requests.is_some();
        if options.stack && loaded.config.namespace() != RULES_NAMESPACE {
            return Err(Usage::error(format!(
                "the rules of --stack are written for the namespace `{RULES_NAMESPACE}`, and this configuration has `{}`; leave out one of them",
                loaded.config.namespace()
            )));
        }
        let proxy = Proxy::start(ProxyOptions {
            kind: options.proxy,
            module,
            configuration: loaded.json.clone(),
            upstream,
            listen: address(options.listen, LISTEN, finite),
            admin: address(options.admin, ADMIN, finite),
            metrics: options.stack.then(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
            workers: options.workers,
        })
        .await?;
        let stack = match proxy.metrics() {
            Some(metrics) => Some(Stack::start(metrics, !finite).await?),
            None => None,
        };
        Ok(Self { loaded, proxy, api, stack })
    }

    /// Ends all of it.
    async fn stop(self) -> anyhow::Result<()> {
        let stack = match self.stack {
            Some(stack) => stack.stop().await,
            None => Ok(()),
        };
        self.proxy.stop().await?;
        stack
    }

    fn load_options(&self, options: &UpOptions) -> anyhow::Result<LoadOptions> {
        let config = &self.loaded.config;
        let header: HeaderName = config.correlation().header().parse().context("correlation.header")?;
        let mut load = LoadOptions::new(self.proxy.listen());
        load.mix.seed = options.seed;
        load.mix.routes = config.routes().specs().to_vec();
        load.mix.correlation_header = header.clone();
        load.correlation =
            config.correlation().respond().then(|| CorrelationCheck { header, trusted: trusted(config) });
        load.requests = options.requests;
        load.rate = options.rate;
        load.stop = options.stop.clone();
        Ok(load)
    }
}

/// Whether this machine's own clients are trusted with IDs. By a list of networks they may or may not be, and the answer is not worth a guess:
/// the shipped trust lists are for other machines.
fn trusted(config: &Config) -> bool {
    let sender = telemetry::correlation::Sender { address: Some(b"127.0.0.1:1"), mtls: false };
    match &config.correlation().policy().trust {
        Trust::Any => true,
        Trust::None => false,
        trust @ Trust::Senders { .. } => trust.accepts(&sender),
    }
}

/// The configuration of a file, or the EUCORA profile.
///
/// # Errors
/// All mistakes of the file.
pub fn load_config(file: Option<&std::path::Path>) -> anyhow::Result<Loaded> {
    match file {
        Some(file) => config_file::require(file),
        None => config_file::parse(envoy::PROFILE.as_bytes()).map_err(|mistakes| match mistakes.first() {
            Some(first) => anyhow::anyhow!("envoy/plugin-config/eucora.yaml: {first}"),
            None => anyhow::anyhow!("envoy/plugin-config/eucora.yaml is not valid"),
        }),
    }
}

/// The address asked for; else the usual one when it is free and of use; else any free port.
fn address(asked: Option<SocketAddr>, usual: SocketAddr, finite: bool) -> SocketAddr {
    let free = |address: &SocketAddr| !finite && TcpListener::bind(address).is_ok();
    asked.or_else(|| Some(usual).filter(free)).unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
}

/// Sends `options.requests` requests (20,000 when nothing is said) through the filter and accounts for every one of them.
///
/// # Errors
/// When something cannot be started, or was stopped before the end. Requests that are not accounted for are no error but in the result.
pub async fn run(options: UpOptions) -> anyhow::Result<Accounting> {
    if options.upstream.is_some() {
        return Err(Usage::error("requests are counted against the sample API; leave out --upstream or --requests"));
    }
    let options = UpOptions { requests: Some(options.requests.unwrap_or(20_000)), ..options };
    let stand = tokio::select! {
        stand = Stand::start(&options) => stand?,
        () = options.stop.cancelled() => bail!("stopped"),
    };
    let accounted = account(&stand, &options).await;
    let stopped = stand.stop().await;
    let accounting = accounted?;
    stopped?;
    Ok(accounting)
}

async fn account(stand: &Stand, options: &UpOptions) -> anyhow::Result<Accounting> {
    let load = stand.load_options(options)?;
    let requests = options.requests.unwrap_or_default();
    let bar = progress_bar(requests, options.quiet);
    let progress = Arc::clone(&load.progress);
    let ledger = {
        let mut running = std::pin::pin!(load::run(load));
        loop {
            tokio::select! {
                ledger = &mut running => break ledger?,
                () = tokio::time::sleep(Duration::from_millis(100)) => bar.set_position(progress.load(Ordering::Relaxed)),
            }
        }
    };
    bar.finish_and_clear();
    if options.stop.is_cancelled() {
        bail!("stopped after {} of {requests} requests", ledger.total());
    }
    let config = &stand.loaded.config;
    let admin = stand.proxy.admin();
    let waited =
        scrape::wait_until(admin, HAND_OVER, |scrape| Accounting::new(config, &ledger, scrape).is_exact()).await?;
    // One more tick: what comes too much, comes late.
    tokio::time::sleep(Duration::from_millis(u64::from(config.metrics().flush_interval_ms()) + 200)).await;
    let last = scrape::fetch(admin).await.unwrap_or(waited.scrape);
    let accounting = Accounting::new(config, &ledger, &last);
    match &stand.stack {
        Some(stack) => Ok(accounting.stored(stored(stack, ledger.total()).await?)),
        None => Ok(accounting),
    }
}

/// What Prometheus has of a run, when it has all of it or has had the time for it.
async fn stored(stack: &Stack, requests: u64) -> anyhow::Result<Stored> {
    let prometheus = stack.prometheus();
    let deadline = Instant::now() + 6 * stack::INTERVAL;
    loop {
        let stored = Stored::of(prometheus).await?;
        // The watchdog fires with the first evaluation of its rule, and the rules are counted when Prometheus has scraped itself.
        let settled = stored.requests == requests && !stored.firing.is_empty() && stored.rules > 0;
        if settled || Instant::now() > deadline {
            return Ok(stored);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Shown on standard error, and only on a terminal.
pub(crate) fn progress_bar(length: u64, quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {human_pos} of {human_len} requests, {per_sec}, {eta} left");
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Runs until `options.stop`: the sample API under a steady mix, or the user's own API; prints addresses and the live table.
///
/// # Errors
/// When something cannot be started, or the proxy ends by itself.
pub async fn run_live(options: UpOptions) -> anyhow::Result<()> {
    let stand = tokio::select! {
        stand = Stand::start(&options) => stand?,
        () = options.stop.cancelled() => return Ok(()),
    };
    let shown = show(&stand, &options).await;
    let stopped = stand.stop().await;
    shown?;
    stopped
}

async fn show(stand: &Stand, options: &UpOptions) -> anyhow::Result<()> {
    if !options.quiet {
        let mut addresses = live::addresses(stand, options);
        if let Some(stack) = &stand.stack {
            addresses.push_str(&stack.addresses());
            addresses.push('\n');
        }
        if !live::written(&addresses)? {
            return Ok(());
        }
    }
    let mut steady = options.clone();
    steady.rate = steady.rate.or(Some(200.0));
    let mut load = stand.load_options(&steady)?;
    load.http1_connections = 8;
    load.http2_connections = 2;
    let sending = async {
        match stand.api {
            Some(_) => load::run(load).await.map(drop),
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        sent = sending => if options.stop.is_cancelled() { Ok(()) } else { sent },
        shown = live::table(&stand.proxy, &stand.loaded.config, options.quiet) => shown,
        () = options.stop.cancelled() => Ok(()),
    }
}
