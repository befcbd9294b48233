//! What an answer does.

use super::backoff::retry_after;
use super::batch::Batch;
use super::call::{Answer, CallId};
use super::counts::Reason;
use super::{Sender, Unacknowledged, What};
use crate::protocol::{Verdict, logs_ingestion, splunk_hec};

/// How many refusals in a row a search for the event at fault may take: enough to find one among 10,000.
pub const MAX_REFUSALS: u32 = 16;

/// When an answer came, and how long it asks to wait.
#[derive(Clone, Copy)]
struct When {
    now_ms: u64,
    retry_after_ms: u64,
}

impl Sender {
    /// The host did not accept the call: like no answer.
    pub fn not_sent(&mut self, id: CallId, now_ns: u64) {
        self.answer(id, now_ns, &Answer::NONE);
    }

    /// What came back for a call. Answers to calls that are not under way (unknown, answered before, given up) are ignored.
    pub fn answer(&mut self, id: CallId, now_ns: u64, answer: &Answer<'_>) {
        let now_ms = self.clock.advance(now_ns);
        let Some(at) = self.under_way.iter().position(|call| call.id == id) else { return };
        let call = self.under_way.swap_remove(at);
        let header = answer.status.and_then(|_| (answer.header)("retry-after"));
        let when = When { now_ms, retry_after_ms: retry_after(header.as_deref(), now_ns) };
        match call.what {
            What::Token => match answer.status.and_then(|status| logs_ingestion::grant(status, answer.body)) {
                Some(grant) => self.tokens.take(grant, now_ms),
                None => self.tokens.backoff.fail(now_ms, when.retry_after_ms),
            },
            What::Acks(asked) => self.acknowledged(&asked, answer, when),
            What::Batch { batch, serial, bytes } => {
                self.last_status = answer.status;
                let verdict = match answer.status {
                    Some(status) => self.settings.protocol.verdict(status, answer.body),
                    None => Verdict::Retry,
                };
                self.judged(id, batch, verdict, when, serial, bytes);
            }
        }
    }

    fn acknowledged(&mut self, asked: &[(CallId, u64)], answer: &Answer<'_>, when: When) {
        if answer.status != Some(200) {
            // Asked again, until the batches are too late and sent again.
            let asked_ms = when.retry_after_ms.min(self.limits.max_retry_after_ms);
            self.ask_acks_ms = self.ask_acks_ms.max(when.now_ms.saturating_add(asked_ms));
            return;
        }
        for (call, ack) in asked {
            let position = self.unacknowledged.iter().position(|batch| batch.call == *call);
            if let Some(at) = position.filter(|_| splunk_hec::is_acknowledged(answer.body, *ack)) {
                let batch = self.unacknowledged.swap_remove(at).batch;
                self.deliver(batch);
            }
        }
    }

    fn judged(&mut self, id: CallId, batch: Batch, verdict: Verdict, when: When, serial: u64, bytes: usize) {
        match verdict {
            Verdict::Delivered => {
                self.deliver(batch);
                self.succeeded();
            }
            Verdict::Accepted(ack) => {
                let deadline_ms = when.now_ms.saturating_add(self.limits.ack_timeout_ms);
                self.unacknowledged.push(Unacknowledged { call: id, ack, deadline_ms, batch });
                self.succeeded();
            }
            Verdict::NeverAcknowledged => self.give_up(batch, Reason::Unacknowledged),
            Verdict::Retry => self.failed(batch, when),
            Verdict::Unauthorized => self.unauthorized(batch, when, serial),
            Verdict::TooLarge => {
                if batch.entries.len() < 2 {
                    self.refusals = self.refusals.saturating_add(1);
                    if self.refusals > MAX_REFUSALS {
                        self.backoff.fail(when.now_ms, when.retry_after_ms);
                    }
                    return self.give_up(batch, Reason::TooLarge);
                }
                self.aim = (bytes / 2).max(1);
                self.split(batch);
            }
            Verdict::Blamed(number) if number < batch.entries.len() => {
                let mut batch = batch;
                let blamed = batch.entries.remove(number);
                blamed.into_iter().for_each(|entry| self.log(entry, Reason::Refused));
                if !batch.entries.is_empty() {
                    self.again.push_front(Batch::of(batch.entries));
                }
            }
            Verdict::Blamed(_) | Verdict::Suspect => {
                self.refusals = self.refusals.saturating_add(1);
                if self.refusals > MAX_REFUSALS {
                    self.refused(batch, when);
                } else if batch.entries.len() < 2 {
                    self.give_up(batch, Reason::Refused);
                } else {
                    self.split(batch);
                }
            }
            Verdict::Refused => self.refused(batch, when),
        }
    }

    fn succeeded(&mut self) {
        self.backoff.succeed();
        self.refusals = 0;
        self.is_unauthorized = false;
        self.aim = self.aim.saturating_add(self.aim / 4 + 1).min(self.max_bytes);
    }

    fn failed(&mut self, batch: Batch, when: When) {
        self.backoff.fail(when.now_ms, when.retry_after_ms);
        self.again.push_front(batch);
    }

    /// The first refusal since a success only costs a new token, if there are tokens; others cost a pause as well.
    fn unauthorized(&mut self, batch: Batch, when: When, serial: u64) {
        let has_tokens = self.tokens.serial > 0;
        let was_in_use = self.tokens.drop(serial);
        if has_tokens && !(was_in_use && self.is_unauthorized) {
            self.again.push_front(batch);
        } else {
            self.failed(batch, when);
        }
        self.is_unauthorized = true;
    }

    /// What is refused whole says that the next will be, too: a pause keeps the receiver from being flooded with what it does not want.
    fn refused(&mut self, batch: Batch, when: When) {
        self.backoff.fail(when.now_ms, when.retry_after_ms);
        self.give_up(batch, Reason::Refused);
    }

    fn split(&mut self, batch: Batch) {
        let (first, second) = batch.halves();
        self.again.push_front(second);
        self.again.push_front(first);
    }
}
