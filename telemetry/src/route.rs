//! `RouteTable`: method + path → endpoint.
//!
//! A template is a path whose segments are text, `{name}` (one segment that is not empty), a mixture (`{base}...{head}`, `v{n}.json`), or, at the
//! end, `{name...}` (the rest of the path, if that is not empty). The rules of the match:
//!
//! - **Path.** The request target up to `?` or `#`; an absolute-form target is reduced to its path. `*` and a CONNECT authority have no path and
//!   are `unknown`, as are paths over 8 KiB or 64 segments as they came, without work beyond those bounds.
//! - **Comparison.** `%XX` is decoded where it stands for an unreserved character, in path and template alike. What else is the same by
//!   configuration: ASCII case, slashes in a row, dot segments, encoded slashes, segments but for their matrix parameters; in the order that
//!   [`RouteOptions`] and its fields say. A template that no path could match under these rules is refused.
//! - **Parts of a segment.** A parameter beside text takes at least one byte. Text between two parameters is searched for in at most 16 KiB of
//!   segments for one request, each template's search counting, so that a long path cannot make it expensive; past that such templates do not fit.
//! - **Order.** Static before partial before `{name}` before `{name...}`, segment by segment, going back where a branch leads nowhere. Among the
//!   partial segments of one place the longest literal prefix wins, then the longest suffix.
//! - **Method.** Among the templates that cover the path, one that declares the method comes first. If none does, the first in order gives its
//!   label: the template, or with names the name that all routes of that template share, else the template. (Of templates that differ in their
//!   parameters' names alone, which only routes for different methods may, the first in the table.) With `undeclared_methods: unknown` such a
//!   request is `unknown`.
//! - **Slash at the end.** With `ignore`, the form with or without it counts where no template has the path's own form.
//!
//! Nothing else depends on the order of the table: two routes that claim one path and method are refused. Nor does anything depend on requests
//! seen before: a path that a template covers has its label from the first request on, whatever endpoints were learned.
//!
//! A match costs at most one visit of each node of the compiled table, whatever the path; [`RouteTable::find`] allocates nothing.

mod candidates;
#[cfg(feature = "tools")]
mod explain;
mod labels;
mod learned;
mod normalise;
mod options;
#[cfg(feature = "tools")]
mod overlap;
mod parameters;
mod placeholder;
mod problem;
mod split;
mod template;
mod trie;

pub use candidates::Candidates;
#[cfg(feature = "tools")]
pub use explain::{Decision, Explanation, Step, TableSize, Tried};
pub use learned::{Learned, has_room};
pub use options::{
    Case, DotSegments, DuplicateSlashes, LabelStyle, MatrixParameters, PercentEncoding, PlaceholderLimits,
    RouteOptions, RouteSpec, TrailingSlash, UndeclaredMethods, Unmatched,
};
#[cfg(feature = "tools")]
pub use overlap::{Overlap, OverlapKind, Overlaps, overlaps};
pub use parameters::parameter;
pub use placeholder::PlaceholderBuffer;
pub use problem::{RouteField, RouteProblem};

use crate::method::Method;
use placeholder::Written;
use split::{ROOM, ROOM_FOR_FEW, Split, Unsplit};
use trie::{First, Found, Start, Trie};

/// The longest path that is matched.
pub const MAX_PATH: usize = 8192;
/// The most segments of a path that is matched, and of a template.
pub const MAX_SEGMENTS: usize = 64;
/// So many bytes of segments are searched for text between two parameters.
pub const MAX_SEARCHED: usize = 16_384;
/// The label of a request that no template covers.
pub const UNKNOWN_LABEL: &str = "unknown";
/// The label of a placeholder endpoint for which there was no room.
pub const OVERFLOW_LABEL: &str = "_overflow";

/// The endpoint of a stream: an index into [`RouteTable::labels`], or past its end into what [`Learned`] added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointId(pub u32);

impl EndpointId {
    /// No template covers the path.
    pub const UNKNOWN: EndpointId = EndpointId(0);
    /// A placeholder label for which there was no room.
    pub const OVERFLOW: EndpointId = EndpointId(1);

    /// The position in the list of labels.
    #[inline]
    #[must_use]
    pub fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// What [`RouteTable::find`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteMatch {
    /// A label of the table, [`EndpointId::UNKNOWN`] and [`EndpointId::OVERFLOW`] included.
    Endpoint(EndpointId),
    /// No template covers the path; its placeholder label was written to the buffer.
    Placeholder,
}

/// The compiled table.
#[derive(Clone, Debug)]
pub struct RouteTable {
    /// **Invariant:** distinct, the reserved two first.
    labels: Vec<Box<str>>,
    /// For each label a bit for each method that the table declares for it, by [`Method::index`].
    declared: Vec<u16>,
    trie: Trie,
    options: RouteOptions,
    /// The text of a path's first segment says of most paths that no template covers, before the rest is looked at.
    first_decides: bool,
}

impl RouteTable {
    /// Compiles the table.
    ///
    /// ```
    /// use telemetry::method::Method;
    /// use telemetry::route::{PlaceholderBuffer, RouteMatch, RouteOptions, RouteSpec, RouteTable};
    ///
    /// let route = |template: &str| RouteSpec { methods: None, template: template.into(), name: None };
    /// let table = RouteTable::build(&[route("/users/{id}"), route("/users/me")], &RouteOptions::default()).unwrap();
    /// let label = |path: &[u8]| match table.find(Method::Get, path, &mut PlaceholderBuffer::default()) {
    ///     RouteMatch::Endpoint(id) => &*table.labels()[id.index()],
    ///     RouteMatch::Placeholder => unreachable!("not by default"),
    /// };
    /// assert_eq!(label(b"/users/42?verbose=1"), "/users/{id}");
    /// assert_eq!(label(b"/users/me"), "/users/me");
    /// assert_eq!(label(b"/else"), "unknown");
    /// ```
    ///
    /// # Errors
    /// Every mistake in the table, each with the entry, the field and the cure.
    pub fn build(routes: &[RouteSpec], options: &RouteOptions) -> Result<Self, Vec<RouteProblem>> {
        let compiled = labels::compile(routes, options)?;
        let declared = compiled.declared();
        let trie = Trie::build(&compiled.places);
        let first_decides = trie.has_closed_root() && normalise::keeps_plain_text(options);
        let first_decides = first_decides && options.unmatched == Unmatched::Unknown;
        Ok(Self { trie, labels: compiled.labels, declared, options: *options, first_decides })
    }

    /// The labels: `unknown`, `_overflow`, then one per distinct route label. The position is the [`EndpointId`].
    #[inline]
    #[must_use]
    pub fn labels(&self) -> &[Box<str>] {
        &self.labels
    }

    /// How the table is read and matched.
    #[inline]
    #[must_use]
    pub fn options(&self) -> &RouteOptions {
        &self.options
    }

    /// What bounds the endpoints that can be learned beside the table's own; `None` where none can.
    #[inline]
    #[must_use]
    pub fn limits(&self) -> Option<&PlaceholderLimits> {
        match &self.options.unmatched {
            Unmatched::Unknown => None,
            Unmatched::Placeholders(limits) => Some(limits),
        }
    }

    /// The most endpoints that can be learned beside the table's own.
    #[inline]
    #[must_use]
    pub fn max_learned(&self) -> usize {
        self.limits().map_or(0, |limits| limits.max_endpoints)
    }

    /// How many pairs of endpoint and method can have series, given the methods with a label of their own (every other shares `OTHER`).
    #[must_use]
    pub fn pairs(&self, methods: &[Method]) -> u64 {
        let wide = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let every = wide(methods.len()) + 1;
        if self.options.undeclared_methods == UndeclaredMethods::Template {
            return wide(self.labels.len()).saturating_add(wide(self.max_learned())).saturating_mul(every);
        }
        // A path may be `unknown` or `_overflow` with any method, and learned with any.
        let open = 2_u64.saturating_add(wide(self.max_learned())).saturating_mul(every);
        let own = methods.iter().fold(0, |own, method| own | 1_u16 << method.index());
        let columns = |declared: &u16| u64::from((declared & own).count_ones()) + u64::from(declared & !own != 0);
        open.saturating_add(self.declared.iter().map(columns).sum())
    }

    /// The endpoint of a request: its `:method` and its `:path` as they came. Allocates nothing; `buffer` is written to for
    /// [`RouteMatch::Placeholder`] alone.
    #[inline]
    #[must_use]
    pub fn find(&self, method: Method, path: &[u8], buffer: &mut PlaceholderBuffer) -> RouteMatch {
        let unknown = RouteMatch::Endpoint(EndpointId::UNKNOWN);
        let Some(path) = split::path_of(path) else { return unknown };
        let mut start = Start::ROOT;
        if self.first_decides {
            match self.trie.first(path) {
                // Most of a scanner's paths end here.
                First::Miss => return unknown,
                First::Start(first) => start = first,
            }
        }
        match Split::new(path, &mut { ROOM_FOR_FEW }) {
            Ok(split) => self.find_split(method, path, &split, start, buffer),
            Err(Unsplit::TooMany) => self.find_deep(method, path, start, buffer),
            Err(Unsplit::TooLong) => unknown,
        }
    }

    /// The same for a path of many segments.
    #[inline]
    #[cold]
    fn find_deep(&self, method: Method, path: &[u8], start: Start, buffer: &mut PlaceholderBuffer) -> RouteMatch {
        match Split::new(path, &mut { ROOM }) {
            Ok(split) => self.find_split(method, path, &split, start, buffer),
            Err(_) => RouteMatch::Endpoint(EndpointId::UNKNOWN),
        }
    }

    #[inline]
    fn find_split(
        &self,
        method: Method,
        path: &[u8],
        split: &Split<'_>,
        start: Start,
        buffer: &mut PlaceholderBuffer,
    ) -> RouteMatch {
        if normalise::concerns(path, split, &self.options) {
            return self.find_normalised(method, path, split, buffer);
        }
        let found = self.search(method, path, split, start);
        found.endpoint.map_or_else(|| self.unmatched(path, split, found.known, buffer), RouteMatch::Endpoint)
    }

    /// The same for a path that has to be rewritten first.
    #[inline]
    #[cold]
    fn find_normalised(
        &self,
        method: Method,
        path: &[u8],
        split: &Split<'_>,
        buffer: &mut PlaceholderBuffer,
    ) -> RouteMatch {
        let path = path.get(..split.length).unwrap_or_default();
        let mut normal = [0; MAX_PATH];
        let text = normalise::path(path, &self.options, &mut normal);
        let mut room = ROOM;
        let Ok(split) = Split::new(text, &mut room) else { return RouteMatch::Endpoint(EndpointId::UNKNOWN) };
        let found = self.search(method, text, &split, Start::ROOT);
        if let Some(endpoint) = found.endpoint {
            return RouteMatch::Endpoint(endpoint);
        }
        if self.options.unmatched == Unmatched::Unknown {
            return RouteMatch::Endpoint(EndpointId::UNKNOWN);
        }
        // Placeholders are told apart by case, so they look at the text before it was folded; its segments are in the same places.
        let unfolded = RouteOptions { case: Case::Sensitive, ..self.options };
        let text = normalise::path(path, &unfolded, &mut normal);
        self.unmatched(text, &split, found.known, buffer)
    }

    #[inline]
    fn search(&self, method: Method, path: &[u8], split: &Split<'_>, start: Start) -> Found {
        self.trie.find(method, path, split, start, self.options.trailing_slash, &mut ())
    }

    #[inline]
    #[cold]
    fn unmatched(&self, path: &[u8], split: &Split<'_>, known: u64, buffer: &mut PlaceholderBuffer) -> RouteMatch {
        match self.options.unmatched {
            Unmatched::Unknown => RouteMatch::Endpoint(EndpointId::UNKNOWN),
            Unmatched::Placeholders(_) => match placeholder::write(path, split, known, self.options.case, buffer) {
                Written::Label => RouteMatch::Placeholder,
                Written::TooLong => RouteMatch::Endpoint(EndpointId::OVERFLOW),
                Written::NotPrintable => RouteMatch::Endpoint(EndpointId::UNKNOWN),
            },
        }
    }
}

#[cfg(test)]
mod tests;
