//! What an import did, for people and for machines.

use std::fmt::Write as _;

use serde_json::{Value, json};
use telemetry::config::Budget;
use telemetry::route::{OverlapKind, Overlaps, RouteSpec};

use super::{Description, Finding, Findings};
use crate::check::budget_table;
use crate::table::{Column, Table, count, plural, printable};

/// So many findings of one kind are shown to people who did not ask for more.
const FEW: usize = 10;

/// What became of the routes of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Hand-written routes, kept as they are.
    pub by_hand: u64,
    /// Imported routes that were there already.
    pub unchanged: u64,
    /// Imported routes that are new.
    pub added: Vec<String>,
    /// Imported routes with other methods or another name than before.
    pub replaced: Vec<String>,
    /// Imported routes that the description has no more.
    pub removed: Vec<String>,
}

/// What an import did.
#[derive(Debug, Clone)]
pub struct Report {
    /// The source, as it was given.
    pub source: String,
    /// What was read.
    pub description: Description,
    /// How many routes the import wrote.
    pub routes: usize,
    /// How many endpoints (distinct labels) the whole table has.
    pub endpoints: usize,
    /// Operations that say the same again.
    pub duplicates: Findings,
    /// Operations that a hand-written route stands for.
    pub by_hand: Findings,
    /// Names of several templates.
    pub shared_names: Findings,
    /// Templates that cover the same paths.
    pub overlaps: Overlaps,
    /// The routes that the overlaps are about.
    pub table: Vec<RouteSpec>,
    /// What became of the routes of an existing configuration.
    pub changes: Option<Changes>,
    /// The series at worst.
    pub budget: Budget,
    /// How many are allowed.
    pub series_budget: u64,
    /// What was written and where, or why nothing was; one line each.
    pub outcome: Vec<String>,
}

impl Report {
    /// The report for people; more of each list with `verbose`.
    pub fn to_text(&self, verbose: bool) -> String {
        let mut out = String::new();
        let description = &self.description;
        let title = description.title.as_ref().map(|title| format!(", {title}")).unwrap_or_default();
        // Writing to a `String` does not fail.
        let _ = writeln!(out, "{}: {}{}\n", printable(&self.source), description.kind, printable(&title));
        let mut table = Table::new([("import", Column::Text), ("number", Column::Number), ("", Column::Text)]);
        let mut row =
            |what: &str, number: u64, note: &str| table.row([what.to_owned(), count(number), note.to_owned()]);
        row("operations read", description.read, "");
        row("routes", self.routes as u64, "one for each template and name");
        row("endpoints", self.endpoints as u64, "distinct labels of the whole table");
        for (what, findings, note) in [
            ("duplicates", &self.duplicates, "say the same again"),
            ("left out", &description.left_out, ""),
            ("changed", &description.changed, "not as in the description"),
            ("by hand", &self.by_hand, "there already, by hand"),
            ("shared names", &self.shared_names, "stand for several templates"),
        ] {
            if findings.total > 0 {
                row(what, findings.total, note);
            }
        }
        if description.unnamed > 0 {
            row("without a name", description.unnamed, "");
        }
        let and_more = if self.overlaps.complete { "" } else { " (and more: not all were looked for)" };
        row(
            "nested",
            self.overlaps.nested,
            &format!("pairs in which one template is a special case of the other{and_more}"),
        );
        row("crossing", self.overlaps.crossing, "pairs that share paths, and each has its own");
        if let Some(changes) = &self.changes {
            row("kept", changes.by_hand, "hand-written routes");
            row("unchanged", changes.unchanged, "imported before");
            row("added", changes.added.len() as u64, "");
            row("replaced", changes.replaced.len() as u64, "");
            row("removed", changes.removed.len() as u64, "imported before, and gone from the description");
        }
        out.push_str(&table.render());
        self.bases(&mut out);
        let most = if verbose { usize::MAX } else { FEW };
        list(&mut out, "left out", &description.left_out, most);
        list(&mut out, "changed", &description.changed, most);
        list(&mut out, "duplicates", &self.duplicates, most);
        list(&mut out, "there by hand", &self.by_hand, most);
        list(&mut out, "names of several templates", &self.shared_names, most);
        if let Some(changes) = &self.changes {
            for (what, routes) in
                [("added", &changes.added), ("replaced", &changes.replaced), ("removed", &changes.removed)]
            {
                let findings = routes.iter().map(|route| Finding { place: route.clone(), message: String::new() });
                list(&mut out, what, &Findings { listed: findings.collect(), total: routes.len() as u64 }, most);
            }
        }
        self.pairs(&mut out, OverlapKind::Crossing, most);
        if verbose {
            self.pairs(&mut out, OverlapKind::Nested, most);
        }
        let _ = write!(out, "\n{}", budget_table(&self.budget, self.series_budget));
        if !self.outcome.is_empty() {
            out.push('\n');
        }
        for line in &self.outcome {
            let _ = writeln!(out, "{}", printable(line));
        }
        out
    }

    fn bases(&self, out: &mut String) {
        for (base, operations) in &self.description.base_paths {
            if base.is_empty() && self.description.base_paths.len() > 1 {
                let _ = writeln!(out, "\nthe paths of {} stayed as they are", plural(*operations, "operation"));
            } else if !base.is_empty() {
                let _ = writeln!(
                    out,
                    "\n`{}` was put before the paths of {}",
                    printable(base),
                    plural(*operations, "operation")
                );
            }
        }
        let others = &self.description.other_bases;
        if !others.is_empty() {
            let others: Vec<String> = others.iter().take(FEW).map(|base| format!("`{}/`", printable(base))).collect();
            let _ = writeln!(
                out,
                "\nfurther servers have other base paths, which were not taken: {}; if the proxy sees one of those, give it as --base-path",
                others.join(", ")
            );
        }
    }

    fn pairs(&self, out: &mut String, kind: OverlapKind, most: usize) {
        let (title, total) = match kind {
            OverlapKind::Nested => ("nested", self.overlaps.nested),
            OverlapKind::Crossing => ("crossing", self.overlaps.crossing),
        };
        let pairs: Vec<_> = self.overlaps.pairs.iter().filter(|pair| pair.kind == kind).collect();
        if pairs.is_empty() {
            return;
        }
        let mut table =
            Table::new([(title, Column::Text), ("wins over", Column::Text), ("for example at", Column::Text)]);
        for pair in pairs.iter().take(most) {
            let template = |index: usize| self.table.get(index).map(|route| route.template.clone()).unwrap_or_default();
            table.row([template(pair.winner), template(pair.loser), format!("{} {}", pair.method, pair.path)]);
        }
        let _ = write!(out, "\n{}", table.render());
        more(out, total, pairs.len().min(most));
    }

    /// The report for machines.
    pub fn to_json(&self) -> Value {
        let description = &self.description;
        let findings = |findings: &Findings| {
            let listed: Vec<Value> =
                findings.listed.iter().map(|one| json!({ "place": one.place, "message": one.message })).collect();
            json!({ "total": findings.total, "listed": listed })
        };
        let route = |index: usize| self.table.get(index).map(super::render::json);
        let pairs: Vec<Value> = self
            .overlaps
            .pairs
            .iter()
            .map(|pair| {
                let kind = match pair.kind {
                    OverlapKind::Nested => "nested",
                    OverlapKind::Crossing => "crossing",
                };
                json!({ "kind": kind, "winner": route(pair.winner), "loser": route(pair.loser), "method": pair.method.as_str(), "path": pair.path })
            })
            .collect();
        let terms: Vec<Value> = self
            .budget
            .terms()
            .iter()
            .map(|term| json!({ "what": term.what, "how": term.how, "series": term.series }))
            .collect();
        let changes = self.changes.as_ref().map(|changes| {
            json!({
                "kept": changes.by_hand,
                "unchanged": changes.unchanged,
                "added": changes.added,
                "replaced": changes.replaced,
                "removed": changes.removed,
            })
        });
        json!({
            "source": self.source,
            "kind": description.kind.to_string(),
            "title": description.title,
            "operations": description.read,
            "routes": self.routes,
            "endpoints": self.endpoints,
            "unnamed": description.unnamed,
            "base_paths": { "taken": description.base_paths, "not_taken": description.other_bases },
            "duplicates": findings(&self.duplicates),
            "left_out": findings(&description.left_out),
            "changed": findings(&description.changed),
            "by_hand": findings(&self.by_hand),
            "shared_names": findings(&self.shared_names),
            "overlaps": { "nested": self.overlaps.nested, "crossing": self.overlaps.crossing, "complete": self.overlaps.complete, "listed": pairs },
            "changes": changes,
            "series": { "terms": terms, "total": self.budget.total(), "budget": self.series_budget },
            "outcome": self.outcome,
        })
    }
}

fn list(out: &mut String, title: &str, findings: &Findings, most: usize) {
    if findings.total == 0 {
        return;
    }
    let mut table = Table::new([(title, Column::Text), ("", Column::Text)]);
    let shown = findings.listed.iter().take(most);
    for finding in shown.clone() {
        table.row([finding.place.clone(), finding.message.clone()]);
    }
    let _ = write!(out, "\n{}", table.render());
    more(out, findings.total, shown.count());
}

fn more(out: &mut String, total: u64, shown: usize) {
    let rest = total.saturating_sub(shown as u64);
    if rest > 0 {
        let _ = writeln!(out, "… and {} more; --verbose and --json show up to 1,000", count(rest));
    }
}
