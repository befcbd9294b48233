//! What the host keeps of a VM's gRPC callouts.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use crate::grpc::response::Response;
use crate::{GrpcCommand, GrpcId, HeaderMap};

/// The most callouts of one VM that are open: Envoy's default bound on the requests of a cluster.
const MAX_OPEN: usize = 1024;
/// The most bytes that are sent and not yet taken by upstreams; Envoy has no bound, a host that a module must not grow has.
const MAX_AHEAD: usize = 64 << 20;
/// The most callouts of one callback that fail at once and are told of.
const MAX_FAILED: usize = 1 << 16;
/// What a message takes besides its bytes.
const OVERHEAD: usize = 128;

/// The gRPC callouts of a VM.
#[derive(Debug, Default)]
pub(crate) struct Grpc {
    /// How many VMs the worker has had before this one.
    generation: u32,
    /// The numbers of the last call and of the last stream; the module sees them four times as large, and the kind.
    last: [u32; 2],
    /// By the number that the module sees.
    pub(crate) open: BTreeMap<u32, Callout>,
    /// What the host has still to carry out.
    pub(crate) commands: Vec<GrpcCommand>,
    /// Callouts that failed at once, of which the module hears after the callback.
    pub(crate) failed: VecDeque<Failed>,
    /// What the module is told of now.
    pub(crate) initial_metadata: Option<HeaderMap>,
    /// The same.
    pub(crate) trailing_metadata: Option<HeaderMap>,
    /// The same.
    pub(crate) message: Option<Vec<u8>>,
    ahead: Arc<AtomicUsize>,
}

/// A callout that is open to the module.
#[derive(Debug)]
pub(crate) struct Callout {
    /// The root context that will be told.
    pub(crate) root: u32,
    /// None when it has ended, and the module has not closed it.
    pub(crate) response: Option<Response>,
    /// The module has sent all that it wants to.
    pub(crate) ended: bool,
    /// The module has closed it.
    pub(crate) closed: bool,
}

/// A callout that failed before anything was sent.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) root: u32,
    pub(crate) token: u32,
    pub(crate) status: u32,
    pub(crate) message: String,
}

/// Bytes of a message, counted until they are dropped.
struct Counted {
    bytes: Vec<u8>,
    ahead: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.ahead.fetch_sub(self.bytes.len() + OVERHEAD, Ordering::Relaxed);
    }
}

/// Whether a number is a stream's, as far as its kind goes.
pub(crate) const fn is_stream(token: u32) -> bool {
    token & 3 == 2
}

impl Grpc {
    /// The callout of a number, for the host.
    pub(crate) fn id(&self, token: u32) -> GrpcId {
        GrpcId { generation: self.generation, token }
    }

    /// Takes the place of a VM's that has failed, whose callouts are cancelled.
    pub(crate) fn succeed(&mut self, failed: &Self) {
        let waiting = failed.open.iter().filter(|(_, callout)| callout.response.is_some());
        let cancels: Vec<GrpcCommand> = waiting.map(|(token, _)| GrpcCommand::Cancel(failed.id(*token))).collect();
        self.generation = failed.generation.wrapping_add(1);
        for command in &mut self.commands {
            command.id_mut().generation = self.generation;
        }
        self.commands.splice(..0, cancels);
    }

    /// The number of a new call or stream, as the module sees it. It counts also when nothing comes of it.
    pub(crate) fn next(&mut self, stream: bool) -> u32 {
        let [call, streams] = &mut self.last;
        let last = if stream { streams } else { call };
        *last = last.wrapping_add(1) & (u32::MAX >> 2);
        *last << 2 | if stream { 2 } else { 1 }
    }

    /// Whether another one may be opened.
    pub(crate) fn is_full(&self) -> bool {
        self.open.values().filter(|callout| callout.response.is_some()).count() >= MAX_OPEN
    }

    /// A callout has failed, of which the module will hear; past a number of these it does not.
    pub(crate) fn fail(&mut self, failed: Failed) {
        if self.failed.len() < MAX_FAILED {
            self.failed.push_back(failed);
        }
    }

    /// A message as it goes out; none if too much is on its way.
    pub(crate) fn frame(&self, message: &[u8]) -> Option<Bytes> {
        let length = u32::try_from(message.len()).ok()?;
        let size = message.len() + 5 + OVERHEAD;
        // One thread adds; others only take away.
        if self.ahead.load(Ordering::Relaxed) + size > MAX_AHEAD {
            return None;
        }
        self.ahead.fetch_add(size, Ordering::Relaxed);
        let bytes = [&[0], length.to_be_bytes().as_slice(), message].concat();
        Some(Bytes::from_owner(Counted { bytes, ahead: Arc::clone(&self.ahead) }))
    }

    /// Whether something may come yet.
    pub(crate) fn awaits(&self, id: GrpcId) -> bool {
        let callout = self.open.get(&id.token).filter(|_| id.generation == self.generation);
        callout.is_some_and(|callout| callout.response.is_some())
    }

    /// Forgets a callout; if something may come yet, that is to be reset.
    pub(crate) fn cancel(&mut self, token: u32) -> bool {
        let known = self.open.remove(&token);
        if known.as_ref().is_some_and(|callout| callout.response.is_some()) {
            self.commands.push(GrpcCommand::Cancel(self.id(token)));
        }
        known.is_some()
    }

    /// Forgets what a root context that has ended had open.
    pub(crate) fn cancel_all_of(&mut self, root: u32) {
        let of_root = |(token, callout): (&u32, &Callout)| (callout.root == root).then_some(*token);
        let tokens: Vec<u32> = self.open.iter().filter_map(of_root).collect();
        for token in tokens {
            self.cancel(token);
        }
        self.failed.retain(|failed| failed.root != root);
    }

    /// The response has ended, and the module has been told so. A stream that the module has not closed can still be named.
    pub(crate) fn finish(&mut self, token: u32) {
        if is_stream(token) && self.open.get(&token).is_some_and(|callout| !callout.closed) {
            let ended = self.open.iter().filter(|(_, callout)| callout.response.is_none());
            let (count, oldest) = (ended.clone().count(), ended.map(|(token, _)| *token).next());
            // The oldest are forgotten: a module that never closes its streams does not grow the host.
            if let Some(oldest) = oldest.filter(|_| count > MAX_OPEN) {
                self.open.remove(&oldest);
            }
        } else {
            self.open.remove(&token);
        }
    }
}
