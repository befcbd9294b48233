//! From paths to templates, with all of them at hand.
//!
//! The paths form a tree, one segment a level. From the root down, the children of a place are parted:
//!
//! - **Static** is what the configured table knows there, whatever else is found, and every word that nothing below says is a value.
//! - **Typed** segments (`{int}`, `{uuid}`, …: the filter's own classes) are values of a parameter. A single short number with much traffic below
//!   it stays as it is: `/api/2/…`.
//! - **Words** are values of a parameter where they are many and rare. Below a parameter that is seen well: the tree counts behind how many
//!   different values of the parameters above a word occurs, and a static word occurs behind many, a value behind one or two. Elsewhere it takes
//!   more: words that lead to the same words below ([`similar`]), or many leaves of which a good part came once or twice. Few plain words stay
//!   static: to list five collections one by one costs little, to merge them loses what they are. Words like `release-2-1` are readily taken for
//!   values.
//! - **Files** with one common extension become `{name}.html`; a tree of files of many kinds becomes `{path...}` ([`files`]).
//!
//! The children that are values of one parameter are laid over each other, and so it goes on below. Everything is ordered, so the same paths give
//! the same templates.

mod files;
mod known;
mod names;
mod similar;
mod tree;

use std::collections::BTreeMap;

use telemetry::method::Method;
use telemetry::route::{Case, RouteOptions, RouteSpec, TrailingSlash};

use self::known::Known;
use self::names::Names;
use self::tree::{Ends, Node};
use super::paths::KnownPath;
use super::segment::{Class, Segment};

/// Requests that a path without parameters needs to be worth a template.
const MIN_REQUESTS: u64 = 3;
/// Paths that a template with parameters needs.
const MIN_PATHS: u64 = 2;
/// Rare words that make a parameter below another one.
const MIN_RARE: usize = 5;
/// So many values of the parameters above tell words and values apart; that words are many says nothing more then.
const WELL_SEEN: u64 = 8;
/// Words that make a parameter where nothing else speaks for it but that they are alike.
const MIN_WORDS: usize = 16;
/// The same where most of them have digits or hyphens.
const MIN_SLUGS: usize = 6;
/// So many words are a parameter whatever they are: each would be an endpoint of its own.
const MANY_WORDS: usize = 50;
/// Files that make a template of their own.
const MIN_FILES: usize = 5;

/// A template that was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    /// The template.
    pub(super) template: String,
    /// The methods that were answered with something else than 404 and 405.
    pub(super) methods: Vec<Method>,
}

/// The templates of these paths, sorted.
pub(super) fn templates<'a>(
    paths: impl Iterator<Item = &'a KnownPath>,
    specs: &[RouteSpec],
    options: &RouteOptions,
) -> Vec<Found> {
    let mut root = Node::default();
    for path in paths {
        let Some(evidence) = Ends::of(path) else { continue };
        match options.case {
            Case::Sensitive => root.insert(&path.segments, &evidence),
            Case::Insensitive => {
                let folded: Vec<Segment> = path.segments.iter().map(folded).collect();
                root.insert(&folded, &evidence);
            }
        }
    }
    let mut walk = Walk { strict: options.trailing_slash == TrailingSlash::Strict, found: BTreeMap::new() };
    walk.node(root, &mut Names::default(), &Known::new(specs, options.case));
    walk.found.into_iter().map(|(template, mask)| Found { template, methods: tree::methods(mask) }).collect()
}

/// A segment whose case says nothing.
fn folded(segment: &Segment) -> Segment {
    Segment { class: segment.class, text: segment.text.to_ascii_lowercase().into() }
}

struct Walk {
    strict: bool,
    /// Methods by template.
    found: BTreeMap<String, u16>,
}

/// The children of a place, parted.
#[derive(Default)]
struct Parts {
    statics: Vec<(Segment, Node)>,
    parameter: Option<Parameter>,
    /// By extension.
    partials: BTreeMap<Box<str>, Node>,
    tail: Option<Ends>,
}

/// The values of one parameter, laid over each other.
#[derive(Default)]
struct Parameter {
    node: Node,
    /// How many values of each class.
    classes: BTreeMap<Class, u64>,
}

impl Parameter {
    fn take(&mut self, segment: &Segment, node: Node) {
        *self.classes.entry(segment.class).or_insert(0) += 1;
        self.node.absorb(node);
    }
}

impl Walk {
    fn node(&mut self, mut node: Node, names: &mut Names, known: &Known<'_>) {
        self.ends(&node.plain, &node.slash, names);
        let parts = part(&mut node, names.depth(), known);
        drop(node);
        for (segment, child) in parts.statics {
            names.push_literal(&segment.text);
            self.node(child, names, &known.after_literal(&segment.text));
            names.pop();
        }
        for (extension, child) in parts.partials {
            names.push_partial(&extension);
            self.ends(&child.plain, &child.slash, names);
            names.pop();
        }
        if let Some(parameter) = parts.parameter {
            names.push_parameter(known.parameter(), &parameter.classes);
            self.node(parameter.node, names, &known.after_parameter());
            names.pop();
        }
        if let Some(ends) = parts.tail {
            names.push_tail();
            self.ends(&ends, &Ends::default(), names);
            names.pop();
        }
    }

    /// The template of the paths that end here, in the form that more of the requests have, or both where they are two paths.
    fn ends(&mut self, plain: &Ends, slash: &Ends, names: &Names) {
        let mut put = |ends: &Ends, slash: bool| {
            let enough = if names.has_parameter() { ends.paths >= MIN_PATHS } else { ends.requests >= MIN_REQUESTS };
            if enough && ends.methods != 0 {
                *self.found.entry(names.template(slash)).or_insert(0) |= ends.methods;
            }
        };
        if self.strict {
            put(plain, false);
            put(slash, true);
        } else {
            let mut both = plain.clone();
            both.add(slash);
            put(&both, slash.requests > plain.requests);
        }
    }
}

/// Parts the children of a place.
fn part(node: &mut Node, depth: usize, known: &Known<'_>) -> Parts {
    let mut parts = Parts::default();
    let contexts = node.contexts;
    let tree_of_files = depth > 0 && !known.any() && files::is_tree(node);
    let mut typed = Vec::new();
    let mut words: Vec<(Segment, Node)> = Vec::new();
    for (segment, child) in std::mem::take(&mut node.children) {
        match segment.class {
            Class::Word if known.is_literal(&segment.text) => parts.statics.push((segment, child)),
            Class::Word => words.push((segment, child)),
            // A parameter at the root takes every page that a scanner can think of; odd bytes are no reason for one.
            Class::Opaque if depth == 0 => {}
            Class::Typed(_) | Class::Opaque => typed.push((segment, child)),
        }
    }
    let values = values(&words, depth, contexts, known.parameter().is_some());
    if tree_of_files && values.is_none() {
        let mut tail = Ends::default();
        words.iter().chain(&typed).for_each(|(_, child)| child.all_below(&mut tail));
        parts.tail = Some(tail);
        return parts;
    }
    let mut parameter = Parameter::default();
    if let [(segment, child)] = &typed[..]
        && is_version(segment, child)
    {
        parts.statics.append(&mut typed);
    }
    typed.into_iter().for_each(|(segment, child)| parameter.take(&segment, child));
    let partials = files::common_extensions(&words, depth);
    let mut rest = Vec::new();
    let of_words = values.is_some();
    let values = values.unwrap_or_default();
    for (index, (segment, child)) in words.into_iter().enumerate() {
        let extension = files::extension(&segment.text).filter(|_| child.children.is_empty());
        match extension.filter(|extension| partials.contains(*extension)) {
            Some(extension) => parts.partials.entry(extension.into()).or_default().absorb(child),
            None if values.contains(&index) => parameter.take(&segment, child),
            None => rest.push((segment, child)),
        }
    }
    // Where files have a template of their own, the same pages without the extension are no endpoints of their own.
    let leaves = rest.iter().filter(|(_, child)| child.children.is_empty()).count();
    let beside_files = !parts.partials.is_empty() && leaves >= 3 && depth > 0;
    for (segment, child) in rest {
        let alike = of_words && similar::is_alike(&child, &parameter.node, contexts);
        if alike || (beside_files && child.children.is_empty()) {
            parameter.take(&segment, child);
        } else {
            parts.statics.push((segment, child));
        }
    }
    if !parameter.classes.is_empty() {
        parts.parameter = Some(parameter);
    }
    parts
}

/// A short number with everything below it: a version in the path.
fn is_version(segment: &Segment, child: &Node) -> bool {
    segment.class == Class::Typed("{int}")
        && segment.text.len() <= 3
        && !child.children.is_empty()
        && child.requests() >= 20
}

/// Which of the words of a place are values of a parameter; `None` where none are.
fn values(words: &[(Segment, Node)], depth: usize, contexts: u64, configured: bool) -> Option<Vec<usize>> {
    let select = |keep: &dyn Fn(&Segment, &Node) -> bool| -> Vec<usize> {
        let kept = words.iter().enumerate().filter(|(_, (segment, child))| keep(segment, child));
        kept.map(|(index, _)| index).collect()
    };
    let slugs = |indexes: &[usize]| {
        let slugs = indexes.iter().filter_map(|index| words.get(*index)).filter(|(word, _)| names::is_slug(&word.text));
        2 * slugs.count() > indexes.len()
    };
    let enough = |indexes: &[usize]| indexes.len() >= if slugs(indexes) { MIN_SLUGS } else { MIN_WORDS };
    // The table has a parameter here: what is beside its own words are its values.
    if configured && !words.is_empty() {
        return Some(select(&|_, _| true));
    }
    if contexts >= 3 {
        let rare = select(&|_, child| child.contexts <= 2);
        let paths = |indexes: &[usize]| -> u64 {
            indexes.iter().filter_map(|index| words.get(*index)).map(|(_, child)| child.paths()).sum()
        };
        let all: Vec<usize> = (0..words.len()).collect();
        if rare.len() >= MIN_RARE && 7 * paths(&rare) >= paths(&all) && 4 * rare.len() >= words.len() {
            return Some(rare);
        }
    }
    let inner = select(&|_, child| !child.children.is_empty());
    // A value is followed by a word, a collection by a value. So plain words have to share what comes next; what comes later collections share
    // as well: `/pods/7/status`, `/jobs/7/status`.
    let well_seen = contexts >= WELL_SEEN;
    let levels = if slugs(&inner) && !well_seen { similar::LEVELS } else { 1 };
    let group = similar::group(words, &inner, levels);
    if enough(&group) && 2 * group.len() >= inner.len() && (depth > 0 || group.len() >= MIN_WORDS) {
        return Some(group);
    }
    if well_seen {
        return None;
    }
    if inner.len() >= MANY_WORDS {
        return Some(inner);
    }
    let leaves = select(&|segment, child| child.children.is_empty() && files::extension(&segment.text).is_none());
    let once = leaves.iter().filter_map(|index| words.get(*index)).filter(|(_, child)| child.requests() <= 2).count();
    let open = enough(&leaves) && 4 * once >= leaves.len();
    (depth > 0 && (open || leaves.len() >= MANY_WORDS)).then_some(leaves)
}

#[cfg(test)]
mod tests;
