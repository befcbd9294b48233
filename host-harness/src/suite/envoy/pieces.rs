//! Bodies piece by piece, and messages from one form to the other.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use tokio::time::Sleep;

use crate::HeaderMap;
use crate::test::Message;

/// What lies between two pieces, so that they arrive as two.
const BETWEEN: Duration = Duration::from_millis(30);
/// The most of a body that is kept.
const MOST_BODY: usize = 128 << 20;

/// A body that comes in pieces.
#[derive(Debug)]
pub(super) struct Pieces {
    pieces: VecDeque<Bytes>,
    trailers: Option<http::HeaderMap>,
    end_alone: bool,
    /// The stream is reset where the body ends.
    breaks_off: bool,
    pause: Option<Pin<Box<Sleep>>>,
}

/// Where a body breaks off.
#[derive(Debug, thiserror::Error)]
#[error("the body breaks off")]
pub(super) struct BreaksOff;

impl Pieces {
    pub(super) fn new(pieces: Vec<Vec<u8>>, trailers: Option<http::HeaderMap>, end_alone: bool) -> Self {
        let end_alone = end_alone && !pieces.is_empty();
        let pieces = pieces.into_iter().map(Bytes::from).collect();
        Self { pieces, trailers, end_alone, breaks_off: false, pause: None }
    }

    /// Nothing but a reset, after the headers have had the time to go.
    pub(super) fn breaking_off() -> Self {
        let pause = Some(Box::pin(tokio::time::sleep(BETWEEN)));
        Self { breaks_off: true, pause, ..Self::new(Vec::new(), None, false) }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = BreaksOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BreaksOff>>> {
        if let Some(pause) = &mut self.pause {
            std::task::ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        if let Some(piece) = self.pieces.pop_front() {
            if !self.is_end_stream() {
                self.pause = Some(Box::pin(tokio::time::sleep(BETWEEN)));
            }
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if self.breaks_off {
            return Poll::Ready(Some(Err(BreaksOff)));
        }
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty() && self.trailers.is_none() && !self.end_alone && !self.breaks_off
    }
}

/// Header lines without pseudo-headers.
pub(super) fn lines(map: &HeaderMap) -> Result<http::HeaderMap, String> {
    let mut lines = http::HeaderMap::new();
    for (name, value) in map.iter().filter(|(name, _)| !name.starts_with(b":")) {
        let told = || format!("{}: {}", name.escape_ascii(), value.escape_ascii());
        let name = http::HeaderName::from_bytes(name).map_err(|_| format!("`{}` cannot be sent", told()))?;
        let value = http::HeaderValue::from_bytes(value).map_err(|_| format!("`{}` cannot be sent", told()))?;
        lines.append(name, value);
    }
    Ok(lines)
}

/// Adds header lines to a message's.
pub(super) fn add_lines(map: &mut HeaderMap, lines: &http::HeaderMap) {
    for (name, value) in lines {
        map.add(name.as_str(), value.as_bytes());
    }
}

/// Takes a body in, with its trailers. Says whether it came to its end.
pub(super) async fn read_body<B>(mut body: B, message: &mut Message) -> bool
where
    B: Body<Data = Bytes> + Unpin,
{
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return false };
        match frame.into_data() {
            Ok(data) if message.body.len() + data.len() <= MOST_BODY => message.body.extend_from_slice(&data),
            Ok(_) => return false,
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    let mut map = HeaderMap::new();
                    add_lines(&mut map, &trailers);
                    message.trailers = Some(map);
                }
            }
        }
    }
    true
}
