//! Properties of configuration and of the upstream, and whole header maps: in which callback there is what.

use std::net::SocketAddr;

use crate::test::{Host, Reply, Request};
use crate::testing::A::{N, O, S};
use crate::testing::{Probe, check};
use crate::{StreamFacts, TrafficDirection, UpstreamFacts, Xds};

const GET: &str = "proxy_get_property";

/// A probe that reads these properties in each of these callbacks.
fn reads(callbacks: &[&str], paths: &[&str]) -> Probe {
    callbacks.iter().fold(Probe::default(), |probe, callback| {
        paths.iter().fold(probe, |probe, path| probe.on(callback, &[(GET, &[S(path), O, O])]))
    })
}

/// What was answered, without the call.
fn answers(host: &Host) -> Vec<String> {
    crate::testing::hostcalls(host).iter().map(|call| call.split_once(") = ").unwrap().1.to_owned()).collect()
}

const NAMES: &[&str] = &[
    "xds\0node\0id",
    "xds\0node\0cluster",
    "xds\0node\0metadata\0X",
    "xds\0route_name",
    "xds\0virtual_host_name",
    "xds\0cluster_name",
    "xds\0filter_chain_name",
    "xds\0listener_direction",
    "xds\0cluster_metadata",
    "xds\0cluster_name\0deeper",
    "xds\0nothing",
    "xds",
];

fn names() -> Xds {
    Xds {
        node_id: "n".into(),
        node_cluster: "group".into(),
        route_name: "r".into(),
        virtual_host_name: "v".into(),
        cluster_name: "c".into(),
        filter_chain_name: "f".into(),
        listener_direction: TrafficDirection::Outbound,
    }
}

#[test]
fn configuration_names_what_a_stream_meets() {
    let mut host = reads(&["proxy_on_request_headers"], NAMES).host().xds(names()).start().unwrap();
    host.exchange(Request::get("/"));
    let expected = [
        "Ok, value=\"n\"",
        "Ok, value=\"group\"",
        "NotFound",
        "Ok, value=\"r\"",
        "Ok, value=\"v\"",
        "Ok, value=\"c\"",
        "Ok, value=\"f\"",
        "Ok, value=\"\\x02\\x00\\x00\\x00\\x00\\x00\\x00\\x00\"",
        "Ok, value=\"\"",
        "NotFound",
        "NotFound",
        "SerializationFailure",
    ];
    check(&host, &expected);
}

#[test]
fn a_root_context_knows_the_node_alone() {
    let host = reads(&["proxy_on_configure"], NAMES).host().xds(names()).start().unwrap();
    let mut expected = vec!["NotFound"; NAMES.len()];
    expected[..2].clone_from_slice(&["Ok, value=\"n\"", "Ok, value=\"group\""]);
    expected[NAMES.len() - 1] = "SerializationFailure";
    check(&host, &expected);
}

#[test]
fn the_node_is_a_message_too() {
    let host =
        reads(&["proxy_on_configure"], &["xds\0node", "xds\0node\0metadata"]).host().xds(names()).start().unwrap();
    check(&host, &["Ok, value=\"\\n\\x01n\\x12\\x05group2\\x05envoy\"", "Ok, value=\"\\x00\\x00\\x00\\x00\""]);
}

#[test]
fn a_connection_has_a_cluster_with_its_server_and_no_route() {
    let mut host =
        reads(&["proxy_on_new_connection", "proxy_on_downstream_data"], &["xds\0cluster_name", "xds\0route_name"])
            .host()
            .xds(names())
            .start()
            .unwrap();
    host.connect().send("hello");
    check(&host, &["NotFound", "NotFound", "Ok, value=\"c\"", "NotFound"]);
}

#[test]
fn a_test_overrides_a_name_for_a_request() {
    let mut host = reads(&["proxy_on_request_headers"], &["xds\0cluster_name"]).host().start().unwrap();
    host.exchange(Request::get("/").property("xds\0cluster_name", "other"));
    check(&host, &["Ok, value=\"other\""]);
}

#[test]
fn the_upstream_is_known_once_the_request_goes_there() {
    let paths =
        ["upstream\0request_attempt_count", "upstream\0address", "upstream\0num_endpoints", "upstream\0locality"];
    let mut host = reads(&["proxy_on_request_headers", "proxy_on_request_body"], &paths).host().start().unwrap();
    host.exchange(Request::post("/", "x").upstream(SocketAddr::from(([10, 0, 0, 1], 80))));
    let one = "Ok, value=\"\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\"";
    let none = "Ok, value=\"\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\"";
    check(&host, &[none, "NotFound", one, "NotFound", one, "Ok, value=\"10.0.0.1:80\"", one, "Ok, value=\"\""]);
}

#[test]
fn a_request_that_is_answered_by_the_module_has_no_upstream() {
    let mut host = reads(
        &["proxy_on_log"],
        &["upstream\0request_attempt_count", "upstream\0address", "response\0backend_latency"],
    )
    .on("proxy_on_request_headers", &[("proxy_send_local_response", &[N(403), S(""), S(""), S(""), N(-1)])])
    .host()
    .start()
    .unwrap();
    host.exchange(Request::get("/"));
    check(&host, &["Ok", "Ok, value=\"\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\"", "NotFound", "NotFound"]);
}

#[test]
fn a_proxy_says_what_it_knows_of_the_connection() {
    let paths = [
        "upstream\0local_address",
        "upstream\0transport_failure_reason",
        "upstream\0cx_pool_ready_duration",
        "upstream_filter_state",
    ];
    let mut host = reads(&["proxy_on_response_headers"], &paths).host().start().unwrap();
    let worker = host.worker(0);
    let stream = worker.open_stream(StreamFacts::default());
    worker.request_headers(stream, [(":path", "/")].into(), true);
    let local_address = Some(SocketAddr::from(([10, 0, 0, 2], 5)));
    let facts =
        UpstreamFacts { local_address, transport_failure_reason: "why".into(), pool_ready_ns: Some(7), address: None };
    worker.set_upstream(stream, facts);
    worker.response_headers(stream, [(":status", "503")].into(), true);
    let expected = [
        "Ok, value=\"10.0.0.2:5\"",
        "Ok, value=\"why\"",
        "Ok, value=\"\\x07\\x00\\x00\\x00\\x00\\x00\\x00\\x00\"",
        "SerializationFailure",
    ];
    check(&host, &expected);
}

#[test]
fn whole_maps_are_empty_where_there_is_none() {
    let paths = ["request\0headers", "response\0headers", "response\0trailers", "response\0headers_bytes"];
    let callbacks = ["proxy_on_request_headers", "proxy_on_request_body", "proxy_on_response_trailers"];
    let mut host = reads(&callbacks, &paths).host().start().unwrap();
    let reply = Reply::status(200).chunk("x").trailers([("t", "1"), ("t", "2")]);
    let request = Request::post("/", "x").headers([("a", "1"), ("b", "2"), ("a", "3")].into());
    host.exchange(request.reply(reply));
    let nothing = "Ok, value=\"\\x00\\x00\\x00\\x00\"".to_owned();
    let zero = "Ok, value=\"\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\"".to_owned();
    let pairs = |count: &str, sizes: &str, text: &str| format!("Ok, value=\"{count}\\x00\\x00\\x00{sizes}{text}\"");
    let size = |size: &str| format!("{size}\\x00\\x00\\x00");
    let headers = pairs(
        "\\x02",
        &[size("\\x01"), size("\\x03"), size("\\x01"), size("\\x01")].concat(),
        "a\\x001,3\\x00b\\x002\\x00",
    );
    let trailers = pairs("\\x01", &[size("\\x01"), size("\\x03")].concat(), "t\\x001,2\\x00");
    let expected = [
        [headers, nothing.clone(), nothing.clone(), zero.clone()],
        [nothing.clone(), nothing.clone(), nothing.clone(), zero.clone()],
        [nothing.clone(), nothing, trailers, zero],
    ];
    assert_eq!(answers(&host), expected.concat());
}

#[test]
fn nothing_is_below_a_value() {
    let paths = [
        "request\0headers\0a\0b",
        "request\0path\0x",
        "metadata\0filter_metadata",
        "metadata\0filter_metadata\0x",
        "metadata\0x",
    ];
    let mut host = reads(&["proxy_on_request_headers"], &paths).host().start().unwrap();
    host.exchange(Request::get("/").header("a", "1"));
    check(&host, &["NotFound", "NotFound", "Ok, value=\"\\x00\\x00\\x00\\x00\"", "NotFound", "NotFound"]);
}

#[test]
fn the_upstream_takes_from_the_request_to_the_end_of_its_response() {
    let mut host = reads(&["proxy_on_log"], &["response\0backend_latency"]).host().start().unwrap();
    host.exchange(Request::get("/").takes(std::time::Duration::from_nanos(0x1234)));
    check(&host, &["Ok, value=\"4\\x12\\x00\\x00\\x00\\x00\\x00\\x00\""]);
}
