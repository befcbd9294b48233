//! What the configured table has at a place: its words are never taken for values, and its parameters keep their names.

use telemetry::route::{Case, RouteSpec};

/// What is left of the configured templates that lead to a place.
#[derive(Debug)]
pub(super) struct Known<'a> {
    rests: Vec<Vec<&'a str>>,
    case: Case,
}

impl<'a> Known<'a> {
    pub(super) fn new(specs: &'a [RouteSpec], case: Case) -> Self {
        let rests = specs.iter().filter_map(|spec| spec.template.strip_prefix('/'));
        Self { rests: rests.map(|rest| rest.split('/').collect()).collect(), case }
    }

    /// Whether the table has anything here or below.
    pub(super) fn any(&self) -> bool {
        !self.rests.is_empty()
    }

    fn first(&self) -> impl Iterator<Item = &'a str> + '_ {
        self.rests.iter().filter_map(|rest| rest.first().copied())
    }

    pub(super) fn is_literal(&self, word: &str) -> bool {
        self.first().any(|first| self.same(first, word))
    }

    fn same(&self, literal: &str, word: &str) -> bool {
        match self.case {
            Case::Sensitive => literal == word,
            Case::Insensitive => literal.eq_ignore_ascii_case(word),
        }
    }

    /// The name of the parameter that the table has here for a whole segment.
    pub(super) fn parameter(&self) -> Option<&'a str> {
        self.first().find_map(|first| {
            let name = first.strip_prefix('{')?.strip_suffix('}')?;
            (!name.ends_with("...") && !name.contains(['{', '}'])).then_some(name)
        })
    }

    fn after(&self, passes: impl Fn(&str) -> bool) -> Self {
        let passed = self.rests.iter().filter_map(|rest| rest.split_first()).filter(|(first, _)| passes(first));
        Self { rests: passed.map(|(_, rest)| rest.to_vec()).filter(|rest| !rest.is_empty()).collect(), case: self.case }
    }

    pub(super) fn after_literal(&self, word: &str) -> Self {
        self.after(|first| self.same(first, word) || first.contains('{'))
    }

    pub(super) fn after_parameter(&self) -> Self {
        self.after(|first| first.contains('{'))
    }
}
