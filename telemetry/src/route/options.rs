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

/// How the table is read and matched. Each rule holds for paths and templates alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteOptions {
    /// What the label is.
    pub label: LabelStyle,
    /// Whether letters match in either case.
    pub case: Case,
    /// What a slash at the end means.
    pub trailing_slash: TrailingSlash,
    /// What slashes with nothing between them mean.
    pub duplicate_slashes: DuplicateSlashes,
    /// What the segments `.` and `..` mean.
    pub dot_segments: DotSegments,
    /// Which percent-encoded characters are the same as the character itself.
    pub percent_encoding: PercentEncoding,
    /// What `;` in a segment means.
    pub matrix_parameters: MatrixParameters,
    /// What a method is that the path's template does not declare.
    pub undeclared_methods: UndeclaredMethods,
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

/// What slashes with nothing between them mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DuplicateSlashes {
    /// There is an empty segment between them.
    #[default]
    Keep,
    /// They are one, as with Envoy's `merge_slashes`.
    Merge,
}

/// What the segments `.` and `..` mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DotSegments {
    /// They are segments like any other.
    #[default]
    Keep,
    /// They are resolved as RFC 3986 section 5.2.4 says, as with Envoy's `normalize_path`.
    Remove,
}

/// Which percent-encoded characters are the same as the character itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PercentEncoding {
    /// Unreserved characters, and the hex digits of the others match in either case: RFC 3986 section 6.2.2, which cannot change what a path means.
    #[default]
    Unreserved,
    /// These, and `%2F` is a slash, as with Envoy's `path_with_escaped_slashes_action: UNESCAPE_AND_FORWARD`.
    Slashes,
    /// None: paths are compared byte by byte.
    Keep,
}

/// What `;` in a segment means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MatrixParameters {
    /// It is a character like any other.
    #[default]
    Keep,
    /// It begins parameters of the segment (RFC 3986 section 3.3) that do not count: `/a;v=1/b` is `/a/b`.
    Strip,
}

/// What a method is that the path's template does not declare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UndeclaredMethods {
    /// Its endpoint is the template, so that every endpoint may have series for every method.
    #[default]
    Template,
    /// Its endpoint is `unknown`, so that an endpoint has series for the methods that it declares alone.
    Unknown,
}

/// What becomes of a path that no template covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unmatched {
    /// It is `unknown`.
    #[default]
    Unknown,
    /// Its segments are replaced by typed placeholders, and the result may be admitted as an endpoint.
    Placeholders(PlaceholderLimits),
}

/// What bounds the endpoints that come into being from placeholders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaceholderLimits {
    /// The most endpoints that may be admitted, proxy-wide.
    pub max_endpoints: usize,
    /// The most different segments that the admitted endpoints may have in one place: after one and the same beginning.
    pub max_per_parent: usize,
    /// So many requests of one worker, answered with anything but 404 and 405, before a label is admitted.
    pub min_hits: u16,
}

impl Default for PlaceholderLimits {
    fn default() -> Self {
        Self { max_endpoints: 40, max_per_parent: 20, min_hits: 3 }
    }
}
