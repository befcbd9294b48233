//! The state machine of one receiver in one worker.
//!
//! Events wait in a queue, go out in batches, and end in one of two ways: delivered, or given back to be logged with a [`Reason`]. The caller
//! makes the calls and brings the answers, in any order, late, twice or never.
//!
//! - A batch goes out when there are `batch_events`, or when its first event has waited for `max_wait_ms`.
//! - What fails goes out again, before anything new, after a pause. It may then arrive twice, with the same `EventUid`.
//! - A batch that is refused as too large, or because of some event, goes out again in halves, until the event is alone: that one is logged. After
//!   [`MAX_REFUSALS`] refusals in a row the search ends: what is refused then is logged as it is, and followed by a pause.
//! - After a 413, calls are aimed at half that size, and grow again with each success.
//! - An event that was undeliverable for `max_age_ms` is logged.
//! - Times are those of a wall clock that may be set: a step back counts as none, and of a step forward ten minutes count at most, so that a clock that
//!   was set does not expire every event at once.
//!
//! **Invariant:** after every step, events made = delivered + logged + queued, and each is in one of these alone.
//!
//! **Invariant:** events that wait, are under way or were not yet asked for by [`Sender::next_settled`] are at most `queue_events`, and take at most
//! `queue_bytes` (or are one).

mod answer;
mod backoff;
mod batch;
mod call;
mod clock;
mod counts;
mod token;

use std::collections::VecDeque;

use crate::event::Event;
use crate::protocol::{Headers, Moment, Protocol};
use crate::settings::{Limits, Secret, Settings, SettingsError};
use crate::uuid;
use backoff::Backoff;
use batch::{Batch, Ends, Entry, fill};
use clock::Clock;
use token::Tokens;

pub use answer::MAX_REFUSALS;
pub use call::{Answer, Call, CallId};
pub use counts::{Counts, Reason, Settled};

/// How much longer than its time-out a call's answer is waited for, in milliseconds. The host reports time-outs itself; this is for one that does not.
const GRACE_MS: u64 = 5_000;

/// Keeps events until each is delivered or given back to be logged.
#[derive(Debug)]
pub struct Sender {
    settings: Settings,
    limits: Limits,
    secret: Secret,
    clock: Clock,
    /// Oldest first.
    queue: VecDeque<Entry>,
    /// To be sent again, next first; none is empty.
    again: VecDeque<Batch>,
    under_way: Vec<UnderWay>,
    unacknowledged: Vec<Unacknowledged>,
    ends: Ends,
    /// Of all of the above but the ends.
    queued: usize,
    queued_bytes: usize,
    /// How large calls are made: `max_bytes`, or less after a 413.
    aim: usize,
    max_bytes: usize,
    backoff: Backoff,
    tokens: Tokens,
    channel: Option<[u8; 16]>,
    ask_acks_ms: u64,
    refusals: u32,
    /// The last answer was a refusal of the credentials.
    is_unauthorized: bool,
    is_over: bool,
    last_call: u64,
    made: u64,
    batches: u64,
    retries: u64,
    last_status: Option<u16>,
}

#[derive(Debug)]
struct UnderWay {
    id: CallId,
    deadline_ms: u64,
    what: What,
}

#[derive(Debug)]
enum What {
    Batch {
        batch: Batch,
        /// Of the token that it was sent with.
        serial: u64,
        bytes: usize,
    },
    Token,
    /// The batches asked about.
    Acks(Vec<(CallId, u64)>),
}

#[derive(Debug)]
struct Unacknowledged {
    /// The call that brought the acknowledgement's number: a number may come twice.
    call: CallId,
    ack: u64,
    deadline_ms: u64,
    batch: Batch,
}

impl Sender {
    /// A sender without events.
    ///
    /// # Errors
    ///
    /// The first setting that cannot work.
    pub fn new(settings: Settings, limits: Limits, secret: Secret) -> Result<Self, SettingsError> {
        settings.check()?;
        settings.check_secret(&secret)?;
        let limits = limits.sane();
        let max_bytes = limits.batch_bytes.min(settings.protocol.max_bytes());
        Ok(Self {
            settings,
            limits,
            secret,
            clock: Clock::default(),
            queue: VecDeque::new(),
            again: VecDeque::new(),
            under_way: Vec::new(),
            unacknowledged: Vec::new(),
            ends: Ends::default(),
            queued: 0,
            queued_bytes: 0,
            aim: max_bytes,
            max_bytes,
            backoff: Backoff::default(),
            tokens: Tokens::default(),
            channel: None,
            ask_acks_ms: 0,
            refusals: 0,
            is_unauthorized: false,
            is_over: false,
            last_call: 0,
            made: 0,
            batches: 0,
            retries: 0,
            last_status: None,
        })
    }

    /// Takes an event.
    ///
    /// # Errors
    ///
    /// The event, when there is no room or after [`Sender::abandon`]. It is counted as logged: the caller logs it.
    pub fn push(&mut self, event: Event, now_ns: u64) -> Result<(), Box<Event>> {
        let since_ms = self.clock.advance(now_ns);
        self.made += 1;
        let size = event.size();
        let events = self.queued + self.ends.len();
        let bytes = self.queued_bytes.saturating_add(self.ends.bytes()).saturating_add(size);
        let has_room = events == 0 || events < self.limits.queue_events && bytes <= self.limits.queue_bytes;
        if self.is_over || !has_room {
            self.ends.count(if self.is_over { Reason::Abandoned } else { Reason::QueueFull });
            return Err(Box::new(event));
        }
        self.queued += 1;
        self.queued_bytes = self.queued_bytes.saturating_add(size);
        self.queue.push_back(Entry { event: Box::new(event), since_ms });
        Ok(())
    }

    /// What to send now, if anything. To be called on every tick, and after each answer, until it returns `None`. The call counts as under way from
    /// here on: its answer goes to [`Sender::answer`], or [`Sender::not_sent`] is called.
    ///
    /// `random` is asked rarely: for batch IDs and pauses.
    pub fn poll(&mut self, now_ns: u64, random: &mut dyn FnMut() -> u64) -> Option<Call> {
        let now_ms = self.clock.advance(now_ns);
        self.give_up_late_calls(now_ns, now_ms);
        self.backoff.draw(&self.limits, random);
        self.tokens.backoff.draw(&self.limits, random);
        self.give_up_late_acks(now_ms);
        self.expire(now_ms);
        let channel = *self.channel.get_or_insert_with(|| uuid::from_random(random(), random()));
        // A pause is for batches. Acknowledgements in the meantime save batches from being sent again.
        let call = self.poll_token(now_ms).or_else(|| self.poll_acks(now_ms, channel));
        if call.is_some() || self.backoff.holds(now_ms) {
            return call;
        }
        self.poll_batch(now_ns, now_ms, channel, random)
    }

    fn poll_token(&mut self, now_ms: u64) -> Option<Call> {
        let Protocol::LogsIngestion(own) = &self.settings.protocol else { return None };
        let is_under_way = self.under_way.iter().any(|call| matches!(call.what, What::Token));
        if self.queued == 0 || is_under_way || !self.tokens.is_due(now_ms) {
            return None;
        }
        let (headers, body) = own.token_request(&self.secret);
        let cluster = own.token_cluster.clone();
        Some(self.call(What::Token, now_ms, cluster, headers, body))
    }

    fn poll_acks(&mut self, now_ms: u64, channel: [u8; 16]) -> Option<Call> {
        let Protocol::SplunkHec(own) = &self.settings.protocol else { return None };
        let is_under_way = self.under_way.iter().any(|call| matches!(call.what, What::Acks(_)));
        if self.unacknowledged.is_empty() || is_under_way || now_ms < self.ask_acks_ms {
            return None;
        }
        let asked: Vec<_> = self.unacknowledged.iter().map(|batch| (batch.call, batch.ack)).collect();
        let acks = asked.iter().map(|(_, ack)| *ack);
        let (headers, body) = own.ack_request(&self.settings.authority, &self.secret, channel, acks);
        self.ask_acks_ms = now_ms.saturating_add(self.limits.ack_poll_ms);
        let cluster = self.settings.cluster.clone();
        Some(self.call(What::Acks(asked), now_ms, cluster, headers, body))
    }

    fn poll_batch(
        &mut self,
        now_ns: u64,
        now_ms: u64,
        channel: [u8; 16],
        random: &mut dyn FnMut() -> u64,
    ) -> Option<Call> {
        let is_batch = |call: &&UnderWay| matches!(call.what, What::Batch { .. });
        let under_way = self.under_way.iter().filter(is_batch).count();
        let unacknowledged = under_way + self.unacknowledged.len();
        if under_way >= self.limits.in_flight || unacknowledged >= self.limits.unacknowledged {
            return None;
        }
        let needs_token = matches!(self.settings.protocol, Protocol::LogsIngestion(_));
        if needs_token && self.tokens.current(now_ms).is_none() {
            return None;
        }
        loop {
            let is_again = !self.again.is_empty();
            let (batch, body) = self.next_batch(now_ms)?;
            if batch.entries.is_empty() {
                // None of them fits into any call; all were settled.
                continue;
            }
            let id = batch.id.unwrap_or_else(|| uuid::from_random(random(), random()));
            let token = self.tokens.current(now_ms).unwrap_or_default();
            let moment = Moment { now_ns, batch: id, token, channel };
            let headers = self.settings.protocol.headers(&self.settings, &self.secret, moment, &body);
            *(if is_again { &mut self.retries } else { &mut self.batches }) += 1;
            let batch = Batch { id: Some(id), ..batch };
            let what = What::Batch { batch, serial: self.tokens.serial, bytes: body.len() };
            let cluster = self.settings.cluster.clone();
            return Some(self.call(what, now_ms, cluster, headers, body));
        }
    }

    /// The next batch to send and its body. An empty one means that there may be another.
    fn next_batch(&mut self, now_ms: u64) -> Option<(Batch, String)> {
        let (max_events, aim, max_bytes) = (self.limits.batch_events, self.aim, self.max_bytes);
        let (id, filled) = match self.again.pop_front() {
            Some(mut batch) => {
                let filled = fill(&mut batch.entries, &self.settings, max_events, aim, max_bytes);
                let is_whole = batch.entries.is_empty() && filled.too_large.is_empty();
                let id = batch.id.filter(|_| is_whole);
                if !batch.entries.is_empty() {
                    self.again.push_front(Batch::of(batch.entries));
                }
                (id, filled)
            }
            None => {
                let has_waited = self.queue.front()?.since_ms.saturating_add(self.limits.max_wait_ms) <= now_ms;
                if !has_waited && self.queue.len() < max_events {
                    return None;
                }
                (None, fill(&mut self.queue, &self.settings, max_events, aim, max_bytes))
            }
        };
        for entry in filled.too_large {
            self.log(entry, Reason::TooLarge);
        }
        Some((Batch { id, entries: filled.taken }, filled.body))
    }

    fn call(&mut self, what: What, now_ms: u64, cluster: String, headers: Headers, body: String) -> Call {
        self.last_call += 1;
        let id = CallId(self.last_call);
        let timeout_ms = self.limits.timeout_ms;
        let deadline_ms = now_ms.saturating_add(timeout_ms.into()).saturating_add(GRACE_MS);
        self.under_way.push(UnderWay { id, deadline_ms, what });
        Call { id, cluster, headers, body: body.into_bytes(), timeout_ms }
    }

    fn give_up_late_calls(&mut self, now_ns: u64, now_ms: u64) {
        while let Some(late) = self.under_way.iter().find(|call| call.deadline_ms < now_ms) {
            self.answer(late.id, now_ns, &Answer::NONE);
        }
    }

    fn give_up_late_acks(&mut self, now_ms: u64) {
        while let Some(at) = self.unacknowledged.iter().position(|batch| batch.deadline_ms <= now_ms) {
            let late = self.unacknowledged.remove(at);
            self.again.push_back(late.batch);
        }
    }

    fn expire(&mut self, now_ms: u64) {
        let max_age_ms = self.limits.max_age_ms;
        let is_old = |entry: &Entry| entry.since_ms.saturating_add(max_age_ms) <= now_ms;
        while self.queue.front().is_some_and(is_old) {
            let old = self.queue.pop_front();
            old.into_iter().for_each(|entry| self.log(entry, Reason::Expired));
        }
        for _ in 0..self.again.len() {
            let Some(mut batch) = self.again.pop_front() else { break };
            if batch.entries.iter().any(is_old) {
                // What is left is another batch.
                batch.id = None;
                for _ in 0..batch.entries.len() {
                    match batch.entries.pop_front() {
                        Some(entry) if is_old(&entry) => self.log(entry, Reason::Expired),
                        entry => batch.entries.extend(entry),
                    }
                }
            }
            if !batch.entries.is_empty() {
                self.again.push_back(batch);
            }
        }
    }

    fn log(&mut self, entry: Entry, reason: Reason) {
        self.leave(&entry);
        self.ends.log(entry, reason);
    }

    fn give_up(&mut self, batch: Batch, reason: Reason) {
        batch.entries.into_iter().for_each(|entry| self.log(entry, reason));
    }

    fn deliver(&mut self, batch: Batch) {
        for entry in batch.entries {
            self.leave(&entry);
            self.ends.deliver(&entry);
        }
    }

    fn leave(&mut self, entry: &Entry) {
        self.queued = self.queued.saturating_sub(1);
        self.queued_bytes = self.queued_bytes.saturating_sub(entry.event.size());
    }

    /// The next event that came to its end. To be drained after each step: what is not drained takes up the queue's room.
    pub fn next_settled(&mut self) -> Option<Settled> {
        self.ends.next()
    }

    /// The VM ends: every event that is not known to be delivered is settled as [`Reason::Abandoned`], for [`Sender::next_settled`]. No call is made
    /// any more, no answer heard and no event taken.
    pub fn abandon(&mut self) {
        self.is_over = true;
        for batch in std::mem::take(&mut self.unacknowledged) {
            self.give_up(batch.batch, Reason::Abandoned);
        }
        for call in std::mem::take(&mut self.under_way) {
            if let What::Batch { batch, .. } = call.what {
                self.give_up(batch, Reason::Abandoned);
            }
        }
        while let Some(batch) = self.again.pop_front() {
            self.give_up(batch, Reason::Abandoned);
        }
        let rest = Batch::of(std::mem::take(&mut self.queue));
        self.give_up(rest, Reason::Abandoned);
    }

    /// What became of the events so far.
    pub fn counts(&self) -> Counts {
        let (mut in_flight, mut oldest_ns) = (0, None);
        let mut look_at = |entries: &VecDeque<Entry>, is_in_flight: bool| {
            in_flight += if is_in_flight { entries.len() } else { 0 };
            for entry in entries {
                oldest_ns = Some(entry.event.time_ns.min(oldest_ns.unwrap_or(u64::MAX)));
            }
        };
        for call in &self.under_way {
            if let What::Batch { batch, .. } = &call.what {
                look_at(&batch.entries, true);
            }
        }
        self.unacknowledged.iter().for_each(|batch| look_at(&batch.batch.entries, true));
        self.again.iter().for_each(|batch| look_at(&batch.entries, false));
        look_at(&self.queue, false);
        Counts {
            made: self.made,
            delivered: self.ends.delivered,
            logged: self.ends.logged,
            queued: self.queued,
            in_flight,
            queued_bytes: self.queued_bytes,
            batches: self.batches,
            retries: self.retries,
            oldest_ns,
            last_status: self.last_status,
        }
    }
}

#[cfg(test)]
mod tests;
