//! gRPC servers; the one that answers does what the method's name says: the same frames to whichever proxy asks.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Body, Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::http1::{quoted, shown};

/// What a response is made of, as it is sent.
#[derive(Debug)]
enum Piece {
    Data(Vec<u8>),
    Trailers(Vec<(&'static str, &'static str)>),
    /// The stream is reset.
    Reset,
}

type Pieces = mpsc::UnboundedSender<Piece>;
type AnyBody = Pin<Box<dyn Body<Data = Bytes, Error = std::io::Error> + Send>>;

/// What a server does with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// It answers as the method's name says.
    Answers,
    /// It says nothing at all.
    Silent,
    /// It reads what comes and closes the connection.
    Closes,
}

/// Starts a server on a free loopback port; it serves until the process ends.
pub(super) fn start(manner: Manner) -> SocketAddr {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((socket, _)) = listener.accept().await {
                let _ = socket.set_nodelay(true);
                tokio::spawn(serve(socket, manner));
            }
        });
    });
    address
}

async fn serve(mut socket: TcpStream, manner: Manner) {
    if manner == Manner::Answers {
        let service = hyper::service::service_fn(answer);
        let http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let _ = http2.serve_connection(TokioIo::new(socket), service).await;
        return;
    }
    let mut buffer = [0; 4096];
    let quiet = if manner == Manner::Silent { Duration::MAX } else { Duration::from_millis(50) };
    while let Ok(Ok(1..)) = tokio::time::timeout(quiet, socket.read(&mut buffer)).await {}
}

/// A message as it is sent.
fn framed(flags: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[flags], &length[..], message].concat()
}

async fn answer(request: Request<Incoming>) -> Result<Response<AnyBody>, std::io::Error> {
    let method = request.uri().path().rsplit_once('/').map_or("", |(_, method)| method).to_owned();
    let (pieces, receiver) = mpsc::unbounded_channel();
    let mut response = Response::new(body(receiver));
    let metadata = [
        ("content-type", "application/grpc"),
        ("x-initial", "yes"),
        ("x-initial", "again"),
        ("x-initial-bin", "AAEC"),
        ("x-remove-me", "please"),
    ];
    for (name, value) in metadata {
        response.headers_mut().append(name, HeaderValue::from_static(value));
    }
    match method.as_str() {
        "trailers-only" => {
            response.headers_mut().extend(fields(&[("grpc-status", "7"), ("grpc-message", "not%20you")]));
            return Ok(response.map(|_| empty()));
        }
        "trailers-only-ok" => {
            response.headers_mut().extend(fields(&[("grpc-status", "0")]));
            return Ok(response.map(|_| empty()));
        }
        "headers-only" => return Ok(response.map(|_| empty())),
        "not-found" | "unavailable" | "teapot" => {
            *response.status_mut() = match method.as_str() {
                "not-found" => StatusCode::NOT_FOUND,
                "unavailable" => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::IM_A_TEAPOT,
            };
            pieces.send(Piece::Data(b"<html>".to_vec())).unwrap();
            return Ok(response);
        }
        "not-found-grpc" => {
            *response.status_mut() = StatusCode::NOT_FOUND;
            response.headers_mut().extend(fields(&[("grpc-status", "5"), ("grpc-message", "nothing there")]));
            return Ok(response.map(|_| empty()));
        }
        "not-found-only" => {
            *response.status_mut() = StatusCode::NOT_FOUND;
            return Ok(response.map(|_| empty()));
        }
        "grpc-status-early" => {
            // In the headers of a response that has a body, where it means nothing.
            response.headers_mut().extend(fields(&[("grpc-status", "5")]));
        }
        "never" => std::future::pending().await,
        "reset" => return Err(std::io::Error::other("reset")),
        "slow" => tokio::time::sleep(Duration::from_millis(120)).await,
        "slower" => tokio::time::sleep(Duration::from_millis(200)).await,
        _ => {}
    }
    tokio::spawn(respond(method, request, pieces));
    Ok(response)
}

/// Sends what comes after the headers. Nobody may listen any more, which is no matter.
async fn respond(method: String, request: Request<Incoming>, pieces: Pieces) {
    const DONE: &[(&str, &str)] = &[("grpc-status", "0"), ("x-trailing", "end")];
    let data = |bytes: &[u8]| drop(pieces.send(Piece::Data(bytes.to_vec())));
    let trailers = |fields: &[(&'static str, &'static str)]| drop(pieces.send(Piece::Trailers(fields.to_vec())));
    let pause = || tokio::time::sleep(Duration::from_millis(60));
    let hi = framed(0, b"hi");
    match method.as_str() {
        "chat" => converse(request, pieces).await,
        "greets" => {
            data(&hi);
            let _ = request.into_body().collect().await;
            trailers(DONE);
        }
        "early" => {
            data(&hi);
            trailers(DONE);
        }
        "fail" => trailers(&[("grpc-status", "7"), ("grpc-message", "not%20you"), ("x-trailing", "end")]),
        "fail-late" => {
            data(&hi);
            pause().await;
            trailers(&[("grpc-status", "13"), ("grpc-message", "")]);
        }
        "nothing" => trailers(DONE),
        "no-status" => {
            data(&hi);
            trailers(&[("x-trailing", "end")]);
        }
        "no-trailers" => data(&hi),
        "no-trailers-late" => {
            data(&hi);
            pause().await;
        }
        "status-99" => trailers(&[("grpc-status", "99")]),
        "status-16" => trailers(&[("grpc-status", "16")]),
        "status-17" => trailers(&[("grpc-status", "17")]),
        "status-text" => trailers(&[("grpc-status", "abc")]),
        "status-empty" => trailers(&[("grpc-status", "")]),
        "status-negative" => trailers(&[("grpc-status", "-1")]),
        "status-twice" => trailers(&[("grpc-status", "0"), ("grpc-status", "7")]),
        "compressed" => {
            data(&[hi, framed(1, b"zip"), framed(0, b"after")].concat());
            trailers(DONE);
        }
        "compressed-empty" => {
            data(&framed(1, b""));
            trailers(DONE);
        }
        "flags" => {
            data(&[hi, framed(2, b"odd")].concat());
            trailers(DONE);
        }
        "flags-late" => {
            data(&hi);
            pause().await;
            data(&framed(128, b""));
            pause().await;
            trailers(DONE);
        }
        "partial" => {
            data(&framed(0, b"cut off")[..8]);
            pause().await;
            trailers(DONE);
        }
        "partial-end" => {
            data(&framed(0, b"cut off")[..3]);
            pause().await;
        }
        "split" => {
            for piece in framed(0, b"in pieces").chunks(4) {
                data(piece);
                pause().await;
            }
            trailers(DONE);
        }
        "both" => {
            data(&[hi, framed(0, b"second")].concat());
            trailers(DONE);
        }
        "three" => {
            for message in ["one", "", "three"] {
                data(&framed(0, message.as_bytes()));
                pause().await;
            }
            trailers(DONE);
        }
        "quick" => {
            data(&framed(0, b"one"));
            tokio::time::sleep(Duration::from_millis(20)).await;
            data(&framed(0, b"two"));
            trailers(DONE);
        }
        "empty" => {
            data(&framed(0, b""));
            trailers(DONE);
        }
        "big" => {
            data(&framed(0, "0123456789".repeat(200_000).as_bytes()));
            trailers(DONE);
        }
        "stalls" => {
            data(&hi);
            std::future::pending::<()>().await;
        }
        "headers-never" => std::future::pending().await,
        "headers-reset" => {
            pause().await;
            let _ = pieces.send(Piece::Reset);
        }
        "message-reset" => {
            data(&hi);
            pause().await;
            let _ = pieces.send(Piece::Reset);
        }
        "html" => {
            data(b"<html> this is no frame");
        }
        _ => {
            let told = told(request).await;
            data(&framed(0, told.as_bytes()));
            trailers(DONE);
        }
    }
}

/// What the server got.
async fn told(request: Request<Incoming>) -> String {
    let (head, body) = request.into_parts();
    let mut headers: Vec<_> = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    headers.sort();
    let target = head.uri.path_and_query().map_or("", |path| path.as_str());
    let authority = head.uri.authority().map_or("", |authority| authority.as_str());
    let body = match body.collect().await {
        Ok(body) => quoted(&body.to_bytes()),
        Err(_) => "broken off".to_owned(),
    };
    format!("saw {} {authority} {target} [{}] {body}", head.method, shown(&headers))
}

/// Says what it heard to each message, and what it thinks of the end.
async fn converse(request: Request<Incoming>, pieces: Pieces) {
    let mut body = request.into_body();
    let mut held = Vec::new();
    loop {
        match body.frame().await {
            Some(Ok(frame)) => held.extend(frame.into_data().unwrap_or_default()),
            // Nobody is there to be told.
            Some(Err(_)) => return,
            None => break,
        }
        while let Some(length) = held.get(1..5).map(|length| u32::from_be_bytes(length.try_into().unwrap()) as usize)
            && held.len() >= 5 + length
        {
            let message: Vec<u8> = held.drain(..5 + length).skip(5).collect();
            let heard = [b"heard ", message.as_slice()].concat();
            let _ = pieces.send(Piece::Data(framed(0, &heard)));
        }
    }
    let _ = pieces.send(Piece::Data(framed(0, b"that was all")));
    let _ = pieces.send(Piece::Trailers(vec![("grpc-status", "0")]));
}

fn fields(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let field =
        |(name, value): &(&'static str, &'static str)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    fields.iter().map(field).fold(HeaderMap::new(), |mut map, (name, value)| {
        map.append(name, value);
        map
    })
}

fn body(receiver: mpsc::UnboundedReceiver<Piece>) -> AnyBody {
    Box::pin(StreamBody::new(frames(receiver)))
}

fn frames(receiver: mpsc::UnboundedReceiver<Piece>) -> impl Stream<Item = std::io::Result<Frame<Bytes>>> {
    futures_util::stream::unfold(receiver, |mut receiver| async move {
        let frame = match receiver.recv().await? {
            Piece::Data(data) => Ok(Frame::data(data.into())),
            Piece::Trailers(trailers) => Ok(Frame::trailers(fields(&trailers))),
            Piece::Reset => Err(std::io::Error::other("reset")),
        };
        Some((frame, receiver))
    })
}

fn empty() -> AnyBody {
    Box::pin(http_body_util::Empty::new().map_err(|never: Infallible| match never {}))
}
