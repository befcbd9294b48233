//! When to ask, and what came of it.

use super::MAX_BODY;
use super::election::Held;
use super::plan::{Missing, Plan, PollSpec};
use crate::json::{Document, Reader};

const MS: u64 = 1_000_000;

/// One worker's part in asking.
///
/// The caller renews the lease, calls [`tick`](Self::tick), makes the request that it returns, says by [`sent`](Self::sent) or
/// [`not_sent`](Self::not_sent) what became of it, hands over what comes back, and reports [`changed`](Self::changed) and
/// [`staleness_s`](Self::staleness_s).
#[derive(Clone, Debug)]
pub struct Poller {
    plan: Plan,
    reader: Reader,
    /// How much of the body there was.
    body: usize,
    state: State,
    /// In a row.
    failures: u32,
    /// One for each series.
    slots: Vec<Slot>,
    /// Since the last good answer.
    age_ns: u64,
    is_stale: bool,
    /// When the lease runs out.
    until_ns: u64,
    /// The last time that was given.
    now_ns: u64,
    random: u64,
    outcomes: [u64; Outcome::ALL.len()],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Without the lease.
    Off,
    /// Until the next request.
    Waiting { left_ns: u64 },
    /// The caller has the request.
    Asked,
    /// Until it is given up.
    Sent { token: u32, left_ns: u64 },
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    value: Option<u64>,
    is_changed: bool,
}

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A response with this status, whose body was handed over by [`Poller::piece`].
    Status(u16),
    /// None in time, or the connection failed.
    None,
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// An answer that counts.
    Ok,
    /// No answer.
    NoAnswer,
    /// A status that is not 200.
    Status,
    /// A body that is not one complete JSON document.
    Malformed,
    /// A body of more than [`MAX_BODY`] bytes.
    TooLarge,
    /// The host did not take the request.
    NotSent,
}

impl Outcome {
    /// All outcomes.
    pub const ALL: [Self; 6] = [Self::Ok, Self::NoAnswer, Self::Status, Self::Malformed, Self::TooLarge, Self::NotSent];

    /// Its name, as a label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NoAnswer => "no_answer",
            Self::Status => "status",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::NotSent => "not_sent",
        }
    }
}

impl Poller {
    /// Without the lease.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        Self {
            reader: Reader::new(),
            body: 0,
            state: State::Off,
            failures: 0,
            slots: vec![Slot::default(); plan.series().len()],
            age_ns: 0,
            is_stale: false,
            until_ns: 0,
            now_ns: 0,
            random: 0,
            outcomes: [0; Outcome::ALL.len()],
            plan,
        }
    }

    /// What is asked, and the series.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The time of the last good answer to any worker, as far as this one knows while it has the lease: for
    /// [`propose`](super::election::propose).
    #[must_use]
    pub fn fresh_ns(&self, now_ns: u64) -> Option<u64> {
        let since_ns = now_ns.saturating_sub(self.now_ns);
        (self.state != State::Off).then(|| now_ns.saturating_sub(self.age_ns.saturating_add(since_ns)))
    }

    /// Time goes on. `held` is the lease, if it was just renewed or taken; `random` is another number each time. The request to make, if it is
    /// time for one.
    pub fn tick(&mut self, now_ns: u64, held: Option<&Held>, random: u64) -> Option<&PollSpec> {
        self.random ^= random;
        let elapsed_ns = self.advance(now_ns);
        let Some(held) = held else {
            self.stop();
            return None;
        };
        self.until_ns = held.until_ns;
        match &mut self.state {
            State::Off => {
                self.age_ns = now_ns.saturating_sub(held.fresh_ns);
                let left_ns = self.up_to_ms(self.plan.spec().interval_ms.into()) * MS;
                self.state = State::Waiting { left_ns };
            }
            State::Waiting { left_ns } => *left_ns = left_ns.saturating_sub(elapsed_ns),
            State::Asked => self.not_sent(),
            State::Sent { left_ns, .. } => {
                *left_ns = left_ns.saturating_sub(elapsed_ns);
                if *left_ns == 0 {
                    self.end(Outcome::NoAnswer);
                }
            }
        }
        self.check_stale();
        if self.state != (State::Waiting { left_ns: 0 }) {
            return None;
        }
        self.state = State::Asked;
        Some(self.plan.spec())
    }

    /// The request is on its way, and its answer will come with this token.
    pub fn sent(&mut self, token: u32) {
        if self.state == State::Asked {
            self.reader.reset(self.plan.pointers());
            self.body = 0;
            // The host keeps to the time-out; this is for an answer that it loses.
            let left_ns = u64::from(self.plan.spec().timeout_ms).saturating_mul(2).max(1) * MS;
            self.state = State::Sent { token, left_ns };
        }
    }

    /// The host did not take the request.
    pub fn not_sent(&mut self) {
        if self.state == State::Asked {
            self.end(Outcome::NotSent);
        }
    }

    /// Takes the next piece of a response's body. What is past [`MAX_BODY`] need not be handed over, except for one byte to say so.
    pub fn piece(&mut self, token: u32, piece: &[u8]) {
        if self.is_awaited(token) {
            self.body = self.body.saturating_add(piece.len());
            if self.body <= MAX_BODY {
                self.reader.feed(self.plan.pointers(), piece);
            }
        }
    }

    /// Takes the end of a response, or that there is none. `None` if it is not the one that is awaited, or the lease has run out.
    pub fn answer(&mut self, token: u32, now_ns: u64, answer: Answer) -> Option<Outcome> {
        if !self.is_awaited(token) {
            return None;
        }
        self.advance(now_ns);
        if now_ns >= self.until_ns {
            self.stop();
            return None;
        }
        let outcome = match answer {
            Answer::None => Outcome::NoAnswer,
            Answer::Status(200) if self.body > MAX_BODY => Outcome::TooLarge,
            Answer::Status(200) if self.reader.finish() == Document::Complete => Outcome::Ok,
            Answer::Status(200) => Outcome::Malformed,
            Answer::Status(_) => Outcome::Status,
        };
        if outcome == Outcome::Ok {
            self.read();
        }
        self.end(outcome);
        self.check_stale();
        Some(outcome)
    }

    /// The series whose values have changed since they were last asked for. After the lease has moved that is all of them, with the first good
    /// answer.
    pub fn changed(&mut self) -> impl Iterator<Item = (usize, u64)> + '_ {
        let changed =
            |(index, slot): (usize, &mut Slot)| std::mem::take(&mut slot.is_changed).then_some((index, slot.value?));
        self.slots.iter_mut().enumerate().filter_map(changed)
    }

    /// The seconds since the last good answer to any worker; `None` without the lease.
    #[must_use]
    pub fn staleness_s(&self) -> Option<u64> {
        (self.state != State::Off).then_some(self.age_ns / 1_000_000_000)
    }

    /// How often each outcome came, in the order of [`Outcome::ALL`].
    #[must_use]
    pub fn outcomes(&self) -> &[u64; Outcome::ALL.len()] {
        &self.outcomes
    }

    fn is_awaited(&self, awaited: u32) -> bool {
        matches!(self.state, State::Sent { token, .. } if token == awaited)
    }

    /// The time since the last call.
    fn advance(&mut self, now_ns: u64) -> u64 {
        let elapsed_ns = now_ns.saturating_sub(self.now_ns);
        self.now_ns = now_ns;
        self.age_ns = self.age_ns.saturating_add(elapsed_ns);
        elapsed_ns
    }

    /// The lease is lost, and with it what was known: the next holder reports other values.
    fn stop(&mut self) {
        self.state = State::Off;
        self.failures = 0;
        self.is_stale = false;
        self.slots.fill(Slot::default());
    }

    /// A request has ended.
    fn end(&mut self, outcome: Outcome) {
        let count = Outcome::ALL.iter().zip(&mut self.outcomes).find(|(known, _)| **known == outcome);
        if let Some((_, count)) = count {
            *count += 1;
        }
        let spec = self.plan.spec();
        let wait_ms = if outcome == Outcome::Ok {
            self.failures = 0;
            let interval_ms = u64::from(spec.interval_ms);
            interval_ms - interval_ms / 10 + self.up_to_ms(interval_ms / 5)
        } else {
            let doubled = u64::from(spec.backoff_ms) << self.failures.min(31);
            let most = doubled.min(spec.backoff_cap_ms.into());
            self.failures = self.failures.saturating_add(1);
            self.up_to_ms(most)
        };
        // Not within the same tick.
        self.state = State::Waiting { left_ns: (wait_ms * MS).max(1) };
    }

    /// Takes the values from the document that was read.
    fn read(&mut self) {
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let gauge = self.plan.gauge(index);
            let missing = || gauge.and_then(|gauge| if gauge.missing == Missing::Zero { Some(0) } else { gauge.stale });
            slot.set(self.plan.value(&self.reader, index).or_else(missing));
        }
        self.age_ns = 0;
        self.is_stale = false;
    }

    /// Lets the gauges go to their stale values when it is time.
    fn check_stale(&mut self) {
        let is_stale = self.age_ns >= u64::from(self.plan.spec().stale_after_ms) * MS;
        if is_stale && !self.is_stale {
            for (index, slot) in self.slots.iter_mut().enumerate() {
                slot.set(self.plan.gauge(index).and_then(|gauge| gauge.stale));
            }
        }
        self.is_stale = is_stale;
    }

    /// A random number of milliseconds, below `most` unless that is 0.
    fn up_to_ms(&mut self, most: u64) -> u64 {
        // SplitMix64 (Steele, Lea and Flood, 2014): the caller's number may be used twice before the next.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut random = self.random;
        random = (random ^ random >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        random = (random ^ random >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        // The product fits: no time is longer than 2^32 ms.
        ((random ^ random >> 31) >> 32).saturating_mul(most) >> 32
    }
}

impl Slot {
    /// Takes a new value, if there is one.
    fn set(&mut self, value: Option<u64>) {
        if value.is_some() && value != self.value {
            *self = Self { value, is_changed: true };
        }
    }
}
