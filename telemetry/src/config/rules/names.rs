//! Names of declared metrics and labels: well formed, and told apart by every proxy.

use super::super::check::quoted;
use super::super::error::ConfigErrors;
use crate::metrics::{METRICS, MetricKind};
use crate::poll::GaugeSpec;

/// The names that are declared so far.
#[derive(Debug, Default)]
pub(in crate::config) struct Names {
    labels: Vec<String>,
    metrics: Vec<String>,
}

impl Names {
    /// A proxy finds a label by the end of its name: `role` would be taken for `le`.
    pub(super) fn label(&mut self, path: &str, label: &str, errors: &mut ConfigErrors) {
        check_form(path, label, errors);
        let known = METRICS.iter().flat_map(|metric| metric.labels.iter().copied());
        let known = known.chain(self.labels.iter().map(String::as_str));
        let clash =
            known.into_iter().find(|known| *known != label && (label.ends_with(known) || known.ends_with(label)));
        if label == "le" {
            let message = "`le` is the label of a histogram's buckets; use another name";
            errors.push(path.to_owned(), message.to_owned());
        } else if let Some(known) = clash {
            let message = format!(
                "`{label}` and the label `{known}` end alike, and a proxy would take the one for the other; rename it"
            );
            errors.push(path.to_owned(), message);
        }
        self.labels.push(label.to_owned());
    }

    /// Notes a metric; what is there already belongs to somebody else.
    pub(super) fn metric(&mut self, path: &str, name: &str, errors: &mut ConfigErrors) {
        if self.metrics.iter().any(|known| known == name) {
            errors.push(path.to_owned(), format!("`{name}` is declared elsewhere too; rename one"));
        }
        self.metrics.push(name.to_owned());
    }
}

/// Checks the name of a fact, a rule, a metric or a label.
pub(super) fn check_form(path: &str, name: &str, errors: &mut ConfigErrors) {
    let mut bytes = name.bytes();
    let well_formed = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase())
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && name.len() <= 48;
    if !well_formed {
        let form = "a lower-case letter, then at most 47 lower-case letters, digits and `_`";
        errors.push(path.to_owned(), format!("found {}; use {form}", quoted(name)));
    }
}

/// Checks that a metric's name says what it is, and is not one of the filter's own.
pub(super) fn check_metric(path: &str, name: &str, kind: MetricKind, errors: &mut ConfigErrors) {
    check_form(path, name, errors);
    let is_total = name.ends_with("_total");
    let message = match kind {
        MetricKind::Counter if !is_total => format!("`{name}` is a counter; end its name in `_total`"),
        MetricKind::Gauge | MetricKind::Histogram if is_total => {
            format!("`{name}` is no counter; do not end its name in `_total`")
        }
        _ if ["_bucket", "_count", "_sum"].iter().any(|part| name.ends_with(part)) => {
            format!("`{name}` ends like a part of a histogram; use another name")
        }
        _ if name.starts_with("edge_") || METRICS.iter().any(|metric| is_part_of(metric.suffix, name)) => {
            format!("`{name}` is a name of the filter's own metrics; use another")
        }
        _ => return,
    };
    errors.push(path.to_owned(), message);
}

/// Checks a polled gauge.
pub(in crate::config) fn check_gauge(path: &str, gauge: &GaugeSpec, names: &mut Names, errors: &mut ConfigErrors) {
    let at = format!("{path}.name");
    check_metric(&at, &gauge.name, MetricKind::Gauge, errors);
    names.metric(&at, &gauge.name, errors);
    for (label, values) in &gauge.labels {
        let path = format!("{path}.labels.{label}");
        names.label(&path, label, errors);
        if values.is_empty() {
            errors.push(path, "the list is empty; name a value".to_owned());
        }
    }
}

/// Whether a name of the catalogue is this one, or a part of a histogram of this name.
fn is_part_of(known: &str, name: &str) -> bool {
    known == name || known.strip_prefix(name).is_some_and(|rest| matches!(rest, "_bucket" | "_count" | "_sum"))
}
