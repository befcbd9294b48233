//! The request's body on its way from the client through the module to the upstream.

use std::error::Error as _;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Version;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::exchange;
use super::gate::{Direction, Interrupt};
use super::stream::Stream;
use crate::{BodyOutcome, HeaderMap, HeadersOutcome};

/// Why a body ends before its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    /// The other side's body did.
    #[error(transparent)]
    Transport(#[from] hyper::Error),
    /// The stream is over.
    #[error("the stream is over")]
    Stopped,
}

/// The client's body, read as fast as the upstream takes it.
#[derive(Debug)]
pub(super) struct RequestBody {
    /// None for a request without one.
    incoming: Option<Incoming>,
    stream: Rc<Stream>,
    sees_body: bool,
    sees_trailers: bool,
    /// The module keeps bytes back.
    held: bool,
    /// Read to its end.
    ended: bool,
    trailers: Option<http::HeaderMap>,
    /// Goes out in chunks over HTTP/1.
    chunked: bool,
}

impl RequestBody {
    /// `chunked` is for HTTP/1, where no header says how long the body is.
    pub(super) fn new(stream: &Rc<Stream>, incoming: Option<Incoming>, chunked: bool) -> Self {
        let vm = stream.proxy.vm.borrow();
        let mut body = Self {
            ended: incoming.is_none(),
            incoming,
            stream: Rc::clone(stream),
            sees_body: vm.sees_request_body(),
            sees_trailers: vm.sees_request_trailers(),
            held: false,
            trailers: None,
            chunked,
        };
        // Of a length that is known, hyper makes a header.
        body.chunked &= body.size_hint().exact().is_none();
        body
    }

    /// Trailers as the last that goes out.
    fn last(&self, trailers: http::HeaderMap) -> Frame<Bytes> {
        let mark = if self.chunked { self.stream.mark_trailers(&trailers) } else { None };
        mark.map_or_else(|| Frame::trailers(trailers), Frame::data)
    }

    fn end(&mut self) {
        self.ended = true;
        self.stream.request_ended();
    }

    /// What the module makes of a piece; none when nothing is to go on now.
    fn through_module(&mut self, piece: &[u8], end: bool) -> Result<Option<Bytes>, BodyError> {
        let outcome = self.stream.proxy.vm.borrow_mut().request_body(self.stream.id, piece, end);
        self.stream.proxy.route_events();
        match outcome {
            BodyOutcome::Forward(bytes) => {
                self.held = false;
                Ok(Some(Bytes::from(bytes)).filter(|bytes| !bytes.is_empty()))
            }
            BodyOutcome::Hold => {
                self.held = true;
                Ok(None)
            }
            BodyOutcome::LocalReply(reply) => self.stop(Interrupt::Reply(reply)),
            BodyOutcome::Close => self.stop(Interrupt::Close),
        }
    }

    fn stop<T>(&self, interrupt: Interrupt) -> Result<T, BodyError> {
        self.stream.gate.interrupt(interrupt);
        Err(BodyError::Stopped)
    }

    fn take_trailers(&mut self, trailers: http::HeaderMap) -> Result<(), BodyError> {
        if !self.sees_trailers {
            self.trailers = Some(trailers);
            return Ok(());
        }
        let mut map = HeaderMap::new();
        trailers.iter().for_each(|(name, value)| map.add(name.as_str(), value.as_bytes()));
        let outcome = self.stream.proxy.vm.borrow_mut().request_trailers(self.stream.id, map);
        self.stream.proxy.route_events();
        match outcome {
            HeadersOutcome::Continue => {}
            HeadersOutcome::Pause => self.held = true,
            HeadersOutcome::LocalReply(reply) => return self.stop(Interrupt::Reply(reply)),
            HeadersOutcome::Close => return self.stop(Interrupt::Close),
        }
        let vm = self.stream.proxy.vm.borrow();
        self.trailers = Some(exchange::http_headers(vm.request_trailers_map(self.stream.id)));
        Ok(())
    }

    /// One step on: a frame to send, the end, or nothing yet.
    fn step(&mut self, cx: &mut Context<'_>) -> Poll<Result<Step, BodyError>> {
        if self.held {
            if self.stream.gate.poll_released(Direction::Request, cx).is_ready() {
                self.held = false;
                let held = self.stream.proxy.vm.borrow_mut().take_held_request_body(self.stream.id);
                return Poll::Ready(Ok(if held.is_empty() {
                    Step::Again
                } else {
                    Step::Send(Frame::data(held.into()))
                }));
            }
            if self.ended {
                return Poll::Pending;
            }
        }
        let Some(incoming) = self.incoming.as_mut().filter(|_| !self.ended) else {
            let trailers = self.trailers.take().filter(|trailers| !trailers.is_empty());
            return Poll::Ready(Ok(trailers.map_or(Step::End, |trailers| Step::Send(self.last(trailers)))));
        };
        let frame = match ready!(Pin::new(&mut *incoming).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                if is_malformed(&error) {
                    self.stream.gate.interrupt(Interrupt::Malformed);
                }
                return Poll::Ready(Err(error.into()));
            }
            None => {
                self.end();
                let rest = if self.sees_body { self.through_module(&[], true)? } else { None };
                return Poll::Ready(Ok(rest.map_or(Step::Again, |bytes| Step::Send(Frame::data(bytes)))));
            }
        };
        let end = incoming.is_end_stream();
        let size = &self.stream.request_size;
        size.set(size.get() + frame.data_ref().map_or(0, |data| data.len() as u64));
        if end {
            self.end();
        }
        match frame.into_data() {
            Ok(data) if !self.sees_body => Poll::Ready(Ok(Step::Send(Frame::data(data)))),
            Ok(data) => {
                // Over HTTP/1 Envoy learns of the end only after the last piece.
                let late = end && self.stream.version != Version::HTTP_2;
                let piece = self.through_module(&data, end && !late)?;
                let rest = if late { self.through_module(&[], true)? } else { None };
                Poll::Ready(Ok(joined(piece, rest).map_or(Step::Again, |bytes| Step::Send(Frame::data(bytes)))))
            }
            Err(frame) => {
                self.end();
                if let Ok(trailers) = frame.into_trailers() {
                    self.take_trailers(trailers)?;
                }
                Poll::Ready(Ok(Step::Again))
            }
        }
    }
}

enum Step {
    Send(Frame<Bytes>),
    Again,
    End,
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        loop {
            if this.stream.is_finished() {
                return Poll::Ready(Some(Err(BodyError::Stopped)));
            }
            match ready!(this.step(cx)) {
                Ok(Step::Send(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(Step::Again) => {}
                Ok(Step::End) => return Poll::Ready(None),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended && !self.held && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.incoming {
            None => SizeHint::with_exact(0),
            Some(incoming) if !self.sees_body => incoming.size_hint(),
            Some(_) => SizeHint::default(),
        }
    }
}

/// Two pieces of a body as one.
pub(super) fn joined(first: Option<Bytes>, second: Option<Bytes>) -> Option<Bytes> {
    match (first, second) {
        (Some(first), Some(second)) => Some([first, second].concat().into()),
        (first, second) => first.or(second),
    }
}

/// Whether a body broke off because it was not HTTP, rather than because the client went away.
fn is_malformed(error: &hyper::Error) -> bool {
    let kind = error.source().and_then(|source| source.downcast_ref::<std::io::Error>()).map(std::io::Error::kind);
    matches!(kind, Some(std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData))
}
