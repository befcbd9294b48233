//! Floating-point numbers as decimals.
//!
//! The standard library writes them too, with two algorithms and their tables, which would be a tenth of the module; `serde_json` brings another,
//! which is in it anyway.

use serde_json::Number;

/// The shortest decimal that reads back as this number, without an exponent, and without a fraction where it is whole. Of two that are as short
/// and as near, it is not said which. What JSON cannot have (infinities, not a number) is `null`.
pub(crate) fn shortest(value: f64) -> String {
    let Some(number) = Number::from_f64(value) else { return "null".to_owned() };
    let text = number.to_string();
    let (sign, text) = match text.strip_prefix('-') {
        Some(text) => ("-", text),
        None => ("", text.as_str()),
    };
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    let digits = format!("{whole}{fraction}");
    // How many of the digits stand before the point.
    let exponent: isize = exponent.parse().unwrap_or_default();
    let point = isize::try_from(whole.len()).unwrap_or_default().saturating_add(exponent);
    let zeros = |count: isize| "0".repeat(usize::try_from(count).unwrap_or_default());
    let missing = point.saturating_sub(isize::try_from(digits.len()).unwrap_or_default());
    let padded = format!("{}{digits}{}", zeros(1_isize.saturating_sub(point)), zeros(missing));
    let (before, after) =
        padded.split_at_checked(usize::try_from(point.max(1)).unwrap_or_default()).unwrap_or_default();
    let (before, after) = (before.trim_start_matches('0'), after.trim_end_matches('0'));
    let before = if before.is_empty() { "0" } else { before };
    if after.is_empty() { format!("{sign}{before}") } else { format!("{sign}{before}.{after}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn there_is_no_exponent() {
        for value in
            [0.0, -0.0, 1.0, 0.01, 2.5, 1e-7, 5e-324, 1e16, 1e21, 1.5e300, -123_456.789, f64::MAX, f64::MIN_POSITIVE]
        {
            assert_eq!(shortest(value), value.to_string());
        }
        assert_eq!(shortest(f64::INFINITY), "null");
    }

    proptest! {
        /// As short as the standard library's, which is another where two are as near.
        #[test]
        fn a_decimal_reads_back_and_none_is_shorter(bits in any::<u64>(), small in -1e7..1e7_f64) {
            for value in [f64::from_bits(bits), small, f64::from_bits(0xc2bc_b6bc_c518_3590)] {
                if value.is_finite() {
                    let text = shortest(value);
                    prop_assert_eq!(text.parse::<f64>().map(f64::to_bits), Ok(value.to_bits()));
                    prop_assert_eq!(text.len(), value.to_string().len());
                    prop_assert!(!text.contains(['e', 'E']));
                }
            }
        }
    }
}
