//! How endpoints come into being that no template names.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use proptest::prelude::*;

fn learning(limits: &str) -> Filter {
    filter(&format!(
        r#"{{"routes": {{"unmatched": "placeholders", "placeholders": {limits}, "table": [
            {{"template": "/api/v1/users/{{id}}"}}, {{"template": "/api/v1/users/me"}}, {{"template": "/reports/2024/summary"}}]}}}}"#
    ))
}

fn asked(filter: &Filter, state: &mut State, pools: &mut Pools, path: &str, statuses: &[u16]) -> Vec<String> {
    statuses.iter().map(|status| exchange(filter, state, pools, path, *status)).collect()
}

#[test]
fn several_hits_are_needed_and_404_is_none() {
    let filter = learning(r#"{"min_hits": 3}"#);
    let (mut state, mut pools) = (State::new(&filter), Pools::default());
    let labels = asked(&filter, &mut state, &mut pools, "/w/1", &[200, 404, 405, 302, 404, 404]);
    assert_eq!(labels, ["unknown"; 6]);
    assert_eq!(pools.asked, 0);
    assert_eq!(exchange(&filter, &mut state, &mut pools, "/w/2", 500), "/w/{int}");
    assert_eq!(exchange(&filter, &mut state, &mut pools, "/w/3", 404), "/w/{int}");
    // Another worker counts its own hits, until it hears of the admission.
    let mut other = State::new(&filter);
    assert_eq!(exchange(&filter, &mut other, &mut pools, "/w/4", 200), "unknown");
    let value = pools.values.get(&Pool::Endpoints).unwrap().clone();
    other.sync(&filter, Pool::Endpoints, &value);
    assert_eq!(exchange(&filter, &mut other, &mut pools, "/w/4", 200), "/w/{int}");
}

#[test]
fn one_parent_cannot_take_all_the_room() {
    let filter = learning(r#"{"min_hits": 1, "max_endpoints": 20, "max_per_parent": 2}"#);
    let (mut one, mut two, mut pools) = (State::new(&filter), State::new(&filter), Pools::default());
    assert_eq!(exchange(&filter, &mut one, &mut pools, "/api/a/1", 200), "/api/a/{int}");
    assert_eq!(exchange(&filter, &mut two, &mut pools, "/api/b", 200), "/api/b");
    // Neither worker knows of both, but the pool does.
    assert_eq!(exchange(&filter, &mut one, &mut pools, "/api/junk", 200), "_overflow");
    assert_eq!(exchange(&filter, &mut one, &mut pools, "/api/junk", 404), "unknown");
    assert_eq!(exchange(&filter, &mut one, &mut pools, "/api/a/1/more", 200), "/api/a/{int}/more");
    assert_eq!(exchange(&filter, &mut one, &mut pools, "/other/1", 200), "/other/{int}");
    assert_eq!(exchange(&filter, &mut one, &mut pools, "/third", 200), "_overflow");
    // Once a worker knows a full place, it asks no more about it.
    let value = pools.values.get(&Pool::Endpoints).unwrap().clone();
    two.sync(&filter, Pool::Endpoints, &value);
    let before = pools.asked;
    assert_eq!(exchange(&filter, &mut two, &mut pools, "/api/junk", 200), "_overflow");
    assert_eq!(pools.asked, before);
    assert!(!two.is_full(Pool::Endpoints));
}

#[test]
fn templates_have_their_labels_whatever_was_learned() {
    let filter = learning(r#"{"min_hits": 1, "max_endpoints": 1}"#);
    let (mut state, mut pools) = (State::new(&filter), Pools::default());
    assert_eq!(exchange(&filter, &mut state, &mut pools, "/api/v1/users/7", 404), "/api/v1/users/{id}");
    assert_eq!(exchange(&filter, &mut state, &mut pools, "/reports/2024/other", 200), "/reports/2024/other");
    assert_eq!(exchange(&filter, &mut state, &mut pools, "/api/v1/orders/7", 200), "_overflow");
    assert_eq!(exchange(&filter, &mut state, &mut pools, "/api/v1/users/7", 200), "/api/v1/users/{id}");
    assert_eq!(exchange(&filter, &mut state, &mut pools, "/api/v1/users/me", 500), "/api/v1/users/me");
}

#[test]
fn a_scanner_learns_nothing_and_leaves_room_for_what_is_used() {
    let filter = learning(r#"{"min_hits": 3, "max_endpoints": 10}"#);
    let (mut state, mut pools) = (State::new(&filter), Pools::default());
    for number in 0..20_000 {
        // A catch-all page answers the junk with 200: the answers do not tell it from the rest.
        let label = exchange(&filter, &mut state, &mut pools, &format!("/x{number}a/y{number}b"), 200);
        assert_eq!(label, "unknown");
        if number % 20 == 0 {
            exchange(&filter, &mut state, &mut pools, &format!("/orders/{number}"), 200);
        }
    }
    assert_eq!(exchange(&filter, &mut state, &mut pools, "/orders/1", 200), "/orders/{int}");
    assert_eq!(pools.asked, 1);
}

type Traffic = Vec<(&'static str, u16)>;

fn traffic() -> impl Strategy<Value = Traffic> {
    let path = prop::sample::select(vec![
        "/api/v1/users/7",
        "/api/v1/users/me",
        "/api/v1/users/",
        "/reports/2024/summary",
        "/reports/2024/7",
        "/reports/7/7",
        "/a/1",
        "/a/2",
        "/a/x",
        "/b",
        "/c/0190b0a0-7c1e-7d3e-9c43-3f0f5a1b2c3d",
        "/wp-login.php",
    ]);
    prop::collection::vec((path, prop::sample::select(vec![200_u16, 404, 405, 500])), 0..60)
}

/// The labels that each path had.
fn labels(filter: &Filter, traffic: &Traffic) -> BTreeMap<&'static str, BTreeSet<String>> {
    let (mut state, mut pools) = (State::new(filter), Pools::default());
    let mut seen: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (path, status) in traffic {
        seen.entry(path).or_default().insert(exchange(filter, &mut state, &mut pools, path, *status));
    }
    seen
}

proptest! {
    /// A path has one label of its own, the same in every instance whatever came before; beside it only `unknown` and `_overflow`, and
    /// those never for a path that a template covers.
    #[test]
    fn instances_agree_on_every_label(one in traffic(), two in traffic(), max_endpoints in 1_usize..6, max_per_parent in 1_usize..4, min_hits in 1_usize..4) {
        let limits = format!(r#"{{"max_endpoints": {max_endpoints}, "max_per_parent": {max_per_parent}, "min_hits": {min_hits}}}"#);
        let filter = learning(&limits);
        let mut own: BTreeMap<&str, String> = BTreeMap::new();
        for seen in [labels(&filter, &one), labels(&filter, &two)] {
            let mut learned = BTreeSet::new();
            for (path, labels) in seen {
                let templated = path.starts_with("/api/v1/users/") && path.len() > 14 || path == "/reports/2024/summary";
                for label in labels {
                    if label == "unknown" || label == "_overflow" {
                        prop_assert!(!templated, "{}", path);
                        continue;
                    }
                    if !templated {
                        learned.insert(label.clone());
                    }
                    prop_assert_eq!(own.entry(path).or_insert_with(|| label.clone()), &label);
                }
            }
            prop_assert!(learned.len() <= max_endpoints);
        }
    }
}
