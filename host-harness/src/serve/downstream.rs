//! A client's connection: HTTP/1.1 or HTTP/2, whichever it begins with.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes, BytesMut};
use http::{StatusCode, Version};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::exchange;
use super::pool::LocalExecutor;
use super::proxy::{Client, Proxy};
use super::stream::{Guard, flags};
use super::trailers::Trailing;

/// What an HTTP/2 client says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// HTTP/2 header lists are read up to here so that those above the proxy's own limit can be refused and counted.
const MAX_HTTP2_HEADER_LIST: u32 = 1 << 20;

/// Serves one connection to its end.
pub(super) async fn serve(proxy: Rc<Proxy>, mut socket: TcpStream, client: Client) {
    let client = Rc::new(client);
    proxy.counters.cx_total.inc();
    proxy.counters.cx_active.add(1);
    let kill = proxy.kill.clone();
    tokio::select! {
        () = kill.cancelled() => {}
        () = async {
            match first_bytes(&proxy, &mut socket).await {
                First::Http2(read) => serve_http2(&proxy, &client, Prefixed { read, socket }).await,
                First::Http1(read) => serve_http1(&proxy, &client, Prefixed { read, socket }).await,
                First::Broken => broken_off(&proxy, &client),
                First::Nothing => {}
            }
        } => {}
    }
    proxy.counters.cx_active.add(-1);
    proxy.counters.cx_destroy.inc();
}

enum First {
    Http1(Bytes),
    Http2(Bytes),
    /// Closed after some bytes.
    Broken,
    /// Closed before any, or not needed any more.
    Nothing,
}

/// Reads until it is clear whether the client speaks HTTP/2.
async fn first_bytes(proxy: &Proxy, socket: &mut TcpStream) -> First {
    let mut read = BytesMut::with_capacity(PREFACE.len());
    loop {
        let result = tokio::select! {
            result = socket.read_buf(&mut read) => result,
            () = proxy.drain.cancelled(), if read.is_empty() => return First::Nothing,
        };
        if matches!(result, Ok(0) | Err(_)) {
            return if read.is_empty() { First::Nothing } else { First::Broken };
        }
        if read.starts_with(PREFACE) {
            return First::Http2(read.freeze());
        }
        if !PREFACE.starts_with(&read) {
            return First::Http1(read.freeze());
        }
    }
}

async fn serve_http1(proxy: &Rc<Proxy>, client: &Rc<Client>, io: Prefixed) {
    proxy.counters.cx_http1_total.inc();
    let service = service_fn(|request| exchange::handle(Rc::clone(proxy), Rc::clone(client), request));
    let mut builder = http1::Builder::new();
    builder.max_buf_size(proxy.options.max_request_headers.max(8192)).max_headers(100);
    let io = Trailing::new(io, client.trailers.clone());
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(io), service).with_upgrades());
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = proxy.drain.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.as_mut().await
        }
    };
    let Err(error) = result else { return };
    // hyper has answered what it could not parse, below the service: once, and with these statuses. A head that broke off
    // got no answer. Either is a stream, as in Envoy.
    if error.is_parse() {
        let (status, details) = match error.is_parse_too_large() {
            false => (StatusCode::BAD_REQUEST, "http1.codec_error"),
            // Its two limits differ in the status, and only the message tells which it was.
            true if error.to_string().contains("URI") => (StatusCode::URI_TOO_LONG, "http1.headers_too_large"),
            true => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "http1.headers_too_large"),
        };
        let guard = Guard::begin(proxy, client, Version::HTTP_11);
        let stream = guard.stream();
        stream.explain(flags::DOWNSTREAM_PROTOCOL_ERROR, details);
        stream.respond(status.as_u16());
        stream.complete();
        proxy.counters.cx_protocol_error.inc();
    } else if error.is_incomplete_message() && client.open.get() == 0 {
        // With a stream still open, it is that stream which the client left.
        broken_off(proxy, client);
    }
}

/// The client went away within the head of a request.
fn broken_off(proxy: &Rc<Proxy>, client: &Rc<Client>) {
    drop(Guard::begin(proxy, client, Version::HTTP_11));
}

async fn serve_http2(proxy: &Rc<Proxy>, client: &Rc<Client>, io: Prefixed) {
    proxy.counters.cx_http2_total.inc();
    let service = {
        let (proxy, client) = (Rc::clone(proxy), Rc::clone(client));
        service_fn(move |request| exchange::handle(Rc::clone(&proxy), Rc::clone(&client), request))
    };
    let mut builder = http2::Builder::new(LocalExecutor);
    builder
        .max_header_list_size(MAX_HTTP2_HEADER_LIST)
        .max_concurrent_streams(100)
        .initial_stream_window_size(64 << 10)
        .initial_connection_window_size(1 << 20);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(io), service));
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = proxy.drain.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.as_mut().await
        }
    };
    if result.is_err_and(|error| !error.is_closed() && error.is_parse()) {
        proxy.counters.cx_protocol_error.inc();
    }
}

/// A socket of which some bytes were read already.
#[derive(Debug)]
struct Prefixed {
    read: Bytes,
    socket: TcpStream,
}

impl AsyncRead for Prefixed {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.read.is_empty() {
            return Pin::new(&mut this.socket).poll_read(cx, buffer);
        }
        let length = this.read.len().min(buffer.remaining());
        buffer.put_slice(this.read.get(..length).unwrap_or_default());
        this.read.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Prefixed {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}
