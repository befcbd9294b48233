//! The response's body on its way through the module to the client. It carries the stream to its end.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Version;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;

use super::exchange;
use super::gate::Direction;
use super::request_body::{BodyError, joined};
use super::stream::{Guard, Stream, flags};
use crate::{BodyOutcome, HeaderMap, HeadersOutcome};

/// Where a response's body comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// There is none.
    Empty,
    /// A reply of the proxy or the module.
    Bytes(Bytes),
    /// The upstream.
    Upstream {
        /// The body.
        incoming: Incoming,
        /// Over HTTP/1, Envoy learns of the end only after the last piece.
        late_end: bool,
    },
}

/// A response's body, read as fast as the client takes it. The stream ends when this is dropped: after the last byte, or
/// when the client has gone.
#[derive(Debug)]
pub(super) struct ResponseBody {
    source: Source,
    /// None after a switch of protocols: the tunnel has it.
    guard: Option<Guard>,
    sees_body: bool,
    sees_trailers: bool,
    held: bool,
    ended: bool,
    trailers: Option<http::HeaderMap>,
    /// What `content-length` says is still to come. After that, nobody asks for more.
    left: Option<u64>,
    /// Goes out in chunks over HTTP/1.
    chunked: bool,
    deadline: Option<Pin<Box<Sleep>>>,
}

enum Step {
    Send(Frame<Bytes>),
    /// Trailers, or the mark that stands for them.
    Last(Frame<Bytes>),
    Again,
    End,
}

impl ResponseBody {
    /// `through_module` is false for replies whose body the module has seen already.
    pub(super) fn new(guard: Guard, source: Source, through_module: bool, length: Option<u64>) -> Self {
        let (sees_body, sees_trailers) = {
            let vm = guard.stream().proxy.vm.borrow();
            (through_module && vm.sees_response_body(), through_module && vm.sees_response_trailers())
        };
        let ended = matches!(source, Source::Empty);
        if ended {
            guard.stream().complete();
        }
        let over_http1 = guard.stream().version == Version::HTTP_11;
        let mut body = Self {
            source,
            guard: Some(guard),
            sees_body,
            sees_trailers,
            held: false,
            ended,
            trailers: None,
            left: length,
            chunked: false,
            deadline: None,
        };
        // Of a length that is known, hyper makes a header.
        body.chunked = over_http1 && length.is_none() && body.size_hint().exact().is_none();
        body
    }

    /// The body of a response after which the connection is no longer HTTP.
    pub(super) const fn switched() -> Self {
        Self {
            source: Source::Empty,
            guard: None,
            sees_body: false,
            sees_trailers: false,
            held: false,
            ended: true,
            trailers: None,
            left: None,
            chunked: false,
            deadline: None,
        }
    }

    /// The upstream has until then.
    pub(super) fn with_deadline(mut self, deadline: Option<tokio::time::Instant>) -> Self {
        self.deadline = deadline.map(|deadline| Box::pin(tokio::time::sleep_until(deadline)));
        self
    }

    fn through_module(&mut self, guard: &Guard, piece: &[u8], end: bool) -> Result<Option<Bytes>, BodyError> {
        let stream = guard.stream();
        let outcome = stream.proxy.vm.borrow_mut().response_body(stream.id, piece, end);
        stream.proxy.route_events();
        match outcome {
            BodyOutcome::Forward(bytes) => {
                self.held = false;
                Ok(Some(Bytes::from(bytes)).filter(|bytes| !bytes.is_empty()))
            }
            BodyOutcome::Hold => {
                self.held = true;
                Ok(None)
            }
            // The response has begun, so all that is left is to break it off.
            BodyOutcome::LocalReply(_) | BodyOutcome::Close => Err(reset(guard)),
        }
    }

    fn take_trailers(&mut self, guard: &Guard, trailers: http::HeaderMap) -> Result<(), BodyError> {
        if !self.sees_trailers {
            self.trailers = Some(trailers);
            return Ok(());
        }
        let stream = guard.stream();
        let mut map = HeaderMap::new();
        trailers.iter().for_each(|(name, value)| map.add(name.as_str(), value.as_bytes()));
        let outcome = stream.proxy.vm.borrow_mut().response_trailers(stream.id, map);
        stream.proxy.route_events();
        match outcome {
            HeadersOutcome::Continue => {}
            HeadersOutcome::Pause => self.held = true,
            HeadersOutcome::LocalReply(_) | HeadersOutcome::Close => return Err(reset(guard)),
        }
        self.trailers = Some(exchange::http_headers(stream.proxy.vm.borrow().response_trailers_map(stream.id)));
        Ok(())
    }

    fn step(&mut self, guard: &Guard, cx: &mut Context<'_>) -> Poll<Result<Step, BodyError>> {
        let stream = guard.stream();
        if stream.gate.poll_interrupt(cx).is_ready() {
            return Poll::Ready(Err(reset(guard)));
        }
        if self.held {
            if stream.gate.poll_released(Direction::Response, cx).is_ready() {
                self.held = false;
                let held = stream.proxy.vm.borrow_mut().take_held_response_body(stream.id);
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
        if self.ended {
            let trailers = self.trailers.take().filter(|trailers| !trailers.is_empty());
            return Poll::Ready(Ok(trailers.map_or(Step::End, |trailers| Step::Last(self.last(stream, trailers)))));
        }
        let (frame, end) = match &mut self.source {
            Source::Empty => (None, true),
            Source::Bytes(bytes) => (Some(Frame::data(std::mem::take(bytes))), true),
            Source::Upstream { incoming, .. } => match Pin::new(&mut *incoming).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => (Some(frame), incoming.is_end_stream()),
                Poll::Ready(None) => (None, true),
                Poll::Ready(Some(Err(error))) => {
                    let details = "upstream_reset_after_response_started{connection_termination}";
                    stream.explain(flags::CONNECTION_TERMINATION, details);
                    return Poll::Ready(Err(error.into()));
                }
                Poll::Pending => {
                    if self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready()) {
                        stream.explain(flags::UPSTREAM_TIMEOUT, "response_timeout");
                        return Poll::Ready(Err(BodyError::Stopped));
                    }
                    return Poll::Pending;
                }
            },
        };
        self.ended = end;
        match frame.map(Frame::into_data) {
            None if self.sees_body => {
                let rest = self.through_module(guard, &[], true)?;
                Poll::Ready(Ok(rest.map_or(Step::Again, |bytes| Step::Send(Frame::data(bytes)))))
            }
            None => Poll::Ready(Ok(Step::Again)),
            Some(Ok(data)) if !self.sees_body => Poll::Ready(Ok(Step::Send(Frame::data(data)))),
            Some(Ok(data)) => {
                let late = end && matches!(self.source, Source::Upstream { late_end: true, .. });
                let piece = self.through_module(guard, &data, end && !late)?;
                let rest = if late { self.through_module(guard, &[], true)? } else { None };
                Poll::Ready(Ok(joined(piece, rest).map_or(Step::Again, |bytes| Step::Send(Frame::data(bytes)))))
            }
            Some(Err(frame)) => {
                self.ended = true;
                if let Ok(trailers) = frame.into_trailers() {
                    self.take_trailers(guard, trailers)?;
                }
                Poll::Ready(Ok(Step::Again))
            }
        }
    }

    fn last(&self, stream: &Stream, trailers: http::HeaderMap) -> Frame<Bytes> {
        if self.chunked { Frame::data(stream.client.trailers.mark(&trailers)) } else { Frame::trailers(trailers) }
    }

    /// Counts what goes out, and notes when that was the last of it.
    fn sent(&mut self, guard: &Guard, frame: &Frame<Bytes>) {
        let stream = guard.stream();
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        stream.response_size.set(stream.response_size.get() + length);
        self.left = self.left.map(|left| left.saturating_sub(length));
        if self.left == Some(0) || (self.ended && !self.held && self.trailers.is_none()) {
            stream.complete();
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let Some(guard) = this.guard.take() else { return Poll::Ready(None) };
        let polled = loop {
            match this.step(&guard, cx) {
                Poll::Pending => break Poll::Pending,
                Poll::Ready(Ok(Step::Send(frame))) => {
                    this.sent(&guard, &frame);
                    break Poll::Ready(Some(Ok(frame)));
                }
                Poll::Ready(Ok(Step::Last(frame))) => {
                    guard.stream().complete();
                    break Poll::Ready(Some(Ok(frame)));
                }
                Poll::Ready(Ok(Step::Again)) => {}
                Poll::Ready(Ok(Step::End)) => {
                    guard.stream().complete();
                    break Poll::Ready(None);
                }
                Poll::Ready(Err(error)) => break Poll::Ready(Some(Err(error))),
            }
        };
        this.guard = Some(guard);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.ended && !self.held && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Empty => SizeHint::with_exact(0),
            Source::Bytes(bytes) if !self.sees_body && !self.ended => SizeHint::with_exact(bytes.len() as u64),
            Source::Bytes(_) => SizeHint::default(),
            Source::Upstream { incoming, .. } if !self.sees_body => incoming.size_hint(),
            Source::Upstream { .. } => SizeHint::default(),
        }
    }
}

/// The module broke the response off.
fn reset(guard: &Guard) -> BodyError {
    let stream = guard.stream();
    let details = stream.proxy.vm.borrow().reset_details(stream.id).map(str::to_owned);
    stream.explain(flags::LOCAL_RESET, details.unwrap_or_else(|| "wasm_close_stream".to_owned()));
    BodyError::Stopped
}
