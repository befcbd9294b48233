//! When what failed is tried again, and how often that is reported.

use std::collections::BTreeMap;
use std::time::Duration;

/// The longest time between two tries.
const LONGEST: Duration = Duration::from_secs(30);

/// How often the same trouble is reported.
const REPORT: Duration = Duration::from_mins(5);

#[derive(Debug)]
struct Try {
    first: Duration,
    count: u32,
    due: Duration,
    reported: Option<Duration>,
    what: String,
}

/// What is tried again, by what it is about; times are those of [`super::clock::Clock::steady`].
#[derive(Debug, Default)]
pub(super) struct Retries(BTreeMap<String, Try>);

impl Retries {
    /// It failed: it is due again after 1, 2, 4, … and at last every 30 seconds. Says whether to report it: when it has gone on for `patience`, and from
    /// then on every five minutes.
    pub(super) fn failed(&mut self, about: &str, what: &str, now: Duration, patience: Duration) -> bool {
        let entry = self.0.entry(about.to_owned()).or_insert_with(|| Try {
            first: now,
            count: 0,
            due: now,
            reported: None,
            what: String::new(),
        });
        let wait = Duration::from_secs(1 << entry.count.min(5)).min(LONGEST);
        entry.count += 1;
        entry.due = now + wait;
        what.clone_into(&mut entry.what);
        let report = now.saturating_sub(entry.first) >= patience
            && entry.reported.is_none_or(|reported| now.saturating_sub(reported) >= REPORT);
        if report {
            entry.reported = Some(now);
        }
        report
    }

    /// It is done.
    pub(super) fn done(&mut self, about: &str) {
        self.0.remove(about);
    }

    /// How long until it is due; nothing for what did not fail.
    pub(super) fn rest(&self, about: &str, now: Duration) -> Duration {
        self.0.get(about).map_or(Duration::ZERO, |entry| entry.due.saturating_sub(now))
    }

    /// How long it has been failing.
    pub(super) fn lasted(&self, about: &str, now: Duration) -> Duration {
        self.0.get(about).map_or(Duration::ZERO, |entry| now.saturating_sub(entry.first))
    }

    /// What was found the last time.
    pub(super) fn what(&self, about: &str) -> Option<&str> {
        self.0.get(about).map(|entry| entry.what.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_come_more_seldom_and_reports_every_five_minutes() {
        let mut retries = Retries::default();
        let mut now = Duration::ZERO;
        let mut waits = Vec::new();
        let mut reports = Vec::new();
        while now < Duration::from_mins(12) {
            if retries.failed("a", "away", now, Duration::ZERO) {
                reports.push(now.as_secs());
            }
            waits.push(retries.rest("a", now).as_secs());
            now += retries.rest("a", now);
        }
        assert_eq!(waits[..7], [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(reports, [0, 301, 601]);
        assert_eq!(retries.rest("b", now), Duration::ZERO);
        retries.done("a");
        assert_eq!(retries.rest("a", now), Duration::ZERO);
    }

    #[test]
    fn what_passes_soon_is_not_reported() {
        let mut retries = Retries::default();
        assert!(!retries.failed("a", "pending", Duration::ZERO, Duration::from_secs(10)));
        assert!(!retries.failed("a", "pending", Duration::from_secs(9), Duration::from_secs(10)));
        assert!(retries.failed("a", "pending", Duration::from_secs(10), Duration::from_secs(10)));
        assert_eq!(retries.what("a"), Some("pending"));
    }
}
