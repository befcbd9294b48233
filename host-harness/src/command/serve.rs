//! `serve`: a module between clients and an upstream.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use host_harness::serve::{self, Endpoint, EndpointError, Protocol, ServeOptions, Signals, Upstream};
use host_harness::stats_config::StatsConfig;
use host_harness::{FailurePolicy, LogSink, PluginConfig};

use super::cache::CacheArguments;
use super::conformance::ConformanceArguments;

/// Arguments of the command.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The module, as .wasm or .wat
    #[arg(long, value_name = "FILE")]
    module: PathBuf,
    /// What the module gets as its plugin configuration, byte for byte
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where requests go, as http://HOST:PORT; with tcp://HOST:PORT the module is a network filter between TCP connections
    #[arg(long, value_name = "URL")]
    upstream: Upstream,
    /// Where the module's callouts to a cluster go, gRPC over HTTP/2; `NAME=` has no endpoint. May be given several times
    #[arg(long = "cluster", value_name = "NAME=URL", value_parser = cluster)]
    clusters: Vec<(String, Option<Endpoint>)>,
    /// Where clients connect
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where stats, readiness and health are
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9901")]
    admin: SocketAddr,
    /// Worker threads, each with a VM of its own
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: u16,
    /// An Envoy bootstrap file whose `stats_config` says how stats are named and shown
    #[arg(long, value_name = "FILE")]
    stats_config: Option<PathBuf>,
    /// Append a JSON line for each request or connection to this file; /dev/stdout works
    #[arg(long, value_name = "FILE")]
    access_log: Option<PathBuf>,
    /// How long the upstream may take for a response
    #[arg(long, value_name = "SECONDS", default_value_t = 15)]
    timeout: u64,
    /// How long a TCP connection may be without data
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    idle_timeout: u64,
    /// Name of the plugin, which also names its VM
    #[arg(long, value_name = "NAME", default_value = "plugin")]
    name: String,
    /// Which root context of the module to use
    #[arg(long, value_name = "ID", default_value = "")]
    root_id: String,
    #[command(flatten)]
    conformance: ConformanceArguments,
    /// What requests get after the module has failed: 503, the upstream's answer without the module, or 503 until a fresh VM
    /// takes over; TCP connections are closed where a request gets 503
    #[arg(long, value_name = "POLICY", value_enum, default_value_t = OnFailure::Closed)]
    on_failure: OnFailure,
    /// The shortest time from a VM's start to a fresh one in its place
    #[arg(long, value_name = "SECONDS", default_value_t = FailurePolicy::RELOAD_BACKOFF.as_secs())]
    reload_backoff: u64,
    /// A hostcall, WASI function or callback that the module may use. May be given several times; all when not given
    #[arg(long = "allow", value_name = "CAPABILITY")]
    allowed_capabilities: Vec<String>,
}

/// What requests get after the module has failed.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum OnFailure {
    Closed,
    Open,
    Reload,
}

/// `NAME=URL`.
fn cluster(text: &str) -> Result<(String, Option<Endpoint>), String> {
    match text.split_once('=') {
        Some((name, "")) if !name.is_empty() => Ok((name.to_owned(), None)),
        Some((name, url)) if !name.is_empty() => url
            .parse()
            .map(|endpoint| (name.to_owned(), Some(endpoint)))
            .map_err(|error: EndpointError| error.to_string()),
        _ => Err("it names no cluster; write it as NAME=http://HOST:PORT".to_owned()),
    }
}

/// Reads the files that the command line names.
pub(crate) fn read(arguments: Serve, cache: &CacheArguments) -> anyhow::Result<ServeOptions> {
    let bytes = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let module = cache.load(&arguments.module)?;
    let plugin = PluginConfig {
        vm_id: arguments.name.clone(),
        name: arguments.name,
        root_id: arguments.root_id,
        configuration: arguments.config.as_deref().map(bytes).transpose()?.unwrap_or_default(),
        allowed_capabilities: arguments.allowed_capabilities,
        failure_policy: match arguments.on_failure {
            OnFailure::Closed => FailurePolicy::FailClosed,
            OnFailure::Open => FailurePolicy::FailOpen,
            OnFailure::Reload => FailurePolicy::FailReload { backoff: Duration::from_secs(arguments.reload_backoff) },
        },
        ..PluginConfig::default()
    };
    let mut options = ServeOptions::new(module, plugin, arguments.upstream.endpoint);
    options.protocol = arguments.upstream.protocol;
    if let Some(path) = &arguments.stats_config {
        let text = String::from_utf8(bytes(path)?).with_context(|| format!("{} is not UTF-8", path.display()))?;
        options.stats_config =
            StatsConfig::from_bootstrap_yaml(&text).with_context(|| format!("{} is wrong", path.display()))?;
    }
    options.conformance = arguments.conformance.given().unwrap_or_default();
    options.clusters = arguments.clusters;
    options.listen = arguments.listen;
    options.admin = arguments.admin;
    options.workers = usize::from(arguments.workers);
    options.access_log = arguments.access_log;
    options.route_timeout = Duration::from_secs(arguments.timeout);
    options.idle_timeout = Duration::from_secs(arguments.idle_timeout);
    options.log = LogSink::Tracing;
    Ok(options)
}

/// Serves until interrupted.
pub(crate) fn run(options: ServeOptions) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (upstream, protocol) = (options.upstream.to_string(), options.protocol);
        let server = serve::start(options).await?;
        // Before anybody is told that it runs, and may end it.
        let mut signals = Signals::listen()?;
        let scheme = match protocol {
            Protocol::Http => "http",
            Protocol::Tcp => "tcp",
        };
        tracing::info!("listening on {scheme}://{}, upstream {upstream}", server.listen);
        tracing::info!("admin on http://{}: /stats /stats/prometheus /metrics /ready /healthz", server.admin);
        signals.next().await;
        tracing::info!("draining; interrupt again to end at once");
        tokio::select! {
            () = server.shutdown() => {}
            _ = signals.next() => {}
        }
        Ok(())
    })
}
