//! What each request is for is certain: a slow matcher that shares nothing with the router says the same.

use std::collections::BTreeSet;

use super::super::table;
use super::*;
use crate::client::{self, Protocol};

fn traffic(routes: usize) -> Traffic {
    Traffic::new(table::routes(routes, 1), HeaderName::from_static("x-correlation-id"), 1)
}

/// Whether a template's segments cover a path's: every way is tried.
fn covers(template: &[&str], path: &[&str]) -> bool {
    match (template.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((segment, [])), Some(_)) if segment.ends_with("...}") => path.iter().any(|part| !part.is_empty()),
        (Some((segment, template)), Some((part, path))) => {
            let fits = match (segment.split_once('{'), segment.rsplit_once('}')) {
                (None, _) | (_, None) => segment == part,
                (Some((prefix, inner)), Some((_, suffix))) => {
                    let middle =
                        inner.split_once('}').and_then(|(_, rest)| rest.split_once('{')).map_or("", |(text, _)| text);
                    let inside = part
                        .strip_prefix(prefix)
                        .and_then(|rest| rest.strip_suffix(suffix))
                        .filter(|rest| !rest.is_empty());
                    inside.is_some_and(|rest| {
                        middle.is_empty()
                            || rest
                                .split_once(middle)
                                .is_some_and(|(left, right)| !left.is_empty() && !right.is_empty())
                    })
                }
            };
            fits && covers(template, path)
        }
        (None, Some(_)) | (Some(_), None) => false,
    }
}

/// The path as a proxy that normalises would have it: what the table is matched against. Only as much as these paths need.
fn normal(target: &str) -> String {
    let path = target.split('?').next().unwrap().replace("%61", "a").replace("%69", "i").replace("%2e", ".");
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    format!("/{}", parts.join("/"))
}

fn segments(path: &str) -> Vec<&str> {
    path.split('/').filter(|part| !part.is_empty()).collect()
}

/// The templates that cover a path, in either reading: as it came, and normalised.
fn covering<'a>(routes: &'a [RouteSpec], target: &str) -> BTreeSet<&'a str> {
    let (raw, normal) = (target.split('?').next().unwrap(), normal(target));
    routes
        .iter()
        .map(|route| route.template.as_str())
        .filter(|template| {
            let template = segments(template);
            covers(&template, &segments(raw)) || covers(&template, &segments(&normal))
        })
        .collect()
}

#[test]
fn no_template_covers_junk_and_no_path_comes_twice() {
    let traffic = traffic(320);
    let mut seen = BTreeSet::new();
    for number in (0..20_000).filter(|number| Traffic::is_junk(*number)) {
        let planned = traffic.request(number);
        assert_eq!(planned.route, None);
        assert_eq!(covering(&traffic.routes, &planned.target), BTreeSet::new(), "{}", planned.target);
        let path = planned.target.split('?').next().unwrap().to_owned();
        assert!(seen.insert(path), "twice: {}", planned.target);
    }
}

#[test]
fn junk_of_every_kind_is_sent_and_not_junk_alone() {
    let traffic = traffic(160);
    let kinds = [
        "wp-login.php",
        "readme.txt",
        ".php?cmd",
        "/../../",
        "/%2e%2e/",
        "%00.jpg",
        "%0d%0a",
        "aaaaaaaa",
        "/x/x/x/x",
        ".bin",
        ";jsessionid",
        "///.//",
        "%ff%fe",
        "@example.com",
    ];
    let targets: Vec<String> = (0..2_000).map(|number| traffic.request(number).target).collect();
    for kind in kinds {
        let number = targets.iter().filter(|target| target.contains(kind)).count();
        assert!(number >= 3, "{kind}: {number}");
    }
    assert_eq!((0..2_000).filter(|number| Traffic::is_junk(*number)).count(), 1_200);
}

#[test]
fn a_million_junk_paths_are_a_million() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    // The least of each: what is random may only add to it.
    let seen: std::collections::HashSet<u64> = (0..1_000_000)
        .map(|number| {
            use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
            let target = junk::target(number, "/api/v1/fleet/agents", &mut rng);
            BuildHasherDefault::<DefaultHasher>::default().hash_one(normal(&target))
        })
        .collect();
    assert_eq!(seen.len(), 1_000_000);
}

#[test]
fn a_call_is_covered_by_its_own_template() {
    let traffic = traffic(320);
    let mut called = BTreeSet::new();
    let mut backtracked = 0;
    for number in (0..20_000).filter(|number| !Traffic::is_junk(*number)) {
        let planned = traffic.request(number);
        let route = &traffic.routes[planned.route.unwrap() as usize];
        let covering = covering(&traffic.routes, &planned.target);
        // A static sibling before a parameter is the only choice that the table leaves.
        let first = covering.iter().min_by_key(|template| template.contains('{')).unwrap();
        assert!(
            covering.contains(route.template.as_str()) && (covering.len() == 1 || *first == route.template),
            "{}: for {}, covered by {covering:?}",
            planned.target,
            route.template
        );
        backtracked += u32::from(planned.target.contains("/search/") && route.template.contains('{'));
        called.insert(planned.route);
    }
    assert_eq!(called.len(), 320);
    assert!(backtracked > 100, "{backtracked}");
}

#[test]
fn every_request_can_be_sent_on_both_protocols() {
    let traffic = traffic(160);
    for number in 0..20_000 {
        let planned = traffic.request(number);
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let uri = client::uri(protocol, "127.0.0.1:1", &planned.target);
            let sent = uri.map(|uri| uri.path_and_query().map(ToString::to_string));
            assert_eq!(sent.ok().flatten().as_deref(), Some(&*planned.target));
        }
    }
}
