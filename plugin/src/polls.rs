//! Polled gauges: which worker asks, and the calls.

use telemetry::config::PollConfig;
use telemetry::metrics::Registry;
use telemetry::poll::{Answer, MAX_BODY, Poller};

use crate::faults::Faults;
use crate::flush::HostShared;
use crate::host::{self, HeaderMap, HostBuffer};
use crate::shared;
use crate::vm::Tools;

/// How many ticks the lease outlives its holder.
const BEATS: u64 = 4;
/// How much of an answer is looked at in one piece.
const PIECE: usize = 64 * 1024;

/// The polls of one configuration, in one VM.
#[derive(Debug)]
pub(crate) struct Polls {
    pollers: Vec<Poller>,
    /// Random, so no two VMs have the same; made with the first tick.
    holder: Option<[u8; 16]>,
}

impl Polls {
    /// Nothing is asked yet.
    pub(crate) fn new(config: &[PollConfig]) -> Self {
        Self { pollers: config.iter().map(|poll| Poller::new(poll.plan().clone())).collect(), holder: None }
    }

    /// Asks what is due, if this is the worker that asks.
    pub(crate) fn tick(
        &mut self,
        prefix: &str,
        config: &[PollConfig],
        tick_ns: u64,
        now_ns: u64,
        tools: &mut Tools,
        faults: &mut Faults,
    ) {
        let Tools { value: buffer, random, .. } = tools;
        let Some(random) = random else { return };
        let holder = *self.holder.get_or_insert_with(|| random.seed());
        for (poller, poll) in self.pollers.iter_mut().zip(config) {
            let key = format!("{prefix}{}", poll.name());
            let fresh_ns = poller.fresh_ns(now_ns);
            let mut data = HostShared { buffer: &mut *buffer, faults: &mut *faults };
            let lease_ns = tick_ns.saturating_mul(BEATS);
            let held = shared::elect(&key, holder, now_ns, lease_ns, fresh_ns, &mut data);
            let [a, b, c, d, e, f, g, h, ..] = random.seed();
            let draw = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
            let Some(spec) = poller.tick(now_ns, held.as_ref(), draw) else { continue };
            let own = [(":method", "GET"), (":path", &*spec.path), (":authority", &*spec.authority)];
            let more = spec.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let headers = host::header_block(
                own.into_iter()
                    .chain([("accept", "application/json")])
                    .chain(more)
                    .map(|(name, value)| (name.as_bytes(), value.as_bytes())),
            );
            match faults.catch(host::http_call(spec.cluster.as_bytes(), &headers, b"", spec.timeout_ms)) {
                Some(token) => poller.sent(token),
                None => poller.not_sent(),
            }
        }
    }

    /// An answer to a call; `body` is how many bytes it has.
    pub(crate) fn answer(
        &mut self,
        token: u32,
        body: usize,
        now_ns: u64,
        buffer: &mut HostBuffer,
        faults: &mut Faults,
    ) {
        let status = faults.catch(host::header_value(HeaderMap::CallResponse, b":status", buffer)).flatten();
        let status: Option<u16> = status.and_then(|status| core::str::from_utf8(status).ok()?.parse().ok());
        for poller in &mut self.pollers {
            let mut start = 0;
            while status.is_some() && start < body.min(MAX_BODY + 1) {
                let wanted = (body - start).min(PIECE);
                let piece = faults.catch(host::call_body(start, wanted, buffer)).unwrap_or_default();
                if piece.is_empty() {
                    break;
                }
                start += piece.len();
                poller.piece(token, piece);
            }
            poller.answer(token, now_ns, status.map_or(Answer::None, Answer::Status));
        }
    }

    /// Hands over what has changed.
    pub(crate) fn report(&mut self, registry: &mut Registry) {
        for (index, poller) in self.pollers.iter_mut().enumerate() {
            registry.polled(index, poller);
        }
    }

    /// Gives the leases back, so that another worker asks at once.
    pub(crate) fn release(
        &mut self,
        prefix: &str,
        config: &[PollConfig],
        buffer: &mut HostBuffer,
        faults: &mut Faults,
    ) {
        let Some(holder) = self.holder else { return };
        for poll in config {
            let mut data = HostShared { buffer: &mut *buffer, faults: &mut *faults };
            shared::give_back(&format!("{prefix}{}", poll.name()), holder, &mut data);
        }
    }
}
