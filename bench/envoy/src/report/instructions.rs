//! Instructions and misses of the first-level caches.

use edge_observer::goal::Goal;
use edge_observer::table::{Column, Table};
use serde_json::{Value, json};

use super::{Report, goals, or_dash, ratio_columns, ratios};
use crate::instructions::{Count, Counts};
use crate::variants::name;
use crate::workload::Workload;

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
}

impl Report for InstructionReport {
    /// By instructions alone.
    fn goals(&self) -> Vec<Goal> {
        goals(|name, workload| Some(self.added(name, workload)?.instructions))
    }

    fn text(&self) -> String {
        let number = Column::Number;
        let mut text = "Instructions of Envoy's process for each request, and misses of the first-level caches, counted by Callgrind.\n"
            .to_owned();
        for workload in &self.workloads {
            text.push_str(&format!("\n{}\n\n", workload.name()));
            let mut columns = vec![("filter", Column::Text), ("instructions", number), ("added", number)];
            columns.extend(ratio_columns());
            columns.extend(["code misses", "added", "data misses", "added"].map(|head| (head, number)));
            let mut table = Table::new(columns);
            for Counts { name, .. } in &self.counts {
                let Some(count) = self.count(name, *workload) else { continue };
                let added = self.added(name, *workload).filter(|_| *name != name::BARE);
                let more = |of: fn(Count) -> f64| or_dash(added.map(|added| format!("{:.0}", of(added))));
                let mut row =
                    vec![(*name).to_owned(), format!("{:.0}", count.instructions), more(|count| count.instructions)];
                row.extend(ratios(name, |name| Some(self.added(name, *workload)?.instructions)));
                row.extend([
                    format!("{:.0}", count.code_misses),
                    more(|count| count.code_misses),
                    format!("{:.0}", count.data_misses),
                    more(|count| count.data_misses),
                ]);
                table.row(row);
            }
            text.push_str(&table.render());
        }
        text
    }

    fn json(&self) -> Value {
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
        json!({ "workloads": workloads.collect::<Vec<_>>() })
    }
}
