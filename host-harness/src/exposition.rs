//! The stats store as text: Prometheus' format as Envoy's `/stats/prometheus` writes it, and Envoy's plain `/stats`.
//!
//! - A module's stats lose their `wasmcustom.` and get no prefix; all others begin `envoy_`.
//! - Every character of a name that Prometheus does not know becomes `_`. A module's name that would begin with a digit
//!   is left out. Two names that come out the same share one `# TYPE` line, where Envoy writes two and Prometheus
//!   would refuse the page.
//! - Label values are written as they are, with `\`, `"` and line feeds escaped.
//! - Metrics of one name stand together under their `# TYPE` line, ordered by their full stat name, segment by segment;
//!   counters come first, then gauges, then histograms.
//!
//! Written out here and not with the `prometheus` crate's encoder, because that one leaves out the braces of a metric
//! without labels, which Envoy writes, and a text taken from Envoy must compare equal.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::stats_config::{StatsConfig, TaggedName};
use crate::{Histogram, Metric, Stats};

/// Prefix of the stats that modules define.
const MODULE_PREFIX: &str = "wasmcustom.";

/// What a histogram shows in Envoy's plain text.
const QUANTILES: [(&str, f64); 10] = [
    ("P0", 0.0),
    ("P25", 0.25),
    ("P50", 0.5),
    ("P75", 0.75),
    ("P90", 0.9),
    ("P95", 0.95),
    ("P99", 0.99),
    ("P99.5", 0.995),
    ("P99.9", 0.999),
    ("P100", 1.0),
];

/// A stat with what its name says.
struct Entry {
    full_name: String,
    tags: Vec<(String, String)>,
    metric: Metric,
}

/// Content type of [`prometheus()`].
pub const PROMETHEUS_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All stats in Prometheus' text format.
#[must_use]
pub fn prometheus(stats: &Stats, config: &StatsConfig) -> String {
    let mut counters = Families::default();
    let mut gauges = Families::default();
    let mut histograms = Families::default();
    for (full_name, metric) in stats.snapshot() {
        if !config.keeps(&full_name) {
            continue;
        }
        let kind = match metric {
            Metric::Counter(_) => &mut counters,
            Metric::Gauge(_) => &mut gauges,
            Metric::Histogram(_) => &mut histograms,
        };
        let TaggedName { name, tags } = config.tagged(&full_name);
        kind.add(&name, Entry { full_name, tags, metric });
    }
    let mut text = String::new();
    for (kind, families) in [("counter", counters), ("gauge", gauges), ("histogram", histograms)] {
        for (name, mut entries) in families.in_order() {
            entries.sort_by(|a, b| a.full_name.split('.').cmp(b.full_name.split('.')));
            let _ = writeln!(text, "# TYPE {name} {kind}");
            for entry in entries {
                write_entry(&mut text, &name, &entry, config);
            }
        }
    }
    text
}

/// Metrics of one kind by their name for Prometheus.
#[derive(Default)]
struct Families(BTreeMap<String, (Vec<String>, Vec<Entry>)>);

impl Families {
    /// Adds a stat under the name that is left without its tags, unless Prometheus cannot have such a name.
    fn add(&mut self, extracted: &str, entry: Entry) {
        if let Some(name) = metric_name(extracted) {
            let place = || extracted.split('.').map(String::from).collect();
            self.0.entry(name).or_insert_with(|| (place(), Vec::new())).1.push(entry);
        }
    }

    /// Envoy's order: by the name before it was made fit for Prometheus, segment by segment.
    fn in_order(self) -> Vec<(String, Vec<Entry>)> {
        let mut families: Vec<_> = self.0.into_iter().collect();
        families.sort_by(|(_, (a, _)), (_, (b, _))| a.cmp(b));
        families.into_iter().map(|(name, (_, entries))| (name, entries)).collect()
    }
}

fn write_entry(text: &mut String, name: &str, entry: &Entry, config: &StatsConfig) {
    let labels = labels(&entry.tags);
    let _ = match &entry.metric {
        Metric::Counter(counter) => writeln!(text, "{name}{{{labels}}} {}", counter.value()),
        Metric::Gauge(gauge) => writeln!(text, "{name}{{{labels}}} {}", gauge.value()),
        Metric::Histogram(histogram) => {
            write_histogram(text, name, &labels, histogram, config.buckets(&entry.full_name))
        }
    };
}

/// All stats in Envoy's plain text: counters and gauges by name, then histograms.
#[must_use]
pub fn plain(stats: &Stats, config: &StatsConfig) -> String {
    let mut text = String::new();
    let mut histograms = String::new();
    for (name, metric) in stats.snapshot() {
        if !config.keeps(&name) {
            continue;
        }
        match metric {
            Metric::Counter(counter) => {
                let _ = writeln!(text, "{name}: {}", counter.value());
            }
            Metric::Gauge(gauge) => {
                let _ = writeln!(text, "{name}: {}", gauge.value());
            }
            Metric::Histogram(histogram) => {
                let _ = write!(histograms, "{name}:");
                if histogram.count() == 0 {
                    histograms.push_str(" No recorded values");
                } else {
                    for (label, quantile) in QUANTILES {
                        let value = histogram_quantile(&histogram, quantile);
                        let _ = write!(histograms, " {label}({value},{value})");
                    }
                }
                histograms.push('\n');
            }
        }
    }
    text.push_str(&histograms);
    text
}

fn write_histogram(
    text: &mut String,
    name: &str,
    labels: &str,
    histogram: &Histogram,
    bounds: &[f64],
) -> std::fmt::Result {
    let comma = if labels.is_empty() { "" } else { "," };
    for bound in bounds {
        let (le, below) = (general(*bound), histogram.count_below(*bound));
        writeln!(text, "{name}_bucket{{{labels}{comma}le=\"{le}\"}} {below}")?;
    }
    let count = histogram.count();
    writeln!(text, "{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {count}")?;
    writeln!(text, "{name}_sum{{{labels}}} {}", general(histogram.approximate_sum()))?;
    writeln!(text, "{name}_count{{{labels}}} {count}")
}

/// The value below which `quantile` of the observations lie; those of one bin are taken as evenly spread in it.
#[allow(clippy::cast_precision_loss, reason = "a quantile of bins is an approximation already")]
fn histogram_quantile(histogram: &Histogram, quantile: f64) -> f64 {
    let wanted = (quantile * histogram.count() as f64).ceil().max(1.0);
    let mut before = 0.0;
    let mut last = 0.0;
    for (lower, upper, count) in histogram.bins() {
        let count = count as f64;
        last = if lower == 0.0 { 0.0 } else { lower + (upper - lower) * (wanted - before) / (count + 1.0) };
        before += count;
        if before >= wanted {
            break;
        }
    }
    last
}

/// A number as C's `%.32g` writes it, which is how Envoy writes bounds and sums.
fn general(value: f64) -> String {
    const DIGITS: usize = 32;
    if value == 0.0 {
        // Also the negative zero that an empty sum is.
        return String::from("0");
    }
    let scientific = format!("{value:.*e}", DIGITS - 1);
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let text = match usize::try_from(exponent) {
        Ok(exponent) if exponent < DIGITS => format!("{value:.*}", DIGITS - 1 - exponent),
        Err(_) if exponent >= -4 => {
            format!("{value:.*}", DIGITS - 1 + exponent.unsigned_abs() as usize)
        }
        _ => {
            let sign = if exponent < 0 { '-' } else { '+' };
            return format!("{}e{sign}{:02}", without_zeros(mantissa), exponent.unsigned_abs());
        }
    };
    String::from(without_zeros(&text))
}

fn without_zeros(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

/// The metric's name for Prometheus, if it can have one.
fn metric_name(extracted: &str) -> Option<String> {
    match extracted.strip_prefix(MODULE_PREFIX) {
        Some(own) => {
            let name = sanitise(own);
            (!name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit())).then_some(name)
        }
        None => Some(format!("envoy_{}", sanitise(extracted))),
    }
}

/// Characters that a Prometheus name may not have become `_`.
fn sanitise(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

fn labels(tags: &[(String, String)]) -> String {
    let mut text = String::new();
    for (name, value) in tags {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&sanitise(name));
        text.push_str("=\"");
        for c in value.chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                _ => text.push(c),
            }
        }
        text.push('"');
    }
    text
}

#[cfg(test)]
mod tests;
