//! Partial segments against a matcher that tries every cut, and keys against the texts they stand for.

use super::super::split::ROOM;
use super::key::key;
use super::*;
use proptest::prelude::*;

fn terminal(id: u32) -> Terminal {
    let mut terminal = Terminal::new(EndpointId(id));
    Method::ALL.iter().for_each(|method| terminal.declare(*method, EndpointId(id)));
    terminal
}

fn build(mut places: Vec<Place>) -> Trie {
    places.sort_by(|a, b| a.0.cmp(&b.0));
    Trie::build(&places)
}

fn find(trie: &Trie, path: &[u8], split: &Split<'_>) -> Option<EndpointId> {
    trie.find(Method::Get, path, split, Start::ROOT, TrailingSlash::Strict, &mut ()).endpoint
}

/// Counts the nodes that a search looks at.
struct Visits(usize);

impl Watch for Visits {
    fn visit(&mut self) {
        self.0 += 1;
    }
}

/// Tries every way to cut the segment.
fn slowly(literals: &[&[u8]], segment: &[u8]) -> bool {
    let Some((first, rest)) = literals.split_first() else { return segment.is_empty() };
    let Some(after) = segment.strip_prefix(*first) else { return false };
    if rest.is_empty() {
        return after.is_empty();
    }
    (1..=after.len()).any(|cut| slowly(rest, &after[cut..]))
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![Just(b'a'), Just(b'b'), Just(b'.')], 0..3)
}

/// A text that a root may have, often longer than a key.
fn first_text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![0..4_usize, 7..11_usize]
        .prop_flat_map(|length| prop::collection::vec(prop::sample::select(b"ab".to_vec()), length))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn partial_segments_match_what_some_cut_matches(
        prefix in text(),
        middle in prop::collection::vec(text().prop_filter("not empty", |text| !text.is_empty()), 0..3),
        suffix in text(),
        segment in prop::collection::vec(prop_oneof![Just(b'a'), Just(b'b'), Just(b'.')], 0..12),
    ) {
        let pattern = Partial { prefix, middle, suffix };
        let literals: Vec<&[u8]> = std::iter::once(&*pattern.prefix)
            .chain(pattern.middle.iter().map(|text| &**text))
            .chain(std::iter::once(&*pattern.suffix))
            .collect();
        prop_assert_eq!(pattern.matches(&segment, &mut 1000), slowly(&literals, &segment));
    }

    /// Where the first bytes of a path send a search, it finds what it finds from the root.
    #[test]
    fn a_search_may_begin_where_the_first_bytes_lead(
        texts in prop::collection::btree_set(first_text(), 1..8),
        path in prop::collection::vec(prop::sample::select(b"//aabb%?\0".to_vec()), 0..14),
    ) {
        let place = |text: &Vec<u8>, more: &[Segment], id| ([vec![Segment::Static(text.clone())], more.to_vec()].concat(), terminal(id));
        let below = texts.iter().zip(30..).map(|(text, id)| place(text, &[Segment::Static(b"a".to_vec())], id));
        let trie = build(texts.iter().zip(10..).map(|(text, id)| place(text, &[], id)).chain(below).collect());
        let path = [b"/".as_slice(), &path].concat();
        let mut room = ROOM;
        let split = Split::new(&path, &mut room).unwrap();
        let find = |start| trie.find(Method::Get, &path, &split, start, TrailingSlash::Ignore, &mut ()).endpoint;
        let found = match trie.first(&path) {
            First::Miss => None,
            First::Start(start) => find(start),
        };
        prop_assert_eq!(found, find(Start::ROOT), "{:?} in {:?}", path, texts);
    }

    #[test]
    fn a_key_does_not_depend_on_what_follows(path in prop::collection::vec(any::<u8>(), 0..40), start in 0_usize..40, length in 0_usize..40) {
        let start = start.min(path.len());
        let segment = &path[start..(start + length).min(path.len())];
        prop_assert_eq!(key_at(&path, start, segment), key(segment));
    }
}

#[test]
fn texts_that_share_a_key_are_told_apart() {
    let place = |text: &[u8], id: u32| (vec![Segment::Static(text.to_vec())], terminal(id));
    let texts: [&[u8]; 10] = [
        b"",
        b"a",
        b"a\0",
        b"deployment",
        b"deployments",
        b"deploymentz",
        b"deploymen",
        b"deployment-environments",
        b"deployment-environmentz",
        b"deployment-informants",
    ];
    let places: Vec<_> = texts.iter().zip(10..).map(|(text, id)| place(text, id)).collect();
    let trie = build(places);
    for (text, id) in texts.iter().zip(10..) {
        let path = [b"/", *text].concat();
        let mut room = ROOM;
        let split = Split::new(&path, &mut room).unwrap();
        assert_eq!(find(&trie, &path, &split), Some(EndpointId(id)), "{text:?}");
    }
    for path in [b"/deploymenty".as_slice(), b"/deployment-environment_", b"/a\0\0", b"/deployment-environmentss"] {
        let mut room = ROOM;
        let split = Split::new(path, &mut room).unwrap();
        assert_eq!(find(&trie, path, &split), None, "{path:?}");
    }
}

/// Of every path that a root's text begins, and of every one whose first bytes are not plain, the rest has to be looked at.
#[test]
fn first_bytes_turn_away_only_what_no_text_begins() {
    let texts: [&[u8]; 6] = [b"", b"v1", b"customers", b"customer-accounts", b"abcdefg", b"abcdefgh"];
    let trie = build(texts.iter().map(|text| (vec![Segment::Static(text.to_vec())], terminal(7))).collect());
    for path in [
        "/",
        "//x",
        "/v1",
        "/v1/x",
        "/v1?x",
        "/v1#x",
        "/customers",
        "/customers/a-long-rest",
        "/customer-unheard-of",
        "/abcdefg",
        "/abcdefg/x",
        "/abcdefgh",
        "/abcdefgh?",
        "/%76",
        "/v%31",
        "/?",
        "/don't",
    ] {
        assert_ne!(trie.first(path.as_bytes()), First::Miss, "{path}");
    }
    for path in ["/v", "/v2", "/v11", "/v1-", "/abcdef", "/abcdefgi", "/.env", "/wp-login.php?%", "/abcdefg-"] {
        assert_eq!(trie.first(path.as_bytes()), First::Miss, "{path}");
    }
}

/// Every path through this table looks promising until its last segment, the worst that a search can meet.
#[test]
fn a_search_visits_a_node_at_most_once() {
    let depth = 10;
    let places: Vec<_> = (0_u32..1 << depth)
        .map(|bits| {
            let mut segments: Vec<Segment> = (0..depth)
                .map(|level| if bits >> level & 1 == 1 { Segment::Parameter } else { Segment::Static(b"a".to_vec()) })
                .collect();
            segments.push(Segment::Static(b"end".to_vec()));
            (segments, terminal(bits))
        })
        .collect();
    let trie = build(places);
    // Inner nodes number 2^(depth + 1) - 1, and one more for each end, which the path does not come to.
    assert_eq!(trie.nodes, (2 << depth) - 1 + (1 << depth));
    let path = [b"/a".repeat(depth), b"/nowhere".to_vec()].concat();
    let mut room = ROOM;
    let split = Split::new(&path, &mut room).unwrap();
    let mut visits = Visits(0);
    let found = trie.find(Method::Get, &path, &split, Start::ROOT, TrailingSlash::Ignore, &mut visits);
    assert_eq!((found.endpoint, visits.0), (None, (2 << depth) - 1));
}
