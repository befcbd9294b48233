//! What a rollout would do, before it does it.

use std::collections::BTreeMap;
use std::time::Duration;

use rollout::hands::{Build, Hands};
use rollout::judge::signals::{self, Signal};
use rollout::judge::size::{Needed, needed};
use rollout::plan::Plan;
use serde::Serialize;

use super::preflight::rings;
use crate::table::{Column, Table, count};

/// The share of requests that fail, for estimates; a plan is made without asking anybody.
const ASSUMED_ERRORS: f64 = 0.002;

/// What a rollout would do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Proposal {
    name: String,
    module: String,
    module_sha256: String,
    rings: Vec<RingRow>,
    needed: Vec<Needed>,
    queries: BTreeMap<String, String>,
    settings: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct RingRow {
    ring: String,
    proxies: u32,
    places: Vec<String>,
    digest: String,
    control: Option<String>,
    approval: bool,
    bake_min_seconds: f64,
    bake_max_seconds: f64,
}

impl Proposal {
    /// From a plan and its builds.
    #[must_use]
    pub fn new(plan: &Plan, builds: &BTreeMap<String, Build>, hands: &dyn Hands) -> Self {
        let rows = rings(plan).map(|ring| RingRow {
            ring: ring.name.clone(),
            proxies: ring.expected,
            places: hands.targets(ring).into_iter().map(|target| target.name).collect(),
            digest: builds.get(&ring.name).map(|build| build.digest.clone()).unwrap_or_default(),
            control: ring.control.clone(),
            approval: ring.approval,
            bake_min_seconds: ring.bake.min.as_secs_f64(),
            bake_max_seconds: ring.bake.max.as_secs_f64(),
        });
        let policy = &plan.policy;
        let setting = |name: &str, value: String| (name.to_owned(), value);
        Self {
            name: plan.name.clone(),
            module: plan.artifact.module.display().to_string(),
            module_sha256: builds.values().next().map(|build| build.module_sha256.clone()).unwrap_or_default(),
            rings: rows.collect(),
            needed: needed(plan, ASSUMED_ERRORS),
            queries: signals::of(plan).into_iter().map(|Signal { name, query, .. }| (name, query)).collect(),
            settings: vec![
                setting("looked at every", span(policy.interval)),
                setting("time to run the build", span(policy.converge)),
                setting("not judged before", span(policy.settle)),
                setting("quorum", format!("{:.0} %", policy.quorum * 100.0)),
                setting(
                    "stopped though nothing is wrong",
                    format!("{} % of rollouts at most", policy.false_stop * 100.0),
                ),
                setting(
                    "passed though the smallest harm is done",
                    format!("{} % at most, by gate and ring", policy.missed_harm * 100.0),
                ),
            ],
        }
    }

    /// For people.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = format!("{}: {}, SHA-256 {}\n\n", self.name, self.module, self.module_sha256);
        let mut table = Table::new([
            ("ring", Column::Text),
            ("proxies", Column::Number),
            ("digest", Column::Text),
            ("compared with", Column::Text),
            ("watched", Column::Text),
            ("", Column::Text),
        ]);
        for ring in &self.rings {
            let seconds = Duration::from_secs_f64;
            table.row([
                ring.ring.clone(),
                ring.proxies.to_string(),
                ring.digest.clone(),
                ring.control.as_ref().map_or_else(|| "nobody".to_owned(), |control| format!("ring {control}")),
                format!("{} to {}", span(seconds(ring.bake_min_seconds)), span(seconds(ring.bake_max_seconds))),
                if ring.approval { "needs approval".to_owned() } else { String::new() },
            ]);
        }
        out.push_str(&table.render());
        let mut table =
            Table::new([("to decide", Column::Text), ("needs about", Column::Text), ("because", Column::Text)]);
        for gate in &self.needed {
            let amount = match (gate.requests, gate.intervals) {
                (Some(requests), _) => format!("{} requests", count(requests)),
                (_, Some(intervals)) => format!("{intervals:.0} intervals"),
                _ => String::new(),
            };
            table.row([gate.gate.clone(), amount, gate.why.clone()]);
        }
        out.push('\n');
        out.push_str(&table.render());
        let mut table = Table::new([("policy", Column::Text), ("", Column::Text)]);
        for (name, value) in &self.settings {
            table.row([name.as_str(), value]);
        }
        out.push('\n');
        out.push_str(&table.render());
        let mut table = Table::new([("asked of Prometheus", Column::Text), ("", Column::Text)]);
        for (name, query) in &self.queries {
            table.row([name.as_str(), query]);
        }
        out.push('\n');
        out.push_str(&table.render());
        out
    }
}

fn span(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        _ if seconds < 60.0 || seconds % 60.0 != 0.0 => format!("{seconds} s"),
        _ if seconds < 3_600.0 || seconds % 3_600.0 != 0.0 => format!("{} min", seconds / 60.0),
        _ => format!("{} h", seconds / 3_600.0),
    }
}
