//! Results as JUnit XML, for CI systems.

use std::time::Duration;

use host_harness::suite::{CaseReport, Outcome, SuiteReport};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::text::printable;

/// The whole file.
pub(super) fn xml(reports: &[SuiteReport], took: Duration) -> anyhow::Result<String> {
    let mut report = Report::new("host-harness");
    report.set_time(took);
    for suite in reports {
        let mut of_suite = TestSuite::new(clean(&suite.name));
        of_suite.set_time(suite.cases.iter().map(CaseReport::time).sum::<Duration>());
        of_suite.add_property(("file", clean(&suite.file.display().to_string()).as_str()));
        of_suite.add_test_cases(suite.cases.iter().map(|case| of_case(suite, case)));
        report.add_test_suite(of_suite);
    }
    Ok(report.to_string()?)
}

fn of_case(suite: &SuiteReport, case: &CaseReport) -> TestCase {
    let status = match &case.outcome {
        Outcome::Passed => TestCaseStatus::success(),
        Outcome::Skipped(why) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(clean(why));
            status
        }
        Outcome::Failed => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            let told: Vec<String> = case
                .failures
                .iter()
                .map(|failure| format!("{}: expected {}, found {}", failure.path, failure.expected, failure.found))
                .collect();
            status.set_message(clean(told.first().map_or("", String::as_str)));
            status.set_type("expectation");
            status.set_description(clean(&told.join("\n")));
            status
        }
    };
    let mut of_case = TestCase::new(clean(&case.name), status);
    of_case.set_classname(clean(&suite.name));
    of_case.set_time(case.time());
    let unchecked: String = case
        .unchecked
        .iter()
        .map(|unchecked| format!("not checked: {}: {}\n", unchecked.path, unchecked.why))
        .collect();
    if !unchecked.is_empty() || !case.trace.is_empty() {
        of_case.set_system_out(clean(&format!("{unchecked}{}", case.trace)));
    }
    of_case
}

/// What XML cannot hold is written so that it can be read.
fn clean(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(printable).collect();
    lines.join("\n").replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}
