//! `cargo xtask panels`: the dashboards checked against Grafana's own types, and drawn with Grafana's own components from live data.

mod node;
mod types;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use monitoring::dashboards::{self, Query};
use monitoring::grafana;
use monitoring::names::Names;
use monitoring::promql::Substitution;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::workspace::{root, shown, step};

/// Points of a line.
const POINTS: u64 = 150;

/// Options of `cargo xtask panels`.
#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    /// Check the types alone: needs neither Chromium nor Prometheus.
    #[arg(long, conflicts_with = "prometheus")]
    check_types: bool,
    /// The Prometheus whose data is drawn, as http://HOST:PORT.
    #[arg(long, value_name = "URL", required_unless_present = "check_types")]
    prometheus: Option<String>,
    /// Where the pictures go, one PNG a dashboard.
    #[arg(long, value_name = "FOLDER", default_value = "target/edge-observer/panels")]
    out: PathBuf,
    /// The minutes that are drawn.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// What stands for `$__rate_interval`: four scrape intervals, as Grafana has it.
    #[arg(long, default_value = "1m")]
    rate_interval: String,
}

/// What was drawn of a panel.
#[derive(Debug, Deserialize)]
struct Drawn {
    id: u32,
    title: String,
    series: u32,
    error: String,
}

/// Checks the types; then, unless that is all that was asked for, draws.
pub(crate) fn panels(options: &Options) -> Result<()> {
    let names = Names::read(root())?;
    let tools = node::Tools::ready()?;
    check(&names, &tools)?;
    let Some(prometheus) = &options.prometheus else { return Ok(()) };
    let chromium = node::chromium()?;
    draw(options, &names, &tools, &chromium, prometheus.trim_end_matches('/'))
}

/// Checks the types alone.
pub(crate) fn check_types() -> Result<()> {
    check(&Names::read(root())?, &node::Tools::ready()?)
}

fn check(names: &Names, tools: &node::Tools) -> Result<()> {
    let files = grafana::files(names)?;
    let began = Instant::now();
    types::check(tools, &files)?;
    println!("types     {} files are what @grafana/schema says, {:.1?}", files.len(), began.elapsed());
    Ok(())
}

fn draw(options: &Options, names: &Names, tools: &node::Tools, chromium: &Path, prometheus: &str) -> Result<()> {
    let began = Instant::now();
    step("bundling the page");
    let page = tools.bundle()?;
    let out = root().join(&options.out);
    std::fs::create_dir_all(&out).with_context(|| format!("cannot make the folder {}", shown(&out)))?;

    let all = dashboards::all(names)?;
    let seconds = options.minutes * 60;
    let interval = (seconds / POINTS).max(1);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    // On a step, so that a picture of the same moment is the same.
    let end = now - now % interval;
    let substitution =
        Substitution::all(&options.rate_interval, &format!("{interval}s"), &format!("{}m", options.minutes));
    let queries = dashboards::queries(&all, &substitution);
    let jobs: Vec<Json> = all
        .iter()
        .map(|dashboard| {
            json!({
                "file": grafana::file_name(dashboard),
                "dashboard": grafana::classic::dashboard(dashboard, names),
                "queries": queries.iter().filter(|query| query.dashboard == dashboard.uid).map(query).collect::<Vec<_>>(),
            })
        })
        .collect();
    let job = json!({
        "prometheus": prometheus,
        "chromium": chromium,
        "page": page,
        "out": out,
        "start": end - seconds,
        "end": end,
        "step": interval,
        "dashboards": jobs,
    });
    step(&format!("drawing {} dashboards from {prometheus}", all.len()));
    let printed = tools.draw(&job)?;
    let drawn: BTreeMap<String, Vec<Drawn>> =
        serde_json::from_str(&printed).context("the page's answer is no list of panels")?;

    let mut failed = 0;
    for dashboard in &all {
        let file = grafana::file_name(dashboard);
        let panels = drawn.get(&file).with_context(|| format!("{file} was not drawn"))?;
        let wanted = dashboard.placed().iter().map(|row| row.panels.len()).sum::<usize>();
        ensure!(panels.len() == wanted, "{file} has {wanted} panels, and {} were drawn", panels.len());
        println!("\n{}   {}", dashboard.title, shown(&out.join(file.replace(".json", ".png"))));
        for panel in panels {
            let of_panel =
                queries.iter().filter(|query| query.dashboard == dashboard.uid && query.panel_id == panel.id);
            let state = state(panel, of_panel);
            failed += u32::from(!panel.error.is_empty());
            println!("  {:<44} {:>4} series  {state}", panel.title, panel.series);
        }
    }
    println!("\npictures  {:.1?}", began.elapsed());
    if failed > 0 {
        bail!("{failed} panels have no data, or could not be drawn; they are marked above");
    }
    Ok(())
}

fn query(query: &Query) -> Json {
    json!({
        "panel_id": query.panel_id,
        "ref_id": query.ref_id,
        "expr": query.expr,
        "instant": query.instant,
        "may_be_empty": query.may_be_empty,
    })
}

/// In words, what became of a panel.
fn state<'a>(panel: &Drawn, mut queries: impl Iterator<Item = &'a Query>) -> String {
    if !panel.error.is_empty() {
        return format!("BAD: {}", panel.error);
    }
    if panel.series > 0 {
        return "drawn".to_owned();
    }
    let reason = queries.find_map(|query| query.may_be_empty).unwrap_or("no query");
    format!("empty: {reason}")
}
