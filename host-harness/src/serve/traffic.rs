//! What one worker thread does with the connections handed to it: HTTP or bare TCP.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::downstream;
use super::proxy::{Client, Proxy};
use super::tcp::{self, TcpProxy};
use crate::Worker;

/// One worker thread's part of the proxy.
#[derive(Debug)]
pub(super) enum Traffic {
    Http(Rc<Proxy>),
    Tcp(Rc<TcpProxy>),
}

impl Traffic {
    /// Serves a connection to its end, beside the others.
    pub(super) fn serve(&self, socket: TcpStream, client: Client) {
        match self {
            Self::Http(proxy) => drop(proxy.tasks.spawn_local(downstream::serve(Rc::clone(proxy), socket, client))),
            Self::Tcp(proxy) => drop(proxy.tasks.spawn_local(tcp::serve(Rc::clone(proxy), socket, client))),
        }
    }

    pub(super) fn vm(&self) -> &RefCell<Worker> {
        match self {
            Self::Http(proxy) => &proxy.vm,
            Self::Tcp(proxy) => &proxy.vm,
        }
    }

    pub(super) fn tasks(&self) -> &TaskTracker {
        match self {
            Self::Http(proxy) => &proxy.tasks,
            Self::Tcp(proxy) => &proxy.tasks,
        }
    }

    pub(super) fn kill(&self) -> &CancellationToken {
        match self {
            Self::Http(proxy) => &proxy.kill,
            Self::Tcp(proxy) => &proxy.kill,
        }
    }

    /// Hands on what the module asked for. To be called after every callback.
    pub(super) fn route_events(&self) {
        match self {
            Self::Http(proxy) => proxy.route_events(),
            Self::Tcp(proxy) => proxy.route_events(),
        }
    }

    /// All connections have ended.
    pub(super) fn close(&self) {
        match self {
            Self::Http(proxy) => proxy.pool.close(),
            Self::Tcp(_) => {}
        }
    }
}
