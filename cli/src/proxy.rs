//! The proxy that runs the filter: the embedded host or real Envoy, with the same configuration files and the same answers.

use std::fmt;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use host_harness::serve::{self, RunningServer, ServeOptions};
use host_harness::stats_config::StatsConfig;
use host_harness::{CodeCache, FailurePolicy, Module, ModuleError, PluginConfig};

use crate::Usage;
use crate::envoy::{self, EnvoyOptions, EnvoyProxy};
use crate::tools::{self, Fetch, Tools};

/// Which proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ProxyKind {
    /// The embedded host: needs nothing else.
    #[default]
    #[value(alias = "embedded")]
    Harness,
    /// Envoy: `ENVOY_BIN`, else `envoy` on the path, else fetched.
    Envoy,
}

impl fmt::Display for ProxyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Harness => "embedded host",
            Self::Envoy => "Envoy",
        })
    }
}

/// How to run the proxy.
#[derive(Debug, Clone)]
pub struct ProxyOptions {
    /// Which one.
    pub kind: ProxyKind,
    /// The module's file, from [`module_path()`].
    pub module: PathBuf,
    /// The plugin configuration as JSON.
    pub configuration: String,
    /// Where requests go.
    pub upstream: envoy::Upstream,
    /// Where clients connect; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the admin pages are; port 0 takes a free one.
    pub admin: SocketAddr,
    /// Envoy's listener for Prometheus; port 0 takes a free one, and none leaves it out.
    pub metrics: Option<SocketAddr>,
    /// Worker threads.
    pub workers: u32,
}

/// A running proxy. Dropping it ends it.
#[derive(Debug)]
pub enum Proxy {
    /// The embedded host.
    Harness(Box<RunningServer>),
    /// Envoy.
    Envoy(Box<EnvoyProxy>),
}

/// The module's file: the given one, or the one that `cargo xtask build` writes.
///
/// # Errors
/// When there is none.
pub fn module_path(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    let path =
        given.map_or_else(|| tools::target_dir().join("edge-observer").join("edge_observer.wasm"), Path::to_owned);
    match given {
        _ if path.is_file() => Ok(path),
        Some(_) => Err(Usage::error(format!("there is no module {}; `cargo xtask build` makes one", path.display()))),
        None => bail!(
            "there is no module {}; build it with `cargo xtask build`, or name one with --module FILE",
            path.display()
        ),
    }
}

/// A module whose compiled code is kept from one run to the next. Where it cannot be, each takes a second of one core longer.
fn load(path: &Path) -> Result<Module, ModuleError> {
    let module = Module::from_file(path)?;
    Ok(match CodeCache::of_user() {
        Ok(cache) => module.cached_in(&cache),
        Err(_) => module,
    })
}

impl Proxy {
    /// Starts it, and returns when it serves.
    ///
    /// # Errors
    /// One message: an address that is taken, a module or configuration that is refused, an Envoy that is not there.
    pub async fn start(options: ProxyOptions) -> anyhow::Result<Self> {
        free(options.listen, "--listen")?;
        free(options.admin, "--admin")?;
        if options.listen == options.admin && options.listen.port() != 0 {
            return Err(Usage::error("--listen and --admin are the same address; choose another one for one of them"));
        }
        match options.kind {
            ProxyKind::Harness => Self::start_harness(options).await,
            ProxyKind::Envoy => Self::start_envoy(options).await,
        }
    }

    async fn start_harness(options: ProxyOptions) -> anyhow::Result<Self> {
        let upstream = options.upstream.to_string().parse().context("the embedded host cannot use this upstream")?;
        let path = options.module.clone();
        // Not on a thread that serves.
        let module = tokio::task::spawn_blocking(move || load(&path))
            .await?
            .with_context(|| format!("cannot load {}", options.module.display()))?;
        let plugin = PluginConfig {
            name: envoy::FILTER.to_owned(),
            root_id: envoy::FILTER.to_owned(),
            vm_id: envoy::FILTER.to_owned(),
            configuration: options.configuration.clone().into_bytes(),
            failure_policy: FailurePolicy::FailOpen,
            ..PluginConfig::default()
        };
        let mut serve_options = ServeOptions::new(module, plugin, upstream);
        // What the polls of a configuration ask, as the shipped bootstrap calls it.
        serve_options.clusters.push(("api".to_owned(), Some(serve_options.upstream.clone())));
        serve_options.listen = options.listen;
        serve_options.admin = options.admin;
        serve_options.workers = options.workers.max(1).try_into()?;
        serve_options.stats_config = StatsConfig::from_bootstrap_yaml(&envoy::bootstrap_for(&options.configuration)?)
            .context("envoy/bootstrap.yaml")?;
        let server = serve::start(serve_options).await?;
        Ok(Self::Harness(Box::new(server)))
    }

    async fn start_envoy(options: ProxyOptions) -> anyhow::Result<Self> {
        let envoy = tokio::task::spawn_blocking(|| Tools::new(Fetch::Allowed).envoy()).await??;
        let mut envoy_options = EnvoyOptions::new(envoy.path, options.module);
        envoy_options.configuration = options.configuration;
        envoy_options.upstream = options.upstream;
        envoy_options.listen = options.listen;
        envoy_options.admin = options.admin;
        envoy_options.metrics = options.metrics;
        envoy_options.workers = options.workers.max(1);
        let proxy = EnvoyProxy::start(envoy_options).await?;
        Ok(Self::Envoy(Box::new(proxy)))
    }

    /// Where clients connect.
    pub fn listen(&self) -> SocketAddr {
        match self {
            Self::Harness(server) => server.listen,
            Self::Envoy(proxy) => proxy.listen(),
        }
    }

    /// Where the admin pages are.
    pub fn admin(&self) -> SocketAddr {
        match self {
            Self::Harness(server) => server.admin,
            Self::Envoy(proxy) => proxy.admin(),
        }
    }

    /// The listener for Prometheus, where there is one.
    pub fn metrics(&self) -> Option<SocketAddr> {
        match self {
            Self::Harness(_) => None,
            Self::Envoy(proxy) => proxy.metrics(),
        }
    }

    /// Which one it is.
    pub fn kind(&self) -> ProxyKind {
        match self {
            Self::Harness(_) => ProxyKind::Harness,
            Self::Envoy(_) => ProxyKind::Envoy,
        }
    }

    /// Ends it, and returns when nothing of it is left.
    pub async fn stop(self) -> anyhow::Result<()> {
        match self {
            Self::Harness(server) => server.shutdown().await,
            Self::Envoy(mut proxy) => {
                let stopped = proxy.stop(Duration::from_secs(5)).await;
                // Its drop waits for the process; not on a thread that serves.
                tokio::task::spawn_blocking(move || drop(proxy)).await?;
                stopped?;
            }
        }
        Ok(())
    }
}

/// An error with its cure when an address cannot be listened on. Tried beforehand, because Envoy shares a port with whoever else lets it
/// (`SO_REUSEPORT`), and would not say a word.
fn free(address: SocketAddr, option: &str) -> anyhow::Result<()> {
    if address.port() == 0 {
        return Ok(());
    }
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            bail!("{address} is in use; choose another address with {option}")
        }
        Err(error) => {
            Err(error).with_context(|| format!("cannot listen on {address}; choose another address with {option}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_use_names_the_option() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        assert_eq!(
            free(address, "--admin").unwrap_err().to_string(),
            format!("{address} is in use; choose another address with --admin")
        );
        drop(taken);
        assert!(
            free("192.0.2.1:9".parse().unwrap(), "--listen")
                .unwrap_err()
                .to_string()
                .starts_with("cannot listen on 192.0.2.1:9")
        );
    }

    #[tokio::test]
    async fn clients_and_admin_pages_need_an_address_each() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let options = ProxyOptions {
            kind: ProxyKind::Harness,
            module: PathBuf::new(),
            configuration: String::new(),
            upstream: free.into(),
            listen: free,
            admin: free,
            metrics: None,
            workers: 1,
        };
        let message = Proxy::start(options).await.unwrap_err().to_string();
        assert!(message.contains("--listen and --admin are the same address"), "{message}");
    }

    #[test]
    fn a_missing_module_names_the_command_that_builds_it() {
        let message = module_path(Some(Path::new("/nonexistent.wasm"))).unwrap_err().to_string();
        assert!(message.contains("/nonexistent.wasm"), "{message}");
    }
}
