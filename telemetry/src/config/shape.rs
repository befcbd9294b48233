//! Structs that mirror the JSON.
//!
//! They are read from a value that the checker found sound, so reading cannot fail; items of a list that were not sound are `None`. This is written
//! out because what derives it makes a quarter of the module.

use std::borrow::Cow;

use super::events::{self, shape::EventsShape};
use super::polls::{self, PollShape};
use super::rules::{self, shape::RulesShape};
use super::tree::{Entry, Tree};
use crate::correlation::{Generator, TraceMode};
use crate::method::Method;
use crate::route::{
    Case, DotSegments, DuplicateSlashes, LabelStyle, MatrixParameters, PercentEncoding, PlaceholderLimits,
    RouteOptions, TrailingSlash, UndeclaredMethods, Unmatched,
};

#[derive(Debug)]
pub(super) struct Shape {
    pub(super) namespace: Option<String>,
    pub(super) ring: String,
    pub(super) build: String,
    pub(super) correlation: CorrelationShape,
    pub(super) routes: RoutesShape,
    pub(super) metrics: MetricsShape,
    pub(super) access_log: AccessLogShape,
    pub(super) rules: RulesShape,
    pub(super) polls: Vec<Option<PollShape>>,
    pub(super) events: EventsShape,
}

#[derive(Debug)]
pub(super) struct CorrelationShape {
    pub(super) header: Option<String>,
    pub(super) trust: TrustShape,
    pub(super) generate: Generator,
    pub(super) respond: bool,
    pub(super) expose: bool,
    pub(super) traceparent: TraceMode,
}

#[derive(Debug)]
pub(super) enum TrustShape {
    Any,
    None,
    Senders { networks: Vec<Option<String>>, mtls: bool },
}

#[derive(Debug)]
pub(super) struct RoutesShape {
    /// But for what placeholders are bounded by: that is in `placeholders`.
    pub(super) options: RouteOptions,
    pub(super) placeholders: Option<PlaceholderLimits>,
    pub(super) table: Vec<Option<RouteShape>>,
}

#[derive(Debug)]
pub(super) struct RouteShape {
    pub(super) methods: Option<Vec<Option<Method>>>,
    pub(super) template: String,
    pub(super) name: Option<String>,
}

#[derive(Debug)]
pub(super) struct MetricsShape {
    pub(super) series_budget: u64,
    pub(super) buckets_seconds: Vec<Option<f64>>,
    pub(super) methods: Vec<Option<Method>>,
    pub(super) statuses: StatusesShape,
    pub(super) extra_statuses: u16,
    pub(super) histogram: bool,
    pub(super) flush_interval_ms: u32,
}

#[derive(Debug)]
pub(super) enum StatusesShape {
    Registered,
    Codes(Vec<Option<u16>>),
}

#[derive(Debug)]
pub(super) struct AccessLogShape {
    pub(super) filter_state: Vec<Option<FilterStateWord>>,
    pub(super) facts: Vec<Option<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FilterStateWord {
    CorrelationId,
    Endpoint,
    Outcome,
}

/// Reads what the checker found sound.
pub(super) fn read(tree: Tree<'_>) -> Shape {
    let mut root = Fields::of(Some(tree));
    Shape {
        namespace: root.text("namespace"),
        ring: root.text("ring").unwrap_or_default(),
        build: root.text("build").unwrap_or_default(),
        correlation: correlation(root.section("correlation")),
        routes: routes(root.section("routes")),
        metrics: metrics(root.section("metrics")),
        access_log: access_log(root.section("access_log")),
        rules: rules::shape::read(&mut root),
        polls: polls::read(&mut root),
        events: events::shape::read(root.section("events")),
    }
}

fn correlation(mut fields: Fields<'_>) -> CorrelationShape {
    CorrelationShape {
        header: fields.text("header"),
        trust: match fields.take("trust") {
            Some(Tree::Text(word)) if word == "none" => TrustShape::None,
            Some(object @ Tree::Object(_)) => {
                let mut senders = Fields::of(Some(object));
                TrustShape::Senders {
                    networks: senders.list("networks", text).unwrap_or_default(),
                    mtls: senders.bool("mtls").unwrap_or(false),
                }
            }
            _ => TrustShape::Any,
        },
        generate: fields.word(
            "generate",
            &[
                ("uuidv7", Generator::UuidV7),
                ("uuidv4", Generator::UuidV4),
                ("traceparent", Generator::TraceId),
                ("proxy", Generator::Proxy),
            ],
        ),
        respond: fields.bool("respond").unwrap_or(true),
        expose: fields.bool("expose").unwrap_or(false),
        traceparent: fields.word("traceparent", &[("pass", TraceMode::Pass), ("start", TraceMode::Start)]),
    }
}

fn routes(mut fields: Fields<'_>) -> RoutesShape {
    let placeholders = fields.take("placeholders").map(|tree| {
        let mut fields = Fields::of(Some(tree));
        let default = PlaceholderLimits::default();
        PlaceholderLimits {
            max_endpoints: fields.whole("max_endpoints").unwrap_or(default.max_endpoints),
            max_per_parent: fields.whole("max_per_parent").unwrap_or(default.max_per_parent),
            min_hits: fields.whole("min_hits").unwrap_or(default.min_hits),
        }
    });
    let limits = placeholders.unwrap_or_default();
    let options = RouteOptions {
        label: fields.word("label", &[("template", LabelStyle::Template), ("name", LabelStyle::Name)]),
        case: fields.word("case", &[("sensitive", Case::Sensitive), ("insensitive", Case::Insensitive)]),
        trailing_slash: fields
            .word("trailing_slash", &[("ignore", TrailingSlash::Ignore), ("strict", TrailingSlash::Strict)]),
        duplicate_slashes: fields
            .word("duplicate_slashes", &[("keep", DuplicateSlashes::Keep), ("merge", DuplicateSlashes::Merge)]),
        dot_segments: fields.word("dot_segments", &[("keep", DotSegments::Keep), ("remove", DotSegments::Remove)]),
        percent_encoding: fields.word(
            "percent_encoding",
            &[
                ("unreserved", PercentEncoding::Unreserved),
                ("slashes", PercentEncoding::Slashes),
                ("keep", PercentEncoding::Keep),
            ],
        ),
        matrix_parameters: fields
            .word("matrix_parameters", &[("keep", MatrixParameters::Keep), ("strip", MatrixParameters::Strip)]),
        undeclared_methods: fields.word(
            "undeclared_methods",
            &[("template", UndeclaredMethods::Template), ("unknown", UndeclaredMethods::Unknown)],
        ),
        unmatched: fields
            .word("unmatched", &[("unknown", Unmatched::Unknown), ("placeholders", Unmatched::Placeholders(limits))]),
    };
    RoutesShape { options, placeholders, table: fields.list("table", route).unwrap_or_default() }
}

fn route(tree: Tree<'_>) -> Option<RouteShape> {
    let mut fields = Fields::of(Some(tree));
    Some(RouteShape {
        methods: fields.list("methods", method),
        template: fields.text("template")?,
        name: fields.text("name"),
    })
}

fn metrics(mut fields: Fields<'_>) -> MetricsShape {
    MetricsShape {
        series_budget: fields.whole("series_budget").unwrap_or(50_000),
        buckets_seconds: fields
            .list("buckets_seconds", decimal)
            .unwrap_or_else(|| [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 2.5, 5.0, 10.0].map(Some).into()),
        methods: fields.list("methods", method).unwrap_or_else(|| {
            super::fields::METHODS.iter().map(|method| Some(Method::from_bytes(method.as_bytes()))).collect()
        }),
        statuses: match fields.take("statuses") {
            Some(Tree::List(items)) => StatusesShape::Codes(items.into_iter().map(whole).collect()),
            _ => StatusesShape::Registered,
        },
        extra_statuses: fields.whole("extra_statuses").unwrap_or(16),
        histogram: fields.bool("histogram").unwrap_or(false),
        flush_interval_ms: fields.whole("flush_interval_ms").unwrap_or(1000),
    }
}

fn access_log(mut fields: Fields<'_>) -> AccessLogShape {
    let word = |tree: Tree<'_>| match &*text(tree)? {
        "correlation_id" => Some(FilterStateWord::CorrelationId),
        "endpoint" => Some(FilterStateWord::Endpoint),
        "outcome" => Some(FilterStateWord::Outcome),
        _ => None,
    };
    let filter_state = fields.list("filter_state", word);
    AccessLogShape {
        filter_state: filter_state.unwrap_or_else(|| vec![Some(FilterStateWord::Endpoint)]),
        facts: fields.list("facts", |tree| text(tree).map(|name| name.to_string())).unwrap_or_default(),
    }
}

/// The fields of an object. Each is taken once, and freed as it is read.
pub(super) struct Fields<'a>(Box<[Entry<'a>]>);

impl<'a> Fields<'a> {
    pub(super) fn of(tree: Option<Tree<'a>>) -> Self {
        match tree {
            Some(Tree::Object(entries)) => Self(entries),
            _ => Self(Box::default()),
        }
    }

    /// The checker makes null of a field that is not sound; it is as if it were not there.
    pub(super) fn take(&mut self, name: &str) -> Option<Tree<'a>> {
        let (_, tree) = self.0.iter_mut().find(|(known, _)| known == name)?;
        match std::mem::replace(tree, Tree::Null) {
            Tree::Null => None,
            tree => Some(tree),
        }
    }

    pub(super) fn section(&mut self, name: &str) -> Self {
        Self::of(self.take(name))
    }

    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.take(name).and_then(text)
    }

    pub(super) fn bool(&mut self, name: &str) -> Option<bool> {
        match self.take(name)? {
            Tree::Bool(value) => Some(value),
            _ => None,
        }
    }

    pub(super) fn whole<N: TryFrom<u64>>(&mut self, name: &str) -> Option<N> {
        self.take(name).and_then(whole)
    }

    /// What the word of this field stands for; the default where there is none.
    fn word<W: Copy + Default>(&mut self, name: &str, words: &[(&str, W)]) -> W {
        self.choice(name, words).unwrap_or_default()
    }

    /// What the word of this field stands for.
    pub(super) fn choice<W: Copy>(&mut self, name: &str, words: &[(&str, W)]) -> Option<W> {
        match self.take(name)? {
            Tree::Text(word) => words.iter().find(|(known, _)| *known == word).map(|(_, meant)| *meant),
            _ => None,
        }
    }

    /// The sound entries of a map, sorted by name.
    pub(super) fn map<T>(&mut self, name: &str, value: fn(Tree<'a>) -> Option<T>) -> Option<Vec<(String, T)>> {
        match self.take(name)? {
            Tree::Object(entries) => {
                let entries = entries.into_iter().filter_map(|(name, tree)| Some((name.into_owned(), value(tree)?)));
                Some(entries.collect())
            }
            _ => None,
        }
    }

    pub(super) fn list<T>(&mut self, name: &str, item: fn(Tree<'a>) -> Option<T>) -> Option<Vec<Option<T>>> {
        match self.take(name)? {
            Tree::List(items) => Some(items.into_iter().map(item).collect()),
            _ => None,
        }
    }
}

pub(super) fn text(tree: Tree<'_>) -> Option<String> {
    match tree {
        Tree::Text(text) => Some(Cow::into_owned(text)),
        _ => None,
    }
}

/// The checker saw to the range.
pub(super) fn whole<N: TryFrom<u64>>(tree: Tree<'_>) -> Option<N> {
    match tree {
        Tree::Number(number) => N::try_from(number.as_u64()?).ok(),
        _ => None,
    }
}

pub(super) fn decimal(tree: Tree<'_>) -> Option<f64> {
    match tree {
        Tree::Number(number) => number.as_f64(),
        _ => None,
    }
}

pub(super) fn method(tree: Tree<'_>) -> Option<Method> {
    match tree {
        Tree::Text(word) => Some(Method::from_bytes(word.as_bytes())),
        _ => None,
    }
}
