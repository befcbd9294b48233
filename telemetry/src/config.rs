//! Configuration: JSON to a valid [`Config`], or every mistake at once.
//!
//! Two steps. *Shape*: the value is held against one table of fields, which says of every field what it may hold; unknown
//! fields, wrong types and values out of range are collected, and what is sound is read into structs that mirror the JSON.
//! *Meaning*: the structs become a [`Config`], whose fields are private, so that it cannot exist half-valid.
//!
//! ```
//! use telemetry::config::Config;
//!
//! let config = Config::from_json(br#"{"namespace": "shop", "metrics": {"flush_interval_ms": 500}}"#)?;
//! assert_eq!(config.namespace(), "shop");
//!
//! let errors = Config::from_json(br#"{"namespce": "shop", "metrics": {"flush_interval_ms": 5}}"#).unwrap_err();
//! assert_eq!(
//!     errors.to_string(),
//!     "namespce: unknown field; did you mean `namespace`?\n\
//!      metrics.flush_interval_ms: found 5; use a whole number from 100 to 60000",
//! );
//! # Ok::<(), telemetry::config::ConfigErrors>(())
//! ```

mod budget;
mod check;
mod digest;
mod error;
mod events;
mod fields;
mod meaning;
mod polls;
#[cfg(feature = "schema")]
mod reference;
mod rules;
#[cfg(feature = "schema")]
mod schema;
mod shape;
mod tree;

use serde::Deserialize;
use serde_json::Value;

pub use budget::{Budget, Term};
pub use error::{ConfigError, ConfigErrors};
pub use events::{EventsConfig, SinkConfig};
pub use polls::PollConfig;
#[cfg(feature = "schema")]
pub use reference::reference_markdown;
#[cfg(feature = "schema")]
pub use schema::schema;

use crate::correlation::{Policy, TraceMode};
use crate::method::Method;
use crate::metrics::{Buckets, StatusSet};
use crate::route::{RouteOptions, RouteSpec, RouteTable};
use crate::rule::Rules;
use tree::Tree;

/// A valid configuration, with its routes compiled.
#[derive(Clone, Debug)]
pub struct Config {
    namespace: String,
    ring: String,
    correlation: CorrelationConfig,
    routes: RoutesConfig,
    metrics: MetricsConfig,
    access_log: AccessLogConfig,
    rules: Rules,
    polls: Vec<PollConfig>,
    events: EventsConfig,
    budget: Budget,
    digest: String,
}

/// The section `correlation`.
#[derive(Clone, Debug)]
pub struct CorrelationConfig {
    /// **Invariant:** a header name in lower case.
    header: String,
    policy: Policy,
    respond: bool,
    /// **Invariant:** only with `respond`.
    expose: bool,
    trace_mode: TraceMode,
}

/// The section `routes`.
#[derive(Clone, Debug)]
pub struct RoutesConfig {
    options: RouteOptions,
    specs: Vec<RouteSpec>,
    /// **Invariant:** compiled from `specs` and `options`.
    table: RouteTable,
}

/// The section `metrics`.
#[derive(Clone, Debug)]
pub struct MetricsConfig {
    series_budget: u64,
    buckets: Buckets,
    /// **Invariant:** no method twice, and not `OTHER`, which is always there.
    methods: Vec<Method>,
    statuses: StatusSet,
    extra_statuses: u16,
    histogram: bool,
    flush_interval_ms: u32,
}

/// The section `access_log`: what goes to the proxy's filter state.
#[derive(Clone, Debug, Default)]
pub struct AccessLogConfig {
    correlation_id: bool,
    endpoint: bool,
    outcome: bool,
    /// By position; none twice.
    facts: Vec<usize>,
}

impl Config {
    /// Reads a configuration as the proxy hands it over. No bytes at all stand for the defaults.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ConfigErrors> {
        if bytes.trim_ascii().is_empty() {
            return Self::from_tree(Tree::empty());
        }
        tree::read(bytes).map_err(|message| ConfigErrors::one("", message)).and_then(Self::from_tree)
    }

    /// The same from a parsed value, for tools that read YAML.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn from_value(value: Value) -> Result<Self, ConfigErrors> {
        let tree = Tree::deserialize(&value).map_err(|error| ConfigErrors::one("", error.to_string()))?;
        Self::from_tree(tree)
    }

    fn from_tree(mut tree: Tree<'_>) -> Result<Self, ConfigErrors> {
        let digest = digest::of(&tree);
        let mut errors = ConfigErrors::default();
        check::prune(&mut tree, &mut errors);
        meaning::build(shape::read(tree), digest, errors)
    }

    /// The prefix of every metric, and the namespace in the proxy's filter state.
    #[inline]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The ring that this proxy belongs to; may be empty.
    pub fn ring(&self) -> &str {
        &self.ring
    }

    /// The section `correlation`.
    #[inline]
    pub fn correlation(&self) -> &CorrelationConfig {
        &self.correlation
    }

    /// The section `routes`.
    #[inline]
    pub fn routes(&self) -> &RoutesConfig {
        &self.routes
    }

    /// The section `metrics`.
    #[inline]
    pub fn metrics(&self) -> &MetricsConfig {
        &self.metrics
    }

    /// The section `access_log`.
    #[inline]
    pub fn access_log(&self) -> &AccessLogConfig {
        &self.access_log
    }

    /// The sections `facts`, `rules` and `bodies`.
    #[inline]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The section `polls`.
    pub fn polls(&self) -> &[PollConfig] {
        &self.polls
    }

    /// The section `events`.
    #[inline]
    pub fn events(&self) -> &EventsConfig {
        &self.events
    }

    /// The labels of declared metrics, some more than once.
    pub fn declared_labels(&self) -> impl Iterator<Item = &str> {
        let counted = self.rules.metrics().iter().flat_map(|spec| &spec.labels);
        let polled = self.polls.iter().flat_map(|poll| &poll.plan().spec().gauges).flat_map(|gauge| &gauge.labels);
        counted.chain(polled).map(|(label, _)| label.as_str())
    }

    /// The first 12 hexadecimal digits of the SHA-256 of the canonical JSON: keys sorted, no white space, whole numbers
    /// without a fraction. The same for a file in YAML or JSON, whatever its order, spacing and comments.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// How many series this configuration can lead to at worst; within its `metrics.series_budget`.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// How many endpoint labels there can be: those of the table, and the learned ones.
    pub fn max_endpoints(&self) -> usize {
        self.routes.table.labels().len() + self.routes.max_learned()
    }
}

impl CorrelationConfig {
    /// The header's name, in lower case.
    #[inline]
    pub fn header(&self) -> &str {
        &self.header
    }

    /// Whose IDs are kept, and what a new one is made of.
    #[inline]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether the ID is set on the response.
    #[inline]
    pub fn respond(&self) -> bool {
        self.respond
    }

    /// Whether the header is merged into `Access-Control-Expose-Headers` of CORS responses.
    #[inline]
    pub fn expose(&self) -> bool {
        self.expose
    }

    /// What happens to `traceparent`.
    #[inline]
    pub fn trace_mode(&self) -> TraceMode {
        self.trace_mode
    }
}

impl RoutesConfig {
    /// How paths and labels are treated.
    #[inline]
    pub fn options(&self) -> &RouteOptions {
        &self.options
    }

    /// The routes as configured.
    #[inline]
    pub fn specs(&self) -> &[RouteSpec] {
        &self.specs
    }

    /// The routes, compiled.
    #[inline]
    pub fn table(&self) -> &RouteTable {
        &self.table
    }

    /// How many placeholder labels may be learned; 0 without `unmatched: placeholders`.
    #[inline]
    pub fn max_learned(&self) -> usize {
        self.table.max_learned()
    }
}

impl MetricsConfig {
    /// The largest number of series that the configuration may lead to.
    pub fn series_budget(&self) -> u64 {
        self.series_budget
    }

    /// The latency buckets.
    #[inline]
    pub fn buckets(&self) -> &Buckets {
        &self.buckets
    }

    /// The methods with a label of their own; every other is `OTHER`.
    #[inline]
    pub fn methods(&self) -> &[Method] {
        &self.methods
    }

    /// The status codes that always have a label of their own.
    #[inline]
    pub fn statuses(&self) -> &StatusSet {
        &self.statuses
    }

    /// How many other codes may be admitted as they appear.
    #[inline]
    pub fn extra_statuses(&self) -> u16 {
        self.extra_statuses
    }

    /// Whether the proxy's own histogram is kept as well.
    #[inline]
    pub fn histogram(&self) -> bool {
        self.histogram
    }

    /// How often counts are handed to the proxy.
    pub fn flush_interval_ms(&self) -> u32 {
        self.flush_interval_ms
    }
}

impl AccessLogConfig {
    /// Whether the correlation ID goes to the filter state.
    #[inline]
    pub fn correlation_id(&self) -> bool {
        self.correlation_id
    }

    /// Whether the endpoint label does.
    #[inline]
    pub fn endpoint(&self) -> bool {
        self.endpoint
    }

    /// Whether what became of the incoming ID does.
    #[inline]
    pub fn outcome(&self) -> bool {
        self.outcome
    }

    /// The facts that do, by position.
    pub fn facts(&self) -> &[usize] {
        &self.facts
    }
}

#[cfg(test)]
mod tests;
