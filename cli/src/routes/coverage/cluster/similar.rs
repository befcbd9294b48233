//! Whether places lead to the same words.

use std::collections::{BTreeMap, BTreeSet};

use super::tree::Node;
use crate::routes::coverage::segment::{Class, Segment};

/// How far below a place words are compared.
pub(super) const LEVELS: usize = 3;

/// A word, so many levels below.
type Feature<'a> = (usize, &'a str);

/// Of these words, those most of whose paths go through words that are found below many of the others as well, so many levels down.
pub(super) fn group(words: &[(Segment, Node)], inner: &[usize], levels: usize) -> Vec<usize> {
    let mut frequency: BTreeMap<Feature<'_>, usize> = BTreeMap::new();
    let nodes = || inner.iter().filter_map(|index| words.get(*index).map(|(_, node)| (*index, node)));
    for (_, node) in nodes() {
        let mut features = BTreeSet::new();
        collect(node, 1, levels, &mut features);
        for feature in features {
            *frequency.entry(feature).or_insert(0) += 1;
        }
    }
    let needed = (inner.len() / 4).clamp(3, 8);
    frequency.retain(|_, count| *count >= needed);
    nodes()
        .filter(|(_, node)| {
            let (shared, all) = shared_paths(node, 1, false, &frequency);
            all > 0 && 2 * shared >= all
        })
        .map(|(index, _)| index)
        .collect()
}

fn collect<'a>(node: &'a Node, level: usize, levels: usize, features: &mut BTreeSet<Feature<'a>>) {
    for (segment, child) in &node.children {
        if segment.class == Class::Word {
            features.insert((level, &segment.text));
        }
        if level < levels {
            collect(child, level + 1, levels, features);
        }
    }
}

/// Paths below a place that go through a shared word, and all.
fn shared_paths(node: &Node, level: usize, on: bool, shared: &BTreeMap<Feature<'_>, usize>) -> (u64, u64) {
    let (mut hits, mut all) = (0, 0);
    for (segment, child) in &node.children {
        let on = on || shared.contains_key(&(level, &*segment.text));
        let here = child.here().paths;
        let below = shared_paths(child, level + 1, on, shared);
        hits += below.0 + if on { here } else { 0 };
        all += below.1 + here;
    }
    (hits, all)
}

/// Whether a word is one more value of a parameter: it is answered to the same methods and leads to the same words.
pub(super) fn is_alike(word: &Node, parameter: &Node, contexts: u64) -> bool {
    let (here, there) = (word.here(), parameter.here());
    // A word that came often has shown all of its methods.
    let methods = if here.requests >= 10 { here.methods == there.methods } else { here.methods & !there.methods == 0 };
    if here.paths > 0 && (there.paths == 0 || !methods) {
        return false;
    }
    let typed = |node: &Node| node.children.keys().any(|segment| segment.class != Class::Word);
    let parameter_has_typed = typed(parameter);
    let shared = word
        .children
        .keys()
        .filter(|segment| match segment.class {
            Class::Word => parameter.children.contains_key(*segment),
            Class::Typed(_) | Class::Opaque => parameter_has_typed,
        })
        .count();
    if 2 * shared < word.children.len() {
        return false;
    }
    // Below a parameter, a word that occurs behind many of its values is more likely static.
    contexts < 3 || shared >= 2 || 10 * word.contexts < 3 * contexts
}
