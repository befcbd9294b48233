//! From sorted places to the trie.

use super::firsts::Firsts;
use super::key::{hash, key};
use super::layout::{self, EDGE, Edges, Ending, FEW, Node, index};
use super::{Others, PartialChild, Place, Trie};
use crate::route::template::{Partial, Segment};

impl Trie {
    /// Builds the trie of places that are sorted by their segments, no two of them the same.
    pub(in crate::route) fn build(places: &[Place]) -> Self {
        let mut trie = Trie {
            words: Vec::new(),
            others: Vec::new(),
            partials: Vec::new(),
            listed: Vec::new(),
            firsts: Firsts::default(),
            #[cfg(feature = "tools")]
            nodes: 0,
        };
        trie.add_node(places, 0);
        trie.words.shrink_to_fit();
        trie.firsts = trie.firsts(places);
        trie
    }

    /// The root's edges by their first bytes.
    fn firsts(&self, places: &[Place]) -> Firsts {
        let Some(root) = self.node(0) else { return Firsts::default() };
        let texts = children(places, 0).filter_map(|group| static_text(group, 0));
        let edges = texts.filter_map(|text| Some((text, index(self.static_child(root, text, 0, text)?))));
        Firsts::new(&edges.collect::<Vec<_>>())
    }

    /// Appends the node that these places share after `depth` segments, and everything below it; gives back its number. The depth is that of a
    /// template, which is bounded.
    fn add_node(&mut self, places: &[Place], depth: usize) -> u32 {
        #[cfg(feature = "tools")]
        {
            self.nodes += 1;
        }
        // A place that ends here is sorted before those that go on.
        let (here, below) = match places.split_first() {
            Some((first, rest)) if first.0.len() == depth => (Some(&first.1), rest),
            _ => (None, places),
        };
        let ending = here.map_or(Ending::default(), |terminal| Ending::new(terminal, &mut self.listed));
        let edges = edges(children(below, depth).filter(|group| static_text(group, depth).is_some()).count());
        let others = self.add_others(below, depth);
        let number = self.words.len();
        self.words.extend([0, ending.0]);
        self.words.extend(others.map(|others| others as u64));
        let first_edge = self.words.len();
        let slots = match edges {
            Edges::Listed(count) => count,
            Edges::Hashed(bits) => 1 << bits,
        };
        self.words.resize(first_edge + EDGE * slots, 0);
        let mut partial = others.and_then(|others| self.others.get(others)).map_or(0, |others| others.partials.0);
        let mut parameter = 0;
        for group in children(below, depth) {
            match group.first().and_then(|place| place.0.get(depth)) {
                Some(Segment::Static(text)) => {
                    self.words.extend(text.get(8..).unwrap_or_default().chunks(8).map(key));
                    let child = self.add_node(group, depth + 1);
                    self.put_edge(first_edge, edges, text, child);
                    if text.is_empty()
                        && let Some(others) = others.and_then(|others| self.others.get_mut(others))
                    {
                        others.slash = Ending(self.words.get(layout::at(child) + 1).copied().unwrap_or_default());
                    }
                }
                Some(Segment::Partial(_)) => {
                    let child = self.add_node(group, depth + 1);
                    if let Some(entry) = self.partials.get_mut(layout::at(partial)) {
                        entry.node = child;
                    }
                    partial += 1;
                }
                Some(Segment::Parameter) => parameter = self.add_node(group, depth + 1),
                Some(Segment::Tail) | None => {}
            }
        }
        if let Some(header) = self.words.get_mut(number) {
            *header = Node::header(edges, others.is_some(), parameter);
        }
        index(number)
    }

    /// Appends what few nodes have, and gives back its number; the nodes behind the partial segments are yet to be added.
    fn add_others(&mut self, below: &[Place], depth: usize) -> Option<usize> {
        let mut others = Others { partials: (index(self.partials.len()), 0), ..Others::default() };
        let mut needed = false;
        // Partial segments are sorted as they are tried.
        for group in children(below, depth) {
            let Some((segments, terminal)) = group.first() else { continue };
            match segments.get(depth) {
                Some(Segment::Static(text)) => needed |= text.is_empty(),
                Some(Segment::Partial(pattern)) => {
                    self.partials.push(PartialChild { pattern: Partial::clone(pattern), node: 0 });
                    needed = true;
                }
                Some(Segment::Tail) => {
                    others.tail = Ending::new(terminal, &mut self.listed);
                    needed = true;
                }
                Some(Segment::Parameter) | None => {}
            }
        }
        others.partials.1 = index(self.partials.len());
        needed.then(|| {
            self.others.push(others);
            self.others.len() - 1
        })
    }

    /// Writes a static edge into the first free slot of those that begin at `first`.
    fn put_edge(&mut self, first: usize, edges: Edges, text: &[u8], child: u32) {
        let (mut slot, last) = match edges {
            Edges::Listed(count) => (0, count.saturating_sub(1)),
            Edges::Hashed(bits) => (hash(key(text), text, bits), (1 << bits) - 1),
        };
        loop {
            match self.words.get_mut(first + EDGE * slot..first + EDGE * (slot + 1)) {
                Some([to_key, to_link]) if *to_link == 0 => {
                    *to_key = key(text);
                    *to_link = layout::link(text.len(), child);
                    return;
                }
                Some(_) => slot = if slot == last { 0 } else { slot + 1 },
                None => return,
            }
        }
    }
}

/// The form of so many static edges; at least a quarter of the slots of a table is free.
fn edges(count: usize) -> Edges {
    if count <= FEW {
        Edges::Listed(count)
    } else {
        Edges::Hashed((count + count / 2).next_power_of_two().trailing_zeros())
    }
}

/// The runs of places that have the same segment at `depth`.
fn children(places: &[Place], depth: usize) -> impl Iterator<Item = &[Place]> + Clone {
    places.chunk_by(move |a, b| a.0.get(depth) == b.0.get(depth))
}

/// The text that all places of a run have at `depth`.
fn static_text(group: &[Place], depth: usize) -> Option<&[u8]> {
    match group.first()?.0.get(depth)? {
        Segment::Static(text) => Some(text),
        _ => None,
    }
}
