//! A bounded queue between the rollout and one receiver's thread, and the account of what became of its items.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many different problems are kept.
const MAX_PROBLEMS: usize = 4;

/// The queue.
#[derive(Debug)]
pub(super) struct Queue<T> {
    who: &'static str,
    what: &'static str,
    most: usize,
    inner: Mutex<Inner<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Inner<T> {
    items: VecDeque<T>,
    /// When everything has to be over.
    deadline: Option<Instant>,
    is_over: bool,
    told: Told,
}

/// What became of the items.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    who: &'static str,
    what: &'static str,
    wanted: u64,
    delivered: u64,
    failed: u64,
    problems: BTreeMap<String, u64>,
}

impl<T> Queue<T> {
    pub(super) fn new(who: &'static str, what: &'static str, most: usize) -> Self {
        let told = Told { who, what, ..Told::default() };
        let inner = Inner { items: VecDeque::new(), deadline: None, is_over: false, told };
        Self { who, what, most, inner: Mutex::new(inner), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an item in, or counts it as failed: when there is no room, or it is over.
    pub(super) fn push(&self, item: T) {
        let mut inner = self.lock();
        inner.told.wanted += 1;
        if inner.items.len() >= self.most {
            inner.told.fail(1, "more waited than there is room for");
        } else if inner.deadline.is_some() {
            inner.told.fail(1, "it came after the end");
        } else {
            inner.items.push_back(item);
            self.changed.notify_all();
        }
    }

    /// The next item; waits for one, until a time or for ever. `None` when that time has come, or when it ends and nothing is left.
    pub(super) fn take(&self, until: Option<Instant>) -> Option<T> {
        let mut inner = self.lock();
        loop {
            if let Some(item) = inner.items.pop_front() {
                return Some(item);
            }
            if inner.deadline.is_some() {
                return None;
            }
            inner = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                Some(rest) if rest.is_zero() => return None,
                Some(rest) => self.changed.wait_timeout(inner, rest).unwrap_or_else(PoisonError::into_inner).0,
                None => self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Lets time pass, at most to the deadline. Whether there is time for another try.
    pub(super) fn rest(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut inner = self.lock();
        loop {
            let now = Instant::now();
            if inner.deadline.is_some_and(|deadline| deadline <= now) {
                return false;
            }
            let until = inner.deadline.map_or(until, |deadline| deadline.min(until));
            let rest = until.saturating_duration_since(now);
            if rest.is_zero() {
                return true;
            }
            inner = self.changed.wait_timeout(inner, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether it ends.
    pub(super) fn is_ending(&self) -> bool {
        self.lock().deadline.is_some()
    }

    /// How much time there is, if that is less than `most`.
    pub(super) fn at_most(&self, most: Duration) -> Duration {
        let rest = self.lock().deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        // No time-out at all is what nothing would mean.
        rest.map_or(most, |rest| rest.min(most)).max(Duration::from_millis(1))
    }

    pub(super) fn delivered(&self, count: u64) {
        self.lock().told.delivered += count;
    }

    pub(super) fn failed(&self, count: u64, why: &str) {
        self.lock().told.fail(count, why);
    }

    /// The thread is done.
    pub(super) fn over(&self) {
        self.lock().is_over = true;
        self.changed.notify_all();
    }

    /// No more items come, and what waits has so long.
    pub(super) fn end(&self, deadline: Instant) {
        self.lock().deadline.get_or_insert(deadline);
        self.changed.notify_all();
    }

    /// What became of the items when the thread is done, or at the deadline.
    pub(super) fn wait_until_over(&self, deadline: Instant) -> Told {
        let mut inner = self.lock();
        while !inner.is_over {
            let rest = deadline.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                break;
            }
            inner = self.changed.wait_timeout(inner, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
        inner.told.clone()
    }

    /// What became of the items so far.
    pub(super) fn told(&self) -> Told {
        let told = self.lock().told.clone();
        Told { who: self.who, what: self.what, ..told }
    }
}

impl Told {
    fn fail(&mut self, count: u64, why: &str) {
        self.failed += count;
        let known = self.problems.len() < MAX_PROBLEMS || self.problems.contains_key(why);
        *self.problems.entry(if known { why } else { "other reasons" }.to_owned()).or_insert(0) += count;
    }

    /// What failed, if anything did.
    pub(super) fn problems(&self) -> Option<String> {
        (self.failed > 0).then(|| self.line(self.failed))
    }

    /// The same, when it is over: what was not delivered failed.
    pub(super) fn at_the_end(mut self) -> Option<String> {
        let open = self.wanted.saturating_sub(self.delivered + self.failed);
        if open > 0 {
            self.fail(open, "no answer in time");
        }
        self.problems()
    }

    fn line(&self, failed: u64) -> String {
        let why: Vec<String> = self.problems.iter().map(|(why, count)| format!("{why} ({count})")).collect();
        format!("{} did not take {failed} of {} {}: {}", self.who, self.wanted, self.what, why.join("; "))
    }
}
