//! Latency buckets: bounds in seconds, kept as whole microseconds.

use thiserror::Error;

use crate::decimal::shortest;

/// Bounds a configuration may have.
pub const MAX_BOUNDS: usize = 32;

/// The largest bound: a day.
const MAX_MICROS: u64 = 86_400_000_000;

/// Why a list of bounds is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BucketError {
    /// No bound at all.
    #[error("found no bound; give at least one, or leave the field out")]
    Empty,
    /// Too many bounds.
    #[error("found {0} bounds; use at most {MAX_BOUNDS}")]
    TooMany(usize),
    /// One bound is not usable; `index` says which.
    #[error("{message}")]
    Bound {
        /// The position in the list.
        index: usize,
        /// What is wrong with it and the cure.
        message: String,
    },
}

/// Upper bounds of the latency buckets, ascending, each inclusive; the bucket `+Inf` follows the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buckets {
    /// **Invariant:** strictly ascending, from 1 µs to a day, 1 to [`MAX_BOUNDS`] of them.
    micros: Box<[u64]>,
    /// The `le` labels, `+Inf` last: one more than there are bounds.
    labels: Box<[Box<str>]>,
}

impl Buckets {
    /// Bounds from decimal seconds, every unusable one reported.
    pub fn from_seconds(seconds: &[f64]) -> Result<Self, Vec<BucketError>> {
        let mut errors = Vec::new();
        if seconds.is_empty() {
            errors.push(BucketError::Empty);
        }
        if seconds.len() > MAX_BOUNDS {
            errors.push(BucketError::TooMany(seconds.len()));
        }
        let mut micros: Vec<u64> = Vec::with_capacity(seconds.len());
        for (index, &bound) in seconds.iter().enumerate() {
            let message = match parse_micros(bound) {
                Err(message) => message,
                Ok(value) => {
                    let highest = micros.iter().copied().max();
                    micros.push(value);
                    match highest {
                        Some(highest) if highest == value => {
                            format!("`{}` is there twice; remove one", shortest(bound))
                        }
                        Some(highest) if highest > value => format!(
                            "`{}` comes after `{}`; sort the bounds in ascending order",
                            shortest(bound),
                            decimal_seconds(highest)
                        ),
                        _ => continue,
                    }
                }
            };
            errors.push(BucketError::Bound { index, message });
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let labels = micros.iter().map(|&bound| le_label(bound).into_boxed_str()).chain([Box::from("+Inf")]).collect();
        Ok(Self { micros: micros.into_boxed_slice(), labels })
    }

    /// The bounds in microseconds, without `+Inf`.
    #[inline]
    pub fn micros(&self) -> &[u64] {
        &self.micros
    }

    /// The `le` labels, `+Inf` last.
    pub fn labels(&self) -> &[Box<str>] {
        &self.labels
    }

    /// Buckets, `+Inf` among them.
    #[inline]
    pub fn count(&self) -> usize {
        self.labels.len()
    }

    /// The bucket of a duration: the first whose bound is not below it, else `+Inf`'s.
    #[inline]
    pub fn find(&self, micros: u64) -> usize {
        // Adding comparisons up needs no branch, and durations are what a branch predictor does worst on.
        self.micros.iter().map(|bound| usize::from(*bound < micros)).sum()
    }
}

/// Decimal seconds as whole microseconds, without rounding: the shortest decimal that reads back as this number is what was
/// written in the configuration.
fn parse_micros(seconds: f64) -> Result<u64, String> {
    let text = shortest(seconds);
    if !seconds.is_finite() || seconds <= 0.0 {
        return Err(format!("`{text}` is not above 0; remove it (the bucket `+Inf` is always there)"));
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    if fraction.len() > 6 {
        return Err(format!("`{text}` is finer than a microsecond; use at most 6 decimals"));
    }
    format!("{whole}{fraction:0<6}")
        .parse()
        .ok()
        .filter(|micros| *micros <= MAX_MICROS)
        .ok_or_else(|| format!("`{text}` is more than a day; use seconds up to 86400"))
}

/// A bound as decimal seconds, with at least one decimal.
fn decimal_seconds(micros: u64) -> String {
    let fraction = format!("{:06}", micros % 1_000_000);
    let fraction = fraction.trim_end_matches('0');
    format!("{}.{}", micros / 1_000_000, if fraction.is_empty() { "0" } else { fraction })
}

/// The `le` label as Python's `prometheus_client` writes it: `0.01`, `1.0`, `10.0`, and `5e-05` below a ten-thousandth.
fn le_label(micros: u64) -> String {
    if micros >= 100 {
        return decimal_seconds(micros);
    }
    let (first, second) = if micros >= 10 { (micros / 10, micros % 10) } else { (micros, 0) };
    let exponent = if micros >= 10 { "05" } else { "06" };
    if second == 0 { format!("{first}e-{exponent}") } else { format!("{first}.{second}e-{exponent}") }
}
