//! One counter: what the proxy is owed, and the identifier it gave.

use super::{Metric, MetricKind, MetricSink, stat_name};
use crate::rule::MetricSpec;

/// The largest difference in one call: the proxy takes a signed number.
const LARGEST: u64 = i64::MAX.unsigned_abs();

/// What the proxy is owed on one counter, and the proxy's name for it.
#[derive(Clone, Debug, Default)]
pub(super) struct Series {
    owed: u64,
    id: Option<u32>,
}

impl Series {
    pub(super) fn owing(owed: u64) -> Self {
        Self { owed, id: None }
    }

    #[inline]
    pub(super) fn owe(&mut self, more: u64) {
        self.owed = self.owed.saturating_add(more);
    }

    pub(super) fn is_named(&self) -> bool {
        self.id.is_some()
    }

    pub(super) fn is_settled(&self) -> bool {
        self.owed == 0
    }

    /// Has the counter defined anew, under the name it has by then.
    pub(super) fn forget_name(&mut self) {
        self.id = None;
    }

    /// Has the counter defined, though nothing may be owed.
    pub(super) fn announce(
        &mut self,
        naming: &mut Naming,
        sink: &mut dyn MetricSink,
        name: impl FnOnce(&mut Naming) -> &str,
    ) {
        if self.id.is_none() {
            self.id = sink.define(MetricKind::Counter, name(naming));
        }
    }

    /// Hands over what is owed; `true` when nothing is owed any more.
    pub(super) fn settle(
        &mut self,
        naming: &mut Naming,
        metric: &Metric,
        values: &[&str],
        sink: &mut dyn MetricSink,
    ) -> bool {
        self.settle_with(naming, sink, |naming| naming.name(metric, values))
    }

    /// The same for a name that takes work to write: `name` is asked at the first definition only.
    pub(super) fn settle_with(
        &mut self,
        naming: &mut Naming,
        sink: &mut dyn MetricSink,
        name: impl FnOnce(&mut Naming) -> &str,
    ) -> bool {
        // An addition of 0 is an error to the proxy.
        if self.owed == 0 {
            return true;
        }
        if self.id.is_none() {
            self.id = sink.define(MetricKind::Counter, name(naming));
        }
        let Some(id) = self.id else { return false };
        let part = self.owed.min(LARGEST);
        if sink.add(id, part) {
            self.owed -= part;
        }
        self.owed == 0
    }
}

/// Writes stat names into one buffer.
#[derive(Debug)]
pub(super) struct Naming {
    namespace: Box<str>,
    buffer: String,
}

impl Naming {
    pub(super) fn new(namespace: &str) -> Self {
        Self { namespace: Box::from(namespace), buffer: String::with_capacity(256) }
    }

    pub(super) fn name(&mut self, metric: &Metric, values: &[&str]) -> &str {
        stat_name::write(&mut self.buffer, &self.namespace, metric, values);
        &self.buffer
    }

    /// The name of a series with these labels.
    pub(super) fn labelled<'l>(&mut self, name: &str, labels: &mut dyn Iterator<Item = (&'l str, &'l str)>) -> &str {
        stat_name::write_labels(&mut self.buffer, &self.namespace, name, labels);
        &self.buffer
    }

    /// The name of a series of a declared metric, whose own name `name` is or begins with; `le` is the bound of a bucket.
    pub(super) fn declared(&mut self, name: &str, spec: &MetricSpec, combination: u64, le: Option<&str>) -> &str {
        let values = spec.values_of(combination);
        let labels = spec.labels.iter().map(|(label, _)| label.as_str()).zip(values);
        let bound = le.map(|le| ("le", le));
        self.labelled(name, &mut labels.chain(bound))
    }
}
