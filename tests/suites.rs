//! Suites in the embedded host and in real Envoy: what is expected of one holds in the other.

use std::path::Path;

use host_harness::suite::{self, Against, Outcome, RunOptions, Suite, SuiteReport};

use crate::support::proxy::{envoy_binary, module_path};

/// The filter's own suite, and those of the host's, whose modules do what the filter never does.
const SUITES: [&str; 5] = [
    "tests/suites/edge-observer.yaml",
    "host-harness/tests/suite/asking.yaml",
    "host-harness/tests/suite/counting.yaml",
    "host-harness/tests/suite/doing.yaml",
    "host-harness/tests/suite/talking.yaml",
];

fn suites() -> Vec<Suite> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |name: &str| {
        // The filter is built before it is looked for.
        let module = name.starts_with("tests/").then(module_path);
        Suite::read(&root.join(name), module).unwrap_or_else(|error| panic!("{error}"))
    };
    SUITES.map(read).into()
}

fn run(against: Against) -> Vec<SuiteReport> {
    suite::run(&suites(), &RunOptions { against, ..RunOptions::default() }, |_, _| ())
}

/// The names of the cases that were skipped; fails where one has failed.
fn skipped(reports: &[SuiteReport]) -> Vec<&str> {
    let mut names = Vec::new();
    for case in reports.iter().flat_map(|report| &report.cases) {
        match &case.outcome {
            Outcome::Passed => assert!(case.checked > 0, "{} looks at nothing", case.name),
            Outcome::Skipped(_) => names.push(case.name.as_str()),
            Outcome::Failed => panic!("{}: {:#?}\n{}", case.name, case.failures, case.trace),
        }
    }
    names
}

#[test]
fn every_case_passes_in_the_host() {
    assert_eq!(skipped(&run(Against::Harness)), [""; 0]);
}

#[test]
fn every_case_that_needs_no_clock_passes_in_envoy() {
    let Some(binary) = envoy_binary() else { return };
    assert_eq!(skipped(&run(Against::Envoy(binary))), ["what is held goes on with a tick", "time passes step by step"]);
}
