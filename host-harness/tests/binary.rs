//! The `host-harness` command: what it says, and with which status it ends.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/serve/counting.wat");

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_host-harness"));
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env_remove("RUST_LOG");
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
