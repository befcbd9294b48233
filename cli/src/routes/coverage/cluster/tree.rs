//! The tree of paths, and what is counted at its places.

use std::collections::BTreeMap;

use telemetry::method::Method;

use crate::routes::coverage::paths::KnownPath;
use crate::routes::coverage::segment::{Class, Segment};

/// Files and folders that only scanners ask for; a server that has them answers with 2xx.
const SCANNERS: [&str; 9] = [
    "wp-login.php",
    "wp-admin",
    "wp-content",
    "wp-includes",
    "xmlrpc.php",
    "phpmyadmin",
    "cgi-bin",
    "boaform",
    "actuator",
];

/// Paths that end at one place.
#[derive(Debug, Clone, Default)]
pub(super) struct Ends {
    pub(super) requests: u64,
    pub(super) paths: u64,
    /// One bit for each [`Method::index`].
    pub(super) methods: u16,
}

impl Ends {
    /// What a path says about the templates that there are: nothing unless it was ever answered with 1xx, 2xx or 3xx, and nothing if it is of
    /// the sort that only scanners send.
    pub(super) fn of(path: &KnownPath) -> Option<Self> {
        let mut ends = Self { requests: 0, paths: 1, methods: 0 };
        let (mut good, mut served) = (false, false);
        for (method, status, requests) in path.answers.iter().filter(|(_, status, _)| !matches!(status, 404 | 405)) {
            ends.requests = ends.requests.saturating_add(requests);
            ends.methods |= 1 << method.index();
            good |= (100..400).contains(&status);
            served |= (200..300).contains(&status);
        }
        let last = path.segments.len().saturating_sub(1);
        let junk = path.segments.iter().enumerate().any(|(index, segment)| is_junk(segment, index == last, served));
        (good && !junk).then_some(ends)
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.paths = self.paths.saturating_add(other.paths);
        self.methods |= other.methods;
    }
}

fn is_junk(segment: &Segment, last: bool, served: bool) -> bool {
    let text = &*segment.text;
    let hidden = text.starts_with('.') && text != ".well-known";
    let control = text.chars().any(char::is_control)
        || ["%00", "%0A", "%0D", "%5C", "%2F"].iter().any(|escape| text.contains(escape))
        || text.contains(['\\', '"', '\u{fffd}']);
    let empty = text.is_empty() && !last;
    hidden || control || empty || (!served && segment.class == Class::Word && SCANNERS.contains(&text))
}

/// The methods of a mask, in the order of [`Method::ALL`].
pub(super) fn methods(mask: u16) -> Vec<Method> {
    Method::ALL.into_iter().filter(|method| mask >> method.index() & 1 == 1).collect()
}

/// One place.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    pub(super) children: BTreeMap<Segment, Node>,
    /// Paths that end here without a slash.
    pub(super) plain: Ends,
    /// Paths that end here with one.
    pub(super) slash: Ends,
    /// How many different concrete paths lead here; more than one only once values of a parameter were laid over each other.
    pub(super) contexts: u64,
}

impl Node {
    pub(super) fn insert(&mut self, segments: &[Segment], ends: &Ends) {
        self.contexts = self.contexts.max(1);
        match segments {
            [] => self.plain.add(ends),
            [last] if last.text.is_empty() => self.slash.add(ends),
            [first, rest @ ..] => self.children.entry(first.clone()).or_default().insert(rest, ends),
        }
    }

    /// Lays another place over this one.
    pub(super) fn absorb(&mut self, other: Node) {
        self.plain.add(&other.plain);
        self.slash.add(&other.slash);
        self.contexts += other.contexts;
        for (segment, child) in other.children {
            match self.children.get_mut(&segment) {
                Some(here) => here.absorb(child),
                None => {
                    self.children.insert(segment, child);
                }
            }
        }
    }

    /// Paths that end here.
    pub(super) fn here(&self) -> Ends {
        let mut ends = self.plain.clone();
        ends.add(&self.slash);
        ends
    }

    /// Adds up what ends here and below.
    pub(super) fn all_below(&self, sum: &mut Ends) {
        sum.add(&self.plain);
        sum.add(&self.slash);
        self.children.values().for_each(|child| child.all_below(sum));
    }

    pub(super) fn requests(&self) -> u64 {
        let mut sum = Ends::default();
        self.all_below(&mut sum);
        sum.requests
    }

    pub(super) fn paths(&self) -> u64 {
        let mut sum = Ends::default();
        self.all_below(&mut sum);
        sum.paths
    }
}
