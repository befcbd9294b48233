//! Times as text, from nanoseconds since 1970, and one back.

use std::fmt::Write as _;

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Adds the time in UTC to the microsecond, with `Z` (RFC 3339).
pub fn rfc3339(unix_ns: u64, out: &mut String) {
    let micros = unix_ns / 1_000;
    let Civil { year, month, day, hour, minute, second, .. } = Civil::of(micros / 1_000_000);
    let _ = write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:06}Z", micros % 1_000_000);
}

/// The time as HTTP writes it (RFC 1123; RFC 9110, section 5.6.7): `Mon, 04 Apr 2016 08:00:00 GMT`.
pub fn rfc1123(unix_ns: u64) -> String {
    let Civil { days, year, month, day, hour, minute, second } = Civil::of(unix_ns / 1_000_000_000);
    let name = |names: &[&'static str], at: u64| usize::try_from(at).ok().and_then(|at| names.get(at).copied());
    let weekday = name(&DAYS, days % 7).unwrap_or_default();
    let month = name(&MONTHS, month.saturating_sub(1)).unwrap_or_default();
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

/// Seconds since 1970 of a time in the form that [`rfc1123`] writes; its weekday is not looked at. `None` for the two obsolete forms.
pub(crate) fn parse_rfc1123(text: &str) -> Option<u64> {
    // Every part has its place: `Mon, 04 Apr 2016 08:00:00 GMT`.
    let bytes: &[u8; 29] = text.as_bytes().try_into().ok()?;
    let [_, _, _, b',', b' ', d0, d1, b' ', m0, m1, m2, b' ', y0, y1, y2, y3, b' ', time @ .., b' ', b'G', b'M', b'T'] =
        *bytes
    else {
        return None;
    };
    let [h0, h1, b':', i0, i1, b':', s0, s1] = time else { return None };
    let month = MONTHS.iter().position(|name| name.as_bytes() == [m0, m1, m2])?;
    let month = u64::try_from(month).ok()? + 1;
    let (day, year) = (number(&[d0, d1])?, number(&[y0, y1, y2, y3])?);
    let (hour, minute, second) = (number(&[h0, h1])?, number(&[i0, i1])?, number(&[s0, s1])?);
    let is_time = (1..=31).contains(&day) && year >= 1970 && hour < 24 && minute < 60 && second <= 60;
    is_time.then_some(days_of(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0')))
}

struct Civil {
    days: u64,
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
}

impl Civil {
    /// Howard Hinnant's `civil_from_days`: years begin in March, so that the leap day is the last of its year.
    fn of(seconds: u64) -> Self {
        let days = seconds / 86_400;
        let shifted = days + 719_468;
        let (era, of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        let year = era * 400 + year_of_era + carry;
        Self { days, year, month, day, hour: seconds / 3_600 % 24, minute: seconds / 60 % 60, second: seconds % 60 }
    }
}

/// Days since 1970, by `days_from_civil` of the same author; 1970 and later.
fn days_of(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    (era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year).saturating_sub(719_468)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(seconds: u64, http: &str, rfc: &str) {
        assert_eq!(rfc1123(seconds * 1_000_000_000), http);
        assert_eq!(parse_rfc1123(http), Some(seconds));
        let mut out = String::new();
        rfc3339(seconds * 1_000_000_000, &mut out);
        assert_eq!(out, rfc);
    }

    #[test]
    fn known_times() {
        check(0, "Thu, 01 Jan 1970 00:00:00 GMT", "1970-01-01T00:00:00.000000Z");
        check(784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37.000000Z");
        check(951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT", "2000-02-29T00:00:00.000000Z");
        check(1_459_756_800, "Mon, 04 Apr 2016 08:00:00 GMT", "2016-04-04T08:00:00.000000Z");
        check(1_769_769_000, "Fri, 30 Jan 2026 10:30:00 GMT", "2026-01-30T10:30:00.000000Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 32 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 99999 08:49:37 GMT",
            "Sun, 06 Nov 1969 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37:1 GMT",
            "Sun, +6 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(parse_rfc1123(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn times_are_read_back(seconds in 0..=18_446_744_073_u64) {
            prop_assert_eq!(parse_rfc1123(&rfc1123(seconds * 1_000_000_000)), Some(seconds));
        }

        #[test]
        fn no_text_is_a_panic(text in "(.{0,40}|[A-Z][a-z]{2}, [0-9]{1,3} Feb [0-9]{1,5} [0-9:]{1,9} GMT)") {
            let _ = parse_rfc1123(&text);
        }
    }
}
