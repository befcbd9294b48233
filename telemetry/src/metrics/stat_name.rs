//! Stat names: `NAME.label=.=VALUE;.;label=.=VALUE;.;`, the name first, the labels in catalogue order.

use super::{catalogue::Metric, label};

/// Writes the stat name of one series into `out`, which is cleared first. `values` are in the order of `metric.labels`.
pub fn write(out: &mut String, namespace: &str, metric: &Metric, values: &[&str]) {
    debug_assert_eq!(metric.labels.len(), values.len(), "one value for each label of {}", metric.suffix);
    write_labels(out, namespace, metric.suffix, &mut metric.labels.iter().copied().zip(values.iter().copied()));
}

/// The same for a metric that is not in the catalogue.
///
/// A label whose value is empty is left out: to Prometheus the two are the same, and Envoy would take the delimiters of an
/// empty value for the value.
pub fn write_labels<'l>(
    out: &mut String,
    namespace: &str,
    name: &str,
    labels: &mut dyn Iterator<Item = (&'l str, &'l str)>,
) {
    out.clear();
    out.push_str(namespace);
    out.push('_');
    out.push_str(name);
    let mut first = true;
    for (label, value) in labels {
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
