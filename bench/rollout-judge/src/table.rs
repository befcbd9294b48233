//! What came of all runs of one gate in one scenario, beside what is promised.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use crate::run::Outcome;

/// 1.96 standard errors: 95 %, both sides.
const Z: f64 = 1.959_964;

/// One line.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Line {
    pub(crate) scenario: &'static str,
    pub(crate) harm: &'static str,
    pub(crate) gate: String,
    pub(crate) runs: u32,
    pub(crate) stopped: u32,
    pub(crate) passed: u32,
    /// The most that may be wrong: stops where nothing is, passes where something is; none where nothing is promised.
    pub(crate) allowed: Option<f64>,
    /// The share that is wrong, with the bounds that Wilson's interval gives it at 95 %.
    pub(crate) wrong: f64,
    pub(crate) wrong_low: f64,
    pub(crate) wrong_high: f64,
    pub(crate) median_looks: Option<u32>,
    pub(crate) median_requests: Option<f64>,
    /// Whether the promise is held, as far as so many runs can tell.
    pub(crate) held: bool,
}

impl Line {
    pub(crate) fn new(
        (scenario, harm, harmful): (&'static str, &'static str, bool),
        gate: &str,
        outcomes: &[Outcome],
        allowed: Option<f64>,
    ) -> Self {
        let count = |is: fn(&Outcome) -> bool| {
            u32::try_from(outcomes.iter().filter(|outcome| is(outcome)).count()).unwrap_or(u32::MAX)
        };
        let runs = u32::try_from(outcomes.len()).unwrap_or(u32::MAX);
        let (stopped, passed) = (count(|outcome| outcome.failed), count(|outcome| outcome.passed));
        let wrong = if harmful { passed } else { stopped };
        let (wrong_low, wrong_high) = wilson(wrong, runs);
        let mut decided: Vec<(u32, f64)> = outcomes.iter().filter_map(|outcome| outcome.decided).collect();
        decided.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        // Of all runs: where most are never decided there is none.
        let median = decided.get(outcomes.len() / 2);
        Self {
            scenario,
            harm,
            gate: gate.to_owned(),
            runs,
            stopped,
            passed,
            allowed,
            wrong: f64::from(wrong) / f64::from(runs.max(1)),
            wrong_low,
            wrong_high,
            median_looks: median.map(|(looks, _)| *looks),
            median_requests: median.map(|(_, requests)| *requests),
            held: allowed.is_none_or(|allowed| wrong_low <= allowed),
        }
    }
}

/// Wilson's interval of a share, at 95 %.
fn wilson(of: u32, runs: u32) -> (f64, f64) {
    if runs == 0 {
        return (0.0, 1.0);
    }
    let (n, p) = (f64::from(runs), f64::from(of) / f64::from(runs));
    let middle = (p + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    // Rounding leaves a little where nothing was wrong.
    (if of == 0 { 0.0 } else { (middle - half).max(0.0) }, (middle + half).min(1.0))
}

pub(crate) fn table(lines: &[Line]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    let head =
        ["scenario", "harm", "gate", "runs", "stopped", "passed", "wrong", "95 %", "allowed", "looks", "requests", ""];
    table.set_header(head);
    let per_cent = |share: f64| format!("{:.1} %", share * 100.0);
    for line in lines {
        table.add_row([
            line.scenario.to_owned(),
            line.harm.to_owned(),
            line.gate.clone(),
            line.runs.to_string(),
            per_cent(f64::from(line.stopped) / f64::from(line.runs.max(1))),
            per_cent(f64::from(line.passed) / f64::from(line.runs.max(1))),
            per_cent(line.wrong),
            format!("to {}", per_cent(line.wrong_high)),
            line.allowed.map_or_else(|| "–".to_owned(), per_cent),
            line.median_looks.map_or_else(|| "–".to_owned(), |looks| looks.to_string()),
            line.median_requests.map_or_else(|| "–".to_owned(), |requests| format!("{requests:.0}")),
            if line.held { String::new() } else { "NOT HELD".to_owned() },
        ]);
    }
    for column in table.column_iter_mut().skip(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_wilsons() {
        let near = |found: (f64, f64), expected: (f64, f64)| {
            assert!((found.0 - expected.0).abs() < 5e-4 && (found.1 - expected.1).abs() < 5e-4, "{found:?}");
        };
        near(wilson(0, 100), (0.0, 0.037));
        near(wilson(5, 100), (0.0215, 0.1118));
        near(wilson(100, 100), (0.963, 1.0));
    }

    #[test]
    fn what_is_wrong_depends_on_whether_there_is_harm() {
        let passed = Outcome { passed: true, decided: Some((20, 100.0)), ..Outcome::default() };
        let outcomes = vec![passed; 50];
        let good = Line::new(("plain", "none", false), "errors", &outcomes, Some(0.01));
        let bad = Line::new(("plain", "smallest", true), "errors", &outcomes, Some(0.05));
        assert!(good.held && good.wrong == 0.0 && good.median_looks == Some(20));
        assert!(!bad.held && bad.wrong == 1.0);
    }
}
