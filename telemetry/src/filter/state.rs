//! What one worker remembers between streams.

use super::{Filter, Logged};
use crate::admission::{self, Pool};
use crate::metrics::{MetricSink, Registry};
use crate::route::{Candidates, EndpointId, Learned};

/// What one worker remembers between streams: counts, and what was admitted proxy-wide as far as it knows. One per root context.
#[derive(Debug)]
pub struct State {
    registry: Registry,
    learned: Learned,
    candidates: Candidates,
    /// Status codes outside the configured ones that were admitted.
    statuses: Vec<u16>,
    max_statuses: usize,
}

impl State {
    /// Nothing counted, nothing learned. A replaced configuration needs a new state: endpoints are numbered by the configuration.
    #[must_use]
    pub fn new(filter: &Filter) -> Self {
        let max_statuses = filter.pool_limits(Pool::Statuses).items;
        let table = filter.config().routes().table();
        Self {
            registry: Registry::new(filter.config()),
            learned: Learned::new(table),
            candidates: Candidates::new(table.limits().map_or(1, |limits| limits.min_hits)),
            statuses: Vec::with_capacity(max_statuses),
            max_statuses,
        }
    }

    /// The counts.
    #[inline]
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The counts, to add to.
    #[inline]
    pub fn registry_mut(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// The label of an endpoint.
    #[inline]
    #[must_use]
    pub fn endpoint_label<'a>(&'a self, filter: &'a Filter, endpoint: EndpointId) -> &'a str {
        endpoint_label(&self.learned, filter, endpoint)
    }

    /// Hands every difference since the last time to the proxy.
    pub fn drain(&mut self, filter: &Filter, sink: &mut dyn MetricSink) {
        let Self { registry, learned, .. } = self;
        registry.drain_rules(filter.config().rules(), filter.config().polls(), sink);
        registry.drain(&|endpoint| endpoint_label(learned, filter, endpoint), sink);
    }

    /// The identifier of the proxy's own histogram for a stream that was counted; `None` where it is off or the proxy refused.
    #[inline]
    pub fn histogram_id(&mut self, filter: &Filter, logged: &Logged, sink: &mut dyn MetricSink) -> Option<u32> {
        if !filter.config().metrics().histogram() {
            return None;
        }
        let Self { registry, learned, .. } = self;
        registry.histogram_id(
            logged.method,
            logged.endpoint,
            &|endpoint| endpoint_label(learned, filter, endpoint),
            sink,
        )
    }

    /// Learns what other workers had admitted, from a pool's value as it was read. Once the pool is full and read, this worker needs to ask no
    /// more; see [`State::is_full`].
    pub fn sync(&mut self, filter: &Filter, pool: Pool, value: &[u8]) {
        for item in admission::items(value).take(filter.pool_limits(pool).items) {
            match pool {
                Pool::Endpoints => {
                    self.learn_endpoint(filter, item);
                }
                Pool::Statuses => {
                    if let Some(code) = std::str::from_utf8(item).ok().and_then(|digits| digits.parse().ok()) {
                        self.learn_status(code);
                    }
                }
            }
        }
    }

    /// Whether this worker knows a full pool, so that nothing can be admitted any more.
    #[inline]
    #[must_use]
    pub fn is_full(&self, pool: Pool) -> bool {
        match pool {
            Pool::Endpoints => self.learned.is_full(),
            Pool::Statuses => self.statuses.len() >= self.max_statuses,
        }
    }

    #[inline]
    pub(super) fn learned(&self, text: &[u8]) -> Option<EndpointId> {
        self.learned.get(text)
    }

    /// Whether there is room for a placeholder label, as far as this worker knows.
    #[inline]
    pub(super) fn has_room(&self, text: &[u8]) -> bool {
        self.learned.has_room(text)
    }

    /// Counts a hit of a placeholder label; true when it has enough of them to be admitted.
    #[inline]
    pub(super) fn hit(&mut self, text: &[u8]) -> bool {
        self.candidates.hit(text)
    }

    pub(super) fn learn_endpoint(&mut self, filter: &Filter, text: &[u8]) -> Option<EndpointId> {
        self.learned.learn(filter.config().routes().table(), text)
    }

    #[inline]
    pub(super) fn has_status(&self, code: u16) -> bool {
        self.statuses.contains(&code)
    }

    pub(super) fn learn_status(&mut self, code: u16) {
        if !self.has_status(code) && !self.is_full(Pool::Statuses) {
            self.statuses.push(code);
        }
    }
}

#[inline]
fn endpoint_label<'a>(learned: &'a Learned, filter: &'a Filter, endpoint: EndpointId) -> &'a str {
    let configured = filter.config().routes().table().labels().get(endpoint.index());
    configured.map(|label| &**label).or_else(|| learned.label(endpoint)).unwrap_or(crate::route::UNKNOWN_LABEL)
}
