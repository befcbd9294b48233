//! Pauses after failures: exponential, with full jitter, and as long as the receiver asks for.
//!
//! After the n-th failure in a row the pause is anywhere between nothing and `base * 2^(n-1)`, at most `cap`: "full jitter" in AWS's
//! "Exponential Backoff And Jitter", so that workers that failed together do not come back together. `Retry-After` is a least pause, to which
//! up to `base` is added.

use crate::settings::Limits;
use crate::time::parse_rfc1123;

#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    /// When the last failure was, and what the receiver asked for: the pause is drawn when there is randomness.
    undrawn: Option<(u64, u64)>,
    until_ms: u64,
}

impl Backoff {
    /// Failures of calls that were under way together count once.
    pub(super) fn fail(&mut self, now_ms: u64, retry_after_ms: u64) {
        let asked = match self.undrawn {
            Some((_, asked)) => asked.max(retry_after_ms),
            None => {
                self.failures = self.failures.saturating_add(1);
                retry_after_ms
            }
        };
        self.undrawn = Some((now_ms, asked));
    }

    pub(super) fn succeed(&mut self) {
        *self = Self::default();
    }

    /// Draws the pause of a failure that has none yet.
    pub(super) fn draw(&mut self, limits: &Limits, random: &mut dyn FnMut() -> u64) {
        let Some((failed_ms, asked_ms)) = self.undrawn.take() else { return };
        let most = if asked_ms > 0 { limits.backoff_base_ms } else { self.ceiling(limits) };
        // Even, and without a division. Pauses have far fewer than 32 bits.
        let jitter = (random() >> 32).saturating_mul(most.saturating_add(1)) >> 32;
        let pause = asked_ms.min(limits.max_retry_after_ms).saturating_add(jitter);
        self.until_ms = self.until_ms.max(failed_ms.saturating_add(pause));
    }

    fn ceiling(&self, limits: &Limits) -> u64 {
        let factor = 1_u64.checked_shl(self.failures.saturating_sub(1)).unwrap_or(u64::MAX);
        limits.backoff_base_ms.saturating_mul(factor).min(limits.backoff_cap_ms)
    }

    pub(super) fn holds(&self, now_ms: u64) -> bool {
        self.undrawn.is_some() || now_ms < self.until_ms
    }
}

/// What `Retry-After` (RFC 9110, section 10.2.3) asks for, in milliseconds: seconds, or a date. Nothing if it makes no sense.
pub(super) fn retry_after(value: Option<&[u8]>, now_ns: u64) -> u64 {
    let text = value.and_then(|value| str::from_utf8(value).ok()).unwrap_or_default().trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(1_000);
    }
    parse_rfc1123(text).map_or(0, |seconds| seconds.saturating_mul(1_000).saturating_sub(now_ns / 1_000_000))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = 784_111_777_000_000_000;
        let check = |value: &str, expected| assert_eq!(retry_after(Some(value.as_bytes()), now), expected, "{value}");
        check("120", 120_000);
        check(" 0 ", 0);
        check("Sun, 06 Nov 1994 08:49:47 GMT", 10_000);
        check("Sun, 06 Nov 1994 08:49:27 GMT", 0);
        check("99999999999999999999999", u64::MAX);
        for value in ["", "-1", "1.5", "soon", "1e3", "Sunday, 06-Nov-94 08:49:37 GMT"] {
            check(value, 0);
        }
        assert_eq!(retry_after(None, now), 0);
        assert_eq!(retry_after(Some(b"\xff"), now), 0);
    }

    #[test]
    fn failures_together_count_once() {
        let (limits, mut backoff) = (Limits::default(), Backoff::default());
        backoff.fail(0, 0);
        backoff.fail(0, 7_000);
        assert!(backoff.holds(u64::MAX));
        backoff.draw(&limits, &mut || 0);
        assert_eq!((backoff.failures, backoff.until_ms), (1, 7_000));
        backoff.succeed();
        assert!(!backoff.holds(0));
    }

    proptest! {
        #[test]
        fn a_pause_is_within_its_bounds(failures in 1..200_u32, asked in prop_oneof![Just(0), any::<u64>()], random: u64) {
            let (limits, mut backoff) = (Limits::default(), Backoff::default());
            for _ in 1..failures {
                backoff.fail(0, 0);
                backoff.draw(&limits, &mut || 0);
            }
            backoff.fail(1_000, asked);
            backoff.draw(&limits, &mut || random);
            let least = 1_000 + asked.min(limits.max_retry_after_ms);
            let doubled = limits.backoff_base_ms.saturating_mul(1_u64.checked_shl(failures - 1).unwrap_or(u64::MAX));
            let most = if asked == 0 { doubled.min(limits.backoff_cap_ms) } else { limits.backoff_base_ms };
            prop_assert!((least..=least + most).contains(&backoff.until_ms));
        }
    }
}
