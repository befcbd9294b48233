//! Modules of ABI 0.1.0.

use crate::test::{Reply, Request};
use crate::testing::A::{N, O, S};
use crate::testing::{Probe, callbacks, check};

fn old() -> Probe {
    Probe::default().abi("proxy_abi_version_0_1_0")
}

#[test]
fn headers_come_without_end_of_stream() {
    let mut host = old()
        .on("proxy_on_request_headers", &[])
        .answer("proxy_on_request_headers", "(i32.const 0)")
        .on("proxy_on_response_headers", &[])
        .host()
        .start()
        .unwrap();
    host.exchange(Request::get("/").reply(Reply::status(204)));
    assert_eq!(callbacks(&host), ["proxy_on_request_headers(2, 4)", "proxy_on_response_headers(2, 1)"]);
}

#[test]
fn a_header_that_is_not_there_is_empty() {
    let value: (&str, &[crate::testing::A<'_>]) = ("proxy_get_header_map_value", &[N(0), S("x-missing"), O, O]);
    let of_response: (&str, &[crate::testing::A<'_>]) = ("proxy_get_header_map_value", &[N(2), S("x-missing"), O, O]);
    let mut host = old()
        .on("proxy_on_request_headers", &[value, of_response])
        .on("proxy_on_log", &[value])
        .host()
        .start()
        .unwrap();
    host.exchange(Request::get("/"));
    check(&host, &["Ok, value=\"\"", "BadArgument", "Ok, value=\"\""]);
}

#[test]
fn its_own_hostcalls() {
    let mut host = old()
        .on(
            "proxy_on_request_headers",
            &[("proxy_get_configuration", &[O, O]), ("proxy_clear_route_cache", &[]), ("proxy_continue_request", &[])],
        )
        .answer("proxy_on_request_headers", "(i32.const 1)")
        .on("proxy_on_response_headers", &[("proxy_continue_response", &[])])
        .answer("proxy_on_response_headers", "(i32.const 1)")
        .host()
        .configuration("plain")
        .start()
        .unwrap();
    let exchange = host.exchange(Request::get("/").reply(Reply::status(204)));
    check(&host, &["Ok, configuration=\"plain\"", "Ok", "Ok", "Ok"]);
    assert_eq!((exchange.status(), exchange.stuck), (Some(204), false));
}

#[test]
fn versions_do_not_share_all_hostcalls() {
    let later = old().on("proxy_on_tick", &[("proxy_continue_stream", &[N(0)]), ("proxy_close_stream", &[N(0)])]);
    let error = later.host().start().unwrap_err().to_string();
    let expected =
        "the host does not provide what the module imports: env.proxy_close_stream, env.proxy_continue_stream";
    assert_eq!(error, expected);
    let earlier = Probe::default().on("proxy_on_tick", &[("proxy_continue_request", &[])]);
    let error = earlier.host().start().unwrap_err().to_string();
    assert_eq!(error, "the host does not provide what the module imports: env.proxy_continue_request");
}

#[test]
fn local_replies_pass_its_response_callback() {
    let reply: &[crate::testing::A<'_>] = &[N(403), S(""), S("no"), S(""), N(-1)];
    let mut host = old()
        .on("proxy_on_request_headers", &[("proxy_send_local_response", reply)])
        .on("proxy_on_response_headers", &[("proxy_add_header_map_value", &[N(2), S("x"), S("y")])])
        .host()
        .start()
        .unwrap();
    let exchange = host.exchange(Request::get("/"));
    assert_eq!((exchange.status(), exchange.response_header("x")), (Some(403), Some("y")));
}
