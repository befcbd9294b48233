//! What is remembered of the paths that no template covers: distinct paths with their answers, within fixed bounds.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use telemetry::method::Method;

use super::segment::{Probe, Segment};

/// Paths remembered at a time.
pub const MAX_PATHS: usize = 100_000;
/// Bytes of paths remembered at a time.
const MAX_BYTES: usize = 64 << 20;
/// Paths of one shape remembered at a time: of a million numbers, the first few tell all.
const MAX_OF_A_SHAPE: usize = 128;
/// Different paths told apart in the count of paths; past that the count is a lower bound.
const MAX_COUNTED: usize = 1_000_000;
/// Pairs of method and status told apart for one path; past that statuses are rounded to their hundred.
const MAX_ANSWERS: usize = 16;

/// Requests by method and status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Answers(Vec<(Method, u16, u64)>);

impl Answers {
    pub(super) fn add(&mut self, method: Method, status: u16, requests: u64) {
        let full = self.0.len() >= MAX_ANSWERS;
        let known = self.0.iter().any(|(m, s, _)| (*m, *s) == (method, status));
        let status = if full && !known { status.min(1000) / 100 * 100 } else { status };
        match self.0.iter_mut().find(|(m, s, _)| (*m, *s) == (method, status)) {
            Some((_, _, count)) => *count = count.saturating_add(requests),
            None => self.0.push((method, status, requests)),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Method, u16, u64)> + '_ {
        self.0.iter().copied()
    }

    pub(super) fn requests(&self) -> u64 {
        self.0.iter().map(|(_, _, requests)| requests).sum()
    }

    fn extend(&mut self, other: &Self) {
        other.iter().for_each(|(method, status, requests)| self.add(method, status, requests));
    }
}

/// One path.
#[derive(Debug, Clone)]
pub(super) struct KnownPath {
    pub(super) segments: Vec<Segment>,
    pub(super) answers: Answers,
}

/// The paths of one shape, as they are shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Shape {
    pub(super) requests: u64,
    pub(super) paths: u64,
    /// The first few in alphabetical order, of those that are still remembered.
    pub(super) examples: Vec<String>,
}

#[derive(Debug, Default)]
struct ShapeCount {
    kept: usize,
    distinct: u64,
    surplus: Answers,
}

/// The store. When it is full, the half with the fewest requests makes room: what gets traffic stays.
#[derive(Debug)]
pub(super) struct Paths {
    capacity: usize,
    known: HashMap<Box<[u8]>, KnownPath>,
    shapes: HashMap<String, ShapeCount>,
    bytes: usize,
    counted: HashSet<u64>,
    /// Requests whose path was forgotten again.
    forgotten: u64,
}

impl Paths {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            known: HashMap::new(),
            shapes: HashMap::new(),
            bytes: 0,
            counted: HashSet::new(),
            forgotten: 0,
        }
    }

    /// Remembers one request.
    pub(super) fn add(&mut self, probe: &Probe, method: Method, path: &[u8], status: u16) {
        if let Some(known) = self.known.get_mut(path) {
            known.answers.add(method, status, 1);
            return;
        }
        let segments = probe.segments(path);
        let shape = self.shapes.entry(shape_of(&segments)).or_default();
        if self.counted.len() < MAX_COUNTED && self.counted.insert(hash(path)) {
            shape.distinct += 1;
        }
        if shape.kept >= MAX_OF_A_SHAPE {
            shape.surplus.add(method, status, 1);
            return;
        }
        shape.kept += 1;
        let mut answers = Answers::default();
        answers.add(method, status, 1);
        self.bytes += path.len();
        self.known.insert(path.into(), KnownPath { segments, answers });
        if self.known.len() > self.capacity || self.bytes > MAX_BYTES {
            self.make_room();
        }
    }

    /// Forgets the half with the fewest requests; among equals a hash decides, so that every kind of path keeps some.
    fn make_room(&mut self) {
        let mut order: Vec<(u64, u64, &[u8])> =
            self.known.iter().map(|(path, known)| (known.answers.requests(), hash(path), &**path)).collect();
        order.sort_unstable();
        order.truncate(order.len().div_ceil(2));
        let leave: HashSet<Box<[u8]>> = order.into_iter().map(|(_, _, path)| path.into()).collect();
        for path in leave {
            let Some(known) = self.known.remove(&path) else { continue };
            self.bytes = self.bytes.saturating_sub(path.len());
            self.forgotten = self.forgotten.saturating_add(known.answers.requests());
            let name = shape_of(&known.segments);
            let empty = self.shapes.get_mut(&name).is_some_and(|shape| {
                shape.kept = shape.kept.saturating_sub(1);
                shape.kept == 0
            });
            if empty && let Some(shape) = self.shapes.remove(&name) {
                self.forgotten = self.forgotten.saturating_add(shape.surplus.requests());
            }
        }
    }

    /// How many paths are remembered.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// Requests whose path was forgotten to make room.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Different paths that came, and whether there were more than could be counted.
    pub(super) fn distinct(&self) -> (u64, bool) {
        (self.counted.len() as u64, self.counted.len() >= MAX_COUNTED)
    }

    /// The remembered paths in alphabetical order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &KnownPath)> {
        let mut all: Vec<(&[u8], &KnownPath)> = self.known.iter().map(|(path, known)| (&**path, known)).collect();
        all.sort_unstable_by_key(|(path, _)| *path);
        all.into_iter()
    }

    /// The same, each with its share of the requests whose path itself was not kept because enough of its shape were.
    pub(super) fn replay(&self) -> Vec<(Vec<u8>, Answers)> {
        let mut seen: HashSet<String> = HashSet::new();
        self.iter()
            .map(|(path, known)| {
                let mut answers = known.answers.clone();
                let name = shape_of(&known.segments);
                if let Some(shape) = self.shapes.get(&name)
                    && seen.insert(name)
                {
                    answers.extend(&shape.surplus);
                }
                (path.to_vec(), answers)
            })
            .collect()
    }

    /// By shape, most requests first.
    pub(super) fn shapes(&self, examples: usize) -> Vec<(String, Shape)> {
        let mut shapes: BTreeMap<String, Shape> = BTreeMap::new();
        for (path, known) in self.iter() {
            let shape = shapes.entry(shape_of(&known.segments)).or_default();
            shape.requests += known.answers.requests();
            if shape.examples.len() < examples {
                shape.examples.push(path.escape_ascii().to_string());
            }
        }
        for (name, shape) in &mut shapes {
            if let Some(counts) = self.shapes.get(name) {
                shape.requests += counts.surplus.requests();
                shape.paths = counts.distinct.max(counts.kept as u64);
            }
        }
        let mut shapes: Vec<(String, Shape)> = shapes.into_iter().collect();
        shapes.sort_by(|a, b| b.1.requests.cmp(&a.1.requests).then_with(|| a.0.cmp(&b.0)));
        shapes
    }
}

/// The shape of a path: its words, and placeholders for the rest.
fn shape_of(segments: &[Segment]) -> String {
    segments.iter().fold(String::new(), |mut shape, segment| {
        shape.push('/');
        shape.push_str(segment.shape());
        shape
    })
}

/// The same in every run, so that the same paths make room.
fn hash(path: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(capacity: usize, paths: impl Iterator<Item = String>) -> Paths {
        let probe = Probe::new().unwrap();
        let mut store = Paths::new(capacity);
        paths.for_each(|path| store.add(&probe, Method::Get, path.as_bytes(), 200));
        store
    }

    #[test]
    fn what_gets_traffic_survives_a_flood() {
        let flood = (0..5_000).flat_map(|n| [format!("/w{n}x"), "/health".to_owned()]);
        let store = filled(100, flood);
        assert!(store.len() <= 100, "{}", store.len());
        assert!(store.iter().any(|(path, known)| path == b"/health" && known.answers.requests() == 5_000));
        assert_eq!(store.distinct(), (5_001, false));
        let kept: u64 = store.iter().map(|(_, known)| known.answers.requests()).sum();
        assert_eq!(kept + store.forgotten(), 10_000);
    }

    #[test]
    fn numbers_do_not_fill_the_store() {
        let store = filled(10_000, (0..5_000).map(|n| format!("/users/{n}")));
        assert_eq!((store.len(), store.forgotten()), (MAX_OF_A_SHAPE, 0));
        let shapes = store.shapes(2);
        assert_eq!(shapes.len(), 1);
        assert_eq!((shapes[0].0.as_str(), shapes[0].1.requests, shapes[0].1.paths), ("/users/{int}", 5_000, 5_000));
        assert_eq!(shapes[0].1.examples, ["/users/0", "/users/1"]);
        assert_eq!(store.replay().iter().map(|(_, answers)| answers.requests()).sum::<u64>(), 5_000);
    }

    #[test]
    fn one_path_has_few_answers() {
        let mut answers = Answers::default();
        for status in 0..=u16::MAX {
            answers.add(Method::Get, status, 1);
        }
        assert_eq!(answers.requests(), 65_536);
        assert!(answers.0.len() <= MAX_ANSWERS + 11, "{}", answers.0.len());
    }

    #[test]
    fn the_same_log_leaves_the_same_paths() {
        let run =
            || filled(50, (0..3_000).map(|n| format!("/a{n}b/c"))).iter().map(|(p, _)| p.to_vec()).collect::<Vec<_>>();
        assert_eq!(run(), run());
    }
}
