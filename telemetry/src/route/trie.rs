//! The compiled form of the table: a trie over segments in flat arrays.
//!
//! At each node the candidates for the next segment are tried in this order: its static text, partial segments, `{name}`, `{name...}`; where a
//! branch leads nowhere the next one is tried. Every edge but the last kind takes exactly one segment and every node has one parent, so a search
//! visits a node at most once: its cost is bounded by the size of the table, whatever the path.

use std::collections::BTreeMap;

use super::EndpointId;
use super::split::Split;
use super::template::{Partial, Segment};
use crate::method::Method;

/// So many static children are looked through one by one; more are found by hash.
const FEW: usize = 4;

/// "There is none", where an index is expected.
const NONE: u32 = u32::MAX;

/// What a place in the trie stands for: an endpoint for each method, and one for the methods that are not declared there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terminal {
    /// By [`Method::index`].
    pub(super) declared: [Option<EndpointId>; Method::COUNT],
    /// For every other method.
    pub(super) undeclared: EndpointId,
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

/// The trie while it is built.
#[derive(Default)]
struct Builder {
    children: BTreeMap<Segment, Builder>,
    terminal: Option<Terminal>,
}

impl Trie {
    pub(super) fn build<'a>(templates: impl Iterator<Item = (&'a [Segment], Terminal)>) -> Self {
        let mut root = Builder::default();
        for (segments, terminal) in templates {
            let mut place = &mut root;
            for segment in segments {
                place = place.children.entry(segment.clone()).or_default();
            }
            place.terminal = Some(terminal);
        }
        let mut trie = Trie {
            nodes: Vec::new(),
            keys: Vec::new(),
            statics: Vec::new(),
            slots: Vec::new(),
            texts: Vec::new(),
            partials: Vec::new(),
            terminals: Vec::new(),
        };
        trie.flatten(root);
        trie
    }

    /// Appends a node and everything below it; gives back its number. The depth is that of a template, which is bounded.
    fn flatten(&mut self, from: Builder) -> u32 {
        let number = index(self.nodes.len());
        let terminal = self.add_terminal(from.terminal);
        self.nodes.push(Node {
            statics: (0, 0),
            slots: (0, 0),
            partials: (0, 0),
            parameter: NONE,
            tail: NONE,
            terminal,
        });
        let (mut statics, mut partials, mut parameter, mut tail) = (Vec::new(), Vec::new(), NONE, NONE);
        for (segment, child) in from.children {
            match segment {
                Segment::Static(text) => statics.push((key(&text), text, child)),
                Segment::Partial(pattern) => partials.push((pattern, child)),
                Segment::Parameter => parameter = self.flatten(child),
                Segment::Tail => tail = self.add_terminal(child.terminal),
            }
        }
        // A node's children have to be neighbours, so they come before what is below them.
        statics.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        partials.sort_by(|a, b| a.0.rank().cmp(&b.0.rank()));
        let first_static = self.statics.len();
        for (key, text, _) in &statics {
            self.keys.push(*key);
            self.statics.push(Static { length: index(text.len()), rest: index(self.texts.len()), node: NONE });
            self.texts.extend_from_slice(text.get(8..).unwrap_or_default());
        }
        let slots = self.add_slots(first_static);
        let first_partial = self.partials.len();
        let statics_end = self.statics.len();
        let mut below = Vec::with_capacity(partials.len());
        for (pattern, child) in partials {
            self.partials.push(PartialChild { pattern, node: NONE });
            below.push(child);
        }
        let partials_end = self.partials.len();
        for (offset, (_, _, child)) in statics.into_iter().enumerate() {
            let node = self.flatten(child);
            if let Some(entry) = self.statics.get_mut(first_static + offset) {
                entry.node = node;
            }
        }
        for (offset, child) in below.into_iter().enumerate() {
            let node = self.flatten(child);
            if let Some(entry) = self.partials.get_mut(first_partial + offset) {
                entry.node = node;
            }
        }
        if let Some(node) = self.nodes.get_mut(at(number)) {
            node.statics = (index(first_static), index(statics_end));
            node.slots = slots;
            node.partials = (index(first_partial), index(partials_end));
            node.parameter = parameter;
            node.tail = tail;
        }
        number
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

    /// The endpoint of a path in normal form, of which the first `segments` count. A template that declares the method is preferred to one
    /// that does not, wherever it comes in the order.
    pub(super) fn find(&self, method: Method, path: &[u8], split: &Split, segments: usize) -> Option<EndpointId> {
        let mut search = Search { method: method.index(), path, split, segments, undeclared: None };
        self.walk(&mut search, 0, 0).or(search.undeclared)
    }

    fn walk(&self, search: &mut Search<'_>, mut number: u32, mut depth: usize) -> Option<EndpointId> {
        loop {
            let node = self.nodes.get(at(number))?;
            if depth == search.segments {
                return self.arrive(search, node.terminal);
            }
            let (start, end) = search.split.range(depth);
            let segment = search.path.get(start..end).unwrap_or_default();
            let next = self.static_child(node, search.path, start, segment);
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
                if child.pattern.matches(segment)
                    && let Some(found) = self.walk(search, child.node, depth + 1)
                {
                    return Some(found);
                }
            }
            if node.parameter != NONE && !segment.is_empty() {
                if node.tail == NONE {
                    number = node.parameter;
                    depth += 1;
                    continue;
                }
                if let Some(found) = self.walk(search, node.parameter, depth + 1) {
                    return Some(found);
                }
            }
            return if search.split.has_text_from(depth) { self.arrive(search, node.tail) } else { None };
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

    fn arrive(&self, search: &mut Search<'_>, terminal: u32) -> Option<EndpointId> {
        let terminal = self.terminals.get(at(terminal))?;
        let declared = terminal.declared.get(search.method).copied().flatten();
        if declared.is_none() && search.undeclared.is_none() {
            search.undeclared = Some(terminal.undeclared);
        }
        declared
    }
}

struct Search<'a> {
    method: usize,
    path: &'a [u8],
    split: &'a Split,
    segments: usize,
    /// What the first template without this method says.
    undeclared: Option<EndpointId>,
}

impl Partial {
    /// Whether the segment has all literals in order, with at least one byte for each parameter. Taking each literal where it first occurs is
    /// enough, since a later occurrence leaves less room for the rest.
    fn matches(&self, segment: &[u8]) -> bool {
        let Some(inner) = segment.strip_prefix(&*self.prefix).and_then(|rest| rest.strip_suffix(&*self.suffix)) else {
            return false;
        };
        let mut rest = inner;
        for literal in &self.middle {
            let after = rest.get(1..).unwrap_or_default();
            let Some(position) = after.windows(literal.len().max(1)).position(|window| window == &**literal) else {
                return false;
            };
            rest = after.get(position + literal.len()..).unwrap_or_default();
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
