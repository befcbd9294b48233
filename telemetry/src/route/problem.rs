//! Mistakes in the table.

use std::fmt;

/// A mistake in one entry of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteProblem {
    /// The entry's position in the table.
    pub index: usize,
    /// The field of the entry.
    pub field: RouteField,
    /// What was found, and the cure.
    pub message: String,
}

/// A field of [`RouteSpec`](super::RouteSpec).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteField {
    /// `methods`
    Methods,
    /// `template`
    Template,
    /// `name`
    Name,
}

impl RouteField {
    /// The field's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            RouteField::Methods => "methods",
            RouteField::Template => "template",
            RouteField::Name => "name",
        }
    }
}

impl fmt::Display for RouteProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "routes.table[{}].{}: {}", self.index, self.field.as_str(), self.message)
    }
}
