//! Foreign functions.

use std::sync::{Arc, Mutex};

use crate::abi::Status;
use crate::test::Request;
use crate::testing::A::{N, O, S};
use crate::testing::{Probe, check};

const CALL: &str = "proxy_call_foreign_function";

#[test]
fn by_name() {
    let mut host = Probe::default()
        .on(
            "proxy_on_request_headers",
            &[
                (CALL, &[S("unknown"), S(""), O, O]),
                (CALL, &[S("clear_route_cache"), S("x"), O, O]),
                (CALL, &[S("compress"), S("aaaaaaaaaaaaaaaa"), O, O]),
                (CALL, &[S("uncompress"), S("aaaaaaaaaaaaaaaa"), O, O]),
                (CALL, &[S("compress"), S("a"), N(0), N(0)]),
                (CALL, &[S("compress"), S("a"), N(-1), N(0)]),
                (CALL, &[N(-1), N(4), S("a"), O, O]),
            ],
        )
        .host()
        .start()
        .unwrap();
    host.exchange(Request::get("/"));
    check(&host, &["NotFound", "Ok", "Ok", "SerializationFailure", "Ok", "InvalidMemoryAccess", "InvalidMemoryAccess"]);
}

#[test]
fn what_is_compressed_comes_back() {
    // Texts lie one behind the other: `compress` at 4096, the plain text at 4104, `uncompress` at 4127. Results lie at 65536.
    let mut host = Probe::default()
        .on("proxy_on_request_headers", &[(CALL, &[S("compress"), S("hello hello hello hello"), N(4), N(8)])])
        .on("proxy_on_tick", &[("proxy_set_property", &[S("uncompress"), S("")])])
        .wat(
            "proxy_on_request_headers",
            "(memory.copy (i32.const 70000) (i32.const 65536) (i32.load (i32.const 8)))
             (drop (call $env.proxy_call_foreign_function (i32.const 4127) (i32.const 10)
                (i32.const 70000) (i32.load (i32.const 8)) (i32.const 4) (i32.const 8)))
             (drop (call $env.proxy_set_property (i32.const 4127) (i32.const 10)
                (i32.load (i32.const 4)) (i32.load (i32.const 8))))",
        )
        .host()
        .start()
        .unwrap();
    let exchange = host.exchange(Request::get("/"));
    assert_eq!(exchange.filter_state, [("wasm.uncompress".to_owned(), b"hello hello hello hello".to_vec())]);
}

#[test]
fn a_test_brings_its_own() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let function = {
        let seen = seen.clone();
        move |argument: &[u8]| {
            seen.lock().unwrap().push(argument.to_vec());
            if argument.is_empty() { Err(Status::BadArgument) } else { Ok(argument.to_ascii_uppercase()) }
        }
    };
    let mut host = Probe::default()
        .on("proxy_on_request_headers", &[(CALL, &[S("shout"), S("a"), O, O]), (CALL, &[S("shout"), S(""), O, O])])
        .host()
        .foreign_function("shout", function)
        .start()
        .unwrap();
    host.exchange(Request::get("/"));
    check(&host, &["Ok", "BadArgument"]);
    assert_eq!(*seen.lock().unwrap(), [b"a".to_vec(), Vec::new()]);
}

#[test]
fn what_takes_long_is_paid_for() {
    let call: (&str, &[crate::testing::A<'_>]) = (CALL, &[S("sign"), S("x"), O, O]);
    let host = Probe::default().on("proxy_on_request_headers", &[call; 9]).host();
    let mut host = host.fuel_per_callback(Some(100_000_000)).start().unwrap();
    host.exchange(Request::get("/"));
    let calls = crate::testing::hostcalls(&host);
    let made = calls.iter().filter(|call| call.ends_with("BadArgument")).count();
    assert!((4..7).contains(&made), "{calls:#?}");
}

#[test]
fn expressions_are_the_root_contexts() {
    let token = S("\0\0\0\0");
    let mut host = Probe::default()
        .on(
            "proxy_on_request_headers",
            &[
                (CALL, &[S("expr_create"), S("request.path == '/a'"), O, O]),
                (CALL, &[S("expr_evaluate"), token, O, O]),
                (CALL, &[S("expr_create"), S("1 +"), O, O]),
                (CALL, &[S("expr_evaluate"), S("\x01\0\0\0"), O, O]),
            ],
        )
        .on(
            "proxy_on_response_headers",
            &[
                // There is no path any more.
                (CALL, &[S("expr_evaluate"), token, O, O]),
                (CALL, &[S("expr_delete"), token, O, O]),
                (CALL, &[S("expr_delete"), token, O, O]),
                (CALL, &[S("expr_evaluate"), token, O, O]),
                (CALL, &[S("expr_evaluate"), S("x"), O, O]),
            ],
        )
        .host()
        .start()
        .unwrap();
    host.exchange(Request::get("/a"));
    let statuses = ["Ok", "Ok", "BadArgument", "NotFound", "InternalFailure", "Ok", "Ok", "NotFound", "BadArgument"];
    check(&host, &statuses);
}
