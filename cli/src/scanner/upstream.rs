//! An API that costs next to nothing: it answers as each request asks it to, from a thread of its own.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderName, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::accept;

/// The header in which a request says what it is to be answered with, here or by the proxy's own routes.
pub(super) const ANSWER: HeaderName = HeaderName::from_static("x-answer");

/// The running upstream; dropping it ends it.
#[derive(Debug)]
pub(super) struct Upstream {
    address: SocketAddr,
    stop: CancellationToken,
}

impl Upstream {
    /// Starts it on a free port.
    pub(super) fn start() -> anyhow::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("the upstream cannot listen")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new()
            .name("upstream".to_owned())
            .spawn(move || {
                runtime.block_on(async move {
                    tokio::select! {
                        () = serve(listener) => {}
                        () = stopped.cancelled() => {}
                    }
                });
            })
            .context("cannot start a thread")?;
        Ok(Self { address, stop })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn serve(listener: std::net::TcpListener) {
    // It was made non-blocking, and the event loop is there: nothing else can fail.
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    accept::connections(listener, |stream| async move {
        let service = service_fn(|request| std::future::ready(Ok::<_, Infallible>(answer(&request))));
        // A connection that ends early is the proxy's business.
        drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
    })
    .await;
}

/// The status that is asked for; 500 where there is none, which no request asks for by junk.
fn answer(request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let asked = request.headers().get(ANSWER).and_then(|value| StatusCode::from_bytes(value.as_bytes()).ok());
    let status = asked.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = match status {
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => Bytes::new(),
        _ => Bytes::from_static(b"ok\n"),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response
}
