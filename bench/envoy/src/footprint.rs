//! What the filter occupies: its module, a VM's memory, Envoy's; and what Prometheus has to read once every series is there.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use edge_observer::client::{Connection, Protocol, RequestBody};
use edge_observer::envoy::{AccessLog, EnvoyOptions, EnvoyProxy, OwnAnswers, profile_json};
use edge_observer::goal::Goal;
use edge_observer::table::{Column, Table, bytes, count, duration};
use edge_observer::{process, quantile, scrape};
use host_harness::test::Host;
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use indicatif::ProgressBar;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use telemetry::config::Config;

use crate::report::Report;
use crate::running::{self, Running};
use crate::tables;
use crate::variants::{Variant, name};
use crate::workload::{ANSWER, Files, Workload};

/// Worker threads of each Envoy.
const WORKERS: u32 = 2;
/// Requests before the memory is read.
const REQUESTS: u32 = 2_000;
/// How long the filter may take to hand over every series.
const HAND_OVER: Duration = Duration::from_secs(300);
/// How often a page is asked for.
const READS: usize = 7;
/// What the module may have.
const MODULE_GOAL: u64 = 250 << 10;
/// What a VM may have with the large table.
const LINEAR_GOAL: u64 = 2 << 20;

/// What one variant occupies, in bytes.
#[derive(Debug)]
struct Footprint {
    name: &'static str,
    module: Option<u64>,
    /// Of one VM, once it is configured.
    linear: Option<u64>,
    resident: u64,
}

/// A page of the admin interface.
#[derive(Debug)]
struct Page {
    what: &'static str,
    path: &'static str,
    lines: usize,
    ours: usize,
    bytes: usize,
    /// Median, in seconds.
    seconds: f64,
}

/// All that was measured.
#[derive(Debug)]
pub(crate) struct FootprintReport {
    footprints: Vec<Footprint>,
    pages: Vec<Page>,
    /// Series that the profile may lead to, and those that were made.
    budget: u64,
    made: usize,
}

/// Measures every variant's memory, and our filter's pages with the profile that ships.
pub(crate) async fn measure(variants: &[Variant], paths: &[String], module: &Path) -> Result<FootprintReport> {
    let files = Files::new(paths)?;
    let binary = running::envoy_binary().await?;
    let upstream = crate::upstream::start().await?;
    let mut footprints = Vec::new();
    for variant in variants {
        eprintln!("    {}", variant.name);
        let mut one = Running::start(variant, binary.clone(), upstream, WORKERS).await.with_context(|| variant.name)?;
        one.send(Workload::Tiny, REQUESTS, &files).await.with_context(|| variant.name)?;
        let resident = process::resident(one.pid).context("Envoy ended")?;
        one.envoy.stop(Duration::from_secs(2)).await?;
        let (module, linear) = match &variant.wasm {
            Some((module, configuration)) => {
                (Some(std::fs::metadata(module)?.len()), Some(linear_memory(module, configuration)?))
            }
            None => (None, None),
        };
        footprints.push(Footprint { name: variant.name, module, linear, resident });
    }
    let (pages, budget, made) = pages(binary, module, upstream.into()).await?;
    Ok(FootprintReport { footprints, pages, budget, made })
}

/// The memory of a VM of this module, once it is configured.
fn linear_memory(module: &Path, configuration: &str) -> Result<u64> {
    let host = Host::builder().module_file(module).configuration(configuration).fuel_per_callback(None).trace(false);
    let mut host = host.start().map_err(|failure| anyhow!("{failure}"))?;
    Ok(host.worker(0).memory_size() as u64)
}

/// The statistics page before and after every series of the profile that Envoy's own answers can make.
async fn pages(
    binary: PathBuf,
    module: &Path,
    upstream: edge_observer::envoy::Upstream,
) -> Result<(Vec<Page>, u64, usize)> {
    let config = Config::from_json(profile_json().as_bytes()).map_err(|errors| anyhow!("{errors}"))?;
    let statuses: Vec<StatusCode> = config
        .metrics()
        .statuses()
        .iter()
        .filter(|status| (200..600).contains(status))
        .map(StatusCode::from_u16)
        .collect::<Result<_, _>>()?;
    let mut options = EnvoyOptions::new(binary, module);
    options.configuration = profile_json();
    options.upstream = upstream;
    options.workers = WORKERS;
    options.access_log = AccessLog::Off;
    options.own_answers = Some(OwnAnswers { header: ANSWER, statuses: statuses.clone() });
    let envoy = EnvoyProxy::start(options).await?;
    let mut pages = vec![
        page(&envoy, "no request yet", "/stats/prometheus").await?,
        page(&envoy, "no request yet, used only", "/stats/prometheus?usedonly").await?,
    ];

    // A method without a label of its own stands for all of these.
    let methods: Vec<Method> = config
        .metrics()
        .methods()
        .iter()
        .map(|method| method.as_str().parse())
        .chain([Ok(Method::TRACE)])
        .collect::<Result<_, _>>()?;
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let templates = config.routes().specs().iter().map(|route| tables::example(&route.template, &mut rng));
    let paths: Vec<String> = templates.chain(["/no/such/path".to_owned()]).collect();
    let bar = ProgressBar::new((paths.len() * methods.len() * statuses.len()) as u64);
    let mut sent = 0;
    let mut kept = None;
    for path in &paths {
        for method in &methods {
            for status in &statuses {
                let mut connection = Connection::kept_or_open(kept, envoy.listen(), Protocol::Http1).await?;
                let request = Request::builder().method(method).uri(path).header(header::HOST, "edge");
                let request = request.header(ANSWER, status.as_str()).body(RequestBody::default())?;
                let answer = connection.send(request).await?;
                ensure!(answer.status() == *status, "{method} {path} is answered with {}", answer.status());
                answer.into_body().collect().await?;
                kept = Some(connection);
                sent += 1;
                bar.inc(1);
            }
        }
    }
    bar.finish_and_clear();
    let metric = format!("{}_http_requests_total", config.namespace());
    let handed = |scrape: &scrape::Scrape| scrape.count(&metric, &[]);
    let waited = scrape::wait_until(envoy.admin(), HAND_OVER, |scrape| handed(scrape) == sent).await?;
    ensure!(waited.in_time, "{sent} requests were sent, and {metric} has counted {}", handed(&waited.scrape));
    let full = page(&envoy, "every series", "/stats/prometheus").await?;
    let made = full.ours;
    pages.push(full);
    pages.push(page(&envoy, "every series, used only", "/stats/prometheus?usedonly").await?);
    let mut envoy = envoy;
    envoy.stop(Duration::from_secs(5)).await?;
    Ok((pages, config.budget().total(), made))
}

/// Reads a page several times.
async fn page(envoy: &EnvoyProxy, what: &'static str, path: &'static str) -> Result<Page> {
    let mut seconds = Vec::new();
    let mut text = String::new();
    for _ in 0..READS {
        let start = Instant::now();
        text = envoy.admin_get(path).await?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    let samples = || text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let ours = samples().filter(|line| line.starts_with("eucora_")).count();
    Ok(Page { what, path, lines: samples().count(), ours, bytes: text.len(), seconds: quantile::of(&seconds, 0.5) })
}

impl FootprintReport {
    fn of(&self, name: &str) -> Option<&Footprint> {
        self.footprints.iter().find(|footprint| footprint.name == name)
    }
}

impl Report for FootprintReport {
    fn goals(&self) -> Vec<Goal> {
        let module = self.of(name::OURS).and_then(|ours| ours.module);
        let linear = self.of(name::OURS_LARGE).and_then(|ours| ours.linear);
        [
            ("the module: at most 250 KiB", module, MODULE_GOAL),
            ("a VM with all routes: at most 2 MiB", linear, LINEAR_GOAL),
        ]
        .into_iter()
        .filter_map(|(what, found, most)| {
            let found = found?;
            Some(Goal { what, found: bytes(found), met: found <= most })
        })
        .collect()
    }

    fn text(&self) -> String {
        let number = Column::Number;
        let mut text = format!(
            "Memory, with {WORKERS} workers. A VM's is what it has once it is configured; Envoy has one for each worker and two more.\n\n"
        );
        let mut table = Table::new([
            ("filter", Column::Text),
            ("module", number),
            ("a VM", number),
            ("Envoy, resident", number),
            ("added", number),
        ]);
        let bare = self.of(name::BARE).map_or(0, |bare| bare.resident);
        let or_dash = |value: Option<u64>| value.map_or_else(|| "–".to_owned(), bytes);
        for footprint in &self.footprints {
            table.row([
                footprint.name.to_owned(),
                or_dash(footprint.module),
                or_dash(footprint.linear),
                bytes(footprint.resident),
                or_dash(footprint.resident.checked_sub(bare).filter(|added| *added > 0)),
            ]);
        }
        text.push_str(&table.render());
        text.push_str(&format!(
            "\nThe page that Prometheus reads, with the profile that ships: {} of the {} series that it may lead to.\n\n",
            count(self.made as u64),
            count(self.budget)
        ));
        let mut table = Table::new([
            ("when", Column::Text),
            ("page", Column::Text),
            ("samples", number),
            ("ours", number),
            ("size", number),
            ("time", number),
        ]);
        for page in &self.pages {
            table.row([
                page.what.to_owned(),
                page.path.to_owned(),
                count(page.lines as u64),
                count(page.ours as u64),
                bytes(page.bytes as u64),
                duration(page.seconds),
            ]);
        }
        text.push_str(&table.render());
        text
    }

    fn json(&self) -> Value {
        let filters = self.footprints.iter().map(|footprint| {
            json!({
                "filter": footprint.name,
                "module_bytes": footprint.module,
                "vm_bytes": footprint.linear,
                "resident_bytes": footprint.resident,
            })
        });
        let pages = self.pages.iter().map(|page| {
            json!({
                "when": page.what,
                "path": page.path,
                "samples": page.lines,
                "ours": page.ours,
                "bytes": page.bytes,
                "seconds": page.seconds,
            })
        });
        json!({
            "workers": WORKERS,
            "filters": filters.collect::<Vec<_>>(),
            "series_budget": self.budget,
            "series_made": self.made,
            "pages": pages.collect::<Vec<_>>(),
        })
    }
}
