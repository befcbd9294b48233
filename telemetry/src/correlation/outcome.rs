//! What became of the correlation ID of one HTTP stream.

/// Why an incoming ID was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Well formed, but from a sender whose IDs are not kept.
    Untrusted,
    /// The header has no value.
    Empty,
    /// Shorter than 8 bytes.
    TooShort,
    /// Longer than 128 bytes.
    TooLong,
    /// A byte outside the set.
    Charset,
    /// More than one header line.
    Duplicate,
    /// A list of values in one line.
    Comma,
}

/// What became of the correlation ID. Every stream has exactly one outcome, so the sum over them is the number of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The incoming ID was kept.
    Kept,
    /// None came; one was made.
    Missing,
    /// None came, and the configuration leaves it to the proxy to make one.
    Absent,
    /// The incoming one is not used; it was replaced where the filter makes IDs.
    Refused(Reason),
    /// The stream ended before its request headers reached the filter, so nothing could be decided.
    NotSeen,
}

impl Outcome {
    /// How many outcomes there are.
    pub const COUNT: usize = 11;

    /// Every outcome, in the order of [`Outcome::index`].
    pub const ALL: [Outcome; Outcome::COUNT] = [
        Outcome::Kept,
        Outcome::Missing,
        Outcome::Absent,
        Outcome::Refused(Reason::Untrusted),
        Outcome::Refused(Reason::Empty),
        Outcome::Refused(Reason::TooShort),
        Outcome::Refused(Reason::TooLong),
        Outcome::Refused(Reason::Charset),
        Outcome::Refused(Reason::Duplicate),
        Outcome::Refused(Reason::Comma),
        Outcome::NotSeen,
    ];

    /// The position in [`Outcome::ALL`].
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Outcome::Kept => 0,
            Outcome::Missing => 1,
            Outcome::Absent => 2,
            Outcome::Refused(reason) => 3 + reason as usize,
            Outcome::NotSeen => 10,
        }
    }

    /// The `outcome` label: `kept`, `generated`, `refused` or `none`.
    #[must_use]
    pub const fn outcome(self) -> &'static str {
        match self {
            Outcome::Kept => "kept",
            Outcome::Missing => "generated",
            Outcome::Refused(_) => "refused",
            Outcome::Absent | Outcome::NotSeen => "none",
        }
    }

    /// The `reason` label.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Outcome::Kept => "trusted",
            Outcome::Missing | Outcome::Absent => "missing",
            Outcome::Refused(reason) => reason.as_str(),
            Outcome::NotSeen => "not_seen",
        }
    }

    /// The value in the proxy's filter state: the outcome, with the reason where there is a choice of them.
    #[inline]
    #[must_use]
    pub const fn filter_state(self) -> &'static str {
        match self {
            Outcome::Kept => "kept",
            Outcome::Missing => "generated",
            Outcome::Refused(Reason::Untrusted) => "refused_untrusted",
            Outcome::Refused(Reason::Empty) => "refused_empty",
            Outcome::Refused(Reason::TooShort) => "refused_too_short",
            Outcome::Refused(Reason::TooLong) => "refused_too_long",
            Outcome::Refused(Reason::Charset) => "refused_charset",
            Outcome::Refused(Reason::Duplicate) => "refused_duplicate",
            Outcome::Refused(Reason::Comma) => "refused_comma",
            Outcome::Absent => "missing",
            Outcome::NotSeen => "none",
        }
    }
}

impl Reason {
    /// The `reason` label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::Untrusted => "untrusted",
            Reason::Empty => "empty",
            Reason::TooShort => "too_short",
            Reason::TooLong => "too_long",
            Reason::Charset => "charset",
            Reason::Duplicate => "duplicate",
            Reason::Comma => "comma",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_complete_and_in_order() {
        for (index, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome.index(), index, "{outcome:?}");
        }
    }

    #[test]
    fn labels_tell_every_outcome_apart() {
        for (index, a) in Outcome::ALL.into_iter().enumerate() {
            for b in Outcome::ALL.into_iter().skip(index + 1) {
                assert_ne!((a.outcome(), a.reason()), (b.outcome(), b.reason()));
                assert_ne!(a.filter_state(), b.filter_state());
            }
        }
    }

    #[test]
    fn the_filter_state_of_a_refusal_names_its_reason() {
        for outcome in Outcome::ALL {
            if let Outcome::Refused(reason) = outcome {
                assert_eq!(outcome.filter_state(), format!("refused_{}", reason.as_str()));
            }
        }
    }
}
