//! gRPC callouts over real sockets and threads.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
#![allow(unreachable_pub, missing_docs, missing_debug_implementations, dead_code, reason = "tests")]

#[path = "serve/support.rs"]
mod support;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use host_harness::Module;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use support::{Site, get, http1, http2, send, shutdown, site, until};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// What a gRPC server has seen.
#[derive(Debug, Default)]
struct Seen {
    /// Streams that are open.
    open: AtomicUsize,
    /// Streams that the client has broken off.
    reset: AtomicUsize,
    /// Messages that it has sent and the client's side has taken.
    sent: AtomicUsize,
}

type Pieces = mpsc::Sender<Frame<Bytes>>;
type AnyBody = Pin<Box<dyn Body<Data = Bytes, Error = std::convert::Infallible> + Send>>;

/// Starts a gRPC server that does what the method says.
async fn server() -> (SocketAddr, Arc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::<Seen>::default();
    let of_server = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let seen = Arc::clone(&of_server);
            let service = hyper::service::service_fn(move |request| answer(request, Arc::clone(&seen)));
            let mut http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            http2.max_concurrent_streams(1000);
            tokio::spawn(http2.serve_connection(TokioIo::new(socket), service));
        }
    });
    (address, seen)
}

async fn answer(request: Request<Incoming>, seen: Arc<Seen>) -> Result<Response<AnyBody>, std::convert::Infallible> {
    let (pieces, mut receiver) = mpsc::channel(1);
    let frames = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx).map(|frame| frame.map(Ok)));
    let body: AnyBody = Box::pin(StreamBody::new(frames));
    tokio::spawn(async move {
        seen.open.fetch_add(1, Ordering::Relaxed);
        let method = request.uri().path().rsplit_once('/').map(|(_, method)| method.to_owned()).unwrap();
        converse(&method, request.into_body(), pieces, &seen).await;
        seen.open.fetch_sub(1, Ordering::Relaxed);
    });
    let mut response = Response::new(body);
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    Ok(response)
}

async fn converse(method: &str, mut request: Incoming, pieces: Pieces, seen: &Seen) {
    let message = |size: u32| {
        let bytes = [&[0], size.to_be_bytes().as_slice(), &vec![b'x'; size as usize]].concat();
        Frame::data(Bytes::from(bytes))
    };
    if method == "flood" {
        // What comes is taken, or the server counts it as an attack.
        tokio::spawn(async move { while let Some(Ok(_)) = request.frame().await {} });
        while pieces.send(message(60_000)).await.is_ok() {
            seen.sent.fetch_add(1, Ordering::Relaxed);
        }
        return;
    }
    let mut heard = 0;
    loop {
        match request.frame().await {
            Some(Ok(frame)) => heard += frame.into_data().unwrap_or_default().len() / 10,
            Some(Err(_)) => {
                seen.reset.fetch_add(1, Ordering::Relaxed);
                return;
            }
            None => return,
        }
        if method == "ten" && heard >= 10 {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            drop(pieces.send(Frame::trailers(trailers)).await);
            return;
        }
        if method != "hold" {
            drop(pieces.send(message(3)).await);
        }
    }
}

/// A proxy whose module talks to a gRPC server.
async fn talking(server: SocketAddr) -> Site {
    site(|options| {
        options.module = Module::from_bytes(include_bytes!("serve/talking.wat").as_slice()).unwrap();
        options.clusters = vec![("talks".to_owned(), Some(server.into()))];
        options.drain_timeout = Duration::from_millis(300);
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_streams_talk_at_once() {
    const CONNECTIONS: usize = 8;
    const EACH: usize = 25;
    let (server, seen) = server().await;
    let site = talking(server).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let address = site.server.listen;
        tasks.spawn(async move {
            let mut client = http2(address).await;
            let mut answers = Vec::new();
            for _ in 0..EACH {
                client.ready().await.unwrap();
                let request = Request::get("http://test/ten").body(Full::<Bytes>::default()).unwrap();
                answers.push(client.send_request(request));
            }
            for response in answers {
                let response = response.await.unwrap();
                assert_eq!(response.status(), 200);
                response.into_body().collect().await.unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    // The tenth message gets the trailers.
    assert_eq!(site.counter("wasmcustom.heard"), (CONNECTIONS * EACH * 9) as u64);
    until(|| seen.open.load(Ordering::Relaxed) == 0).await;
    shutdown(site).await;
}

/// What the module does not want any more is reset, and does not look like an end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_reset_with_the_request_that_it_belongs_to() {
    let (server, seen) = server().await;
    let site = talking(server).await;
    let mut client = http1(site.server.listen).await;
    client.ready().await.unwrap();
    let asked = tokio::time::timeout(Duration::from_millis(200), client.send_request(get("/hold"))).await;
    assert!(asked.is_err());
    assert_eq!(seen.open.load(Ordering::Relaxed), 1);
    drop(client);
    until(|| seen.open.load(Ordering::Relaxed) == 0).await;
    assert_eq!(seen.reset.load(Ordering::Relaxed), 1);
    shutdown(site).await;
}

/// A server that never stops sending is slowed down to what the module takes, holds up nobody else, and stops when it is told to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_holds_up_nobody() {
    let (server, seen) = server().await;
    let site = talking(server).await;
    let mut flooded = http1(site.server.listen).await;
    flooded.ready().await.unwrap();
    let asked = tokio::time::timeout(Duration::from_millis(300), flooded.send_request(get("/flood"))).await;
    assert!(asked.is_err());
    for _ in 0..4 {
        let mut client = http1(site.server.listen).await;
        assert_eq!(send(&mut client, get("/ten")).await.status(), 200);
    }
    drop(flooded);
    until(|| seen.open.load(Ordering::Relaxed) == 0).await;
    assert!(seen.sent.load(Ordering::Relaxed) > 10);
    shutdown(site).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_leaves_no_stream_behind() {
    let (server, seen) = server().await;
    let site = talking(server).await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut client = http1(site.server.listen).await;
        client.ready().await.unwrap();
        let response = client.send_request(get("/hold"));
        clients.push((client, tokio::spawn(response)));
    }
    until(|| seen.open.load(Ordering::Relaxed) == 10).await;
    let before = Instant::now();
    shutdown(site).await;
    assert!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());
    until(|| seen.open.load(Ordering::Relaxed) == 0).await;
}
