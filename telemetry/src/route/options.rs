//! The route table as it is configured.

use crate::method::Method;

/// One entry of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteSpec {
    /// The methods it is for; `None` is any method.
    pub methods: Option<Vec<Method>>,
    /// The path template, such as `/api/v1/deployments/{id}`.
    pub template: String,
    /// The route's name, such as Django's `url_name` or OpenAPI's `operationId`.
    pub name: Option<String>,
}

/// How the table is read and matched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteOptions {
    /// What the label is.
    pub label: LabelStyle,
    /// Whether letters match in either case.
    pub case: Case,
    /// What a slash at the end means.
    pub trailing_slash: TrailingSlash,
    /// What becomes of a path that no template covers.
    pub unmatched: Unmatched,
}

/// What a route's label is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LabelStyle {
    /// The template's text.
    #[default]
    Template,
    /// The route's name; the template's text where it has none.
    Name,
}

/// Whether letters match in either case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Case {
    /// `/A` and `/a` are two paths.
    #[default]
    Sensitive,
    /// ASCII letters match in either case.
    Insensitive,
}

/// What a slash at the end of a path means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrailingSlash {
    /// Where no template has the path's own form, the form with or without the slash is tried.
    #[default]
    Ignore,
    /// The two forms are two paths.
    Strict,
}

/// What becomes of a path that no template covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unmatched {
    /// It is `unknown`.
    #[default]
    Unknown,
    /// Its segments are replaced by typed placeholders, and the result is admitted as an endpoint.
    Placeholders {
        /// The most endpoints that may be admitted, proxy-wide.
        max_endpoints: usize,
    },
}
