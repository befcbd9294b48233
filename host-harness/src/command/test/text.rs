//! Results as text: a line for each case, and below one that failed what was not as expected.

use std::fmt::Write as _;
use std::time::Duration;

use host_harness::suite::{CaseReport, Outcome, Suite, SuiteReport};

/// The widest name for which the times stand in one column.
const WIDEST: usize = 72;

/// What has been printed so far.
#[derive(Debug)]
pub(super) struct Text {
    names: Vec<String>,
    width: usize,
    suite: Option<usize>,
}

impl Text {
    pub(super) fn new(suites: &[Suite]) -> Self {
        let widths = suites.iter().flat_map(Suite::cases).map(|name| one_line(name).chars().count());
        let width = widths.filter(|width| *width <= WIDEST).max().unwrap_or(0);
        Self { names: suites.iter().map(|suite| suite.name().to_owned()).collect(), width, suite: None }
    }

    /// The lines for a case, with the suite's name above its first.
    pub(super) fn case(&mut self, suite: usize, case: &CaseReport) -> String {
        let mut text = String::new();
        if self.suite != Some(suite) {
            let blank = if self.suite.is_some() { "\n" } else { "" };
            let name = self.names.get(suite).map_or("", String::as_str);
            _ = writeln!(text, "{blank}{}", one_line(name));
            self.suite = Some(suite);
        }
        let (word, note) = match &case.outcome {
            Outcome::Passed => ("ok", time(case.time())),
            Outcome::Failed => ("FAILED", time(case.time())),
            Outcome::Skipped(why) => ("skipped", one_line(why)),
        };
        _ = write!(text, "  {word:<8} {:<width$}  {note}", one_line(&case.name), width = self.width);
        for failure in &case.failures {
            _ = write!(text, "\n      {}", one_line(&failure.path));
            _ = write!(text, "\n        expected {}", indented(&failure.expected));
            _ = write!(text, "\n        found    {}", indented(&failure.found));
        }
        if !case.unchecked.is_empty() {
            _ = write!(text, "\n      not checked against Envoy: {}", case.unchecked.len());
            for unchecked in &case.unchecked {
                _ = write!(text, "\n        {}: {}", one_line(&unchecked.path), unchecked.why);
            }
        }
        if !case.trace.is_empty() {
            text.push_str("\n      trace");
            for line in case.trace.lines() {
                _ = write!(text, "\n        {}", printable(line));
            }
        }
        text
    }
}

/// The last line.
pub(super) fn summary(reports: &[SuiteReport], took: Duration) -> String {
    let cases = || reports.iter().flat_map(|report| &report.cases);
    let count = |wanted: fn(&Outcome) -> bool| cases().filter(|case| wanted(&case.outcome)).count();
    let mut text = format!(
        "\n{} passed, {} failed, {} skipped",
        count(|outcome| *outcome == Outcome::Passed),
        count(|outcome| *outcome == Outcome::Failed),
        count(|outcome| matches!(outcome, Outcome::Skipped(_))),
    );
    let unchecked: usize = cases().map(|case| case.unchecked.len()).sum();
    if unchecked > 0 {
        _ = write!(text, "; {unchecked} not checked against Envoy");
    }
    _ = write!(text, "; {} in {}", number(cases().map(|case| case.checked).sum(), "expectation"), time(took));
    text
}

fn number(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn time(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

/// On one line, and nothing in it that a terminal obeys.
fn one_line(text: &str) -> String {
    printable(&text.replace('\n', " "))
}

/// Further lines begin below the first.
fn indented(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(printable).collect();
    lines.join("\n                 ")
}

/// Without anything that a terminal obeys.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\t' { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}
