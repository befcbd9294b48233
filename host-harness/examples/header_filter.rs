//! A header filter and its whole test: what it adds goes to the upstream, what it removes does not reach the client.
//!
//! ```text
//! cargo run -p host-harness --example header_filter
//! ```

use host_harness::test::{Host, Reply, Request, StartFailure};

/// Says to the upstream which gate a request came through, and hides the upstream's server from clients.
const FILTER: &str = r#"(module
    (import "env" "proxy_replace_header_map_value" (func $set (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_remove_header_map_value" (func $remove (param i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "x-gatefrontserver")
    (func (export "proxy_abi_version_0_2_1"))
    ;; Map 0 has the request's headers: `x-gate: front`, whatever the client said of it.
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (call $set (i32.const 0) (i32.const 0) (i32.const 6) (i32.const 6) (i32.const 5)))
    ;; Map 2 has the response's.
    (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
        (call $remove (i32.const 2) (i32.const 11) (i32.const 6))))"#;

#[allow(clippy::print_stdout, reason = "an example shows what it does")]
fn main() -> Result<(), StartFailure> {
    let mut host = Host::builder().module_bytes(FILTER).start()?;

    let reply = Reply::status(200).header("server", "secret/1.0").header("content-type", "text/plain").chunk("hi");
    let exchange = host.exchange(Request::get("/users/7").header("x-gate", "forged").reply(reply));

    assert_eq!(exchange.upstream_header("x-gate"), Some("front"));
    assert_eq!(exchange.response_header("server"), None);
    assert_eq!(exchange.response_header("content-type"), Some("text/plain"));
    assert_eq!(exchange.status(), Some(200));
    // One hostcall each way, and nothing else.
    assert_eq!(exchange.cost.total_hostcalls(), 2);

    println!("{}", host.trace());
    Ok(())
}

#[test]
fn it_runs() {
    main().unwrap();
}
