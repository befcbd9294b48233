//! Callouts and shared queues over real sockets and threads.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
#![allow(unreachable_pub, missing_docs, missing_debug_implementations, dead_code, reason = "tests")]

#[path = "serve/support.rs"]
mod support;

use std::time::Duration;

use bytes::Bytes;
use host_harness::Module;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use support::{Site, http1, http2, send, shutdown, site, until};
use tokio::net::TcpListener;

/// A proxy whose module asks `cluster`: `upstream` is the test upstream, `refused` a port on which nobody listens.
async fn asking(cluster: &str) -> Site {
    let refused = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    site(|options| {
        options.module = Module::from_bytes(include_bytes!("serve/asking.wat").as_slice()).unwrap();
        options.plugin.configuration = cluster.into();
        let upstream = options.upstream.clone();
        options.clusters = vec![
            ("upstream".to_owned(), Some(upstream)),
            ("refused".to_owned(), Some(refused.into())),
            ("empty".to_owned(), None),
        ];
    })
    .await
}

fn ask(path: &str) -> Request<Full<Bytes>> {
    Request::get("/echo").header("host", "test").header("x-ask", path).body(Full::default()).unwrap()
}

/// What the module heard when it asked for this path, as the upstream got it.
async fn heard(site: &Site, path: &str) -> String {
    let mut client = http1(site.server.listen).await;
    let response = send(&mut client, ask(path)).await;
    assert_eq!(response.status(), 200, "{path}");
    response.headers()["x-answer"].to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_outcome_lets_the_request_go_on() {
    let site = asking("upstream").await;
    for (path, answer) in [
        ("/status/200", "200"),
        ("/status/204", "204"),
        ("/status/418", "418"),
        ("/status/503", "503"),
        ("/big", "200"),
        ("/grpc", "200"),
        ("/never", "504"),
        // It never ends, and is broken off by its time-out.
        ("/trickle", "reset"),
        ("/raw/cut", "reset"),
        ("/raw/nothing", "503"),
    ] {
        assert_eq!(heard(&site, path).await, answer, "{path}");
    }
    let site = asking("refused").await;
    assert_eq!(heard(&site, "/").await, "503");
}

/// A cluster that is not there, and a path that HTTP cannot carry, hold up nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_asked_holds_up_nothing() {
    for cluster in ["nobody", "empty"] {
        let site = asking(cluster).await;
        let mut client = http1(site.server.listen).await;
        let response = send(&mut client, ask("/")).await;
        assert_eq!((response.status().as_u16(), response.headers().get("x-answer")), (200, None), "{cluster}");
    }
    let site = asking("upstream").await;
    assert_eq!(heard(&site, "no slash and a space").await, "reset");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_many_streams_gets_its_own_answer_and_every_item_is_heard_of_once() {
    const CONNECTIONS: usize = 16;
    const EACH: usize = 50;
    let site = asking("upstream").await;
    let mut tasks = tokio::task::JoinSet::new();
    for connection in 0..CONNECTIONS {
        let address = site.server.listen;
        tasks.spawn(async move {
            let mut client = http2(address).await;
            let mut answers = Vec::new();
            for number in 0..EACH {
                let status = 200 + (connection * EACH + number) % 300;
                client.ready().await.unwrap();
                let request = Request::get("http://test/echo").header("x-ask", format!("/status/{status}"));
                let response = client.send_request(request.body(Full::<Bytes>::default()).unwrap());
                answers.push((status, response));
            }
            for (status, response) in answers {
                let response = response.await.unwrap();
                assert_eq!(response.headers()["x-answer"], status.to_string());
                response.into_body().collect().await.unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let requests = (CONNECTIONS * EACH) as u64;
    until(|| site.counter("wasmcustom.heard") >= requests).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(site.counter("wasmcustom.heard"), requests);
    shutdown(site).await;
}

/// The client leaves while its stream waits: the answer comes to nobody, and nothing is harmed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_for_a_stream_that_is_gone_is_passed_over() {
    let site = asking("upstream").await;
    let mut client = http1(site.server.listen).await;
    client.ready().await.unwrap();
    let asked = tokio::time::timeout(Duration::from_millis(50), client.send_request(ask("/never"))).await;
    assert!(asked.is_err());
    drop(client);
    until(|| site.lines().len() == 1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(heard(&site, "/status/201").await, "201");
    shutdown(site).await;
}

/// A thread that sleeps until something happens notices that a stream has started its timer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timer_that_a_stream_starts_is_in_time() {
    let filter = r#"(module
        (import "env" "proxy_set_tick_period_milliseconds" (func $period (param i32) (result i32)))
        (import "env" "proxy_set_effective_context" (func $enter (param i32) (result i32)))
        (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
        (memory (export "memory") 1)
        (global $held (mut i32) (i32.const 0))
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "proxy_on_request_headers") (param $id i32) (param i32 i32) (result i32)
            (global.set $held (local.get $id)) (drop (call $period (i32.const 10))) (i32.const 1))
        (func (export "proxy_on_tick") (param i32)
            (drop (call $period (i32.const 0))) (drop (call $enter (global.get $held))) (drop (call $continue (i32.const 0)))))"#;
    let site = site(|options| options.module = Module::from_bytes(filter).unwrap()).await;
    let mut client = http1(site.server.listen).await;
    let before = std::time::Instant::now();
    for _ in 0..10 {
        let response = send(&mut client, ask("/")).await;
        response.into_body().collect().await.unwrap();
    }
    // Each of them would wait for the thread's next beat, half a second at most; ten of them for five.
    assert!(before.elapsed() < Duration::from_secs(3), "{:?}", before.elapsed());
}
