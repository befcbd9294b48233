//! The compiled form of the table: a trie over segments in one flat array.
//!
//! At each node the candidates for the next segment are tried in this order: its static text, partial segments, `{name}`, `{name...}`; where a
//! branch leads nowhere the next one is tried. Every edge but the last kind takes exactly one segment and every node has one parent, so a search
//! visits a node at most once: its cost is bounded by the size of the table, whatever the path. The form of the path with the other slash at
//! its end is looked at on the way, where the search passes it anyhow.

mod build;
mod firsts;
mod key;
mod layout;

use super::split::Split;
use super::template::{Partial, Segment};
use super::{EndpointId, MAX_SEARCHED, TrailingSlash};
use crate::method::Method;
pub(super) use firsts::First;
use firsts::Firsts;
use key::{hash, key_at};
use layout::{Ending, Node, at};

/// What a place in the trie stands for: an endpoint for each method, and one for the methods that are not declared there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terminal {
    /// By [`Method::index`]; [`Terminal::NOT_DECLARED`] for a method that is not declared.
    declared: [EndpointId; Method::COUNT],
    /// For every other method.
    pub(super) undeclared: EndpointId,
}

impl Terminal {
    const NOT_DECLARED: EndpointId = EndpointId(u32::MAX);

    /// A place where no method is declared yet.
    pub(super) fn new(undeclared: EndpointId) -> Self {
        Self { declared: [Self::NOT_DECLARED; Method::COUNT], undeclared }
    }

    /// Declares a method, in the place of what was declared for it.
    pub(super) fn declare(&mut self, method: Method, endpoint: EndpointId) {
        if let Some(slot) = self.declared.get_mut(method.index()) {
            *slot = endpoint;
        }
    }

    /// The endpoint of a method that is declared.
    #[inline]
    pub(super) fn declared(&self, method: Method) -> Option<EndpointId> {
        self.declared.get(method.index()).copied().filter(|endpoint| *endpoint != Self::NOT_DECLARED)
    }
}

/// A template's segments, and what stands at their end.
pub(super) type Place = (Vec<Segment>, Terminal);

/// What few nodes have.
#[derive(Clone, Debug, Default)]
struct Others {
    /// Its part of [`Trie::partials`].
    partials: (u32, u32),
    /// The end of `{name...}`.
    tail: Ending,
    /// The end of a path that ends here with one more slash.
    slash: Ending,
}

#[derive(Clone, Debug)]
struct PartialChild {
    pattern: Partial,
    node: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Trie {
    /// The nodes, each followed by what is below it; see [`layout`].
    words: Vec<u64>,
    others: Vec<Others>,
    partials: Vec<PartialChild>,
    /// The terminals that no word can say.
    listed: Vec<Terminal>,
    firsts: Firsts,
    #[cfg(feature = "tools")]
    nodes: usize,
}

impl Trie {
    /// The node that begins at this word.
    #[inline]
    fn node(&self, number: usize) -> Option<Node> {
        match self.words.get(number..number + Node::WORDS) {
            Some([header, ending]) => Some(Node::new(number, *header, Ending(*ending))),
            _ => None,
        }
    }

    /// What few nodes have; `None` for the rest.
    #[inline]
    fn others(&self, node: Node) -> Option<&Others> {
        if !node.has_others() {
            return None;
        }
        let number = self.words.get(node.others())?;
        self.others.get(usize::try_from(*number).ok()?)
    }

    /// How many nodes there are.
    #[cfg(feature = "tools")]
    pub(super) fn node_count(&self) -> usize {
        self.nodes
    }

    /// Bytes on the heap.
    #[cfg(feature = "tools")]
    pub(super) fn bytes(&self) -> usize {
        let patterns = self.partials.iter().map(|child| {
            let pattern = &child.pattern;
            let middle = pattern.middle.iter().map(|literal| literal.len() + size_of::<Vec<u8>>()).sum::<usize>();
            pattern.prefix.len() + middle + pattern.suffix.len()
        });
        size_of_val(&*self.words)
            + size_of_val(&*self.others)
            + size_of_val(&*self.partials)
            + patterns.sum::<usize>()
            + size_of_val(&*self.listed)
            + self.firsts.bytes()
    }

    /// A bound on the nodes that a search looks at: each place taken with its costliest text, as if one path could have them all.
    #[cfg(feature = "tools")]
    pub(super) fn worst_visits(&self) -> usize {
        self.worst_visits_below(0)
    }

    /// The depth of the recursion is that of a template, which is bounded.
    #[cfg(feature = "tools")]
    fn worst_visits_below(&self, number: usize) -> usize {
        let Some(node) = self.node(number) else { return 0 };
        let edges = self.words.get(node.edges()).unwrap_or_default().chunks_exact(layout::EDGE);
        let children = edges.filter_map(|edge| layout::child(*edge.get(1)?));
        let costliest = children.map(|child| self.worst_visits_below(child)).max().unwrap_or(0);
        let partials =
            self.others(node).and_then(|others| self.partials.get(range(others.partials))).unwrap_or_default();
        let others: usize = partials.iter().map(|child| self.worst_visits_below(at(child.node))).sum();
        let parameter = node.parameter().map_or(0, |child| self.worst_visits_below(child));
        1 + costliest + others + parameter
    }

    /// Whether every path begins with one of the texts that the root has.
    #[inline]
    pub(super) fn has_closed_root(&self) -> bool {
        self.node(0).is_none_or(|root| {
            let closed = |others: &Others| others.partials.0 == others.partials.1 && others.tail.is_none();
            root.parameter().is_none() && self.others(root).is_none_or(closed)
        })
    }

    /// What the first bytes of a path say, of a trie with a [closed root](Self::has_closed_root).
    #[inline]
    pub(super) fn first(&self, path: &[u8]) -> First {
        self.firsts.look(path)
    }

    /// Looks for a path in normal form, from where its first segments lead. A template that declares the method is preferred to one that does
    /// not, wherever it comes in the order; the path's own form to the one with the other slash at its end.
    #[inline]
    pub(super) fn find<W: Watch>(
        &self,
        method: Method,
        path: &[u8],
        split: &Split<'_>,
        start: Start,
        slash: TrailingSlash,
        watch: &mut W,
    ) -> Found {
        let other_form = slash == TrailingSlash::Ignore && split.has_other_form();
        let slash = split.length.checked_sub(1).is_some_and(|last| path.get(last) == Some(&b'/'));
        let mut search = Search {
            method,
            path,
            split,
            with_slash: other_form && !slash,
            without_slash: other_form && slash,
            second: Second::Nothing,
            endpoint: EndpointId::UNKNOWN,
            known: 0,
            room: MAX_SEARCHED,
            watch,
        };
        let endpoint = self.walk(&mut search, start.node, start.depth);
        let second = (search.second != Second::Nothing).then_some(search.endpoint);
        Found { endpoint: endpoint.or(second), known: search.known }
    }

    #[inline]
    fn walk<W: Watch>(&self, search: &mut Search<'_, W>, mut number: usize, mut depth: usize) -> Option<EndpointId> {
        loop {
            let node = self.node(number)?;
            search.watch.visit();
            if depth == search.split.segments {
                return self.arrive(search, node.ending).or_else(|| {
                    if search.with_slash
                        && let Some(others) = self.others(node)
                    {
                        self.pass_other_form(search, others.slash);
                    }
                    None
                });
            }
            let (start, end) = search.split.range(depth);
            let segment = search.path.get(start..end).unwrap_or_default();
            if search.without_slash && depth + 1 == search.split.segments {
                self.pass_other_form(search, node.ending);
            }
            let next = self.static_child(node, search.path, start, segment);
            if next.is_some() {
                search.known |= 1 << depth;
            }
            search.watch.step(depth, segment, Edge::Static, next.is_some());
            if let Some(others) = self.others(node) {
                return self.walk_all(search, node, others, next, depth);
            }
            number = match (next, node.parameter()) {
                (Some(child), None) => child,
                (None, None) => return None,
                (next, Some(parameter)) => {
                    if let Some(found) = next.and_then(|child| self.walk(search, child, depth + 1)) {
                        return Some(found);
                    }
                    search.watch.step(depth, segment, Edge::Parameter, !segment.is_empty());
                    if segment.is_empty() {
                        return None;
                    }
                    parameter
                }
            };
            depth += 1;
        }
    }

    /// The search below a node that has more than text and `{name}`; `next` is the child that has the segment's text.
    #[inline]
    fn walk_all<W: Watch>(
        &self,
        search: &mut Search<'_, W>,
        node: Node,
        others: &Others,
        next: Option<usize>,
        depth: usize,
    ) -> Option<EndpointId> {
        let (start, end) = search.split.range(depth);
        let segment = search.path.get(start..end).unwrap_or_default();
        if let Some(found) = next.and_then(|child| self.walk(search, child, depth + 1)) {
            return Some(found);
        }
        for child in self.partials.get(range(others.partials)).unwrap_or_default() {
            let fits = child.pattern.matches(segment, &mut search.room);
            search.watch.step(depth, segment, Edge::Partial(&child.pattern), fits);
            if fits && let Some(found) = self.walk(search, at(child.node), depth + 1) {
                return Some(found);
            }
        }
        if let Some(child) = node.parameter() {
            search.watch.step(depth, segment, Edge::Parameter, !segment.is_empty());
            if !segment.is_empty()
                && let Some(found) = self.walk(search, child, depth + 1)
            {
                return Some(found);
            }
        }
        if others.tail.is_none() {
            return None;
        }
        let fits = search.split.has_text_from(depth);
        let rest = search.path.get(start..search.split.length).unwrap_or_default();
        search.watch.step(depth, rest, Edge::Tail, fits);
        if fits { self.arrive(search, others.tail) } else { None }
    }

    /// The node behind the segment's text, where this node has it. A fifth of a search, were it a call.
    #[inline(always)]
    fn static_child(&self, node: Node, path: &[u8], start: usize, segment: &[u8]) -> Option<usize> {
        let (listed, bits) = (node.listed(), node.hash_bits());
        if listed == 0 && bits == 0 {
            return None;
        }
        let key = key_at(path, start, segment);
        let first = node.first_edge();
        if bits == 0 {
            let mut at = first;
            for _ in 0..listed {
                let Some([own, link]) = self.words.get(at..at + layout::EDGE) else { return None };
                if *own == key && layout::length(*link) == segment.len() {
                    let child = layout::child(*link)?;
                    if self.has_rest(child, path, start, segment) {
                        return Some(child);
                    }
                }
                at += layout::EDGE;
            }
            return None;
        }
        let last = (1 << bits) - 1;
        let mut slot = hash(key, segment, bits);
        // At least a quarter of the slots is free.
        loop {
            let at = first + layout::EDGE * slot;
            let Some([own, link]) = self.words.get(at..at + layout::EDGE) else { return None };
            let child = layout::child(*link)?;
            if *own == key && layout::length(*link) == segment.len() && self.has_rest(child, path, start, segment) {
                return Some(child);
            }
            slot = (slot + 1) & last;
        }
    }

    /// Whether what the segment has past its first 8 bytes stands before this node.
    #[inline]
    fn has_rest(&self, child: usize, path: &[u8], start: usize, segment: &[u8]) -> bool {
        segment.len() <= 8 || self.is_rest(child, path, start, segment)
    }

    #[inline(never)]
    fn is_rest(&self, child: usize, path: &[u8], start: usize, segment: &[u8]) -> bool {
        let Some(before) = self.words.get(..child) else { return false };
        let mut rest = segment.get(8..).unwrap_or_default();
        let mut start = start + 8;
        let first = before.len().saturating_sub(rest.len().div_ceil(8));
        for word in before.get(first..).unwrap_or_default() {
            if key_at(path, start, rest) != *word {
                return false;
            }
            rest = rest.get(8..).unwrap_or_default();
            start += 8;
        }
        true
    }

    /// The path ends here.
    #[inline]
    fn arrive<W: Watch>(&self, search: &mut Search<'_, W>, ending: Ending) -> Option<EndpointId> {
        if ending.is_none() {
            return None;
        }
        let (declared, undeclared) = self.read(ending, search.method);
        search.watch.arrive(declared, undeclared, false);
        if declared.is_none() {
            search.keep(Second::Undeclared, undeclared);
        }
        declared
    }

    /// With the other slash at its end, the path would end here.
    #[inline]
    fn pass_other_form<W: Watch>(&self, search: &mut Search<'_, W>, ending: Ending) {
        if ending.is_none() {
            return;
        }
        let (declared, undeclared) = self.read(ending, search.method);
        search.watch.arrive(declared, undeclared, true);
        match declared {
            Some(endpoint) => search.keep(Second::OtherForm, endpoint),
            None => search.keep(Second::OtherFormUndeclared, undeclared),
        }
    }

    /// The endpoint of the method, if it is declared, and that of every method that is not.
    #[inline]
    fn read(&self, ending: Ending, method: Method) -> (Option<EndpointId>, EndpointId) {
        ending.read(method).unwrap_or_else(|number| self.read_listed(number, method))
    }

    #[inline]
    #[cold]
    fn read_listed(&self, number: usize, method: Method) -> (Option<EndpointId>, EndpointId) {
        match self.listed.get(number) {
            Some(terminal) => (terminal.declared(method), terminal.undeclared),
            None => (None, EndpointId::UNKNOWN),
        }
    }
}

/// A part of a list.
#[inline]
fn range(part: (u32, u32)) -> std::ops::Range<usize> {
    at(part.0)..at(part.1)
}

/// Where a search begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    node: usize,
    depth: usize,
}

impl Start {
    /// The root.
    pub(super) const ROOT: Start = Start { node: 0, depth: 0 };
}

/// What [`Trie::find`] found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) endpoint: Option<EndpointId>,
    /// Where nothing was found: a bit for each segment that the table has as static text in that place. **Invariant:** a path has at most 64.
    pub(super) known: u64,
}

/// The kinds of edges, in the order in which they are tried.
#[derive(Clone, Copy, Debug)]
pub(super) enum Edge<'a> {
    Static,
    Partial(
        #[cfg_attr(not(feature = "tools"), allow(dead_code, reason = "only an explanation shows the pattern"))]
        &'a Partial,
    ),
    Parameter,
    Tail,
}

/// Sees a search as it goes: what explains a decision is the decision's own code. `()` sees nothing and costs nothing.
pub(super) trait Watch {
    /// A node is looked at.
    #[inline]
    fn visit(&mut self) {}
    /// An edge was tried for a segment.
    #[inline]
    fn step(&mut self, _depth: usize, _segment: &[u8], _edge: Edge<'_>, _fits: bool) {}
    /// The path ends at a template, or would with the other slash at its end: the endpoint of its method, if that is declared, and of those that
    /// are not.
    #[inline]
    fn arrive(&mut self, _declared: Option<EndpointId>, _undeclared: EndpointId, _other_form: bool) {}
}

impl Watch for () {}

struct Search<'a, W> {
    method: Method,
    path: &'a [u8],
    split: &'a Split<'a>,
    /// The form with a slash at its end counts as well.
    with_slash: bool,
    /// The form without the slash at its end counts as well.
    without_slash: bool,
    /// What was found that is only second to the path's own form with its method.
    second: Second,
    /// The endpoint of that.
    endpoint: EndpointId,
    /// See [`Found::known`].
    known: u64,
    /// How much of [`MAX_SEARCHED`] is left.
    room: usize,
    watch: &'a mut W,
}

impl<W> Search<'_, W> {
    /// Keeps an endpoint that is better than what was found before it.
    #[inline]
    fn keep(&mut self, second: Second, endpoint: EndpointId) {
        if second > self.second {
            (self.second, self.endpoint) = (second, endpoint);
        }
    }
}

/// What counts where no template of the path's own form declares the method; the later the better, and of each the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Second {
    Nothing,
    OtherFormUndeclared,
    OtherForm,
    Undeclared,
}

impl Partial {
    /// Whether the segment has all literals in order, with at least one byte for each parameter. Taking each literal where it first occurs is
    /// enough, since a later occurrence leaves less room for the rest.
    #[inline]
    fn matches(&self, segment: &[u8], room: &mut usize) -> bool {
        let Some(inner) = segment.strip_prefix(&*self.prefix).and_then(|rest| rest.strip_suffix(&*self.suffix)) else {
            return false;
        };
        if !self.middle.is_empty() {
            let Some(left) = room.checked_sub(segment.len()) else { return false };
            *room = left;
        }
        let mut rest = inner;
        for literal in &self.middle {
            // One byte at least is the parameter's.
            let mut after = rest.get(1..).unwrap_or_default();
            loop {
                if let Some(more) = after.strip_prefix(&**literal) {
                    rest = more;
                    break;
                }
                let Some((_, more)) = after.split_first() else { return false };
                let next = more.iter().position(|byte| Some(byte) == literal.first());
                let Some(next) = next.and_then(|position| more.get(position..)) else { return false };
                after = next;
            }
        }
        !rest.is_empty()
    }
}

#[cfg(test)]
mod tests;
