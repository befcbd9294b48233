//! No match allocates, whatever the request: a promise that only a counting allocator can check.

#![allow(clippy::unwrap_used, reason = "this file is tests and nothing else: a panic is how one fails")]

use routes_bench::allocations::{Counting, counts};
use routes_bench::examples::{self, Kind};
use routes_bench::hostile::{self, Search};
use routes_bench::{Bench, Request, Subject, encode, tables};
use serde_json::json;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn check(bench: &mut Bench, what: &str, requests: &[Request]) {
    let list = bench.add_requests(&encode(requests)).unwrap();
    let before = counts().allocations;
    let sum = bench.run(Subject::Ours, list, 2);
    assert_eq!(counts().allocations - before, 0, "{what}");
    assert!(sum.is_some(), "{what}");
}

#[test]
fn no_match_allocates() {
    let table = tables::made(1_000);
    for rules in [json!({}), json!({"case": "insensitive"}), json!({"unmatched": "placeholders"})] {
        let mut bench = Bench::new(&tables::config(&table, rules.clone())).unwrap();
        let mut plain = Bench::new(&tables::config(&table, json!({}))).unwrap();
        plain.add_matchit();
        for kind in Kind::ALL {
            let requests = examples::requests(kind, &table, &plain, 200);
            assert_eq!(requests.len(), 200, "{}", kind.name());
            check(&mut bench, &format!("{}, {rules}", kind.name()), &requests);
        }
        for (what, request) in hostile::fixed() {
            check(&mut bench, &format!("{what}, {rules}"), &[request]);
        }
    }
    for table in [hostile::forking_table(8), hostile::partial_table(64)] {
        let mut bench = Bench::new(&tables::config(&table, json!({}))).unwrap();
        check(&mut bench, "a table made to be worst", &Search::new(&table).widest(40));
    }
}

#[test]
fn the_allocator_counts() {
    let before = counts();
    let bytes = std::hint::black_box(vec![1_u8; 1_000]);
    let after = counts();
    assert_eq!((after.allocations - before.allocations, after.live - before.live), (1, 1_000));
    drop(bytes);
    assert_eq!(counts().live, before.live);
}
