//! What should have been counted, by the rules as an operator reads them in the profile, from what was sent and what came back.

use std::collections::{BTreeMap, BTreeSet};

/// The counts of a day.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// By decision and risk level.
    pub(super) approvals: BTreeMap<[String; 2], u64>,
    /// By connector, operation and status.
    pub(super) operations: BTreeMap<[String; 3], u64>,
    /// Bodies that were read, by what came of it.
    pub(super) bodies: BTreeMap<[String; 1], u64>,
    /// Second tries, by rule.
    pub(super) repeated: BTreeMap<String, u64>,
    /// Security events.
    pub(super) events: u64,
    /// Rule, path and idempotency key of what counts once.
    seen: BTreeSet<(String, String, String)>,
}

impl Ledger {
    /// Adds the ledger of somebody who used other keys.
    pub(super) fn merge(&mut self, other: Self) {
        fn add<K: Ord>(to: &mut BTreeMap<K, u64>, from: BTreeMap<K, u64>) {
            from.into_iter().for_each(|(key, count)| *to.entry(key).or_default() += count);
        }
        add(&mut self.approvals, other.approvals);
        add(&mut self.operations, other.operations);
        add(&mut self.bodies, other.bodies);
        add(&mut self.repeated, other.repeated);
        self.events += other.events;
        assert!(self.seen.is_disjoint(&other.seen), "everybody has keys of their own");
        self.seen.extend(other.seen);
    }

    /// A body that was read.
    pub(super) fn body(&mut self, outcome: &str) {
        *self.bodies.entry([outcome.to_owned()]).or_default() += 1;
    }

    /// A decision with this answer.
    pub(super) fn decision(&mut self, path: &str, key: &str, status: u16, decision: &str, risk: &str) {
        if (200..300).contains(&status) && status != 202 && self.is_first("cab_decisions", path, key) {
            *self.approvals.entry([decision.to_owned(), risk.to_owned()]).or_default() += 1;
            self.events += 1;
        }
    }

    /// An operation of a connector with this answer.
    pub(super) fn operation(&mut self, path: &str, key: &str, status: u16, connector: &str, operation: &str) {
        let outcome = match status {
            202 | 300..400 => return,
            200..300 if !self.is_first("connector_operations", path, key) => return,
            200..300 => {
                self.events += 1;
                "success"
            }
            408 | 504 => "timeout",
            _ => "failed",
        };
        *self.operations.entry([connector, operation, outcome].map(str::to_owned)).or_default() += 1;
    }

    fn is_first(&mut self, rule: &str, path: &str, key: &str) -> bool {
        let is_first = self.seen.insert((rule.to_owned(), path.to_owned(), key.to_owned()));
        if !is_first {
            *self.repeated.entry(rule.to_owned()).or_default() += 1;
        }
        is_first
    }
}
