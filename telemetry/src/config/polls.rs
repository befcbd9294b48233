//! The section `polls`: gauges that no traffic shows.

use super::check::quoted;
use super::error::ConfigErrors;
use super::fields::{Field, Kind, doc, text};
use super::meaning::{is_header_name, present};
use super::rules::{Names, check_gauge};
use super::shape::{Fields, text as as_text};
use super::tree::Tree;
use crate::poll::{GaugeSpec, Missing, Plan, PollSpec};

/// The most polls of a configuration.
pub(super) const MAX_POLLS: usize = 8;

const WORD: Kind = text("text");

pub(super) const POLL: &[Field] = &[
    Field {
        name: "name",
        kind: text("a name"),
        default: None,
        doc: doc("the poll's name: a label of `edge_poll_total`"),
    },
    Field {
        name: "cluster",
        kind: text("the name of a cluster"),
        default: None,
        doc: doc("the proxy's cluster that is asked"),
    },
    Field { name: "authority", kind: text("a host"), default: None, doc: doc("the `:authority` of the request") },
    Field {
        name: "path",
        kind: text("a path"),
        default: None,
        doc: doc("what is asked for, with `GET`: a JSON document"),
    },
    Field {
        name: "headers",
        kind: Kind::Map { of: &WORD, many: "a value for each header", most: 16 },
        default: Some(""),
        doc: doc("more headers of the request"),
    },
    Field {
        name: "interval_ms",
        kind: Kind::Whole { min: 1_000, max: 3_600_000 },
        default: Some("15000"),
        doc: doc("from one answer to the next request, give or take a tenth; one worker of the proxy asks for all"),
    },
    Field {
        name: "timeout_ms",
        kind: Kind::Whole { min: 100, max: 60_000 },
        default: Some("5000"),
        doc: doc("how long an answer may take"),
    },
    Field {
        name: "backoff_ms",
        kind: Kind::Whole { min: 100, max: 60_000 },
        default: Some("1000"),
        doc: doc("the longest wait after a failure; it doubles with each that follows"),
    },
    Field {
        name: "backoff_cap_ms",
        kind: Kind::Whole { min: 100, max: 3_600_000 },
        default: Some("60000"),
        doc: doc("the longest wait after any number of failures"),
    },
    Field {
        name: "stale_after_ms",
        kind: Kind::Whole { min: 1_000, max: 86_400_000 },
        default: Some("90000"),
        doc: doc("from when on the gauges are stale, and go to their `stale` value"),
    },
    Field {
        name: "gauges",
        kind: Kind::List { of: &Kind::Section(GAUGE), many: "gauges", most: Some(64) },
        default: None,
        doc: doc("the gauges in the answer"),
    },
];

const GAUGE: &[Field] = &[
    Field { name: "name", kind: text("a name"), default: None, doc: doc("the gauge's name after the namespace") },
    Field {
        name: "pointer",
        kind: text("a JSON pointer like `/active/{ring}`"),
        default: None,
        doc: doc(
            "where its numbers are (RFC 6901), with `{label}` where the label's value goes; of an array or object its number of members",
        ),
    },
    Field {
        name: "labels",
        kind: Kind::Map {
            of: &Kind::List { of: &WORD, many: "values", most: Some(64) },
            many: "a list of values for each label",
            most: 8,
        },
        default: Some(""),
        doc: doc("labels, each with every value: there is a series for each combination"),
    },
    Field {
        name: "scale",
        kind: Kind::Whole { min: 1, max: 1_000_000 },
        default: Some("1"),
        doc: doc("what the numbers are multiplied by, and then rounded: a proxy's stats are whole numbers"),
    },
    Field {
        name: "missing",
        kind: Kind::Choice(&["zero", "stale"]),
        default: Some("\"zero\""),
        doc: doc("what a series is that a good answer has no number for: 0, or its `stale` value"),
    },
    Field {
        name: "stale",
        kind: Kind::Whole { min: 0, max: 9_007_199_254_740_992 },
        default: Some(""),
        doc: doc(
            "what it goes to when no good answer has come for too long; it stays as it was where this is left out",
        ),
    },
    Field { name: "help", kind: WORD, default: Some("\"\""), doc: doc("what it says, for people") },
];

/// A poll, by the name of its label.
#[derive(Clone, Debug)]
pub struct PollConfig {
    pub(super) name: String,
    pub(super) plan: Plan,
}

impl PollConfig {
    /// Its name: a label.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is asked, and where the gauges are in the answer.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}

#[derive(Debug)]
pub(super) struct PollShape {
    name: String,
    spec: PollSpec,
}

/// Reads what the checker found sound.
pub(super) fn read(root: &mut Fields<'_>) -> Vec<Option<PollShape>> {
    root.list("polls", poll).unwrap_or_default()
}

fn poll(tree: Tree<'_>) -> Option<PollShape> {
    let mut fields = Fields::of(Some(tree));
    Some(PollShape {
        name: fields.text("name")?,
        spec: PollSpec {
            cluster: fields.text("cluster")?,
            authority: fields.text("authority")?,
            path: fields.text("path")?,
            headers: fields.map("headers", as_text).unwrap_or_default(),
            interval_ms: fields.whole("interval_ms").unwrap_or(15_000),
            timeout_ms: fields.whole("timeout_ms").unwrap_or(5_000),
            backoff_ms: fields.whole("backoff_ms").unwrap_or(1_000),
            backoff_cap_ms: fields.whole("backoff_cap_ms").unwrap_or(60_000),
            stale_after_ms: fields.whole("stale_after_ms").unwrap_or(90_000),
            gauges: fields.list("gauges", gauge)?.into_iter().flatten().collect(),
        },
    })
}

fn gauge(tree: Tree<'_>) -> Option<GaugeSpec> {
    let mut fields = Fields::of(Some(tree));
    let values = |tree: Tree<'_>| match tree {
        Tree::List(items) => Some(items.into_iter().filter_map(as_text).collect()),
        _ => None,
    };
    Some(GaugeSpec {
        name: fields.text("name")?,
        pointer: fields.text("pointer")?,
        labels: fields.map("labels", values).unwrap_or_default(),
        scale: fields.whole("scale").unwrap_or(1),
        missing: fields
            .choice("missing", &[("zero", Missing::Zero), ("stale", Missing::Stale)])
            .unwrap_or(Missing::Zero),
        stale: fields.whole("stale"),
    })
}

/// Builds the polls.
pub(super) fn build(shapes: Vec<Option<PollShape>>, names: &mut Names, errors: &mut ConfigErrors) -> Vec<PollConfig> {
    let mut polls: Vec<PollConfig> = Vec::with_capacity(shapes.len());
    for (index, shape) in present(shapes) {
        let path = format!("polls[{index}]");
        let before = errors.len();
        check(&path, &shape, &polls, errors);
        for (gauge, spec) in shape.spec.gauges.iter().enumerate() {
            check_gauge(&format!("{path}.gauges[{gauge}]"), spec, names, errors);
        }
        match Plan::new(shape.spec) {
            Ok(plan) => polls.push(PollConfig { name: shape.name, plan }),
            Err(error) if errors.len() == before => {
                errors.push(format!("{path}.gauges[{}].pointer", error.gauge), error.message);
            }
            Err(_) => {}
        }
    }
    polls
}

fn check(path: &str, shape: &PollShape, earlier: &[PollConfig], errors: &mut ConfigErrors) {
    let mut refuse = |field: &str, message: String| errors.push(format!("{path}.{field}"), message);
    if shape.name.is_empty()
        || shape.name.len() > 48
        || !shape.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    {
        refuse("name", format!("found {}; use letters, digits, `_` and `-`, at most 48", quoted(&shape.name)));
    }
    if earlier.iter().any(|poll| poll.name == shape.name) {
        refuse("name", format!("`{}` is there twice; rename one", shape.name));
    }
    let spec = &shape.spec;
    for (field, value) in [("cluster", &spec.cluster), ("authority", &spec.authority)] {
        if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
            refuse(field, format!("found {}; use printable ASCII characters without spaces", quoted(value)));
        }
    }
    if !spec.path.starts_with('/') || !spec.path.bytes().all(|byte| byte.is_ascii_graphic()) {
        refuse(
            "path",
            format!(
                "found {}; begin it with `/`, and use printable ASCII characters without spaces",
                quoted(&spec.path)
            ),
        );
    }
    for (name, value) in &spec.headers {
        if !is_header_name(name) || value.bytes().any(|byte| byte.is_ascii_control()) {
            refuse(
                &format!("headers.{name}"),
                "is no header; use letters, digits and `-`, and a value without control characters".to_owned(),
            );
        }
    }
    if spec.backoff_cap_ms < spec.backoff_ms {
        refuse(
            "backoff_cap_ms",
            format!("found {}, below `backoff_ms` {}; raise it", spec.backoff_cap_ms, spec.backoff_ms),
        );
    }
    if spec.stale_after_ms <= spec.interval_ms {
        refuse(
            "stale_after_ms",
            format!(
                "found {}, but answers come only every `interval_ms` {}; raise it",
                spec.stale_after_ms, spec.interval_ms
            ),
        );
    }
    if spec.gauges.is_empty() {
        refuse("gauges", "the list is empty; add a gauge".to_owned());
    }
}
