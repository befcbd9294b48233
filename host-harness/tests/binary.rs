//! The `host-harness` command: what it says, and with which status it ends.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/serve/counting.wat");

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_host-harness"));
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env_remove("RUST_LOG");
    // Not the user's own.
    command.env("HOST_HARNESS_CACHE", concat!(env!("CARGO_TARGET_TMPDIR"), "/cache"));
    command
}

fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = command(arguments).output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

const HERE: [&str; 6] = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--upstream", "http://127.0.0.1:1"];

/// Ends the command when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_wrong_call_ends_with_2() {
    let (code, text) = run(&["serve", "--module", MODULE, "--upstream", "127.0.0.1:80"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("`127.0.0.1:80` is not an upstream"), "{text}");

    let (code, text) = run(&["serve", "--module", MODULE, "--upstream", "tcp://127.0.0.1"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("it has no port; write it as tcp://HOST:PORT"), "{text}");

    let mut arguments = vec!["serve", "--module", "/nowhere.wasm"];
    arguments.extend(HERE);
    let (code, text) = run(&arguments);
    assert_eq!(code, Some(2), "{text}");
    assert_eq!(text.matches("/nowhere.wasm").count(), 1, "{text}");
    assert_eq!(text.matches("No such file").count(), 1, "{text}");

    let mut arguments = vec!["serve", "--module", MODULE, "--stats-config", MODULE];
    arguments.extend(HERE);
    let (code, text) = run(&arguments);
    assert_eq!(code, Some(2), "{text}");
}

#[test]
fn a_start_that_fails_ends_with_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, text) = run(&[
        "serve",
        "--module",
        MODULE,
        "--listen",
        &address,
        "--admin",
        "127.0.0.1:0",
        "--upstream",
        "http://127.0.0.1:1",
    ]);
    assert_eq!(code, Some(1), "{text}");
    let wanted = format!("host-harness: cannot listen on {address}: Address already in use (os error 98)\n");
    assert!(text.ends_with(&wanted), "{text}");
}

#[test]
fn an_interrupt_ends_it_with_0() {
    let mut arguments = vec!["serve", "--module", MODULE];
    arguments.extend(HERE);
    let mut running = Running(command(&arguments).spawn().unwrap());
    let mut lines = BufReader::new(running.0.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("admin on http://") {
        line.clear();
        assert_ne!(lines.read_line(&mut line).unwrap(), 0, "it ended");
    }
    let signalled = Command::new("kill").args(["-INT", &running.0.id().to_string()]).status().unwrap();
    assert!(signalled.success());
    let deadline = Instant::now() + Duration::from_secs(10);
    let status = loop {
        if let Some(status) = running.0.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "it did not end");
        std::thread::sleep(Duration::from_millis(10));
    };
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert_eq!(status.code(), Some(0), "{rest}");
    assert!(rest.contains("draining"), "{rest}");
}

#[test]
fn inspect_says_what_a_module_is_and_whether_it_would_load() {
    let inspect = |arguments: &[&str]| {
        let Output { status, stdout, stderr } = command(&[&["inspect"], arguments].concat()).output().unwrap();
        (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
    };
    let (code, text) = inspect(&[MODULE]);
    assert_eq!(code, Some(0), "{text}");
    for line in ["ABI           0.2.1", "memory        128 KiB at the start, no maximum", "refused       no"] {
        assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
    }
    let (code, text) = inspect(&["--json", MODULE]);
    assert_eq!(code, Some(0), "{text}");
    let found: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&found["start"], &found["refusals"]), (&serde_json::json!("_initialize"), &serde_json::json!([])));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.wat");
    std::fs::write(&path, "(module (memory (export \"memory\") 1))").unwrap();
    let (code, text) = inspect(&[path.to_str().unwrap()]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("refused       missing or unknown proxy-wasm ABI version"), "{text}");
    let (code, text) = inspect(&["/nowhere.wasm"]);
    assert_eq!((code, text.matches("/nowhere.wasm").count()), (Some(2), 1), "{text}");
}

/// The files in a folder and below.
fn files(folder: &std::path::Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries.map(|entry| entry.unwrap().path()).map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

#[test]
fn compiled_modules_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let inspect = |arguments: &[&str], variable: &str| {
        let mut command = command(&[&["inspect", MODULE], arguments].concat());
        command.env("HOST_HARNESS_CACHE", variable).env("XDG_CACHE_HOME", folder.path().join("user"));
        command
    };
    let well = |mut command: Command| {
        let Output { status, stderr, .. } = command.output().unwrap();
        let text = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(0), "{text}");
        text
    };
    let named = cache.to_str().unwrap();
    assert_eq!(well(inspect(&["--no-cache"], named)), "");
    assert_eq!(files(folder.path()), 0);
    // Several at a time.
    let many: Vec<Child> = (0..4).map(|_| inspect(&["--cache", named], "/nowhere").spawn().unwrap()).collect();
    for one in many {
        assert_eq!(one.wait_with_output().unwrap().status.code(), Some(0));
    }
    let kept = files(&cache);
    assert!(kept > 0);
    assert_eq!(well(inspect(&[], named)), "");
    assert_eq!(well(inspect(&[], "")), "");
    assert!(files(&folder.path().join("user/host-harness")) > 0);

    // Where nothing can be kept, that is told, and nothing else comes of it.
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let text = well(inspect(&["--cache", file.to_str().unwrap()], named));
    let wanted = format!("host-harness: compiled modules are not kept: cannot write to {}: ", file.display());
    assert!(text.starts_with(&wanted) && text.lines().count() == 1, "{text}");
    let (code, text) = run(&["inspect", MODULE, "--cache", named, "--no-cache"]);
    assert_eq!(code, Some(2), "{text}");
}

#[test]
fn run_sends_a_recording_through_a_module() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let log = file(
        "access.log",
        "192.0.2.7 - - [17/May/2015:10:05:03 +0000] \"GET /a HTTP/1.1\" 200 5\n\
         192.0.2.7 - - [17/May/2015:10:05:04 +0000] \"GET /b HTTP/1.1\" 404 5\nnonsense\n",
    );
    let metrics = folder.path().join("edge.prom");
    let run = |arguments: &[&str]| {
        let Output { status, stdout, stderr } = command(&[&["run"], arguments].concat()).output().unwrap();
        (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
    };
    let (code, text) = run(&[&log, "--module", MODULE, "--metrics", metrics.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{text}");
    for line in ["streams       2", "statuses      200          1", "skipped       1 not an access log line"] {
        assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
    }
    let exposed = std::fs::read_to_string(&metrics).unwrap();
    assert!(exposed.contains("\nlogged{} 2\n"), "{exposed}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing but the log and the metrics");

    let (code, text) = run(&[&log, "--module", MODULE, "--json"]);
    assert_eq!(code, Some(0), "{text}");
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["metrics"]["logged"], serde_json::json!({ "counter": 2 }));
    assert_eq!(report["statuses"], serde_json::json!({ "200": 1, "404": 1 }));

    let trap = file(
        "trap.wat",
        "(module (memory (export \"memory\") 1) (func (export \"proxy_abi_version_0_2_1\"))
           (func (export \"proxy_on_log\") (param i32) unreachable))",
    );
    let (code, text) = run(&[&log, "--module", &trap]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("failure       proxy_on_log failed"), "{text}");

    for (arguments, wanted) in [
        (["/nowhere.log", "--module", MODULE], "cannot read /nowhere.log"),
        ([&file("x.har", "{\"log\": 1}"), "--module", MODULE], "it is no HAR file"),
        ([&log, "--module", "/nowhere.wasm"], "cannot read /nowhere.wasm"),
        ([&log, "--module", &log], "not a valid module"),
    ] {
        let (code, text) = run(&arguments);
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
}

#[test]
fn bench_prints_its_ratios() {
    let Output { status, stdout, stderr } =
        command(&["bench", "--rounds", "1", "--streams", "20", "--json"]).output().unwrap();
    assert_eq!(status.code(), Some(0), "{}", String::from_utf8_lossy(&stderr));
    let figures: serde_json::Value = serde_json::from_slice(&stdout).unwrap();
    assert_eq!(figures["hosts"].as_array().unwrap().len(), 6);
    assert!(figures["hosts"][2]["of_minimal"].as_f64().unwrap() > 0.0);
    assert!(figures["fresh_vm_us"].as_f64().unwrap() > 0.0);
}

const DOING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/doing.wat");

/// Runs `test` on a suite of this text; status, standard output and error.
fn test(text: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("suite.yaml");
    std::fs::write(&path, text).unwrap();
    let arguments = [&["test", path.to_str().unwrap(), "--module", DOING], arguments].concat();
    let Output { status, stdout, stderr } = command(&arguments).output().unwrap();
    let folder = folder.path().display().to_string();
    let text = |bytes| String::from_utf8(bytes).unwrap().replace(&folder, "");
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn test_says_what_passed_and_what_did_not() {
    let suite = "
cases:
- {name: it passes, request: /, expect: {response: 200}}
- {name: it fails, request: {headers: {x-do: deny}}, expect: {response: {status: 200, body: \"a\\e[31m\"}}}
- {name: it waits, skip: not yet}
";
    let (code, out, err) = test(suite, &[]);
    assert_eq!(code, Some(1), "{out}{err}");
    for part in [
        "/suite.yaml\n  ok       it passes  ",
        "\n  FAILED   it fails   ",
        "\n      cases[1].expect.response.status\n        expected 200\n        found    403\n",
        "\n        expected \"a\\u{1b}[31m\"\n        found    \"denied\"\n      trace\n        canary",
        "\n  skipped  it waits   not yet\n\n1 passed, 1 failed, 1 skipped; 5 expectations in ",
    ] {
        assert!(out.contains(part), "{part:?} is not in\n{out}");
    }
    let (code, out, err) = test(suite, &["--filter", "passes", "--json"]);
    assert_eq!(code, Some(0), "{out}{err}");
    let found: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(found[0]["cases"][0]["outcome"], serde_json::json!({"is": "passed"}));
}

#[test]
fn test_writes_what_ci_systems_read() {
    let suite = "
name: <suite> & co
cases:
- {name: 'it <passes>', request: /}
- {name: it fails, request: {headers: {x-do: deny}}, expect: {response: {body: \"]]>\\0\\u0007\\uffff\\e[31m<a>\"}}}
- {name: it waits, skip: not yet}
";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("junit.xml");
    let (code, out, err) = test(suite, &["--junit", path.to_str().unwrap()]);
    assert_eq!(code, Some(1), "{out}{err}");
    let text = std::fs::read_to_string(&path).unwrap();
    let report = quick_junit::Report::deserialize_from_str(&text).unwrap();
    assert_eq!((report.tests, report.failures, report.errors), (3, 1, 0));
    let suite = &report.test_suites[0];
    assert_eq!((suite.name.as_str(), suite.tests, suite.failures), ("<suite> & co", 3, 1));
    let skipped = &suite.test_cases[2].status;
    assert!(
        matches!(skipped, quick_junit::TestCaseStatus::Skipped { message: Some(why), .. } if why.as_str() == "not yet")
    );
    let cases: Vec<&str> = suite.test_cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(cases, ["it <passes>", "it fails", "it waits"]);
    let quick_junit::TestCaseStatus::NonSuccess { message: Some(message), .. } = &suite.test_cases[1].status else {
        panic!("{:?}", suite.test_cases[1].status);
    };
    assert_eq!(
        message.as_str(),
        "cases[1].expect.response.body: expected \"]]>\\u{0}\\u{7}\u{fffd}\\u{1b}[31m<a>\", found \"denied\""
    );
    assert!(suite.test_cases[1].system_out.as_ref().unwrap().as_str().contains("proxy_send_local_response"), "{text}");
}

#[test]
fn test_ends_with_2_where_a_suite_cannot_be_read() {
    let (code, out, err) = test("cases: [{name: one, expec: {}}, {request: 5}]", &[]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert_eq!(
        err,
        "host-harness: /suite.yaml: cases[0].expec: unknown field; did you mean `expect`?\n\
         /suite.yaml: cases[1].name: missing; add a name\n\
         /suite.yaml: cases[1].request: found 5; use a method and a path, like `GET /`, or a mapping\n"
    );
    let (code, out, err) = test("cases: [{name: one}]", &["--filter", "two"]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert_eq!(err, "host-harness: no case has a name that matches `two`\n");
    let (code, out, err) = test("cases: [{name: one}]", &["--against", "envoy", "--envoy", "/nowhere"]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert_eq!(err, "host-harness: there is no Envoy at /nowhere\n");
}

/// A signal to `test` while an Envoy starts that never will.
#[test]
fn a_signal_leaves_no_envoy_behind() {
    use std::os::unix::fs::PermissionsExt as _;

    let suite = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/counting.yaml");
    let folder = tempfile::tempdir().unwrap();
    let (envoy, told) = (folder.path().join("envoy"), folder.path().join("pid"));
    std::fs::write(&envoy, format!("#!/bin/sh\necho $$ >> {}\nexec sleep 1000\n", told.display())).unwrap();
    std::fs::set_permissions(&envoy, std::fs::Permissions::from_mode(0o755)).unwrap();
    for (signal, status) in [("-TERM", 143), ("-INT", 130)] {
        let _ = std::fs::remove_file(&told);
        let arguments = ["test", suite, "--against", "envoy", "--jobs", "2", "--envoy", envoy.to_str().unwrap()];
        let mut running = Running(command(&arguments).env("TMPDIR", folder.path()).spawn().unwrap());
        let deadline = Instant::now() + Duration::from_secs(20);
        let envoys = loop {
            let text = std::fs::read_to_string(&told).unwrap_or_default();
            if text.lines().count() == 2 && text.ends_with('\n') {
                break text;
            }
            assert!(Instant::now() < deadline, "no Envoy was started");
            std::thread::sleep(Duration::from_millis(10));
        };
        let signalled = Command::new("kill").args([signal, &running.0.id().to_string()]).status().unwrap();
        assert!(signalled.success());
        let ended = loop {
            if let Some(ended) = running.0.try_wait().unwrap() {
                break ended;
            }
            assert!(Instant::now() < deadline, "it did not end");
            std::thread::sleep(Duration::from_millis(10));
        };
        assert_eq!(ended.code(), Some(status));
        for envoy in envoys.lines() {
            let lives = std::path::Path::new("/proc").join(envoy).exists();
            assert!(!lives, "{envoy} is left behind by {signal}");
        }
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "{left:?}");
    }
}

/// The specification's way is asked for in a suite or beside it; Envoy has only its own.
#[test]
fn test_takes_whose_behaviour_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("records.wat"),
        r#"(module
            (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
            (import "env" "proxy_record_metric" (func $record (param i32 i64) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "c")
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
                (drop (call $define (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
                (drop (call $record (i32.load (i32.const 8)) (i64.const 5)))
                (drop (call $record (i32.load (i32.const 8)) (i64.const 3)))
                (i32.const 0)))"#,
    )
    .unwrap();
    let path = folder.path().join("suite.yaml");
    let run = |said: &str, value: u32, arguments: &[&str]| {
        let case = format!("{{name: one, request: /, expect: {{metrics: {{c: {value}}}}}}}");
        std::fs::write(&path, format!("module: records.wat\n{said}\ncases: [{case}]\n")).unwrap();
        let Output { status, stdout, stderr } =
            command(&[&["test", path.to_str().unwrap()], arguments].concat()).output().unwrap();
        (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
    };
    let spec = ["--conformance", "spec"];
    for (said, value, arguments) in
        [("", 8, &[][..]), ("", 3, &spec), ("conformance: spec", 3, &[]), ("conformance: envoy", 8, &spec)]
    {
        let (code, text) = run(said, value, arguments);
        assert_eq!(code, Some(0), "{said} {arguments:?}: {text}");
    }
    // Any file stands for Envoy here, which is not started.
    let against = ["--against", "envoy", "--envoy", MODULE];
    let (code, text) = run("", 3, &[spec.as_slice(), &against].concat());
    assert!(code == Some(2) && text.contains("Envoy does as Envoy does"), "{text}");
    let (code, text) = run("conformance: spec", 3, &against);
    assert!(code == Some(0) && text.contains("Envoy does not do as the specification says"), "{text}");
}

#[test]
fn an_envoy_that_is_not_there_is_told() {
    let suite = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/counting.yaml");
    for (variable, wanted) in [
        ("", "there is no `envoy` in the path; name it by `--envoy` or the variable ENVOY_BIN"),
        ("/nowhere/envoy", "there is no Envoy at /nowhere/envoy"),
    ] {
        let mut command = command(&["test", suite, "--against", "envoy"]);
        let Output { status, stderr, .. } = command.env("ENVOY_BIN", variable).env("PATH", "").output().unwrap();
        let text = String::from_utf8(stderr).unwrap();
        assert_eq!((status.code(), text.contains(wanted)), (Some(2), true), "{text}");
    }
}
