//! The fields of the sections `facts`, `rules` and `bodies`.

use super::super::fields::{Field, Kind, METHODS, doc, text};

/// The most facts of a configuration.
pub(in crate::config) const MAX_FACTS: usize = 64;
/// The most rules: a set of them is one machine word.
pub(in crate::config) const MAX_RULES: usize = 64;

const NAME: Kind = Kind::Text {
    form: "a lower-case letter, then at most 47 lower-case letters, digits and `_`",
    pattern: Some("^[a-z][a-z0-9_]{0,47}$"),
};
const SOURCE: Kind = text("a source like `path:id`, `body:/risk_level` or `request_header:x-user`");
const FACT_NAME: Kind = text("the name of a fact");
const WORD: Kind = text("text");
const SOURCES: Kind = Kind::Either(&[SOURCE, Kind::List { of: &SOURCE, many: "sources", most: Some(8) }]);

pub(in crate::config) const FACT: &[Field] = &[
    Field { name: "name", kind: NAME, default: None, doc: doc("what rules call it") },
    Field {
        name: "from",
        kind: SOURCES,
        default: None,
        doc: doc(
            "where its value is; of several sources the first that has one. `path:NAME` (a parameter of the template), `request_header:NAME`, `response_header:NAME`, `body:POINTER` (a JSON pointer, RFC 6901, into the request's body), `constant:TEXT`, `endpoint` (the route's name, or its template), `method`, `status`, `status_class` (`2xx`), `grpc_status`, `outcome` (of the correlation ID), `correlation_id`, `source` (the client's address), `request_bytes`, `response_bytes`, `duration_seconds`",
        ),
    },
    Field {
        name: "type",
        kind: Kind::Choice(&["text", "number"]),
        default: Some("\"text\""),
        doc: doc("what it has to be; a `number` that is none (RFC 8259 section 6) is as if it were not there"),
    },
    Field {
        name: "map",
        kind: Kind::Map { of: &WORD, many: "a text for each value", most: 256 },
        default: Some(""),
        doc: doc("what each value is called; a value that is not in it counts as none"),
    },
    Field {
        name: "values",
        kind: Kind::List { of: &WORD, many: "values", most: Some(256) },
        default: Some(""),
        doc: doc("the values it may have; any other counts as none. A label needs this, or `map`"),
    },
    Field { name: "default", kind: WORD, default: Some(""), doc: doc("its value where there is none") },
    Field {
        name: "max_bytes",
        kind: Kind::Whole { min: 1, max: 256 },
        default: Some("128"),
        doc: doc("the longest text, in bytes; one that is longer is cut"),
    },
    Field {
        name: "hash",
        kind: Kind::Bool,
        default: Some("false"),
        doc: doc("show the first 16 hexadecimal digits of its SHA-256 in its place, for what says who somebody is"),
    },
];

pub(in crate::config) const BODIES: &[Field] = &[Field {
    name: "max_bytes",
    kind: Kind::Whole { min: 1024, max: 16_777_216 },
    default: Some("65536"),
    doc: doc(
        "how far the body of a request is read for facts, in bytes; of one that is longer nothing is taken. Bodies are passed on as they come, and nothing but the declared values is kept",
    ),
}];

pub(in crate::config) const RULE: &[Field] = &[
    Field { name: "name", kind: NAME, default: None, doc: doc("the rule's name: a label of `edge_rule_total`") },
    Field {
        name: "when",
        kind: Kind::Section(WHEN),
        default: Some(""),
        doc: doc("which streams it is about; every condition has to hold"),
    },
    Field {
        name: "once",
        kind: Kind::Section(ONCE),
        default: Some(""),
        doc: doc("count what a client tries again only once"),
    },
    Field { name: "metric", kind: Kind::Section(METRIC), default: Some(""), doc: doc("what it counts") },
    Field {
        name: "event",
        kind: Kind::Section(EVENT),
        default: Some(""),
        doc: doc("the security event that it makes"),
    },
];

const WHEN: &[Field] = &[
    Field {
        name: "endpoints",
        kind: Kind::List { of: &text("the name or the template of a route"), many: "routes", most: Some(1_024) },
        default: Some(""),
        doc: doc("names or templates of routes; any endpoint when left out"),
    },
    Field {
        name: "methods",
        kind: Kind::List { of: &Kind::Choice(OTHER_METHODS), many: "methods", most: Some(10) },
        default: Some(""),
        doc: doc("methods; any when left out"),
    },
    Field {
        name: "statuses",
        kind: Kind::List { of: &STATUS, many: "status codes and classes", most: Some(64) },
        default: Some(""),
        doc: doc("status codes, or classes like `2xx`; any when left out, also `0`, no answer"),
    },
    Field {
        name: "except_statuses",
        kind: Kind::List { of: &STATUS, many: "status codes and classes", most: Some(64) },
        default: Some("[]"),
        doc: doc("of these not those: `202` says that something was accepted, not that it was done"),
    },
    Field {
        name: "grpc_statuses",
        kind: Kind::List { of: &Kind::Whole { min: 0, max: 16 }, many: "gRPC status codes", most: Some(17) },
        default: Some(""),
        doc: doc("codes of `grpc-status`, in the trailers or the headers of the response"),
    },
    Field {
        name: "outcomes",
        kind: Kind::List {
            of: &Kind::Choice(&["kept", "generated", "refused", "none"]),
            many: "outcomes",
            most: Some(4),
        },
        default: Some(""),
        doc: doc("what became of the correlation ID"),
    },
    Field {
        name: "request_headers",
        kind: Kind::List { of: &text("a header name"), many: "header names", most: Some(8) },
        default: Some("[]"),
        doc: doc("headers that the request has"),
    },
    Field {
        name: "probes",
        kind: Kind::List { of: &Kind::Choice(&["traversal", "control_bytes"]), many: "kinds of probe", most: Some(2) },
        default: Some(""),
        doc: doc(
            "paths that look for a weakness: `traversal` (`..`, plain or encoded, with slashes or backslashes), `control_bytes` (`%00` to `%1f`, `%7f`); to find them every path is read once more",
        ),
    },
    Field {
        name: "details",
        kind: Kind::List { of: &WORD, many: "response code details", most: Some(16) },
        default: Some(""),
        doc: doc(
            "what the proxy says about an answer of its own, `%RESPONSE_CODE_DETAILS%` up to `{`: `path_normalization_failed`, `http1.headers_too_large`",
        ),
    },
    Field {
        name: "facts",
        kind: Kind::Map {
            of: &Kind::List { of: &WORD, many: "values", most: Some(64) },
            many: "a list of values for each fact",
            most: 8,
        },
        default: Some(""),
        doc: doc("facts that have one of these values"),
    },
    Field {
        name: "same",
        kind: Kind::List { of: &FACT_NAME, many: "facts", most: Some(2) },
        default: Some(""),
        doc: doc("two facts that are both there, and equal: who asked for it also approved it"),
    },
];

const STATUS: Kind =
    Kind::Either(&[Kind::Whole { min: 0, max: 999 }, Kind::Choice(&["1xx", "2xx", "3xx", "4xx", "5xx"])]);

/// The methods, and what every other one is.
const OTHER_METHODS: &[&str] =
    &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "OTHER"];

const _: () = assert!(OTHER_METHODS.len() == METHODS.len() + 1, "every method is there");

const ONCE: &[Field] = &[
    Field {
        name: "by",
        kind: Kind::List { of: &SOURCE, many: "sources", most: Some(4) },
        default: Some(r#"["request_header:idempotency-key", "correlation_id"]"#),
        doc: doc(
            "what two tries of one request have in common, beside the rule, the method and the path: the first of these that there is",
        ),
    },
    Field {
        name: "window_seconds",
        kind: Kind::Whole { min: 1, max: 604_800 },
        default: Some("86400"),
        doc: doc("for how long, from the first; over all of a proxy's workers"),
    },
    Field {
        name: "keys",
        kind: Kind::Whole { min: 64, max: 65_536 },
        default: Some("4096"),
        doc: doc(
            "how many are remembered at a time; past that the oldest is forgotten, which `edge_rule_total` counts",
        ),
    },
];

const METRIC: &[Field] = &[
    Field {
        name: "name",
        kind: NAME,
        default: None,
        doc: doc(
            "its name after the namespace; a counter's ends in `_total`. Several rules may count in one metric, when they describe it alike",
        ),
    },
    Field {
        name: "kind",
        kind: Kind::Choice(&["counter", "gauge", "histogram"]),
        default: Some("\"counter\""),
        doc: doc("`counter`, `gauge` (the latest value), or `histogram` (exact buckets)"),
    },
    Field {
        name: "value",
        kind: text("a number, or the name of a fact that is one"),
        default: Some("\"1\""),
        doc: doc("what is added, set or observed: a whole number, or a fact of type `number`; without it nothing is"),
    },
    Field {
        name: "scale",
        kind: Kind::Whole { min: 1, max: 1_000_000 },
        default: Some("1"),
        doc: doc(
            "the value of a counter or gauge is multiplied by this and rounded: a proxy's stats are whole numbers",
        ),
    },
    Field {
        name: "buckets",
        kind: Kind::List { of: &Kind::Decimal, many: "bounds", most: Some(crate::metrics::buckets::MAX_BOUNDS) },
        default: Some(""),
        doc: doc("upper bounds of a histogram's buckets, ascending, with up to 6 decimals; `+Inf` is added"),
    },
    Field {
        name: "labels",
        kind: Kind::Map { of: &FACT_NAME, many: "a fact for each label", most: 8 },
        default: Some(""),
        doc: doc("labels, and the facts that they show; each has `values` or a `map`, so that the series are bounded"),
    },
    Field { name: "help", kind: WORD, default: Some("\"\""), doc: doc("what it says, for people") },
];

const EVENT: &[Field] = &[
    Field {
        name: "type",
        kind: text("a name like `CAB_APPROVAL`"),
        default: None,
        doc: doc("`EventType`. The event says what the request was, and the facts that it is made `with`"),
    },
    Field {
        name: "class",
        kind: Kind::Choice(&["decision", "authentication", "authorization", "privileged_operation", "probe"]),
        default: None,
        doc: doc("what kind of activity it is about: it decides the class of OCSF and the table of ASIM"),
    },
    Field {
        name: "severity",
        kind: Kind::Choice(&["informational", "low", "medium", "high", "critical"]),
        default: Some(""),
        doc: doc("how much it matters; the class says it where this is left out"),
    },
    Field {
        name: "with",
        kind: Kind::List { of: &FACT_NAME, many: "facts", most: Some(siem::event::MAX_EXTRA) },
        default: Some("[]"),
        doc: doc(
            "facts that it carries; `deployment_id`, `decision` (in capitals), `approved_by` and `risk_score` are the fields that the API's events have had",
        ),
    },
    Field {
        name: "burst",
        kind: Kind::Section(BURST),
        default: Some(""),
        doc: doc("make one event of many requests of one sender, instead of one of each"),
    },
];

const BURST: &[Field] = &[
    Field {
        name: "by",
        kind: Kind::List { of: &SOURCE, many: "sources", most: Some(4) },
        default: Some(r#"["source"]"#),
        doc: doc("who the sender is: the first of these that there is"),
    },
    Field {
        name: "count",
        kind: Kind::Whole { min: 2, max: 1_000_000 },
        default: None,
        doc: doc("so many requests make an event, which says how many there were"),
    },
    Field {
        name: "window_seconds",
        kind: Kind::Whole { min: 1, max: 86_400 },
        default: Some("60"),
        doc: doc(
            "within so many seconds, over all of a proxy's workers; of a burst that goes on there is an event as often",
        ),
    },
    Field {
        name: "senders",
        kind: Kind::Whole { min: 64, max: 65_536 },
        default: Some("4096"),
        doc: doc(
            "of how many senders it is remembered at a time; past that the one with the fewest requests is forgotten",
        ),
    },
];
