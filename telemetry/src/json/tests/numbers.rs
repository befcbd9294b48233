use proptest::prelude::*;

use crate::json::number::as_scaled_u64;

fn check(text: &str, scale: u32, expected: Option<u64>) {
    assert_eq!(as_scaled_u64(text, scale), expected, "{text} times {scale}");
}

#[test]
fn numbers_are_scaled_and_rounded() {
    check("0", 1, Some(0));
    check("7", 1, Some(7));
    check("7", 1000, Some(7000));
    check("0.4", 1, Some(0));
    check("0.5", 1, Some(1));
    check("0.49999999999999999999999", 1, Some(0));
    check("1.5", 1, Some(2));
    check("2.5", 1, Some(3));
    check("99.9", 1, Some(100));
    check("0.0005", 1000, Some(1));
    check("0.0004999", 1000, Some(0));
    check("1.23456e3", 10, Some(12346));
    check("12.5e-1", 1, Some(1));
    check("1E+2", 1, Some(100));
    check("0.000000000001", u32::MAX, Some(0));
    check("0.0000000001164153219", u32::MAX, Some(1));
    check("0.0000000001164153218", u32::MAX, Some(0));
    check("5", 0, Some(0));
    check("1e999", 0, Some(0));
}

#[test]
fn what_does_not_fit_is_none() {
    check("18446744073709551615", 1, Some(u64::MAX));
    check("18446744073709551615.4", 1, Some(u64::MAX));
    check("18446744073709551615.5", 1, None);
    check("18446744073709551616", 1, None);
    check("1844674407370955161.55", 10, None);
    check("1844674407370955161.54", 10, Some(18_446_744_073_709_551_615));
    check("1e19", 1, Some(10_000_000_000_000_000_000));
    check("1e20", 1, None);
    check("1e999", 1, None);
    check("-1", 1, None);
    check("-1e-999", 1, None);
    check("-0.4", 1, None);
    check("-0", 1, Some(0));
    check("-0.0e5", 1, Some(0));
}

#[test]
fn an_exponent_costs_nothing() {
    check("1e999999999999999999999999", 1, None);
    check("1e-999999999999999999999999", 1, Some(0));
    check("0e999999999999999999999999", 1, Some(0));
    check("-0e-999999999999999999999999", 1, Some(0));
    check(&format!("0.{}1e100001", "0".repeat(100_000)), 1, Some(1));
    check(&format!("7{}e-100000", "0".repeat(100_000)), 1, Some(7));
}

#[test]
fn what_is_no_number_is_none() {
    for text in ["", "-", "+1", ".5", "1.", "1e", "1e+", "1e--1", "1e1.5", "0x10", "NaN", "1_000", " 1", "１"] {
        check(text, 1, None);
    }
}

proptest! {
    #[test]
    fn decimals_are_exact(whole in 0_u64..1_000_000_000_000, fraction in 0_u64..1_000_000_000, scale in 0_u32..100_000, shift in 0_u32..40) {
        let exact = (u128::from(whole) * 1_000_000_000 + u128::from(fraction)) * u128::from(scale);
        let zeros = "0".repeat(shift as usize);
        let expected = u64::try_from((exact + 500_000_000) / 1_000_000_000).ok();
        check(&format!("{whole}.{fraction:09}"), scale, expected);
        check(&format!("{whole}.{fraction:09}{zeros}"), scale, expected);
        check(&format!("{whole}{fraction:09}e-9"), scale, expected);
        check(&format!("{whole}{fraction:09}{zeros}e-{}", 9 + shift), scale, expected);
        check(&format!("0.{zeros}{whole}{fraction:09}E+{}", zeros.len() + whole.to_string().len()), scale, expected);
    }

    #[test]
    fn any_text_is_read_without_harm(text in "[-+0-9.eE]{0,40}", scale in any::<u32>()) {
        let _ = as_scaled_u64(&text, scale);
    }
}
