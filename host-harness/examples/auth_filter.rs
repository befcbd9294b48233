//! An auth filter and its whole test: it holds each request, asks a service, and lets the request go or answers 403. The
//! service is scripted, and time is virtual.
//!
//! ```text
//! cargo run -p host-harness --example auth_filter
//! ```

use std::time::Duration;

use host_harness::Callout;
use host_harness::test::{Answer, Host, Reply, Request, StartFailure, Upstream};

/// Asks the cluster `auth` for `/check`, one request at a time.
const FILTER: &str = r#"(module
    (import "env" "proxy_http_call"
        (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_set_effective_context" (func $enter (param i32) (result i32)))
    (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
    (import "env" "proxy_send_local_response"
        (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "auth")
    (data (i32.const 10) ":status")
    (data (i32.const 20) "no entry")
    ;; Three headers as the ABI has them: how many, the lengths of names and values, then these, each with a zero byte.
    (data (i32.const 100) "\03\00\00\00" "\07\00\00\00\03\00\00\00" "\05\00\00\00\06\00\00\00" "\0a\00\00\00\04\00\00\00"
        ":method\00GET\00" ":path\00/check\00" ":authority\00auth\00")
    (global $waiting (mut i32) (i32.const 0))

    (func (export "proxy_abi_version_0_2_1"))
    ;; What the host gives lies at 1024; addresses and lengths of it at 60 and 64.
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))

    (func (export "proxy_on_request_headers") (param $id i32) (param i32 i32) (result i32)
        (global.set $waiting (local.get $id))
        ;; Cluster, headers, no body, no trailers, within 200 ms. Where the call fails, so does the request.
        (if (call $call (i32.const 0) (i32.const 4) (i32.const 100) (i32.const 69) (i32.const 0) (i32.const 0)
                (i32.const 0) (i32.const 0) (i32.const 200) (i32.const 60))
            (then (call $deny)))
        (i32.const 1))

    (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
        (drop (call $enter (global.get $waiting)))
        ;; Map 6 has the answer's headers. Only a status that begins with 2 lets the request go.
        (drop (call $get (i32.const 6) (i32.const 10) (i32.const 7) (i32.const 60) (i32.const 64)))
        (if (i32.eq (i32.load8_u (i32.const 1024)) (i32.const 0x32))
            (then (drop (call $continue (i32.const 0))))
            (else (call $deny))))

    (func $deny
        (drop (call $reply (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 20) (i32.const 8)
            (i32.const 0) (i32.const 0) (i32.const -1)))))"#;

/// A service that allows everybody on weekdays, as it were: its answers are what each test says.
fn host(answer: impl Fn(&Callout) -> Answer + Send + Sync + 'static) -> Result<Host, StartFailure> {
    let auth = Upstream::with(answer).after(Duration::from_millis(20));
    Host::builder().module_bytes(FILTER).cluster("auth", auth).start()
}

#[allow(clippy::print_stdout, reason = "an example shows what it does")]
fn main() -> Result<(), StartFailure> {
    let mut allows = host(|callout| {
        assert_eq!(callout.header(":path"), Some("/check"));
        Answer::Reply(Reply::status(204))
    })?;
    let before = allows.now_ns();
    let exchange = allows.exchange(Request::get("/users/7"));
    assert_eq!(exchange.status(), Some(200));
    assert_eq!(exchange.upstream_header(":path"), Some("/users/7"));
    assert_eq!(allows.now_ns() - before, 20_000_000, "the service's time, and not a moment of anybody's own");

    let mut denies = host(|_| Answer::Reply(Reply::status(401)))?;
    let exchange = denies.exchange(Request::get("/users/7"));
    assert_eq!(exchange.status(), Some(403));
    assert_eq!(exchange.upstream, None, "the upstream never hears of it");

    // A service that is down, or says nothing, lets nobody in: the proxy answers the callout with 503 or 504.
    for failure in [Answer::Refusal, Answer::Silence, Answer::Close] {
        let mut fails = host(move |_| failure.clone())?;
        assert_eq!(fails.exchange(Request::get("/users/7")).status(), Some(403));
    }

    println!("{}", denies.trace());
    Ok(())
}

#[test]
fn it_runs() {
    main().unwrap();
}
