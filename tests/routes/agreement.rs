//! Natively, in Wasm and by the slow matcher: one answer, for random tables, paths and rules.

use proptest::prelude::*;
use routes_bench::host::WasmBench;
use routes_bench::{Bench, Request, Subject, encode, tables};
use serde_json::json;
use telemetry::method::Method;
use telemetry::route::{
    Case, DotSegments, DuplicateSlashes, MatrixParameters, PercentEncoding, RouteOptions, TrailingSlash,
    UndeclaredMethods,
};

use super::module;
use super::slow_matcher::{method, path, slowly, spec, without_conflicts};

/// The rules as the configuration has them, for both forms, and as the slow matcher has them.
fn rules() -> impl Strategy<Value = (serde_json::Value, RouteOptions)> {
    (any::<bool>(), any::<bool>()).prop_map(|(insensitive, strict)| {
        let options = RouteOptions {
            case: if insensitive { Case::Insensitive } else { Case::Sensitive },
            trailing_slash: if strict { TrailingSlash::Strict } else { TrailingSlash::Ignore },
            ..RouteOptions::default()
        };
        let case = if insensitive { "insensitive" } else { "sensitive" };
        let trailing_slash = if strict { "strict" } else { "ignore" };
        (json!({"case": case, "trailing_slash": trailing_slash}), options)
    })
}

/// The same with the rules about segments, which the slow matcher does not have.
fn all_rules() -> impl Strategy<Value = (serde_json::Value, RouteOptions)> {
    let switches = (any::<[bool; 4]>(), prop::sample::select(vec!["unreserved", "slashes", "keep"]));
    (rules(), switches).prop_map(|((mut rules, options), ([merge, remove, strip, closed], percent_encoding))| {
        let mut choose = |field: &str, on: bool, word: &str, other: &str| {
            rules[field] = if on { word } else { other }.into();
        };
        choose("duplicate_slashes", merge, "merge", "keep");
        choose("dot_segments", remove, "remove", "keep");
        choose("matrix_parameters", strip, "strip", "keep");
        choose("undeclared_methods", closed, "unknown", "template");
        choose("percent_encoding", true, percent_encoding, "");
        let options = RouteOptions {
            duplicate_slashes: if merge { DuplicateSlashes::Merge } else { DuplicateSlashes::Keep },
            dot_segments: if remove { DotSegments::Remove } else { DotSegments::Keep },
            matrix_parameters: if strip { MatrixParameters::Strip } else { MatrixParameters::Keep },
            undeclared_methods: if closed { UndeclaredMethods::Unknown } else { UndeclaredMethods::Template },
            percent_encoding: match percent_encoding {
                "slashes" => PercentEncoding::Slashes,
                "keep" => PercentEncoding::Keep,
                _ => PercentEncoding::Unreserved,
            },
            ..options
        };
        (rules, options)
    })
}

/// Targets of any bytes, among them those that have a meaning.
fn target() -> impl Strategy<Value = Vec<u8>> {
    let bytes = b"/aab-.%2f5c?#;:{}*~AB\0\xff".to_vec();
    let piece = prop_oneof![
        6 => prop::sample::select(bytes).prop_map(|byte| vec![byte]),
        2 => prop::sample::select(vec!["/a", "/ab", "%41", "%2F", "%61", "//", "/./", "/../", ";v=1", "http://h/a"]).prop_map(Vec::from),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    (any::<bool>(), prop::collection::vec(piece, 0..40)).prop_map(|(slash, pieces)| {
        let mut target = if slash { b"/".to_vec() } else { Vec::new() };
        target.extend(pieces.concat());
        target
    })
}

fn both(config: &[u8], requests: &[Request]) -> (Vec<String>, Vec<String>) {
    let mut native = Bench::new(config).unwrap();
    native.add_requests(&encode(requests)).unwrap();
    let mut wasm = WasmBench::new(&module(), config).unwrap();
    let list = wasm.add_requests(requests).unwrap();
    let text = |label: Vec<u8>| String::from_utf8(label).unwrap();
    let numbers = 0..requests.len();
    (
        numbers.clone().map(|request| text(native.ask(Subject::Ours, 0, request).unwrap())).collect(),
        numbers.map(|request| text(wasm.ask(Subject::Ours, list, request as u32).unwrap())).collect(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn native_wasm_and_the_slow_matcher_agree(
        routes in prop::collection::vec(spec(), 0..14),
        asked in prop::collection::vec((method(), path(), any::<bool>()), 1..12),
        (rules, options) in rules(),
    ) {
        let (routes, _) = without_conflicts(routes, &options);
        let requests: Vec<Request> = asked
            .into_iter()
            .map(|(method, path, upper)| if upper { (method, path.to_ascii_uppercase()) } else { (method, path) })
            .map(|(method, path)| Request { method, target: path.into_bytes() })
            .collect();
        let slow: Vec<String> = requests
            .iter()
            .map(|request| slowly(&routes, &options, request.method, std::str::from_utf8(&request.target).unwrap()))
            .collect();
        let (native, wasm) = both(&tables::config(&routes, rules), &requests);
        prop_assert_eq!(&native, &slow, "{:?} in {:?}", requests, routes);
        prop_assert_eq!(&wasm, &slow, "{:?} in {:?}", requests, routes);
    }

    /// The slow matcher does not read bytes, so here the two forms have each other alone.
    #[test]
    fn native_and_wasm_agree_about_any_bytes(
        routes in prop::collection::vec(spec(), 0..10),
        asked in prop::collection::vec((method(), target()), 1..16),
        (mut rules, options) in all_rules(),
        placeholders in any::<bool>(),
    ) {
        if placeholders {
            rules["unmatched"] = "placeholders".into();
        }
        let (routes, _) = without_conflicts(routes, &options);
        let requests: Vec<Request> = asked.into_iter().map(|(method, target)| Request { method, target }).collect();
        let (native, wasm) = both(&tables::config(&routes, rules), &requests);
        prop_assert_eq!(native, wasm, "{:?} in {:?}", requests, routes);
    }
}

#[test]
fn made_tables_are_matched_alike_by_both_forms_and_both_routers() {
    let table = tables::made(1_000);
    let config = tables::config(&table, json!({}));
    let mut native = Bench::new(&config).unwrap();
    assert_eq!(native.add_matchit(), &[]);
    let mut wasm = WasmBench::new(&module(), &config).unwrap();
    assert_eq!(wasm.add_matchit().unwrap(), 0);
    for kind in routes_bench::examples::Kind::ALL {
        let requests = routes_bench::examples::requests(kind, &table, &native, 300);
        assert_eq!(requests.len(), 300, "{}", kind.name());
        native.clear();
        wasm.clear().unwrap();
        native.add_requests(&encode(&requests)).unwrap();
        wasm.add_requests(&requests).unwrap();
        let answers = native.answers(Subject::Ours, 0).unwrap();
        assert_eq!(native.answers(Subject::Matchit, 0).unwrap(), answers, "{}", kind.name());
        for subject in [Subject::Ours, Subject::Matchit] {
            assert_eq!(wasm.answers(subject, 0).unwrap(), answers, "{subject:?}, {}", kind.name());
        }
        let is_miss =
            matches!(kind, routes_bench::examples::Kind::MissAtOnce | routes_bench::examples::Kind::MissAtTheEnd);
        let misses = answers.iter().filter(|answer| **answer == 0).count();
        assert!(if is_miss { misses == 300 } else { misses < 150 }, "{}: {misses} misses", kind.name());
    }
    assert!(table.iter().all(|route| route.methods.as_ref().is_some_and(|methods| !methods.contains(&Method::Trace))));
}
