//! JSON numbers as whole numbers, exactly: no floating point, and no way for an exponent to cost more than its digits.

use super::number_state::NumberState;

/// Whether the text is a number, to the letter of the grammar (RFC 8259 section 6).
#[must_use]
pub fn is_number(text: &str) -> bool {
    let mut bytes = text.bytes();
    let first = bytes.next().and_then(NumberState::first);
    first.and_then(|first| bytes.try_fold(first, NumberState::next)).is_some_and(NumberState::is_end)
}

/// `text` times `scale`, rounded to the nearest whole number, halves up. `None` for what is below zero, does not fit or is no number.
///
/// ```
/// use telemetry::json::number::as_scaled_u64;
///
/// assert_eq!(as_scaled_u64("42.5", 1), Some(43));
/// assert_eq!(as_scaled_u64("0.0125e2", 1000), Some(1250));
/// assert_eq!(as_scaled_u64("1e999", 1), None);
/// assert_eq!(as_scaled_u64("1e-999", 1), Some(0));
/// assert_eq!(as_scaled_u64("-1", 1), None);
/// ```
#[must_use]
pub fn as_scaled_u64(text: &str, scale: u32) -> Option<u64> {
    let (is_negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let exponent = parse_exponent(exponent)?;

    // The digits from the first that is not zero, and how many of them stand before the point.
    let digits = || whole.bytes().chain(fraction.bytes());
    let zeros = digits().take_while(|digit| *digit == b'0').count();
    let count = whole.len() + fraction.len() - zeros;
    let point = i64::try_from(whole.len()).ok()?.saturating_sub(i64::try_from(zeros).ok()?).saturating_add(exponent);
    if count == 0 {
        return Some(0);
    }
    // A number of 21 digits does not fit, and one of eleven zeros after the point is below a half whatever the scale.
    if is_negative || point > 20 && scale > 0 {
        return None;
    }
    if point < -11 || scale == 0 {
        return Some(0);
    }
    let before = usize::try_from(point).unwrap_or_default();

    let digits = || digits().map(|digit| u64::from(digit - b'0'));
    let mut total = 0_u64;
    for digit in digits().skip(zeros).chain(std::iter::repeat(0)).take(before) {
        total = total.checked_mul(10)?.checked_add(digit)?;
    }
    // The fraction times the scale, from its last digit to its first, and then the zeros before that. What is carried stays below the scale.
    let scale = u64::from(scale);
    let (mut carry, mut tenths) = (0, 0);
    let mut take = |digit: u64| {
        let product = digit * scale + carry;
        (carry, tenths) = (product / 10, product % 10);
    };
    digits().rev().take(count.saturating_sub(before)).for_each(&mut take);
    (point..0).for_each(|_| take(0));
    total.checked_mul(scale)?.checked_add(carry + u64::from(tenths >= 5))
}

/// The exponent, as far as it makes a difference.
fn parse_exponent(text: &str) -> Option<i64> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() {
        return None;
    }
    let mut exponent = 0_i64;
    for digit in digits.bytes() {
        exponent = exponent.saturating_mul(10).saturating_add(char::from(digit).to_digit(10)?.into());
    }
    Some(if is_negative { -exponent } else { exponent })
}
