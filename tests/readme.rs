//! Every command in the README is run, as a newcomer would, but for free ports.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::proxy::{envoy_binary, module_path};
use crate::support::upstream::Upstream;

/// How a command of the README is run.
enum Run {
    /// To its end: exit code 0, and its output has these words.
    ToTheEnd(&'static [&'static str]),
    /// Until it serves; then it is asked for a page, interrupted, and must end with 0.
    UntilInterrupted,
    /// It is what runs this test.
    IsRunning,
}

const COMMANDS: [(&str, Run); 17] = [
    ("cargo xtask up", Run::UntilInterrupted),
    ("cargo xtask up --proxy envoy", Run::UntilInterrupted),
    ("cargo xtask up --upstream http://127.0.0.1:8000", Run::UntilInterrupted),
    ("cargo xtask up --requests 20000", Run::ToTheEnd(&["every one of 20,000 requests is accounted for"])),
    (
        "cargo xtask up --requests 20000 --proxy envoy",
        Run::ToTheEnd(&["every one of 20,000 requests is accounted for"]),
    ),
    ("cargo xtask test", Run::IsRunning),
    ("cargo xtask build", Run::ToTheEnd(&["SHA-256"])),
    ("cargo run -p edge-observer -- check envoy/plugin-config/eucora.yaml", Run::ToTheEnd(&["series"])),
    ("cargo run -p edge-observer -- check --schema", Run::ToTheEnd(&["$schema", "series_budget"])),
    ("cargo run -p edge-observer -- replay --access-log tests/data/access.log", Run::ToTheEnd(&["400"])),
    ("cargo run -p edge-observer -- replay --access-log tests/data/access.log --proxy envoy", Run::ToTheEnd(&["400"])),
    (
        "cargo run -p edge-observer -- replay --access-log tests/data/access.log --explain",
        Run::ToTheEnd(&["requests, rules are about"]),
    ),
    (
        "cargo run -p edge-observer -- routes import tests/data/django/spectacular.yaml --set-budget",
        Run::ToTheEnd(&["table:", "template: "]),
    ),
    (
        "cargo run -p edge-observer -- routes match envoy/plugin-config/eucora.yaml GET /api/v1/deployments/42/",
        Run::ToTheEnd(&["endpoint    /api/v1/deployments/{id}/"]),
    ),
    (
        "cargo run -p edge-observer -- routes try envoy/plugin-config/eucora.yaml --access-log tests/data/access.log",
        Run::ToTheEnd(&["covered 333 of 400"]),
    ),
    (
        "cargo run -p edge-observer -- routes budget envoy/plugin-config/eucora.yaml",
        Run::ToTheEnd(&["eucora_http_requests_total", "within the budget"]),
    ),
    ("cargo test", Run::IsRunning),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_in_the_readme_works() {
    module_path();
    // What has a time to begin to serve has been compiled before.
    to_the_end("cargo build -p edge-observer", &[]);
    let found = commands();
    for (command, _) in &COMMANDS {
        assert!(found.iter().any(|f| f == command), "`{command}` is not in the README any more");
    }
    for command in &found {
        let (_, run) = COMMANDS
            .iter()
            .find(|(known, _)| known == command)
            .unwrap_or_else(|| panic!("`{command}` is in the README, and no test runs it"));
        if command.contains("envoy") && !command.contains("envoy/") && envoy_binary().is_none() {
            continue;
        }
        match run {
            Run::IsRunning => {}
            Run::ToTheEnd(words) => to_the_end(command, words),
            Run::UntilInterrupted => {
                let upstream = Upstream::start().await;
                let command = command.replace("http://127.0.0.1:8000", &upstream.url());
                tokio::task::spawn_blocking(move || until_interrupted(&command)).await.unwrap();
            }
        }
    }
}

/// The commands of the README: lines of `sh` blocks, and inline code that begins with `cargo`.
fn commands() -> Vec<String> {
    let text = include_str!("../README.md");
    let mut out = Vec::new();
    let mut in_block = false;
    for line in text.lines() {
        if line.starts_with("```") {
            in_block = line == "```sh";
        } else if in_block {
            out.push(line.to_owned());
        } else {
            out.extend(line.split('`').skip(1).step_by(2).filter(|code| code.starts_with("cargo ")).map(str::to_owned));
        }
    }
    out.sort();
    out.dedup();
    out
}

fn command(text: &str) -> Command {
    let free_ports = if text.contains(" up") { " --listen 127.0.0.1:0 --admin 127.0.0.1:0" } else { "" };
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("exec {text}{free_ports}")).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    // What cargo says of this package to its tests; a build script that asks for these names would be run again, and its crate compiled again.
    for (name, _) in std::env::vars_os() {
        let bytes = name.as_encoded_bytes();
        if bytes.starts_with(b"CARGO_PKG_") || bytes.starts_with(b"CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}

fn to_the_end(text: &str, words: &[&str]) {
    let output = command(text).output().unwrap();
    let shown = format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "`{text}` ended with {}:\n{shown}", output.status);
    for word in words {
        assert!(shown.contains(word), "`{text}` does not say `{word}`:\n{shown}");
    }
}

/// Ends the child however the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn until_interrupted(text: &str) {
    let mut child = Running(command(text).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap());
    let stdout = child.0.stdout.take().unwrap();
    let (lines, incoming) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = lines.send(line);
        }
    });
    // It tells where it serves, with a `curl` line to try.
    let deadline = Instant::now() + Duration::from_secs(180);
    let mut said = Vec::new();
    let url = loop {
        let line = incoming
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            .unwrap_or_else(|e| panic!("`{text}` never said where it serves ({e}):\n{}", said.join("\n")));
        if let Some(url) = line.split_whitespace().find(|word| word.starts_with("http://") && word.contains("/api/v1/"))
        {
            break url.trim_matches(['\'', '"']).to_owned();
        }
        said.push(line);
    };
    let answer = Command::new("curl").args(["-sS", "-i", "--max-time", "20", &url]).output().unwrap();
    let answer = String::from_utf8_lossy(&answer.stdout).to_ascii_lowercase();
    assert!(answer.contains("x-correlation-id: "), "`{text}`: {url} answered:\n{answer}");

    let interrupted = Command::new("kill").args(["-INT", &child.0.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    let deadline = Instant::now() + Duration::from_secs(30);
    let status = loop {
        if let Some(status) = child.0.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "`{text}` does not end on SIGINT");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(status.success(), "`{text}` ended with {status} on SIGINT");
    let host = url.trim_start_matches("http://").split('/').next().unwrap().to_owned();
    assert!(std::net::TcpStream::connect(&host).is_err(), "something still listens at {host}");
}

#[test]
fn the_readme_shows_the_profile_that_ships() {
    let readme = include_str!("../README.md");
    let profile = edge_observer::envoy::profile_json();
    let config = telemetry::config::Config::from_json(profile.as_bytes()).unwrap();
    assert!(readme.contains(&format!("digest {},", config.digest())), "its digest is {}", config.digest());
}
