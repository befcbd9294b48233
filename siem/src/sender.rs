//! The state machine of one receiver in one worker.

mod call;
mod counts;

use crate::event::Event;
use crate::settings::{Limits, Secret, Settings, SettingsError};

pub use call::{Answer, Call, CallId};
pub use counts::{Counts, Reason, Settled};

/// Keeps events until each is delivered or given back to be logged.
#[derive(Debug)]
pub struct Sender {}

impl Sender {
    /// A sender without events.
    ///
    /// # Errors
    ///
    /// The first setting that cannot work.
    pub fn new(_settings: Settings, _limits: Limits, _secret: Secret) -> Result<Self, SettingsError> {
        Ok(Self {})
    }

    /// Takes an event. When there is no room (or after [`Sender::abandon`]) it comes back, counted as logged: the caller logs it.
    ///
    /// # Errors
    ///
    /// The event, when there is no room.
    pub fn push(&mut self, event: Event, _now_ns: u64) -> Result<(), Box<Event>> {
        Err(Box::new(event))
    }

    /// What to send now, if anything. Call it on every tick and after each answer until it returns `None`. A call counts as under way from here on.
    pub fn poll(&mut self, _now_ns: u64, _random: &mut dyn FnMut() -> u64) -> Option<Call> {
        None
    }

    /// The host did not accept the call.
    pub fn not_sent(&mut self, _id: CallId, _now_ns: u64) {}

    /// What came back for a call. Answers to calls that are not under way (unknown, answered before, given up) are ignored.
    pub fn answer(&mut self, _id: CallId, _now_ns: u64, _answer: &Answer<'_>) {}

    /// The next event that came to its end since the last time. To be drained after each step: what is not drained takes up the queue's room.
    pub fn next_settled(&mut self) -> Option<Settled> {
        None
    }

    /// The VM ends: every event that is not known to be delivered is settled as [`Reason::Abandoned`], for [`Sender::next_settled`].
    pub fn abandon(&mut self) {}

    /// What became of the events so far.
    pub fn counts(&self) -> Counts {
        Counts::default()
    }
}
