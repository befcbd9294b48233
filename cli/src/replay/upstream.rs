//! The upstream that answers as the log did.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderName, Request, Response, StatusCode};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::Wire;
use crate::accept;

/// The header by which the upstream knows a request: its place among those that are sent.
pub const REPLAY_ID: HeaderName = HeaderName::from_static("x-replay-id");

static FILLER: [u8; 64 << 10] = [b'.'; 64 << 10];

/// The running upstream; dropping it ends it.
#[derive(Debug)]
pub struct ReplayUpstream {
    address: SocketAddr,
    strays: Arc<AtomicU64>,
    accepting: JoinHandle<Infallible>,
}

impl ReplayUpstream {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start(answers: Arc<Vec<Wire>>) -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("the replay's upstream cannot listen")?;
        let address = listener.local_addr()?;
        let strays = Arc::new(AtomicU64::new(0));
        let accepting = tokio::spawn(serve(listener, answers, Arc::clone(&strays)));
        Ok(Self { address, strays, accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests that carried no known [`REPLAY_ID`]; they were answered with 500.
    pub fn strays(&self) -> u64 {
        self.strays.load(Ordering::Relaxed)
    }
}

impl Drop for ReplayUpstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(listener: TcpListener, answers: Arc<Vec<Wire>>, strays: Arc<AtomicU64>) -> Infallible {
    accept::connections(listener, |stream| {
        let (answers, strays) = (Arc::clone(&answers), Arc::clone(&strays));
        async move {
            let service = service_fn(move |request| {
                let answer = answer(&answers, &strays, &request);
                async move { Ok::<_, Infallible>(answer) }
            });
            // A connection that ends early is the proxy's business.
            drop(auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await);
        }
    })
    .await
}

fn answer(answers: &[Wire], strays: &AtomicU64, request: &Request<Incoming>) -> Response<Filler> {
    let id = request.headers().get(REPLAY_ID).and_then(|id| id.to_str().ok()).and_then(|id| id.parse::<usize>().ok());
    let wire = id.and_then(|id| answers.get(id));
    if wire.is_none() {
        strays.fetch_add(1, Ordering::Relaxed);
    }
    let size = wire.filter(|wire| wire.has_body()).map_or(0, |wire| wire.bytes);
    let mut response = Response::new(Filler { left: size });
    *response.status_mut() =
        wire.and_then(|wire| StatusCode::from_u16(wire.status).ok()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

/// A body of so many bytes, out of one static block.
#[derive(Debug)]
struct Filler {
    left: u64,
}

impl Body for Filler {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let size = usize::try_from(self.left).unwrap_or(usize::MAX).min(FILLER.len());
        if size == 0 {
            return Poll::Ready(None);
        }
        self.left -= size as u64;
        let chunk = FILLER.get(..size).unwrap_or_default();
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(chunk)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
