//! The table as a whole: labels, order, methods, slashes, bounds and conflicts.

use super::*;

fn route(line: &str) -> RouteSpec {
    let (methods, rest) = line.split_once(' ').unwrap();
    let (template, name) =
        rest.split_once(" as ").map_or((rest, None), |(template, name)| (template, Some(name.to_owned())));
    let methods =
        (methods != "ANY").then(|| methods.split(',').map(|token| Method::from_bytes(token.as_bytes())).collect());
    RouteSpec { methods, template: template.to_owned(), name }
}

fn table_with(options: RouteOptions, lines: &[&str]) -> RouteTable {
    let routes: Vec<RouteSpec> = lines.iter().map(|line| route(line)).collect();
    RouteTable::build(&routes, &options).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn table(lines: &[&str]) -> RouteTable {
    table_with(RouteOptions::default(), lines)
}

fn find(table: &RouteTable, method: Method, path: &[u8]) -> String {
    let mut buffer = PlaceholderBuffer::default();
    match table.find(method, path, &mut buffer) {
        RouteMatch::Endpoint(id) => table.labels()[id.index()].to_string(),
        RouteMatch::Placeholder => format!("? {}", String::from_utf8_lossy(buffer.as_bytes())),
    }
}

fn check(table: &RouteTable, cases: &[(&str, &str)]) {
    for (path, expected) in cases {
        assert_eq!(find(table, Method::Get, path.as_bytes()), *expected, "GET {path}");
    }
}

#[test]
fn static_before_partial_before_parameter_before_tail() {
    let table = table(&["ANY /x/{rest...}", "ANY /x/{id}", "ANY /x/v{n}", "ANY /x/v1", "ANY /x/{a}.{b}"]);
    check(
        &table,
        &[
            ("/x/v1", "/x/v1"),
            ("/x/v2", "/x/v{n}"),
            ("/x/v2.3", "/x/v{n}"),
            ("/x/a.b", "/x/{a}.{b}"),
            ("/x/v", "/x/{id}"),
            ("/x/y", "/x/{id}"),
            ("/x/y/z", "/x/{rest...}"),
            ("/x/v1/z", "/x/{rest...}"),
            ("/x", "unknown"),
            ("/x/", "unknown"),
            ("/x//", "/x/{rest...}"),
            ("/", "unknown"),
        ],
    );
}

#[test]
fn a_branch_that_leads_nowhere_is_left_again() {
    let table = table(&["ANY /a/b/c", "ANY /a/{x}/d", "ANY /{y}/b/e", "ANY /{z...}"]);
    check(
        &table,
        &[
            ("/a/b/c", "/a/b/c"),
            ("/a/b/d", "/a/{x}/d"),
            ("/a/b/e", "/{y}/b/e"),
            ("/a/b/f", "/{z...}"),
            ("/a", "/{z...}"),
            ("/", "unknown"),
        ],
    );
}

#[test]
fn longest_literal_prefix_wins() {
    let table = table(&["ANY /{a}-{b}", "ANY /v{n}", "ANY /ver{n}", "ANY /ver{n}.json", "ANY /{n}.json"]);
    check(
        &table,
        &[
            ("/version", "/ver{n}"),
            ("/version.json", "/ver{n}.json"),
            ("/v-1", "/v{n}"),
            ("/x-1", "/{a}-{b}"),
            ("/x-1.json", "/{n}.json"),
            ("/-1", "unknown"),
        ],
    );
}

#[test]
fn a_partial_segment_needs_text_for_each_parameter() {
    let table = table(&["ANY /compare/{base}...{head}"]);
    check(
        &table,
        &[
            ("/compare/main...dev", "/compare/{base}...{head}"),
            ("/compare/a....b", "/compare/{base}...{head}"),
            ("/compare/...dev", "unknown"),
            ("/compare/main...", "unknown"),
            ("/compare/main..dev", "unknown"),
            ("/compare/a...b/c", "unknown"),
        ],
    );
}

#[test]
fn the_search_for_text_between_parameters_is_bounded() {
    let table = table(&["ANY /{a}..{b}", "ANY /{a}...{b}", "ANY /{a}....{b}", "ANY /{rest...}"]);
    let long = |length: usize, end: &str| format!("/{}{end}", "x".repeat(length - end.len()));
    assert_eq!(find(&table, Method::Get, long(5000, "..y").as_bytes()), "/{a}..{b}");
    // Two searches of 8 KiB are within the bound, the third is not.
    assert_eq!(find(&table, Method::Get, long(8000, "...y").as_bytes()), "/{a}...{b}");
    assert_eq!(find(&table, Method::Get, long(8000, "..y").as_bytes()), "/{rest...}");
}

#[test]
fn an_undeclared_method_gets_the_label_of_the_template() {
    let by_template = table(&[
        "GET /users/{id}",
        "POST /users/me",
        "DELETE /users/{pk}",
        "GET,PUT /x as x-read",
        "POST /x as x-write",
    ]);
    assert_eq!(find(&by_template, Method::Get, b"/users/me"), "/users/{id}");
    assert_eq!(find(&by_template, Method::Post, b"/users/me"), "/users/me");
    assert_eq!(find(&by_template, Method::Patch, b"/users/me"), "/users/me");
    assert_eq!(find(&by_template, Method::Delete, b"/users/5"), "/users/{pk}");
    assert_eq!(find(&by_template, Method::Other, b"/users/5"), "/users/{id}");
    assert_eq!(find(&by_template, Method::Patch, b"/x"), "/x");

    let names = RouteOptions { label: LabelStyle::Name, ..RouteOptions::default() };
    let by_name = table_with(
        names,
        &["GET /a as a-detail", "PUT /a as a-detail", "GET /b as b-read", "POST /b as b-write", "GET /c"],
    );
    assert_eq!(find(&by_name, Method::Delete, b"/a"), "a-detail");
    assert_eq!(find(&by_name, Method::Post, b"/b"), "b-write");
    assert_eq!(find(&by_name, Method::Delete, b"/b"), "/b");
    assert_eq!(find(&by_name, Method::Get, b"/c"), "/c");
    assert_eq!(
        by_name.labels().iter().map(|label| &**label).collect::<Vec<_>>(),
        ["unknown", "_overflow", "a-detail", "b-read", "b-write", "/b", "/c"]
    );
}

#[test]
fn a_route_for_a_method_goes_before_one_for_any() {
    let names = RouteOptions { label: LabelStyle::Name, ..RouteOptions::default() };
    for lines in [["GET /a as get", "ANY /a as any"], ["ANY /a as any", "GET /a as get"]] {
        let table = table_with(names, &lines);
        assert_eq!(find(&table, Method::Get, b"/a"), "get");
        assert_eq!(find(&table, Method::Post, b"/a"), "any");
        assert_eq!(find(&table, Method::Other, b"/a"), "any");
        assert_eq!(table.labels().len(), 4);
    }
}

#[test]
fn a_slash_at_the_end() {
    let lines = ["ANY /a", "ANY /b/", "ANY /c", "ANY /c/", "ANY /d/{x}", "ANY /e/{rest...}"];
    let ignoring = table(&lines);
    check(
        &ignoring,
        &[
            ("/a", "/a"),
            ("/a/", "/a"),
            ("/a//", "unknown"),
            ("/b", "/b/"),
            ("/b/", "/b/"),
            ("/c", "/c"),
            ("/c/", "/c/"),
            ("/d/1/", "/d/{x}"),
            ("/d/", "unknown"),
            ("/e/1/", "/e/{rest...}"),
            ("/e/", "unknown"),
            ("/", "unknown"),
        ],
    );
    let strict = table_with(RouteOptions { trailing_slash: TrailingSlash::Strict, ..RouteOptions::default() }, &lines);
    check(
        &strict,
        &[
            ("/a/", "unknown"),
            ("/b", "unknown"),
            ("/b/", "/b/"),
            ("/c/", "/c/"),
            ("/d/1/", "unknown"),
            ("/e/1/", "/e/{rest...}"),
        ],
    );
    // The root has one form alone.
    check(&table(&["ANY /"]), &[("/", "/"), ("//", "/")]);
    // A slash is added to a path without one at its end, never a second one.
    check(
        &table(&["ANY /{x}//", "ANY /a//"]),
        &[("/a/", "unknown"), ("/b/", "unknown"), ("/b//", "/{x}//"), ("/b///", "/{x}//")],
    );
}

#[test]
fn case_and_percent_encoding() {
    let sensitive = table(&["ANY /Api/%7Euser/a%2fb", "ANY /x{n}y"]);
    check(
        &sensitive,
        &[
            ("/Api/~user/a%2Fb", "/Api/%7Euser/a%2fb"),
            ("/%41pi/%7euser/a%2fb", "/Api/%7Euser/a%2fb"),
            ("/Api/~user/a/b", "unknown"),
            ("/api/~user/a%2Fb", "unknown"),
            ("/%78%31y", "/x{n}y"),
        ],
    );
    let insensitive = table_with(
        RouteOptions { case: Case::Insensitive, ..RouteOptions::default() },
        &["ANY /Api/{id}", "ANY /x{n}Y"],
    );
    check(&insensitive, &[("/aPI/7", "/Api/{id}"), ("/%41pi/7", "/Api/{id}"), ("/X5y", "/x{n}Y"), ("/X5z", "unknown")]);
}

#[test]
fn rules_about_segments() {
    let lines = ["ANY /a/b", "ANY /a/b/{c}", "ANY /d/"];
    let with = |options: RouteOptions| table_with(options, &lines);
    check(
        &with(RouteOptions::default()),
        &[
            ("/a//b", "unknown"),
            ("/a/./b", "unknown"),
            ("/a;v=1/b", "unknown"),
            ("/a%2Fb", "unknown"),
            ("/%61/b", "/a/b"),
        ],
    );
    let merging = with(RouteOptions { duplicate_slashes: DuplicateSlashes::Merge, ..RouteOptions::default() });
    check(
        &merging,
        &[("//a///b", "/a/b"), ("/a/b//", "/a/b"), ("/d//", "/d/"), ("/a/b//7", "/a/b/{c}"), ("//", "unknown")],
    );
    let resolving = with(RouteOptions { dot_segments: DotSegments::Remove, ..RouteOptions::default() });
    check(
        &resolving,
        &[
            ("/x/../a/b", "/a/b"),
            ("/a/b/.", "/a/b"),
            ("/a/b/c/..", "/a/b"),
            ("/a/%2e%2E/a/b", "/a/b"),
            ("/../../d", "/d/"),
            ("/a/b/..%2F..%2Fetc", "/a/b/{c}"),
        ],
    );
    let stripping = with(RouteOptions { matrix_parameters: MatrixParameters::Strip, ..RouteOptions::default() });
    check(&stripping, &[("/a;v=1/b;w", "/a/b"), ("/a/b;/7", "/a/b/{c}"), ("/a/b/;x", "/a/b"), ("/a;/b;?;", "/a/b")]);
    let decoding = with(RouteOptions { percent_encoding: PercentEncoding::Slashes, ..RouteOptions::default() });
    check(&decoding, &[("/a%2fb%2F7", "/a/b/{c}"), ("/a%252fb", "unknown"), ("%2Fa/b", "unknown")]);
    let bytewise = with(RouteOptions { percent_encoding: PercentEncoding::Keep, ..RouteOptions::default() });
    check(&bytewise, &[("/%61/b", "unknown"), ("/a/b/%zz", "/a/b/{c}")]);
    // The bounds are those of the path as it came.
    assert_eq!(find(&merging, Method::Get, format!("/a{}b", "/".repeat(80)).as_bytes()), "unknown");
    let decoded = format!("/a/b{}", "%2Fx".repeat(70));
    assert_eq!(find(&decoding, Method::Get, decoded.as_bytes()), "unknown");
}

#[test]
fn an_undeclared_method_may_be_unknown() {
    let options = RouteOptions {
        undeclared_methods: UndeclaredMethods::Unknown,
        unmatched: Unmatched::Placeholders(PlaceholderLimits::default()),
        ..RouteOptions::default()
    };
    let table = table_with(options, &["GET /a/{id}", "POST /a/me", "PUT /b/", "ANY /c"]);
    assert_eq!(find(&table, Method::Get, b"/a/me"), "/a/{id}");
    assert_eq!(find(&table, Method::Patch, b"/a/me"), "unknown");
    assert_eq!(find(&table, Method::Patch, b"/b"), "unknown");
    assert_eq!(find(&table, Method::Put, b"/b"), "/b/");
    assert_eq!(find(&table, Method::Other, b"/c"), "/c");
    assert_eq!(find(&table, Method::Patch, b"/x/7"), "? /x/{int}");
}

#[test]
fn a_static_segment_that_the_table_knows_is_never_replaced() {
    let options =
        RouteOptions { unmatched: Unmatched::Placeholders(PlaceholderLimits::default()), ..RouteOptions::default() };
    let table = table_with(
        options,
        &[
            "ANY /api/2024-01-31/users",
            "ANY /api/{version}/7/x",
            "ANY /v{n}/42/x",
            "ANY /deadbeef01/",
            "ANY /{x}/99/{y}/z",
        ],
    );
    check(
        &table,
        &[
            ("/api/2024-01-31/orders/7", "? /api/2024-01-31/orders/{int}"),
            ("/api/2024-02-01/orders", "? /api/{date}/orders"),
            ("/api/2024-02-01/7/y", "? /api/{date}/7/y"),
            ("/api/2024-01-31/7/y", "? /api/2024-01-31/7/y"),
            ("/v1/42/y", "? /v1/42/y"),
            ("/w1/42/y", "? /w1/{int}/y"),
            ("/deadbeef01/deadbeef01", "? /deadbeef01/{hex}"),
            ("/8/99/8", "? /{int}/99/{int}"),
        ],
    );
}

#[test]
fn targets_without_a_path_are_unknown() {
    let table = table(&["ANY /", "ANY /a", "ANY /{rest...}"]);
    check(
        &table,
        &[
            ("*", "unknown"),
            ("", "unknown"),
            ("example.com:443", "unknown"),
            ("http://example.com", "/"),
            ("http://example.com/a?x", "/a"),
            ("http://example.com?/a", "/"),
            ("/?x", "/"),
            ("/a#/b", "/a"),
        ],
    );
    assert_eq!(find(&table, Method::Connect, b"example.com:443"), "unknown");
    assert_eq!(find(&table, Method::Connect, b"/a"), "/a");
    assert_eq!(find(&table, Method::Get, b"/\xff\xfe\x00\r\n"), "/{rest...}");
}

#[test]
fn past_the_bounds_is_unknown() {
    let table = table(&["ANY /{rest...}"]);
    let path = |length: usize| format!("/{}", "a".repeat(length - 1));
    assert_eq!(find(&table, Method::Get, path(8192).as_bytes()), "/{rest...}");
    assert_eq!(find(&table, Method::Get, path(8193).as_bytes()), "unknown");
    assert_eq!(find(&table, Method::Get, "/a".repeat(64).as_bytes()), "/{rest...}");
    assert_eq!(find(&table, Method::Get, "/a".repeat(65).as_bytes()), "unknown");
    assert_eq!(find(&table, Method::Get, "/a".repeat(1000).as_bytes()), "unknown");
    assert_eq!(find(&table, Method::Get, "%41".repeat(30_000).as_bytes()), "unknown");
    assert_eq!(find(&table, Method::Get, format!("/{}", "%41".repeat(2730)).as_bytes()), "/{rest...}");
}

#[test]
fn unmatched_paths_become_placeholders_where_that_is_on() {
    let options =
        RouteOptions { unmatched: Unmatched::Placeholders(PlaceholderLimits::default()), ..RouteOptions::default() };
    let table = table_with(options, &["ANY /a"]);
    check(
        &table,
        &[
            ("/a", "/a"),
            ("/b/42?x", "? /b/{int}"),
            ("/%62/4%32", "? /b/{int}"),
            ("/b/01ARZ3NDEKTSV4RRFFQ69G5FAV/", "? /b/{ulid}/"),
            ("/caf\u{e9}", "unknown"),
            ("*", "unknown"),
        ],
    );
    assert_eq!(find(&table, Method::Get, format!("/{}", "w".repeat(200)).as_bytes()), "_overflow");
    let folding = table_with(RouteOptions { case: Case::Insensitive, ..options }, &[]);
    check(&folding, &[("/Users/dGhpcyBpcyAxIHRva2Vu9", "? /users/{base64url}")]);
}

#[test]
fn conflicts_name_the_other_side() {
    let check_with = |options: RouteOptions, lines: &[&str], expected: &[&str]| {
        let routes: Vec<RouteSpec> = lines.iter().map(|line| route(line)).collect();
        let problems = RouteTable::build(&routes, &options)
            .map(|_| ())
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(problems.err().unwrap_or_default(), expected, "{lines:?}");
    };
    let check = |lines: &[&str], expected: &[&str]| check_with(RouteOptions::default(), lines, expected);
    check(
        &["GET /users/{id}", "POST /a", "POST,GET /users/{name}"],
        &[
            "routes.table[2].template: `/users/{name}` conflicts with routes.table[0].template `/users/{id}`; use one name for the parameter",
        ],
    );
    check(
        &["ANY /v{a}.{b}", "GET /v{x}.{y}"],
        &[
            "routes.table[1].template: `/v{x}.{y}` conflicts with routes.table[0].template `/v{a}.{b}`; use one name for the parameter",
        ],
    );
    check(
        &["ANY /{a...}", "ANY /{b...}"],
        &[
            "routes.table[1].template: `/{b...}` conflicts with routes.table[0].template `/{a...}`; use one name for the parameter",
        ],
    );
    check(&["GET /users/{id}", "POST /users/{pk}"], &[]);
    check(
        &["GET /a", "GET /a"],
        &["routes.table[1].template: `GET /a` is already routes.table[0]; remove one of the two"],
    );
    check(
        &["ANY /a", "ANY /a"],
        &["routes.table[1].template: `/a` for any method is already routes.table[0]; remove one of the two"],
    );
    check(&["ANY /a", "GET /a"], &[]);
    check(&["GET /a", "GET /a/"], &[]);
    check(&["GET /a", "GET /A"], &[]);
    check(
        &["GET /~a", "GET /%7Ea"],
        &[
            "routes.table[1].template: `/%7Ea` conflicts with routes.table[0].template `/~a`; they match the same paths; write both alike",
        ],
    );
    check_with(
        RouteOptions { case: Case::Insensitive, ..RouteOptions::default() },
        &["GET /a", "GET /A"],
        &[
            "routes.table[1].template: `/A` conflicts with routes.table[0].template `/a`; they differ in case alone, which `case: insensitive` ignores; remove one of the two",
        ],
    );
    check(
        &["GET,POST,GET a", "GET /b as unknown", "GET /c as _overflow", "GET /{a}{b}"],
        &[
            "routes.table[0].methods: `GET` is there twice; remove one",
            "routes.table[0].template: found `a`; start it with `/`",
            "routes.table[1].name: `unknown` is the label of requests without a route; use another name",
            "routes.table[2].name: `_overflow` is the label of requests without a route; use another name",
            "routes.table[3].template: `/{a}{b}`: `{b}` follows another parameter; put text between them",
        ],
    );
}

#[test]
fn methods_and_names_are_checked() {
    let problems = |methods: Option<Vec<Method>>, name: Option<&str>| {
        let route = RouteSpec { methods, template: "/a".into(), name: name.map(str::to_owned) };
        RouteTable::build(&[route], &RouteOptions::default())
            .map(|_| ())
            .map_err(|problems| problems[0].message.clone())
            .unwrap_err()
    };
    assert_eq!(problems(Some(Vec::new()), None), "the list is empty; name a method, or leave the field out for any");
    assert_eq!(problems(None, Some("")), "the name is empty; give one, or leave the field out");
    assert_eq!(problems(None, Some("a\nb")), "\"a\\nb\" has a control character; remove it");
    assert_eq!(problems(None, Some(&"n".repeat(201))), "the name has 201 bytes; use at most 200");
}
