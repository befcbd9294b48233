//! JSON pointers (RFC 6901), compiled into a tree of names.

use thiserror::Error;

use super::MAX_DEPTH;

/// The most pointers in one set.
const MAX_POINTERS: usize = 1024;

/// The longest pointer, in bytes.
const MAX_LENGTH: usize = 1024;

/// A set of JSON pointers, to be looked up together.
///
/// The empty pointer is the whole document. A name that is a whole number without leading zeros is also an index into an array. A pointer may be
/// there twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointers {
    /// Invariants: the first is the document itself; a node comes after its parent; the children of a node stand together, sorted by name.
    nodes: Vec<Node>,
    /// Array indices and their nodes; those of one node stand together, in ascending order.
    indices: Vec<(u32, usize)>,
    /// The node of each pointer.
    targets: Vec<usize>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Node {
    name: Box<str>,
    parent: usize,
    children: Span,
    indices: Span,
    is_target: bool,
}

/// Positions in a list, from the first to before the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    start: usize,
    end: usize,
}

/// A mistake in a pointer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct PointerError {
    /// The pointer's position in the list.
    pub index: usize,
    /// What was found; the cure.
    pub message: String,
}

impl Default for Pointers {
    /// No pointer at all.
    fn default() -> Self {
        Self { nodes: vec![Node::default()], indices: Vec::new(), targets: Vec::new() }
    }
}

impl Pointers {
    /// Compiles a list of pointers, or says what is wrong with the first that is none.
    pub fn compile<S: AsRef<str>>(pointers: &[S]) -> Result<Self, PointerError> {
        if pointers.len() > MAX_POINTERS {
            let message = format!("{} pointers are too many; declare at most {MAX_POINTERS}", pointers.len());
            return Err(PointerError { index: MAX_POINTERS, message });
        }
        let mut sorted = Vec::with_capacity(pointers.len());
        for (index, pointer) in pointers.iter().enumerate() {
            let names = split(pointer.as_ref()).map_err(|message| PointerError { index, message })?;
            insert(&mut sorted, (names, index));
        }
        Ok(Self::from_sorted(&sorted))
    }

    /// One level after the other, so that the children of a node stand together.
    fn from_sorted(sorted: &[(Vec<String>, usize)]) -> Self {
        let mut built = Self { nodes: vec![Node::default()], indices: Vec::new(), targets: vec![0; sorted.len()] };
        // For each node, in order, its depth and the pointers that lead to or through it.
        let mut spans = vec![(0, sorted)];
        let mut parent = 0;
        while let Some((depth, pointers)) = spans.get(parent).copied() {
            let (here, below) = pointers.split_at(pointers.partition_point(|(names, _)| names.len() == depth));
            for (_, index) in here {
                if let Some(target) = built.targets.get_mut(*index) {
                    *target = parent;
                }
            }
            let (first_child, first_index) = (built.nodes.len(), built.indices.len());
            let mut indices = Vec::new();
            for group in below.chunk_by(|(a, _), (b, _)| a.get(depth) == b.get(depth)) {
                let name = group.first().and_then(|(names, _)| names.get(depth)).cloned().unwrap_or_default();
                if let Some(index) = array_index(&name) {
                    insert(&mut indices, (index, built.nodes.len()));
                }
                built.nodes.push(Node { name: name.into(), parent, ..Node::default() });
                spans.push((depth + 1, group));
            }
            built.indices.append(&mut indices);
            let indices = Span { start: first_index, end: built.indices.len() };
            let children = Span { start: first_child, end: built.nodes.len() };
            if let Some(node) = built.nodes.get_mut(parent) {
                (node.children, node.indices, node.is_target) = (children, indices, !here.is_empty());
            }
            parent += 1;
        }
        built
    }

    /// How many pointers there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there are none.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// The text of a pointer.
    #[cfg(feature = "tools")]
    #[must_use]
    pub fn text(&self, index: usize) -> Option<String> {
        let mut node = self.target(index)?;
        let mut names = Vec::new();
        while let Some(parent) = self.parent(node) {
            let name = self.nodes.get(node).map_or("", |node| &*node.name);
            names.push(format!("/{}", name.replace('~', "~0").replace('/', "~1")));
            node = parent;
        }
        names.reverse();
        Some(names.concat())
    }

    /// How many places there are on the way to the pointers' ends, with these.
    #[inline]
    pub(super) fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// The node of a pointer.
    #[inline]
    pub(super) fn target(&self, index: usize) -> Option<usize> {
        self.targets.get(index).copied()
    }

    /// Whether a pointer ends at this node.
    #[inline]
    pub(super) fn is_target(&self, node: usize) -> bool {
        self.nodes.get(node).is_some_and(|node| node.is_target)
    }

    /// The node above, which comes before this one; `None` for the document.
    #[inline]
    pub(super) fn parent(&self, node: usize) -> Option<usize> {
        self.nodes.get(node).filter(|_| node > 0).map(|node| node.parent)
    }

    /// The nodes below.
    #[inline]
    pub(super) fn children(&self, node: usize) -> Span {
        self.nodes.get(node).map(|node| node.children).unwrap_or_default()
    }

    /// The array indices below.
    #[inline]
    pub(super) fn indices(&self, node: usize) -> Span {
        self.nodes.get(node).map(|node| node.indices).unwrap_or_default()
    }

    /// Takes the first of the array indices if it is this one, and gives its node.
    #[inline]
    pub(super) fn take_index(&self, left: &mut Span, index: u32) -> Option<usize> {
        let next = self.indices.get(left.start).filter(|_| left.start < left.end);
        let (_, node) = next.filter(|(next, _)| *next == index)?;
        left.start += 1;
        Some(*node)
    }

    /// Of these nodes, whose names agree in their first `length` bytes, those that go on with `byte`.
    #[inline]
    pub(super) fn narrow(&self, among: Span, length: usize, byte: u8) -> Span {
        let Some(nodes) = self.nodes.get(among.start..among.end) else { return Span::default() };
        let next = |node: &Node| node.name.as_bytes().get(length).copied();
        // A name that ends here sorts before all that go on.
        let start = nodes.partition_point(|node| next(node).is_none_or(|next| next < byte));
        let end = nodes.partition_point(|node| next(node).is_none_or(|next| next <= byte));
        Span { start: among.start + start, end: among.start + end }
    }

    /// Of these nodes, whose names agree in their first `length` bytes, the one whose name ends there.
    #[inline]
    pub(super) fn ends(&self, among: Span, length: usize) -> Option<usize> {
        let first = self.nodes.get(among.start).filter(|_| !among.is_empty())?;
        (first.name.len() == length).then_some(among.start)
    }
}

impl Span {
    #[inline]
    pub(super) fn is_empty(self) -> bool {
        self.start >= self.end
    }
}

/// Adds an item to a sorted list. The standard library's sort would be more code than the rest of this file together.
fn insert<T: Ord>(sorted: &mut Vec<T>, item: T) {
    let place = sorted.partition_point(|known| *known < item);
    sorted.insert(place, item);
}

/// The names that a pointer consists of.
fn split(pointer: &str) -> Result<Vec<String>, String> {
    if pointer.len() > MAX_LENGTH {
        return Err(format!("a pointer of {} bytes is too long; use at most {MAX_LENGTH}", pointer.len()));
    }
    let Some(names) = pointer.strip_prefix('/') else {
        return if pointer.is_empty() {
            Ok(Vec::new())
        } else {
            Err(format!("`{pointer}` does not begin with `/`; write `/{pointer}`, or nothing for the whole document"))
        };
    };
    let names: Vec<String> = names.split('/').map(unescape).collect::<Option<_>>().ok_or_else(|| {
        format!("in `{pointer}` a `~` is followed by neither `0` nor `1`; write `~0` for `~` and `~1` for `/`")
    })?;
    if names.len() > MAX_DEPTH {
        return Err(format!(
            "`{pointer}` is {} levels deep; documents are read down to {MAX_DEPTH}, so name a place above",
            names.len()
        ));
    }
    Ok(names)
}

fn unescape(name: &str) -> Option<String> {
    let mut parts = name.split('~');
    let mut unescaped = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (c, rest) = match part.strip_prefix('0') {
            Some(rest) => ('~', rest),
            None => ('/', part.strip_prefix('1')?),
        };
        unescaped.push(c);
        unescaped.push_str(rest);
    }
    Some(unescaped)
}

/// The index that a name is (RFC 6901, section 4).
fn array_index(name: &str) -> Option<u32> {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
    name.parse().ok().filter(|_| is_plain)
}
