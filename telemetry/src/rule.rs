//! Rules: what certain streams mean beyond a request.
//!
//! A rule says which streams it is about, and what they make: a metric, a security event. What it takes from a stream are
//! *facts*: values with a name, from the path, headers, the request's body or the outcome.
//!
//! Most streams are named by no rule, and cost one look into a table when they begin and none when they end. Of the others
//! everything but a body is read at the end of the stream, when a proxy shows its headers once more.
//!
//! | step | where |
//! |---|---|
//! | may a rule be about this stream? | [`Rules::candidates`], by endpoint and method |
//! | does one of them read the body? | [`Rules::reads_body`]; then [`body::Body`] is fed as it passes |
//! | the end | [`fire::Firing`]: conditions, facts, once, outputs |

pub mod body;
pub mod condition;
pub mod event;
#[cfg(feature = "tools")]
pub mod explain;
pub mod fact;
pub mod fire;
pub mod metric;
pub mod probe;

pub use condition::{Condition, Once, StatusMatch};
pub use event::{Burst, EventFields, EventSpec};
pub use fact::{Fact, Source};
pub use fire::{Ask, Proxy};
pub use metric::{MetricSpec, MetricValue};

use crate::json::Pointers;
use crate::method::Method;
use crate::route::EndpointId;
use probe::Probes;

/// A set of rules, a bit for each by its position.
pub type RuleSet = u64;

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name: a label.
    pub name: String,
    /// Which streams it is about.
    pub condition: Condition,
    /// Whether what is tried again counts once.
    pub once: Option<Once>,
    /// What it counts.
    pub metric: Option<Counts>,
    /// The event that it makes.
    pub event: Option<EventSpec>,
}

/// What a rule counts.
#[derive(Clone, Debug)]
pub struct Counts {
    /// The position among the metrics.
    pub metric: usize,
    /// What is added, set or observed.
    pub value: MetricValue,
    /// The facts behind the labels, in their order.
    pub labels: Vec<usize>,
}

/// The rules of a configuration.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    facts: Vec<Fact>,
    rules: Vec<Rule>,
    metrics: Vec<MetricSpec>,
    /// The JSON pointers of facts.
    pointers: Pointers,
    max_body: usize,
    /// For each endpoint of the table the rules about it; empty where there are no rules.
    by_endpoint: Box<[RuleSet]>,
    /// The rules about any endpoint.
    anywhere: RuleSet,
    /// The rules that name their endpoints.
    named: RuleSet,
    by_method: [RuleSet; Method::COUNT],
    /// The rules that may be about statuses of a class, by its first digit.
    by_class: [RuleSet; 10],
    /// The rules that need a body.
    with_body: RuleSet,
    /// The rules about paths that look for a weakness.
    with_probes: RuleSet,
}

/// What [`Rules::new`] is made of.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// The facts.
    pub facts: Vec<Fact>,
    /// The rules, at most 64.
    pub rules: Vec<Rule>,
    /// The metrics that they count in.
    pub metrics: Vec<MetricSpec>,
    /// The JSON pointers of the facts.
    pub pointers: Pointers,
    /// How far bodies are read, in bytes.
    pub max_body: usize,
}

impl Rules {
    /// The rules, with their tables. `endpoints` is how many the route table has.
    #[must_use]
    pub fn new(parts: Parts, endpoints: usize) -> Self {
        let Parts { facts, rules, metrics, pointers, max_body } = parts;
        let mut compiled = Self { facts, rules, metrics, pointers, max_body, ..Self::default() };
        if compiled.rules.is_empty() {
            return compiled;
        }
        let mut by_endpoint = vec![0; endpoints];
        for (rule, bit) in compiled.rules.iter().zip((0..RuleSet::BITS).map(|bit| 1 << bit)) {
            let condition = &rule.condition;
            match &condition.endpoints {
                None => compiled.anywhere |= bit,
                Some(named) => {
                    compiled.named |= bit;
                    for endpoint in named {
                        if let Some(rules) = by_endpoint.get_mut(endpoint.index()) {
                            *rules |= bit;
                        }
                    }
                }
            }
            for method in Method::ALL {
                if condition.methods.as_ref().is_none_or(|methods| methods.contains(&method))
                    && let Some(rules) = compiled.by_method.get_mut(method.index())
                {
                    *rules |= bit;
                }
            }
            for (class, rules) in compiled.by_class.iter_mut().enumerate() {
                if condition.may_have_status_of(class) {
                    *rules |= bit;
                }
            }
            let is_body = |source: &Source| matches!(source, Source::Body(_));
            let keys = rule.once.iter().flat_map(|once| &once.by);
            let senders = rule.event.iter().flat_map(|event| &event.burst).flat_map(|burst| &burst.by);
            if keys.chain(senders).any(is_body)
                || rule.facts().any(|fact| compiled.facts.get(fact).is_some_and(Fact::reads_body))
            {
                compiled.with_body |= bit;
            }
            if condition.probes.is_some() {
                compiled.with_probes |= bit;
            }
        }
        by_endpoint.iter_mut().for_each(|rules| *rules |= compiled.anywhere);
        compiled.by_endpoint = by_endpoint.into_boxed_slice();
        compiled
    }

    /// The rules that may be about a stream with this method and endpoint.
    #[inline]
    #[must_use]
    pub fn candidates(&self, method: Method, endpoint: EndpointId) -> RuleSet {
        if self.by_endpoint.is_empty() {
            return 0;
        }
        let about = self.by_endpoint.get(endpoint.index()).copied().unwrap_or(self.anywhere);
        about & self.by_method.get(method.index()).copied().unwrap_or_default()
    }

    /// Of these rules those that may be about a stream with this path, and what the path looks for.
    #[inline]
    #[must_use]
    pub fn with_path(&self, candidates: RuleSet, path: Option<&[u8]>) -> (RuleSet, Probes) {
        if candidates & self.with_probes == 0 {
            return (candidates, 0);
        }
        match path.map_or(0, probe::find) {
            0 => (candidates & !self.with_probes, 0),
            found => (candidates, found),
        }
    }

    /// Of these rules those that may be about a stream with this status.
    #[inline]
    #[must_use]
    pub fn with_status(&self, candidates: RuleSet, status: u16) -> RuleSet {
        candidates & self.by_class.get(usize::from(status / 100)).copied().unwrap_or_default()
    }

    /// Whether one of these rules names its endpoints.
    #[inline]
    #[must_use]
    pub fn names_endpoint(&self, candidates: RuleSet) -> bool {
        candidates & self.named != 0
    }

    /// Whether one of these rules has a fact of the request's body.
    #[inline]
    #[must_use]
    pub fn reads_body(&self, candidates: RuleSet) -> bool {
        candidates & self.with_body != 0
    }

    /// The facts, in the order of the configuration.
    #[inline]
    #[must_use]
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// The rules, in the order of the configuration.
    #[inline]
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The declared metrics, in the order in which rules first name them.
    #[inline]
    #[must_use]
    pub fn metrics(&self) -> &[MetricSpec] {
        &self.metrics
    }

    /// The JSON pointers that bodies are read for.
    #[inline]
    #[must_use]
    pub fn pointers(&self) -> &Pointers {
        &self.pointers
    }

    /// How far bodies are read, in bytes.
    #[inline]
    #[must_use]
    pub fn max_body(&self) -> usize {
        self.max_body
    }
}

impl Rule {
    /// The facts of its metric.
    fn counted(&self) -> impl Iterator<Item = usize> {
        self.metric.iter().flat_map(|counts| {
            let value = match counts.value {
                MetricValue::Fact(fact) => Some(fact),
                MetricValue::Whole(_) => None,
            };
            counts.labels.iter().copied().chain(value)
        })
    }

    /// The facts that it needs, by position; some more than once.
    pub fn facts(&self) -> impl Iterator<Item = usize> {
        let told = self.event.iter().flat_map(|event| event.fields.iter().chain(event.with.iter().copied()));
        self.condition.facts().chain(self.counted()).chain(told)
    }
}

#[cfg(test)]
mod tests;
