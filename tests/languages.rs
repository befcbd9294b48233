//! Filters in other languages, from their published packages, in the embedded host and in real Envoy. Rust's SDK is in `bench/sdk-filters`.

use std::path::{Path, PathBuf};
use std::process::Command;

use edge_observer::tools::{skip_test, target_dir};
use host_harness::suite::{self, Against, Outcome, RunOptions, Suite};

use crate::support::proxy::envoy_binary;

#[test]
fn assemblyscript() {
    let packages = tools().join("assemblyscript");
    let compiler = packages.join("node_modules/.bin/asc");
    if !compiler.exists() {
        return skip_test(&"the AssemblyScript compiler is not there; `cargo xtask test` installs it");
    }
    let (folder, wasm) = (tempfile::tempdir().unwrap(), "filter.wasm");
    // It finds packages beside the source.
    std::os::unix::fs::symlink(packages.join("node_modules"), folder.path().join("node_modules")).unwrap();
    std::fs::copy(here().join("assemblyscript/index.ts"), folder.path().join("index.ts")).unwrap();
    let mut compile = Command::new(compiler);
    compile.args(["index.ts", "--use", "abort=abort_proc_exit", "--optimize", "--binaryFile", wasm]);
    check(compile.current_dir(folder.path()), &folder.path().join(wasm));
}

#[test]
fn go() {
    let compiler = tools().join("go/go/bin/go");
    if !compiler.exists() {
        return skip_test(&"the Go compiler is not there; `cargo xtask test` installs it");
    }
    let folder = tempfile::tempdir().unwrap();
    let wasm = folder.path().join("filter.wasm");
    let mut compile = Command::new(compiler);
    compile
        .args(["build", "-buildmode=c-shared", "-o"])
        .arg(&wasm)
        .current_dir(here().join("go"))
        .envs([("GOOS", "wasip1"), ("GOARCH", "wasm"), ("GOTOOLCHAIN", "local"), ("GOFLAGS", "-mod=mod")])
        .env("GOCACHE", tools().join("go-cache"))
        .env("GOPATH", tools().join("go-path"));
    check(&mut compile, &wasm);
}

/// A filter that others have made with the Go SDK and published, but for the name of its ABI, which a fork of the SDK has changed from 0.2.0: no Envoy
/// but the fork's own loads `proxy_abi_version_0_2_100`.
#[test]
fn go_sdk() {
    let published = tools().join("go-sdk/gpustack_higress_plugins/plugins/transformer/2.0.0/plugin.wasm");
    if !published.exists() {
        return skip_test(&"the filter made with the Go SDK is not there; `cargo xtask test` installs it");
    }
    let mut module = walrus::Module::from_file(published).unwrap();
    let marker = module.exports.iter_mut().find(|export| export.name == "proxy_abi_version_0_2_100").unwrap();
    marker.name = "proxy_abi_version_0_2_0".to_owned();
    let folder = tempfile::tempdir().unwrap();
    let wasm = folder.path().join("filter.wasm");
    module.emit_wasm_file(&wasm).unwrap();
    run("go-sdk.yaml", &wasm);
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("languages")
}

fn tools() -> PathBuf {
    target_dir().join("edge-observer/tools")
}

/// Compiles the filter, and runs the suite with it in both hosts.
#[track_caller]
fn check(compile: &mut Command, wasm: &Path) {
    let output = compile.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    run("suite.yaml", wasm);
}

/// Runs a suite with a filter in both hosts.
#[track_caller]
fn run(suite: &str, wasm: &Path) {
    let suite = Suite::read(&here().join(suite), Some(wasm)).unwrap_or_else(|error| panic!("{error}"));
    for against in [Some(Against::Harness), envoy_binary().map(Against::Envoy)].into_iter().flatten() {
        let options = RunOptions { against, ..RunOptions::default() };
        for case in
            suite::run(std::slice::from_ref(&suite), &options, |_, _| ()).iter().flat_map(|report| &report.cases)
        {
            assert_eq!(case.outcome, Outcome::Passed, "{}: {:#?}\n{}", case.name, case.failures, case.trace);
        }
    }
}
