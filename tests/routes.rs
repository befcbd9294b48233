//! The router itself, natively and in Wasm: what a match costs, and that all forms of it and a slow matcher agree.

mod agreement;
mod cost;
mod github;
mod memory;
mod reference;
mod slow_matcher;

use std::path::PathBuf;
use std::sync::OnceLock;

use routes_bench::host::WasmModule;

/// The router's measure for Wasm, as the compiler makes it. Builds it first, once in a test run, so that it is never stale.
fn wasm() -> Vec<u8> {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let path = PATH.get_or_init(|| {
        let output = std::process::Command::new(env!("CARGO"))
            .args(["run", "--quiet", "--package", "xtask", "--", "bench", "routes", "--build-only"])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "`cargo xtask bench routes --build-only` failed:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
    });
    std::fs::read(path).unwrap()
}

/// The same, compiled to count fuel.
fn metered() -> WasmModule {
    static MODULE: OnceLock<WasmModule> = OnceLock::new();
    MODULE.get_or_init(|| WasmModule::new(&wasm(), true).unwrap()).clone()
}

/// The same without a meter.
fn module() -> WasmModule {
    static MODULE: OnceLock<WasmModule> = OnceLock::new();
    MODULE.get_or_init(|| WasmModule::new(&wasm(), false).unwrap()).clone()
}
