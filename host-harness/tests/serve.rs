//! The reverse proxy over real sockets: every stream is counted once by the proxy, once by the module, once in the log.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
#![allow(unreachable_pub, missing_docs, missing_debug_implementations, reason = "tests")]

#[path = "serve/support.rs"]
mod support;
#[path = "serve/wire.rs"]
mod wire;

use std::time::Duration;

use bytes::Bytes;
use host_harness::PluginConfig;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use support::{Site, get, get2, http1, http2, read_some, send, site, until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const MULTI: &str = "HTTP/1.1\r\nhost: test\r\n";

fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or(answer)
}

/// One request's text on a connection of its own: the answer's status, or what came instead.
async fn check(site: &Site, request: impl AsRef<[u8]>, wanted: &str) {
    let answer = site.raw(request.as_ref()).await;
    assert_eq!(status(&answer), wanted, "{answer:?} to {:?}", String::from_utf8_lossy(request.as_ref()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_of_all_kinds_are_counted_once() {
    let site = site(|_| {}).await;
    let mut client = http1(site.server.listen).await;
    for status in [200, 204, 304, 404, 418, 500, 599] {
        let response = send(&mut client, get(&format!("/status/{status}"))).await;
        assert_eq!(response.status().as_u16(), status);
        response.into_body().collect().await.unwrap();
    }
    let head = Request::head("/big").header("host", "test").body(Full::default()).unwrap();
    let response = send(&mut client, head).await;
    assert_eq!(response.headers()["content-length"], "8388608");
    let response = send(&mut client, get("/big")).await;
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), 8 << 20);
    site.ended(9).await;
    assert_eq!(site.counter("wasmcustom.request_headers"), 9);
    assert_eq!(site.counter("wasmcustom.response_headers"), 9);
    assert!(site.lines().iter().all(|line| line["flags"] == "-" && line["seen"] == "yes"));
    assert_eq!(site.counter("http.ingress.downstream_cx_total"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_requests_get_one_answer_and_are_counted_once() {
    let site = site(|_| {}).await;
    let long = "a".repeat(100 << 10);
    let cases = [
        (String::from("GET / HTTP/1.1\r\n\r\n"), "400"),
        (format!("BREW / {MULTI}\r\n"), "400"),
        (format!("GET /\u{e9} {MULTI}\r\n"), "400"),
        (format!("GET /a b {MULTI}\r\n"), "400"),
        (String::from("\0\u{1}garbage\r\n\r\n"), "400"),
        (String::from("\u{16}\u{3}\u{1}\u{2}\0"), "400"),
        (format!("GET / {MULTI}no colon\r\n\r\n"), "400"),
        (format!("GET / {MULTI}x: a\0b\r\n\r\n"), "400"),
        (format!("POST / {MULTI}content-length: -1\r\n\r\n"), "400"),
        (format!("POST / {MULTI}content-length: 1\r\ncontent-length: 2\r\n\r\nab"), "400"),
        (String::from("GET / HTTP/1.0\r\nhost: a\r\n\r\n"), "426"),
        (format!("GET / {MULTI}x: {long}\r\n\r\n"), "431"),
        (format!("GET /{long} {MULTI}\r\n"), "414"),
        (format!("GET / {MULTI}{}\r\n", "x: 1\r\n".repeat(101)), "431"),
        (format!("CONNECT a:443 {MULTI}\r\n"), "404"),
        (format!("OPTIONS * {MULTI}\r\n"), "404"),
        (format!("GET / {MULTI}connection: upgrade\r\nupgrade: other\r\n\r\n"), "403"),
        (format!("GET https://a/ {MULTI}\r\n"), "403"),
        (format!("POST /echo {MULTI}transfer-encoding: chunked\r\n\r\nzz\r\n"), "400"),
    ];
    let mut streams = 0;
    for (request, wanted) in &cases {
        check(&site, request, wanted).await;
        streams += 1;
        site.ended(streams).await;
        assert_eq!(site.last().0.to_string(), *wanted, "{request:?}");
    }
    // A good request, then a bad one, in one go: two streams.
    let answer = site.raw(format!("GET /status/200 {MULTI}\r\nBAD\r\n\r\n").as_bytes()).await;
    assert!(answer.contains("HTTP/1.1 200 OK") && answer.contains("HTTP/1.1 400 Bad Request"), "{answer}");
    site.ended(streams + 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_breaks_off_is_a_stream_without_status() {
    let site = site(|_| {}).await;
    let mut streams = 0;
    for part in ["GE", "GET /x", "GET /x HTTP/1.1\r\nHo", "PRI * HT"] {
        let mut socket = site.connect().await;
        socket.write_all(part.as_bytes()).await.unwrap();
        drop(socket);
        streams += 1;
        site.ended(streams).await;
        assert_eq!(site.last(), (0, "DC".into(), "downstream_remote_disconnect".into()));
    }
    drop(site.connect().await);
    let mut idle = site.connect().await;
    idle.write_all(format!("GET /status/200 {MULTI}\r\n").as_bytes()).await.unwrap();
    assert_eq!(status(&read_some(&mut idle).await), "200");
    drop(idle);
    until(|| site.server.shared().stats().gauge("http.ingress.downstream_cx_active").value() == 0).await;
    site.ended(streams + 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_leave_are_seen_at_once() {
    let site = site(|_| {}).await;
    let mut socket = site.connect().await;
    socket.write_all(format!("GET /never {MULTI}\r\n").as_bytes()).await.unwrap();
    until(|| site.counter("wasmcustom.request_headers") == 1).await;
    drop(socket);
    site.ended(1).await;
    assert_eq!(site.last(), (0, "DC".into(), "downstream_remote_disconnect".into()));

    // In the middle of its own body.
    let mut socket = site.connect().await;
    socket.write_all(format!("POST /echo {MULTI}content-length: 10\r\n\r\nab").as_bytes()).await.unwrap();
    let mut answer = [0; 15];
    socket.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    drop(socket);
    site.ended(2).await;
    assert_eq!(site.last().0, 200);
    assert_ne!(site.last().1, "-");

    // In the middle of its own body, of which the upstream did not want the rest.
    let mut socket = site.connect().await;
    socket.write_all(format!("POST /status/404 {MULTI}content-length: 10\r\n\r\nab").as_bytes()).await.unwrap();
    assert_eq!(status(&read_some(&mut socket).await), "404");
    drop(socket);
    until(|| site.server.shared().stats().gauge("http.ingress.downstream_cx_active").value() == 0).await;
    site.ended(3).await;

    // In the middle of the response.
    let mut socket = site.connect().await;
    socket.write_all(format!("GET /trickle {MULTI}\r\n").as_bytes()).await.unwrap();
    socket.read_exact(&mut answer).await.unwrap();
    drop(socket);
    site.ended(4).await;
    assert_eq!(site.last(), (200, "DC".into(), "downstream_remote_disconnect".into()));

    // One stream of an HTTP/2 connection.
    let mut client = http2(site.server.listen).await;
    let response = tokio::time::timeout(Duration::from_millis(200), client.send_request(get2("/never"))).await;
    assert!(response.is_err());
    site.ended(5).await;
    assert_eq!(site.last(), (0, "DC".into(), "downstream_remote_disconnect".into()));
    assert_eq!(client.send_request(get2("/status/200")).await.unwrap().status(), 200);
    site.ended(6).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_upstream_is_told_to_the_client_and_the_module() {
    let site = site(|options| options.route_timeout = Duration::from_millis(300)).await;
    check(&site, format!("GET /raw/reset {MULTI}\r\n"), "503").await;
    site.ended(1).await;
    let details = |reason: &str| format!("upstream_reset_before_response_started{{{reason}}}");
    assert_eq!(site.last(), (503, "UC".into(), details("connection_termination")));
    check(&site, format!("GET /raw/garbage {MULTI}\r\n"), "502").await;
    site.ended(2).await;
    assert_eq!(site.last(), (502, "UPE".into(), details("protocol_error")));
    check(&site, format!("GET /raw/cut {MULTI}\r\n"), "200").await;
    site.ended(3).await;
    let cut = "upstream_reset_after_response_started{connection_termination}";
    assert_eq!(site.last(), (200, "UC".into(), cut.into()));
    check(&site, format!("GET /never {MULTI}\r\n"), "504").await;
    site.ended(4).await;
    assert_eq!(site.last(), (504, "UT".into(), "response_timeout".into()));
    assert!(site.lines()[3]["duration_us"].as_u64().unwrap() >= 300_000);
    check(&site, format!("GET /trickle {MULTI}\r\n"), "200").await;
    site.ended(5).await;
    assert_eq!(site.last(), (200, "UT".into(), "response_timeout".into()));
    assert_eq!(site.counter("wasmcustom.response_headers"), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_upstream_means_503() {
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let site = site(|options| options.upstream = dead.into()).await;
    let answer = site.raw(format!("GET / {MULTI}\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("reset reason: remote connection failure"), "{answer}");
    site.ended(1).await;
    let details =
        "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}";
    assert_eq!(site.last(), (503, "UF".into(), details.into()));
    assert_eq!(site.counter("wasmcustom.response_headers"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_stream_both_ways() {
    let site = site(|_| {}).await;
    let mut socket = site.connect().await;
    socket.write_all(format!("POST /echo {MULTI}transfer-encoding: chunked\r\n\r\n").as_bytes()).await.unwrap();
    let mut seen = String::new();
    for word in ["one", "two", "three"] {
        socket.write_all(format!("{:x}\r\n{word}\r\n", word.len()).as_bytes()).await.unwrap();
        // Each word comes back before the next is sent.
        while !seen.contains(word) {
            let mut buffer = [0; 1024];
            let read = tokio::time::timeout(Duration::from_secs(5), socket.read(&mut buffer)).await.unwrap().unwrap();
            assert_ne!(read, 0, "{seen}");
            seen.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        }
    }
    socket.write_all(b"0\r\n\r\n").await.unwrap();
    assert!(read_some(&mut socket).await.ends_with("0\r\n\r\n"));
    site.ended(1).await;
    let line = site.lines().pop().unwrap();
    assert_eq!((line["bytes_received"].as_u64(), line["bytes_sent"].as_u64()), (Some(11), Some(11)));

    // Larger than every buffer on the way, over HTTP/2.
    let mut client = http2(site.server.listen).await;
    let body = Bytes::from((0..=255).cycle().take(3_000_000).collect::<Vec<u8>>());
    let request = Request::post("http://test/echo").body(Full::new(body.clone())).unwrap();
    let response = client.send_request(request).await.unwrap();
    assert!(response.into_body().collect().await.unwrap().to_bytes() == body);
    site.ended(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_holds_the_upstream_back() {
    let site = site(|_| {}).await;
    let mut slow = site.connect().await;
    slow.write_all(format!("GET /big {MULTI}\r\n").as_bytes()).await.unwrap();
    until(|| site.counter("wasmcustom.response_headers") == 1).await;
    // Others are served meanwhile, also on the same worker.
    for _ in 0..4 {
        check(&site, format!("GET /status/200 {MULTI}\r\n"), "200").await;
    }
    let mut read = 0;
    let mut buffer = vec![0; 64 << 10];
    while read < 8 << 20 {
        read += tokio::time::timeout(Duration::from_secs(5), slow.read(&mut buffer)).await.unwrap().unwrap();
    }
    site.ended(5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_may_send_its_head_a_byte_at_a_time() {
    let site = site(|_| {}).await;
    let mut socket = site.connect().await;
    for byte in format!("GET /status/200 {MULTI}\r\n").bytes() {
        socket.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(status(&read_some(&mut socket).await), "200");
    site.ended(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_keeps_its_trailers() {
    let site = site(|_| {}).await;
    let mut client = http2(site.server.listen).await;
    let request = Request::post("http://test/grpc")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(Bytes::from_static(b"message")))
        .unwrap();
    let response = client.send_request(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["grpc-status"], "5");
    assert_eq!(body.to_bytes(), "message");
    site.ended(1).await;
    assert_eq!(site.last(), (200, "-".into(), "via_upstream".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn header_values_pass_as_bytes() {
    let site = site(|_| {}).await;
    let mut socket = site.connect().await;
    let mut request = Vec::from(format!("GET /echo {MULTI}x-value: ").as_bytes());
    request.extend_from_slice(b"\xff\xfe\r\nx-list: 1\r\nx-list: 2\r\nconnection: x-secret\r\nx-secret: 1\r\n\r\n");
    socket.write_all(&request).await.unwrap();
    let mut answer = vec![0; 2048];
    let read = socket.read(&mut answer).await.unwrap();
    let answer = &answer[..read];
    let contains = |part: &[u8]| answer.windows(part.len()).any(|window| window == part);
    assert!(contains(b"x-value: \xff\xfe\r\n"));
    assert!(contains(b"x-list: 1\r\nx-list: 2\r\n"));
    assert!(contains(b"x-forwarded-for: 127.0.0.1\r\n") && contains(b"x-forwarded-proto: http\r\n"));
    assert!(contains(b"x-request-id: ") && !contains(b"x-secret"));
    let mut socket = site.connect().await;
    socket.write_all(format!("GET /raw/8bit {MULTI}\r\n").as_bytes()).await.unwrap();
    let mut answer = vec![0; 2048];
    let read = socket.read(&mut answer).await.unwrap();
    assert!(answer[..read].windows(11).any(|window| window == b"x-value: \xff\xfe"));
    assert!(!answer[..read].windows(6).any(|window| window == b"x-mine"));
    site.ended(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn websockets_pass_bytes_both_ways() {
    let site = site(|_| {}).await;
    let mut socket = site.connect().await;
    let upgrade = "connection: Upgrade\r\nupgrade: websocket\r\n\r\n";
    socket.write_all(format!("GET /websocket {MULTI}{upgrade}").as_bytes()).await.unwrap();
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        head.push(char::from(socket.read_u8().await.unwrap()));
    }
    assert!(head.starts_with("HTTP/1.1 101") && head.contains("upgrade: websocket"), "{head}");
    for word in ["ping", "pong"] {
        socket.write_all(word.as_bytes()).await.unwrap();
        let mut echo = [0; 4];
        socket.read_exact(&mut echo).await.unwrap();
        assert_eq!(&echo, word.as_bytes());
    }
    assert_eq!(site.server.shared().stats().gauge("http.ingress.downstream_cx_upgrades_active").value(), 1);
    // Half closed: what was sent before still comes back.
    socket.write_all(b"last").await.unwrap();
    socket.shutdown().await.unwrap();
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"last");
    site.ended(1).await;
    assert_eq!(site.last().0, 101);
    assert_eq!(site.lines()[0]["bytes_received"], 12);

    // An upstream that does not want to.
    check(&site, format!("GET /status/200 {MULTI}{upgrade}"), "200").await;
    site.ended(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_requests_share_a_connection() {
    let site = site(|_| {}).await;
    let client = http2(site.server.listen).await;
    let mut requests = tokio::task::JoinSet::new();
    for number in 0..50 {
        let mut client = client.clone();
        requests.spawn(async move {
            let response = client.send_request(get2(&format!("/status/{}", 200 + number % 4))).await.unwrap();
            response.into_body().collect().await.unwrap();
        });
    }
    while let Some(done) = requests.join_next().await {
        done.unwrap();
    }
    let mut client = client;
    let long = Request::get("http://test/").header("x", "a".repeat(100 << 10)).body(Full::default()).unwrap();
    assert_eq!(client.send_request(long).await.unwrap().status(), 431);
    let custom = Request::builder().method("BREW").uri("http://test/").body(Full::default()).unwrap();
    assert_eq!(client.send_request(custom).await.unwrap().status(), 200);
    site.ended(52).await;
    assert_eq!(site.counter("http.ingress.downstream_cx_http2_total"), 1);
    assert_eq!(site.counter("http.ingress.downstream_rq_http2_total"), 52);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_may_hold_a_request_for_a_while() {
    let plugin = PluginConfig { configuration: b"hold".to_vec(), ..PluginConfig::default() };
    let site = site(|options| options.plugin = plugin).await;
    check(&site, format!("POST /echo {MULTI}content-length: 2\r\n\r\nab"), "200").await;
    site.ended(1).await;
    // A client that leaves while it is held.
    let mut socket = site.connect().await;
    socket.write_all(format!("GET /status/200 {MULTI}\r\n").as_bytes()).await.unwrap();
    drop(socket);
    site.ended(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_connections_are_served_and_shared_out() {
    let site = site(|_| {}).await;
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let address = site.server.listen;
        clients.spawn(async move {
            let mut client = http1(address).await;
            for path in ["/status/200", "/echo", "/status/404"] {
                send(&mut client, get(path)).await.into_body().collect().await.unwrap();
            }
        });
    }
    while let Some(done) = clients.join_next().await {
        done.unwrap();
    }
    site.ended(3000).await;
    let gauge = |name: &str| site.server.shared().stats().gauge(&format!("http.ingress.downstream_{name}")).value();
    until(|| gauge("cx_active") == 0).await;
    assert_eq!(gauge("rq_active"), 0);
    assert_eq!(site.counter("http.ingress.downstream_cx_total"), 1000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_lets_requests_finish_and_ends_the_roots() {
    let site = site(|options| options.drain_timeout = Duration::from_secs(5)).await;
    let mut idle = site.connect().await;
    let mut busy = site.connect().await;
    busy.write_all(format!("GET /slow {MULTI}\r\n").as_bytes()).await.unwrap();
    until(|| site.counter("wasmcustom.request_headers") == 1).await;
    let shared = std::sync::Arc::clone(site.server.shared());
    let listen = site.server.listen;
    let answer = tokio::spawn(async move { read_some(&mut busy).await });
    support::shutdown(site).await;
    let answer = answer.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(read_some(&mut idle).await, "");
    let counter = |name: &str| shared.stats().counter(name).value();
    assert_eq!(counter("wasmcustom.logged"), 1);
    // The main thread's and two workers'.
    assert_eq!(counter("wasmcustom.roots_ended"), 3);
    assert!(tokio::net::TcpStream::connect(listen).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_does_not_wait_for_ever() {
    let site = site(|options| options.drain_timeout = Duration::from_millis(100)).await;
    let mut busy = site.connect().await;
    busy.write_all(format!("GET /never {MULTI}\r\n").as_bytes()).await.unwrap();
    until(|| site.counter("wasmcustom.request_headers") == 1).await;
    let shared = std::sync::Arc::clone(site.server.shared());
    support::shutdown(site).await;
    assert_eq!(shared.stats().counter("wasmcustom.logged").value(), 1);
    assert_eq!(shared.stats().counter("wasmcustom.roots_ended").value(), 3);
    assert_eq!(read_some(&mut busy).await, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admin_port_shows_stats_and_health() {
    let site = site(|_| {}).await;
    check(&site, format!("GET /status/200 {MULTI}\r\n"), "200").await;
    site.ended(1).await;
    let mut admin = http1(site.server.admin).await;
    let mut pages = Vec::new();
    for path in
        ["/metrics", "/stats/prometheus", "/stats?format=prometheus", "/stats", "/ready", "/healthz", "/", "/no"]
    {
        let response = send(&mut admin, get(path)).await;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        pages.push((status, String::from_utf8(body.to_vec()).unwrap()));
    }
    assert!(pages[0].1.contains("\nenvoy_http_downstream_rq_total{envoy_http_conn_manager_prefix=\"ingress\"} 1\n"));
    assert!(pages[0].1.contains("\nlogged{} 1\n"));
    assert_eq!(pages[0], pages[1]);
    assert_eq!(pages[0], pages[2]);
    assert!(pages[3].1.contains("http.ingress.downstream_rq_2xx: 1\n"));
    assert_eq!(pages[4], (200, "LIVE\n".into()));
    assert!(pages[5].0 == 200 && pages[5].1.lines().count() == 3, "{:?}", pages[5]);
    assert_eq!((pages[6].0, pages[7].0), (200, 404));
    let post = Request::post("/stats").header("host", "a").body(Full::default()).unwrap();
    assert_eq!(send(&mut admin, post).await.status(), 405);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_prevents_a_start_is_said() {
    let first = site(|_| {}).await;
    let mut options = host_harness::serve::ServeOptions::new(
        support::module(),
        PluginConfig::default(),
        "http://127.0.0.1:1".parse().unwrap(),
    );
    options.listen = first.server.listen;
    let error = host_harness::serve::start(options.clone()).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot listen on {}: Address already in use", first.server.listen)), "{error}");
    options.listen = ([127, 0, 0, 1], 0).into();
    options.access_log = Some("/nowhere/access.log".into());
    let error = host_harness::serve::start(options.clone()).await.unwrap_err().to_string();
    assert!(error.starts_with("cannot open the access log /nowhere/access.log: "), "{error}");
    options.access_log = None;
    let refusing = r#"(module (memory (export "memory") 1) (func (export "proxy_abi_version_0_2_1"))
        (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 0))
        (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 0)))"#;
    options.module = host_harness::Module::from_bytes(refusing.as_bytes()).unwrap();
    let error = host_harness::serve::start(options).await.unwrap_err().to_string();
    assert!(error.contains("refused"), "{error}");
}
