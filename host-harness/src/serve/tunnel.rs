//! Bytes both ways after a switch of protocols, through the module's body callbacks if it has them.

use std::rc::Rc;
use std::time::Duration;

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};

use super::gate::Direction;
use super::stream::{Guard, Stream, flags};
use crate::BodyOutcome;

/// How long one direction may go on after the other has ended.
const HALF_CLOSED_FOR: Duration = Duration::from_secs(5);
const CHUNK: usize = 16 << 10;

type Side = TokioIo<Upgraded>;

/// Carries bytes until a side closes; then the stream ends.
pub(super) async fn run(guard: Guard, client: OnUpgrade, upstream: OnUpgrade) {
    let stream = Rc::clone(guard.stream());
    let Ok((client, upstream)) = futures_util::future::try_join(client, upstream).await else { return };
    let counters = &stream.proxy.counters;
    counters.cx_upgrades_total.inc();
    counters.cx_upgrades_active.add(1);
    let (client_read, client_write) = tokio::io::split(TokioIo::new(client));
    let (upstream_read, upstream_write) = tokio::io::split(TokioIo::new(upstream));
    let kill = stream.proxy.kill.clone();
    tokio::select! {
        () = both(&stream, (client_read, client_write), (upstream_read, upstream_write)) => {}
        () = kill.cancelled() => stream.explain(flags::LOCAL_RESET, "drained"),
    }
    counters.cx_upgrades_active.add(-1);
    drop(guard);
}

async fn both(
    stream: &Rc<Stream>,
    (client_read, client_write): (ReadHalf<Side>, WriteHalf<Side>),
    (upstream_read, upstream_write): (ReadHalf<Side>, WriteHalf<Side>),
) {
    let mut up = std::pin::pin!(copy(stream, Direction::Request, client_read, upstream_write));
    let mut down = std::pin::pin!(copy(stream, Direction::Response, upstream_read, client_write));
    tokio::select! {
        () = &mut up => {
            stream.explain(flags::DOWNSTREAM_TERMINATION, "downstream_remote_disconnect");
            let _ = tokio::time::timeout(HALF_CLOSED_FOR, down).await;
        }
        () = &mut down => {
            let details = "upstream_reset_after_response_started{connection_termination}";
            stream.explain(flags::CONNECTION_TERMINATION, details);
            let _ = tokio::time::timeout(HALF_CLOSED_FOR, up).await;
        }
    }
}

/// Carries one direction until its source closes, then closes its sink.
async fn copy(stream: &Rc<Stream>, direction: Direction, mut from: ReadHalf<Side>, mut to: WriteHalf<Side>) {
    let mut buffer = vec![0; CHUNK];
    while let Ok(read) = from.read(&mut buffer).await {
        let piece = buffer.get(..read).unwrap_or_default();
        let Some(bytes) = pass(stream, direction, piece, read == 0).await else { break };
        let size = if direction == Direction::Request { &stream.request_size } else { &stream.response_size };
        size.set(size.get() + bytes.len() as u64);
        if to.write_all(&bytes).await.is_err() || to.flush().await.is_err() || read == 0 {
            break;
        }
    }
    let _ = to.shutdown().await;
}

/// What the module makes of a piece; none when the tunnel is to be closed.
async fn pass(stream: &Rc<Stream>, direction: Direction, piece: &[u8], end: bool) -> Option<Vec<u8>> {
    let proxy = &stream.proxy;
    let outcome = {
        let mut vm = proxy.vm.borrow_mut();
        match direction {
            Direction::Request if vm.sees_request_body() => vm.request_body(stream.id, piece, end),
            Direction::Response if vm.sees_response_body() => vm.response_body(stream.id, piece, end),
            Direction::Request | Direction::Response => BodyOutcome::Forward(piece.to_vec()),
        }
    };
    proxy.route_events();
    match outcome {
        BodyOutcome::Forward(bytes) => Some(bytes),
        BodyOutcome::Hold => {
            stream.gate.wait(direction).await.ok()?;
            let mut vm = proxy.vm.borrow_mut();
            Some(match direction {
                Direction::Request => vm.take_held_request_body(stream.id),
                Direction::Response => vm.take_held_response_body(stream.id),
            })
        }
        BodyOutcome::LocalReply(_) | BodyOutcome::Close => None,
    }
}
