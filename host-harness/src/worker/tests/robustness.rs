//! A module that means harm, or that the host cannot run, ends in an error and nothing else.

use std::time::Duration;

use crate::test::Request;
use crate::testing::A::{N, S};
use crate::testing::Probe;
use crate::{Limits, LogSink, Module, PluginConfig, Role, Shared, SharedOptions, StreamFacts, Worker};

/// Starts a host and sends two requests: both get an answer, whatever the module does. Returns why the VM failed.
#[track_caller]
fn survives(probe: &Probe) -> Option<String> {
    let mut host = probe.host().start().unwrap();
    for _ in 0..2 {
        assert!(host.exchange(Request::post("/", "body")).status().is_some());
    }
    host.tick();
    host.shutdown();
    host.worker(0).failed().map(str::to_owned)
}

#[test]
fn an_endless_loop_runs_out_of_fuel() {
    let failure = survives(&Probe::default().wat("proxy_on_request_headers", "(loop (br 0))")).unwrap();
    assert!(failure.contains("all fuel consumed"), "{failure}");
}

#[test]
fn an_endless_loop_meets_its_deadline() {
    let limits = Limits { deadline: Some(Duration::from_millis(20)), ..Limits::default() };
    let shared = Shared::new(SharedOptions { limits, log: LogSink::Discard, ..SharedOptions::default() });
    let probe = Probe::default().wat("proxy_on_request_headers", "(loop (br 0))");
    let module = Module::from_bytes(probe.text()).unwrap();
    let mut worker = Worker::start(&module, &PluginConfig::default(), &shared, Role::Worker(0)).unwrap();
    let stream = worker.open_stream(StreamFacts::default());
    worker.request_headers(stream, crate::HeaderMap::new(), true);
    assert!(worker.failed().unwrap().contains("interrupt"), "{:?}", worker.failed());
}

#[test]
fn endless_recursion_overflows_its_own_stack() {
    let probe = Probe::default()
        .fields("(func $deep (param i32) (result i32) (i32.add (call $deep (local.get 0)) (i32.const 1)))")
        .wat("proxy_on_request_headers", "(drop (call $deep (i32.const 1)))");
    let failure = survives(&probe).unwrap();
    assert!(failure.contains("call stack exhausted"), "{failure}");
}

#[test]
fn an_allocator_that_asks_for_bytes_does_not_recurse() {
    let probe =
        Probe::default().on("proxy_on_request_headers", &[("proxy_get_header_map_pairs", &[N(0), N(0), N(4)])]).fields(
            "(func (export \"proxy_on_memory_allocate\") (param i32) (result i32)
               (drop (call $env.proxy_get_header_map_pairs (i32.const 0) (i32.const 0) (i32.const 4)))
               (i32.const 1024))",
        );
    assert_eq!(survives(&probe), None);
}

#[test]
fn memory_stops_growing_at_the_limit() {
    let probe = Probe::default()
        .wat("proxy_on_request_headers", "(loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))");
    let mut host = probe.host().memory_limit(4 << 20).start().unwrap();
    assert_eq!(host.exchange(Request::get("/")).status(), Some(200));
    assert!(host.worker(0).memory_size() <= 4 << 20);
}

#[test]
fn huge_lengths_and_counts() {
    let probe = Probe::default()
        .on(
            "proxy_on_request_headers",
            &[
                ("proxy_log", &[N(2), N(0), N(-1)]),
                ("proxy_set_header_map_pairs", &[N(0), S("\u{7f}\u{7f}\u{7f}\u{7f}")]),
                (
                    "proxy_set_header_map_pairs",
                    &[N(0), S("\u{1}\0\0\0\u{7f}\u{7f}\u{7f}\u{7f}\u{7f}\u{7f}\u{7f}\u{7f}")],
                ),
                ("proxy_set_tick_period_milliseconds", &[N(-1)]),
                ("proxy_set_effective_context", &[N(-1)]),
                ("proxy_get_buffer_bytes", &[N(6), N(-1), N(-1), N(0), N(4)]),
                ("wasi_snapshot_preview1.fd_write", &[N(1), N(0), N(-1), N(0)]),
            ],
        )
        .on("proxy_on_request_body", &[("proxy_set_buffer_bytes", &[N(0), N(-1), N(-1), S("x")])]);
    assert_eq!(survives(&probe), None);
}

#[test]
fn headers_added_without_end_stop_growing() {
    let probe = Probe::default()
        .on("proxy_on_request_headers", &[("proxy_add_header_map_value", &[N(0), S("a"), S("b")])])
        .wat(
            "proxy_on_request_headers",
            "(loop (br_if 0 (i32.eqz (call $env.proxy_add_header_map_value
            (i32.const 0) (i32.const 0) (i32.const 1000) (i32.const 0) (i32.const 100000)))))",
        );
    let mut host = probe.host().fuel_per_callback(Some(20_000_000)).trace(false).start().unwrap();
    host.exchange(Request::get("/"));
    let failure = host.worker(0).failed().unwrap();
    assert!(failure.contains("fuel is spent on hostcalls"), "{failure}");
}

#[test]
fn an_allocator_that_answers_nonsense() {
    for pointer in ["0", "-1", "131071"] {
        let probe = Probe::default()
            .on("proxy_on_request_headers", &[("proxy_get_header_map_pairs", &[N(0), N(0), N(4)])])
            .fields(&format!(
                "(func (export \"proxy_on_memory_allocate\") (param i32) (result i32) (i32.const {pointer}))"
            ));
        let mut host = probe.host().start().unwrap();
        host.exchange(Request::get("/"));
        crate::testing::check(&host, &["InvalidMemoryAccess"]);
    }
}

#[test]
fn malloc_comes_before_the_abis_allocator() {
    let mut host = Probe::default()
        .on("proxy_on_request_headers", &[("proxy_get_header_map_value", &[N(0), S(":path"), N(0), N(4)])])
        .fields(
            "(func (export \"malloc\") (param i32) (result i32) (i32.const 512))
             (func (export \"proxy_on_memory_allocate\") (param i32) (result i32) (unreachable))",
        )
        .host()
        .start()
        .unwrap();
    host.exchange(Request::get("/"));
    crate::testing::check(&host, &["Ok, value=\"/\""]);
}

#[test]
fn imports_that_are_not_there_are_named_at_load() {
    let probe = Probe::default().on("proxy_on_tick", &[("proxy_fly", &[N(1)]), ("other.thing", &[])]);
    let error = probe.host().start().unwrap_err().to_string();
    assert_eq!(error, "the host does not provide what the module imports: env.proxy_fly, other.thing");
    let probe =
        Probe::default().abi("proxy_abi_version_0_2_0").on("proxy_on_tick", &[("proxy_get_log_level", &[N(0)])]);
    let error = probe.host().start().unwrap_err().to_string();
    assert_eq!(error, "the host does not provide what the module imports: env.proxy_get_log_level");
}

#[test]
fn modules_that_cannot_be_loaded() {
    let cases = [
        ("(module)", "missing or unknown proxy-wasm ABI version"),
        ("(module (func (export \"proxy_abi_version_0_3_0\")))", "it exports proxy_abi_version_0_3_0"),
        ("(module (func (export \"proxy_abi_version_0_2_1\")))", "the module exports no memory"),
        ("(modul", "not a valid module"),
        (
            "(module (memory (export \"memory\") 1) (func (export \"proxy_abi_version_0_2_1\")) (func (export \"proxy_on_log\")))",
            "export proxy_on_log has a wrong signature",
        ),
        (
            "(module (memory (export \"memory\") 1) (func (export \"proxy_abi_version_0_2_1\"))
               (func (export \"_initialize\") unreachable))",
            "unreachable",
        ),
    ];
    for (text, expected) in cases {
        let error = crate::test::Host::builder().module_bytes(text).start().unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    assert!(Module::from_bytes(*b"\0asm nonsense").is_err());
    assert!(Module::from_file("/nowhere.wasm").unwrap_err().to_string().starts_with("cannot read /nowhere.wasm: "));
}
