//! The figures for people and for programs, and the goals.

use edge_observer::goal::{self, Goal};
use edge_observer::table::{Column, Table, bytes, duration};
use serde_json::{Value, json};

use crate::instructions::{Count, Counts};
use crate::measure::{Added, Cost, Figures, Pace};
use crate::variants::name;
use crate::workload::Workload;

/// All that was measured.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) workloads: Vec<Workload>,
    pub(crate) figures: Vec<Figures>,
    pub(crate) pace: Pace,
}

/// What is to hold: what one variant adds, as a multiple of what another one adds.
struct Rule {
    what: &'static str,
    of: &'static str,
    over: &'static str,
    most: f64,
}

const RULES: [Rule; 6] = [
    Rule { what: "ours ÷ the floor: at most 1.1", of: name::OURS, over: name::FLOOR, most: 1.1 },
    Rule { what: "ours ÷ Lua: at most 0.65", of: name::OURS, over: name::LUA, most: 0.65 },
    Rule { what: "ours ÷ the whole job with the SDK: at most 0.8", of: name::OURS, over: name::NAIVE, most: 0.8 },
    Rule { what: "lean ÷ the lean floor: at most 1.1", of: name::OURS_LEAN, over: name::LEAN_FLOOR, most: 1.1 },
    Rule { what: "lean ÷ Lua: at most 0.5", of: name::OURS_LEAN, over: name::LUA, most: 0.5 },
    Rule { what: "all routes ÷ 10 routes: at most 1.05", of: name::OURS_LARGE, over: name::OURS_SMALL, most: 1.05 },
];

/// What ours may add to a streamed answer, as a multiple of what it adds to a tiny one.
const MAX_STREAMED: f64 = 1.1;

/// Every goal that can be judged by what variants add.
fn goals(added: impl Fn(&str, Workload) -> Option<f64>) -> Vec<Goal> {
    let mut goals = Vec::new();
    for rule in RULES {
        let pair = added(rule.of, Workload::Tiny).zip(added(rule.over, Workload::Tiny));
        if let Some(ratio) = pair.map(|(of, over)| of / over) {
            goals.push(Goal { what: rule.what, found: format!("{ratio:.2}"), met: ratio <= rule.most });
        }
    }
    let streamed = added(name::OURS, Workload::Streamed).zip(added(name::OURS, Workload::Tiny));
    if let Some(ratio) = streamed.map(|(streamed, tiny)| streamed / tiny) {
        goals.push(Goal {
            what: "ours for 1 MiB streamed ÷ for a tiny answer: at most 1.1",
            found: format!("{ratio:.2}"),
            met: ratio <= MAX_STREAMED,
        });
    }
    goals
}

/// Instructions, as they were counted.
#[derive(Debug)]
pub(crate) struct InstructionReport {
    pub(crate) workloads: Vec<Workload>,
    pub(crate) counts: Vec<Counts>,
}

impl InstructionReport {
    fn count(&self, name: &str, workload: Workload) -> Option<Count> {
        let place = self.workloads.iter().position(|one| *one == workload)?;
        self.counts.iter().find(|counts| counts.name == name)?.requests.get(place).copied()
    }

    /// What a variant adds to Envoy alone.
    fn added(&self, name: &str, workload: Workload) -> Option<Count> {
        Some(self.count(name, workload)?.with(self.count(name::BARE, workload)?, |of, bare| of - bare))
    }

    /// Every goal that can be judged, by instructions.
    pub(crate) fn goals(&self) -> Vec<Goal> {
        goals(|name, workload| Some(self.added(name, workload)?.instructions))
    }

    /// For people.
    pub(crate) fn text(&self, goals: &[Goal]) -> String {
        let number = Column::Number;
        let mut text = "Instructions of Envoy's process for each request, and misses of the first-level caches, counted by Callgrind.\n"
            .to_owned();
        for workload in &self.workloads {
            text.push_str(&format!("\n{}\n\n", workload.name()));
            let mut table = Table::new([
                ("filter", Column::Text),
                ("instructions", number),
                ("added", number),
                ("÷ floor", number),
                ("÷ Lua", number),
                ("÷ SDK", number),
                ("code misses", number),
                ("added", number),
                ("data misses", number),
                ("added", number),
            ]);
            for Counts { name, .. } in &self.counts {
                let Some(count) = self.count(name, *workload) else { continue };
                let added = self.added(name, *workload).filter(|_| *name != name::BARE);
                let or_dash = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
                let ratio = |over| {
                    let ratio =
                        added.zip(self.added(over, *workload)).map(|(of, over)| of.instructions / over.instructions);
                    or_dash(ratio.map(|ratio| format!("{ratio:.2}")))
                };
                let more = |of: fn(Count) -> f64| or_dash(added.map(|added| format!("{:.0}", of(added))));
                table.row([
                    (*name).to_owned(),
                    format!("{:.0}", count.instructions),
                    more(|count| count.instructions),
                    ratio(name::FLOOR),
                    ratio(name::LUA),
                    ratio(name::NAIVE),
                    format!("{:.0}", count.code_misses),
                    more(|count| count.code_misses),
                    format!("{:.0}", count.data_misses),
                    more(|count| count.data_misses),
                ]);
            }
            text.push_str(&table.render());
        }
        text.push('\n');
        text.push_str(&goal::text(goals));
        text
    }

    /// For programs.
    pub(crate) fn json(&self, goals: &[Goal]) -> Value {
        let workloads = self.workloads.iter().map(|workload| {
            let filters = self.counts.iter().map(|counts| {
                let (count, added) = (self.count(counts.name, *workload), self.added(counts.name, *workload));
                json!({
                    "filter": counts.name,
                    "instructions": count.map(|count| count.instructions),
                    "added_instructions": added.map(|added| added.instructions),
                    "code_misses": count.map(|count| count.code_misses),
                    "added_code_misses": added.map(|added| added.code_misses),
                    "data_misses": count.map(|count| count.data_misses),
                    "added_data_misses": added.map(|added| added.data_misses),
                })
            });
            json!({ "workload": workload.name(), "filters": filters.collect::<Vec<_>>() })
        });
        json!({ "workloads": workloads.collect::<Vec<_>>(), "goals": goal::json(goals) })
    }
}

impl Report {
    fn cost(&self, name: &str, workload: Workload) -> Option<&Cost> {
        let place = self.workloads.iter().position(|one| *one == workload)?;
        self.figures.iter().find(|figures| figures.name == name)?.costs.get(place)
    }

    /// Processor time that a variant adds to that of Envoy alone, in microseconds a request.
    fn added(&self, name: &str, workload: Workload) -> Option<Added> {
        Some(self.cost(name, workload)?.cpu_us.added_to(&self.cost(name::BARE, workload)?.cpu_us))
    }

    /// What one adds, as a multiple of what the other one adds.
    fn ratio(&self, of: &str, over: &str, workload: Workload) -> Option<f64> {
        Some(self.added(of, workload)?.mean / self.added(over, workload)?.mean)
    }

    /// Every goal that can be judged.
    pub(crate) fn goals(&self) -> Vec<Goal> {
        goals(|name, workload| self.added(name, workload).map(|added| added.mean))
    }

    /// For people.
    pub(crate) fn text(&self, goals: &[Goal]) -> String {
        let number = Column::Number;
        let mut text = format!(
            "Processor time of Envoy's process for each request: the 20th percentile of {} rounds, because a busy machine only adds to it, and \
             what a filter adds within a round, the median; mean of {} starts, ± its standard error.\n",
            self.pace.rounds, self.pace.starts
        );
        for workload in &self.workloads {
            text.push_str(&format!("\n{}\n\n", workload.name()));
            let mut table = Table::new([
                ("filter", Column::Text),
                ("CPU µs", number),
                ("added µs", number),
                ("±", number),
                ("÷ floor", number),
                ("÷ Lua", number),
                ("÷ SDK", number),
                ("requests/s", number),
                ("p50 added", number),
                ("p99 added", number),
            ]);
            for figures in &self.figures {
                let Some(cost) = self.cost(figures.name, *workload) else { continue };
                let bare = self.cost(name::BARE, *workload).filter(|_| figures.name != name::BARE);
                let or_dash = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
                let ratio = |over| {
                    or_dash(bare.and_then(|_| self.ratio(figures.name, over, *workload)).map(|it| format!("{it:.2}")))
                };
                let added = bare.and_then(|_| self.added(figures.name, *workload));
                let latency = |of: fn(&Cost) -> f64| or_dash(bare.map(|bare| microseconds(of(cost) - of(bare))));
                table.row([
                    figures.name.to_owned(),
                    format!("{:.1}", cost.cpu_us.low()),
                    or_dash(added.map(|added| format!("{:.1}", added.mean))),
                    or_dash(added.and_then(|added| added.error).map(|error| format!("{error:.1}"))),
                    ratio(name::FLOOR),
                    ratio(name::LUA),
                    ratio(name::NAIVE),
                    format!("{:.0}", cost.rate.quantile(0.5)),
                    latency(|cost| cost.p50_us.quantile(0.5)),
                    latency(|cost| cost.p99_us.quantile(0.5)),
                ]);
            }
            text.push_str(&table.render());
        }

        text.push('\n');
        let mut table = Table::new([("filter", Column::Text), ("resident", number), ("what it is", Column::Text)]);
        for figures in &self.figures {
            table.row([figures.name, &bytes(figures.resident), &figures.what]);
        }
        text.push_str(&table.render());

        text.push('\n');
        text.push_str(&goal::text(goals));
        text
    }

    /// For programs.
    pub(crate) fn json(&self, goals: &[Goal]) -> Value {
        let workloads = self.workloads.iter().map(|workload| {
            let filters = self.figures.iter().filter_map(|figures| {
                let cost = self.cost(figures.name, *workload)?;
                Some(json!({
                    "filter": figures.name,
                    "cpu_us": { "p20": cost.cpu_us.low(), "p50": cost.cpu_us.quantile(0.5), "p80": cost.cpu_us.quantile(0.8) },
                    "added_cpu_us": self.added(figures.name, *workload).map(|added| added.mean),
                    "added_cpu_us_error": self.added(figures.name, *workload).and_then(|added| added.error),
                    "cpu_us_by_round": cost.cpu_us.rounds(),
                    "requests_per_second": cost.rate.quantile(0.5),
                    "p50_us": cost.p50_us.quantile(0.5),
                    "p99_us": cost.p99_us.quantile(0.5),
                }))
            });
            json!({ "workload": workload.name(), "filters": filters.collect::<Vec<_>>() })
        });
        let filters = self
            .figures
            .iter()
            .map(|figures| json!({ "filter": figures.name, "what": figures.what, "resident_bytes": figures.resident }));
        json!({
            "starts": self.pace.starts,
            "rounds": self.pace.rounds,
            "workloads": workloads.collect::<Vec<_>>(),
            "filters": filters.collect::<Vec<_>>(),
            "goals": goal::json(goals),
        })
    }
}

fn microseconds(value: f64) -> String {
    if value < 0.0 { format!("-{}", duration(-value / 1e6)) } else { duration(value / 1e6) }
}
