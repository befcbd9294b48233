//! The figures for people and for programs, and the goals.

mod instructions;
mod time;

use edge_observer::goal::Goal;
use edge_observer::table::Column;
use serde_json::Value;

pub(crate) use instructions::InstructionReport;
pub(crate) use time::TimeReport;

use crate::variants::name;
use crate::workload::Workload;

/// What a way of measuring found.
pub(crate) trait Report {
    /// Every goal that can be judged.
    fn goals(&self) -> Vec<Goal>;

    /// The figures for people.
    fn text(&self) -> String;

    /// The figures for programs, as an object.
    fn json(&self) -> Value;
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

/// The variants that each is compared with, and the heads of their columns.
const RIVALS: [(&str, &str); 3] = [(name::FLOOR, "÷ floor"), (name::LUA, "÷ Lua"), (name::NAIVE, "÷ SDK")];

/// The columns of [`ratios`].
fn ratio_columns() -> [(&'static str, Column); 3] {
    RIVALS.map(|(_, head)| (head, Column::Number))
}

/// What a variant adds, as a multiple of what each rival adds.
fn ratios(name: &str, added: impl Fn(&str) -> Option<f64>) -> [String; 3] {
    RIVALS.map(|(rival, _)| {
        let pair = added(name).filter(|_| name != name::BARE).zip(added(rival));
        or_dash(pair.map(|(of, over)| format!("{:.2}", of / over)))
    })
}

/// What is not known is a dash.
fn or_dash(value: Option<String>) -> String {
    value.unwrap_or_else(|| "–".to_owned())
}
