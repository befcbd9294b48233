//! The conformance probe in the embedded host and in real Envoy: the same cases, and what they logged side by side.

mod cases;
mod client;
mod differences;
mod envoy;
mod grpc;
mod harness;
mod http1;
mod log;
mod tcp;
mod transcript;
mod upstreams;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use edge_observer::tools::target_dir;
use host_harness::Module;

use crate::support::golden;
use crate::support::proxy::envoy_binary;

use cases::Group;
use envoy::Envoy;
use harness::Harness;
use log::Log;
use transcript::{Masks, Transcript, difference};
use upstreams::Upstreams;

/// How many proxies of either kind run at a time: they mostly wait.
const LANES: usize = 3;

/// A difference counts when it is seen twice: what a busy machine delays until it comes in another order is gone the second time.
#[test]
fn the_host_differs_from_envoy_as_written_down() {
    let Some(binary) = envoy_binary() else { return };
    let path = probe_path();
    let compare = || compare(&binary, &path);
    let first = std::thread::scope(|scope| scope.spawn(compare).join());
    match first {
        Ok(report) if golden::is(GOLDEN, &report) => {}
        first => {
            // Past the test's own output, which is not shown when the second comparison is as it should be.
            let mut stderr = std::io::stderr();
            let _ = writeln!(stderr, "conformance: the first comparison was another, so there is a second:");
            let _ = match first {
                Ok(report) => write!(stderr, "{}", golden::difference(GOLDEN, &report)),
                Err(_) => writeln!(stderr, "  it did not come to its end"),
            };
            golden::check(GOLDEN, &compare());
        }
    }
}

/// Where the differences are written down.
const GOLDEN: &str = "conformance.txt";

/// All cases in both, and how they differ.
fn compare(binary: &Path, path: &Path) -> String {
    let module = Module::from_file(path).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let upstreams = Upstreams::start();
    let groups = cases::groups();

    let in_envoy = |group: &Group| {
        let mut envoy = Envoy::start(binary, path, &upstreams, group);
        let log = envoy.log.clone();
        run(group, envoy.listen, &log, |case| envoy.assert_runs(case))
    };
    let in_host = |group: &Group| {
        let host = Harness::start(runtime.handle(), &module, &upstreams, group);
        let transcripts = run(group, host.listen, &host.log, |_| ());
        host.stop();
        transcripts
    };
    let tcp_groups = tcp::groups();
    let tcp_in_envoy = |group: &tcp::Group| {
        let server = tcp::Server::start(group);
        let mut envoy = Envoy::start_tcp(binary, path, &upstreams, group, server.address);
        let log = envoy.log.clone();
        tcp::run(group, &server, envoy.listen, &log, |case| envoy.assert_runs(case))
    };
    let tcp_in_host = |group: &tcp::Group| {
        let server = tcp::Server::start(group);
        let host = Harness::start_tcp(runtime.handle(), &module, &upstreams, group, server.address);
        let transcripts = tcp::run(group, &server, host.listen, &host.log, |_| ());
        host.stop();
        transcripts
    };
    let (envoy, host) = std::thread::scope(|scope| {
        let envoy = scope.spawn(|| [run_all(&groups, in_envoy), run_all(&tcp_groups, tcp_in_envoy)].concat());
        let host = scope.spawn(|| [run_all(&groups, in_host), run_all(&tcp_groups, tcp_in_host)].concat());
        (envoy.join().unwrap(), host.join().unwrap())
    });

    let masks = Masks::new();
    let mut hunks = Vec::new();
    for (envoy, host) in envoy.iter().zip(&host) {
        hunks.extend(difference(&masks, envoy, host).into_iter().map(|hunk| (envoy.case.clone(), hunk)));
    }
    differences::report(envoy.len(), &hunks)
}

/// The built probe. Builds it first, so that it is never stale.
fn probe_path() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--locked", "--package", "probe", "--target", "wasm32-wasip1", "--profile", "module"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .output()
        .unwrap();
    assert!(output.status.success(), "the probe does not build:\n{}", String::from_utf8_lossy(&output.stderr));
    target_dir().join("wasm32-wasip1/module/probe.wasm")
}

/// Runs all groups, several at a time. The transcripts come in the groups' order.
fn run_all<G: Sync>(groups: &[G], run: impl Fn(&G) -> Vec<Transcript> + Sync) -> Vec<Transcript> {
    let next = AtomicUsize::new(0);
    let results: Vec<_> = groups.iter().map(|_| Mutex::new(Vec::new())).collect();
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(group) = groups.get(at) else { return };
                    *results[at].lock().unwrap() = run(group);
                }
            });
        }
    });
    results.into_iter().flat_map(|transcripts| transcripts.into_inner().unwrap()).collect()
}

/// What a group's cases said; first what came before there was any stream.
fn run(group: &Group, proxy: SocketAddr, log: &Log, mut check: impl FnMut(&str)) -> Vec<Transcript> {
    let mut lines = log.take();
    client::send(proxy, &client::nothing_asked());
    lines.extend(log.take());
    // The worker is the thread that sees requests. The others run the configuration too.
    let first = lines.iter().position(|(_, line)| line.contains("on_request_headers(")).unwrap();
    let worker = lines[first].0.clone();
    lines.truncate(first);
    let mut transcripts = vec![Transcript { case: format!("({})", group.name), lines: of_worker(&worker, lines) }];
    for case in &group.cases {
        let answer = client::send(proxy, case);
        let mut lines = of_worker(&worker, log.take());
        lines.push(format!("client: {answer}"));
        check(&case.name);
        transcripts.push(Transcript { case: case.name.clone(), lines });
    }
    transcripts
}

/// Only the lines of this thread.
fn of_worker(worker: &str, lines: Vec<(String, String)>) -> Vec<String> {
    lines.into_iter().filter(|(thread, _)| thread == worker).map(|(_, line)| line).collect()
}
