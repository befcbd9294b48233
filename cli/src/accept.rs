//! The accept loop of the small servers of this program.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// How long to wait after an error of accepting, which is the peer's or a passing lack of descriptors.
const PAUSE: Duration = Duration::from_millis(10);

/// Serves every connection in a task of its own, until it is dropped, and all connections with it.
pub async fn connections<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F) -> Infallible
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        // Only makes it slower when it fails.
        let _ = stream.set_nodelay(true);
        connections.spawn(serve(stream));
        while connections.try_join_next().is_some() {}
    }
}
