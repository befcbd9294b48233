//! Suites in the embedded host: those beside this file pass, and what is not as expected is told.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::path::{Path, PathBuf};

use host_harness::suite::{self, CaseReport, Outcome, RunOptions, Suite, SuiteReport};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite").join(name)
}

fn run(suites: &[Suite], options: &RunOptions) -> Vec<SuiteReport> {
    suite::run(suites, options, |_, _| ())
}

/// A suite of this text, of the module that does what it is asked for.
fn cases(text: &str) -> Vec<CaseReport> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("suite.yaml");
    std::fs::write(&path, text).unwrap();
    let suite = Suite::read(&path, Some(&file("doing.wat"))).unwrap();
    run(&[suite], &RunOptions::default()).remove(0).cases
}

fn told(case: &CaseReport) -> Vec<String> {
    case.failures
        .iter()
        .map(|failure| format!("{}: expected {}, found {}", failure.path, failure.expected, failure.found))
        .collect()
}

#[test]
fn the_suites_beside_this_pass() {
    let suites: Vec<Suite> = ["asking.yaml", "counting.yaml", "doing.yaml", "talking.yaml"]
        .map(|name| Suite::read(&file(name), None).unwrap())
        .into();
    for report in run(&suites, &RunOptions::default()) {
        for case in &report.cases {
            assert_eq!(
                case.outcome,
                Outcome::Passed,
                "{} {}: {:#?}\n{}",
                report.name,
                case.name,
                told(case),
                case.trace
            );
            assert!(case.checked > 0 && case.trace.is_empty(), "{}", case.name);
        }
    }
}

#[test]
fn what_is_not_as_expected_is_told_with_its_place() {
    let cases = cases(
        r#"
cases:
- name: a stream
  request: {headers: {x-do: deny}}
  expect:
    upstream: {path: /}
    response: {status: {at_least: 500}, body: {contains: allowed}, headers: {x-by: {matches: ^m.x}, x-other: {present: true}}, trailers: {a: b}}
    local_reply: why
    held: true
    filter_state: {a: b}
    cost: {hostcalls: {proxy_log: 1}, total_hostcalls: {at_most: 1}}
- name: a host
  request: /
  expect:
    response: none
    local_reply: true
    log: [{level: warn, contains: gone}]
    no_log: [conf]
    metrics: {level: 8, sizes: 1, other: 0}
    callouts: {cluster: a}
    shared_data: {denied: other, nothing: {matches: .}}
    failed: true
- name: a start
  configuration: refuse
  expect: {log: never}
- name: no refusal
  expect: {start_refused: not this one}
- name: another refusal
  configuration: refuse
  expect: {start_refused: another}
- name: no tick
  steps: [{tick: true}, {reconfigure: no}]
- name: a new configuration
  steps: [{reconfigure: refuse}]
- name: a refused configuration
  steps: [{reconfigure: a, refused: never}]
"#,
    );
    assert_eq!(
        told(&cases[0]),
        [
            "cases[0].expect.upstream: expected a message, found the upstream got nothing",
            "cases[0].expect.response.status: expected at least 500, found 403",
            "cases[0].expect.response.headers.x-by: expected a match of /^m.x/, found \"module\"",
            "cases[0].expect.response.headers.x-other: expected any value, found no such header",
            "cases[0].expect.response.body: expected something with \"allowed\", found \"denied\"",
            "cases[0].expect.response.trailers.a: expected \"b\", found no such header",
            "cases[0].expect.local_reply: expected a local reply with details \"why\", found one with details \"who_are_you\"",
            "cases[0].expect.held: expected true, found false",
            "cases[0].expect.filter_state.a: expected \"b\", found no such value",
            "cases[0].expect.cost.hostcalls.proxy_log: expected 1, found 0",
            "cases[0].expect.cost.total_hostcalls: expected at most 1, found 7",
        ]
    );
    assert!(cases[0].trace.contains("proxy_send_local_response"), "{}", cases[0].trace);
    let log = "[info] \"configured\"; [info] \"configured\"; [info] \"configured\"";
    assert_eq!(
        told(&cases[1]),
        [
            "cases[1].expect.response: expected nothing, found a response with status 200".to_owned(),
            "cases[1].expect.local_reply: expected a local reply, found no local reply".to_owned(),
            format!("cases[1].expect.log[0]: expected a line of [warning] something with \"gone\", found {log}"),
            "cases[1].expect.no_log[0]: expected no line of something with \"conf\", found [info] \"configured\""
                .to_owned(),
            "cases[1].expect.metrics.level: expected 8, found 7".to_owned(),
            "cases[1].expect.metrics.sizes: expected 1, found a metric of another kind".to_owned(),
            "cases[1].expect.metrics.other: expected 0, found no such metric".to_owned(),
            "cases[1].expect.callouts[0]: expected at least 1 such callouts to \"a\", found 0 of 0: no callout"
                .to_owned(),
            "cases[1].expect.shared_data.denied: expected \"other\", found \"sizes\"".to_owned(),
            "cases[1].expect.shared_data.nothing: expected a match of /./, found no such value".to_owned(),
            "cases[1].expect.failed: expected a module that has failed, found one that has not".to_owned(),
        ]
    );
    assert_eq!(
        cases[2..].iter().flat_map(told).collect::<Vec<_>>(),
        [
            "cases[2]: expected a host that starts, found proxy_on_configure refused:\nnot this one\nconfigured\nnot this one",
            "cases[3].expect.start_refused: expected a start that is refused with something with \"not this one\", found it started",
            "cases[4].expect.start_refused: expected a start that is refused with something with \"another\", \
             found \"proxy_on_configure refused:\\nnot this one\\nconfigured\\nnot this one\"",
            "cases[5].steps[0]: expected a tick, found the module has asked for no tick",
            "cases[6].steps[0]: expected a configuration that is taken, found proxy_on_configure refused:\nnot this one",
            "cases[7].steps[0]: expected a refusal with something with \"never\", found it was taken",
        ]
    );
}

#[test]
fn cases_have_a_host_of_their_own_unless_they_share_one() {
    let text = |shared| {
        format!(
            "shared: {shared}
cases:
- {{name: first, request: {{headers: {{x-do: trap}}}}, expect: {{failed: true}}}}
- {{name: second, request: /, expect: {{response: 200, failed: false, log: configured}}}}
"
        )
    };
    let outcomes = |text: &str| cases(text).iter().map(|case| case.outcome.clone()).collect::<Vec<_>>();
    assert_eq!(outcomes(&text(false)), [Outcome::Passed, Outcome::Passed]);
    assert_eq!(outcomes(&text(true)), [Outcome::Passed, Outcome::Failed]);
}

#[test]
fn of_a_shared_host_a_case_sees_what_it_did_itself() {
    let cases = cases(
        "shared: true
cases:
- {name: first, request: {headers: {x-do: log}}, expect: {log: [configured, {contains: two, count: 1}], metrics: {sizes: {count: 1}}}}
- {name: second, request: {headers: {x-do: log}}, expect: {log: [{contains: two, count: 1}], no_log: configured, metrics: {sizes: {count: 2}, level: {increase: 0}}}}
",
    );
    assert!(cases.iter().all(|case| case.outcome == Outcome::Passed), "{cases:#?}");
}

#[test]
fn faults_time_and_bounds_are_the_suites_own() {
    let cases = cases(
        "
cases:
- name: a hostcall fails
  faults: [{hostcall: proxy_send_local_response, nth: 1, returns: InternalFailure}]
  request: {headers: {x-do: deny}}
  expect: {held: true, local_reply: false}
- name: a hostcall traps
  faults: [{hostcall: proxy_record_metric, traps: true}]
  request: /
  expect: {response: 503, failed: true}
- name: there is too little fuel
  fuel_per_callback: 1
  expect: {start_refused: fuel}
",
    );
    let outcomes: Vec<_> = cases.iter().map(|case| (&case.outcome, told(case))).collect();
    assert_eq!(outcomes, [(&Outcome::Passed, vec![]), (&Outcome::Passed, vec![]), (&Outcome::Passed, vec![])]);
}

#[test]
fn cases_come_in_order_and_only_those_that_are_wanted() {
    let suites: Vec<Suite> = ["doing.yaml", "asking.yaml"].map(|name| Suite::read(&file(name), None).unwrap()).into();
    let filter = Some(fancy_regex::Regex::new("^a stream|is refused$").unwrap());
    let mut heard = Vec::new();
    suite::run(&suites, &RunOptions { filter, jobs: 4, traces: true, ..RunOptions::default() }, |suite, case| {
        assert!(!case.trace.is_empty());
        heard.push((suite, case.name.clone()));
    });
    let wanted = [(0, "a stream is held"), (0, "a stream is closed"), (0, "a configuration is refused")];
    assert_eq!(heard, wanted.map(|(suite, name)| (suite, name.to_owned())));
}

/// The first YAML block of the format's description.
fn example() -> &'static str {
    let blocks = include_str!("../SUITES.md").split("```yaml\n").nth(1).unwrap();
    blocks.split("```").next().unwrap()
}

#[test]
fn the_example_of_the_description_runs() {
    let folder = tempfile::tempdir().unwrap();
    let greets = r#"(module
        (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "serverfilter")
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
            (call $add (i32.const 2) (i32.const 0) (i32.const 6) (i32.const 6) (i32.const 6))))"#;
    std::fs::write(folder.path().join("greets.wasm"), wat::parse_str(greets).unwrap()).unwrap();
    let path = folder.path().join("greets.yaml");
    std::fs::write(&path, example()).unwrap();
    let report = run(&[Suite::read(&path, None).unwrap()], &RunOptions::default()).remove(0);
    assert_eq!(report.cases.len(), 2);
    assert!(report.passed(), "{report:#?}");
}
