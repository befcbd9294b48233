//! Whole logs: what they yield, and which templates are found.

mod traffic;

use std::collections::BTreeSet;
use std::fs;

use super::*;

/// Runs a log against a configuration.
fn run_log(config: &str, log: impl AsRef<[u8]>) -> Coverage {
    let folder = tempfile::tempdir().unwrap();
    let (config_file, log_file) = (folder.path().join("config.yaml"), folder.path().join("access.log"));
    fs::write(&config_file, config).unwrap();
    fs::write(&log_file, log).unwrap();
    run(&CoverageOptions { config: config_file, access_log: log_file, quiet: true }).unwrap()
}

/// A log of `METHOD PATH STATUS`, each so many times.
fn log_of(requests: &[(&str, u16, usize)]) -> String {
    let mut log = String::new();
    for (request, status, times) in requests {
        let line = format!("h - - [17/May/2015:10:05:03 +0000] \"{request} HTTP/1.1\" {status} 5\n");
        log.push_str(&line.repeat(*times));
    }
    log
}

/// A template without the names of its parameters.
fn shape(template: &str) -> String {
    let mut shape = String::new();
    let mut inside = false;
    for found in template.chars() {
        match found {
            '{' => inside = true,
            '}' => inside = false,
            _ if inside && found != '.' => continue,
            _ => {}
        }
        shape.push(found);
    }
    shape
}

/// Share of the templates that were found exactly, and of the found that are templates.
fn recovered(requests: usize, seed: u64) -> (f64, f64) {
    let routes = traffic::github();
    let coverage = run_log("metrics: {series_budget: 10000000}", traffic::log(&routes, requests, seed));
    let wanted: BTreeSet<String> = routes.iter().map(|(_, path)| shape(path)).collect();
    let found: BTreeSet<String> = coverage.proposals.iter().map(|route| shape(&route.template)).collect();
    let both = wanted.intersection(&found).count() as f64;
    (both / wanted.len() as f64, both / found.len() as f64)
}

#[test]
fn most_of_githubs_templates_are_recovered_from_traffic_alone() {
    // What is missed are mostly the six package types, which the traffic shows as six words; a human could not tell either.
    let (recall, precision) = recovered(40_000, 1);
    assert!(recall >= 0.95 && precision >= 0.90, "recall {recall:.3}, precision {precision:.3}");
    let (recall, precision) = recovered(15_000, 2);
    assert!(recall >= 0.90 && precision >= 0.85, "recall {recall:.3}, precision {precision:.3}");
}

#[test]
fn the_report_is_the_same_every_time() {
    let log = traffic::log(&traffic::github(), 3_000, 3);
    let run = || {
        let coverage = run_log("metrics: {series_budget: 10000000}", &log);
        (coverage.to_text(20, true), serde_json::to_string(&coverage).unwrap())
    };
    assert_eq!(run(), run());
}

const TABLE: &str = "routes:\n  table:\n    - {methods: [GET], template: \"/users/{id}\"}\n    - {template: /health}\n";

#[test]
fn endpoints_statuses_and_reasons_are_counted() {
    let coverage = run_log(
        TABLE,
        log_of(&[
            ("GET /users/1?x=/health", 200, 3),
            ("POST /users/1", 500, 1),
            ("GET /.env", 404, 2),
            ("OPTIONS *", 200, 1),
            ("GET /caf\\xc3\\xa9", 200, 1),
            ("GET /new/7", 200, 1),
            (&format!("GET /{}", "a".repeat(9_000)), 414, 1),
        ]) + "garbage\n",
    );
    assert_eq!((coverage.lines, coverage.requests, coverage.covered, coverage.configured), (11, 10, 4, 2));
    let users = coverage.endpoints.iter().find(|row| row.endpoint == "/users/{id}").unwrap();
    assert_eq!((users.requests, users.by_class), (4, [0, 3, 0, 0, 1]));
    assert_eq!(coverage.idle, ["/health"]);
    let mut reasons: Vec<(&str, u64)> = coverage.uncovered.iter().map(|row| (row.reason, row.requests)).collect();
    reasons.sort_unstable();
    assert_eq!(
        reasons,
        [
            ("answered with 404 or 405", 2),
            ("longer than is matched", 1),
            ("no path", 1),
            ("no template", 1),
            ("not printable", 1)
        ]
    );
    assert_eq!(coverage.left_out, [LeftOut { lines: 1, first: 11, reason: "not an access log line".to_owned() }]);
    // Two endpoints: users with two statuses, `unknown` with three, over three methods.
    assert_eq!(
        coverage.series.iter().map(|row| row.what).collect::<Vec<_>>(),
        ["requests", "durations", "own metrics"]
    );
    assert_eq!(coverage.series[0].series, 2 + 3 + 1);
    assert_eq!(coverage.series[1].series, 4 * 13);
    assert!(coverage.series.iter().all(|row| row.series <= row.at_most));
    assert!(coverage.proposals.is_empty() && coverage.after.is_none());
    let text = coverage.to_text(20, true);
    assert!(text.contains("1 of 2 configured endpoints got no request:\n/health\n"), "{text}");
    assert!(text.contains("covered 4 of 10 requests, 40.0 %\n"), "{text}");
}

#[test]
fn learned_endpoints_are_the_proxys_own() {
    let config = "routes: {unmatched: placeholders, placeholders: {max_endpoints: 1, min_hits: 1}}";
    let coverage = run_log(
        config,
        log_of(&[
            ("GET /a/1", 404, 1),
            ("GET /a/2", 200, 1),
            ("GET /a/4", 200, 1),
            ("GET /b/1", 200, 1),
            ("GET /a/3", 404, 1),
        ]),
    );
    let rows: Vec<(&str, &str, u64)> =
        coverage.endpoints.iter().map(|row| (row.endpoint.as_str(), row.source, row.requests)).collect();
    assert_eq!(rows, [("/a/{int}", "learned", 3), ("_overflow", "none", 1), ("unknown", "none", 1)]);
    assert_eq!(coverage.proposals.iter().map(|route| route.template.as_str()).collect::<Vec<_>>(), ["/a/{a_id}"]);
}

#[test]
fn a_proposal_says_what_it_brings() {
    let coverage = run_log(
        TABLE,
        log_of(&[
            ("GET /users/1", 200, 4),
            ("GET /orders/1", 200, 2),
            ("POST /orders/2", 201, 3),
            ("GET /orders/3", 404, 1),
        ]),
    );
    let [orders] = &coverage.proposals[..] else { panic!("{:?}", coverage.proposals) };
    assert_eq!((orders.template.as_str(), orders.requests, orders.paths), ("/orders/{order_id}", 6, 3));
    assert_eq!(orders.to_yaml(), "- {methods: [GET, POST], template: \"/orders/{order_id}\"}");
    let after = coverage.after.as_ref().unwrap();
    assert_eq!((coverage.covered, after.covered, after.requests), (4, 10, 10));
    // One more endpoint: every method with every status, bucket, count and sum.
    let before: u64 = coverage.series.iter().map(|row| row.at_most).sum();
    assert_eq!(after.series_at_most - before, 10 * (83 + 13));
    let text = coverage.to_text(20, false);
    assert!(text.contains("with it: 40.0 % → 100.0 % of the requests covered (4 → 10)"), "{text}");
}

#[test]
fn proposals_as_printed_are_a_valid_table_that_covers_as_promised() {
    let log = traffic::log(&traffic::github(), 3_000, 5);
    let before = run_log("metrics: {series_budget: 10000000}", &log);
    let table: Vec<String> = before.proposals.iter().map(|route| format!("    {}\n", route.to_yaml())).collect();
    let config = format!("metrics: {{series_budget: 10000000}}\nroutes:\n  table:\n{}", table.concat());
    let after = run_log(&config, &log);
    assert!(table.len() > 100, "{}", table.len());
    assert_eq!(Some(after.covered), before.after.as_ref().map(|after| after.covered));
    assert_eq!(after.idle, Vec::<String>::new());
}

#[test]
fn no_proposal_takes_a_request_from_the_table() {
    // A static word in place of the parameter would; so would a template that is more exact than a tail.
    let config = "routes: {table: [{template: \"/f/{rest...}\", methods: [GET]}, {template: \"/u/{id}/x\"}]}";
    let coverage = run_log(
        config,
        log_of(&[
            ("GET /f/a/1", 200, 9),
            ("GET /u/me/x", 200, 9),
            ("GET /u/me/y", 200, 9),
            ("GET /u/1/y", 200, 1),
            ("GET /u/2/y", 200, 1),
        ]),
    );
    assert_eq!(coverage.proposals.iter().map(|route| route.template.as_str()).collect::<Vec<_>>(), ["/u/{id}/y"]);
    assert_eq!(coverage.after.map(|after| after.covered), Some(18 + 11));
}

#[test]
fn scanners_alone_lead_to_no_proposal() {
    let log: String = (0..20_000).map(|n| log_of(&[(&format!("GET /x{n}/wp-login.php"), 404, 1)])).collect();
    let coverage = run_log("", log + &log_of(&[("GET /../../etc/passwd", 400, 9), ("GET /%00", 200, 9)]));
    assert!(coverage.proposals.is_empty(), "{:?}", coverage.proposals);
    assert!(coverage.refused.len() <= 10_000);
}

#[test]
fn a_log_of_nothing_but_different_paths_is_bounded() {
    let mut pass = Pass::new(&config_file::parse(b"").unwrap(), true).unwrap();
    for n in 0..300_000_u32 {
        let target = format!("/w{n}x/y{n}z");
        pass.request(&Request { method: b"GET".as_slice().into(), target: target.as_bytes().into(), status: 200 });
    }
    assert!(pass.paths.len() <= MAX_PATHS, "{}", pass.paths.len());
    let kept: u64 = pass.paths.iter().map(|(_, known)| known.answers.requests()).sum();
    assert_eq!(kept + pass.paths.forgotten(), 300_000);
}

#[test]
fn any_bytes_make_a_report_that_cannot_steer_the_terminal() {
    let mut log =
        log_of(&[("GET /a\\x1b[31m\\x07", 200, 9), ("G\\x1bET /", 200, 1), ("GET /ok\u{1b}[2J", 200, 5)]).into_bytes();
    log.extend(b"\xff\xfe\x00\x1b[2J\n{\"method\":\"GET\",\"path\":\"/\\u001b[2J\\u009b\",\"status\":200}\n");
    log.extend(b"h - - [17/May/2015:10:05:03 +0000] \"GET /\xff\xfe HTTP/1.1\" 200 99999999999999999999\n");
    let coverage = run_log("", log);
    let text = coverage.to_text(50, true);
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    assert_eq!(coverage.lines, 18);
}

#[test]
fn wrong_usage_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (config, zipped) = (folder.path().join("c.yaml"), folder.path().join("log.gz"));
    fs::write(&config, "").unwrap();
    fs::write(&zipped, b"\x1f\x8b\x08").unwrap();
    for (config, log, expected) in [
        (config.clone(), folder.path().join("none"), "cannot read "),
        (config.clone(), folder.path().to_owned(), "is a folder"),
        (config.clone(), zipped, "is compressed"),
        (folder.path().join("none.yaml"), config.clone(), "cannot read "),
        ("-".into(), "-".into(), "cannot both be standard input"),
    ] {
        let error = run(&CoverageOptions { config, access_log: log, quiet: true }).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.downcast_ref::<crate::Usage>().is_some(), "{error}");
    }
}
