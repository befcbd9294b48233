//! Header maps against a plain list, and the encoding of pairs against hostile bytes.

use proptest::prelude::*;

use super::HeaderMap;

/// What can be done to a map.
#[derive(Debug, Clone)]
enum Step {
    Add(u8, Vec<u8>),
    Set(u8, Vec<u8>),
    Remove(u8),
    Clear,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let name = 0..5_u8;
    let value = prop::collection::vec(any::<u8>(), 0..40);
    let step = prop_oneof![
        4 => (name.clone(), value.clone()).prop_map(|(name, value)| Step::Add(name, value)),
        3 => (name.clone(), value).prop_map(|(name, value)| Step::Set(name, value)),
        2 => name.prop_map(Step::Remove),
        1 => Just(Step::Clear),
    ];
    prop::collection::vec(step, 0..400)
}

/// A name, sometimes in capitals.
fn name(number: u8, step: usize) -> String {
    let name = format!("x-{number}");
    if step.is_multiple_of(2) { name.to_ascii_uppercase() } else { name }
}

#[test]
fn what_is_replaced_comes_last_of_its_kind() {
    let mut map = HeaderMap::from([(":method", "GET"), (":path", "/"), ("a", "1"), ("b", "2"), ("A", "3")]);
    map.replace(b"a", b"4");
    map.replace(b":method", b"PUT");
    assert_eq!(map, HeaderMap::from([(":path", "/"), (":method", "PUT"), ("b", "2"), ("a", "4")]));
    map.append(b":authority", b"x");
    map.append(b":path", b"y");
    map.append(b"b", b"5");
    let all = [(":path", "/,y"), (":method", "PUT"), (":authority", "x"), ("b", "2"), ("a", "4"), ("b", "5")];
    assert_eq!(map, HeaderMap::from(all));
}

proptest! {
    #[test]
    fn behaves_like_a_list_of_lines(steps in steps()) {
        let mut map = HeaderMap::new();
        let mut list: Vec<(String, Vec<u8>)> = Vec::new();
        for (index, step) in steps.into_iter().enumerate() {
            match step {
                Step::Add(number, value) => {
                    map.add(name(number, index), &value);
                    list.push((format!("x-{number}"), value));
                }
                Step::Set(number, value) => {
                    let key = format!("x-{number}");
                    map.set(name(number, index), &value);
                    let place = list.iter().position(|(known, _)| *known == key).unwrap_or(list.len());
                    list.retain(|(known, _)| *known != key);
                    list.insert(place, (key, value));
                }
                Step::Remove(number) => {
                    let there = list.iter().any(|(known, _)| *known == format!("x-{number}"));
                    prop_assert_eq!(map.remove(name(number, index)), there);
                    list.retain(|(known, _)| *known != format!("x-{number}"));
                }
                Step::Clear => {
                    map.clear();
                    list.clear();
                }
            }
            let lines: Vec<_> = map.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
            let expected: Vec<_> = list.iter().map(|(name, value)| (name.clone().into_bytes(), value.clone())).collect();
            prop_assert_eq!(lines, expected);
            prop_assert_eq!(map.byte_size(), list.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>());
        }
        let mut encoded = Vec::new();
        map.encode_pairs(&mut encoded);
        prop_assert_eq!(encoded.len(), map.encoded_len());
        prop_assert_eq!(HeaderMap::decode_pairs(&encoded), map);
    }

    #[test]
    fn no_bytes_are_too_strange_to_decode(bytes in prop::collection::vec(any::<u8>(), 0..200), count in 0..6_u8) {
        let _ = HeaderMap::decode_pairs(&bytes);
        let mut framed = vec![count, 0, 0, 0];
        framed.extend(bytes);
        let _ = HeaderMap::decode_pairs(&framed);
    }
}

#[test]
fn a_map_that_is_rewritten_for_ever_stays_small() {
    let mut map = HeaderMap::new();
    for number in 0..100_000_u32 {
        map.set("x-number", number.to_string());
    }
    assert!(map.bytes.capacity() < 64 << 10, "{}", map.bytes.capacity());
    assert_eq!(map.get("X-Number"), Some(&b"99999"[..]));
}

#[test]
fn pairs_past_envoys_bounds_are_an_empty_map() {
    let encode = |count: usize, length: usize| {
        let map: HeaderMap = (0..count).map(|_| ("a", vec![b'v'; length])).collect();
        let mut bytes = Vec::new();
        map.encode_pairs(&mut bytes);
        HeaderMap::decode_pairs(&bytes).len()
    };
    assert_eq!((encode(1024, 1), encode(1025, 1)), (1024, 0));
    assert_eq!((encode(1, (1 << 20) - 15), encode(1, (1 << 20) - 14)), (1, 0));
}
