//! `gates`: how much harm matters.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::fields::{Fields, excerpt, nearest};
use super::units::{self, GROWTH};
use super::{Gates, OwnGate, OwnKind, Preset};
use crate::judge::signals::ALL;

/// What stands for a ring's label matchers.
const SELECT: &str = "{{select}}";
const SAME_FOR_ALL: &str =
    "does not name `{{select}}`, so it would be the same for every ring; put it between the braces of each selector";

pub(super) fn gates(fields: Fields<'_>) -> Gates {
    let namespace = fields.read("namespace", "the namespace of the filter's metrics", |value| {
        let text = value.as_str()?;
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        (text.starts_with(|letter: char| letter.is_ascii_lowercase()) && text.len() <= 32 && text.bytes().all(fits))
            .then(|| text.to_owned())
    });
    let gates = Gates {
        namespace: namespace.unwrap_or_else(|| "eucora".to_owned()),
        preset: fields.choice("preset", &[("envoy", Preset::Envoy), ("istio", Preset::Istio)]).unwrap_or(Preset::Envoy),
        signals: signals(&fields),
        completeness: share(&fields, "completeness", 0.005),
        traps: share(&fields, "traps", 0.0001),
        errors: share(&fields, "errors", 0.005),
        latency: gate(&fields, "latency", Duration::from_millis(2), units::DURATION, |value| {
            units::duration(value.as_str()?)
        }),
        cpu: growth(&fields, "cpu", 0.25),
        memory: gate(&fields, "memory", 64.0 * 1_048_576.0, GROWTH, |value| units::growth(value.as_str()?)),
        series: growth(&fields, "series", 0.2),
        overflow: share(&fields, "overflow", 0.01),
        own: fields.list("own").iter().enumerate().filter_map(|(index, value)| own(&fields, index, value)).collect(),
    };
    for (index, one) in gates.own.iter().enumerate() {
        if gates.own.iter().take(index).any(|other| other.name == one.name) {
            fields.wrong(&format!("own[{index}].name"), format!("`{}` is the name of another gate too", one.name));
        }
    }
    fields.finish();
    gates
}

/// Queries in place of the preset's.
fn signals(fields: &Fields<'_>) -> BTreeMap<String, String> {
    let own = fields.map("signals");
    for (name, query) in &own {
        if !ALL.contains(&name.as_str()) {
            let meant = match nearest(&ALL, name) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the signals are {}", ALL.map(|name| format!("`{name}`")).join(", ")),
            };
            fields.wrong(&format!("signals.{name}"), format!("is no signal; {meant}"));
        } else if !query.contains(SELECT) {
            fields.wrong(&format!("signals.{name}"), SAME_FOR_ALL);
        }
    }
    own
}

/// A gate's number; `off` turns it off.
fn gate<T>(
    fields: &Fields<'_>,
    name: &'static str,
    default: T,
    form: &str,
    read: impl FnOnce(&Value) -> Option<T>,
) -> Option<T> {
    // YAML 1.1 reads a bare `off` as false.
    if matches!(fields.value(name), Some(Value::Bool(false)))
        || fields.value(name).and_then(Value::as_str) == Some("off")
    {
        return None;
    }
    if !fields.has(name) {
        return Some(default);
    }
    fields.read(name, &format!("{form}, or `off`"), read)
}

fn share(fields: &Fields<'_>, name: &'static str, default: f64) -> Option<f64> {
    gate(fields, name, default, "a share above 0, at most 1", |value| value.as_f64().filter(|x| *x > 0.0 && *x <= 1.0))
}

/// A growth may be more than the whole.
fn growth(fields: &Fields<'_>, name: &'static str, default: f64) -> Option<f64> {
    gate(fields, name, default, "a share above 0: 0.25 is a quarter more", |value| {
        value.as_f64().filter(|x| *x > 0.0 && *x <= 100.0)
    })
}

fn own(gates: &Fields<'_>, index: usize, value: &Value) -> Option<OwnGate> {
    let fields = Fields::of(gates.path(&format!("own[{index}]")), Some(value), gates.mistakes());
    let name = fields.needed("name", "name the gate");
    if !name.is_empty() && (name.len() > 64 || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')) {
        fields
            .wrong("name", format!("found {}; use at most 64 letters, digits and `_`", excerpt(&name.clone().into())));
    }
    let kinds: Vec<&str> = ["share", "mean", "within"].into_iter().filter(|kind| fields.has(kind)).collect();
    let kind = match kinds.as_slice() {
        ["share"] => {
            let part = fields.section("share");
            let kind = OwnKind::Share {
                bad: query(&part, "bad"),
                total: query(&part, "total"),
                smallest_harm: part.share("smallest_harm").unwrap_or_else(|| missing(&part, "smallest_harm")),
            };
            part.finish();
            kind
        }
        ["mean"] => {
            let part = fields.section("mean");
            let harm = part.read("smallest_harm", "a number above 0", |value| {
                value.as_f64().filter(|x| *x > 0.0 && x.is_finite())
            });
            let kind = OwnKind::Mean {
                sum: query(&part, "sum"),
                count: query(&part, "count"),
                smallest_harm: harm.unwrap_or_else(|| missing(&part, "smallest_harm")),
            };
            part.finish();
            kind
        }
        ["within"] => {
            let part = fields.section("within");
            let number = |name| part.read(name, "a number", Value::as_f64);
            let kind = OwnKind::Within { query: query(&part, "query"), min: number("min"), max: number("max") };
            if !part.has("min") && !part.has("max") {
                part.wrong("max", "is missing, and so is `min`; give at least one limit");
            }
            part.finish();
            kind
        }
        _ => {
            fields.wrong("kind", "a gate has one of `share: {bad, total, smallest_harm}`, `mean: {sum, count, smallest_harm}`, `within: {query, min, max}`");
            return None;
        }
    };
    fields.finish();
    Some(OwnGate { name, kind })
}

fn missing(fields: &Fields<'_>, name: &'static str) -> f64 {
    if !fields.has(name) {
        fields.wrong(name, "is missing; say how much harm matters");
    }
    1.0
}

fn query(fields: &Fields<'_>, name: &'static str) -> String {
    let query = fields.needed(name, "give a PromQL expression");
    if !query.is_empty() && !query.contains(SELECT) {
        fields.wrong(name, SAME_FOR_ALL);
    }
    query
}
