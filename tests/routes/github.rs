//! GitHub's own operations: each matches its own examples and no other's.

use std::collections::BTreeSet;

use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use routes_bench::host::WasmBench;
use routes_bench::{Bench, Request, Subject, encode, tables};
use serde_json::json;
use telemetry::config::Config;
use telemetry::route::{RouteOptions, RouteSpec};

use super::module;
use super::slow_matcher::slowly;

/// One route for each operation, with a name that no other has.
pub(super) fn operations() -> Vec<RouteSpec> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/data/github.yaml")).unwrap();
    let file: serde_json::Value = serde_yaml_ng::from_str(&text).unwrap();
    let config = json!({"routes": {"table": file["routes"]["table"]}, "metrics": {"series_budget": 10_000_000}});
    let config = Config::from_json(config.to_string().as_bytes()).unwrap();
    let operations: Vec<RouteSpec> = config
        .routes()
        .specs()
        .iter()
        .flat_map(|route| {
            route.methods.iter().flatten().map(|method| RouteSpec {
                methods: Some(vec![*method]),
                template: route.template.clone(),
                name: Some(format!("{method} {}", route.template)),
            })
        })
        .collect();
    assert_eq!(operations.len(), 1_223, "GitHub's operations");
    operations
}

/// Every text that is a segment of some template: what no value may be, whatever its place. Simpler than what the router does.
fn texts(operations: &[RouteSpec]) -> BTreeSet<String> {
    operations.iter().flat_map(|route| route.template.split('/')).map(str::to_owned).collect()
}

/// A value as a client may send it, hostile ones among them: what a router could take for something else.
fn value(rng: &mut ChaCha8Rng, texts: &BTreeSet<String>) -> String {
    const ODD: [&str; 24] = [
        ".", "..", "-", "_", "~", "%2F", "%2f%2F", "%2e%2E", "%00", "%25", "%", "%zz", "a%2Fb", "main.", ".git",
        "{owner}", "{}", "*", ":id", ";a=b", "null", "0", "a..b", "\u{e9}",
    ];
    loop {
        let candidate = match rng.random_range(0..10) {
            0 => (*ODD.choose(rng).unwrap()).to_owned(),
            1 => rng.random_range(0..u64::MAX).to_string(),
            2 => format!("{:016x}{:016x}", rng.random::<u64>(), rng.random::<u64>()),
            3 => "x".repeat(rng.random_range(1..400)),
            // Nearly a text of the table: in another case, longer or shorter.
            4 => texts.iter().nth(rng.random_range(0..texts.len())).unwrap().to_ascii_uppercase(),
            5 => format!("{}s", texts.iter().nth(rng.random_range(0..texts.len())).unwrap()),
            6 => texts.iter().nth(rng.random_range(0..texts.len())).unwrap().chars().skip(1).collect(),
            7 => {
                let bytes = (0..rng.random_range(1..9)).map(|_| format!("%{:02x}", rng.random::<u8>()));
                bytes.collect()
            }
            _ => {
                const SAFE: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+,;=:@";
                (0..rng.random_range(1..20)).map(|_| char::from(*SAFE.choose(rng).unwrap())).collect()
            }
        };
        let decoded = decoded(&candidate);
        // `...` stands between two parameters of one template; values with it belong to that.
        if !candidate.is_empty() && !texts.contains(&decoded) && !decoded.contains("...") {
            return candidate;
        }
    }
}

/// A value with every `%XX` of a character that may stand for itself replaced.
fn decoded(value: &str) -> String {
    let mut text = value.to_owned();
    for byte in (0..=127_u8).filter(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(byte)) {
        for triplet in [format!("%{byte:02x}"), format!("%{byte:02X}")] {
            text = if text.contains('%') { text.replace(&triplet, &char::from(byte).to_string()) } else { text };
        }
    }
    text
}

/// One request for each operation, with values drawn anew.
fn examples(operations: &[RouteSpec], values: &[String], rng: &mut ChaCha8Rng) -> Vec<Request> {
    let example = |route: &RouteSpec, rng: &mut ChaCha8Rng| {
        let mut target = String::new();
        let mut rest = &*route.template;
        while let Some((literal, after)) = rest.split_once('{') {
            target.push_str(literal);
            target.push_str(values.choose(rng).unwrap());
            rest = after.split_once('}').unwrap().1;
        }
        target.push_str(rest);
        if rng.random_range(0..8) == 0 {
            target.push_str("?page=2&q=/a/b#c");
        }
        Request { method: route.methods.as_ref().unwrap()[0], target: target.into_bytes() }
    };
    operations.iter().map(|route| example(route, rng)).collect()
}

#[test]
fn every_operation_matches_its_own_examples_and_no_others() {
    const ROUNDS: usize = 3_000;
    const IN_WASM: usize = 1_000;
    let operations = operations();
    let texts = texts(&operations);
    let mut rng = ChaCha8Rng::seed_from_u64(1_223);
    let values: Vec<String> = (0..20_000).map(|_| value(&mut rng, &texts)).collect();
    let config = tables::config(&operations, json!({"label": "name"}));
    let table = Config::from_json(&config).unwrap().routes().table().clone();
    // The number of each operation's label; all are different.
    let numbers: Vec<u32> = operations
        .iter()
        .map(|route| table.labels().iter().position(|label| Some(&**label) == route.name.as_deref()).unwrap() as u32)
        .collect();
    assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), 1_223);
    let mut native = Bench::new(&config).unwrap();
    let mut wasm = WasmBench::new(&module(), &config).unwrap();
    let check = |answers: &[u32], requests: &[Request], how: &str| {
        assert_eq!(answers.len(), numbers.len());
        for ((answer, number), request) in answers.iter().zip(&numbers).zip(requests) {
            let target = String::from_utf8_lossy(&request.target);
            let (found, expected) = (&table.labels()[*answer as usize], &table.labels()[*number as usize]);
            assert_eq!(found, expected, "{how}: {} {target}", request.method);
        }
    };
    for round in 0..ROUNDS {
        let requests = examples(&operations, &values, &mut rng);
        native.clear();
        native.add_requests(&encode(&requests)).unwrap();
        check(&native.answers(Subject::Ours, 0).unwrap(), &requests, "natively");
        if round < IN_WASM {
            wasm.clear().unwrap();
            wasm.add_requests(&requests).unwrap();
            check(&wasm.answers(Subject::Ours, 0).unwrap(), &requests, "in Wasm");
        }
    }
}

/// The slow matcher knows nothing of `%` and `?`, and is slow, so it gets fewer and simpler examples.
#[test]
fn the_slow_matcher_agrees_about_every_operation() {
    let operations = operations();
    let texts = texts(&operations);
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut values = Vec::new();
    while values.len() < 2_000 {
        let value = value(&mut rng, &texts);
        if value.is_ascii() && !value.contains(['%', '?', '#']) {
            values.push(value);
        }
    }
    // Texts of the table as values too: here the slow matcher says whose example it is.
    values.extend(texts.into_iter().filter(|text| !text.is_empty() && !text.contains('{')));
    let native = Bench::new(&tables::config(&operations, json!({}))).unwrap();
    for request in examples(&operations, &values, &mut rng) {
        let path = String::from_utf8(request.target.clone()).unwrap();
        let path = path.split('?').next().unwrap();
        let expected = slowly(&operations, &RouteOptions::default(), request.method, path);
        let found = String::from_utf8(native.answer(Subject::Ours, &request).unwrap()).unwrap();
        assert_eq!(found, expected, "{} {path}", request.method);
    }
}
