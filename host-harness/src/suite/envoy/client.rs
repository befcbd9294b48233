//! Streams to Envoy, each on a connection of its own.

use std::net::SocketAddr;
use std::time::Duration;

use http::{HeaderValue, Request, Response, Uri, header};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::pieces::{self, Pieces, add_lines, read_body};
use super::servers::Servers;
use crate::HeaderMap;
use crate::suite::check::StreamSeen;
use crate::suite::format::{Payload, Protocol, Stream};
use crate::test::Message;

/// How long an answer may take, besides what the upstream is to take.
const PATIENCE: Duration = Duration::from_secs(10);
/// After which a stream is held that is meant to be.
const HELD_AFTER: Duration = Duration::from_secs(1);
/// How long a client that leaves waits for its request to arrive.
const LEAVES_AFTER: Duration = Duration::from_millis(500);

/// What a client has seen.
#[derive(Debug)]
pub(super) struct Sent {
    /// Its address; none where Envoy had to be asked nothing.
    pub(super) client: Option<SocketAddr>,
    pub(super) seen: StreamSeen,
}

/// Sends a stream, and takes the answer.
pub(super) async fn send(listen: SocketAddr, stream: &Stream, servers: &Servers) -> Result<Sent, String> {
    let socket = TcpStream::connect(listen).await.map_err(|error| format!("no connection to Envoy: {error}"))?;
    socket.set_nodelay(true).map_err(|error| error.to_string())?;
    let client = socket.local_addr().map_err(|error| error.to_string())?;
    servers.expect(client, stream);
    let request = request(stream)?;
    let answer = exchange(socket, stream.protocol, request);
    if stream.reply.is_none() {
        tokio::select! {
            _ = answer => {}
            () = servers.arrival(client) => {}
            () = tokio::time::sleep(LEAVES_AFTER) => {}
        }
        return Ok(Sent { client: Some(client), seen: StreamSeen::default() });
    }
    let patience = if stream.expect.held == Some(true) { HELD_AFTER } else { PATIENCE };
    let answer = tokio::time::timeout(patience.saturating_add(stream.after), answer).await;
    let (response, held) = match answer {
        Ok(answer) => (answer, false),
        Err(_) => (None, true),
    };
    Ok(Sent { client: Some(client), seen: StreamSeen { response, held, ..StreamSeen::default() } })
}

/// None where the stream was reset.
async fn exchange(socket: TcpStream, protocol: Protocol, request: Request<Pieces>) -> Option<Message> {
    let io = TokioIo::new(socket);
    // The connection must be driven while the answer comes, and ends with it.
    match protocol {
        Protocol::Http1 => {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.ok()?;
            let answer = async { read(sender.send_request(request).await.ok()?).await };
            drive(answer, connection).await
        }
        Protocol::Http2 => {
            let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
            let (mut sender, connection) = builder.handshake(io).await.ok()?;
            let answer = async { read(sender.send_request(request).await.ok()?).await };
            drive(answer, connection).await
        }
    }
}

async fn drive(
    answer: impl Future<Output = Option<Message>>,
    connection: impl Future<Output = hyper::Result<()>>,
) -> Option<Message> {
    tokio::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        // What has been read is still to be taken.
        _ = connection => answer.await,
    }
}

async fn read(response: Response<Incoming>) -> Option<Message> {
    let (head, body) = response.into_parts();
    let mut headers = HeaderMap::from([(":status", head.status.as_str())]);
    add_lines(&mut headers, &head.headers);
    let mut message = Message { headers, ..Message::default() };
    read_body(body, &mut message).await.then_some(message)
}

fn request(stream: &Stream) -> Result<Request<Pieces>, String> {
    let Payload { headers, pieces: body, trailers } = &stream.request;
    let text = |name: &str| {
        let value = headers.get(name).unwrap_or_default();
        std::str::from_utf8(value).map_err(|_| format!("`{name}` cannot be sent: it is not UTF-8"))
    };
    let (path, authority, scheme) = (text(":path")?, text(":authority")?, text(":scheme")?);
    let mut lines = pieces::lines(headers)?;
    let uri = match stream.protocol {
        Protocol::Http1 => {
            if !authority.is_empty() {
                let host = HeaderValue::from_str(authority).map_err(|error| error.to_string())?;
                lines.insert(header::HOST, host);
            }
            Uri::builder().path_and_query(path).build()
        }
        Protocol::Http2 => Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build(),
    };
    let trailers = trailers.as_ref().map(pieces::lines).transpose()?;
    if let (Protocol::Http1, Some(trailers)) = (stream.protocol, &trailers) {
        // Over HTTP/1.1 they have to be announced.
        let names: Vec<&str> = trailers.keys().map(header::HeaderName::as_str).collect();
        lines.insert(header::TRAILER, HeaderValue::from_str(&names.join(", ")).map_err(|error| error.to_string())?);
    }
    let end_alone = stream.protocol == Protocol::Http1;
    let mut request = Request::new(Pieces::new(body.clone(), trailers, end_alone));
    *request.method_mut() = text(":method")?.parse().map_err(|_| "the method cannot be sent".to_owned())?;
    *request.uri_mut() = uri.map_err(|error| format!("`{path}` cannot be sent: {error}"))?;
    *request.headers_mut() = lines;
    Ok(request)
}
