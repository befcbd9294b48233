//! Structs that mirror the JSON of the sections `facts`, `rules` and `bodies`.

use siem::event::{Class, Severity};

use super::super::shape::{Fields, decimal, method, text, whole};
use super::super::tree::Tree;
use crate::method::Method;
use crate::metrics::MetricKind;
use crate::rule::StatusMatch;

/// The three sections.
#[derive(Debug)]
pub(in crate::config) struct RulesShape {
    pub(super) facts: Vec<Option<FactShape>>,
    pub(super) rules: Vec<Option<RuleShape>>,
    pub(super) max_body: usize,
}

#[derive(Debug)]
pub(super) struct FactShape {
    pub(super) name: String,
    pub(super) from: Vec<Option<String>>,
    pub(super) is_number: bool,
    pub(super) map: Option<Vec<(String, String)>>,
    pub(super) values: Option<Vec<Option<String>>>,
    pub(super) default: Option<String>,
    pub(super) max_bytes: usize,
    pub(super) hash: bool,
}

#[derive(Debug)]
pub(super) struct RuleShape {
    pub(super) name: String,
    pub(super) when: WhenShape,
    pub(super) once: Option<OnceShape>,
    pub(super) metric: Option<MetricShape>,
    pub(super) event: Option<EventShape>,
}

#[derive(Debug)]
pub(super) struct WhenShape {
    pub(super) endpoints: Option<Vec<Option<String>>>,
    pub(super) methods: Option<Vec<Option<Method>>>,
    pub(super) statuses: Option<Vec<Option<StatusMatch>>>,
    pub(super) except_statuses: Vec<Option<StatusMatch>>,
    pub(super) grpc_statuses: Option<Vec<Option<u8>>>,
    pub(super) outcomes: Option<Vec<Option<String>>>,
    pub(super) request_headers: Vec<Option<String>>,
    pub(super) facts: Vec<(String, Vec<Option<String>>)>,
    pub(super) probes: Option<Vec<Option<String>>>,
    pub(super) details: Option<Vec<Option<String>>>,
    pub(super) same: Option<Vec<Option<String>>>,
}

#[derive(Debug)]
pub(super) struct EventShape {
    pub(super) kind: String,
    pub(super) class: Class,
    pub(super) severity: Option<Severity>,
    pub(super) with: Vec<Option<String>>,
    pub(super) burst: Option<BurstShape>,
}

#[derive(Debug)]
pub(super) struct BurstShape {
    pub(super) by: Vec<Option<String>>,
    pub(super) count: u32,
    pub(super) window_seconds: u32,
    pub(super) senders: u32,
}

#[derive(Debug)]
pub(super) struct OnceShape {
    pub(super) by: Vec<Option<String>>,
    pub(super) window_seconds: u32,
    pub(super) keys: u32,
}

#[derive(Debug)]
pub(super) struct MetricShape {
    pub(super) name: String,
    pub(super) kind: MetricKind,
    pub(super) value: String,
    pub(super) scale: u32,
    pub(super) buckets: Option<Vec<Option<f64>>>,
    pub(super) labels: Vec<(String, String)>,
    pub(super) help: String,
}

/// Reads what the checker found sound.
pub(in crate::config) fn read(root: &mut Fields<'_>) -> RulesShape {
    RulesShape {
        facts: root.list("facts", fact).unwrap_or_default(),
        rules: root.list("rules", rule).unwrap_or_default(),
        max_body: root.section("bodies").whole("max_bytes").unwrap_or(65_536),
    }
}

fn fact(tree: Tree<'_>) -> Option<FactShape> {
    let mut fields = Fields::of(Some(tree));
    let from = match fields.take("from")? {
        Tree::List(items) => items.into_iter().map(text).collect(),
        one => vec![text(one)],
    };
    Some(FactShape {
        name: fields.text("name")?,
        from,
        is_number: fields.choice("type", &[("text", false), ("number", true)]).unwrap_or(false),
        map: fields.map("map", text),
        values: fields.list("values", text),
        default: fields.text("default"),
        max_bytes: fields.whole("max_bytes").unwrap_or(128),
        hash: fields.bool("hash").unwrap_or(false),
    })
}

fn rule(tree: Tree<'_>) -> Option<RuleShape> {
    let mut fields = Fields::of(Some(tree));
    Some(RuleShape {
        name: fields.text("name")?,
        when: when(fields.section("when")),
        once: fields.take("once").map(once),
        metric: fields.take("metric").and_then(metric),
        event: fields.take("event").and_then(event),
    })
}

fn when(mut fields: Fields<'_>) -> WhenShape {
    WhenShape {
        endpoints: fields.list("endpoints", text),
        methods: fields.list("methods", method),
        statuses: fields.list("statuses", status),
        except_statuses: fields.list("except_statuses", status).unwrap_or_default(),
        grpc_statuses: fields.list("grpc_statuses", whole),
        outcomes: fields.list("outcomes", text),
        request_headers: fields.list("request_headers", text).unwrap_or_default(),
        facts: fields.map("facts", texts).unwrap_or_default(),
        probes: fields.list("probes", text),
        details: fields.list("details", text),
        same: fields.list("same", text),
    }
}

fn once(tree: Tree<'_>) -> OnceShape {
    let mut fields = Fields::of(Some(tree));
    let by = fields.list("by", text);
    OnceShape {
        by: by.unwrap_or_else(|| ["request_header:idempotency-key", "correlation_id"].map(|by| Some(by.into())).into()),
        window_seconds: fields.whole("window_seconds").unwrap_or(86_400),
        keys: fields.whole("keys").unwrap_or(4_096),
    }
}

fn metric(tree: Tree<'_>) -> Option<MetricShape> {
    let mut fields = Fields::of(Some(tree));
    let kinds = [("counter", MetricKind::Counter), ("gauge", MetricKind::Gauge), ("histogram", MetricKind::Histogram)];
    Some(MetricShape {
        name: fields.text("name")?,
        kind: fields.choice("kind", &kinds).unwrap_or(MetricKind::Counter),
        value: fields.text("value").unwrap_or_else(|| "1".to_owned()),
        scale: fields.whole("scale").unwrap_or(1),
        buckets: fields.list("buckets", decimal),
        labels: fields.map("labels", text).unwrap_or_default(),
        help: fields.text("help").unwrap_or_default(),
    })
}

fn event(tree: Tree<'_>) -> Option<EventShape> {
    let mut fields = Fields::of(Some(tree));
    let classes = [
        ("decision", Class::Decision),
        ("authentication", Class::Authentication),
        ("authorization", Class::Authorization),
        ("privileged_operation", Class::PrivilegedOperation),
        ("probe", Class::Probe),
    ];
    let severities = [
        ("informational", Severity::Informational),
        ("low", Severity::Low),
        ("medium", Severity::Medium),
        ("high", Severity::High),
        ("critical", Severity::Critical),
    ];
    Some(EventShape {
        kind: fields.text("type")?,
        class: fields.choice("class", &classes)?,
        severity: fields.choice("severity", &severities),
        with: fields.list("with", text).unwrap_or_default(),
        burst: fields.take("burst").and_then(burst),
    })
}

fn burst(tree: Tree<'_>) -> Option<BurstShape> {
    let mut fields = Fields::of(Some(tree));
    let by = fields.list("by", text);
    Some(BurstShape {
        by: by.unwrap_or_else(|| vec![Some("source".to_owned())]),
        count: fields.whole("count")?,
        window_seconds: fields.whole("window_seconds").unwrap_or(60),
        senders: fields.whole("senders").unwrap_or(4_096),
    })
}

fn texts(tree: Tree<'_>) -> Option<Vec<Option<String>>> {
    match tree {
        Tree::List(items) => Some(items.into_iter().map(text).collect()),
        _ => None,
    }
}

fn status(tree: Tree<'_>) -> Option<StatusMatch> {
    match tree {
        Tree::Text(class) => {
            let digit = class.bytes().next()?.checked_sub(b'0')?;
            Some(StatusMatch::Class(u16::from(digit)))
        }
        code => whole(code).map(StatusMatch::Code),
    }
}
