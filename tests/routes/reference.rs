//! The router against the matcher of [`super::slow_matcher`], which is too simple to be wrong.

use proptest::prelude::*;

use telemetry::method::Method;
use telemetry::route::{
    Case, PlaceholderBuffer, PlaceholderLimits, RouteMatch, RouteOptions, RouteSpec, RouteTable, TrailingSlash,
    Unmatched,
};

use super::slow_matcher::{method, path, slowly, spec, without_conflicts};

fn find(table: &RouteTable, method: Method, path: &[u8]) -> String {
    let mut buffer = PlaceholderBuffer::default();
    match table.find(method, path, &mut buffer) {
        RouteMatch::Endpoint(id) => table.labels()[id.index()].to_string(),
        RouteMatch::Placeholder => format!("? {}", String::from_utf8_lossy(buffer.as_bytes())),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn agrees_with_the_simple_matcher(
        routes in prop::collection::vec(spec(), 0..14),
        asked in prop::collection::vec((method(), path()), 1..12),
        strict in any::<bool>(),
    ) {
        let trailing_slash = if strict { TrailingSlash::Strict } else { TrailingSlash::Ignore };
        let options = RouteOptions { trailing_slash, ..RouteOptions::default() };
        let (routes, table) = without_conflicts(routes, &options);
        for (method, path) in asked {
            prop_assert_eq!(find(&table, method, path.as_bytes()), slowly(&routes, &options, method, &path), "{} {} in {:?}", method, path, routes);
        }
    }

    #[test]
    fn the_order_of_the_table_does_not_matter(
        routes in prop::collection::vec(spec(), 0..10),
        asked in prop::collection::vec((method(), path()), 1..12),
    ) {
        let options = RouteOptions::default();
        let (routes, table) = without_conflicts(routes, &options);
        let backwards: Vec<RouteSpec> = routes.iter().rev().cloned().collect();
        let reversed = RouteTable::build(&backwards, &options).unwrap();
        for (method, path) in asked {
            prop_assert_eq!(find(&table, method, path.as_bytes()), find(&reversed, method, path.as_bytes()));
        }
    }

    /// The parameters filled in with text that no literal contains, a template matches itself.
    #[test]
    fn every_template_matches_its_own_example(route in spec()) {
        let table = RouteTable::build(std::slice::from_ref(&route), &RouteOptions::default()).unwrap();
        let mut example = String::new();
        let mut inside = false;
        for found in route.template.chars() {
            match found {
                '{' => inside = true,
                '}' => {
                    inside = false;
                    example.push('7');
                }
                _ if inside => {}
                _ => example.push(found),
            }
        }
        prop_assert_eq!(find(&table, Method::Get, example.as_bytes()), route.template);
    }

    #[test]
    fn any_bytes_find_something(
        routes in prop::collection::vec(spec(), 0..6),
        path in prop::collection::vec(prop_oneof![Just(b'/'), Just(b'%'), Just(b'4'), Just(b'1'), Just(b'a'), Just(b':'), any::<u8>()], 0..60),
        insensitive in any::<bool>(),
        placeholders in any::<bool>(),
    ) {
        let case = if insensitive { Case::Insensitive } else { Case::Sensitive };
        let unmatched = if placeholders { Unmatched::Placeholders(PlaceholderLimits::default()) } else { Unmatched::Unknown };
        let (_, table) = without_conflicts(routes, &RouteOptions { case, unmatched, ..RouteOptions::default() });
        let mut buffer = PlaceholderBuffer::default();
        match table.find(Method::Get, &path, &mut buffer) {
            RouteMatch::Endpoint(id) => prop_assert!(id.index() < table.labels().len()),
            RouteMatch::Placeholder => prop_assert!(placeholders && buffer.as_bytes().iter().all(u8::is_ascii_graphic)),
        }
    }
}
