//! `edge-observer up --rings`: a fleet until Ctrl-C, with what to try on it and a table of its rings.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio_util::sync::CancellationToken;

use super::{Fleet, FleetOptions, Totals};
use crate::stack::prometheus::Prometheus;
use crate::table::{Column, Table, count, percent, plural};

/// How often a terminal is refreshed.
const REFRESH: Duration = Duration::from_secs(1);
/// How often it is written where there is no terminal.
const WRITE_EVERY: Duration = Duration::from_secs(10);
/// The most answers of Prometheus in a row that may fail before the fleet counts as gone.
const FAILURES: u32 = 5;

/// Runs a fleet until `stop`, and accounts for every request at the end.
///
/// # Errors
/// When it does not start, or a part of it ends by itself.
pub async fn run(options: FleetOptions, stop: CancellationToken) -> anyhow::Result<Option<Totals>> {
    let (module, configuration) = (options.module.clone(), options.configuration.clone());
    let fleet = tokio::select! {
        fleet = Fleet::start(options) => fleet?,
        () = stop.cancelled() => return Ok(None),
    };
    // What it runs already, for the reader to change; and harm that can be told from none in two minutes of its traffic, which is little.
    let quick = serde_json::json!({
        "gates": { "traps": 0.001, "completeness": 0.02, "errors": 0.01, "latency": "5ms", "memory": "2GiB/h" },
    });
    let file = fleet.plan_file_in(fleet.folder(), &module, &configuration, &quick)?;
    let shown = if crate::up::written(&usage(&fleet, &file))? {
        tokio::select! {
            shown = show(&fleet) => shown,
            () = stop.cancelled() => Ok(()),
        }
    } else {
        Ok(())
    };
    let totals = fleet.stop().await?;
    shown?;
    Ok(Some(totals))
}

/// What to try.
fn usage(fleet: &Fleet, file: &std::path::Path) -> String {
    let options = &fleet.options;
    let file = file.display();
    let rings = u64::from(options.rings);
    let mut out = format!(
        "{} of {} each, in front of the sample API, {} requests/s on each proxy, all in {}\n",
        plural(rings, "ring"),
        plural(u64::from(options.per_ring), "Envoy"),
        options.rate,
        fleet.folder().display(),
    );
    let _ = writeln!(out, "Prometheus on http://{}/, scraping every second", fleet.prometheus().address());
    let _ = writeln!(out, "Change configuration.yaml beside the rollout file, or set artifact.module in it, and then:");
    for command in ["preflight", "start", "status --watch", "rollback"] {
        let (command, flag) = command.split_once(' ').unwrap_or((command, ""));
        let _ = writeln!(out, "{}", format!("  edge-observer rollout {command} {file} {flag}").trim_end());
    }
    out.push_str("Ctrl-C ends all of it.\n\n");
    out
}

async fn show(fleet: &Fleet) -> anyhow::Result<()> {
    let terminal = std::io::stdout().is_terminal();
    let screen = if terminal {
        ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout())
    } else {
        ProgressBar::hidden()
    };
    screen.set_style(ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar()));
    let (mut failures, mut next) = (0, Instant::now());
    loop {
        match rows(fleet).await {
            Ok(table) => {
                failures = 0;
                if terminal {
                    screen.set_message(table.trim_end().to_owned());
                } else if Instant::now() >= next {
                    if !crate::up::written(&format!("{table}\n"))? {
                        return Ok(());
                    }
                    next += WRITE_EVERY;
                }
            }
            Err(error) => {
                failures += 1;
                if failures >= FAILURES {
                    screen.finish_and_clear();
                    return Err(error).context("the fleet's Prometheus has gone");
                }
            }
        }
        tokio::time::sleep(REFRESH).await;
    }
}

/// A value of each proxy, by its `instance`.
async fn by_instance(prometheus: &Prometheus, expression: &str) -> anyhow::Result<BTreeMap<String, f64>> {
    let samples = prometheus.query(expression).await?;
    Ok(samples.iter().map(|sample| (sample.label("instance").to_owned(), sample.value())).collect())
}

async fn rows(fleet: &Fleet) -> anyhow::Result<String> {
    let prometheus = fleet.prometheus();
    let namespace = fleet.config.namespace();
    let ingress = r#"envoy_http_conn_manager_prefix="ingress""#;
    let requests = format!("sum by (instance) (rate(envoy_http_downstream_rq_total{{{ingress}}}[10s]))");
    let errors = format!(
        r#"sum by (instance) (rate(envoy_http_downstream_rq_xx{{{ingress},envoy_response_code_class="5"}}[10s]))"#
    );
    let time = format!("sum by (instance) (rate({namespace}_http_request_duration_microseconds_total[10s]))");
    let counted = format!("sum by (instance) (rate({namespace}_http_requests_total[10s]))");
    let cpu = "sum by (instance) (rate(namedprocess_namegroup_cpu_seconds_total[10s]))";
    let requests = by_instance(prometheus, &requests).await?;
    let errors = by_instance(prometheus, &errors).await?;
    let time = by_instance(prometheus, &time).await?;
    let counted = by_instance(prometheus, &counted).await?;
    let cpu = by_instance(prometheus, cpu).await?;
    let builds = prometheus.query(&format!("{namespace}_edge_build_info == 1")).await?;

    let mut rings: Vec<(&str, Vec<&str>)> = Vec::new();
    for member in fleet.members() {
        match rings.last_mut().filter(|(ring, _)| *ring == member.ring) {
            Some((_, names)) => names.push(&member.name),
            None => rings.push((&member.ring, vec![&member.name])),
        }
    }
    let mut table = Table::new([
        ("ring", Column::Text),
        ("proxies", Column::Text),
        ("build", Column::Text),
        ("requests/s", Column::Number),
        ("5xx", Column::Number),
        ("mean ms", Column::Number),
        ("CPU us/request", Column::Number),
    ]);
    for (ring, names) in rings {
        let sum = |values: &BTreeMap<String, f64>| names.iter().filter_map(|name| values.get(*name)).sum::<f64>();
        let share = |part: f64, of: f64| if of > 0.0 { part / of } else { 0.0 };
        let mut running: Vec<String> = Vec::new();
        for name in &names {
            let here: Vec<&str> =
                builds.iter().filter(|one| one.label("instance") == *name).map(|one| one.label("config")).collect();
            let text = if here.is_empty() { "none".to_owned() } else { here.join("+") };
            if !running.contains(&text) {
                running.push(text);
            }
        }
        let rate = sum(&requests);
        table.row([
            ring.to_owned(),
            names.join(" "),
            running.join(" "),
            format!("{rate:.1}"),
            percent(share(sum(&errors), rate)),
            format!("{:.2}", share(sum(&time), sum(&counted)) / 1_000.0),
            format!("{:.0}", share(sum(&cpu), rate) * 1e6),
        ]);
    }
    Ok(table.render())
}

impl Totals {
    /// What was sent and counted, for people.
    pub fn to_text(&self) -> String {
        let mut table = Table::new([
            ("ring", Column::Text),
            ("proxy", Column::Text),
            ("client", Column::Number),
            ("Envoy", Column::Number),
            ("filter", Column::Number),
            ("no answer", Column::Number),
        ]);
        for proxy in &self.proxies {
            table.row([
                proxy.ring.clone(),
                proxy.name.clone(),
                count(proxy.client.total()),
                count(proxy.envoy),
                count(proxy.filter),
                count(proxy.client.unanswered_total() + proxy.client.truncated),
            ]);
        }
        let exact = if self.is_exact() { "every one is accounted for" } else { "not all of them are accounted for" };
        format!("{}\n{} requests, {exact}\n", table.render(), count(self.requests()))
    }
}
