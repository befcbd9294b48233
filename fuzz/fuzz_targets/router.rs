//! Any table and any target: the search decides as its explanation says, within its stated cost, and knows no label but its own.
//!
//! Input: lines `METHOD TEMPLATE`, a NUL, then targets, a NUL after each.

#![no_main]

use libfuzzer_sys::fuzz_target;
use telemetry::method::Method;
use telemetry::route::{
    Case, Decision, EndpointId, PlaceholderBuffer, PlaceholderLimits, RouteMatch, RouteOptions, RouteSpec, RouteTable,
    TrailingSlash, UndeclaredMethods, Unmatched,
};

fuzz_target!(|input: &[u8]| {
    let Some((switches, input)) = input.split_first() else { return };
    let mut parts = input.split(|byte| *byte == 0);
    let routes: Vec<RouteSpec> = parts
        .next()
        .unwrap_or_default()
        .split(|byte| *byte == b'\n')
        .filter_map(|line| std::str::from_utf8(line).ok()?.split_once(' '))
        .map(|(method, template)| RouteSpec {
            methods: (method != "ANY").then(|| vec![Method::from_bytes(method.as_bytes())]),
            template: template.to_owned(),
            name: None,
        })
        .collect();
    let on = |bit: u8| switches >> bit & 1 == 1;
    let options = RouteOptions {
        case: if on(0) { Case::Insensitive } else { Case::Sensitive },
        trailing_slash: if on(1) { TrailingSlash::Strict } else { TrailingSlash::Ignore },
        undeclared_methods: if on(2) { UndeclaredMethods::Unknown } else { UndeclaredMethods::Template },
        unmatched: if on(3) { Unmatched::Placeholders(PlaceholderLimits::default()) } else { Unmatched::Unknown },
        ..RouteOptions::default()
    };
    let table = match RouteTable::build(&routes, &options) {
        Ok(table) => table,
        Err(problems) => {
            assert!(!problems.is_empty() && problems.iter().all(|problem| problem.index < routes.len()));
            return;
        }
    };
    let worst = table.size().worst_visits;
    for target in parts {
        for method in [Method::Get, Method::Post, Method::Other] {
            let mut buffer = PlaceholderBuffer::default();
            let found = table.find(method, target, &mut buffer);
            let explanation = table.explain(method, target);
            assert!(explanation.visits <= worst, "{} > {worst}", explanation.visits);
            let explained = match explanation.decision {
                Decision::Template(endpoint) => RouteMatch::Endpoint(endpoint),
                Decision::LabelTooLong => RouteMatch::Endpoint(EndpointId::OVERFLOW),
                Decision::Placeholder(label) => {
                    assert_eq!(label.as_bytes(), buffer.as_bytes());
                    RouteMatch::Placeholder
                }
                _ => RouteMatch::Endpoint(EndpointId::UNKNOWN),
            };
            assert_eq!(found, explained);
            if let RouteMatch::Endpoint(endpoint) = found {
                assert!(endpoint.index() < table.labels().len());
            }
        }
    }
});
