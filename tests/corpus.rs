//! The corpus: cases as data, run natively against the core and through the built module in the embedded host.

mod case;
mod cost;
mod module;
mod native;

use case::{Case, Driver, Observed, cases};

use crate::support::counters;

#[test]
fn the_core_agrees_with_the_corpus() {
    run_all(native::Native::new);
}

#[test]
fn the_module_agrees_with_the_corpus() {
    run_all(module::ModuleDriver::new);
}

fn run_all<D: Driver>(new: impl Fn(&str) -> D) {
    let mut failures = Vec::new();
    let cases = cases();
    assert!(cases.len() > 80, "{} cases found", cases.len());
    for case in &cases {
        let failed = run(case, &new);
        failures.extend(failed.into_iter().map(|what| format!("{}: {what}", case.name)));
    }
    assert!(failures.is_empty(), "{} of {} cases fail:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

fn run<D: Driver>(case: &Case, new: &impl Fn(&str) -> D) -> Vec<String> {
    let mut driver = new(&case.config.to_string());
    let mut failures = Vec::new();
    for (at, step) in case.requests.iter().enumerate() {
        let observed = driver.request(step);
        for what in step.expect.check(&observed) {
            failures.push(format!("request {at}: {what}"));
        }
    }
    let counted = driver.counters();
    for (name, series) in &case.counters {
        for expected in series {
            let value = counters::value(&counted, name, &expected.labels);
            if value != expected.value {
                failures.push(format!("{name} {:?}: {value} counted, {} expected", expected.labels, expected.value));
            }
        }
    }
    let streams: u64 = counters::sum(&counted, "_http_requests_total");
    if streams != case.requests.len() as u64 {
        failures.push(format!("{streams} requests counted, {} were there", case.requests.len()));
    }
    let outcomes: u64 = counters::sum(&counted, "_edge_correlation_total");
    if outcomes != streams {
        failures.push(format!("{outcomes} correlation outcomes for {streams} requests"));
    }
    failures
}

/// The header's values, in order.
fn values<'a>(headers: &'a [(Vec<u8>, Vec<u8>)], name: &str) -> Vec<&'a [u8]> {
    headers.iter().filter(|(n, _)| n == name.as_bytes()).map(|(_, v)| v.as_slice()).collect()
}

impl Observed {
    fn text(bytes: &[u8]) -> String {
        bytes.iter().map(|b| char::from(*b)).collect()
    }
}
