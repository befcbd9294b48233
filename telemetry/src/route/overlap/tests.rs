//! Pairs by hand, and against a search that knows nothing but [`RouteTable::find`].

use proptest::prelude::*;

use super::super::{PlaceholderBuffer, RouteMatch, TrailingSlash};
use super::*;

fn route(line: &str) -> RouteSpec {
    let (methods, template) = line.split_once(' ').unwrap();
    let methods =
        (methods != "ANY").then(|| methods.split(',').map(|token| Method::from_bytes(token.as_bytes())).collect());
    RouteSpec { methods, template: template.to_owned(), name: None }
}

/// Own forms only, as the pairs are defined.
fn strict() -> RouteOptions {
    RouteOptions { trailing_slash: TrailingSlash::Strict, ..RouteOptions::default() }
}

/// `winner > loser at METHOD path kind`, in the order of the winners.
fn check(lines: &[&str], expected: &[&str]) {
    let routes: Vec<RouteSpec> = lines.iter().map(|line| route(line)).collect();
    let found = overlaps(&routes, &strict(), 100).unwrap();
    let shown: Vec<String> = found
        .pairs
        .iter()
        .map(|pair| {
            let kind = if pair.kind == OverlapKind::Nested { "nested" } else { "crossing" };
            let (winner, loser) = (&routes[pair.winner].template, &routes[pair.loser].template);
            format!("{winner} > {loser} at {} {} {kind}", pair.method, pair.path)
        })
        .collect();
    assert_eq!(shown, expected, "{lines:?}");
    assert!(found.complete);
    assert_eq!(found.nested + found.crossing, expected.len() as u64);
}

#[test]
fn nested_and_crossing_pairs_are_told_apart() {
    check(&["ANY /users/{id}", "ANY /users/me"], &["/users/me > /users/{id} at GET /users/me nested"]);
    check(&["GET /a/{x}/c", "GET /a/b/{y}"], &["/a/b/{y} > /a/{x}/c at GET /a/b/c crossing"]);
    check(&["GET /a/{x}", "POST /a/b"], &[]);
    check(&["GET /a/{x}", "POST,GET /a/b"], &["/a/b > /a/{x} at GET /a/b nested"]);
    check(&["GET /a/{x}", "POST /a/{y}"], &[]);
    check(&["ANY /a", "ANY /b", "ANY /a/b"], &[]);
    check(&["ANY /a/", "ANY /a/{x}"], &[]);
    check(&["ANY /a/{rest...}", "ANY /a"], &[]);
    check(&["ANY /a/{rest...}", "ANY /a/"], &[]);
    check(&["ANY /a/{rest...}", "ANY /a//"], &["/a// > /a/{rest...} at GET /a// nested"]);
    check(&["ANY /a/{rest...}", "ANY /{x}/b"], &["/a/{rest...} > /{x}/b at GET /a/b crossing"]);
    check(
        &["ANY /a/{rest...}", "ANY /{all...}", "ANY /a/b/c"],
        &[
            "/a/{rest...} > /{all...} at GET /a/x nested",
            "/a/b/c > /a/{rest...} at GET /a/b/c nested",
            "/a/b/c > /{all...} at GET /a/b/c nested",
        ],
    );
}

#[test]
fn partial_segments_are_compared_by_what_they_hold() {
    check(&["ANY /v{n}", "ANY /{x}"], &["/v{n} > /{x} at GET /vx nested"]);
    check(&["ANY /v{n}", "ANY /v1"], &["/v1 > /v{n} at GET /v1 nested"]);
    check(&["ANY /v{n}", "ANY /w1"], &[]);
    check(&["ANY /v{n}.json", "ANY /v{n}"], &["/v{n}.json > /v{n} at GET /vx.json nested"]);
    check(&["ANY /v{n}", "ANY /{a}.{b}"], &["/v{n} > /{a}.{b} at GET /vx.x crossing"]);
    check(&["ANY /v{n}", "ANY /w{n}"], &[]);
    check(&["ANY /{a}-v", "ANY /{a}-w"], &[]);
    check(&["ANY /ab{n}", "ANY /a{n}"], &["/ab{n} > /a{n} at GET /abx nested"]);
}

#[test]
fn case_and_triplets_are_those_of_the_table() {
    let routes = [route("ANY /A/{x}"), route("ANY /a/%62")];
    assert_eq!(overlaps(&routes, &strict(), 9).unwrap().pairs.len(), 0);
    let options = RouteOptions { case: super::super::Case::Insensitive, ..strict() };
    let found = overlaps(&routes, &options, 9).unwrap();
    assert_eq!((found.pairs[0].winner, found.pairs[0].path.as_str()), (1, "/a/b"));
}

#[test]
fn a_table_with_mistakes_is_refused_as_ever() {
    let problems = overlaps(&[route("ANY /a"), route("ANY /a")], &strict(), 9).unwrap_err();
    assert_eq!(problems.len(), 1);
}

#[test]
fn lists_are_bounded_and_counts_are_not() {
    let routes: Vec<RouteSpec> = (0..50)
        .map(|n| route(&format!("GET /{{x}}/s{n}")))
        .chain((0..50).map(|n| route(&format!("GET /t{n}/{{y}}"))))
        .collect();
    let found = overlaps(&routes, &strict(), 7).unwrap();
    assert_eq!((found.pairs.len(), found.nested, found.crossing, found.complete), (7, 0, 2500, true));
}

#[test]
fn a_table_made_to_be_slow_ends() {
    let routes: Vec<RouteSpec> = (0..5_000)
        .map(|n| route(&format!("GET /{{x}}/s{n}")))
        .chain((0..5_000).map(|n| route(&format!("GET /t{n}/{{y}}"))))
        .collect();
    let found = overlaps(&routes, &strict(), 3).unwrap();
    assert_eq!(found.pairs.len(), 3);
    assert!(!found.complete);
}

#[test]
fn ten_thousand_ordinary_routes_take_few_steps() {
    let routes: Vec<RouteSpec> = (0..10_000)
        .map(|n| match n % 4 {
            0 => route(&format!("GET /api/r{}", n / 4)),
            1 => route(&format!("GET /api/r{}/{{id}}", n / 4)),
            2 => route(&format!("GET /api/r{}/{{id}}/parts/{{part}}", n / 4)),
            _ => route(&format!("GET /api/r{}/all", n / 4)),
        })
        .collect();
    let found = overlaps(&routes, &strict(), 10).unwrap();
    assert_eq!((found.nested, found.crossing, found.complete), (2_500, 0, true));
}

/// A template whose parameters are `p0`, `p1`, ….
fn template() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "ab", ""]).prop_map(str::to_owned),
        3 => Just("{}".to_owned()),
        3 => prop::sample::select(vec!["a{}", "{}b", "{}-{}", "a{}b", "{}a{}", "ab{}", "{}.{}", "a{}-{}", "{}a{}b{}"]).prop_map(str::to_owned),
    ];
    (prop::collection::vec(segment, 1..4), prop::bool::weighted(0.2)).prop_map(|(mut segments, tail)| {
        if tail {
            segments.push("{...}".to_owned());
        }
        let text: String = segments.iter().map(|segment| format!("/{segment}")).collect();
        let mut number = 0;
        text.split_inclusive('{')
            .map(|piece| {
                number += 1;
                if piece.ends_with('{') { format!("{piece}p{number}") } else { piece.to_owned() }
            })
            .collect()
    })
}

fn spec() -> impl Strategy<Value = RouteSpec> {
    let methods = prop_oneof![
        Just(None),
        Just(Some(vec![Method::Get])),
        Just(Some(vec![Method::Post])),
        Just(Some(vec![Method::Get, Method::Post])),
    ];
    (methods, template()).prop_map(|(methods, template)| RouteSpec { methods, template, name: None })
}

/// The template with each parameter replaced by one of `texts` in turn.
fn filled(template: &str, texts: &[&str]) -> String {
    let mut number = 0;
    template
        .split_inclusive('}')
        .map(|piece| match piece.split_once('{') {
            Some((literal, _)) => {
                number += 1;
                format!("{literal}{}", texts[number % texts.len()])
            }
            None => piece.to_owned(),
        })
        .collect()
}

/// The template with `q` for each parameter, and `rest` for a tail.
fn plainly(template: &str, rest: &str) -> String {
    let mut text = String::new();
    for piece in template.split_inclusive('}') {
        match piece.split_once('{') {
            Some((literal, name)) => text.extend([literal, if name.ends_with("...}") { rest } else { "q" }]),
            None => text.push_str(piece),
        }
    }
    text
}

fn find(routes: &[RouteSpec], method: Method, path: &str) -> Option<String> {
    let table = RouteTable::build(routes, &strict()).unwrap();
    match table.find(method, path.as_bytes(), &mut PlaceholderBuffer::default()) {
        RouteMatch::Endpoint(id) => Some(table.labels()[id.index()].to_string()).filter(|label| label != "unknown"),
        RouteMatch::Placeholder => None,
    }
}

fn declares(route: &RouteSpec, method: Method) -> bool {
    route.methods.as_ref().is_none_or(|methods| methods.contains(&method))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn agrees_with_a_search_by_trial(
        given in prop::collection::vec(spec(), 2..9),
        fillings in prop::collection::vec(prop::collection::vec(prop::sample::select(vec!["a", "b", "ab", "a-b", "b.b", "xab", "q", "aqb", "q/a", "q//"]), 3), 4),
    ) {
        let mut routes: Vec<RouteSpec> = Vec::new();
        for route in given {
            routes.push(route);
            if RouteTable::build(&routes, &strict()).is_err() {
                routes.pop();
            }
        }
        let found = overlaps(&routes, &strict(), usize::MAX).unwrap();
        let known: std::collections::BTreeSet<[&str; 2]> = found
            .pairs
            .iter()
            .map(|pair| [&*routes[pair.winner].template, &*routes[pair.loser].template])
            .flat_map(|[a, b]| [[a, b], [b, a]])
            .collect();
        for pair in &found.pairs {
            let (winner, loser) = (&routes[pair.winner], &routes[pair.loser]);
            prop_assert!(declares(winner, pair.method) && declares(loser, pair.method));
            for one in [winner, loser] {
                prop_assert_eq!(find(std::slice::from_ref(one), pair.method, &pair.path), Some(one.template.clone()), "{:?}", pair);
            }
            let both = [loser.clone(), winner.clone()];
            prop_assert_eq!(find(&both, pair.method, &pair.path), Some(winner.template.clone()), "{:?}", pair);
            let telling = ["q", "q/q", "q/q/q/q/q/q", "q//"].map(|rest| plainly(&winner.template, rest));
            let outside = telling.iter().any(|path| {
                find(std::slice::from_ref(winner), pair.method, path).is_some()
                    && find(std::slice::from_ref(loser), pair.method, path).is_none()
            });
            prop_assert_eq!(outside, pair.kind == OverlapKind::Crossing, "{:?}", pair);
        }
        // Whatever path is tried, two templates that both cover it are a pair.
        for path in routes.iter().flat_map(|route| fillings.iter().map(|texts| filled(&route.template, texts))) {
            for method in [Method::Get, Method::Post] {
                let fitting: Vec<usize> = (0..routes.len())
                    .filter(|index| declares(&routes[*index], method) && find(std::slice::from_ref(&routes[*index]), method, &path).is_some())
                    .collect();
                for (position, a) in fitting.iter().enumerate() {
                    for b in &fitting[position + 1..] {
                        let (a, b) = (&*routes[*a].template, &*routes[*b].template);
                        // Of one template, the route that names the method goes before the one for any.
                        prop_assert!(a == b || known.contains(&[a, b]), "{method} {path}: {a} {b}");
                    }
                }
            }
        }
    }

    #[test]
    fn no_template_is_hidden_altogether(given in prop::collection::vec(spec(), 1..9)) {
        let mut routes: Vec<RouteSpec> = Vec::new();
        for route in given {
            routes.push(route);
            if RouteTable::build(&routes, &strict()).is_err() {
                routes.pop();
            }
        }
        for route in &routes {
            // A parameter takes no empty segment, so a rest that begins with one is the tail's alone.
            let own = ["q", "q/q/q/q/q/q", "/q"].map(|rest| plainly(&route.template, rest));
            let method = route.methods.as_ref().map_or(Method::Other, |methods| methods[0]);
            prop_assert!(own.iter().any(|path| find(&routes, method, path).as_ref() == Some(&route.template)), "{route:?} in {routes:?}");
        }
    }
}
