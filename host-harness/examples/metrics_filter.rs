//! A metrics filter and its whole test: two workers count into the same stats, and the page for Prometheus shows them.
//!
//! ```text
//! cargo run -p host-harness --example metrics_filter
//! ```

use host_harness::exposition;
use host_harness::stats_config::StatsConfig;
use host_harness::test::{Host, Reply, Request, StartFailure};

/// Counts responses, those that begin with 5 apart, and the streams that are open.
const FILTER: &str = r#"(module
    (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_increment_metric" (func $add (param i32 i64) (result i32)))
    (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 100) "responses_total")
    (data (i32.const 120) "errors_total")
    (data (i32.const 140) "streams_open")
    (data (i32.const 160) ":status")

    (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))

    ;; Two counters and a gauge; their ids are kept at 0, 4 and 8.
    (func (export "proxy_on_vm_start") (param i32 i32) (result i32)
        (drop (call $define (i32.const 0) (i32.const 100) (i32.const 15) (i32.const 0)))
        (drop (call $define (i32.const 0) (i32.const 120) (i32.const 12) (i32.const 4)))
        (drop (call $define (i32.const 1) (i32.const 140) (i32.const 12) (i32.const 8)))
        (i32.const 1))

    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (call $add (i32.load (i32.const 8)) (i64.const 1)))
    (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
        (drop (call $add (i32.load (i32.const 0)) (i64.const 1)))
        (drop (call $get (i32.const 2) (i32.const 160) (i32.const 7) (i32.const 20) (i32.const 24)))
        (if (i32.eq (i32.load8_u (i32.const 1024)) (i32.const 0x35))
            (then (drop (call $add (i32.load (i32.const 4)) (i64.const 1)))))
        (i32.const 0))
    (func (export "proxy_on_delete") (param $id i32)
        ;; Root contexts end too; the first one is 1.
        (if (i32.ne (local.get $id) (i32.const 1))
            (then (drop (call $add (i32.load (i32.const 8)) (i64.const -1)))))))"#;

#[allow(clippy::print_stdout, reason = "an example shows what it does")]
fn main() -> Result<(), StartFailure> {
    let mut host = Host::builder().module_bytes(FILTER).workers(2).start()?;
    for status in [200, 204, 404, 500, 503] {
        host.exchange(Request::get("/").reply(Reply::status(status)));
    }
    // A client that leaves gets no response, but its stream ends.
    host.exchange(Request::get("/").aborted());

    assert_eq!(host.counter("responses_total"), 5);
    assert_eq!(host.counter("errors_total"), 2);
    assert_eq!(host.gauge("streams_open"), 0);

    let page = exposition::prometheus(host.shared().stats(), &StatsConfig::default());
    assert!(page.lines().any(|line| line.starts_with("responses_total{} 5")), "{page}");
    println!("{page}");
    Ok(())
}

#[test]
fn it_runs() {
    main().unwrap();
}
