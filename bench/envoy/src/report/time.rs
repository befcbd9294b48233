//! Processor time, latency and resident memory.

use edge_observer::goal::Goal;
use edge_observer::table::{Column, Table, bytes, duration};
use serde_json::{Value, json};

use super::{Report, goals, or_dash, ratio_columns, ratios};
use crate::measure::{Added, Cost, Figures, Pace};
use crate::variants::name;
use crate::workload::Workload;

/// Processor time, latency and resident memory.
#[derive(Debug)]
pub(crate) struct TimeReport {
    pub(crate) workloads: Vec<Workload>,
    pub(crate) figures: Vec<Figures>,
    pub(crate) pace: Pace,
}

impl TimeReport {
    fn cost(&self, name: &str, workload: Workload) -> Option<&Cost> {
        let place = self.workloads.iter().position(|one| *one == workload)?;
        self.figures.iter().find(|figures| figures.name == name)?.costs.get(place)
    }

    /// Processor time that a variant adds to that of Envoy alone, in microseconds a request.
    fn added(&self, name: &str, workload: Workload) -> Option<Added> {
        Some(self.cost(name, workload)?.cpu_us.added_to(&self.cost(name::BARE, workload)?.cpu_us))
    }
}

impl Report for TimeReport {
    fn goals(&self) -> Vec<Goal> {
        goals(|name, workload| self.added(name, workload).map(|added| added.mean))
    }

    fn text(&self) -> String {
        let number = Column::Number;
        let mut text = format!(
            "Processor time of Envoy's process for each request: the 20th percentile of {} rounds, because a busy machine only adds to it, and \
             what a filter adds within a round, the median; mean of {} starts, ± its standard error.\n",
            self.pace.rounds, self.pace.starts
        );
        for workload in &self.workloads {
            text.push_str(&format!("\n{}\n\n", workload.name()));
            let mut columns = vec![("filter", Column::Text), ("CPU µs", number), ("added µs", number), ("±", number)];
            columns.extend(ratio_columns());
            columns.extend(["requests/s", "p50 added", "p99 added"].map(|head| (head, number)));
            let mut table = Table::new(columns);
            for figures in &self.figures {
                let Some(cost) = self.cost(figures.name, *workload) else { continue };
                let bare = self.cost(name::BARE, *workload).filter(|_| figures.name != name::BARE);
                let added = bare.and_then(|_| self.added(figures.name, *workload));
                let latency = |of: fn(&Cost) -> f64| or_dash(bare.map(|bare| microseconds(of(cost) - of(bare))));
                let mut row = vec![
                    figures.name.to_owned(),
                    format!("{:.1}", cost.cpu_us.low()),
                    or_dash(added.map(|added| format!("{:.1}", added.mean))),
                    or_dash(added.and_then(|added| added.error).map(|error| format!("{error:.1}"))),
                ];
                row.extend(ratios(figures.name, |name| Some(self.added(name, *workload)?.mean)));
                row.extend([
                    format!("{:.0}", cost.rate.quantile(0.5)),
                    latency(|cost| cost.p50_us.quantile(0.5)),
                    latency(|cost| cost.p99_us.quantile(0.5)),
                ]);
                table.row(row);
            }
            text.push_str(&table.render());
        }

        text.push('\n');
        let mut table = Table::new([("filter", Column::Text), ("resident", number), ("what it is", Column::Text)]);
        for figures in &self.figures {
            table.row([figures.name, &bytes(figures.resident), &figures.what]);
        }
        text.push_str(&table.render());

        text
    }

    fn json(&self) -> Value {
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
        })
    }
}

fn microseconds(value: f64) -> String {
    if value < 0.0 { format!("-{}", duration(-value / 1e6)) } else { duration(value / 1e6) }
}
