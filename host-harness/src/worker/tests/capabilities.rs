//! Which hostcalls and callbacks a plugin may use.

use crate::StartError;
use crate::abi::Status;
use crate::test::{Reply, Request};
use crate::testing::A::{N, O, S};
use crate::testing::{Probe, callbacks, check};

/// A module that asks for a header, for randomness and for a file.
fn curious() -> Probe {
    Probe::default()
        .on(
            "proxy_on_request_headers",
            &[
                ("proxy_get_header_map_value", &[N(0), S(":path"), O, O]),
                ("wasi_snapshot_preview1.random_get", &[O, N(4)]),
                ("wasi_snapshot_preview1.fd_close", &[N(5)]),
            ],
        )
        .on("proxy_on_response_headers", &[])
}

#[test]
fn what_is_not_allowed_fails_and_is_said_in_the_log() {
    let mut host = curious().host().allowed_capabilities(["proxy_on_request_headers"]).start().unwrap();
    host.exchange(Request::get("/"));
    check(&host, &["InternalFailure", "76", "76"]);
    assert_eq!(callbacks(&host), ["proxy_on_request_headers(2, 4, 1)"], "no response headers");
    let log: Vec<String> = host.logs().into_iter().map(|line| line.message).collect();
    let expected = ["proxy_get_header_map_value", "random_get", "fd_close"]
        .map(|name| format!("Attempted call to restricted proxy-wasm capability: {name}"));
    assert_eq!(log, expected);
}

#[test]
fn what_is_allowed_works() {
    let allowed = ["proxy_on_request_headers", "proxy_get_header_map_value", "random_get", "fd_close"];
    let mut host = curious().host().allowed_capabilities(allowed).start().unwrap();
    host.exchange(Request::get("/"));
    check(&host, &["Ok, value=\"/\"", "Ok", "Ok"]);
    assert!(host.logs().is_empty());
}

#[test]
fn a_restricted_hostcall_during_the_start_does_not_trap() {
    let early = Probe::default().on("_initialize", &[("proxy_set_property", &[S("a"), S("b")])]);
    assert!(matches!(early.host().start().unwrap_err().error, StartError::Trap { .. }));
    early.host().allowed_capabilities(["proxy_on_log"]).start().unwrap();
}

#[test]
fn the_allocator_is_no_capability() {
    let mut host = curious().host().allowed_capabilities(["proxy_on_request_headers", "proxy_get_header_map_value"]);
    host = host.foreign_function("f", |_| Err(Status::NotFound));
    let mut host = host.start().unwrap();
    host.exchange(Request::get("/long").reply(Reply::status(204)));
    check(&host, &["Ok, value=\"/long\"", "76", "76"]);
}
