//! The `host-harness` command: what it says, and with which status it ends.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/serve/counting.wat");

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_host-harness"));
    command.arg("serve").args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
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
    let (code, text) = run(&["--module", MODULE, "--upstream", "127.0.0.1:80"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("`127.0.0.1:80` is not an upstream"), "{text}");

    let mut arguments = vec!["--module", "/nowhere.wasm"];
    arguments.extend(HERE);
    let (code, text) = run(&arguments);
    assert_eq!(code, Some(2), "{text}");
    assert_eq!(text.matches("/nowhere.wasm").count(), 1, "{text}");
    assert_eq!(text.matches("No such file").count(), 1, "{text}");

    let mut arguments = vec!["--module", MODULE, "--stats-config", MODULE];
    arguments.extend(HERE);
    let (code, text) = run(&arguments);
    assert_eq!(code, Some(2), "{text}");
}

#[test]
fn a_start_that_fails_ends_with_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, text) =
        run(&["--module", MODULE, "--listen", &address, "--admin", "127.0.0.1:0", "--upstream", "http://127.0.0.1:1"]);
    assert_eq!(code, Some(1), "{text}");
    let wanted = format!("host-harness: cannot listen on {address}: Address already in use (os error 98)\n");
    assert!(text.ends_with(&wanted), "{text}");
}

#[test]
fn an_interrupt_ends_it_with_0() {
    let mut arguments = vec!["--module", MODULE];
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
