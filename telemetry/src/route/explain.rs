//! Why a request has its endpoint: the search itself, watched. For tools; never part of the module.

use super::placeholder::{self, Written};
use super::split::{self, ROOM, Split};
use super::template::Partial;
use super::trie::{Edge, Start, Watch};
use super::{Case, EndpointId, MAX_PATH, PlaceholderBuffer, RouteOptions, RouteTable, Unmatched, normalise};
use crate::method::Method;

/// How [`RouteTable::find`] comes to its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The path as it came, without query and fragment; `None` where the target has none that is matched.
    pub path: Option<Vec<u8>>,
    /// The path in the form in which it was compared, where that is another.
    pub normal: Option<Vec<u8>>,
    /// What was tried, in order.
    pub steps: Vec<Step>,
    /// How many nodes of the compiled table were looked at.
    pub visits: usize,
    /// The answer.
    pub decision: Decision,
}

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// An edge for a segment.
    Edge {
        /// The segment's number, from 0; of [`Tried::Tail`] the first one that it takes.
        segment: usize,
        /// The segment's text; of [`Tried::Tail`] the rest of the path.
        text: Vec<u8>,
        /// What kind of edge.
        tried: Tried,
        /// Whether it fits.
        fits: bool,
    },
    /// A template for the whole path.
    Template {
        /// The label for the request's method, or of one that is not declared.
        endpoint: EndpointId,
        /// Whether it declares the request's method.
        declared: bool,
        /// It has the other slash at its end, so it only counts where no template has the path's own form.
        other_form: bool,
    },
}

/// A kind of edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tried {
    /// The text of a template.
    Static,
    /// A segment of text and parameters; its text with `{}` for each parameter.
    Partial(String),
    /// `{name}`
    Parameter,
    /// `{name...}`
    Tail,
}

/// What a request's endpoint is, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A template's label.
    Template(EndpointId),
    /// `unknown`: the path has a template, but not for this method.
    MethodNotDeclared,
    /// `unknown`: the target is `*`, an authority, or otherwise without a path.
    NoPath,
    /// `unknown`: the path has more than [`MAX_PATH`] bytes.
    TooLong,
    /// `unknown`: the path has more than [`MAX_SEGMENTS`](super::MAX_SEGMENTS) segments.
    TooManySegments,
    /// `unknown`: no template covers the path.
    NoTemplate,
    /// `unknown`: no template covers the path, which has bytes that no label may have.
    NotPrintable,
    /// `_overflow`: no template covers the path, whose label would be too long.
    LabelTooLong,
    /// No template covers the path; this label asks to be admitted.
    Placeholder(String),
}

/// How large a compiled table is, and what a search in it costs at worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSize {
    /// Places in the trie.
    pub nodes: usize,
    /// Bytes of memory that the compiled table takes, its labels included.
    pub bytes: usize,
    /// No request can make a search look at more nodes.
    pub worst_visits: usize,
}

#[derive(Default)]
struct Watcher {
    steps: Vec<Step>,
    visits: usize,
}

impl Watch for Watcher {
    fn visit(&mut self) {
        self.visits += 1;
    }

    fn step(&mut self, depth: usize, segment: &[u8], edge: Edge<'_>, fits: bool) {
        let tried = match edge {
            Edge::Static => Tried::Static,
            Edge::Partial(pattern) => Tried::Partial(pattern.text()),
            Edge::Parameter => Tried::Parameter,
            Edge::Tail => Tried::Tail,
        };
        self.steps.push(Step::Edge { segment: depth, text: segment.to_vec(), tried, fits });
    }

    fn arrive(&mut self, declared: Option<EndpointId>, undeclared: EndpointId, other_form: bool) {
        let endpoint = declared.unwrap_or(undeclared);
        self.steps.push(Step::Template { endpoint, declared: declared.is_some(), other_form });
    }
}

impl Partial {
    fn text(&self) -> String {
        let literals = std::iter::once(&self.prefix).chain(&self.middle).chain([&self.suffix]);
        literals.map(|literal| literal.escape_ascii().to_string()).collect::<Vec<_>>().join("{}")
    }
}

impl RouteTable {
    /// Explains [`RouteTable::find`] for this request.
    #[must_use]
    pub fn explain(&self, method: Method, target: &[u8]) -> Explanation {
        let mut explanation =
            Explanation { path: None, normal: None, steps: Vec::new(), visits: 0, decision: Decision::NoPath };
        let Some(path) = split::path_of(target) else { return explanation };
        let mut room = ROOM;
        let Ok(mut split) = Split::new(path, &mut room) else {
            let end = path.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(path.len());
            explanation.path = path.get(..end).map(<[u8]>::to_vec);
            explanation.decision = if end > MAX_PATH { Decision::TooLong } else { Decision::TooManySegments };
            return explanation;
        };
        let path = path.get(..split.length).unwrap_or_default();
        explanation.path = Some(path.to_vec());
        let mut buffer = vec![0; path.len()];
        let mut normal_room = ROOM;
        let normal = normalise::path(path, self.options(), &mut buffer);
        if normal != path {
            explanation.normal = Some(normal.to_vec());
            let Ok(normal_split) = Split::new(normal, &mut normal_room) else {
                explanation.decision = Decision::TooManySegments;
                return explanation;
            };
            split = normal_split;
        }
        let mut watcher = Watcher::default();
        let found = self.trie.find(method, normal, &split, Start::ROOT, self.options.trailing_slash, &mut watcher);
        explanation.steps = watcher.steps;
        explanation.visits = watcher.visits;
        explanation.decision = match found.endpoint {
            Some(EndpointId::UNKNOWN) => Decision::MethodNotDeclared,
            Some(endpoint) => Decision::Template(endpoint),
            None => self.explain_unmatched(path, found.known),
        };
        explanation
    }

    fn explain_unmatched(&self, path: &[u8], known: u64) -> Decision {
        if self.options.unmatched == Unmatched::Unknown {
            return Decision::NoTemplate;
        }
        let unfolded = RouteOptions { case: Case::Sensitive, ..self.options };
        let mut text = vec![0; path.len()];
        let text = normalise::path(path, &unfolded, &mut text);
        let mut room = ROOM;
        let Ok(split) = Split::new(text, &mut room) else { return Decision::TooManySegments };
        let mut buffer = PlaceholderBuffer::default();
        match placeholder::write(text, &split, known, self.options.case, &mut buffer) {
            Written::Label => Decision::Placeholder(String::from_utf8_lossy(buffer.as_bytes()).into_owned()),
            Written::TooLong => Decision::LabelTooLong,
            Written::NotPrintable => Decision::NotPrintable,
        }
    }

    /// How large the table is, and what a search costs at worst.
    #[must_use]
    pub fn size(&self) -> TableSize {
        let labels = self.labels.iter().map(|label| label.len() + size_of::<Box<str>>()).sum::<usize>();
        TableSize {
            nodes: self.trie.node_count(),
            bytes: size_of::<Self>() + labels + self.trie.bytes(),
            worst_visits: self.trie.worst_visits(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{PlaceholderLimits, RouteMatch, RouteSpec, UndeclaredMethods};
    use super::*;

    fn table(options: RouteOptions, templates: &[(&str, &str)]) -> RouteTable {
        let routes: Vec<RouteSpec> = templates
            .iter()
            .map(|(methods, template)| RouteSpec {
                methods: (*methods != "ANY").then(|| vec![Method::from_bytes(methods.as_bytes())]),
                template: (*template).to_owned(),
                name: None,
            })
            .collect();
        RouteTable::build(&routes, &options).unwrap()
    }

    fn edge(segment: usize, text: &str, tried: Tried, fits: bool) -> Step {
        Step::Edge { segment, text: text.into(), tried, fits }
    }

    #[test]
    fn every_step_of_a_search_that_goes_back_is_there() {
        let table = table(RouteOptions::default(), &[("GET", "/a/b/c"), ("GET", "/a/v{x}/d"), ("POST", "/a/{y}/d")]);
        let explanation = table.explain(Method::Get, b"/%61/b/d?q");
        assert_eq!(explanation.path.as_deref(), Some(&b"/%61/b/d"[..]));
        assert_eq!(explanation.normal.as_deref(), Some(&b"/a/b/d"[..]));
        assert_eq!(
            explanation.steps,
            [
                edge(0, "a", Tried::Static, true),
                edge(1, "b", Tried::Static, true),
                edge(2, "d", Tried::Static, false),
                edge(1, "b", Tried::Partial("v{}".into()), false),
                edge(1, "b", Tried::Parameter, true),
                edge(2, "d", Tried::Static, true),
                Step::Template { endpoint: EndpointId(4), declared: false, other_form: false },
            ]
        );
        assert_eq!((explanation.visits, explanation.decision), (5, Decision::Template(EndpointId(4))));
    }

    #[test]
    fn each_decision_has_its_reason() {
        let closed = table(
            RouteOptions { undeclared_methods: UndeclaredMethods::Unknown, ..RouteOptions::default() },
            &[("GET", "/a/")],
        );
        let check = |table: &RouteTable, method: Method, target: &str, expected: Decision| {
            assert_eq!(table.explain(method, target.as_bytes()).decision, expected, "{target}");
        };
        check(&closed, Method::Get, "/a", Decision::Template(EndpointId(2)));
        check(&closed, Method::Post, "/a/", Decision::MethodNotDeclared);
        check(&closed, Method::Get, "/b", Decision::NoTemplate);
        check(&closed, Method::Options, "*", Decision::NoPath);
        check(&closed, Method::Get, &"/a".repeat(65), Decision::TooManySegments);
        check(&closed, Method::Get, &format!("/{}?x", "a".repeat(9000)), Decision::TooLong);
        let open = table(
            RouteOptions {
                unmatched: Unmatched::Placeholders(PlaceholderLimits::default()),
                ..RouteOptions::default()
            },
            &[("ANY", "/reports/2024/summary")],
        );
        check(&open, Method::Get, "/reports/2024/7", Decision::Placeholder("/reports/2024/{int}".into()));
        check(&open, Method::Get, "/2024/7", Decision::Placeholder("/{int}/{int}".into()));
        check(&open, Method::Get, "/a b", Decision::NotPrintable);
        check(&open, Method::Get, &format!("/{}", "w".repeat(300)), Decision::LabelTooLong);
    }

    #[test]
    fn the_explanation_decides_as_the_search_does() {
        let table = table(RouteOptions::default(), &[("GET", "/a/{x}"), ("POST", "/a/b/"), ("ANY", "/{rest...}")]);
        for method in Method::ALL {
            for path in ["/a/b", "/a/b/", "/a/c", "/x/y/z", "/", "//", "*"] {
                let found = table.find(method, path.as_bytes(), &mut PlaceholderBuffer::default());
                let explained = match table.explain(method, path.as_bytes()).decision {
                    Decision::Template(endpoint) => endpoint,
                    _ => EndpointId::UNKNOWN,
                };
                assert_eq!(found, RouteMatch::Endpoint(explained), "{method:?} {path}");
            }
        }
    }

    #[test]
    fn no_path_costs_more_than_the_stated_worst_case() {
        let table = table(
            RouteOptions::default(),
            &[
                ("ANY", "/a/a/x"),
                ("ANY", "/a/{b}/y"),
                ("ANY", "/{a}/a/z"),
                ("ANY", "/{a}/{b}/w"),
                ("ANY", "/c/d/e/f/g"),
            ],
        );
        let worst = table.size().worst_visits;
        assert_eq!(worst, 11);
        // The bound takes the costliest text in each place; no single path has all of them.
        for (path, visits) in [("/a/a/nothing", 7), ("/a/a/w", 8), ("/c/d/e/f/nowhere", 7), ("/nothing", 2)] {
            assert_eq!(table.explain(Method::Get, path.as_bytes()).visits, visits, "{path}");
        }
    }
}
