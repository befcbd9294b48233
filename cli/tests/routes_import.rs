//! `edge-observer routes import` as an operator runs it: the program, its exit code, and what it prints where.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this crate is tests and nothing else: a panic is how one fails"
)]

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

const DESCRIPTION: &str =
    "openapi: 3.0.3\nservers: [{url: ./v1}]\npaths:\n  /a: {get: {operationId: a}}\n  /b: {$ref: 'parts/b.yaml'}\n";
const PART: &str = "post: {operationId: b}\n";

struct Ended {
    code: i32,
    out: String,
    err: String,
}

fn run(arguments: &[&str], input: &[u8]) -> Ended {
    let mut child = Command::new(env!("CARGO_BIN_EXE_edge-observer"))
        .args(["routes", "import"])
        .args(arguments)
        .envs(["http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"].map(|name| (name, "")))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not read its input closes it.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    Ended {
        code: output.status.code().expect("no signal ended it"),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Answers requests by path, on a thread that ends with the process.
fn serve(pages: HashMap<&'static str, (&'static str, String)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = answer(stream, &pages);
        }
    });
    format!("http://{address}")
}

fn answer(mut stream: TcpStream, pages: &HashMap<&'static str, (&'static str, String)>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let path = first.split(' ').nth(1).unwrap_or_default();
    let missing = ("404 Not Found", "nothing here".to_owned());
    let (head, body) = pages.get(path).unwrap_or(&missing);
    write!(stream, "HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

#[test]
fn the_table_goes_to_standard_output_and_the_report_to_standard_error() {
    let ended = run(&["-"], b"openapi: 3.0.3\npaths: {/a: {get: {operationId: x}}}\n");
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.out.contains("    - {methods: [GET], template: /a, name: x}\n"), "{}", ended.out);
    assert!(
        ended.err.starts_with("standard input: OpenAPI 3.0.3\n") && ended.err.contains("series at most"),
        "{}",
        ended.err
    );
    let ended = run(&["-", "--json"], b"/users/<int:pk>/\tshop.views.user\tuser-detail\n");
    assert_eq!(ended.code, 0, "{}", ended.err);
    let report: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((report["kind"].as_str(), report["routes"].as_u64()), (Some("Django's list of URLs"), Some(1)));
    assert_eq!(ended.err, "");
}

#[test]
fn exit_codes_tell_a_bad_source_from_wrong_usage() {
    for (arguments, input, code, expected) in [
        (&["/nonexistent.yaml"][..], "", 2, "cannot read /nonexistent.yaml"),
        (&["ftp://x"], "", 2, "is no address that can be read"),
        (&[], "", 2, "<FILE|URL>"),
        (&["-", "--output", "x", "--into", "y"], "", 2, "cannot be used with"),
        (&["-", "--into", "y", "--label", "name"], "", 2, "cannot be used with"),
        (&["-", "--into", "/nonexistent.yaml"], "", 2, "does not exist; give --output"),
        (&["-", "--base-path", "v1"], "", 2, "write it as `/api/v1`"),
        (&["-", "--format", "raml"], "", 2, "possible values: auto, openapi, django"),
        (&["-"], "dear diary", 1, "standard input: no API description"),
        (&["-", "--format", "django"], "dear diary", 1, "no URL in it"),
        (&["-"], "\u{1b}[31m{", 1, "standard input: "),
    ] {
        let ended = run(arguments, input.as_bytes());
        assert_eq!(ended.code, code, "{arguments:?}: {}", ended.err);
        assert!(ended.err.contains(expected), "{arguments:?}: {}", ended.err);
        assert!(ended.out.is_empty() && !ended.err.contains('\u{1b}'), "{arguments:?}");
    }
}

#[test]
fn over_the_budget_the_table_is_shown_and_the_exit_code_says_so() {
    let paths: String = (0..60).map(|n| format!("  /r{n}: {{get: {{}}}}\n")).collect();
    let text = format!("openapi: 3.0.0\npaths:\n{paths}");
    let ended = run(&["-"], text.as_bytes());
    assert_eq!(ended.code, 1);
    assert!(ended.out.contains("template: /r59}") && ended.err.contains("give --set-budget"), "{}", ended.err);
    let ended = run(&["-", "--set-budget"], text.as_bytes());
    assert_eq!(ended.code, 0);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("c.yaml"), &ended.out).unwrap();
    let check = Command::new(env!("CARGO_BIN_EXE_edge-observer"))
        .arg("check")
        .arg(folder.path().join("c.yaml"))
        .output()
        .unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
}

#[test]
fn a_description_is_read_from_a_url_with_its_parts() {
    let ok = |text: &str| ("200 OK", text.to_owned());
    let base = serve(HashMap::from([
        ("/docs/openapi.yaml", ok(DESCRIPTION)),
        ("/docs/parts/b.yaml", ok(PART)),
        ("/moved", ("302 Found\r\nLocation: /docs/openapi.yaml", String::new())),
        ("/loop", ("302 Found\r\nLocation: /loop", String::new())),
        ("/page", ok("<!doctype html>")),
        ("/far", ok("paths: {/a: {$ref: 'http://127.0.0.2/x.yaml'}, /b: {get: {}}}")),
    ]));
    for path in ["/docs/openapi.yaml", "/moved"] {
        let ended = run(&[&format!("{base}{path}")], b"");
        assert_eq!(ended.code, 0, "{path}: {}", ended.err);
        for template in ["/docs/v1/a", "/docs/v1/b"] {
            assert!(ended.out.contains(&format!("template: {template},")), "{path}: {}", ended.out);
        }
    }
    let ended = run(&[&format!("{base}/far")], b"");
    assert!(ended.code == 0 && ended.err.contains("is on another host"), "{}", ended.err);
    for (path, expected) in [
        ("/none", "the server answered 404 Not Found; check the address"),
        ("/loop", "more than 5 redirects"),
        ("/page", "this is a web page"),
    ] {
        let ended = run(&[&format!("{base}{path}")], b"");
        assert_eq!(ended.code, 1, "{path}: {}", ended.err);
        assert!(ended.err.contains(expected), "{path}: {}", ended.err);
    }
    let secret = base.replace("http://", "http://me:hunter2@");
    let ended = run(&[&format!("{secret}/none")], b"");
    assert!(ended.code == 1 && !ended.err.contains("hunter2"), "{}", ended.err);
}

#[test]
fn a_server_that_is_not_there_is_an_error_with_the_address() {
    // A port that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ended = run(&[&format!("http://{address}/x")], b"");
    assert_eq!(ended.code, 1, "{}", ended.err);
    assert!(ended.err.contains(&format!("http://{address}/x: ")), "{}", ended.err);
}

#[test]
fn a_configuration_is_merged_into_and_a_dry_run_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.yaml");
    let by_hand = "# mine\nroutes:\n  table:\n    - {template: /a}   # by hand\n";
    std::fs::write(&file, by_hand).unwrap();
    let description = folder.path().join("openapi.yaml");
    std::fs::write(&description, DESCRIPTION.replace("./v1", "/")).unwrap();
    std::fs::create_dir(folder.path().join("parts")).unwrap();
    std::fs::write(folder.path().join("parts/b.yaml"), PART).unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let ended = run(&[&text(&description), "--into", &text(&file), "--dry-run"], b"");
    assert_eq!((ended.code, ended.out.as_str()), (0, ""), "{}", ended.err);
    assert!(ended.err.contains("dry run: 1 route would be written"), "{}", ended.err);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), by_hand);
    let ended = run(&[&text(&description), "--into", &text(&file)], b"");
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.err.contains("`/a` is there by hand"), "{}", ended.err);
    let merged = std::fs::read_to_string(&file).unwrap();
    assert!(merged.starts_with(by_hand) && merged.contains("template: /b, name: b}"), "{merged}");
}
