//! Colours by value: from alerts, so that a panel turns red where an alert says it should.

use crate::promql::Comparison;

/// Which side of a limit is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// More than the limit.
    Above,
    /// Less than the limit.
    Below,
}

/// Grafana's colours begin at their value, alerts only past it. That matters where the value is 0, which is what is well.
pub const JUST_ABOVE_ZERO: f64 = 1e-9;

/// A value from which, or below which, something is bad.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// The bad side.
    pub side: Side,
    /// The value.
    pub value: f64,
    /// The colour of the bad side.
    pub color: &'static str,
}

impl Limit {
    /// The limit of an alert's comparison; `None` for one that is no limit.
    pub fn of(comparison: Comparison, color: &'static str) -> Option<Self> {
        let side = match comparison.operator {
            ">" if comparison.value == 0.0 => {
                return Some(Self { side: Side::Above, value: JUST_ABOVE_ZERO, color });
            }
            ">" | ">=" => Side::Above,
            "<" | "<=" => Side::Below,
            _ => return None,
        };
        Some(Self { side, value: comparison.value, color })
    }

    /// The limit of what is left of 1: of a success ratio, where the alert is about failures.
    pub fn complement(self) -> Self {
        let side = match self.side {
            Side::Above => Side::Below,
            Side::Below => Side::Above,
        };
        // To a billionth, so that 1 − 0.1 is 0.9.
        Self { side, value: ((1.0 - self.value) * 1e9).round() / 1e9, ..self }
    }
}

/// A colour from this value on; the first has none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// From where; `None`: from the start.
    pub value: Option<f64>,
    /// The colour.
    pub color: &'static str,
}

const GOOD: &str = "green";

/// The colours for these limits. `None`: they contradict each other.
pub fn steps(limits: &[Limit]) -> Option<Vec<Step>> {
    let mut sorted = limits.to_vec();
    sorted.sort_by(|a, b| a.value.total_cmp(&b.value));
    sorted.dedup_by(|a, b| a.value == b.value);
    if sorted.iter().all(|limit| limit.side == Side::Above) {
        let base = Step { value: None, color: GOOD };
        let above = sorted.iter().map(|limit| Step { value: Some(limit.value), color: limit.color });
        return Some(std::iter::once(base).chain(above).collect());
    }
    if sorted.iter().any(|limit| limit.side == Side::Above) {
        return None;
    }
    // Each colour begins where the one of the limit before it ends.
    let starts = std::iter::once(None).chain(sorted.iter().map(|limit| Some(limit.value)));
    let colors = sorted.iter().map(|limit| limit.color).chain([GOOD]);
    Some(starts.zip(colors).map(|(value, color)| Step { value, color }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(side: Side, value: f64, color: &'static str) -> Limit {
        Limit { side, value, color }
    }

    fn shown(limits: &[Limit]) -> Option<Vec<(Option<f64>, &'static str)>> {
        steps(limits).map(|steps| steps.iter().map(|step| (step.value, step.color)).collect())
    }

    #[test]
    fn what_is_bad_above_starts_green() {
        let limits = [limit(Side::Above, 6.0, "orange"), limit(Side::Above, 14.4, "red")];
        assert_eq!(shown(&limits).unwrap(), [(None, "green"), (Some(6.0), "orange"), (Some(14.4), "red")]);
        assert_eq!(shown(&[]).unwrap(), [(None, "green")]);
    }

    #[test]
    fn what_is_bad_below_ends_green() {
        let limits = [limit(Side::Below, 30.0, "orange"), limit(Side::Below, 7.0, "red")];
        assert_eq!(shown(&limits).unwrap(), [(None, "red"), (Some(7.0), "orange"), (Some(30.0), "green")]);
    }

    #[test]
    fn both_sides_at_once_are_no_colours() {
        assert_eq!(shown(&[limit(Side::Below, 1.0, "red"), limit(Side::Above, 2.0, "red")]), None);
    }

    #[test]
    fn a_share_of_failures_bounds_the_share_of_successes() {
        let failures = Limit::of(Comparison { operator: ">", value: 0.1 }, "red").unwrap();
        assert_eq!(failures.complement(), limit(Side::Below, 0.9, "red"));
        assert_eq!(Limit::of(Comparison { operator: "==", value: 0.0 }, "red"), None);
    }
}
