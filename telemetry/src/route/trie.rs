//! The compiled form of the table: a trie over segments in flat arrays.
//!
//! At each node the candidates for the next segment are tried in this order: its static text, partial segments, `{name}`, `{name...}`; where a
//! branch leads nowhere the next one is tried. Every edge but the last kind takes exactly one segment and every node has one parent, so a search
//! visits a node at most once: its cost is bounded by the size of the table, whatever the path. The form of the path with the other slash at
//! its end is looked at on the way, where the search passes it anyhow.

use super::split::Split;
use super::template::{Partial, Segment};
use super::{EndpointId, MAX_SEARCHED, TrailingSlash};
use crate::method::Method;

/// So many static children are looked through one by one; more are found by hash.
const FEW: usize = 4;

/// "There is none", where an index is expected.
const NONE: u32 = u32::MAX;

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
    pub(super) fn declared(&self, method: Method) -> Option<EndpointId> {
        self.declared.get(method.index()).copied().filter(|endpoint| *endpoint != Self::NOT_DECLARED)
    }
}

#[derive(Clone, Debug)]
struct Node {
    /// Its part of `keys` and `statics`.
    statics: (u32, u32),
    /// Its part of `slots`, where it has more than [`FEW`] static children: where it begins, and how many bits of a hash choose a slot.
    slots: (u32, u32),
    /// Its part of `partials`.
    partials: (u32, u32),
    /// The node behind `{name}`.
    parameter: u32,
    /// The terminal of `{name...}`.
    tail: u32,
    /// The terminal of a path that ends here.
    terminal: u32,
    /// The terminal of a path that ends here with one more slash.
    slash: u32,
}

/// A static child. Its key in `keys` decides nearly always; the text is only compared past the key's 8 bytes.
#[derive(Clone, Debug)]
struct Static {
    length: u32,
    /// Where the text past the key's bytes is in `texts`.
    rest: u32,
    node: u32,
}

#[derive(Clone, Debug)]
struct PartialChild {
    pattern: Partial,
    node: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Trie {
    nodes: Vec<Node>,
    keys: Vec<u64>,
    statics: Vec<Static>,
    /// Open addressing with linear probing: indexes into `statics`, or [`NONE`]. At least half of each node's part is free, so a probe ends.
    slots: Vec<u32>,
    texts: Vec<u8>,
    partials: Vec<PartialChild>,
    terminals: Vec<Terminal>,
}

/// A template's segments, and what stands at their end.
pub(super) type Place = (Vec<Segment>, Terminal);

impl Trie {
    /// Builds the trie of places that are sorted by their segments, no two of them the same.
    pub(super) fn build(places: &[Place]) -> Self {
        let mut trie = Trie {
            nodes: Vec::new(),
            keys: Vec::new(),
            statics: Vec::new(),
            slots: Vec::new(),
            texts: Vec::new(),
            partials: Vec::new(),
            terminals: Vec::new(),
        };
        trie.add_node(places, 0);
        trie
    }

    /// Appends the node that these places share after `depth` segments, and everything below it; gives back its number. The depth is that of a
    /// template, which is bounded.
    fn add_node(&mut self, places: &[Place], depth: usize) -> u32 {
        let number = index(self.nodes.len());
        // A place that ends here is sorted before those that go on.
        let (here, below) = match places.split_first() {
            Some((first, rest)) if first.0.len() == depth => (Some(first.1), rest),
            _ => (None, places),
        };
        let terminal = self.add_terminal(here);
        self.nodes.push(Node {
            statics: (0, 0),
            slots: (0, 0),
            partials: (0, 0),
            parameter: NONE,
            tail: NONE,
            terminal,
            slash: NONE,
        });
        // A node's children have to be neighbours, so they come before what is below them. Partial segments are sorted as they are tried.
        let first_static = self.statics.len();
        let first_partial = self.partials.len();
        for group in children(below, depth) {
            match group.first().and_then(|place| place.0.get(depth)) {
                Some(Segment::Static(text)) => {
                    self.keys.push(key(text));
                    self.statics.push(Static { length: index(text.len()), rest: index(self.texts.len()), node: NONE });
                    self.texts.extend_from_slice(text.get(8..).unwrap_or_default());
                }
                Some(Segment::Partial(pattern)) => {
                    self.partials.push(PartialChild { pattern: pattern.clone(), node: NONE });
                }
                Some(Segment::Parameter | Segment::Tail) | None => {}
            }
        }
        let (statics_end, partials_end) = (self.statics.len(), self.partials.len());
        let slots = self.add_slots(first_static);
        let (mut next_static, mut next_partial, mut parameter, mut tail) = (first_static, first_partial, NONE, NONE);
        for group in children(below, depth) {
            let Some(segment) = group.first().and_then(|place| place.0.get(depth)) else { continue };
            if *segment == Segment::Tail {
                tail = self.add_terminal(group.first().map(|place| place.1));
                continue;
            }
            let child = self.add_node(group, depth + 1);
            match segment {
                Segment::Static(_) => {
                    if let Some(entry) = self.statics.get_mut(next_static) {
                        entry.node = child;
                    }
                    next_static += 1;
                }
                Segment::Partial(_) => {
                    if let Some(entry) = self.partials.get_mut(next_partial) {
                        entry.node = child;
                    }
                    next_partial += 1;
                }
                Segment::Parameter => parameter = child,
                Segment::Tail => {}
            }
        }
        let slash = self.end_of_empty_child(first_static..statics_end);
        if let Some(node) = self.nodes.get_mut(at(number)) {
            node.slash = slash;
            node.statics = (index(first_static), index(statics_end));
            node.slots = slots;
            node.partials = (index(first_partial), index(partials_end));
            node.parameter = parameter;
            node.tail = tail;
        }
        number
    }

    /// The terminal of the static child without text, if these children have one.
    fn end_of_empty_child(&self, children: std::ops::Range<usize>) -> u32 {
        let children = self.statics.get(children).unwrap_or_default();
        let empty = children.iter().find(|child| child.length == 0);
        empty.and_then(|child| self.nodes.get(at(child.node))).map_or(NONE, |node| node.terminal)
    }

    /// Appends the slots of the node whose static children are the last ones, from `first` on.
    fn add_slots(&mut self, first: usize) -> (u32, u32) {
        let count = self.statics.len() - first;
        if count <= FEW {
            return (0, 0);
        }
        let start = self.slots.len();
        let size = (2 * count).next_power_of_two();
        let bits = size.trailing_zeros();
        self.slots.resize(start + size, NONE);
        for (number, (key, child)) in self.keys.iter().zip(&self.statics).enumerate().skip(first) {
            let mut slot = hash(*key, at(child.length), bits);
            while self.slots.get(start + slot).is_some_and(|taken| *taken != NONE) {
                slot = (slot + 1) & (size - 1);
            }
            if let Some(free) = self.slots.get_mut(start + slot) {
                *free = index(number);
            }
        }
        (index(start), bits)
    }

    fn add_terminal(&mut self, terminal: Option<Terminal>) -> u32 {
        let Some(terminal) = terminal else { return NONE };
        self.terminals.push(terminal);
        index(self.terminals.len() - 1)
    }

    /// How many pairs of label and method its terminals declare, where `methods` have a column of their own and the rest share one.
    pub(super) fn pairs(&self, labels: usize, methods: &[Method]) -> u64 {
        let mut columns = vec![0_u32; labels];
        for terminal in &self.terminals {
            for method in Method::ALL {
                let column = methods.iter().position(|own| *own == method).unwrap_or(methods.len());
                if let Some(endpoint) = terminal.declared(method)
                    && let Some(columns) = columns.get_mut(endpoint.index())
                {
                    *columns |= 1 << column;
                }
            }
        }
        columns.iter().map(|columns| u64::from(columns.count_ones())).sum()
    }

    /// How many nodes there are.
    #[cfg(feature = "tools")]
    pub(super) fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Bytes on the heap.
    #[cfg(feature = "tools")]
    pub(super) fn bytes(&self) -> usize {
        let patterns = self.partials.iter().map(|child| {
            let pattern = &child.pattern;
            let middle = pattern.middle.iter().map(|literal| literal.len() + size_of::<Vec<u8>>()).sum::<usize>();
            pattern.prefix.len() + middle + pattern.suffix.len()
        });
        self.nodes.len() * size_of::<Node>()
            + self.keys.len() * size_of::<u64>()
            + self.statics.len() * size_of::<Static>()
            + self.slots.len() * size_of::<u32>()
            + self.texts.len()
            + self.partials.len() * size_of::<PartialChild>()
            + patterns.sum::<usize>()
            + self.terminals.len() * size_of::<Terminal>()
    }

    /// A bound on the nodes that a search looks at: each place taken with its costliest text, as if one path could have them all.
    #[cfg(feature = "tools")]
    pub(super) fn worst_visits(&self) -> usize {
        self.worst_visits_below(0)
    }

    /// The depth of the recursion is that of a template, which is bounded.
    #[cfg(feature = "tools")]
    fn worst_visits_below(&self, number: u32) -> usize {
        let Some(node) = self.nodes.get(at(number)) else { return 0 };
        let statics = self.statics.get(at(node.statics.0)..at(node.statics.1)).unwrap_or_default();
        let partials = self.partials.get(at(node.partials.0)..at(node.partials.1)).unwrap_or_default();
        let costliest = statics.iter().map(|child| self.worst_visits_below(child.node)).max().unwrap_or(0);
        let others: usize = partials.iter().map(|child| self.worst_visits_below(child.node)).sum();
        let parameter = if node.parameter == NONE { 0 } else { self.worst_visits_below(node.parameter) };
        1 + costliest + others + parameter
    }

    /// Whether every path begins with one of the texts that the root has.
    pub(super) fn has_closed_root(&self) -> bool {
        self.nodes
            .first()
            .is_none_or(|root| root.partials.0 == root.partials.1 && root.parameter == NONE && root.tail == NONE)
    }

    /// The place of the paths that begin with this segment; `None` where the root has no such text. `path` is the whole path.
    #[inline]
    pub(super) fn begin(&self, path: &[u8], segment: &[u8]) -> Option<Start> {
        let root = self.nodes.first()?;
        self.static_child(root, path, 1, segment).map(|node| Start { node, depth: 1 })
    }

    /// Looks for a path in normal form, from a place that its first segments lead to. A template that declares the method is preferred to one that does not, wherever it comes in the order;
    /// the path's own form to the one with the other slash at its end.
    pub(super) fn find<W: Watch>(
        &self,
        method: Method,
        path: &[u8],
        split: &Split,
        start: Start,
        slash: TrailingSlash,
        watch: &mut W,
    ) -> Found {
        let other_form = slash == TrailingSlash::Ignore && split.has_other_form();
        let mut search = Search {
            method,
            path,
            split,
            with_slash: other_form && !split.ends_with_slash(),
            without_slash: other_form && split.ends_with_slash(),
            undeclared: None,
            other: None,
            other_undeclared: None,
            known: 0,
            room: MAX_SEARCHED,
            watch,
        };
        let endpoint = self.walk(&mut search, start.node, start.depth);
        let endpoint = endpoint.or(search.undeclared).or(search.other).or(search.other_undeclared);
        Found { endpoint, known: search.known }
    }

    fn walk<W: Watch>(&self, search: &mut Search<'_, W>, mut number: u32, mut depth: usize) -> Option<EndpointId> {
        loop {
            let node = self.nodes.get(at(number))?;
            search.watch.visit();
            if depth == search.split.segments {
                return self.arrive(search, node.terminal).or_else(|| {
                    if search.with_slash {
                        self.pass_other_form(search, node.slash);
                    }
                    None
                });
            }
            let (start, end) = search.split.range(depth);
            let segment = search.path.get(start..end).unwrap_or_default();
            if search.without_slash && depth + 1 == search.split.segments {
                self.pass_other_form(search, node.terminal);
            }
            let next = self.static_child(node, search.path, start, segment);
            if next.is_some() {
                search.known |= 1 << depth;
            }
            search.watch.step(depth, segment, Edge::Static, next.is_some());
            let only_static = node.partials.0 == node.partials.1 && node.parameter == NONE && node.tail == NONE;
            if only_static {
                number = next?;
                depth += 1;
                continue;
            }
            if let Some(found) = next.and_then(|child| self.walk(search, child, depth + 1)) {
                return Some(found);
            }
            for child in self.partials.get(at(node.partials.0)..at(node.partials.1)).unwrap_or_default() {
                let fits = child.pattern.matches(segment, &mut search.room);
                search.watch.step(depth, segment, Edge::Partial(&child.pattern), fits);
                if fits && let Some(found) = self.walk(search, child.node, depth + 1) {
                    return Some(found);
                }
            }
            if node.parameter != NONE {
                search.watch.step(depth, segment, Edge::Parameter, !segment.is_empty());
                if !segment.is_empty() {
                    if node.tail == NONE {
                        number = node.parameter;
                        depth += 1;
                        continue;
                    }
                    if let Some(found) = self.walk(search, node.parameter, depth + 1) {
                        return Some(found);
                    }
                }
            }
            if node.tail == NONE {
                return None;
            }
            let fits = search.split.has_text_from(depth);
            let rest = search.path.get(start..search.split.length).unwrap_or_default();
            search.watch.step(depth, rest, Edge::Tail, fits);
            return if fits { self.arrive(search, node.tail) } else { None };
        }
    }

    #[inline]
    fn static_child(&self, node: &Node, path: &[u8], start: usize, segment: &[u8]) -> Option<u32> {
        let (first, last) = (at(node.statics.0), at(node.statics.1));
        if first == last {
            return None;
        }
        let wanted = key_at(path, start, segment);
        if last - first <= FEW {
            return (first..last).find_map(|number| self.child_if(number, wanted, segment));
        }
        let (start, bits) = (at(node.slots.0), node.slots.1);
        let slots = self.slots.get(start..start + (1 << bits))?;
        let mut slot = hash(wanted, segment.len(), bits);
        loop {
            let number = *slots.get(slot)?;
            if number == NONE {
                return None;
            }
            if let Some(child) = self.child_if(at(number), wanted, segment) {
                return Some(child);
            }
            slot = (slot + 1) & (slots.len() - 1);
        }
    }

    /// The node of a static child, if the segment is its text.
    #[inline]
    fn child_if(&self, number: usize, wanted: u64, segment: &[u8]) -> Option<u32> {
        let child = self.statics.get(number).filter(|child| at(child.length) == segment.len())?;
        if *self.keys.get(number)? != wanted {
            return None;
        }
        let rest = segment.get(8..).unwrap_or_default();
        let text = at(child.rest);
        (rest.is_empty() || self.texts.get(text..text + rest.len()) == Some(rest)).then_some(child.node)
    }

    /// The path ends at this terminal.
    fn arrive<W: Watch>(&self, search: &mut Search<'_, W>, terminal: u32) -> Option<EndpointId> {
        let terminal = self.terminals.get(at(terminal))?;
        let declared = terminal.declared(search.method);
        search.watch.arrive(terminal, declared.is_some(), false);
        if declared.is_none() && search.undeclared.is_none() {
            search.undeclared = Some(terminal.undeclared);
        }
        declared
    }

    /// With the other slash at its end, the path would end at this terminal.
    #[inline]
    fn pass_other_form<W: Watch>(&self, search: &mut Search<'_, W>, terminal: u32) {
        let Some(terminal) = self.terminals.get(at(terminal)) else { return };
        let declared = terminal.declared(search.method);
        search.watch.arrive(terminal, declared.is_some(), true);
        search.other = search.other.or(declared);
        search.other_undeclared = search.other_undeclared.or(Some(terminal.undeclared));
    }
}

/// The runs of places that have the same segment at `depth`.
fn children(places: &[Place], depth: usize) -> impl Iterator<Item = &[Place]> {
    places.chunk_by(move |a, b| a.0.get(depth) == b.0.get(depth))
}

/// Where a search begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    node: u32,
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
    fn visit(&mut self) {}
    /// An edge was tried for a segment.
    fn step(&mut self, _depth: usize, _segment: &[u8], _edge: Edge<'_>, _fits: bool) {}
    /// The path ends at a terminal, or would with the other slash at its end.
    fn arrive(&mut self, _terminal: &Terminal, _declared: bool, _other_form: bool) {}
}

impl Watch for () {}

struct Search<'a, W> {
    method: Method,
    path: &'a [u8],
    split: &'a Split,
    /// The form with a slash at its end counts as well.
    with_slash: bool,
    /// The form without the slash at its end counts as well.
    without_slash: bool,
    /// What the first template without this method says.
    undeclared: Option<EndpointId>,
    /// What the first template with this method says of the other form.
    other: Option<EndpointId>,
    /// What the first template of any method says of the other form.
    other_undeclared: Option<EndpointId>,
    /// See [`Found::known`].
    known: u64,
    /// How much of [`MAX_SEARCHED`] is left.
    room: usize,
    watch: &'a mut W,
}

impl Partial {
    /// Whether the segment has all literals in order, with at least one byte for each parameter. Taking each literal where it first occurs is
    /// enough, since a later occurrence leaves less room for the rest.
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

/// The first 8 bytes of a text as a number, the missing ones zero. Texts that differ past them, or by zero bytes at the end, share a key.
fn key(text: &[u8]) -> u64 {
    text.iter().take(8).enumerate().fold(0, |key, (position, byte)| key | u64::from(*byte) << (8 * position))
}

/// [`key`] of the segment that begins at `start`, in one load of what is there before or after it.
#[inline]
fn key_at(path: &[u8], start: usize, segment: &[u8]) -> u64 {
    let length = segment.len();
    if let Some(bytes) = path.get(start..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*bytes);
        return if length >= 8 { word } else { word & ((1 << (8 * length)) - 1) };
    }
    match path.get(..start + length).and_then(<[u8]>::last_chunk::<8>) {
        Some(bytes) if (1..8).contains(&length) => u64::from_le_bytes(*bytes) >> (8 * (8 - length)),
        _ => key(segment),
    }
}

/// The slot where the search for a text begins, out of two to the power of `bits`; the multiplier is Fibonacci hashing's.
#[inline]
fn hash(key: u64, length: usize, bits: u32) -> usize {
    let mixed = (key ^ (length as u64)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    usize::try_from(mixed >> (64 - bits)).unwrap_or(0)
}

/// A length as an index. The table is a configuration's, far below four billion entries.
fn index(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(NONE)
}

fn at(index: u32) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
