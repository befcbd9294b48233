//! Time as the sender counts it.

/// The longest step forward that is believed, in milliseconds. A wall clock that was set is no reason to give up every event at once.
pub(super) const MAX_STEP_MS: u64 = 600_000;

/// Milliseconds since the sender was made, from a wall clock that may be set at any time.
///
/// **Invariant:** never goes backwards, and no faster than [`MAX_STEP_MS`] a step.
#[derive(Debug, Default)]
pub(super) struct Clock {
    last_ns: Option<u64>,
    elapsed_ns: u64,
}

impl Clock {
    pub(super) fn advance(&mut self, now_ns: u64) -> u64 {
        if let Some(last) = self.last_ns {
            let step = now_ns.saturating_sub(last).min(MAX_STEP_MS * 1_000_000);
            self.elapsed_ns = self.elapsed_ns.saturating_add(step);
        }
        self.last_ns = Some(now_ns);
        self.elapsed_ns / 1_000_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_back_are_no_steps_and_leaps_are_short() {
        let mut clock = Clock::default();
        let second = 1_000_000_000;
        assert_eq!(clock.advance(1_700_000_000 * second), 0);
        assert_eq!(clock.advance(1_700_000_001 * second), 1_000);
        assert_eq!(clock.advance(5 * second), 1_000);
        assert_eq!(clock.advance(7 * second), 3_000);
        assert_eq!(clock.advance(1_800_000_000 * second), 3_000 + MAX_STEP_MS);
    }
}
