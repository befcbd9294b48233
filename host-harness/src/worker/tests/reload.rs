//! A fresh VM in place of one that failed.

use std::time::Duration;

use crate::test::{Host, HostBuilder, Reply, Request, Upstream};
use crate::testing::A::{N, O, S};
use crate::testing::{Probe, callbacks};
use crate::{FailurePolicy, Fault, HeaderMap, HeadersOutcome, StreamEnd, StreamFacts};

const POLICY: FailurePolicy = FailurePolicy::FailReload { backoff: FailurePolicy::RELOAD_BACKOFF };
/// A hostcall of every request, for faults.
const MARK: &str = "proxy_get_log_level";

fn module() -> Probe {
    Probe::default()
        .on("proxy_on_configure", &[("proxy_set_property", &[S("a"), S("b")])])
        .on("proxy_on_request_headers", &[(MARK, &[O])])
        .on("proxy_on_response_headers", &[])
        .on("proxy_on_log", &[])
}

fn reloading(module: &Probe) -> HostBuilder {
    module.host().failure_policy(POLICY)
}

/// The next request traps.
fn trap(host: &Host) {
    host.shared().clear_faults();
    host.add_fault(Fault::hostcall(MARK).nth(1).traps());
}

fn status(host: &mut Host) -> Option<u16> {
    host.exchange(Request::get("/").reply(Reply::status(204))).status()
}

/// Reloads that succeeded, failed, and came too early.
fn stats(host: &Host) -> [u64; 3] {
    ["success", "failure", "backoff"]
        .map(|name| host.shared().stats().counter(&format!("wasm.plugin.vm_reload_{name}")).value())
}

#[test]
fn the_first_stream_after_the_backoff_gets_a_fresh_vm() {
    let mut host = reloading(&module()).start().unwrap();
    assert_eq!((status(&mut host), stats(&host)), (Some(204), [0, 0, 0]));
    trap(&host);
    assert_eq!((status(&mut host), stats(&host)), (Some(503), [0, 0, 0]));
    for backoffs in 1..=3 {
        assert_eq!((status(&mut host), stats(&host)), (Some(503), [0, 0, backoffs]));
    }
    host.advance(Duration::from_millis(1500));
    let before = callbacks(&host).len();
    assert_eq!((status(&mut host), stats(&host)), (Some(204), [1, 0, 3]));
    let fresh = ["proxy_on_configure(1, 0)", "proxy_on_request_headers(2, 4, 1)", "proxy_on_response_headers(2, 1, 1)"];
    assert_eq!(callbacks(&host)[before..][..3], fresh, "ids begin anew");
    assert_eq!(status(&mut host), Some(204));
    // A VM that has lived for long is replaced at once.
    host.advance(Duration::from_secs(60));
    trap(&host);
    assert_eq!([status(&mut host), status(&mut host)], [Some(503), Some(204)]);
    assert_eq!(stats(&host), [2, 0, 3]);
}

#[test]
fn one_that_does_not_start_again_is_tried_again_after_the_backoff() {
    let module = module().on("proxy_on_configure", &[(MARK, &[O])]);
    let mut host = reloading(&module).start().unwrap();
    trap(&host);
    assert_eq!(status(&mut host), Some(503));
    host.advance(Duration::from_secs(2));
    trap(&host);
    assert_eq!((status(&mut host), stats(&host)), (Some(503), [0, 1, 0]));
    assert_eq!((status(&mut host), stats(&host)), (Some(503), [0, 1, 1]));
    assert!(host.logs().iter().any(|line| line.message.starts_with("the plugin did not start again: ")));
    host.advance(Duration::from_secs(2));
    assert_eq!((status(&mut host), stats(&host)), (Some(204), [1, 1, 1]));
}

#[test]
fn streams_of_the_failed_vm_end_without_the_module() {
    let mut host = reloading(&module()).start().unwrap();
    host.advance(Duration::from_secs(2));
    let head = HeaderMap::from([(":method", "GET"), (":path", "/old")]);
    let worker = host.worker(0);
    let [old, other] = [0, 1].map(|_| {
        let stream = worker.open_stream(StreamFacts::default());
        assert_eq!(worker.request_headers(stream, head.clone(), true), HeadersOutcome::Continue);
        stream
    });
    trap(&host);
    assert_eq!([status(&mut host), status(&mut host)], [Some(503), Some(204)]);
    let before = callbacks(&host).len();
    let worker = host.worker(0);
    let answer = worker.response_headers(old, HeaderMap::from([(":status", "200")]), true);
    assert!(matches!(answer, HeadersOutcome::LocalReply(reply) if reply.status() == 503));
    for stream in [old, other] {
        assert_eq!(worker.request_map(stream).get(":path"), Some(&b"/old"[..]), "for the access log");
        worker.finish(stream, StreamEnd::default());
    }
    assert_eq!(worker.open_streams(), 0);
    assert_eq!(callbacks(&host).len(), before);
    assert_eq!(status(&mut host), Some(204));
}

#[test]
fn answers_for_the_failed_vm_are_not_told_to_the_fresh_one() {
    let mut pairs = Vec::new();
    HeaderMap::from([(":method", "GET"), (":path", "/"), (":authority", "a")]).encode_pairs(&mut pairs);
    let pairs = String::from_utf8(pairs).unwrap();
    let call: &[crate::testing::A<'_>] = &[S("slow"), S(&pairs), S(""), S(""), N(0), O];
    let module = module().on("proxy_on_configure", &[("proxy_http_call", call)]).on("proxy_on_http_call_response", &[]);
    let slow = Upstream::always(Reply::status(200)).after(Duration::from_secs(10));
    let mut host = reloading(&module).cluster("slow", slow).start().unwrap();
    host.advance(Duration::from_secs(5));
    trap(&host);
    assert_eq!([status(&mut host), status(&mut host)], [Some(503), Some(204)]);
    host.advance(Duration::from_secs(6));
    let answered = |host: &Host| callbacks(host).iter().filter(|line| line.contains("http_call_response")).count();
    assert_eq!(answered(&host), 0, "the answer to the VM that failed");
    host.advance(Duration::from_secs(5));
    assert_eq!(answered(&host), 1, "the answer to the fresh one");
}
