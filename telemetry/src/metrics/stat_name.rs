//! Stat names: `NAME.label=.=VALUE;.;label=.=VALUE;.;`, the name first, the labels in catalogue order.

use super::{catalogue::Metric, label};

/// Writes the stat name of one series into `out`, which is cleared first. `values` are in the order of `metric.labels`.
///
/// A label whose value is empty is left out: to Prometheus the two are the same, and Envoy would take the delimiters of an
/// empty value for the value.
pub fn write(out: &mut String, namespace: &str, metric: &Metric, values: &[&str]) {
    debug_assert_eq!(metric.labels.len(), values.len(), "one value for each label of {}", metric.suffix);
    out.clear();
    out.push_str(namespace);
    out.push('_');
    out.push_str(metric.suffix);
    let mut first = true;
    for (label, value) in metric.labels.iter().zip(values) {
        if value.is_empty() {
            continue;
        }
        if std::mem::take(&mut first) {
            out.push('.');
        }
        out.push_str(label);
        out.push_str("=.=");
        label::escape(value, out);
        out.push_str(";.;");
    }
}
