//! What the client saw.

use std::collections::BTreeMap;

use telemetry::method::Method;

use super::{BusinessLedger, CorrelationLedger};

/// Requests by what became of them, as the client saw it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Answered, by method and status.
    pub answered: BTreeMap<(Method, u16), u64>,
    /// Those among them that say which route they are for, by route, method and status.
    pub routed: BTreeMap<(u32, Method, u16), u64>,
    /// Abandoned by the client after the proxy began to serve them and before an answer.
    pub aborted: BTreeMap<Method, u64>,
    /// Neither: the connection broke, or no answer came in time. The proxy may or may not have seen them.
    pub unanswered: BTreeMap<Method, u64>,
    /// Answered requests whose body broke off.
    pub truncated: u64,
    /// What the first unanswered request met.
    pub first_failure: Option<String>,
    /// What answers said of the correlation ID.
    pub correlation: CorrelationLedger,
    /// What the EUCORA profile's rules should have counted.
    pub business: BusinessLedger,
}

impl Ledger {
    /// All requests.
    pub fn total(&self) -> u64 {
        self.answered.values().chain(self.aborted.values()).chain(self.unanswered.values()).sum()
    }

    /// Requests that the client abandoned.
    pub fn aborted_total(&self) -> u64 {
        self.aborted.values().sum()
    }

    /// Requests that were neither answered nor abandoned.
    pub fn unanswered_total(&self) -> u64 {
        self.unanswered.values().sum()
    }

    /// The counts that the filter should have, by method label and status: a method without a label in `methods` is `OTHER`, and abandoned
    /// requests have status 0. Unanswered ones are left out.
    pub fn expected(&self, methods: &[Method]) -> BTreeMap<(Method, u16), u64> {
        let mut counts = BTreeMap::new();
        let label = |method: Method| if methods.contains(&method) { method } else { Method::Other };
        for ((method, status), count) in &self.answered {
            *counts.entry((label(*method), *status)).or_default() += count;
        }
        for (method, count) in &self.aborted {
            *counts.entry((label(*method), 0)).or_default() += count;
        }
        counts
    }

    /// Adds another ledger.
    pub fn merge(&mut self, other: Self) {
        for (key, count) in other.answered {
            *self.answered.entry(key).or_default() += count;
        }
        for (key, count) in other.routed {
            *self.routed.entry(key).or_default() += count;
        }
        for (key, count) in other.aborted {
            *self.aborted.entry(key).or_default() += count;
        }
        for (key, count) in other.unanswered {
            *self.unanswered.entry(key).or_default() += count;
        }
        self.truncated += other.truncated;
        self.first_failure = self.first_failure.take().or(other.first_failure);
        self.correlation.merge(other.correlation);
        self.business.merge(other.business);
    }

    pub(super) fn answer(&mut self, method: Method, status: u16) {
        *self.answered.entry((method, status)).or_default() += 1;
    }

    pub(super) fn answer_of(&mut self, route: u32, method: Method, status: u16) {
        *self.routed.entry((route, method, status)).or_default() += 1;
    }

    pub(super) fn abort(&mut self, method: Method) {
        *self.aborted.entry(method).or_default() += 1;
    }

    /// A request that did not come to its end: its body broke off where its status is in the books already, else it is unanswered. `before` is
    /// the total before it.
    pub(super) fn give_up(&mut self, before: u64, method: Method, why: impl FnOnce() -> String) {
        if self.total() == before { self.fail(method, why) } else { self.truncated += 1 }
    }

    pub(super) fn fail(&mut self, method: Method, why: impl FnOnce() -> String) {
        *self.unanswered.entry(method).or_default() += 1;
        self.first_failure.get_or_insert_with(why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expected_counts_fold_methods_without_a_label() {
        let mut ledger = Ledger::default();
        ledger.answer(Method::Get, 200);
        ledger.answer(Method::Trace, 405);
        ledger.answer(Method::Other, 405);
        ledger.abort(Method::Get);
        ledger.fail(Method::Get, || "gone".to_owned());
        let mut twice = ledger.clone();
        twice.merge(ledger);
        assert_eq!((twice.total(), twice.aborted_total(), twice.unanswered_total()), (10, 2, 2));
        let expected = twice.expected(&[Method::Get, Method::Post]);
        let expected: Vec<_> = expected.into_iter().collect();
        assert_eq!(expected, [((Method::Get, 0), 2), ((Method::Get, 200), 2), ((Method::Other, 405), 4)]);
    }
}
