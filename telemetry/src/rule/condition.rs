//! Which streams a rule is about.

use super::fact::Source;
use super::probe::Probes;
use crate::method::Method;
use crate::recent::Window;
use crate::route::EndpointId;

/// Which streams a rule is about. Everything in it has to hold; what is `None` or empty always does.
#[derive(Clone, Debug, Default)]
pub struct Condition {
    /// Endpoints of the table.
    pub endpoints: Option<Vec<EndpointId>>,
    /// Methods.
    pub methods: Option<Vec<Method>>,
    /// Statuses.
    pub statuses: Option<Vec<StatusMatch>>,
    /// None of these statuses.
    pub except_statuses: Vec<StatusMatch>,
    /// Codes of `grpc-status`.
    pub grpc_statuses: Option<Vec<u8>>,
    /// The words for what became of the correlation ID.
    pub outcomes: Option<Vec<String>>,
    /// Headers that the request has, in lower case.
    pub request_headers: Vec<String>,
    /// Facts, by position, that have one of these values.
    pub facts: Vec<(usize, Vec<String>)>,
    /// What the proxy says about an answer of its own, up to `{`.
    pub details: Option<Vec<String>>,
    /// Paths that look for one of these.
    pub probes: Option<Probes>,
    /// Two facts that are there and equal.
    pub same: Option<(usize, usize)>,
}

/// A status code, or all of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusMatch {
    /// This one; 0 is no answer.
    Code(u16),
    /// Those with this first digit.
    Class(u16),
}

impl StatusMatch {
    #[inline]
    fn matches(self, status: u16) -> bool {
        match self {
            StatusMatch::Code(code) => code == status,
            StatusMatch::Class(class) => class == status / 100,
        }
    }

    #[inline]
    fn class(self) -> u16 {
        match self {
            StatusMatch::Code(code) => code / 100,
            StatusMatch::Class(class) => class,
        }
    }
}

impl Condition {
    /// Whether the status is one of those.
    #[inline]
    #[must_use]
    pub fn has_status(&self, status: u16) -> bool {
        let one_of = |them: &[StatusMatch]| them.iter().any(|one| one.matches(status));
        self.statuses.as_deref().is_none_or(one_of) && !one_of(&self.except_statuses)
    }

    /// Whether some status with this first digit may be one of those.
    pub(super) fn may_have_status_of(&self, class: usize) -> bool {
        let is_of = |one: &StatusMatch| usize::from(one.class()) == class;
        let excluded = |one: &StatusMatch| matches!(one, StatusMatch::Class(_)) && is_of(one);
        self.statuses.as_ref().is_none_or(|statuses| statuses.iter().any(is_of))
            && !self.except_statuses.iter().any(excluded)
    }

    /// The facts that it asks for, by position.
    pub(super) fn facts(&self) -> impl Iterator<Item = usize> {
        let same = self.same.into_iter().flat_map(|(a, b)| [a, b]);
        self.facts.iter().map(|(fact, _)| *fact).chain(same)
    }
}

/// What is tried again counts once.
#[derive(Clone, Debug)]
pub struct Once {
    /// What two tries have in common: the first of these that there is.
    pub by: Vec<Source>,
    /// For how long, in seconds.
    pub window_seconds: u32,
    /// How many keys are remembered at a time.
    pub keys: u32,
}

impl Once {
    /// The same, as what is remembered has it.
    #[inline]
    #[must_use]
    pub fn window(&self) -> Window {
        window(self.window_seconds, self.keys)
    }
}

/// A window over so many keys: every value in the proxy's shared data has a few of them.
#[inline]
pub(super) fn window(seconds: u32, keys: u32) -> Window {
    const PER_BUCKET: u32 = 32;
    let per_bucket = usize::try_from(PER_BUCKET).unwrap_or(1);
    Window { seconds, buckets: (keys / PER_BUCKET).max(1), per_bucket }
}
