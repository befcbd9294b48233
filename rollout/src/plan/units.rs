//! Numbers with a unit.

use std::time::Duration;

/// What a duration looks like.
pub(super) const DURATION: &str = "a duration such as `500ms`, `15s`, `10m`, `2h`, `1d` or `1h30m`";
/// What a growth of memory looks like.
pub(super) const GROWTH: &str = "bytes an hour such as `64MiB/h`";

/// A duration as Prometheus writes it: <https://prometheus.io/docs/prometheus/latest/querying/basics/#time-durations>, with parts of a number allowed.
pub(super) fn duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 6] =
        [("ms", 1e-3), ("us", 1e-6), ("s", 1.0), ("m", 60.0), ("h", 3_600.0), ("d", 86_400.0)];
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, after) = rest.split_at_checked(digits)?;
        let number: f64 = number.parse().ok()?;
        let end = after.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(end)?;
        seconds += number * UNITS.iter().find(|(name, _)| *name == unit)?.1;
        rest = after;
    }
    // A century: more is a mistake, and instants would overflow.
    (seconds > 0.0 && seconds < 3.2e9).then(|| Duration::from_secs_f64(seconds))
}

/// Bytes an hour: `64MiB/h`.
pub(super) fn growth(text: &str) -> Option<f64> {
    const UNITS: [(&str, f64); 7] = [
        ("KiB", 1024.0),
        ("MiB", 1_048_576.0),
        ("GiB", 1_073_741_824.0),
        ("kB", 1e3),
        ("MB", 1e6),
        ("GB", 1e9),
        ("B", 1.0),
    ];
    let amount = text.strip_suffix("/h")?;
    let (unit, factor) = UNITS.iter().find(|(unit, _)| amount.ends_with(unit))?;
    let number: f64 = amount.strip_suffix(unit)?.trim_end().parse().ok()?;
    (number > 0.0 && number.is_finite()).then_some(number * factor)
}
