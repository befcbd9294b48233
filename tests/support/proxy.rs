//! The proxies under test behind one face: the embedded host, and real Envoy as the shipped configuration has it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use edge_observer::envoy::{EnvoyOptions, EnvoyProxy, bootstrap_for, profile_json};
use edge_observer::scrape::{self, Scrape};
use edge_observer::tools::{Fetch, Tools, skip_test, target_dir};
use host_harness::serve::{RunningServer, ServeOptions};
use host_harness::stats_config::StatsConfig;
use host_harness::{FailurePolicy, Module, PluginConfig, Shared};

/// The built module. Builds it first, once in a test run, so that it is never stale.
pub(crate) fn module_path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let output = std::process::Command::new(env!("CARGO"))
            .args(["run", "--quiet", "--package", "xtask", "--", "build"])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "`cargo xtask build` failed:\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        target_dir().join("edge-observer/edge_observer.wasm")
    })
}

/// The module, compiled for the embedded host.
pub(crate) fn module() -> Module {
    Module::from_file(module_path()).unwrap()
}

/// The module as the compiler makes it, before any other tool has been at it: the same bytes wherever the pinned toolchain is.
pub(crate) fn compiled_module() -> Module {
    module_path();
    Module::from_file(target_dir().join("wasm32-wasip1/module/plugin.wasm")).unwrap()
}

/// Envoy's executable, or none with a word of why; an error where tools are required.
pub(crate) fn envoy_binary() -> Option<PathBuf> {
    match Tools::new(Fetch::Never).envoy() {
        Ok(tool) => Some(tool.path),
        Err(error) => {
            skip_test(&format_args!("{error}; `cargo xtask test` installs it"));
            None
        }
    }
}

/// How a test wants its proxy.
#[derive(Debug, Clone)]
pub(crate) struct ProxyOptions {
    /// The plugin configuration as JSON.
    pub(crate) configuration: String,
    /// Where requests go.
    pub(crate) upstream: SocketAddr,
    /// Worker threads.
    pub(crate) workers: u32,
    /// After which the client gets 504.
    pub(crate) route_timeout: Duration,
    /// Clusters for the filter's own calls, by name.
    pub(crate) clusters: Vec<(String, SocketAddr)>,
    /// Variables of the VM's environment.
    pub(crate) environment: Vec<(String, String)>,
    /// What the embedded host does after the module failed; Envoy has what is shipped.
    pub(crate) failure_policy: FailurePolicy,
    /// A module for Envoy that is not the built one.
    pub(crate) module: Option<PathBuf>,
}

impl ProxyOptions {
    /// The EUCORA profile, two workers.
    pub(crate) fn new(upstream: SocketAddr) -> Self {
        Self {
            configuration: profile_json(),
            upstream,
            workers: 2,
            route_timeout: Duration::from_secs(20),
            clusters: Vec::new(),
            environment: Vec::new(),
            failure_policy: FailurePolicy::default(),
            module: None,
        }
    }
}

/// A running proxy.
#[derive(Debug)]
pub(crate) enum Proxy {
    /// The embedded host.
    Harness {
        /// The server.
        server: RunningServer,
        /// Its access log.
        access_log: PathBuf,
        /// Where the log is kept; removed at the end.
        _folder: tempfile::TempDir,
    },
    /// Real Envoy.
    Envoy(Box<EnvoyProxy>),
}

impl Proxy {
    /// The embedded host with the shipped `stats_config`.
    pub(crate) async fn harness(options: &ProxyOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let access_log = folder.path().join("access.log");
        let plugin = PluginConfig {
            name: "edge_observer".into(),
            root_id: "edge_observer".into(),
            vm_id: "edge_observer".into(),
            configuration: options.configuration.clone().into_bytes(),
            env: options.environment.clone(),
            failure_policy: options.failure_policy,
            ..PluginConfig::default()
        };
        let mut serve = ServeOptions::new(module(), plugin, options.upstream.into());
        serve.workers = options.workers as usize;
        serve.stats_config = StatsConfig::from_bootstrap_yaml(&bootstrap_for(&options.configuration).unwrap()).unwrap();
        serve.access_log = Some(access_log.clone());
        serve.route_timeout = options.route_timeout;
        serve.clusters =
            options.clusters.iter().map(|(name, address)| (name.clone(), Some((*address).into()))).collect();
        // As in the shipped bootstrap.
        serve.clusters.push(("api".to_owned(), Some(options.upstream.into())));
        let server = host_harness::serve::start(serve).await.unwrap();
        Self::Harness { server, access_log, _folder: folder }
    }

    /// Real Envoy, where there is one.
    pub(crate) async fn envoy(options: &ProxyOptions) -> Option<Self> {
        let mut envoy = EnvoyOptions::new(envoy_binary()?, options.module.as_deref().unwrap_or_else(|| module_path()));
        envoy.configuration.clone_from(&options.configuration);
        envoy.upstream = options.upstream.into();
        envoy.workers = options.workers;
        envoy.route_timeout = Some(options.route_timeout);
        envoy.clusters.clone_from(&options.clusters);
        envoy.environment.clone_from(&options.environment);
        Some(Self::Envoy(Box::new(EnvoyProxy::start(envoy).await.unwrap())))
    }

    /// Where clients connect.
    pub(crate) fn listen(&self) -> SocketAddr {
        match self {
            Self::Harness { server, .. } => server.listen,
            Self::Envoy(envoy) => envoy.listen(),
        }
    }

    /// The admin interface.
    pub(crate) fn admin(&self) -> SocketAddr {
        match self {
            Self::Harness { server, .. } => server.admin,
            Self::Envoy(envoy) => envoy.admin(),
        }
    }

    /// Its access log, line by line.
    pub(crate) fn access_log(&self) -> Vec<serde_json::Value> {
        let path = match self {
            Self::Harness { access_log, .. } => access_log.clone(),
            Self::Envoy(envoy) => envoy.access_log().unwrap(),
        };
        let text = std::fs::read(path).unwrap();
        text.split(|b| *b == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| {
                serde_json::from_slice(line).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(line)))
            })
            .collect()
    }

    /// What can still be read of its log when it has ended.
    pub(crate) fn log(&self) -> ProxyLog {
        match self {
            Self::Harness { server, .. } => ProxyLog::Harness(Arc::clone(server.shared())),
            Self::Envoy(envoy) => ProxyLog::Envoy(std::fs::File::open(envoy.log()).unwrap()),
        }
    }

    /// Waits until the filter has handed over as many requests as the proxy counted, and no stream is open.
    pub(crate) async fn settled(&self) -> Scrape {
        let waited = scrape::wait_until(self.admin(), Duration::from_secs(60), |s| {
            proxy_total(s) == filter_total(s) && s.sum("envoy_http_downstream_rq_active", &INGRESS) == 0.0
        })
        .await
        .unwrap();
        assert!(
            waited.in_time,
            "the filter counted {} requests, the proxy {}, {} are open",
            filter_total(&waited.scrape),
            proxy_total(&waited.scrape),
            waited.scrape.sum("envoy_http_downstream_rq_active", &INGRESS),
        );
        // A page is not of one moment: it may have been written while counts of the last requests were still coming in.
        let mut before = waited.scrape;
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        loop {
            tokio::time::sleep(Duration::from_millis(250)).await;
            let now = scrape::fetch(self.admin()).await.unwrap();
            if whole(&now) && request_counts(&now) == request_counts(&before) {
                return now;
            }
            assert!(tokio::time::Instant::now() < deadline, "counts of requests that have ended never come to rest");
            before = now;
        }
    }

    /// Waits until the access log has as many lines as there were requests.
    pub(crate) async fn whole_access_log(&self, lines: u64) -> Vec<serde_json::Value> {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        loop {
            let log = self.access_log();
            if log.len() as u64 >= lines || tokio::time::Instant::now() > deadline {
                assert_eq!(log.len() as u64, lines, "lines of the access log");
                return log;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Resident memory in bytes, where the proxy is a process of its own.
    pub(crate) fn resident(&self) -> Option<u64> {
        let Self::Envoy(envoy) = self else { return None };
        let status = std::fs::read_to_string(format!("/proc/{}/status", envoy.pid()?)).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        Some(kib * 1024)
    }

    /// Ends it in an orderly way.
    pub(crate) async fn stop(self) {
        match self {
            Self::Harness { server, .. } => server.shutdown().await,
            Self::Envoy(mut envoy) => {
                let _ = envoy.stop(Duration::from_secs(10)).await;
            }
        }
    }
}

/// The log of a proxy; it outlives the proxy's folder.
#[derive(Debug)]
pub(crate) enum ProxyLog {
    /// Of the module alone.
    Harness(Arc<Shared>),
    /// Envoy's, with its own lines.
    Envoy(std::fs::File),
}

impl ProxyLog {
    /// All of it so far.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Harness(shared) => shared.logs().iter().map(|line| format!("{}\n", line.message)).collect(),
            Self::Envoy(file) => {
                let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
                file.read_exact_at(&mut bytes, 0).unwrap();
                String::from_utf8_lossy(&bytes).into_owned()
            }
        }
    }
}

/// The listener of the shipped bootstrap, in the proxy's own stats.
pub(crate) const INGRESS: [(&str, &str); 1] = [("envoy_http_conn_manager_prefix", "ingress")];

/// The requests that the proxy itself counted.
pub(crate) fn proxy_total(scrape: &Scrape) -> u64 {
    scrape.count("envoy_http_downstream_rq_total", &INGRESS)
}

/// Everything that the filter has counted of requests, in all.
fn request_counts(scrape: &Scrape) -> [u64; 3] {
    ["http_requests_total", "http_request_duration_seconds_bucket", "http_request_duration_microseconds_total"]
        .map(|metric| scrape.count(&format!("eucora_{metric}"), &[]))
}

/// Whether requests, durations and the bucket of all of them are the same in number.
fn whole(scrape: &Scrape) -> bool {
    let requests = filter_total(scrape);
    requests == scrape.count("eucora_http_request_duration_seconds_count", &[])
        && requests == scrape.count("eucora_http_request_duration_seconds_bucket", &[("le", "+Inf")])
}

/// The requests that the filter counted.
pub(crate) fn filter_total(scrape: &Scrape) -> u64 {
    scrape.count("eucora_http_requests_total", &[])
}

/// The proxy's own counts by class of status.
pub(crate) fn proxy_classes(scrape: &Scrape) -> BTreeMap<u16, u64> {
    scrape
        .counts_by("envoy_http_downstream_rq_xx", ["envoy_http_conn_manager_prefix", "envoy_response_code_class"])
        .into_iter()
        .filter(|([prefix, _], count)| prefix == "ingress" && *count > 0)
        .map(|([_, class], count)| (class.parse().unwrap(), count))
        .collect()
}

/// The filter's counts by method and status.
pub(crate) fn filter_counts(scrape: &Scrape) -> BTreeMap<(String, u16), u64> {
    scrape
        .counts_by("eucora_http_requests_total", ["method", "status"])
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|([method, status], count)| ((method, status.parse().unwrap()), count))
        .collect()
}

/// Adds up counts under another key.
pub(crate) fn fold<K: Ord, N: Ord + Clone>(counts: &BTreeMap<K, u64>, key: impl Fn(&K) -> N) -> BTreeMap<N, u64> {
    let mut out = BTreeMap::new();
    for (k, count) in counts {
        *out.entry(key(k)).or_default() += count;
    }
    out
}
