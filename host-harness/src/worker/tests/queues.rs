//! Shared queues: who may put items in and take them out, and who hears of them when.

use crate::test::Request;
use crate::testing::A::{N, O, S};
use crate::testing::{Probe, check};

const REGISTER: &str = "proxy_register_shared_queue";
const RESOLVE: &str = "proxy_resolve_shared_queue";
const ENQUEUE: &str = "proxy_enqueue_shared_queue";
const DEQUEUE: &str = "proxy_dequeue_shared_queue";

/// Where memory that nothing else uses begins, and where there is none.
const OUTSIDE: i32 = 10_000_000;

#[test]
fn items_come_out_in_order_and_only_once() {
    let mut host = Probe::default()
        .on(
            "proxy_on_request_headers",
            &[
                (REGISTER, &[S("q"), O]),
                (REGISTER, &[S("q"), O]),
                (REGISTER, &[S("other"), O]),
                (DEQUEUE, &[N(1), O, O]),
                (ENQUEUE, &[N(1), S("one")]),
                (ENQUEUE, &[N(1), S("")]),
                (ENQUEUE, &[N(1), S("three")]),
                (ENQUEUE, &[N(2), S("elsewhere")]),
                (DEQUEUE, &[N(1), O, O]),
                (DEQUEUE, &[N(1), O, O]),
                (DEQUEUE, &[N(1), O, O]),
                (DEQUEUE, &[N(1), O, O]),
                (RESOLVE, &[S(""), S("other"), O]),
                (RESOLVE, &[S("vm"), S("other"), O]),
                (RESOLVE, &[S("another"), S("other"), O]),
                (RESOLVE, &[S(""), S("nothing"), O]),
                (ENQUEUE, &[N(3), S("x")]),
                (ENQUEUE, &[N(0), S("x")]),
                (DEQUEUE, &[N(-1), O, O]),
                (ENQUEUE, &[N(1), N(OUTSIDE), N(1)]),
                (REGISTER, &[N(OUTSIDE), N(1), O]),
                (REGISTER, &[S("q"), N(OUTSIDE)]),
            ],
        )
        .host()
        .start()
        .unwrap();
    host.exchange(Request::get("/"));
    check(
        &host,
        &[
            "Ok, id=1",
            "Ok, id=1",
            "Ok, id=2",
            "Empty",
            "Ok",
            "Ok",
            "Ok",
            "Ok",
            "Ok, value=\"one\"",
            "Ok, value=\"\"",
            "Ok, value=\"three\"",
            "Empty",
            "Ok, id=2",
            "Ok, id=2",
            "NotFound",
            "NotFound",
            "NotFound",
            "NotFound",
            "NotFound",
            "InvalidMemoryAccess",
            "InvalidMemoryAccess",
            "InvalidMemoryAccess",
        ],
    );
}

/// Every VM registers the queue when it starts, so the last worker hears of the items, whoever puts them in.
#[test]
fn who_registered_last_hears_of_every_item_after_the_callback() {
    let mut host = Probe::default()
        .on("proxy_on_configure", &[(REGISTER, &[S("q"), O])])
        .on("proxy_on_request_headers", &[(ENQUEUE, &[N(1), S("a")]), (ENQUEUE, &[N(1), S("b")])])
        .on("proxy_on_queue_ready", &[(DEQUEUE, &[N(1), O, O])])
        .host()
        .workers(2)
        .start()
        .unwrap();
    host.exchange_on(0, Request::get("/"));
    let trace = host.shared().trace().lines();
    let told: Vec<&String> = trace.iter().filter(|line| line.contains("queue_ready(")).collect();
    assert!(
        told.len() == 2 && told.iter().all(|line| line.ends_with("worker1 #1 proxy_on_queue_ready(1, 1)")),
        "{told:#?}"
    );
    let taken: Vec<&str> = trace
        .iter()
        .filter_map(|line| line.split_once("dequeue_shared_queue(id=1) = "))
        .map(|(_, answer)| answer)
        .collect();
    assert_eq!(taken, ["Ok, value=\"a\"", "Ok, value=\"b\""]);
    let position = |what: &str| trace.iter().position(|line| line.contains(what)).unwrap();
    assert!(position("proxy_on_request_headers returned") < position("queue_ready("));
}

#[test]
fn a_module_that_asks_for_more_in_its_own_callback_does_not_stop_time() {
    let mut host = Probe::default()
        .on("proxy_on_configure", &[(REGISTER, &[S("q"), O])])
        .on("proxy_on_request_headers", &[(ENQUEUE, &[N(1), S("a")])])
        .on("proxy_on_queue_ready", &[(ENQUEUE, &[N(1), S("again")])])
        .host()
        .start()
        .unwrap();
    host.exchange(Request::get("/"));
    host.advance(std::time::Duration::from_micros(10));
    let told = host.trace().matches("proxy_on_queue_ready(").count();
    assert!((10..15).contains(&told), "{told}");
}
