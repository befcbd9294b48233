//! Trailers over HTTP/1, which Envoy sends always. hyper sends only those that a header announced, and to clients only where
//! the request asked for them.
//!
//! So a body hands its trailers over here and sends a mark as its last piece. hyper writes the mark's chunk and the message's
//! end behind it, and below hyper the two become the end with the trailers. The mark is drawn at random when the trailers are
//! known: nothing that was written before it, and nothing that anybody can have sent, is equal to it. hyper writes all that it
//! has before it flushes; a mark that it has not written by then it never will, and its trailers are dropped.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, HOST, TRAILER, TRANSFER_ENCODING};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes of a mark.
const MARK: usize = 32;

/// The most that is taken of one write while a mark is looked for.
const PIECE: usize = 16 << 10;

/// Trailers on their way out on one connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Outgoing(Arc<Mutex<VecDeque<Ending>>>);

/// How one message ends.
#[derive(Debug)]
struct Ending {
    /// What hyper writes.
    marked: Vec<u8>,
    /// What goes out.
    end: Vec<u8>,
}

impl Outgoing {
    /// Takes the trailers of a message whose body goes out in chunks. What it gives must be the body's last piece, and the body
    /// must say that it is: hyper then writes the end with it.
    pub(super) fn mark(&self, trailers: &HeaderMap) -> Bytes {
        let mark: [u8; MARK] = rand::random();
        let mut end = b"0\r\n".to_vec();
        // Those that say where a message ends or goes would be heard too late.
        let told = |name: &&http::HeaderName| ![CONTENT_LENGTH, TRANSFER_ENCODING, TRAILER, HOST].contains(name);
        for (name, value) in trailers.iter().filter(|(name, _)| told(name)) {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                end.extend_from_slice(part);
            }
        }
        end.extend_from_slice(b"\r\n");
        let marked = [format!("{MARK:X}\r\n").as_bytes(), &mark, b"\r\n0\r\n\r\n"].concat();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(Ending { marked, end });
        Bytes::copy_from_slice(&mark)
    }
}

/// A connection below hyper.
#[derive(Debug)]
pub(super) struct Trailing<IO> {
    io: IO,
    outgoing: Outgoing,
    /// What may be the beginning of a mark's chunk.
    held: Vec<u8>,
    /// What goes out before anything else.
    out: Bytes,
}

impl<IO: AsyncWrite + Unpin> Trailing<IO> {
    pub(super) fn new(io: IO, outgoing: Outgoing) -> Self {
        Self { io, outgoing, held: Vec::new(), out: Bytes::new() }
    }

    /// Writes out what is to go before anything else.
    fn drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, &self.out))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.out.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Whether there is nothing to look for.
    fn is_plain(&self) -> bool {
        self.held.is_empty() && self.outgoing.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Puts trailers where their marks are. What may be a mark's beginning waits for what comes next.
    fn replace(&mut self, bytes: &[u8]) {
        let Self { outgoing, held, out, .. } = self;
        let mut endings = outgoing.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.extend_from_slice(bytes);
        let mut ready = Vec::new();
        while let Some(Ending { marked, end }) = endings.front() {
            let Some(at) = held.windows(marked.len()).position(|window| window == marked) else { break };
            ready.extend(held.drain(..at));
            held.drain(..marked.len());
            ready.extend_from_slice(end);
            endings.pop_front();
        }
        let kept = endings.front().map_or(0, |Ending { marked, .. }| begun(held, marked));
        ready.extend(held.drain(..held.len().saturating_sub(kept)));
        *out = ready.into();
    }

    /// What is held is no mark, and none comes.
    fn give_up(&mut self) {
        self.outgoing.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.out = std::mem::take(&mut self.held).into();
    }
}

/// How many of the last bytes are the first ones of a mark's chunk.
fn begun(bytes: &[u8], marked: &[u8]) -> usize {
    let longest = bytes.len().min(marked.len().saturating_sub(1));
    (1..=longest).rev().find(|length| marked.get(..*length).is_some_and(|first| bytes.ends_with(first))).unwrap_or(0)
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Trailing<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.drain(cx))?;
        if this.is_plain() {
            return Pin::new(&mut this.io).poll_write(cx, bytes);
        }
        let bytes = bytes.get(..PIECE).unwrap_or(bytes);
        this.replace(bytes);
        // The rest goes out with what is written next, or when hyper flushes.
        if let Poll::Ready(Err(error)) = this.drain(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.drain(cx))?;
        if this.is_plain() {
            return Pin::new(&mut this.io).poll_write_vectored(cx, bytes);
        }
        let first = bytes.iter().find(|slice| !slice.is_empty());
        Pin::new(this).poll_write(cx, first.map_or(&[], |slice| &**slice))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.drain(cx))?;
        if !this.is_plain() {
            this.give_up();
            ready!(this.drain(cx))?;
        }
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut *this).poll_flush(cx))?;
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Trailing<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, buffer)
    }
}

#[cfg(test)]
mod tests;
