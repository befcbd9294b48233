//! A matcher that is too simple to be wrong, and tables and paths to compare the router with it.
//!
//! Every template is tried, by every cut, and the rules are applied to the list of those that fit.

use std::cmp::Ordering;

use proptest::prelude::*;

use telemetry::method::Method;
use telemetry::route::{Case, RouteOptions, RouteSpec, RouteTable, TrailingSlash};

/// One segment of a template as the literals around its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literals(Vec<String>),
    Tail,
}

fn parts(template: &str) -> Vec<Part> {
    template[1..]
        .split('/')
        .map(|segment| {
            if segment.starts_with('{') && segment.ends_with("...}") {
                return Part::Tail;
            }
            let mut literals = vec![String::new()];
            let mut inside = false;
            for found in segment.chars() {
                match found {
                    '{' => inside = true,
                    '}' => {
                        inside = false;
                        literals.push(String::new());
                    }
                    _ if inside => {}
                    _ => literals.last_mut().unwrap().push(found),
                }
            }
            Part::Literals(literals)
        })
        .collect()
}

fn segment_fits(literals: &[String], segment: &str) -> bool {
    let Some(after) = segment.strip_prefix(&literals[0]) else { return false };
    match &literals[1..] {
        [] => after.is_empty(),
        rest => (1..=after.len()).any(|cut| segment_fits(rest, &after[cut..])),
    }
}

fn fits(template: &[Part], path: &[&str]) -> bool {
    match (template.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((Part::Tail, _)), Some(_)) => !path.join("/").is_empty(),
        (Some((Part::Literals(literals), more)), Some((segment, rest))) => {
            segment_fits(literals, segment) && fits(more, rest)
        }
        _ => false,
    }
}

/// Which of two segments is tried first.
fn order(a: &Part, b: &Part) -> Ordering {
    let kind = |part: &Part| match part {
        Part::Literals(literals) if literals.len() == 1 => 0,
        Part::Literals(literals) if literals.len() == 2 && literals.iter().all(String::is_empty) => 2,
        Part::Literals(_) => 1,
        Part::Tail => 3,
    };
    kind(a).cmp(&kind(b)).then_with(|| match (a, b) {
        (Part::Literals(a), Part::Literals(b)) if kind(&Part::Literals(a.clone())) == 1 => {
            let telling = |literals: &[String]| {
                let middle = literals[1..literals.len() - 1].to_vec();
                (
                    literals[0].len(),
                    literals[literals.len() - 1].len(),
                    literals.iter().map(String::len).sum::<usize>(),
                    literals[0].clone(),
                    middle,
                    literals[literals.len() - 1].clone(),
                )
            };
            telling(b).cmp(&telling(a))
        }
        _ => Ordering::Equal,
    })
}

/// The template that the rules give, or `unknown`: what [`RouteTable::find`] must say of a path without `%`, `?` and `#`, whatever
/// [`Case`] and [`TrailingSlash`] are and the other options by default.
pub(super) fn slowly(routes: &[RouteSpec], options: &RouteOptions, method: Method, path: &str) -> String {
    let folded = |text: &str| match options.case {
        Case::Sensitive => text.to_owned(),
        Case::Insensitive => text.to_ascii_lowercase(),
    };
    let path = &*folded(path);
    let search = |path: &str| {
        let segments: Vec<&str> = path[1..].split('/').collect();
        let mut fitting: Vec<(Vec<Part>, &RouteSpec)> = routes
            .iter()
            .map(|route| (parts(&folded(&route.template)), route))
            .filter(|(template, _)| fits(template, &segments))
            .collect();
        // Stable: routes of one place stay in the order of the table.
        fitting.sort_by(|(a, _), (b, _)| {
            a.iter().zip(b).map(|(a, b)| order(a, b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
        });
        let named = fitting
            .iter()
            .position(|(_, route)| route.methods.as_ref().is_none_or(|methods| methods.contains(&method)));
        let chosen = named.or_else(|| (!fitting.is_empty()).then_some(0))?;
        Some(fitting[chosen].1.template.clone())
    };
    let other = if path.len() > 1 && path.ends_with('/') {
        path[..path.len() - 1].to_owned()
    } else if path == "/" {
        path.to_owned()
    } else {
        format!("{path}/")
    };
    search(path)
        .or_else(|| if options.trailing_slash == TrailingSlash::Ignore { search(&other) } else { None })
        .unwrap_or_else(|| "unknown".to_owned())
}

/// Templates of few words, so that they overlap.
pub(super) fn template() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "ab", "", "abababab", "ababababa", "ababababb", "ababababababababab", "ababababababababaa"]).prop_map(str::to_owned),
        3 => Just("{}".to_owned()),
        3 => prop::sample::select(vec!["a{}", "{}b", "{}-{}", "a{}b", "a{}-{}", "{}a{}a{}", "ab{}", "{}ab", "{}.{}"]).prop_map(str::to_owned),
    ];
    (prop::collection::vec(segment, 1..5), prop::bool::weighted(0.2)).prop_map(|(mut segments, tail)| {
        if tail {
            segments.push("{...}".to_owned());
        }
        let mut text = String::new();
        let mut number = 0;
        for segment in segments {
            text.push('/');
            for piece in segment.split_inclusive('{') {
                text.push_str(piece);
                if piece.ends_with('{') {
                    text.push_str(&format!("p{number}"));
                    number += 1;
                }
            }
        }
        text
    })
}

/// Few methods.
pub(super) fn method() -> impl Strategy<Value = Method> {
    prop::sample::select(vec![Method::Get, Method::Post, Method::Put])
}

/// Routes for one method or for any.
pub(super) fn spec() -> impl Strategy<Value = RouteSpec> {
    let methods = prop_oneof![Just(None), method().prop_map(|method| Some(vec![method]))];
    (methods, template()).prop_map(|(methods, template)| RouteSpec { methods, template, name: None })
}

/// Paths of the words of [`template`].
pub(super) fn path() -> impl Strategy<Value = String> {
    let segment = prop::sample::select(vec![
        "a",
        "b",
        "ab",
        "",
        "aab",
        "a-b",
        "ab-ba",
        "aaaa",
        "xaya",
        "abababab",
        "ababababa",
        "ababababb",
        "ababababababababab",
        "ababababababababaa",
        "a.b",
        "x",
    ]);
    prop::collection::vec(segment, 1..6)
        .prop_map(|segments| segments.iter().map(|segment| format!("/{segment}")).collect())
}

/// Leaves out the routes that conflict with an earlier one.
pub(super) fn without_conflicts(mut routes: Vec<RouteSpec>, options: &RouteOptions) -> (Vec<RouteSpec>, RouteTable) {
    loop {
        match RouteTable::build(&routes, options) {
            Ok(table) => return (routes, table),
            Err(problems) => {
                assert!(
                    problems.iter().all(|problem| {
                        // Of another route, or a template that no path could match under the rules.
                        ["remove one", "conflicts", ", which `"].iter().any(|part| problem.message.contains(part))
                    }),
                    "{problems:?}"
                );
                let mut index = 0;
                routes.retain(|_| {
                    index += 1;
                    !problems.iter().any(|problem| problem.index + 1 == index)
                });
            }
        }
    }
}
