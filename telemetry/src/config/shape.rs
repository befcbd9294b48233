//! Structs that mirror the JSON.
//!
//! They are read from a value that the checker found sound; items of a list that were not are `None`.

use serde::Deserialize;
use serde::de::value::Error;

use super::tree::Tree;
use crate::method::Method;
use crate::route::PlaceholderLimits;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Shape {
    pub(super) namespace: Option<String>,
    pub(super) ring: String,
    pub(super) correlation: CorrelationShape,
    pub(super) routes: RoutesShape,
    pub(super) metrics: MetricsShape,
    pub(super) access_log: AccessLogShape,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct CorrelationShape {
    pub(super) header: Option<String>,
    pub(super) trust: TrustShape,
    pub(super) generate: Generate,
    pub(super) respond: bool,
    pub(super) expose: bool,
    pub(super) traceparent: Traceparent,
}

impl Default for CorrelationShape {
    fn default() -> Self {
        Self {
            header: None,
            trust: TrustShape::default(),
            generate: Generate::default(),
            respond: true,
            expose: false,
            traceparent: Traceparent::default(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum TrustShape {
    Word(TrustWord),
    Senders(SendersShape),
}

impl Default for TrustShape {
    fn default() -> Self {
        Self::Word(TrustWord::Any)
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum TrustWord {
    Any,
    None,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SendersShape {
    pub(super) networks: Vec<Option<String>>,
    pub(super) mtls: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Generate {
    #[default]
    UuidV7,
    UuidV4,
    Traceparent,
    Proxy,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Traceparent {
    #[default]
    Pass,
    Start,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RoutesShape {
    pub(super) label: Label,
    pub(super) case: CaseWord,
    pub(super) trailing_slash: Slash,
    pub(super) duplicate_slashes: DuplicateSlashesWord,
    pub(super) dot_segments: DotSegmentsWord,
    pub(super) percent_encoding: PercentEncodingWord,
    pub(super) matrix_parameters: MatrixParametersWord,
    pub(super) undeclared_methods: UndeclaredMethodsWord,
    pub(super) unmatched: UnmatchedWord,
    pub(super) placeholders: Option<PlaceholdersShape>,
    pub(super) table: Vec<Option<RouteShape>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Label {
    #[default]
    Template,
    Name,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum CaseWord {
    #[default]
    Sensitive,
    Insensitive,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Slash {
    #[default]
    Ignore,
    Strict,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum DuplicateSlashesWord {
    #[default]
    Keep,
    Merge,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum DotSegmentsWord {
    #[default]
    Keep,
    Remove,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum PercentEncodingWord {
    #[default]
    Unreserved,
    Slashes,
    Keep,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum MatrixParametersWord {
    #[default]
    Keep,
    Strip,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum UndeclaredMethodsWord {
    #[default]
    Template,
    Unknown,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum UnmatchedWord {
    #[default]
    Unknown,
    Placeholders,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PlaceholdersShape {
    pub(super) max_endpoints: usize,
    pub(super) max_per_parent: usize,
    pub(super) min_hits: u16,
}

impl Default for PlaceholdersShape {
    fn default() -> Self {
        let PlaceholderLimits { max_endpoints, max_per_parent, min_hits } = PlaceholderLimits::default();
        Self { max_endpoints, max_per_parent, min_hits }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteShape {
    #[serde(default)]
    pub(super) methods: Option<Vec<Option<MethodWord>>>,
    pub(super) template: String,
    #[serde(default)]
    pub(super) name: Option<String>,
}

/// A method, in the room of one from the start: a table has thousands.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(from = "String")]
pub(super) struct MethodWord(pub(super) Method);

impl From<String> for MethodWord {
    fn from(word: String) -> Self {
        Self(Method::from_bytes(word.as_bytes()))
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct MetricsShape {
    pub(super) series_budget: u64,
    pub(super) buckets_seconds: Vec<Option<f64>>,
    pub(super) methods: Vec<Option<MethodWord>>,
    pub(super) statuses: StatusesShape,
    pub(super) extra_statuses: u16,
    pub(super) histogram: bool,
    pub(super) flush_interval_ms: u32,
}

impl Default for MetricsShape {
    fn default() -> Self {
        Self {
            series_budget: 50_000,
            buckets_seconds: [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 2.5, 5.0, 10.0].map(Some).into(),
            methods: super::fields::METHODS
                .iter()
                .map(|method| Some(MethodWord(Method::from_bytes(method.as_bytes()))))
                .collect(),
            statuses: StatusesShape::Registered(RegisteredWord::Registered),
            extra_statuses: 16,
            histogram: false,
            flush_interval_ms: 1000,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum StatusesShape {
    Registered(RegisteredWord),
    Codes(Vec<Option<u16>>),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RegisteredWord {
    Registered,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AccessLogShape {
    pub(super) filter_state: Vec<Option<FilterStateWord>>,
}

impl Default for AccessLogShape {
    fn default() -> Self {
        Self { filter_state: vec![Some(FilterStateWord::Endpoint)] }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FilterStateWord {
    CorrelationId,
    Endpoint,
    Outcome,
}

/// Reads what the checker found sound.
pub(super) fn read(tree: Tree<'_>) -> Result<Shape, Error> {
    Shape::deserialize(tree)
}
