//! What a module may cost the host: fuel pays for the work of hostcalls, and what is kept has a bound.

use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::Conformance;
use crate::test::{Exchange, Host, HostBuilder, Reply, Request, Upstream};

/// The hostcalls that these modules make, by names of their own.
const IMPORTS: &str = r#"
    (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_get_header_map_value" (func $value (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_replace_header_map_value" (func $replace (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_get_property" (func $property (param i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_set_property" (func $set_property (param i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
    (import "env" "proxy_close_stream" (func $close (param i32) (result i32)))
    (import "env" "proxy_send_local_response" (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_set_shared_data" (func $share (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_get_shared_data" (func $shared (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_call_foreign_function" (func $foreign (param i32 i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_get_buffer_bytes" (func $buffer (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_set_tick_period_milliseconds" (func $tick (param i32) (result i32)))
    (import "env" "proxy_http_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_grpc_call" (func $grpc (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (func (export "proxy_abi_version_0_2_1"))"#;

/// Texts lie at 64 from 0 on, pairs of a request at 1024.
const DATA: &str = r#"
    (data (i32.const 0) "auth")
    (data (i32.const 64) "request\00headers")
    (data (i32.const 128) "uncompress")
    (data (i32.const 160) "expr_create")
    (data (i32.const 192) "expr_evaluate")
    (data (i32.const 1024) "\03\00\00\00\07\00\00\00\03\00\00\00\0a\00\00\00\04\00\00\00\05\00\00\00\01\00\00\00:method\00GET\00:authority\00auth\00:path\00/\00")"#;

/// A module with these callbacks.
fn module(allocated: &str, callbacks: &[(&str, &str, &str)]) -> HostBuilder {
    let mut text = format!(
        "(module {IMPORTS} (memory (export \"memory\") 40) {DATA}
            (func (export \"proxy_on_memory_allocate\") (param i32) (result i32) {allocated})"
    );
    for (name, signature, body) in callbacks {
        text += &format!("(func (export \"{name}\") {signature} (local $i i32) {body})");
    }
    text.push(')');
    Host::builder().module_bytes(text).trace(false)
}

const HEADERS: (&str, &str) = ("proxy_on_request_headers", "(param i32 i32 i32) (result i32)");

/// A host whose module does this at request headers, with little fuel.
fn at_headers(allocated: &str, body: &str) -> HostBuilder {
    module(allocated, &[(HEADERS.0, HEADERS.1, &format!("{body} (i32.const 0)"))]).fuel_per_callback(Some(20_000_000))
}

/// So many times, counting `$i` down.
fn times(times: u32, body: &str) -> String {
    format!(
        "(local.set $i (i32.const {times}))
         (loop {body} (br_if 0 (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))"
    )
}

/// What a stream costs whose module never comes to an end.
#[track_caller]
fn endless(builder: HostBuilder) -> Exchange {
    let mut host = builder.start().unwrap();
    let exchange = host.exchange(Request::get("/"));
    let failure = host.worker(0).failed().unwrap_or_default();
    assert!(failure.contains("fuel is spent on hostcalls"), "{failure}");
    exchange
}

const WITHIN: Duration = Duration::from_secs(5);

#[test]
fn to_ask_again_is_to_ask_once() {
    let reply = "(drop (call $reply (i32.const 403) (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
        (i32.const -1)))";
    let ask = times(100_000, "(drop (call $continue (i32.const 0))) (drop (call $close (i32.const 0)))");
    let log = format!("{ask} {}", times(100_000, reply));
    let callbacks = [(HEADERS.0, HEADERS.1, format!("{reply} (i32.const 0)")), ("proxy_on_log", "(param i32)", log)];
    let callbacks = callbacks.each_ref().map(|(name, signature, body)| (*name, *signature, body.as_str()));
    let mut host = module("(i32.const 4096)", &callbacks).start().unwrap();
    let began = Instant::now();
    assert_eq!(host.exchange(Request::get("/")).status(), Some(403));
    assert_eq!(host.worker(0).failed(), None);
    assert!(began.elapsed() < WITHIN, "{:?}", began.elapsed());
}

#[test]
fn to_look_for_something_is_work() {
    let add = times(20_000, "(drop (call $add (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0)))");
    let set = times(
        20_000,
        "(i32.store (i32.const 4096) (i32.or (i32.const 0x80808080) (local.get $i)))
         (drop (call $set_property (i32.const 4096) (i32.const 4) (i32.const 0) (i32.const 0)))",
    );
    for (name, before, call) in [
        (
            "proxy_get_header_map_value",
            &add,
            "$value (i32.const 0) (i32.const 0) (i32.const 3) (i32.const 0) (i32.const 4)",
        ),
        (
            "proxy_replace_header_map_value",
            &add,
            "$replace (i32.const 0) (i32.const 0) (i32.const 3) (i32.const 0) (i32.const 0)",
        ),
        ("proxy_get_property", &add, "$property (i32.const 64) (i32.const 14) (i32.const 0) (i32.const 4)"),
        ("proxy_get_property", &set, "$property (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 4)"),
    ] {
        let endlessly = format!("{before} (loop (drop (call {call})) (br 0))");
        let exchange = endless(at_headers("(i32.const 0)", &endlessly).fuel_per_callback(Some(400_000_000)));
        let calls = exchange.cost.hostcall(name);
        assert!((100..60_000).contains(&calls), "{name}: {calls}");
    }
}

#[test]
fn many_headers_are_told_as_a_property_in_time() {
    let distinct = times(
        60_000,
        "(i32.store (i32.const 4096) (i32.or (i32.const 0x80808080) (local.get $i)))
         (drop (call $add (i32.const 0) (i32.const 4096) (i32.const 4) (i32.const 0) (i32.const 1)))",
    );
    let body = format!("{distinct} (drop (call $property (i32.const 64) (i32.const 15) (i32.const 0) (i32.const 4)))");
    let mut host = at_headers("(i32.const 65536)", &body).start().unwrap();
    let began = Instant::now();
    host.exchange(Request::get("/"));
    assert!(began.elapsed() < WITHIN, "{:?}", began.elapsed());
}

#[test]
fn what_is_copied_or_made_is_work() {
    let share = "(drop (call $share (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 1000000) (i32.const 0)))";
    for (name, before, call) in [
        // There is no place for it, which is only found out when it has been copied.
        (
            "proxy_get_shared_data",
            share,
            "$shared (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 4) (i32.const 8)",
        ),
        ("random_get", "", "$random (i32.const 0) (i32.const 65536)"),
        (
            "proxy_send_local_response",
            "",
            "$reply (i32.const 200) (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 1000000) (i32.const 0) (i32.const 0) (i32.const -1)",
        ),
        ("proxy_define_metric", "", "$define (i32.const 0) (i32.const 0) (i32.const 1000000) (i32.const 0)"),
        ("fd_write", "", "$write (i32.const 1) (i32.const 65536) (i32.const 100000) (i32.const 0)"),
    ] {
        let endlessly = format!("{before} (loop (drop (call {call})) (br 0))");
        let calls = endless(at_headers("(i32.const 0)", &endlessly)).cost.hostcall(name);
        assert!(calls < 1000, "{name}: {calls}");
    }
}

/// A host whose module does this at request headers, with these bytes at 131072.
fn given(bytes: &[u8], body: &str) -> HostBuilder {
    let configure = format!(
        "(drop (call $buffer (i32.const 7) (i32.const 0) (i32.const -1) (i32.const 0) (i32.const 4)))
         (memory.copy (i32.const 131072) (i32.const 65536) (i32.const {}))
         (i32.const 1)",
        bytes.len()
    );
    let body = format!("{body} (i32.const 0)");
    let callbacks = [
        ("proxy_on_configure", "(param i32 i32) (result i32)", configure.as_str()),
        (HEADERS.0, HEADERS.1, body.as_str()),
    ];
    module("(i32.const 65536)", &callbacks).configuration(bytes).fuel_per_callback(Some(20_000_000))
}

#[test]
fn what_cannot_be_uncompressed_is_work() {
    let mut bomb = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    bomb.write_all(&vec![0; 17 << 20]).unwrap();
    let bomb = bomb.finish().unwrap();
    let size = bomb.len();
    let body = format!(
        "(loop (drop (call $foreign (i32.const 128) (i32.const 10) (i32.const 131072) (i32.const {size}) (i32.const 0) (i32.const 0)))
            (br 0))"
    );
    let calls = endless(given(&bomb, &body)).cost.hostcall("proxy_call_foreign_function");
    assert!(calls < 10, "{calls}");
}

/// Makes an expression of the text that is given.
fn create(size: usize) -> String {
    format!(
        "(drop (call $foreign (i32.const 160) (i32.const 11) (i32.const 131072) (i32.const {size}) (i32.const 0) (i32.const 0)))"
    )
}

#[test]
fn expressions_have_a_bound() {
    let text = format!("'{}'", "a".repeat(5000));
    let builder = given(text.as_bytes(), &times(60, &create(text.len())));
    let mut host = builder.fuel_per_callback(Some(100_000_000)).trace(true).start().unwrap();
    host.exchange(Request::get("/"));
    let calls = crate::testing::hostcalls(&host);
    let made = calls.iter().filter(|call| call.contains("expr_create") && call.ends_with("= Ok")).count();
    assert_eq!(made, (256 << 10) / text.len(), "{:?}", calls.last());
}

#[test]
fn to_evaluate_is_work() {
    let list = format!("[{}]", "1,".repeat(500));
    for text in [
        format!("{list}.all(x, {list}.all(y, true))"),
        format!("{list}{}", ".map(x, [x, x])".repeat(100)),
        format!("{list}.map(x, request.headers)"),
    ] {
        let body = format!(
            "{} (loop (drop (call $foreign (i32.const 192) (i32.const 13) (i32.const 32) (i32.const 4) (i32.const 0) (i32.const 0)))
                (br 0))",
            create(text.len())
        );
        let calls = endless(given(text.as_bytes(), &body)).cost.hostcall("proxy_call_foreign_function");
        assert!(calls < 1000, "{calls}");
    }
}

#[test]
fn names_of_metrics_have_a_bound() {
    let define = times(
        5_000,
        "(i32.store (i32.const 4096) (local.get $i))
         (drop (call $define (i32.const 0) (i32.const 4096) (i32.const 65536) (i32.const 0)))",
    );
    let mut host = at_headers("(i32.const 0)", &define).fuel_per_callback(Some(100_000_000)).start().unwrap();
    host.exchange(Request::get("/"));
    assert_eq!(host.worker(0).failed(), None);
    let count = host.stats().len();
    assert!((900..1024).contains(&count), "{count}");
}

#[test]
fn entries_of_shared_data_count_though_they_are_small() {
    let data = crate::shared::SharedData::default();
    for number in 0_u32..3 {
        for value in ["", "x"] {
            data.set(Conformance::Envoy, "vm", (&number.to_le_bytes(), value.as_bytes()), 0).unwrap();
        }
    }
    assert_eq!(data.bytes(), 3 * (4 + 1 + 128));
}

#[test]
fn memories_and_tables_count_together() {
    let start = |fields: &str| {
        let text =
            format!("(module (memory (export \"memory\") 1) {fields} (func (export \"proxy_abi_version_0_2_1\")))");
        Host::builder()
            .module_bytes(text)
            .memory_limit(10 << 20)
            .start()
            .map(drop)
            .map_err(|failure| failure.to_string())
    };
    start("(memory 80) (table 1000 funcref)").unwrap();
    for fields in ["(memory 80) (memory 80)", "(table 600000 funcref) (table 600000 funcref)"] {
        assert!(start(fields).unwrap_err().contains("exceeds"), "{fields}");
    }
    // What a memory may not grow to is not taken from the others.
    let grow = "(func (export \"proxy_on_vm_start\") (param i32 i32) (result i32)
        (drop (memory.grow $small (i32.const 100))) (i32.ne (memory.grow $large (i32.const 100)) (i32.const -1)))";
    start(&format!("(memory $small 1 2) (memory $large 1) {grow}")).unwrap();
}

#[test]
fn time_may_be_near_its_end() {
    let start =
        ("proxy_on_vm_start", "(param i32 i32) (result i32)", "(drop (call $tick (i32.const 1000))) (i32.const 1)");
    let mut host = module("(i32.const 0)", &[start]).clock_at(u64::MAX - 1).start().unwrap();
    host.tick();
    host.advance(Duration::from_secs(1));
    assert_eq!(host.now_ns(), u64::MAX);
}

/// A callout to a cluster, with a body of this size.
fn callout(size: u32) -> String {
    format!(
        "(drop (call $call (i32.const 0) (i32.const 4) (i32.const 1024) (i32.const 65) (i32.const 0) (i32.const {size})
            (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 8)))"
    )
}

#[test]
fn a_module_that_asks_again_and_again_does_not_hold_a_stream_for_ever() {
    let ask = callout(100_000);
    let held = format!("{ask} (i32.const 1)");
    let callbacks = [
        (HEADERS.0, HEADERS.1, held.as_str()),
        ("proxy_on_http_call_response", "(param i32 i32 i32 i32 i32)", ask.as_str()),
    ];
    let builder = module("(i32.const 0)", &callbacks).cluster("auth", Upstream::always(Reply::status(200)));
    let mut host = builder.start().unwrap();
    let began = Instant::now();
    assert!(host.exchange(Request::get("/")).stuck);
    host.advance(Duration::from_secs(3600));
    // What is left of them has a bound, too.
    let kept: usize = host.callouts().iter().map(|callout| callout.body.len()).sum();
    assert!(kept <= 256 << 20, "{kept}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}
