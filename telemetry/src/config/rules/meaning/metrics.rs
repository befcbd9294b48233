//! Declared metrics: several rules may count in one.

use super::super::names::check_metric;
use super::super::shape::MetricShape;
use super::{Reading, present, quoted};
use crate::metrics::{BucketError, Buckets, MetricKind};
use crate::rule::{Counts, MetricSpec, MetricValue};

/// The metrics so far, with the rule that first described each.
#[derive(Default)]
pub(super) struct Metrics {
    specs: Vec<(MetricSpec, String)>,
}

impl Metrics {
    pub(super) fn into_specs(self) -> Vec<MetricSpec> {
        self.specs.into_iter().map(|(spec, _)| spec).collect()
    }
}

impl Reading<'_> {
    pub(super) fn metric(&mut self, path: &str, shape: MetricShape, metrics: &mut Metrics) -> Option<Counts> {
        check_metric(&format!("{path}.name"), &shape.name, shape.kind, self.errors);
        let value = self.value(&format!("{path}.value"), &shape.value);
        let buckets = self.buckets(path, &shape);
        if shape.scale != 1 && shape.kind == MetricKind::Histogram {
            self.refuse(&format!("{path}.scale"), "a histogram has none; remove it".to_owned());
        }
        let mut labels = Vec::with_capacity(shape.labels.len());
        let mut facts = Vec::with_capacity(shape.labels.len());
        let mut sound = true;
        for (label, fact) in shape.labels {
            let path = format!("{path}.labels.{label}");
            self.names.label(&path, &label, self.errors);
            let Some(fact) = self.fact_named(&path, &fact) else {
                sound = false;
                continue;
            };
            labels.push((label, self.label_values(&path, fact)));
            facts.push(fact);
        }
        if !sound {
            return None;
        }
        let spec =
            MetricSpec { name: shape.name, kind: shape.kind, labels, buckets, scale: shape.scale, help: shape.help };
        let metric = self.merge(path, spec, metrics);
        Some(Counts { metric, value: value?, labels: facts })
    }

    fn value(&mut self, path: &str, text: &str) -> Option<MetricValue> {
        if let Ok(whole) = text.parse() {
            return Some(MetricValue::Whole(whole));
        }
        let fact = self.fact_named(path, text)?;
        if self.facts.get(fact).is_some_and(|fact| !fact.is_number) {
            self.refuse(path, format!("the fact `{text}` is not of `type: number`; make it one"));
        }
        Some(MetricValue::Fact(fact))
    }

    fn buckets(&mut self, path: &str, shape: &MetricShape) -> Option<Buckets> {
        let path = format!("{path}.buckets");
        let bounds = match (&shape.buckets, shape.kind) {
            (Some(bounds), MetricKind::Histogram) => bounds,
            (None, MetricKind::Histogram) => {
                self.refuse(&path, "missing; add a list of bounds".to_owned());
                return None;
            }
            (Some(_), MetricKind::Counter | MetricKind::Gauge) => {
                self.refuse(&path, "only a histogram has buckets; remove it, or set `kind: histogram`".to_owned());
                return None;
            }
            (None, MetricKind::Counter | MetricKind::Gauge) => return None,
        };
        let (positions, bounds): (Vec<usize>, Vec<f64>) = present(bounds.clone()).unzip();
        match Buckets::from_seconds(&bounds) {
            Ok(buckets) => Some(buckets),
            Err(mistakes) => {
                for mistake in mistakes {
                    let at = match &mistake {
                        BucketError::Bound { index, .. } => {
                            format!("{path}[{}]", positions.get(*index).copied().unwrap_or_default())
                        }
                        BucketError::Empty | BucketError::TooMany(_) => path.clone(),
                    };
                    self.refuse(&at, mistake.to_string());
                }
                None
            }
        }
    }

    fn label_values(&mut self, path: &str, fact: usize) -> Vec<String> {
        let Some(fact) = self.facts.get(fact) else { return Vec::new() };
        let closed = fact.closed();
        let always = fact.default.is_some()
            || fact.sources.iter().any(|source| {
                use crate::rule::Source::{Constant, Method, Outcome};
                fact.map.is_none() && fact.values.is_none() && matches!(source, Constant(_) | Method | Outcome)
            });
        let name = fact.name.clone();
        match closed {
            None => {
                let message = format!("the fact `{name}` may have any value; give it `values` or a `map`");
                self.refuse(path, message);
                Vec::new()
            }
            Some(_) if !always => {
                self.refuse(path, format!("the fact `{name}` may have no value; give it a `default`"));
                Vec::new()
            }
            Some(values) => values,
        }
    }

    /// The position of this metric, which an earlier rule may have described.
    fn merge(&mut self, path: &str, spec: MetricSpec, metrics: &mut Metrics) -> usize {
        let Some(at) = metrics.specs.iter().position(|(known, _)| known.name == spec.name) else {
            self.names.metric(&format!("{path}.name"), &spec.name, self.errors);
            metrics.specs.push((spec, path.to_owned()));
            return metrics.specs.len() - 1;
        };
        let Some((known, first)) = metrics.specs.get_mut(at) else { return at };
        let names = |spec: &MetricSpec| spec.labels.iter().map(|(label, _)| label.clone()).collect::<Vec<_>>();
        let field = if known.kind != spec.kind {
            "kind"
        } else if names(known) != names(&spec) {
            "labels"
        } else if known.buckets != spec.buckets {
            "buckets"
        } else if known.scale != spec.scale {
            "scale"
        } else {
            for ((_, known), (_, values)) in known.labels.iter_mut().zip(spec.labels) {
                for value in values {
                    if !known.contains(&value) {
                        known.push(value);
                    }
                }
            }
            return at;
        };
        let message =
            format!("{} has another `{field}` in {first}; write both alike, or rename one", quoted(&spec.name));
        self.refuse(&format!("{path}.{field}"), message);
        at
    }
}
