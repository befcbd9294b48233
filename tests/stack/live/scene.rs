//! Four Envoys, what is behind them, Prometheus and Alertmanager.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use edge_observer::envoy::{Delivery, ECDS, EnvoyOptions, EnvoyProxy, Upstream as To, profile_json};
use edge_observer::load::{self, LoadOptions};
use edge_observer::sample_api::{SampleApi, SampleApiOptions};
use edge_observer::stack::alertmanager::{Alertmanager, LoopbackOptions, Timings, loopback_config};
use edge_observer::stack::prometheus::{Prometheus, PrometheusOptions, RULES};
use edge_observer::stack::receivers::Receivers;
use edge_observer::tools::Tools;
use http::HeaderName;
use serde_json::{Value, json};
use telemetry::config::Config;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::backing::{Backing, Binaries, free};
use crate::events::fakes::{Kind, Receiver, Server};
use crate::support::mortal::mortal_module;
use crate::support::proxy::{envoy_binary, module_path};
use crate::support::upstream::Upstream;

/// The variable with the sink's secret.
const SECRET: &str = "STACK_TEST_SECRET";

/// What a second of the shipped rules' thresholds is here: those of five minutes become five seconds.
const PATIENCE: (&str, &str) = ("> 300", "> 5");

/// The shipped windows on a logarithmic scale, so that their order stays: a minute is 4 s, an hour 16 s, 30 days 35 s.
fn window(shipped: Duration) -> Duration {
    let minutes = (shipped.as_secs_f64() / 60.0).max(1.0);
    Duration::from_secs_f64(4.0 + 2.0 * minutes.log2())
}

/// How long a condition must hold here.
fn hold(shipped: Duration) -> Duration {
    shipped.min(Duration::from_secs(2))
}

/// The shipped rules at a pace that a test can wait for.
pub(super) fn paced_rules() -> Vec<(String, String)> {
    let mut patience = 0;
    let rules = RULES
        .iter()
        .map(|(name, text)| {
            let paced = monitoring::pace::paced(text, &window, &hold).unwrap();
            patience += paced.matches(PATIENCE.0).count();
            ((*name).to_owned(), paced.replace(PATIENCE.0, PATIENCE.1))
        })
        .collect();
    assert_eq!(patience, 4, "thresholds of 300 s");
    rules
}

/// The profile, with a sink, a poll every second of the API that has the summary, and ring 0.
fn configuration() -> Value {
    let mut config: Value = serde_json::from_str(&profile_json()).unwrap();
    config["ring"] = json!("0");
    config["polls"][0]["cluster"] = json!("summary");
    config["polls"][0]["interval_ms"] = json!(1_000);
    config["polls"][0]["stale_after_ms"] = json!(60_000);
    config["events"]["sinks"] = json!([sink(&json!({ "batch_events": 50, "max_wait_ms": 200 }))]);
    config
}

fn sink(limits: &Value) -> Value {
    let mut sink = json!({
        "name": "siem", "cluster": "siem", "authority": "siem.example", "secret_env": SECRET, "limits": limits,
    });
    for (name, value) in Kind::Json.sink().as_object().unwrap() {
        sink[name] = value.clone();
    }
    sink
}

/// A configuration with everything wrong that one can have: other buckets, room for two endpoints, a poll that nobody answers, a cluster that is not
/// there, a queue of five events, and a budget that the series of the configuration before it alone exceed.
pub(super) fn troubled() -> Value {
    let mut config = json!({
        "ring": "0",
        "metrics": { "buckets_seconds": [0.3, 1.0, 3.0], "methods": ["GET"], "statuses": [200], "extra_statuses": 1, "series_budget": 1_000_000 },
        "routes": {
            "unmatched": "placeholders",
            "placeholders": { "max_endpoints": 2 },
            "table": [{ "methods": ["POST"], "template": "/decisions/{id}", "name": "decision" }],
        },
        "rules": [{
            "name": "decided",
            "when": { "endpoints": ["decision"], "methods": ["POST"] },
            "event": { "type": "DECISION", "class": "decision" },
        }],
        "polls": [{
            "name": "summary", "cluster": "nowhere", "authority": "api", "path": "/summary", "interval_ms": 1_000, "stale_after_ms": 60_000,
            "gauges": [{ "name": "cab_queue_depth", "pointer": "/cab_queue_depth", "help": "Requests that wait" }],
        }],
        "events": { "sinks": [sink(&json!({ "queue_events": 5, "timeout_ms": 1_000, "backoff_ms": 500, "backoff_cap_ms": 500 }))] },
    });
    let total = Config::from_value(config.clone()).unwrap().budget().total();
    config["metrics"]["series_budget"] = json!(total);
    config
}

/// An address of its own, so that each proxy is an instance of its own.
fn instance(number: u8) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(127, 0, 0, number), 0))
}

/// All that runs.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) backing: Backing,
    /// The API behind the first Envoy, which is also asked for the summary.
    pub(super) api: SampleApi,
    /// What is behind the others: it answers whatever it is asked to.
    _upstream: Upstream,
    /// Takes the events of the first Envoy, always well.
    _steady: Server,
    /// Takes those of the others.
    pub(super) collector: Receiver,
    _collector: Server,
    /// The one that most of the traffic passes, and that has a certificate.
    pub(super) first: EnvoyProxy,
    /// Gets another configuration, and loses a worker's VM.
    pub(super) second: EnvoyProxy,
    /// Refuses a configuration, and loses its filter.
    pub(super) third: EnvoyProxy,
    /// Reloads a VM that failed.
    pub(super) fourth: EnvoyProxy,
    pub(super) prometheus: Prometheus,
    _alertmanager: Alertmanager,
    pub(super) receivers: Receivers,
    _folder: TempDir,
}

impl Scene {
    /// Starts all of it; none where a program is missing.
    pub(super) async fn start() -> Option<Self> {
        let (binary, binaries) = (envoy_binary()?, Binaries::find()?);
        let prometheus = crate::stack::tool(Tools::prometheus)?;
        let alertmanager = crate::stack::tool(Tools::alertmanager)?;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| {
            let place = folder.path().join(name);
            std::fs::create_dir_all(&place).unwrap();
            place
        };
        let backing = Backing::start(binaries, &at("backing")).await;
        let profile = Config::from_json(profile_json().as_bytes()).unwrap();
        let routes = profile.routes().specs().to_vec();
        let api = SampleApiOptions { routes, error_scale: 0.0, latency_scale: 0.3, ..SampleApiOptions::default() };
        let api = SampleApi::start(api).await.unwrap();
        let upstream = Upstream::start().await;
        let (steady, collector) = (Receiver::new(Kind::Json), Receiver::new(Kind::Json));
        let (steady, collector_server) = (Server::start(&steady).await, Server::start(&collector).await);

        let options = |number: u8, upstream: SocketAddr, siem: SocketAddr| {
            let mut options = EnvoyOptions::new(&binary, module_path());
            options.configuration = configuration().to_string();
            options.upstream = To::from(upstream);
            options.workers = 2;
            options.metrics = Some(instance(number));
            options.clusters = vec![("summary".to_owned(), api.address()), ("siem".to_owned(), siem)];
            options.environment = vec![(SECRET.to_owned(), Kind::Json.secret().to_owned())];
            options
        };
        let certificates = at("certificates");
        write_certificate(&certificates, 365);
        let mut first = options(1, api.address(), steady.address);
        first.arguments = vec!["--config-yaml".to_owned(), tls_listener(&certificates).to_string()];
        let mortal = mortal_module(folder.path());
        let mut second = options(2, upstream.address, collector_server.address);
        second.module.clone_from(&mortal);
        let third = options(3, upstream.address, collector_server.address);
        let mut fourth = options(4, upstream.address, collector_server.address);
        fourth.delivery = Delivery::Instead(vec![reloading(&fourth, &mortal)]);
        let (first, second, third, fourth) = tokio::join!(
            EnvoyProxy::start(first),
            EnvoyProxy::start(second),
            EnvoyProxy::start(third),
            EnvoyProxy::start(fourth)
        );
        let [first, second, third, fourth] = [first, second, third, fourth].map(Result::unwrap);

        let receivers = Receivers::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        // What inhibits what is tested by itself; here each is to be seen.
        let quiet = LoopbackOptions { timings: Some(Timings::short()), mute_times: false, inhibition: false };
        let config = loopback_config(receivers.address(), &at("alertmanager"), &quiet).unwrap();
        let alertmanager = Alertmanager::start(&alertmanager, &config, free()).await.unwrap();
        let listen = free();
        let mut prometheus = PrometheusOptions::new(prometheus, listen, at("prometheus"));
        prometheus.interval = Some(Duration::from_secs(1));
        // Celery's exporter asks its workers on each scrape and waits a second for them; PostgreSQL's tries as long to connect.
        prometheus.slower.insert("celery".to_owned(), Duration::from_secs(5));
        prometheus.slower.insert("postgres".to_owned(), Duration::from_secs(3));
        // What fires before Alertmanager is known is not told.
        prometheus.resend = Some(Duration::from_secs(5));
        prometheus.alertmanager = Some(alertmanager.address());
        prometheus.rules = paced_rules();
        let edges: Vec<String> =
            [&first, &second, &third, &fourth].iter().map(|envoy| envoy.metrics().unwrap().to_string()).collect();
        let mut targets = BTreeMap::from([
            ("control-plane".to_owned(), edges.clone()),
            ("edge".to_owned(), edges),
            ("prometheus".to_owned(), vec![listen.to_string()]),
            ("alertmanager".to_owned(), vec![alertmanager.address().to_string()]),
        ]);
        for (job, address) in backing.exporters {
            targets.insert(job.to_owned(), vec![address.to_string()]);
        }
        prometheus.targets = targets;
        let prometheus = Prometheus::start(&prometheus).await.unwrap();
        Some(Self {
            backing,
            api,
            _upstream: upstream,
            _steady: steady,
            collector,
            _collector: collector_server,
            first,
            second,
            third,
            fourth,
            prometheus,
            _alertmanager: alertmanager,
            receivers,
            _folder: folder,
        })
    }

    /// The configuration that is as it should be.
    pub(super) fn sound() -> String {
        configuration().to_string()
    }

    /// Renews the first Envoy's certificate, for so many days.
    pub(super) fn certify(&self, days: u32) {
        write_certificate(&self._folder.path().join("certificates"), days);
    }

    /// Takes the filter out of the third Envoy, as an operator may who suspects it.
    pub(super) fn disable_third(&self) {
        let resource = json!({
            "version_info": "out",
            "resources": [{
                "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
                "name": "edge_observer",
                "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC" },
            }],
        });
        let new = self.third.folder().join("out.new");
        std::fs::write(&new, resource.to_string()).unwrap();
        std::fs::rename(new, self.third.ecds()).unwrap();
    }

    /// A steady mix of requests through the first Envoy, until it is dropped.
    pub(super) fn load(&self, rate: f64) -> AbortOnDropHandle<()> {
        let options = self.load_options(&self.first, rate);
        AbortOnDropHandle::new(tokio::spawn(async move { drop(load::run(options).await) }))
    }

    fn load_options(&self, to: &EnvoyProxy, rate: f64) -> LoadOptions {
        let profile = Config::from_json(profile_json().as_bytes()).unwrap();
        let mut load = LoadOptions::new(to.listen());
        load.rate = Some(rate);
        load.stop = CancellationToken::new();
        load.http1_connections = 4;
        load.http2_connections = 1;
        load.mix.routes = profile.routes().specs().to_vec();
        load.mix.correlation_header = HeaderName::from_static("x-correlation-id");
        load
    }

    /// So many requests of the mix through the second Envoy, so that it has the series of all of them.
    pub(super) async fn fill_second(&self, requests: u64) {
        let mut options = self.load_options(&self.second, 1_000.0);
        options.requests = Some(requests);
        options.rate = None;
        load::run(options).await.unwrap();
    }
}

/// Requests at a steady rate, each on a connection of its own, so that every worker gets some; until it is dropped.
pub(super) fn repeat(
    to: SocketAddr,
    rate: f64,
    request: impl Fn(u64) -> String + Send + 'static,
) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
        let mut running = tokio::task::JoinSet::new();
        for number in 0.. {
            ticks.tick().await;
            let head = format!("{} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n", request(number));
            running.spawn(async move {
                let line = head.lines().next().unwrap_or_default().to_owned();
                let length = if line.starts_with("POST") { "content-length: 0\r\n" } else { "" };
                crate::support::traffic::raw(to, format!("{head}{length}\r\n").as_bytes()).await;
            });
            while running.try_join_next().is_some() {}
        }
    }))
}

/// The wasm filter that loads its VM anew when it failed, with a module that can be killed.
fn reloading(options: &EnvoyOptions, module: &Path) -> Value {
    let ecds: Value = serde_yaml_ng::from_str(ECDS).unwrap();
    let mut filter = ecds["resources"][0]["typed_config"].clone();
    filter["config"]["vm_config"]["code"]["local"]["filename"] = json!(module);
    filter["config"]["vm_config"]["environment_variables"] = json!({ "host_env_keys": [SECRET] });
    filter["config"]["configuration"]["value"] = json!(options.configuration);
    filter["config"]["failure_policy"] = json!("FAIL_RELOAD");
    json!({ "name": "edge_observer", "typed_config": filter })
}

/// A certificate of so many days, where Envoy watches for it.
fn write_certificate(folder: &Path, days: u32) {
    let new = folder.join("new");
    std::fs::create_dir_all(&new).unwrap();
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-subj", "/CN=api.example.test", "-days", &days.to_string()])
        .arg("-keyout")
        .arg(new.join("key.pem"))
        .arg("-out")
        .arg(new.join("certificate.pem"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for file in ["key.pem", "certificate.pem"] {
        std::fs::rename(new.join(file), folder.join(file)).unwrap();
    }
    // Envoy reads both when the secret's own file is renamed into place.
    let secret = json!({
        "resources": [{
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            "name": "api",
            "tls_certificate": {
                "certificate_chain": { "filename": folder.join("certificate.pem") },
                "private_key": { "filename": folder.join("key.pem") },
            },
        }],
    });
    std::fs::write(new.join("secret.json"), secret.to_string()).unwrap();
    std::fs::rename(new.join("secret.json"), folder.join("secret.json")).unwrap();
}

/// A listener with a certificate, beside the shipped ones.
fn tls_listener(certificates: &Path) -> Value {
    let secret = json!({ "name": "api", "sds_config": { "path_config_source": {
        "path": certificates.join("secret.json"), "watched_directory": { "path": certificates },
    } } });
    json!({ "static_resources": { "listeners": [{
        "name": "tls",
        "address": { "socket_address": { "address": "127.0.0.1", "port_value": 0 } },
        "filter_chains": [{
            "transport_socket": {
                "name": "envoy.transport_sockets.tls",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
                    "common_tls_context": { "tls_certificate_sds_secret_configs": [secret] },
                },
            },
            "filters": [{
                "name": "envoy.filters.network.tcp_proxy",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
                    "stat_prefix": "tls",
                    "cluster": "api",
                },
            }],
        }],
    }] } })
}
