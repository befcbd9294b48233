//! What passes over HTTP/1, byte for byte on both sides of the proxy: trailers, and what a message without a body says of it.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::support::{Site, read_some, site};

/// An upstream that tells each request as it came, and answers each with the same bytes. Connections stay open.
async fn upstream(answer: &'static [u8]) -> (Site, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (seen, requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let seen = seen.clone();
            tokio::spawn(async move {
                while let Some(request) = request(&mut socket).await {
                    let _ = seen.send(request);
                    socket.write_all(answer).await.unwrap();
                }
            });
        }
    });
    (site(|options| options.upstream = address.into()).await, requests)
}

/// One request, up to the empty line that ends its head or its chunks.
async fn request(socket: &mut TcpStream) -> Option<String> {
    let mut text = String::new();
    loop {
        text.push(char::from(socket.read_u8().await.ok()?));
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let chunked = head.contains("transfer-encoding: chunked");
        let ended = body.ends_with("\r\n\r\n") && (body.starts_with("0\r\n") || body.contains("\r\n0\r\n"));
        if text.contains("\r\n\r\n") && (!chunked || ended) {
            return Some(text);
        }
    }
}

const PLAIN: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const TRAILERS: &[u8] =
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-t: last\r\nX-T: very last\r\n\r\n";
const POST: &str = "POST /a HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n";

fn body(message: &str) -> &str {
    message.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_keeps_trailers_that_nothing_announced() {
    let (site, mut requests) = upstream(PLAIN).await;
    let mut client = site.connect().await;
    // Three on one connection, of which one has none.
    for chunks in ["3\r\nabc\r\n0\r\nx-t: 1\r\nx-t: 2\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n", "0\r\nx-t: 3\r\n\r\n"] {
        client.write_all([POST, chunks].concat().as_bytes()).await.unwrap();
        assert!(read_some(&mut client).await.ends_with("ok"));
        assert_eq!(body(&requests.recv().await.unwrap()), chunks);
    }
    site.ended(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_keeps_trailers_that_nobody_asked_for() {
    let (site, _requests) = upstream(TRAILERS).await;
    let mut client = site.connect().await;
    for _ in 0..3 {
        client.write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
        let answer = read_some(&mut client).await;
        assert_eq!(body(&answer), "5\r\nhello\r\n0\r\nx-t: last\r\nx-t: very last\r\n\r\n");
    }
    site.ended(3).await;
    assert_eq!(site.lines()[0]["bytes_sent"], 5, "{}", site.lines()[0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responses_to_requests_sent_at_once_keep_theirs() {
    let (site, _requests) = upstream(TRAILERS).await;
    let mut client = site.connect().await;
    client.write_all("GET / HTTP/1.1\r\nhost: test\r\n\r\n".repeat(20).as_bytes()).await.unwrap();
    let answers = read_some(&mut client).await;
    let end = "0\r\nx-t: last\r\nx-t: very last\r\n\r\n";
    assert_eq!(answers.matches(end).count(), 20, "{answers}");
    assert!(answers.split_inclusive(end).all(|answer| answer.starts_with("HTTP/1.1 200 OK\r\n")), "{answers}");
    site.ended(20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_without_a_body_has_none() {
    let (site, _requests) = upstream(TRAILERS).await;
    let answer = site.raw(b"HEAD / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    assert!(!answer.contains("x-t"), "{answer}");
    site.ended(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_might_have_had_a_body_says_that_it_has_none() {
    let (site, mut requests) = upstream(PLAIN).await;
    for (method, says) in
        [("GET", false), ("HEAD", false), ("DELETE", false), ("POST", true), ("PUT", true), ("OPTIONS", true)]
    {
        site.raw(format!("{method} / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").as_bytes()).await;
        let request = requests.recv().await.unwrap();
        assert_eq!(request.matches("content-length: 0\r\n").count(), usize::from(says), "{request}");
    }
    site.ended(6).await;
}
