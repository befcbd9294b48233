//! Each build on one real Envoy: it does what its name says, and nothing that the rehearsal before a rollout would see.

use std::time::{Duration, Instant};

use edge_observer::client;
use edge_observer::envoy::{AccessLog, EnvoyError, EnvoyOptions, EnvoyProxy};
use edge_observer::load::{self, Ledger, LoadOptions, Shares};
use edge_observer::process;
use edge_observer::rollout::preflight::rehearsal::rehearse;
use edge_observer::sample_api::{SampleApi, SampleApiOptions};
use edge_observer::scrape::{self, Scrape};
use rollout::build::builds;
use telemetry::config::Config;

use super::{BadBuild, Harm, ROUNDS, SLOW, another_module, good, module_with, refused_configuration};
use crate::rollout::file_ecds::plan_of;
use crate::support::proxy::{envoy_binary, module_path};

const REQUESTS: &str = "eucora_http_requests_total";
const DURATIONS: &str = "eucora_http_request_duration_seconds_count";
const MICROSECONDS: &str = "eucora_http_request_duration_microseconds_total";

/// An Envoy with one worker in front of an API that answers at once and never fails.
struct Stand {
    envoy: EnvoyProxy,
    _api: SampleApi,
    config: Config,
    _folder: tempfile::TempDir,
}

impl Stand {
    async fn start(harm: Option<Harm>) -> Option<Self> {
        let binary = envoy_binary()?;
        let folder = tempfile::tempdir().unwrap();
        let module = harm.map_or_else(|| module_path().to_owned(), |harm| module_with(harm, folder.path()));
        let mut options = EnvoyOptions::new(binary, module);
        let config = Config::from_json(options.configuration.as_bytes()).unwrap();
        let routes = config.routes().specs().to_vec();
        let api = SampleApiOptions { routes, latency_scale: 0.0, error_scale: 0.0, ..SampleApiOptions::default() };
        let api = SampleApi::start(api).await.unwrap();
        options.upstream = api.address().into();
        options.workers = 1;
        options.access_log = AccessLog::Off;
        Some(Self { envoy: EnvoyProxy::start(options).await.unwrap(), _api: api, config, _folder: folder })
    }

    async fn send(&self, requests: u64) -> Ledger {
        let mut options = LoadOptions::new(self.envoy.listen());
        options.mix.routes = self.config.routes().specs().to_vec();
        options.mix.shares = Shares { abort: 0.0, websocket: 0.0, ..Shares::default() };
        (options.http1_connections, options.http2_connections) = (1, 0);
        options.requests = Some(requests);
        load::run(options).await.unwrap()
    }

    /// The page, once Envoy has counted so many requests and the filter has handed over what it has.
    async fn page(&self, requests: u64) -> Scrape {
        let page = scrape::wait_until(self.envoy.admin(), Duration::from_secs(20), |page| proxy(page) >= requests);
        assert!(page.await.unwrap().in_time);
        // Two ticks.
        let mut before = 0;
        loop {
            tokio::time::sleep(Duration::from_millis(2_200)).await;
            let page = scrape::fetch(self.envoy.admin()).await.unwrap();
            if page.count(REQUESTS, &[]) == before {
                return page;
            }
            before = page.count(REQUESTS, &[]);
        }
    }

    /// The quickest of many requests for a path.
    async fn quickest(&self, path: &str) -> Duration {
        let mut quickest = Duration::MAX;
        for _ in 0..100 {
            let began = Instant::now();
            assert_eq!(client::get(self.envoy.listen(), path).await.unwrap().status, 200);
            quickest = quickest.min(began.elapsed());
        }
        quickest
    }

    /// Processor time of `requests` requests.
    async fn cpu(&self, requests: u64) -> Duration {
        let pid = self.envoy.pid().unwrap();
        let before = process::cpu(pid).unwrap();
        self.send(requests).await;
        process::cpu(pid).unwrap() - before
    }
}

fn proxy(page: &Scrape) -> u64 {
    page.count("envoy_http_downstream_rq_total", &[("envoy_http_conn_manager_prefix", "ingress")])
}

fn answered(ledger: &Ledger, status: u16) -> u64 {
    ledger.answered.iter().filter(|((_, of), _)| *of == status).map(|(_, count)| count).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_traps_by_chance() {
    let Some(stand) = Stand::start(Some(Harm::Trap(200))).await else { return };
    let sent = stand.send(4_000).await.total();
    let page = stand.page(sent).await;
    let counted = page.count(REQUESTS, &[]);
    // The VM is not started again: what comes after the trap is not counted.
    assert!(proxy(&page) == sent && counted < sent, "{counted} of {sent}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_slows_one_endpoint() {
    let Some(stand) = Stand::start(Some(Harm::Slow(2_000))).await else { return };
    // The quickest of many: a busy machine can make any one slow, and none quick.
    let (slow, id, other) =
        (stand.quickest(SLOW).await, stand.quickest("/api/v1/audit/7/").await, stand.quickest("/api/v1/cab/").await);
    assert!(slow.min(id) >= Duration::from_millis(2) && slow.min(id) > other, "{slow:?}, {id:?} beside {other:?}");
    // And the filter measures what it takes.
    let page = stand.page(300).await;
    let (micros, requests) = (page.counts_by(MICROSECONDS, ["endpoint"]), page.counts_by(DURATIONS, ["endpoint"]));
    let mean = micros[&[SLOW.to_owned()]] / requests[&[SLOW.to_owned()]];
    assert!(mean >= 2_000, "{mean} µs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_answers_with_errors_by_chance() {
    let Some(stand) = Stand::start(Some(Harm::Errors(200))).await else { return };
    let ledger = stand.send(8_000).await;
    let errors = answered(&ledger, 503);
    // 40 in the mean; six standard deviations to each side.
    assert!((4..80).contains(&errors), "{errors} of {}", ledger.total());
    let page = stand.page(ledger.total()).await;
    assert_eq!((page.count(REQUESTS, &[]), page.count(REQUESTS, &[("status", "503")])), (ledger.total(), errors));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_takes_processor_time() {
    let (Some(plain), Some(busy)) = (Stand::start(None).await, Stand::start(Some(Harm::Spin(ROUNDS))).await) else {
        return;
    };
    let (plain, busy) = (plain.cpu(1_500).await, busy.cpu(1_500).await);
    let us = |cpu: Duration| cpu.as_micros() / 1_500;
    assert!(us(busy) > us(plain) + 300, "{} us a request beside {} us", us(busy), us(plain));
    eprintln!("processor time a request: {} us, of the built module {} us", us(busy), us(plain));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_leaks() {
    let Some(stand) = Stand::start(Some(Harm::Leak(4))).await else { return };
    stand.send(500).await;
    let pid = stand.envoy.pid().unwrap();
    let before = process::resident(pid).unwrap();
    stand.send(4_000).await;
    let pages = (process::resident(pid).unwrap() - before) / (64 << 10);
    assert!((600..1_400).contains(&pages), "{pages} pages of 4,000 requests");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_forgets_one_request_in_fifty() {
    let Some(stand) = Stand::start(Some(Harm::Forget(50))).await else { return };
    let sent = stand.send(3_000).await.total();
    let page = stand.page(sent).await;
    assert_eq!((proxy(&page), page.count(REQUESTS, &[])), (sent, sent - sent / 50));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_explodes_a_label() {
    let Some(stand) = Stand::start(Some(Harm::Explode)).await else { return };
    let sent = stand.send(500).await.total();
    let page = stand.page(sent).await;
    let endpoints = page.counts_by(MICROSECONDS, ["endpoint", "method"]);
    let exploded = endpoints.keys().filter(|of| of[0].starts_with("/x/000") && of[1] == "GET").count() as u64;
    assert_eq!((exploded, page.count(REQUESTS, &[])), (sent, sent));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envoy_refuses_what_the_rehearsal_takes() {
    let Some(mut stand) = Stand::start(None).await else { return };
    let folder = tempfile::tempdir().unwrap();
    let secret = refused_configuration();
    let refused = stand.envoy.update_config(&secret.configuration.to_string()).await.unwrap_err();
    assert!(
        matches!(&refused, EnvoyError::Refused { messages } if messages.join("\n").contains("SIEM_TOKEN")),
        "{refused}"
    );
    let stranger = BadBuild { module: module_with(Harm::Stranger, folder.path()), ..good(folder.path()) };
    let refused = stand.envoy.update_module(&stranger.module).await.unwrap_err();
    assert!(matches!(refused, EnvoyError::Refused { .. }), "{refused}");
    for build in [secret, stranger, good(folder.path())] {
        let module = std::fs::read(&build.module).unwrap();
        let of_ring = builds(&plan_of(folder.path(), "http://127.0.0.1:1"), &module, &build.configuration).unwrap();
        let environment: Vec<String> = build.environment.iter().map(|name| (*name).to_owned()).collect();
        let rehearsed = rehearse(&of_ring["0"], &environment);
        assert!(rehearsed.is_ok(), "{}: {rehearsed:?}", build.name);
    }
    // The old build serves on, and takes the good one.
    stand.envoy.update_config(&good(folder.path()).configuration.to_string()).await.unwrap();
    let sent = stand.send(500).await.total();
    assert_eq!(stand.page(sent).await.count(REQUESTS, &[]), sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_module_goes_on_with_what_was_counted() {
    let Some(mut stand) = Stand::start(None).await else { return };
    let folder = tempfile::tempdir().unwrap();
    // Two builds that report the same are told apart by what lies between them.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let mut sent = 0;
    for module in [another_module(folder.path()), module_path().to_owned(), another_module(folder.path())] {
        sent += stand.send(400).await.total();
        // What was counted since the last tick is handed over by a VM that goes, also under names that are new.
        stand.envoy.update_module(&module).await.unwrap();
        sent += stand.send(400).await.total();
        let page = stand.page(sent).await;
        assert_eq!((page.count(REQUESTS, &[]), page.count(DURATIONS, &[])), (sent, sent));
    }
}
