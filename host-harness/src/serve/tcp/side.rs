//! The two sockets of a connection: what is read in one go, and what waits to be written.

use std::io::{self, Read as _};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::Peer;

/// What may wait to be written to one side before the other is read no more: Envoy's bound on a connection's buffer.
const HIGH: usize = 1 << 20;
/// The most that is read in one go.
const AT_ONCE: usize = 1 << 20;
const PIECE: usize = 16 << 10;

/// How far a socket's incoming direction has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// More may come.
    Open,
    /// The other side has ended its direction.
    Ended,
    /// The connection broke.
    Broken,
}

/// One socket.
#[derive(Debug)]
pub(super) struct Side {
    socket: TcpStream,
    /// Waits to be written.
    out: BytesMut,
    /// Nothing more is to be written after that.
    last: bool,
    /// The outgoing direction has been ended.
    pub(super) shut: bool,
    pub(super) reading: Reading,
}

impl Side {
    pub(super) fn new(socket: TcpStream) -> Self {
        Self { socket, out: BytesMut::new(), last: false, shut: false, reading: Reading::Open }
    }

    /// Whether more may be given to it to write.
    pub(super) fn has_room(&self) -> bool {
        self.out.len() <= HIGH
    }

    /// Both directions are over.
    pub(super) fn is_over(&self) -> bool {
        self.shut && self.reading != Reading::Open
    }

    /// Ready when there is something to read.
    pub(super) async fn readable(&self) {
        // An error shows when it is read.
        let _ = self.socket.readable().await;
    }

    /// Reads what there is, as Envoy does before it asks its filters.
    pub(super) fn read(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let socket = SockRef::from(&self.socket);
        let mut piece = [0; PIECE];
        // Past tokio's own reading, which would not look for the end behind the last bytes.
        let result = self.socket.try_io(Interest::READABLE, || {
            while bytes.len() < AT_ONCE {
                match (&*socket).read(&mut piece)? {
                    0 => return Ok(Reading::Ended),
                    read => bytes.extend_from_slice(piece.get(..read).unwrap_or_default()),
                }
            }
            Ok(Reading::Open)
        });
        self.reading = match result {
            Ok(reading) => reading,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Reading::Open,
            Err(_) => Reading::Broken,
        };
        bytes
    }

    /// Breaks the connection off, now that there is nothing more to do with it.
    pub(super) fn abort(&self) {
        let _ = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
    }

    /// Gives it bytes to write, and says whether they are the last.
    pub(super) fn give(&mut self, bytes: &[u8], last: bool) {
        self.out.extend_from_slice(bytes);
        self.last |= last;
    }

    /// Writes what it can without waiting, and ends the direction after the last byte. Says how much was written.
    pub(super) fn write(&mut self) -> io::Result<usize> {
        let before = self.out.len();
        while !self.out.is_empty() {
            match self.socket.try_write(&self.out) {
                Ok(written) => self.out.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if self.last && self.out.is_empty() && !self.shut {
            self.shut = true;
            // A connection that has broken meanwhile tells so when it is read.
            let _ = SockRef::from(&self.socket).shutdown(std::net::Shutdown::Write);
        }
        Ok(before - self.out.len())
    }

    /// Ready when more can be written, if there is more.
    pub(super) async fn writable(&self) {
        if self.out.is_empty() {
            return std::future::pending().await;
        }
        let _ = self.socket.writable().await;
    }

    /// Writes until nothing is left or nobody is there.
    async fn drain(&mut self) {
        while !self.out.is_empty() && self.write().is_ok() {
            self.writable().await;
        }
    }
}

/// What is left to do when the connection is over for the module.
#[derive(Debug)]
pub(super) struct Sides {
    pub(super) client: Side,
    pub(super) server: Option<Side>,
}

impl Sides {
    /// Writes what was on its way to the side that did not close; when one broke off, so does the other.
    pub(super) async fn flush(&mut self, closed_by: Peer) {
        if let Some(server) = &self.server {
            if self.client.reading == Reading::Broken {
                return server.abort();
            }
            if server.reading == Reading::Broken {
                return self.client.abort();
            }
        }
        match (closed_by, &mut self.server) {
            (Peer::Remote, Some(server)) => server.drain().await,
            (Peer::Remote, None) => {}
            (Peer::Local | Peer::Unknown, server) => {
                *server = None;
                self.client.drain().await;
            }
        }
    }
}
