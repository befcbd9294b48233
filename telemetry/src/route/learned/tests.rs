//! What is learned, within its bounds.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::{RouteOptions, RouteSpec, Unmatched};
use super::*;

fn table(max_endpoints: usize, max_per_parent: usize) -> RouteTable {
    let limits = PlaceholderLimits { max_endpoints, max_per_parent, min_hits: 1 };
    let options = RouteOptions { unmatched: Unmatched::Placeholders(limits), ..RouteOptions::default() };
    let route = RouteSpec { methods: None, template: "/a/{int}".into(), name: None };
    RouteTable::build(&[route], &options).unwrap()
}

#[test]
fn labels_are_bounded_and_never_name_an_endpoint_twice() {
    let table = table(3, 3);
    let mut learned = Learned::new(&table);
    assert_eq!(learned.get(b"/b"), None);
    assert_eq!(learned.learn(&table, b"/b"), Some(EndpointId(3)));
    assert_eq!(learned.learn(&table, b"/b"), Some(EndpointId(3)));
    assert_eq!(learned.learn(&table, b"/a/{int}"), Some(EndpointId(2)));
    assert_eq!(learned.learn(&table, b"\xff"), None);
    assert_eq!(learned.learn(&table, b""), None);
    assert_eq!(learned.learn(&table, b"/0"), Some(EndpointId(4)));
    assert!(learned.is_full());
    assert_eq!(learned.learn(&table, b"/c"), None);
    assert_eq!(learned.get(b"/0"), Some(EndpointId(4)));
    assert_eq!(learned.label(EndpointId(3)), Some("/b"));
    assert_eq!(learned.label(EndpointId(4)), Some("/0"));
    assert_eq!(learned.label(EndpointId(5)), None);
    assert_eq!(learned.label(EndpointId(2)), None);
}

#[test]
fn each_place_has_so_many_segments_and_no_more() {
    let table = table(100, 2);
    let mut learned = Learned::new(&table);
    for (label, expected) in [
        ("/api/users/{int}", true),
        ("/api/users", true),
        ("/api/orders/{int}", true),
        ("/api/wp-login.php", false),
        ("/api/junk/{int}", false),
        ("/api", true),
        ("/api/users/{uuid}", true),
        ("/api/users/{hex}", false),
        ("/api/users/{int}/a", true),
        ("/api/users/{int}/b", true),
        ("/api/users/{int}/c", false),
        ("/api/users/{int}/a/b/c/d", true),
        ("/", true),
        ("/junk", false),
        ("/apix", false),
    ] {
        assert_eq!(learned.has_room(label.as_bytes()), expected, "{label}");
        if expected {
            assert!(learned.learn(&table, label.as_bytes()).is_some(), "{label}");
        }
    }
}

#[test]
fn without_placeholders_there_is_no_room() {
    let table = RouteTable::build(&[], &RouteOptions::default()).unwrap();
    let mut learned = Learned::new(&table);
    assert!(learned.is_full() && !learned.has_room(b"/a"));
    assert_eq!(learned.learn(&table, b"/a"), None);
}

proptest! {
    /// The worker's own reckoning and the one over the shared list agree, and the cap holds in every place.
    #[test]
    fn both_ways_to_ask_for_room_agree(
        labels in prop::collection::vec(prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "d", "", "{int}"]), 1..4), 0..40),
        max_per_parent in 1_usize..4,
    ) {
        let table = table(1000, max_per_parent);
        let mut learned = Learned::new(&table);
        let mut admitted: Vec<Vec<u8>> = Vec::new();
        for segments in labels {
            let label: Vec<u8> = segments.iter().flat_map(|segment| [b"/", segment.as_bytes()].concat()).collect();
            let room = learned.has_room(&label);
            prop_assert_eq!(room, has_room(admitted.iter().map(|label| &**label), &label, max_per_parent));
            if room {
                prop_assert!(learned.learn(&table, &label).is_some());
                admitted.push(label);
            }
        }
        let mut places: BTreeMap<Vec<u8>, std::collections::BTreeSet<Vec<u8>>> = BTreeMap::new();
        for label in &admitted {
            let segments: Vec<&[u8]> = label[1..].split(|byte| *byte == b'/').collect();
            for (depth, segment) in segments.iter().enumerate() {
                places.entry(segments[..depth].join(&b'/')).or_default().insert(segment.to_vec());
            }
        }
        // Beginnings of different lengths may join to one text ("" and nothing); both then have the cap each.
        let within = places.iter().all(|(place, segments)| segments.len() <= max_per_parent * if place.is_empty() { 2 } else { 1 });
        prop_assert!(within, "{:?}", places);
    }
}
