//! The one table of configuration fields: what each may hold, its default, and what it means.
//!
//! The checker, the JSON Schema and the reference in the README are all made from it.

use super::events::fields as events;
use super::polls;
use super::rules::fields as rules;

/// One field.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// The default as JSON; `None` for a field that must be there, `Some("")` for one that may be left out and then has
    /// no value.
    pub(super) default: Option<&'static str>,
    /// What it means, in Markdown.
    #[cfg_attr(not(feature = "schema"), allow(dead_code, reason = "only tools show it"))]
    pub(super) doc: &'static str,
}

/// What a field may hold.
#[derive(Debug)]
pub(super) enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number in a range.
    Whole { min: u64, max: u64 },
    /// A decimal number; its range is a matter of meaning.
    Decimal,
    /// Text; `form` says of which form, and the meaning checks it.
    Text {
        form: &'static str,
        #[cfg_attr(
            not(feature = "schema"),
            allow(dead_code, reason = "only the schema needs it: the meaning step checks by hand, without an engine")
        )]
        pattern: Option<&'static str>,
    },
    /// One of some words.
    Choice(&'static [&'static str]),
    /// Fields of its own.
    Section(&'static [Field]),
    /// A list; `most` is its greatest length, where it has one.
    List { of: &'static Kind, many: &'static str, most: Option<usize> },
    /// An object whose fields have names of the configuration's own; `many` says what it holds.
    Map { of: &'static Kind, many: &'static str, most: usize },
    /// Any of these.
    Either(&'static [Kind]),
}

/// What only tools show is not in the module.
pub(super) const fn doc(text: &'static str) -> &'static str {
    if cfg!(feature = "schema") { text } else { "" }
}

pub(super) const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];

pub(super) const fn text(form: &'static str) -> Kind {
    Kind::Text { form, pattern: None }
}

/// The whole configuration.
pub(super) const ROOT: &[Field] = &[
    Field {
        name: "namespace",
        kind: Kind::Text {
            form: "a lower-case letter, then at most 31 lower-case letters, digits and `_`",
            pattern: Some("^[a-z][a-z0-9_]{0,31}$"),
        },
        default: Some("\"eucora\""),
        doc: doc("prefix of every metric, and namespace in the proxy's filter state"),
    },
    Field {
        name: "ring",
        kind: text("at most 64 printable ASCII characters"),
        default: Some("\"\""),
        doc: doc("the ring this proxy belongs to: a label of the build-info metric"),
    },
    Field {
        name: "build",
        kind: text("at most 64 letters, digits, `.`, `_` and `-`"),
        default: Some("\"\""),
        doc: doc(
            "what the operator calls this build of the module; nothing but the configuration's digest depends on it, so that the digest tells two builds \
             with one configuration apart. Rollouts set it to the first 12 digits of the module's SHA-256",
        ),
    },
    Field {
        name: "correlation",
        kind: Kind::Section(CORRELATION),
        default: Some(""),
        doc: doc("the correlation ID of a request"),
    },
    Field {
        name: "routes",
        kind: Kind::Section(ROUTES),
        default: Some(""),
        doc: doc("from a request's path to its endpoint label"),
    },
    Field {
        name: "metrics",
        kind: Kind::Section(METRICS),
        default: Some(""),
        doc: doc("what is counted, and how much of it"),
    },
    Field {
        name: "access_log",
        kind: Kind::Section(ACCESS_LOG),
        default: Some(""),
        doc: doc("what the proxy's access log may show of a request"),
    },
    Field {
        name: "facts",
        kind: Kind::List { of: &Kind::Section(rules::FACT), many: "facts", most: Some(rules::MAX_FACTS) },
        default: Some("[]"),
        doc: doc("what rules take from a request and its answer: values with a name"),
    },
    Field {
        name: "rules",
        kind: Kind::List { of: &Kind::Section(rules::RULE), many: "rules", most: Some(rules::MAX_RULES) },
        default: Some("[]"),
        doc: doc(
            "what certain requests mean beyond a request: metrics and security events; a request that no rule names costs nothing more",
        ),
    },
    Field {
        name: "bodies",
        kind: Kind::Section(rules::BODIES),
        default: Some(""),
        doc: doc("how far request bodies are read, where a rule has a fact of one"),
    },
    Field {
        name: "polls",
        kind: Kind::List { of: &Kind::Section(polls::POLL), many: "polls", most: Some(polls::MAX_POLLS) },
        default: Some("[]"),
        doc: doc("gauges that no traffic shows: what to ask the API for, now and then"),
    },
    Field {
        name: "events",
        kind: Kind::Section(events::EVENTS),
        default: Some(""),
        doc: doc("where security events go"),
    },
];

/// What the filter can leave in the proxy's filter state.
pub(super) const FILTER_STATE: &[&str] = &["correlation_id", "endpoint", "outcome"];

const ACCESS_LOG: &[Field] = &[
    Field {
        name: "filter_state",
        kind: Kind::List { of: &Kind::Choice(FILTER_STATE), many: "words", most: Some(3) },
        default: Some(r#"["endpoint"]"#),
        doc: doc(
            "what goes to the filter state `wasm.<namespace>.…`, for `%FILTER_STATE(…:PLAIN)%`: the ID, the endpoint label, what became of the ID that came; each costs every request a hostcall, and the ID is also in the request's header, where `%REQ(…)%` reads it",
        ),
    },
    Field {
        name: "facts",
        kind: Kind::List { of: &text("the name of a fact"), many: "facts", most: Some(8) },
        default: Some("[]"),
        doc: doc(
            "facts that go to the filter state `wasm.<namespace>.<fact>`, of requests whose endpoint and method a rule names, whatever their status; no body is read for them alone",
        ),
    },
];

const CORRELATION: &[Field] = &[
    Field {
        name: "header",
        kind: text("a header name"),
        default: Some("\"x-correlation-id\""),
        doc: doc("the header that carries the ID, on the request and on the response"),
    },
    Field {
        name: "trust",
        kind: Kind::Either(&[Kind::Choice(&["any", "none"]), Kind::Section(TRUST)]),
        default: Some("\"any\""),
        doc: doc(
            "whose IDs are kept: everyone's, nobody's, or those of the senders described; any other ID is replaced",
        ),
    },
    Field {
        name: "generate",
        kind: Kind::Choice(&["uuidv7", "uuidv4", "traceparent", "proxy"]),
        default: Some("\"uuidv7\""),
        doc: doc(
            "what a new ID is: a UUID of version 7 or 4, or the trace-id of a valid `traceparent` (a UUIDv7 where none came); or `proxy`, with which the proxy makes IDs and the filter only checks and counts them",
        ),
    },
    Field { name: "respond", kind: Kind::Bool, default: Some("true"), doc: doc("set the ID on the response") },
    Field {
        name: "expose",
        kind: Kind::Bool,
        default: Some("false"),
        doc: doc("merge the header's name into `Access-Control-Expose-Headers` of CORS responses; needs `respond`"),
    },
    Field {
        name: "traceparent",
        kind: Kind::Choice(&["pass", "start"]),
        default: Some("\"pass\""),
        doc: doc("pass on `traceparent` as it came, or start an unsampled trace where no valid one came"),
    },
];

const TRUST: &[Field] = &[
    Field {
        name: "networks",
        kind: Kind::List {
            of: &text("a network like `10.0.0.0/8`"),
            many: "networks like `10.0.0.0/8`",
            most: Some(256),
        },
        default: Some("[]"),
        doc: doc("networks whose senders' IDs are kept"),
    },
    Field { name: "mtls", kind: Kind::Bool, default: Some("false"), doc: doc("keep IDs that come over mutual TLS") },
];

const ROUTES: &[Field] = &[
    Field {
        name: "label",
        kind: Kind::Choice(&["template", "name"]),
        default: Some("\"template\""),
        doc: doc("the endpoint label: the route's template, or its name (the template where it has none)"),
    },
    Field {
        name: "case",
        kind: Kind::Choice(&["sensitive", "insensitive"]),
        default: Some("\"sensitive\""),
        doc: doc("whether ASCII letters of a path match in one case only"),
    },
    Field {
        name: "trailing_slash",
        kind: Kind::Choice(&["ignore", "strict"]),
        default: Some("\"ignore\""),
        doc: doc(
            "whether a path with a slash at the end also matches the template without, and the other way round, where no template has exactly its form",
        ),
    },
    Field {
        name: "duplicate_slashes",
        kind: Kind::Choice(&["keep", "merge"]),
        default: Some("\"keep\""),
        doc: doc(
            "whether slashes with nothing between them are one, in the path that is matched; the upstream gets it as it came (Envoy's `merge_slashes` rewrites it for both)",
        ),
    },
    Field {
        name: "dot_segments",
        kind: Kind::Choice(&["keep", "remove"]),
        default: Some("\"keep\""),
        doc: doc(
            "whether `.` and `..` are resolved (RFC 3986 section 5.2.4), in the path that is matched (Envoy's `normalize_path` rewrites it for both)",
        ),
    },
    Field {
        name: "percent_encoding",
        kind: Kind::Choice(&["unreserved", "slashes", "keep"]),
        default: Some("\"unreserved\""),
        doc: doc(
            "what is the same as the character it stands for: `%XX` of unreserved characters (RFC 3986 section 6.2.2.2), these and `%2F`, or nothing",
        ),
    },
    Field {
        name: "matrix_parameters",
        kind: Kind::Choice(&["keep", "strip"]),
        default: Some("\"keep\""),
        doc: doc("whether a segment is matched without `;` and what follows it (`/a;v=1/b` as `/a/b`)"),
    },
    Field {
        name: "undeclared_methods",
        kind: Kind::Choice(&["template", "unknown"]),
        default: Some("\"template\""),
        doc: doc(
            "the endpoint of a request whose path has a template, but not for its method: the template, or `unknown`, which takes fewer series",
        ),
    },
    Field {
        name: "unmatched",
        kind: Kind::Choice(&["unknown", "placeholders"]),
        default: Some("\"unknown\""),
        doc: doc(
            "the label of a path that no template covers: `unknown`, or the path with typed placeholders (`/users/{int}`)",
        ),
    },
    Field {
        name: "placeholders",
        kind: Kind::Section(PLACEHOLDERS),
        default: Some(""),
        doc: doc("only with `unmatched: placeholders`"),
    },
    Field {
        name: "table",
        kind: Kind::List { of: &Kind::Section(ROUTE), many: "routes", most: Some(25_000) },
        default: Some("[]"),
        doc: doc("the routes; which one matches does not depend on their order"),
    },
];

const PLACEHOLDERS: &[Field] = &[
    Field {
        name: "max_endpoints",
        kind: Kind::Whole { min: 1, max: 10_000 },
        default: Some("40"),
        doc: doc("how many such labels may come into being in one proxy; paths past that are `_overflow`"),
    },
    Field {
        name: "max_per_parent",
        kind: Kind::Whole { min: 1, max: 10_000 },
        default: Some("20"),
        doc: doc(
            "how many different segments such labels may have after one and the same beginning; paths past that are `_overflow`",
        ),
    },
    Field {
        name: "min_hits",
        kind: Kind::Whole { min: 1, max: 65_535 },
        default: Some("3"),
        doc: doc(
            "how often one worker must see such a label, answered with anything but 404 and 405, before it comes into being; until then the path is `unknown`",
        ),
    },
];

const ROUTE: &[Field] = &[
    Field {
        name: "methods",
        kind: Kind::List { of: &Kind::Choice(METHODS), many: "methods", most: Some(9) },
        default: Some(""),
        doc: doc("the methods it is for; any method when left out"),
    },
    Field {
        name: "template",
        kind: text("a path template like `/users/{id}`"),
        default: None,
        doc: doc(
            "the path, with `{name}` for a segment or a part of one, and `{name...}` as the last segment for the rest",
        ),
    },
    Field {
        name: "name",
        kind: text("a name"),
        default: Some(""),
        doc: doc("the route's name, such as Django's `url_name`"),
    },
];

const METRICS: &[Field] = &[
    Field {
        name: "series_budget",
        kind: Kind::Whole { min: 1, max: 10_000_000 },
        default: Some("50000"),
        doc: doc(
            "the most series that this configuration may lead to at worst; a configuration that could exceed it is refused",
        ),
    },
    Field {
        name: "buckets_seconds",
        kind: Kind::List {
            of: &Kind::Decimal,
            many: "bounds in seconds",
            most: Some(crate::metrics::buckets::MAX_BOUNDS),
        },
        default: Some("[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 2.5, 5.0, 10.0]"),
        doc: doc("upper bounds of the latency buckets, ascending, to the microsecond; `+Inf` is added"),
    },
    Field {
        name: "methods",
        kind: Kind::List { of: &Kind::Choice(METHODS), many: "methods", most: Some(9) },
        default: Some(r#"["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"]"#),
        doc: doc("methods with a label of their own; every other is `OTHER`"),
    },
    Field {
        name: "statuses",
        kind: Kind::Either(&[
            Kind::Choice(&["registered"]),
            Kind::List { of: &Kind::Whole { min: 100, max: 999 }, many: "status codes", most: Some(900) },
        ]),
        default: Some("\"registered\""),
        doc: doc(
            "status codes that always have a label of their own: every code in the IANA registry and 499, or those listed; `0` (no answer) always has one",
        ),
    },
    Field {
        name: "extra_statuses",
        kind: Kind::Whole { min: 0, max: 900 },
        default: Some("16"),
        doc: doc(
            "how many codes outside `statuses` get a label as they first appear in one proxy; past that the label is `other`",
        ),
    },
    Field {
        name: "histogram",
        kind: Kind::Bool,
        default: Some("false"),
        doc: doc(
            "also keep Envoy's own histogram `<namespace>_http_request_duration_milliseconds`, for statsd, OTLP and native histograms",
        ),
    },
    Field {
        name: "flush_interval_ms",
        kind: Kind::Whole { min: 100, max: 60_000 },
        default: Some("1000"),
        doc: doc("how often counts are handed to the proxy"),
    },
];
