//! Times and how long something takes, both in nanoseconds.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Value;

/// Nanoseconds of a second.
pub(super) const SECOND: i64 = 1_000_000_000;

/// A part of a time, or a length of time in a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Year,
    Month,
    DayOfYear,
    /// From 0.
    DayOfMonth,
    /// From 1.
    Date,
    DayOfWeek,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
}

impl Part {
    /// The one that a method gives.
    pub(super) fn named(method: &str) -> Option<Self> {
        Some(match method {
            "getFullYear" => Self::Year,
            "getMonth" => Self::Month,
            "getDayOfYear" => Self::DayOfYear,
            "getDayOfMonth" => Self::DayOfMonth,
            "getDate" => Self::Date,
            "getDayOfWeek" => Self::DayOfWeek,
            "getHours" => Self::Hours,
            "getMinutes" => Self::Minutes,
            "getSeconds" => Self::Seconds,
            "getMilliseconds" => Self::Milliseconds,
            _ => return None,
        })
    }

    /// What it is of a value.
    pub(super) fn of(self, value: &Value) -> Option<i64> {
        match value {
            Value::Timestamp(time) => self.of_time(*time),
            Value::Duration(length) => self.of_length(*length),
            _ => None,
        }
    }

    fn of_time(self, time: i64) -> Option<i64> {
        let time = Timestamp::from_nanosecond(time.into()).ok()?.to_zoned(TimeZone::UTC);
        Some(match self {
            Self::Year => time.year().into(),
            Self::Month => i64::from(time.month()) - 1,
            Self::DayOfYear => i64::from(time.day_of_year()) - 1,
            Self::DayOfMonth => i64::from(time.day()) - 1,
            Self::Date => time.day().into(),
            Self::DayOfWeek => time.weekday().to_sunday_zero_offset().into(),
            Self::Hours => time.hour().into(),
            Self::Minutes => time.minute().into(),
            Self::Seconds => time.second().into(),
            Self::Milliseconds => time.millisecond().into(),
        })
    }

    fn of_length(self, length: i64) -> Option<i64> {
        match self {
            Self::Hours => Some(length / SECOND / 3600),
            Self::Minutes => Some(length / SECOND / 60),
            Self::Seconds => Some(length / SECOND),
            Self::Milliseconds => Some(length % SECOND / 1_000_000),
            Self::Year | Self::Month | Self::DayOfYear | Self::DayOfMonth | Self::Date | Self::DayOfWeek => None,
        }
    }
}

/// Numbers with units, like `1h30m` or `-1.5s`.
#[allow(clippy::cast_possible_truncation, reason = "only what fits is cast")]
pub(super) fn duration(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut sum = 0.0;
    loop {
        let digits = rest.find(|char: char| !char.is_ascii_digit() && char != '.')?;
        let (number, behind) = rest.split_at_checked(digits)?;
        let units = [("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];
        let (unit, length) = units.into_iter().find(|(unit, _)| behind.starts_with(unit))?;
        sum += number.parse::<f64>().ok()? * length;
        rest = behind.strip_prefix(unit)?;
        if rest.is_empty() {
            let sum = (sign * sum).round();
            return (sum.abs() < i64::MAX as f64).then_some(sum as i64);
        }
    }
}

/// Nanoseconds behind a point, in as many groups of three digits as it takes.
fn fraction(nanoseconds: u64) -> String {
    match nanoseconds {
        0 => String::new(),
        rest if rest % 1_000_000 == 0 => format!(".{:03}", rest / 1_000_000),
        rest if rest % 1_000 == 0 => format!(".{:06}", rest / 1_000),
        rest => format!(".{rest:09}"),
    }
}

pub(super) fn duration_text(length: i64) -> String {
    let sign = if length < 0 { "-" } else { "" };
    let (length, second) = (length.unsigned_abs(), SECOND.unsigned_abs());
    format!("{sign}{}{}s", length / second, fraction(length % second))
}

pub(super) fn timestamp(text: &str) -> Option<i64> {
    let time: Timestamp = text.parse().ok()?;
    time.as_nanosecond().try_into().ok()
}

/// In UTC.
pub(super) fn timestamp_text(time: i64) -> Option<String> {
    let second = Timestamp::from_second(time.div_euclid(SECOND)).ok()?.to_string();
    let fraction = fraction(time.rem_euclid(SECOND).unsigned_abs());
    Some(format!("{}{fraction}Z", second.strip_suffix('Z')?))
}
