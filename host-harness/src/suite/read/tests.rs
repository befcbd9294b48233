use std::path::Path;

use super::parse;

const MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/serve/counting.wat");

/// The mistakes in a text, without the file's name.
fn mistakes(text: &str) -> Vec<String> {
    let error = parse(Path::new("suite.yaml"), text, Some(Path::new(MODULE))).unwrap_err();
    error.to_string().lines().map(|line| line.strip_prefix("suite.yaml: ").unwrap_or(line).to_owned()).collect()
}

/// A suite of one case with these lines must have this mistake alone.
fn refuse(case: &str, wanted: &str) {
    let text = format!("cases:\n- name: one\n  {}", case.replace('\n', "\n  "));
    assert_eq!(mistakes(&text), [wanted], "{text}");
}

#[track_caller]
fn accept(case: &str) {
    let text = format!("cases:\n- name: one\n  {}", case.replace('\n', "\n  "));
    if let Err(error) = parse(Path::new("suite.yaml"), &text, Some(Path::new(MODULE))) {
        panic!("{error}\n{text}");
    }
    let value = serde_json::to_value(super::yaml(&text).unwrap()).unwrap();
    assert_eq!(super::schema::tests::complaint(&value), None, "{text}");
}

#[test]
fn every_mistake_is_told_with_its_place_and_the_cure() {
    let text = "
modul: a.wasm
workers: 0
cases:
- name: one
  request: GET /
  expect:
    response: {status: 20O, headers: {a: }}
    upstrem: none
- request: {path: /, body: a, chunks: 0}
";
    assert_eq!(
        mistakes(text),
        [
            "modul: unknown field; did you mean `module`?",
            "workers: found 0; use a whole number from 1 to 64",
            "cases[0].expect.upstrem: unknown field; did you mean `upstream`?",
            "cases[0].expect.response.status: found `20O`; use a whole number from 100 to 599",
            "cases[0].expect.response.headers.a: found nothing; use a value, a list of values, or `{present: false}`",
            "cases[1].name: missing; add a name",
            "cases[1].request.chunks: found 0; use a whole number from 1 to 65536",
        ]
    );
}

#[test]
fn what_is_not_yaml_is_refused_with_its_line() {
    let error = &mistakes("cases: [")[0];
    assert!(error.starts_with("line 2, column 1: ") && error.ends_with("; write it as YAML"), "{error}");
    let error = &mistakes("cases: []\ncases: []")[0];
    assert!(error.contains("duplicate entry with key \"cases\""), "{error}");
    assert_eq!(mistakes("[]"), ["found a list; use a mapping"]);
    assert_eq!(mistakes("name: x"), ["cases: missing; add a list of cases"]);
    assert_eq!(mistakes("cases: []"), ["cases: found no case; add one"]);
}

#[test]
fn a_suite_needs_a_module_that_is_there() {
    let read = |text: &str| parse(Path::new("/nowhere/suite.yaml"), text, None).unwrap_err().to_string();
    assert_eq!(
        read("cases: [{name: one}]"),
        "/nowhere/suite.yaml: module: missing; add the module's path, or give it beside the suite"
    );
    assert_eq!(
        read("{module: a.wasm, cases: [{name: one}]}"),
        "/nowhere/suite.yaml: module: there is no file /nowhere/a.wasm; build it, or mend the path"
    );
}

#[test]
fn wrong_values_are_refused() {
    for (case, wanted) in [
        ("request: GET", "cases[0].request: found `GET`; use a method and a path, like `GET /`"),
        ("request: 7", "cases[0].request: found 7; use a method and a path, like `GET /`, or a mapping"),
        ("reply: 200", "cases[0].reply: found without `request`; add it"),
        ("request: /\nreply: 99", "cases[0].reply: found 99; use a whole number from 200 to 599"),
        ("request: /\nreply: refuse", "cases[0].reply: found `refuse`; use `refused`, `closed` or `reset`"),
        ("request: /\nreply: {answer: reset, body: a}", "cases[0].reply: found `answer` and `body`; keep one"),
        ("connection: [{client: a, server: b}]", "cases[0].connection[0]: found `client` and `server`; keep one"),
        ("connection: [{client_ends: false}]", "cases[0].connection[0].client_ends: found false; use `true`"),
        ("connection: []\nreply: 200", "cases[0].reply: found without `request`; add it"),
        ("connection: []\nexpect: {closed_by: me}", "cases[0].expect.closed_by: found `me`; use `client` or `proxy`"),
        ("request: /\nreply: {after: 5}", "cases[0].reply.after: found 5; use a time like `5s` or `20ms`"),
        ("request: /\nsteps: []", "cases[0]: found `request` and `steps`; keep one"),
        ("streams: []", "cases[0].streams: found no stream; add one"),
        (
            "request: {headers: {a b: c}}",
            "cases[0].request.headers.`a b`: it is not a header name; use letters, digits and `-`",
        ),
        ("request: {headers: {a: 1.0}}", "cases[0].request.headers.a: found 1.0; use quotes around it"),
        (
            "request: {body: {size: 65MiB}}",
            "cases[0].request.body.size: found `65MiB`; use a number of bytes, or a size like `64KiB`, of 64 MiB at most",
        ),
        ("request: {body: {text: a, size: 1}}", "cases[0].request.body: found `text` and `size`; keep one"),
        ("request: {chunks: 2}", "cases[0].request.chunks: found without `body`; add it"),
        (
            "request: {source: here}",
            "cases[0].request.source: found `here`; use an address, like `10.0.0.1` or `10.0.0.1:1234`",
        ),
        (
            "clock: today",
            "cases[0].clock: found `today`; use a UTC time like `2026-01-01T00:00:00Z`, or nanoseconds since 1970",
        ),
        (
            "reload_backoff: 1s",
            "cases[0].reload_backoff: found without `failure_policy: fail_reload` beside it; add that",
        ),
        (
            "log_level: loud",
            "cases[0].log_level: found `loud`; use `trace`, `debug`, `info`, `warn`, `error` or `critical`",
        ),
        (
            "clusters: {a: gone}",
            "cases[0].clusters.a: found `gone`; use `silent`, `refused`, `closed`, `reset` or `no_endpoint`",
        ),
        (
            "faults: [{hostcall: proxy_lug}]",
            "cases[0].faults[0].hostcall: found `proxy_lug`; use a hostcall's name, like `proxy_log`",
        ),
        ("steps: [{tick: true, reply: 200}]", "cases[0].steps[0].reply: found without `request`; add it"),
        ("expect: {callouts: []}", "cases[0].expect.callouts: found a list; use `none` where there must be no callout"),
        (
            "steps: [{}]",
            "cases[0].steps[0]: nothing is done; use `request`, `streams`, `connection`, `advance`, `tick`, `reconfigure` or `expect`",
        ),
        ("steps: [{advance: soon}]", "cases[0].steps[0].advance: found `soon`; use a time like `5s` or `20ms`"),
        (
            "expect: {response: 200}",
            "cases[0].expect.response: it is of one stream; put it into the `expect` beside a `request`",
        ),
        (
            "streams: [{request: /, expect: {log: a}}]",
            "cases[0].streams[0].expect.log: it is of the whole host; put it into the `expect` around `streams`",
        ),
        (
            "request: /\nexpect: {response: 20}",
            "cases[0].expect.response: found 20; use a whole number from 100 to 599",
        ),
        ("request: /\nexpect: {upstream: 200}", "cases[0].expect.upstream: found 200; use `none` or a mapping"),
        (
            "request: /\nexpect: {cost: {hostcalls: {log: 1}}}",
            "cases[0].expect.cost.hostcalls.log: there is no such hostcall; use a name like `proxy_log`",
        ),
        (
            "expect: {log: {level: info, count: -1}}",
            "cases[0].expect.log.count: found -1; use a whole number from 0, or `{at_least: …, at_most: …}`",
        ),
        (
            "expect: {metrics: {a: 1.5}}",
            "cases[0].expect.metrics.a: found 1.5; use a whole number, or a mapping with `at_least`, `at_most`, `increase`, `count` or `present`",
        ),
        (
            "expect: {metrics: {a: {at_least: 2, at_most: 1}}}",
            "cases[0].expect.metrics.a: found at least 2 and at most 1; exchange them",
        ),
        (
            "expect: {log: {matches: '('}}",
            "cases[0].expect.log.matches: Parsing error at position 1: Opening parenthesis without closing parenthesis; mend the expression",
        ),
        (
            "request: /\nexpect: {start_refused: a}",
            "cases[0].expect.start_refused: found with a host that must start; use it alone in a case of its own host",
        ),
        (
            "configuration_file: nowhere.json",
            "cases[0].configuration_file: nowhere.json: cannot read it: No such file or directory (os error 2)",
        ),
        (
            "request: {body: {base64: '*'}}",
            "cases[0].request.body.base64: Invalid symbol 42, offset 0.; use Base64 with padding",
        ),
    ] {
        refuse(case, wanted);
    }
}

#[test]
fn short_and_long_forms_are_taken() {
    for case in [
        "request: /",
        "request: {path: /a?b=c, headers: {x: [a, b], y: 1, z: true, w: {base64: /w==}}, without: [':authority']}",
        "request: {body: [one, two], trailers: {a: b}, protocol: HTTP/2}\nreply: {body: {json: {a: [1]}}, chunk_size: 1KiB}",
        "request: /\nclient_leaves: true\nexpect: {response: none, upstream: {method: GET, trailers: none}}",
        "request: /\nexpect: {response: {status: {at_least: 500}, body: {size: {at_most: 10}}}, local_reply: details}",
        "clusters: {a: 200, b: silent, c: no_endpoint, d: [{when: {path: {matches: ^/a}}, status: 403, after: 1s}, {answer: reset}]}",
        "configuration: {a: [1, b]}\nvm_configuration: text\nenvironment: {A: 1}\nclock: 5\nseed: 18446744073709551615",
        "steps: [{request: /, expect: {response: 200, log: a}}, {advance: 1h 5s}, {tick: true}, {reconfigure: a, refused: b}, {expect: {no_log: [a, {level: warn}]}}]",
        "expect: {callouts: [{cluster: a, path: /b, count: 2}], metrics: {a: 1, b: {increase: 2}, c: {count: 1}, d: {present: false}}}",
        "expect: {callouts: none, start_refused: {contains: a}}",
        "failure_policy: fail_reload\nreload_backoff: 2s\nallowed_capabilities: [proxy_log]\nclock: 2026-01-01T02:00:00+02:00",
    ] {
        accept(case);
    }
}

#[test]
fn cases_of_a_shared_host_have_no_setup_of_their_own() {
    let text = "{shared: true, cases: [{name: a, workers: 2}, {name: a}]}";
    assert_eq!(
        mistakes(text),
        [
            "cases[0].workers: all cases of this suite share one host; say `workers` at the top, or drop `shared`",
            "cases[1].name: found `a` a second time; give each case a name of its own",
        ]
    );
}

#[test]
fn the_list_of_mistakes_has_an_end() {
    let text = format!("cases: [{}]", "{name: }, ".repeat(300));
    let told = mistakes(&text);
    assert_eq!(told.len(), 101);
    assert!(told[100].starts_with("and "), "{}", told[100]);
}

#[test]
fn every_field_is_described() {
    use super::{case, connection, expect, setup, value};
    let description = include_str!("../../../SUITES.md");
    let known: [&[&str]; 28] = [
        &super::FIELDS,
        &setup::FIELDS,
        &setup::RULE_FIELDS,
        &setup::WHEN_FIELDS,
        &setup::FAULT_FIELDS,
        &setup::CLUSTER_WORDS,
        &case::FIELDS,
        &case::STREAM_FIELDS,
        &case::ACTION_FIELDS,
        &case::REQUEST_FIELDS,
        &case::REPLY_FIELDS,
        &case::REPLY_WORDS,
        &connection::TURN_FIELDS,
        &connection::EXPECT_FIELDS,
        &connection::CLOSERS,
        &expect::STREAM_FIELDS,
        &expect::HOST_FIELDS,
        &expect::UPSTREAM_FIELDS,
        &expect::RESPONSE_FIELDS,
        &expect::LOCAL_REPLY_FIELDS,
        &expect::COST_FIELDS,
        &expect::LOG_FIELDS,
        &expect::METRIC_FIELDS,
        &expect::CALLOUT_FIELDS,
        &value::BODY_FIELDS,
        &value::FILLED_FIELDS,
        &value::TEXT_FIELDS,
        &value::NUMBER_FIELDS,
    ];
    for name in known.into_iter().flatten() {
        let is_there = ["`", ": "].iter().any(|end| description.contains(&format!("`{name}{end}")));
        assert!(is_there, "`{name}` is not in SUITES.md");
    }
}
