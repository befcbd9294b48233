//! Which templates of a table cover the same paths, and which of two then wins. For tools; the filter itself never asks.
//!
//! Two templates overlap where a path in its own form (no slash added or taken away) fits both and a method is declared by both. The winner is
//! decided by the first place at which they differ, whatever the path: static before partial before `{name}` before `{name...}`. So every pair
//! has one winner, and one example shows it.
//!
//! A template can never be hidden altogether, so there is no such report: take a path of it with text that no literal of the table contains.
//! Another template that fits this path fits every path of the first one, is therefore nowhere more specific, and loses. (The one exception is
//! the bound of [`MAX_SEGMENTS`](super::MAX_SEGMENTS): a `{name...}` that begins at the last of them takes one segment at most, as a `{name}`
//! beside it does.)

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::template::{self, Partial, Segment};
use super::{RouteOptions, RouteProblem, RouteSpec, RouteTable};
use crate::method::Method;

/// So many pairs of places are compared at most. A table of ten thousand ordinary routes needs a few times its own size; one that was made to
/// be slow needs the square.
const MAX_STEPS: u64 = 5_000_000;

/// Two templates that cover a path in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// The entry of the table whose label such paths get.
    pub winner: usize,
    /// The entry that does not get them.
    pub loser: usize,
    /// A method that both declare.
    pub method: Method,
    /// A path that fits both.
    pub path: String,
    /// How the two lie to each other.
    pub kind: OverlapKind,
}

/// How two overlapping templates lie to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverlapKind {
    /// Every path of the winner fits the loser as well: `/users/me` within `/users/{id}`. This is what such a pair is meant to be.
    Nested,
    /// Each has paths that the other has not: `/a/b/{y}` and `/a/{x}/c`. Which of the two is meant may be a matter of opinion.
    Crossing,
}

/// What [`overlaps`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overlaps {
    /// The pairs, by winner and then loser; of each kind the first ones up to the limit.
    pub pairs: Vec<Overlap>,
    /// How many are nested.
    pub nested: u64,
    /// How many cross.
    pub crossing: u64,
    /// Whether all were looked for. A table can have as many pairs as the square of its length, so there is an end to it.
    pub complete: bool,
}

/// All pairs of templates that cover a path in common, with at most `limit` of each kind listed.
///
/// ```
/// use telemetry::route::{OverlapKind, RouteOptions, RouteSpec, overlaps};
///
/// let route = |template: &str| RouteSpec { methods: None, template: template.into(), name: None };
/// let found = overlaps(&[route("/users/{id}"), route("/users/me")], &RouteOptions::default(), 10).unwrap();
/// assert_eq!((found.pairs[0].winner, found.pairs[0].loser), (1, 0));
/// assert_eq!((found.pairs[0].path.as_str(), found.pairs[0].kind), ("/users/me", OverlapKind::Nested));
/// ```
///
/// # Errors
/// Every mistake in the table, as [`RouteTable::build`] finds it.
pub fn overlaps(routes: &[RouteSpec], options: &RouteOptions, limit: usize) -> Result<Overlaps, Vec<RouteProblem>> {
    RouteTable::build(routes, options)?;
    let mut root = Node::default();
    for (index, route) in routes.iter().enumerate() {
        // Sound, since the table was built; an entry that were not would have no place.
        let Ok(segments) = template::parse(&route.template, options) else { continue };
        root.insert(segments).add(index, route);
    }
    let found = Overlaps { complete: true, ..Overlaps::default() };
    let mut search = Search { limit, steps: 0, found, seen: [0; 2], prefix: (Vec::new(), Vec::new()) };
    search.same(&root);
    search.found.pairs.sort_by_key(|pair| (pair.winner, pair.loser));
    Ok(search.found)
}

/// A place in the tree of templates.
#[derive(Default)]
struct Node {
    statics: BTreeMap<Vec<u8>, Node>,
    partials: BTreeMap<Partial, Node>,
    parameter: Option<Box<Node>>,
    /// `{name...}` here.
    tail: Vec<Entry>,
    /// The templates that end here: one, unless their parameters have other names.
    ends: Vec<Entry>,
}

/// The routes with one template.
struct Entry {
    template: String,
    /// The first of them that declares each method, by [`Method::index`].
    declared: [Option<usize>; Method::COUNT],
}

trait Entries {
    fn add(&mut self, index: usize, route: &RouteSpec);
}

impl Entries for Vec<Entry> {
    fn add(&mut self, index: usize, route: &RouteSpec) {
        if !self.iter().any(|entry| entry.template == route.template) {
            self.push(Entry { template: route.template.clone(), declared: [None; Method::COUNT] });
        }
        let Some(entry) = self.iter_mut().find(|entry| entry.template == route.template) else { return };
        for method in Method::ALL {
            let named = route.methods.as_ref().map(|methods| methods.contains(&method));
            if let Some(slot) = entry.declared.get_mut(method.index()) {
                match named {
                    Some(true) => *slot = Some(index),
                    // One that names the method goes before the one for any.
                    None => *slot = slot.or(Some(index)),
                    Some(false) => {}
                }
            }
        }
    }
}

impl Node {
    fn insert(&mut self, segments: Vec<Segment>) -> &mut Vec<Entry> {
        let mut place = self;
        for segment in segments {
            place = match segment {
                Segment::Static(text) => place.statics.entry(text).or_default(),
                Segment::Parameter => place.parameter.get_or_insert_default(),
                Segment::Partial(partial) => place.partials.entry(*partial).or_default(),
                // Always the last segment.
                Segment::Tail => return &mut place.tail,
            };
        }
        &mut place.ends
    }

    /// Every way on from here that takes one segment.
    fn edges(&self) -> impl Iterator<Item = (Edge<'_>, &Node)> {
        let statics = self.statics.iter().map(|(text, node)| (Edge::Static(text), node));
        let partials = self.partials.iter().map(|(partial, node)| (Edge::Partial(partial), node));
        let parameter = self.parameter.as_deref().map(|node| (Edge::Parameter, node));
        statics.chain(partials).chain(parameter)
    }

    /// The ways on that are not static.
    fn open_edges(&self) -> impl Iterator<Item = (Edge<'_>, &Node)> {
        let partials = self.partials.iter().map(|(partial, node)| (Edge::Partial(partial), node));
        partials.chain(self.parameter.as_deref().map(|node| (Edge::Parameter, node)))
    }
}

/// A segment on the way.
#[derive(Clone, Copy)]
enum Edge<'a> {
    Static(&'a [u8]),
    Partial(&'a Partial),
    Parameter,
    Tail,
}

impl<'a> Edge<'a> {
    /// Which of two is tried first.
    fn order(self, other: Edge<'a>) -> Ordering {
        let kind = |edge| match edge {
            Edge::Static(_) => 0,
            Edge::Partial(_) => 1,
            Edge::Parameter => 2,
            Edge::Tail => 3,
        };
        match (self, other) {
            (Edge::Partial(a), Edge::Partial(b)) => a.cmp(b),
            (a, b) => kind(a).cmp(&kind(b)),
        }
    }

    /// Whether every segment that fits this one fits the other.
    fn within(self, other: Edge<'a>) -> bool {
        match (self, other) {
            (_, Edge::Tail) => true,
            (Edge::Tail, _) => false,
            (Edge::Static(a), Edge::Static(b)) => a == b,
            (Edge::Static(text), Edge::Partial(partial)) => fits(partial, text),
            // A byte that no literal has stands for whatever the parameters may hold.
            (Edge::Partial(a), Edge::Partial(b)) => fits(b, &joined(a, None, b"\0")),
            (Edge::Static(text), Edge::Parameter) => !text.is_empty(),
            (Edge::Partial(_) | Edge::Parameter, Edge::Parameter) => true,
            (Edge::Partial(_) | Edge::Parameter, Edge::Static(_)) | (Edge::Parameter, Edge::Partial(_)) => false,
        }
    }

    /// A text that fits both, if there is one.
    fn common(self, other: Edge<'a>) -> Option<Vec<u8>> {
        match (self, other) {
            (Edge::Static(text), other) | (other, Edge::Static(text)) => {
                Edge::Static(text).within(other).then(|| text.to_vec())
            }
            (Edge::Partial(a), Edge::Partial(b)) => {
                let prefixes = a.prefix.starts_with(&b.prefix) || b.prefix.starts_with(&a.prefix);
                let suffixes = a.suffix.ends_with(&b.suffix) || b.suffix.ends_with(&a.suffix);
                (prefixes && suffixes).then(|| joined(a, Some(b), b"x"))
            }
            (Edge::Partial(partial), _) | (_, Edge::Partial(partial)) => Some(joined(partial, None, b"x")),
            (Edge::Parameter | Edge::Tail, Edge::Parameter | Edge::Tail) => Some(b"x".to_vec()),
        }
    }
}

/// A text that fits a partial segment, and a second one whose prefix and suffix agree with its own: the literals of both, one after the other,
/// with `filler` wherever a parameter may be.
fn joined(a: &Partial, b: Option<&Partial>, filler: &[u8]) -> Vec<u8> {
    let longer = |a: &'_ [u8], b: Option<&[u8]>| match b {
        Some(b) if b.len() > a.len() => b.to_vec(),
        _ => a.to_vec(),
    };
    let mut text = longer(&a.prefix, b.map(|b| &*b.prefix));
    text.extend_from_slice(filler);
    for literal in a.middle.iter().chain(b.iter().flat_map(|b| &b.middle)) {
        text.extend_from_slice(literal);
        text.extend_from_slice(filler);
    }
    text.extend_from_slice(&longer(&a.suffix, b.map(|b| &*b.suffix)));
    text
}

/// Whether the segment has all literals in order, with at least one byte for each parameter.
fn fits(partial: &Partial, segment: &[u8]) -> bool {
    let inner = segment.strip_prefix(&*partial.prefix).and_then(|rest| rest.strip_suffix(&*partial.suffix));
    let Some(mut rest) = inner else { return false };
    for literal in &partial.middle {
        let after = rest.get(1..).unwrap_or_default();
        let Some(at) = after.windows(literal.len().max(1)).position(|window| window == literal.as_slice()) else {
            return false;
        };
        rest = after.get(at + literal.len()..).unwrap_or_default();
    }
    !rest.is_empty()
}

/// What is known of two templates up to where the walk is.
#[derive(Clone, Copy)]
struct Relation {
    /// Which one is tried first; equal while they have not differed.
    first: Ordering,
    /// Whether all paths of the left one so far fit the right one, and the other way round.
    within: (bool, bool),
}

impl Relation {
    const EQUAL: Relation = Relation { first: Ordering::Equal, within: (true, true) };

    fn then(self, a: Edge<'_>, b: Edge<'_>) -> Self {
        Relation {
            first: self.first.then_with(|| a.order(b)),
            within: (self.within.0 && a.within(b), self.within.1 && b.within(a)),
        }
    }
}

struct Search {
    limit: usize,
    steps: u64,
    found: Overlaps,
    /// How many of each kind are listed.
    seen: [usize; 2],
    /// The path so far, and where each of its segments begins.
    prefix: (Vec<u8>, Vec<usize>),
}

impl Search {
    fn step(&mut self) -> bool {
        self.steps += 1;
        self.found.complete &= self.steps <= MAX_STEPS;
        self.found.complete
    }

    fn push(&mut self, text: &[u8]) {
        self.prefix.1.push(self.prefix.0.len());
        self.prefix.0.push(b'/');
        self.prefix.0.extend_from_slice(text);
    }

    fn pop(&mut self) {
        let length = self.prefix.1.pop().unwrap_or_default();
        self.prefix.0.truncate(length);
    }

    /// The pairs within one place: their templates are alike up to here.
    fn same(&mut self, node: &Node) {
        if !self.step() {
            return;
        }
        for (edge, child) in node.edges() {
            let text = edge.common(edge).unwrap_or_default();
            self.push(&text);
            self.same(child);
            self.pop();
            self.tail(node, edge, child, Relation::EQUAL, true);
        }
        // Each pair of different ways on, once: static ones exclude each other.
        let open: Vec<(Edge<'_>, &Node)> = node.open_edges().collect();
        for (position, (edge, child)) in open.iter().enumerate() {
            for (text, other) in &node.statics {
                self.pair((Edge::Static(text), other), (*edge, child), Relation::EQUAL);
            }
            for (later, other) in open.iter().skip(position + 1) {
                self.pair((*edge, child), (*later, other), Relation::EQUAL);
            }
        }
    }

    /// The pairs of two places whose templates have differed.
    fn two(&mut self, a: &Node, b: &Node, relation: Relation) {
        if !self.step() {
            return;
        }
        self.report(&a.ends, &b.ends, relation, &[]);
        self.report(&a.tail, &b.tail, relation.then(Edge::Tail, Edge::Tail), b"/x");
        let (few, many, swapped) = if a.statics.len() <= b.statics.len() { (a, b, false) } else { (b, a, true) };
        for (text, child) in &few.statics {
            if let Some(other) = many.statics.get(text) {
                let (left, right) = if swapped { (other, child) } else { (child, other) };
                let edge = Edge::Static(text);
                self.pair((edge, left), (edge, right), relation);
            }
        }
        for (edge, child) in b.open_edges() {
            for (text, other) in &a.statics {
                self.pair((Edge::Static(text), other), (edge, child), relation);
            }
        }
        for (edge, child) in a.open_edges() {
            for way in b.edges() {
                self.pair((edge, child), way, relation);
            }
        }
        if !a.tail.is_empty() {
            for (edge, child) in b.edges() {
                self.tail(a, edge, child, relation, true);
            }
        }
        if !b.tail.is_empty() {
            for (edge, child) in a.edges() {
                self.tail(b, edge, child, relation, false);
            }
        }
    }

    fn pair(&mut self, a: (Edge<'_>, &Node), b: (Edge<'_>, &Node), relation: Relation) {
        if !self.step() {
            return;
        }
        if let Some(text) = a.0.common(b.0) {
            self.push(&text);
            self.two(a.1, b.1, relation.then(a.0, b.0));
            self.pop();
        }
    }

    /// The tail of one place and everything behind one way on from another; `left` where the tail is the left one of the two.
    fn tail(&mut self, owner: &Node, edge: Edge<'_>, child: &Node, relation: Relation, left: bool) {
        if owner.tail.is_empty() {
            return;
        }
        let relation = if left { relation.then(Edge::Tail, edge) } else { relation.then(edge, Edge::Tail) };
        let text = edge.common(edge).unwrap_or_default();
        self.push(&text);
        // A tail takes no empty rest: of a template that ends in a slash only the slash is left here.
        self.below(owner, child, relation, left, text.is_empty());
        self.pop();
    }

    fn below(&mut self, owner: &Node, node: &Node, relation: Relation, left: bool, empty: bool) {
        if !self.step() {
            return;
        }
        for (entries, more) in [(&node.ends, &b""[..]), (&node.tail, b"/x")] {
            if !(empty && more.is_empty()) {
                let (a, b) = if left { (&owner.tail, entries) } else { (entries, &owner.tail) };
                self.report(a, b, relation, more);
            }
        }
        for (edge, child) in node.edges() {
            self.push(&edge.common(edge).unwrap_or_default());
            self.below(owner, child, relation, left, false);
            self.pop();
        }
    }

    fn report(&mut self, a: &[Entry], b: &[Entry], relation: Relation, more: &[u8]) {
        for (a, b) in a.iter().flat_map(|a| b.iter().map(move |b| (a, b))) {
            let shared = a.declared.iter().zip(&b.declared).zip(Method::ALL).find_map(|((a, b), method)| {
                let (a, b) = ((*a)?, (*b)?);
                Some((a, b, method))
            });
            let Some((left, right, method)) = shared else { continue };
            let (winner, loser, nested) = match relation.first {
                Ordering::Less => (left, right, relation.within.0),
                Ordering::Greater => (right, left, relation.within.1),
                // Templates of one place share no method, or the table would have been refused.
                Ordering::Equal => continue,
            };
            let (kind, total, seen) = if nested {
                (OverlapKind::Nested, &mut self.found.nested, 0)
            } else {
                (OverlapKind::Crossing, &mut self.found.crossing, 1)
            };
            *total += 1;
            if let Some(seen) = self.seen.get_mut(seen).filter(|seen| **seen < self.limit) {
                *seen += 1;
                let path = [&*self.prefix.0, more].concat();
                let path = if path.is_empty() { "/".to_owned() } else { String::from_utf8_lossy(&path).into_owned() };
                self.found.pairs.push(Overlap { winner, loser, method, path, kind });
            }
        }
    }
}

#[cfg(test)]
mod tests;
