//! An upstream that answers with as many bytes as it is asked for.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use edge_observer::accept;
use http::{HeaderName, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// The header in which a request says how long its answer is to be.
pub(crate) const SIZE: HeaderName = HeaderName::from_static("x-size");

static FILLER: [u8; 1 << 20] = [b'.'; 1 << 20];

/// Starts it on a free port; it ends with the runtime.
pub(crate) async fn start() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("the upstream cannot listen")?;
    let address = listener.local_addr()?;
    tokio::spawn(accept::connections(listener, |stream| async move {
        let service = service_fn(|request| std::future::ready(Ok::<_, Infallible>(answer(&request))));
        // A connection that ends early is the proxy's business.
        drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
    }));
    Ok(address)
}

fn answer(request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let size = request.headers().get(SIZE).and_then(|size| size.to_str().ok()).and_then(|size| size.parse().ok());
    let body = size.and_then(|size: usize| FILLER.get(..size)).unwrap_or_default();
    Response::new(Full::new(Bytes::from_static(body)))
}
