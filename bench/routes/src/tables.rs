//! Tables in the shape of GitHub's, at any size, made from a seed.
//!
//! GitHub's 811 templates lie below 50 first segments, have 2 to 10 segments, and at 38 places text stands beside a parameter. Here every
//! size draws from one list of shapes, so that depth and the share of each kind are the same; what grows with a table is what grows with an
//! API: the number of first segments, and of texts in one place. Everything is in what both routers can do.

use std::collections::BTreeSet;

use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};
use telemetry::method::Method;
use telemetry::route::RouteSpec;

/// The sizes at which routers are compared.
pub const SIZES: [usize; 3] = [100, 1_000, 10_000];

/// Shapes of templates below a first segment, and how many in a hundred have them: `s` is text, `p` a parameter, `f` a parameter with text
/// after it, `v` one with text before it, `r` the rest of the path.
const SHAPES: [(&str, u32); 17] = [
    ("s", 6),
    ("ss", 8),
    ("sp", 8),
    ("sps", 12),
    ("p", 3),
    ("ps", 8),
    ("pss", 7),
    ("psp", 7),
    ("psps", 7),
    ("pps", 8),
    ("ppss", 7),
    ("ppsp", 6),
    ("ppsps", 6),
    ("ppspsp", 2),
    ("ppsf", 2),
    ("ppsv", 1),
    ("ppsr", 2),
];

const NOUNS: [&str; 64] = [
    "actions",
    "activity",
    "advisories",
    "alerts",
    "apps",
    "archive",
    "artifacts",
    "assignees",
    "attestations",
    "audit-log",
    "autolinks",
    "billing",
    "blocks",
    "branches",
    "budgets",
    "caches",
    "campaigns",
    "check-runs",
    "check-suites",
    "code-scanning",
    "codespaces",
    "collaborators",
    "comments",
    "commits",
    "compare",
    "contents",
    "contributors",
    "copilot",
    "custom-properties",
    "dependabot",
    "dependency-graph",
    "deployments",
    "dispatches",
    "environments",
    "events",
    "failed_invitations",
    "followers",
    "forks",
    "hooks",
    "installations",
    "invitations",
    "issues",
    "keys",
    "labels",
    "languages",
    "licenses",
    "merges",
    "milestones",
    "network-configurations",
    "notifications",
    "packages",
    "pages",
    "permissions",
    "projectsV2",
    "protection",
    "pulls",
    "rate-limit",
    "releases",
    "rulesets",
    "runners",
    "secrets",
    "subscription",
    "teams",
    "variables",
];

const PARAMETERS: [&str; 12] = [
    "owner",
    "repo",
    "org",
    "username",
    "issue_number",
    "comment_id",
    "run_id",
    "ref",
    "branch",
    "hook_id",
    "team_slug",
    "environment_name",
];

/// A table with so many different templates, each for one to three methods.
#[must_use]
pub fn made(size: usize) -> Vec<RouteSpec> {
    let mut rng = ChaCha8Rng::seed_from_u64(size as u64);
    // Both grow with the square root: ten first segments of ten templates, thirty of thirty, a hundred of a hundred.
    let width = size.isqrt().max(1);
    let mut known = BTreeSet::new();
    let mut accepted = matchit::Router::new();
    let mut table = Vec::with_capacity(size);
    while table.len() < size {
        let (template, shape) = template(&mut rng, width);
        // Two names for one place are no new template, and some places cannot have two kinds of parameter in `matchit`.
        if !known.insert(shape.clone()) || accepted.insert(shape, ()).is_err() {
            continue;
        }
        let methods = match rng.random_range(0..10) {
            0..5 => vec![Method::Get],
            5..7 => vec![Method::Get, Method::Post],
            7..9 => vec![Method::Get, Method::Patch, Method::Delete],
            _ => vec![Method::Put],
        };
        table.push(RouteSpec { methods: Some(methods), template, name: None });
    }
    table
}

/// A template, and the same with its parameters numbered, as `matchit` writes it.
fn template(rng: &mut ChaCha8Rng, width: usize) -> (String, String) {
    let mut drawn = rng.random_range(0..SHAPES.iter().map(|(_, share)| share).sum::<u32>());
    let mut shape = SHAPES[0].0;
    for (candidate, share) in SHAPES {
        shape = candidate;
        match drawn.checked_sub(share) {
            Some(left) => drawn = left,
            None => break,
        }
    }
    let first = text(rng.random_range(0..width));
    let (mut template, mut same) = (format!("/{first}"), format!("/{first}"));
    for (position, kind) in shape.chars().enumerate() {
        let name = PARAMETERS.choose(rng).copied().unwrap_or("id");
        let (ours, its) = match kind {
            's' => {
                let text = text(skewed(rng, width));
                (text.clone(), text)
            }
            'f' => (format!("{{{name}_{position}}}.json"), format!("{{p{position}}}.json")),
            'v' => (format!("v{{{name}_{position}}}"), format!("v{{p{position}}}")),
            'r' => (format!("{{{name}_{position}...}}"), format!("{{*p{position}}}")),
            _ => (format!("{{{name}_{position}}}"), format!("{{p{position}}}")),
        };
        for (text, segment) in [(&mut template, ours), (&mut same, its)] {
            text.push('/');
            text.push_str(&segment);
        }
    }
    (template, same)
}

/// A number below about twice `width`, small ones more often: some words are everywhere, most are rare.
fn skewed(rng: &mut ChaCha8Rng, width: usize) -> usize {
    let most = 2 * width.max(8);
    rng.random_range(0..most).min(rng.random_range(0..most))
}

/// The word with a number: a noun, then two nouns.
fn text(number: usize) -> String {
    let noun = |number: usize| NOUNS.get(number % NOUNS.len()).copied().unwrap_or("noun");
    match number.checked_sub(NOUNS.len()) {
        None => noun(number).to_owned(),
        Some(more) => format!("{}-{}", noun(more / NOUNS.len() + more), noun(more * 7 + 3)),
    }
}

/// A configuration of the plugin with this table, whose series are few enough for any table. `routes` has more fields of that section.
#[must_use]
pub fn config(table: &[RouteSpec], mut routes: Value) -> Vec<u8> {
    let entries = table.iter().map(|route| {
        let mut entry = Map::new();
        entry.insert("template".to_owned(), route.template.as_str().into());
        if let Some(methods) = &route.methods {
            entry.insert("methods".to_owned(), methods.iter().map(|method| method.as_str()).collect());
        }
        if let Some(name) = &route.name {
            entry.insert("name".to_owned(), name.as_str().into());
        }
        Value::Object(entry)
    });
    if let Some(fields) = routes.as_object_mut() {
        fields.insert("table".to_owned(), entries.collect());
    }
    let metrics =
        json!({"series_budget": 10_000_000, "statuses": [200], "extra_statuses": 0, "buckets_seconds": [1.0]});
    json!({"routes": routes, "metrics": metrics}).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_their_size_and_are_the_same_each_time() {
        for size in [100, 1_000] {
            let table = made(size);
            assert_eq!(table.len(), size);
            assert_eq!(table, made(size));
            let mut bench = crate::Bench::new(&config(&table, json!({}))).unwrap();
            assert_eq!(bench.add_matchit(), &[], "nothing that matchit has no form for");
        }
    }

    #[test]
    fn depth_is_the_same_at_every_size() {
        let mean = |size: usize| {
            let segments: usize = made(size).iter().map(|route| route.template.matches('/').count()).sum();
            segments as f64 / size as f64
        };
        let (small, large) = (mean(100), mean(10_000));
        assert!((small - large).abs() < 0.5, "{small} and {large} segments");
    }
}
