//! The servers around Envoy: the upstream, and one for each cluster that answers. They speak HTTP/2, over which each can say
//! whether the end comes with the last piece, have trailers without a word beforehand, and reset one stream alone.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;

use super::pieces::{Pieces, add_lines, lines, read_body};
use crate::HeaderMap;
use crate::suite::check::CalloutSeen;
use crate::suite::format::{Cluster, Payload, Protocol, Rule, RuleAnswer, Stream, StreamReply};
use crate::suite::harness::answer;
use crate::test::Message;

/// In which Envoy tells the upstream whose stream it is; the module does not see it.
pub(super) const STREAM_HEADER: &str = "x-host-harness-stream";

/// Running servers.
#[derive(Debug)]
pub(super) struct Servers {
    pub(super) upstream: SocketAddr,
    /// The upstream of TCP connections.
    pub(super) tcp: Option<Arc<TcpListener>>,
    /// Each cluster's address; none without endpoint.
    pub(super) clusters: Vec<(String, Option<SocketAddr>)>,
    book: Arc<Book>,
    /// Bound and never listening, so that every connection is refused.
    _refusing: Vec<TcpSocket>,
}

/// What servers have to answer, and what they got.
#[derive(Debug, Default)]
struct Book {
    streams: Mutex<HashMap<SocketAddr, Entry>>,
    callouts: Mutex<Vec<CalloutSeen>>,
    /// Bytes in the bodies of callouts.
    callout_bytes: AtomicUsize,
    /// Told when the upstream has got something.
    arrived: Notify,
}

impl Book {
    /// Whether the upstream has got something of a client's stream.
    fn has_arrived(&self, client: SocketAddr) -> bool {
        let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.get(&client).is_none_or(|entry| entry.got.is_some())
    }
}

/// A stream at the upstream.
#[derive(Debug)]
struct Entry {
    reply: Option<StreamReply>,
    after: Duration,
    end_alone: bool,
    got: Option<Message>,
}

/// The most callouts that are kept, and the most bytes in their bodies.
const MOST_CALLOUTS: usize = 65_536;
const MOST_CALLOUT_BYTES: usize = 256 << 20;

type Answer = Result<Response<Pieces>, String>;

impl Servers {
    /// An upstream that refuses connections does nothing else.
    pub(super) async fn start(
        clusters: &[(String, Cluster)],
        upstream_refuses: bool,
        is_tcp: bool,
    ) -> io::Result<Self> {
        let book = Arc::new(Book::default());
        let mut addresses = Vec::new();
        let mut refusing = Vec::new();
        let mut tcp = None;
        let upstream = if upstream_refuses {
            refuse(&mut refusing)?
        } else if is_tcp {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let upstream = listener.local_addr()?;
            tcp = Some(Arc::new(listener));
            upstream
        } else {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let upstream = listener.local_addr()?;
            tokio::spawn(accept(listener, Arc::clone(&book), None));
            upstream
        };
        for (name, cluster) in clusters {
            let address = match cluster {
                Cluster::NoEndpoint => None,
                Cluster::Refused => Some(refuse(&mut refusing)?),
                Cluster::Rules(rules) => {
                    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
                    let address = listener.local_addr()?;
                    let script = Arc::new((name.clone(), rules.clone()));
                    tokio::spawn(accept(listener, Arc::clone(&book), Some(script)));
                    Some(address)
                }
            };
            addresses.push((name.clone(), address));
        }
        Ok(Self { upstream, tcp, clusters: addresses, book, _refusing: refusing })
    }

    /// The upstream is to answer the stream of a client so.
    pub(super) fn expect(&self, client: SocketAddr, stream: &Stream) {
        let entry = Entry {
            reply: stream.reply.clone(),
            after: stream.after,
            end_alone: stream.protocol == Protocol::Http1,
            got: None,
        };
        self.book.streams.lock().unwrap_or_else(PoisonError::into_inner).insert(client, entry);
    }

    /// What the upstream got of a client's stream.
    pub(super) fn take_upstream(&self, client: SocketAddr) -> Option<Message> {
        self.book.streams.lock().unwrap_or_else(PoisonError::into_inner).remove(&client)?.got
    }

    /// Waits until the upstream has got something of a client's stream.
    pub(super) async fn arrival(&self, client: SocketAddr) {
        loop {
            let arrived = self.book.arrived.notified();
            let there = self.book.has_arrived(client);
            if there {
                return;
            }
            arrived.await;
        }
    }

    /// All callouts that came to a server.
    pub(super) fn callouts(&self) -> Vec<CalloutSeen> {
        self.book.callouts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// An address at which every connection is refused.
fn refuse(sockets: &mut Vec<TcpSocket>) -> io::Result<SocketAddr> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let address = socket.local_addr()?;
    sockets.push(socket);
    Ok(address)
}

/// A cluster's name and its rules; the upstream has none.
type Script = Option<Arc<(String, Vec<Rule>)>>;

async fn accept(listener: TcpListener, book: Arc<Book>, script: Script) {
    while let Ok((socket, _)) = listener.accept().await {
        tokio::spawn(serve(socket, Arc::clone(&book), script.clone()));
    }
}

async fn serve(socket: TcpStream, book: Arc<Book>, script: Script) {
    let close = Arc::new(Notify::new());
    let service = service_fn(|request: Request<Incoming>| {
        let (book, script, close) = (Arc::clone(&book), script.clone(), Arc::clone(&close));
        async move {
            match script {
                None => upstream(request, &book, &close).await,
                Some(script) => callout(request, &book, &script, &close).await,
            }
        }
    });
    if socket.set_nodelay(true).is_err() {
        return;
    }
    let serving =
        hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service);
    tokio::select! {
        // A broken connection is Envoy's to tell.
        _ = serving => {}
        () = close.notified() => {}
    }
}

/// The head of a request, and which client Envoy says it is of.
fn head(request: &Request<Incoming>) -> (Message, Option<SocketAddr>) {
    let uri = request.uri();
    let mut headers = HeaderMap::new();
    headers.add(":authority", uri.authority().map_or("", http::uri::Authority::as_str));
    headers.add(":path", uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str));
    headers.add(":method", request.method().as_str());
    headers.add(":scheme", uri.scheme_str().unwrap_or(""));
    add_lines(&mut headers, request.headers());
    let client = headers.get(STREAM_HEADER).and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
    headers.remove(STREAM_HEADER);
    (Message { headers, ..Message::default() }, client)
}

async fn upstream(request: Request<Incoming>, book: &Book, close: &Notify) -> Answer {
    let (mut message, client) = head(&request);
    let client = client.ok_or_else(|| "a stream of nobody".to_owned())?;
    // Headers arrive even where the rest never does.
    keep(book, client, &message);
    read_body(request.into_body(), &mut message).await;
    let script = {
        let mut streams = book.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.get_mut(&client).map(|entry| {
            entry.got = Some(message);
            (entry.reply.clone(), entry.after, entry.end_alone)
        })
    };
    match script {
        Some((Some(reply), after, end_alone)) => {
            tokio::time::sleep(after).await;
            match reply {
                StreamReply::Payload(payload) => response(payload, end_alone),
                StreamReply::Reset => Ok(Response::new(Pieces::breaking_off())),
                StreamReply::Closed | StreamReply::Refused => {
                    close.notify_one();
                    std::future::pending().await
                }
            }
        }
        // The client leaves, and Envoy resets the stream then.
        Some((None, ..)) | None => std::future::pending().await,
    }
}

fn keep(book: &Book, client: SocketAddr, message: &Message) {
    if let Some(entry) = book.streams.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&client) {
        entry.got = Some(message.clone());
    }
    book.arrived.notify_waiters();
}

async fn callout(request: Request<Incoming>, book: &Book, script: &(String, Vec<Rule>), close: &Notify) -> Answer {
    let (cluster, rules) = script;
    let (mut message, _) = head(&request);
    read_body(request.into_body(), &mut message).await;
    let (after, answer) = answer(rules, &message);
    let bytes = book.callout_bytes.fetch_add(message.body.len(), Ordering::Relaxed);
    {
        let mut callouts = book.callouts.lock().unwrap_or_else(PoisonError::into_inner);
        if callouts.len() < MOST_CALLOUTS && bytes < MOST_CALLOUT_BYTES {
            callouts.push(CalloutSeen { cluster: cluster.clone(), message });
        }
    }
    tokio::time::sleep(after).await;
    match answer {
        RuleAnswer::Reply(payload) => response(payload, false),
        RuleAnswer::Silence => std::future::pending().await,
        RuleAnswer::Close => {
            close.notify_one();
            std::future::pending().await
        }
        RuleAnswer::Reset => Ok(Response::new(Pieces::breaking_off())),
    }
}

fn response(payload: Payload, end_alone: bool) -> Answer {
    let status = Message { headers: payload.headers.clone(), ..Message::default() }.status().unwrap_or(200);
    let trailers = payload.trailers.as_ref().map(lines).transpose()?;
    let mut response = Response::new(Pieces::new(payload.pieces, trailers, end_alone));
    *response.status_mut() = http::StatusCode::from_u16(status).map_err(|error| error.to_string())?;
    *response.headers_mut() = lines(&payload.headers)?;
    Ok(response)
}
