//! One gauge: its latest value, and the identifier that the proxy gave.

use super::series::Naming;
use super::{MetricKind, MetricSink};

/// The latest value, and the proxy's name for it.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    value: u64,
    owed: bool,
    id: Option<u32>,
}

impl Gauge {
    /// Sets it.
    pub(super) fn set(&mut self, value: u64) {
        self.value = value;
        self.owed = true;
    }

    /// Sets it, if that is news.
    pub(super) fn change(&mut self, value: u64) {
        if self.id.is_none() || self.value != value {
            self.set(value);
        }
    }

    /// Whether the proxy knows the value.
    pub(super) fn is_settled(&self) -> bool {
        !self.owed
    }

    /// Has the gauge defined anew, under the name it has by then.
    pub(super) fn forget_name(&mut self) {
        self.id = None;
    }

    /// Hands over the value, if the proxy does not know it.
    pub(super) fn settle(
        &mut self,
        naming: &mut Naming,
        sink: &mut dyn MetricSink,
        name: impl FnOnce(&mut Naming) -> &str,
    ) {
        if !self.owed {
            return;
        }
        if self.id.is_none() {
            self.id = sink.define(MetricKind::Gauge, name(naming));
        }
        if let Some(id) = self.id {
            self.owed = !sink.set(id, self.value);
        }
    }
}
