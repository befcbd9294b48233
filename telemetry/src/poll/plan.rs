//! What to ask, and where each series is in the answer.

use std::fmt;

use thiserror::Error;

use crate::json::{Pointers, Reader, Value, number};

/// The most series of one request.
const MAX_SERIES: usize = 1024;

/// A request that is made again and again, and the gauges in its answer.
#[derive(Clone, PartialEq, Eq)]
pub struct PollSpec {
    /// The cluster that is asked.
    pub cluster: String,
    /// The `:authority` of the request.
    pub authority: String,
    /// Its `:path`.
    pub path: String,
    /// More headers; a secret may be in their values.
    pub headers: Vec<(String, String)>,
    /// The time from one answer to the next request.
    pub interval_ms: u32,
    /// How long an answer may take.
    pub timeout_ms: u32,
    /// The longest wait after a first failure; it doubles with each that follows.
    pub backoff_ms: u32,
    /// The longest wait after any failure.
    pub backoff_cap_ms: u32,
    /// From when on what is known is stale.
    pub stale_after_ms: u32,
    /// The gauges.
    pub gauges: Vec<GaugeSpec>,
}

/// A gauge: one series for each combination of its labels' values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GaugeSpec {
    /// The name, without the namespace.
    pub name: String,
    /// The labels, each with all its values.
    pub labels: Vec<(String, Vec<String>)>,
    /// Where its numbers are: a JSON pointer with `{label}` where the label's value goes.
    pub pointer: String,
    /// What the numbers are multiplied by.
    pub scale: u32,
    /// What a series is that the answer has no number for.
    pub missing: Missing,
    /// What its series are when no answer has come for too long; `None` leaves them at what they were.
    pub stale: Option<u64>,
}

/// What a series is that a good answer has no number for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Zero: the API leaves out what it has none of.
    Zero,
    /// Stale: the declared value, or else what it was.
    Stale,
}

/// A mistake in a gauge.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct PlanError {
    /// The gauge's position in the list.
    pub gauge: usize,
    /// What was found; the cure.
    pub message: String,
}

/// A request with the series of all its gauges, in the order of the gauges and their labels' values, the last label's first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    spec: PollSpec,
    /// One for each series.
    pointers: Pointers,
    series: Vec<Series>,
}

/// One series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// The position of its gauge.
    pub gauge: usize,
    /// For each label of the gauge, the position of its value.
    pub values: Vec<usize>,
}

/// Without the values of the headers.
impl fmt::Debug for PollSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        let times_ms = [self.interval_ms, self.timeout_ms, self.backoff_ms, self.backoff_cap_ms, self.stale_after_ms];
        f.debug_struct("PollSpec")
            .field("cluster", &self.cluster)
            .field("authority", &self.authority)
            .field("path", &self.path)
            .field("headers", &names)
            .field("times_ms", &times_ms)
            .field("gauges", &self.gauges)
            .finish()
    }
}

impl Plan {
    /// The series of the request's gauges, or the first mistake.
    pub fn new(spec: PollSpec) -> Result<Self, PlanError> {
        let (mut series, mut pointers) = (Vec::new(), Vec::new());
        for (index, gauge) in spec.gauges.iter().enumerate() {
            let fail = |message| PlanError { gauge: index, message };
            let template = Template::parse(gauge).map_err(fail)?;
            let count = gauge.labels.iter().try_fold(1_usize, |count, (_, values)| count.checked_mul(values.len()));
            let count = count.filter(|count| series.len().saturating_add(*count) <= MAX_SERIES).ok_or_else(|| {
                fail(format!(
                    "with the combinations of its labels there are more than {MAX_SERIES} series; declare fewer"
                ))
            })?;
            for number in 0..count {
                let values = positions(number, gauge);
                pointers.push(template.pointer(gauge, &values));
                series.push(Series { gauge: index, values });
            }
        }
        let pointers = Pointers::compile(&pointers).map_err(|error| PlanError {
            gauge: series.get(error.index).map_or(0, |series| series.gauge),
            message: error.message,
        })?;
        Ok(Self { spec, pointers, series })
    }

    /// The request and its gauges.
    #[must_use]
    pub fn spec(&self) -> &PollSpec {
        &self.spec
    }

    /// The series.
    #[must_use]
    pub fn series(&self) -> &[Series] {
        &self.series
    }

    /// The gauge of a series, and its labels with their values.
    pub fn describe(&self, index: usize) -> Option<(&GaugeSpec, impl Iterator<Item = (&str, &str)>)> {
        let series = self.series.get(index)?;
        let gauge = self.spec.gauges.get(series.gauge)?;
        let labels = gauge.labels.iter().zip(&series.values);
        Some((
            gauge,
            labels.filter_map(|((label, values), value)| Some((label.as_str(), values.get(*value)?.as_str()))),
        ))
    }

    pub(super) fn pointers(&self) -> &Pointers {
        &self.pointers
    }

    /// The gauge of a series.
    pub(super) fn gauge(&self, index: usize) -> Option<&GaugeSpec> {
        self.spec.gauges.get(self.series.get(index)?.gauge)
    }

    /// What a document that was read says of a series.
    pub(super) fn value(&self, reader: &Reader, index: usize) -> Option<u64> {
        let scale = self.gauge(index)?.scale;
        match reader.value(&self.pointers, index)? {
            Value::Number(text) => number::as_scaled_u64(text, scale),
            Value::Items(count) => Some(u64::from(count) * u64::from(scale)),
            Value::Bool(value) => Some(u64::from(value) * u64::from(scale)),
            Value::Text(_) | Value::Null | Value::TooLong => None,
        }
    }
}

/// The positions of the labels' values in a gauge's series with this number.
fn positions(number: usize, gauge: &GaugeSpec) -> Vec<usize> {
    let mut left = number;
    let mut positions: Vec<usize> = gauge
        .labels
        .iter()
        .rev()
        .map(|(_, values)| {
            // Not zero: a label without values is a mistake.
            let count = values.len().max(1);
            let position = left % count;
            left /= count;
            position
        })
        .collect();
    positions.reverse();
    positions
}

/// A pointer with labels in it.
struct Template<'a> {
    /// Literal text, and the position of the label after it.
    parts: Vec<(&'a str, usize)>,
    rest: &'a str,
}

impl<'a> Template<'a> {
    fn parse(gauge: &'a GaugeSpec) -> Result<Self, String> {
        let pointer = &gauge.pointer;
        let (mut parts, mut rest) = (Vec::new(), pointer.as_str());
        while let Some((literal, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else {
                return Err(format!("in `{pointer}` a `{{` is not closed; write `{{label}}`"));
            };
            let position = gauge.labels.iter().position(|(label, _)| label == name);
            let position = position.ok_or_else(|| {
                format!("`{{{name}}}` in `{pointer}` is not a label of the gauge; declare it, with its values")
            })?;
            parts.push((literal, position));
            rest = after;
        }
        for (position, (label, values)) in gauge.labels.iter().enumerate() {
            if values.is_empty() {
                return Err(format!("label `{label}` has no values; list them"));
            }
            if values.len() > 1 && !parts.iter().any(|(_, used)| *used == position) {
                return Err(format!(
                    "label `{label}` has {} values and is not in `{pointer}`; write `{{{label}}}` where its value goes",
                    values.len()
                ));
            }
        }
        Ok(Self { parts, rest })
    }

    fn pointer(&self, gauge: &GaugeSpec, values: &[usize]) -> String {
        let mut pointer = String::new();
        for (literal, label) in &self.parts {
            pointer.push_str(literal);
            let position = values.get(*label).copied().unwrap_or_default();
            let value = gauge.labels.get(*label).and_then(|(_, values)| values.get(position));
            for c in value.map(String::as_str).unwrap_or_default().chars() {
                match c {
                    '~' => pointer.push_str("~0"),
                    '/' => pointer.push_str("~1"),
                    c => pointer.push(c),
                }
            }
        }
        pointer.push_str(self.rest);
        pointer
    }
}
