//! Requests that are meant to cost as much as they can.
//!
//! Two ways to be expensive: a path so long or so full of marks that reading it costs, which any table shares ([`fixed`]), and one that is
//! found wanting as late as possible in as many branches of a table as possible ([`Search`]). For the latter the method is one that no route
//! declares: then no template ends the search.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use telemetry::method::Method;
use telemetry::route::RouteSpec;

use crate::host::WasmBench;
use crate::{Request, Subject};

/// Paths that are long, deep or full of marks, each with its name.
#[must_use]
pub fn fixed() -> Vec<(&'static str, Request)> {
    let repeat = |text: &str, bytes: usize| {
        let mut target = b"/".to_vec();
        target.extend(text.bytes().cycle().take(bytes - 1));
        Request::get(target)
    };
    vec![
        ("64 segments", Request::get("/a".repeat(64))),
        ("65 segments", Request::get("/a".repeat(65))),
        ("1,000 segments", Request::get("/a".repeat(1_000))),
        ("8 KiB, one segment", repeat("a", 8_192)),
        ("8 KiB of slashes", repeat("/", 8_192)),
        ("8 KiB of %41", repeat("%41", 8_192)),
        ("8 KiB of %2f", repeat("%2f", 8_192)),
        ("8 KiB of %", repeat("%", 8_192)),
        ("8 KiB of !", repeat("!", 8_192)),
        ("8 KiB of bytes that are no text", Request::get([b"/".as_slice(), &[0xff; 8_191]].concat())),
        ("60 KiB, one segment", repeat("a", 61_440)),
        ("60 KiB of slashes", repeat("/", 61_440)),
        ("60 KiB of %41", repeat("%41", 61_440)),
        ("60 KiB of query", Request::get([b"/a?".as_slice(), &[b'%'; 61_437]].concat())),
        ("60 KiB of scheme", Request::get(vec![b'a'; 61_440])),
        ("60 KiB of authority", Request::get([b"http://".as_slice(), &[b'a'; 61_433]].concat())),
    ]
}

/// Every template of so many segments that are `a` or a parameter, but for the last: no table of its size has more branches for one path.
#[must_use]
pub fn forking_table(depth: u32) -> Vec<RouteSpec> {
    (0..1_u32 << depth)
        .map(|number| {
            let segments =
                (0..depth).map(|at| if number >> at & 1 == 0 { "/a".to_owned() } else { format!("/{{p{at}}}") });
            RouteSpec { methods: Some(vec![Method::Get]), template: segments.collect::<String>() + "/end", name: None }
        })
        .collect()
}

/// A table whose segments in one place are all literals around parameters.
#[must_use]
pub fn partial_table(size: usize) -> Vec<RouteSpec> {
    (0..size)
        .map(|number| RouteSpec {
            methods: Some(vec![Method::Get]),
            template: format!("/{{a}}aaaaaaa{}{{b}}b{{c}}/end", "b".repeat(number)),
            name: None,
        })
        .collect()
}

/// The place in a table that a beginning of a path leads to.
#[derive(Default)]
struct Place {
    text: BTreeMap<String, usize>,
    partial: Vec<(Vec<String>, usize)>,
    parameter: Option<usize>,
}

/// Looks for the path that costs most in a table, first by the places that it leads to, then by exact cost.
pub struct Search {
    places: Vec<Place>,
}

impl std::fmt::Debug for Search {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Search").field("places", &self.places.len()).finish()
    }
}

/// A path so far.
#[derive(Clone)]
struct Beginning {
    segments: Vec<String>,
    /// Where it leads.
    places: Vec<usize>,
    /// How many places it has led to, on its way too.
    visits: usize,
}

/// How many beginnings are carried on from each depth.
const BEAM: usize = 64;

impl Search {
    /// For a table.
    #[must_use]
    pub fn new(table: &[RouteSpec]) -> Self {
        let mut places = vec![Place::default()];
        for route in table {
            let mut at = 0;
            for segment in route.template.split('/').skip(1) {
                if segment.ends_with("...}") {
                    break;
                }
                let literals = literals(segment);
                let next = places.len();
                let Some(place) = places.get_mut(at) else { break };
                at = if literals.len() == 1 {
                    *place.text.entry(segment.to_owned()).or_insert(next)
                } else if literals.iter().all(String::is_empty) {
                    *place.parameter.get_or_insert(next)
                } else if let Some((_, known)) = place.partial.iter().find(|(known, _)| *known == literals) {
                    *known
                } else {
                    place.partial.push((literals, next));
                    next
                };
                if at == next {
                    places.push(Place::default());
                }
            }
        }
        Self { places }
    }

    /// The requests that lead to the most places, the most first.
    #[must_use]
    pub fn widest(&self, count: usize) -> Vec<Request> {
        let mut beam = vec![Beginning { segments: Vec::new(), places: vec![0], visits: 1 }];
        let mut all: Vec<Beginning> = Vec::new();
        while !beam.is_empty() && all.len() < BEAM * 64 {
            let mut next: Vec<Beginning> = beam.iter().flat_map(|beginning| self.continuations(beginning)).collect();
            next.sort_by_key(|beginning| std::cmp::Reverse((beginning.places.len(), beginning.visits)));
            next.truncate(BEAM);
            all.extend(next.iter().cloned());
            beam = next;
        }
        all.sort_by_key(|beginning| std::cmp::Reverse(beginning.visits));
        let mut requests = Vec::new();
        for beginning in all.iter().take(count) {
            let path: String = beginning.segments.iter().map(|segment| format!("/{segment}")).collect();
            // As it is, and one segment further, where nothing is.
            for end in ["", "/~"] {
                requests.push(Request { method: Method::Trace, target: format!("{path}{end}").into_bytes() });
            }
        }
        requests
    }

    fn continuations(&self, beginning: &Beginning) -> Vec<Beginning> {
        let here: Vec<&Place> = beginning.places.iter().filter_map(|place| self.places.get(*place)).collect();
        let mut texts: BTreeSet<String> = here.iter().flat_map(|place| place.text.keys().cloned()).collect();
        texts.extend(here.iter().flat_map(|place| &place.partial).map(|(literals, _)| literals.join("x")));
        texts.insert("~".to_owned());
        texts
            .into_iter()
            .filter_map(|text| {
                let mut places = Vec::new();
                for place in &here {
                    places.extend(place.text.get(&text));
                    places.extend(place.partial.iter().filter(|(literals, _)| fits(literals, &text)).map(|(_, at)| at));
                    places.extend(place.parameter);
                }
                let visits = beginning.visits + places.len();
                let segments = beginning.segments.iter().cloned().chain([text]).collect();
                (!places.is_empty()).then_some(Beginning { segments, places, visits })
            })
            .collect()
    }

    /// The request that costs most fuel, and how much.
    ///
    /// # Errors
    /// When the instance traps.
    pub fn most_expensive(&self, bench: &mut WasmBench, subject: Subject) -> Result<Option<(Request, u64)>> {
        let mut worst: Option<(Request, u64)> = None;
        for request in self.widest(40) {
            let list = bench.add_requests(std::slice::from_ref(&request))?;
            let fuel = bench.fuel(subject, list)?;
            if worst.as_ref().is_none_or(|(_, most)| fuel > *most) {
                worst = Some((request, fuel));
            }
        }
        Ok(worst)
    }
}

/// The texts around a segment's parameters.
fn literals(segment: &str) -> Vec<String> {
    let mut literals = Vec::new();
    let mut rest = segment;
    while let Some((literal, after)) = rest.split_once('{') {
        literals.push(literal.to_owned());
        rest = after.split_once('}').map_or("", |(_, after)| after);
    }
    literals.push(rest.to_owned());
    literals
}

fn fits(literals: &[String], text: &str) -> bool {
    let [first, more @ ..] = literals else { return text.is_empty() };
    let Some(after) = text.strip_prefix(first.as_str()) else { return false };
    match more {
        [] => after.is_empty(),
        _ => after
            .char_indices()
            .skip(1)
            .map(|(cut, _)| cut)
            .chain([after.len()])
            .any(|cut| cut > 0 && after.get(cut..).is_some_and(|rest| fits(more, rest))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widest_path_of_a_forking_table_leads_everywhere() {
        let search = Search::new(&forking_table(5));
        // 1 + 2 + … + 32 places, and the ends of 32 templates.
        let widest = search.widest(1);
        assert_eq!(widest[0].target, b"/a/a/a/a/a/end");
        assert_eq!(widest[1].target, b"/a/a/a/a/a/end/~");
    }

    #[test]
    fn text_beside_a_parameter_is_preferred_to_either_alone() {
        let spec = |template: &str| RouteSpec { methods: None, template: template.into(), name: None };
        let search = Search::new(&[spec("/a/{p}"), spec("/a/b/c"), spec("/{q}/b/d"), spec("/z/z/z/z")]);
        let paths: Vec<String> =
            search.widest(3).into_iter().map(|request| String::from_utf8(request.target).unwrap()).collect();
        assert!(paths[0].starts_with("/a/b/"), "{paths:?}");
    }
}
