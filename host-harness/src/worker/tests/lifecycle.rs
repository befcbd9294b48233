//! The order of callbacks, from the start of a VM to its end.

use crate::test::Request;
use crate::testing::A::{N, O, S};
use crate::testing::{Probe, callbacks};
use crate::{HeaderMap, StartError, StreamEnd, StreamFacts};

/// A module with every callback that has no say in what happens.
fn quiet() -> Probe {
    ["context_create", "vm_start", "configure", "request_headers", "response_headers", "log", "done", "delete", "tick"]
        .iter()
        .fold(Probe::default(), |probe, name| probe.on(&format!("proxy_on_{name}"), &[]))
}

#[test]
fn start_stream_end() {
    let mut host = quiet().host().configuration("12345").start().unwrap();
    host.exchange(Request::get("/").header("a", "b"));
    assert!(host.shutdown());
    let expected = [
        "proxy_on_context_create(1, 0)",
        "proxy_on_vm_start(1, 0)",
        "proxy_on_configure(1, 5)",
        "proxy_on_context_create(2, 1)",
        "proxy_on_request_headers(2, 5, 1)",
        "proxy_on_response_headers(2, 1, 1)",
        "proxy_on_log(2)",
        "proxy_on_done(2)",
        "proxy_on_delete(2)",
        "proxy_on_done(1)",
        "proxy_on_delete(1)",
    ];
    assert_eq!(callbacks(&host), expected);
}

#[test]
fn every_thread_starts_the_plugin_and_main_and_workers_tick() {
    const COUNT: &[(&str, &[crate::testing::A<'_>])] =
        &[("proxy_define_metric", &[N(0), S("n"), O]), ("proxy_increment_metric", &[N(4), crate::testing::A::L(1)])];
    let mut host = Probe::default()
        .on("proxy_on_configure", &[("proxy_set_tick_period_milliseconds", &[N(100)])])
        .on("proxy_on_configure", COUNT)
        .on("proxy_on_tick", COUNT)
        .host()
        .workers(2)
        .start()
        .unwrap();
    assert_eq!(host.counter("n"), 4, "a canary, the main thread and two workers");
    host.advance(std::time::Duration::from_millis(350));
    assert_eq!(host.counter("n"), 4 + 3 * 3);
    assert!(host.tick());
    assert_eq!(host.counter("n"), 4 + 4 * 3);
}

#[test]
fn a_period_of_zero_stops_the_timer() {
    let mut host = Probe::default()
        .on("proxy_on_configure", &[("proxy_set_tick_period_milliseconds", &[N(10)])])
        .on("proxy_on_tick", &[("proxy_set_tick_period_milliseconds", &[N(0)])])
        .host()
        .start()
        .unwrap();
    assert!(host.tick());
    assert!(!host.tick());
}

#[test]
fn a_stream_without_headers_is_created_to_be_logged() {
    let mut host = quiet().host().start().unwrap();
    let end = StreamEnd {
        code: Some(400),
        details: "missing_host_header".to_owned(),
        request_headers: Some(HeaderMap::from([(":path", "/")])),
        ..StreamEnd::default()
    };
    host.log_only(0, end);
    let stream: Vec<String> = callbacks(&host).split_off(3);
    let expected = ["proxy_on_context_create(2, 1)", "proxy_on_log(2)", "proxy_on_done(2)", "proxy_on_delete(2)"];
    assert_eq!(stream, expected);
}

#[test]
fn an_aborted_request_has_no_response() {
    let mut host =
        quiet().on("proxy_on_log", &[("proxy_get_property", &[S("response\0code"), O, O])]).host().start().unwrap();
    let exchange = host.exchange(Request::get("/").aborted());
    assert_eq!(exchange.response, None);
    assert!(host.trace().contains("proxy_get_property(path=\"response\\x00code\") = NotFound"));
    assert!(!host.trace().contains("proxy_on_response_headers"));
}

#[test]
fn a_replaced_root_lives_as_long_as_its_streams() {
    let mut host = quiet().host().start().unwrap();
    let old = host.worker(0).open_stream(StreamFacts::default());
    let headers = || HeaderMap::from([(":path", "/")]);
    host.worker(0).request_headers(old, headers(), true);
    host.reconfigure("new").unwrap();
    let new = host.worker(0).open_stream(StreamFacts::default());
    host.worker(0).request_headers(new, headers(), true);
    host.worker(0).finish(old, StreamEnd::default());
    host.worker(0).finish(new, StreamEnd::default());
    let since: Vec<String> = callbacks(&host).split_off(5);
    let expected = [
        "proxy_on_context_create(3, 0)",
        "proxy_on_vm_start(3, 0)",
        "proxy_on_configure(3, 3)",
        "proxy_on_context_create(4, 3)",
        "proxy_on_request_headers(4, 1, 1)",
        "proxy_on_log(2)",
        "proxy_on_done(2)",
        "proxy_on_delete(2)",
        "proxy_on_done(1)",
        "proxy_on_delete(1)",
        "proxy_on_log(4)",
        "proxy_on_done(4)",
        "proxy_on_delete(4)",
    ];
    assert_eq!(since, expected);
}

#[test]
fn a_root_may_defer_its_end() {
    let mut host = quiet()
        .on("proxy_on_configure", &[("proxy_set_tick_period_milliseconds", &[N(10)])])
        .answer("proxy_on_done", "(i32.const 0)")
        .on("proxy_on_tick", &[("proxy_done", &[])])
        .host()
        .start()
        .unwrap();
    assert!(!host.shutdown());
    host.tick();
    assert!(host.shutdown());
    let end: Vec<String> = callbacks(&host).split_off(3);
    assert_eq!(end, ["proxy_on_done(1)", "proxy_on_tick(1)", "proxy_on_delete(1)"]);
}

#[test]
fn a_refusal_carries_what_the_module_said() {
    let probe = quiet()
        .on("proxy_on_configure", &[("proxy_log", &[N(2), S("fine")]), ("proxy_log", &[N(4), S("a: wrong; cure")])])
        .answer("proxy_on_configure", "(i32.ne (local.get 1) (i32.const 3))");
    let failure = probe.host().configuration("bad").start().unwrap_err();
    assert_eq!(failure.to_string(), "proxy_on_configure refused:\na: wrong; cure");
    assert!(failure.trace.contains("proxy_on_configure(1, 3)"), "{}", failure.trace);

    let mut host = probe.host().configuration("good").start().unwrap();
    let error = host.reconfigure("bad").unwrap_err();
    assert!(matches!(error, StartError::Refused { callback: "proxy_on_configure", .. }));
    assert_eq!(host.exchange(Request::get("/")).status(), Some(200));
    assert!(!host.trace().contains("proxy_on_done(1)"), "the old configuration stays");
}

#[test]
fn a_recreated_vm_starts_anew_with_what_is_shared() {
    let count: &[(&str, &[crate::testing::A<'_>])] =
        &[("proxy_define_metric", &[N(0), S("n"), O]), ("proxy_increment_metric", &[N(4), crate::testing::A::L(1)])];
    let mut host = quiet()
        .on("proxy_on_log", count)
        .on("proxy_on_configure", &[("proxy_set_shared_data", &[S("k"), S("v"), N(0)])])
        .host()
        .start()
        .unwrap();
    host.exchange(Request::get("/"));
    host.recreate(0).unwrap();
    host.exchange(Request::get("/"));
    assert_eq!(host.counter("n"), 2);
    assert_eq!(host.shared_data("k").as_deref(), Some(&b"v"[..]));
}

#[test]
fn start_functions_run_before_everything_and_may_not_do_much() {
    for start in ["_initialize", "_start"] {
        let host = quiet().on(start, &[("proxy_log", &[N(2), S("up")])]).host().start().unwrap();
        assert!(host.logs().iter().all(|entry| entry.message == "up"), "{:?}", host.logs());
        assert_eq!(host.logs().len(), 3);

        let failure = quiet().on(start, &[("proxy_set_property", &[S("a"), S("b")])]).host().start().unwrap_err();
        assert!(
            failure.to_string().contains("hostcall proxy_set_property is not allowed while the module starts"),
            "{failure}"
        );
    }
}
