//! The bearer token of the protocol that has one.

use std::fmt;

use super::backoff::Backoff;
use crate::protocol::logs_ingestion::Grant;

/// How long before its end a token is replaced, at most, in milliseconds.
const AHEAD_MS: u64 = 300_000;

#[derive(Debug, Default)]
pub(super) struct Tokens {
    token: Option<Token>,
    /// Counts tokens, so that a refusal of the last one is not taken for one of this.
    pub(super) serial: u64,
    pub(super) backoff: Backoff,
}

struct Token {
    text: String,
    replace_ms: u64,
    end_ms: u64,
}

impl Tokens {
    /// The token, unless its life is over.
    pub(super) fn current(&self, now_ms: u64) -> Option<&str> {
        self.token.as_ref().filter(|token| now_ms < token.end_ms).map(|token| token.text.as_str())
    }

    /// Whether it is time for another.
    pub(super) fn is_due(&self, now_ms: u64) -> bool {
        !self.backoff.holds(now_ms) && self.token.as_ref().is_none_or(|token| now_ms >= token.replace_ms)
    }

    pub(super) fn take(&mut self, grant: Grant, now_ms: u64) {
        let life = grant.lifetime_s.saturating_mul(1_000);
        let replace_ms = now_ms.saturating_add(life - AHEAD_MS.min(life / 2));
        self.token = Some(Token { text: grant.token, replace_ms, end_ms: now_ms.saturating_add(life) });
        self.serial = self.serial.wrapping_add(1);
        self.backoff.succeed();
    }

    /// The receiver refused this one. Says whether it was still in use.
    pub(super) fn drop(&mut self, serial: u64) -> bool {
        let is_current = serial == self.serial && self.token.is_some();
        if is_current {
            self.token = None;
        }
        is_current
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("end_ms", &self.end_ms).finish_non_exhaustive()
    }
}
