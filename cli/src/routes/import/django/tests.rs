//! Lists that django-extensions 4.1 printed of a small project (`tests/data/django/`), and patterns by hand.

use super::*;

const FORMATS: [(&str, &str); 6] = [
    ("dense", include_str!("../../../../../tests/data/django/show_urls.dense.txt")),
    ("verbose", include_str!("../../../../../tests/data/django/show_urls.verbose.txt")),
    ("aligned", include_str!("../../../../../tests/data/django/show_urls.aligned.txt")),
    ("table", include_str!("../../../../../tests/data/django/show_urls.table.txt")),
    ("json", include_str!("../../../../../tests/data/django/show_urls.json")),
    ("pretty-json", include_str!("../../../../../tests/data/django/show_urls.pretty.json")),
];

fn routes(text: &str) -> Vec<(String, Option<String>)> {
    let read = read(text.as_bytes()).unwrap();
    read.operations.into_iter().map(|operation| (operation.template, operation.name)).collect()
}

#[test]
fn every_format_of_show_urls_gives_the_same_routes() {
    let mut dense = routes(FORMATS[0].1);
    dense.sort();
    assert_eq!(dense.len(), 61);
    for (format, text) in FORMATS {
        assert!(is_list(text.as_bytes()) || is_json_list(&Reader::new().read(text.as_bytes()).unwrap()), "{format}");
        let mut found = routes(text);
        found.sort();
        assert_eq!(found, dense, "{format}");
        let read = read(text.as_bytes()).unwrap();
        assert_eq!((read.read, read.left_out.total), (63, 2), "{format}: {:?}", read.left_out);
    }
}

#[test]
fn the_real_list_is_read_as_django_means_it() {
    let routes = routes(FORMATS[0].1);
    let check = |template: &str, name: &str| {
        let name = Some(name.to_owned()).filter(|name| !name.is_empty());
        assert!(routes.contains(&(template.to_owned(), name)), "{template}: {routes:?}");
    };
    check("/admin/", "admin:index");
    check("/admin/{url...}", "");
    check("/admin/auth/group/{object_id...}", "");
    check("/admin/auth/group/{object_id}/change/", "admin:auth_group_change");
    check("/account/{pk}/", "account");
    check("/api/v1/.{format}", "api-root");
    check("/api/v1/users/{pk}.{format}/", "user-detail");
    check("/api/v2/members/{pk}.{format}", "member-detail");
    check("/files/{rest...}", "file");
    check("/files/{rest}/history", "file-history");
    check("/media/{path...}", "");
    check("/reports/{id}/{part}.csv", "reports:part");
    check("/reports/{year}/", "reports:year");
}

#[test]
fn patterns() {
    let check = |url: &str, expected: &str| {
        let found = routes(&format!("{url}\tview\tname\n"));
        assert_eq!(found, [(expected.to_owned(), Some("name".to_owned()))], "{url}");
    };
    check("/", "/");
    check("/users/<pk>", "/users/{pk}");
    check("/a/<int:x>/<slug:y>/<uuid:z>/<str:w>", "/a/{x}/{y}/{z}/{w}");
    check("/a/<x>-<y>.json", "/a/{x}-{y}.json");
    check("/users\\.<format>/", "/users.{format}/");
    check("/users<drf_format_suffix_json_html:format>", "/users.{format}");
    check("/<var>/<var>/", "/{var}/{var_2}/");
    check("^api/users/(?P<pk>[0-9]+)/$", "/api/users/{pk}/");
    check("^api/^users/(?P<pk>[^/.]+)/?$", "/api/users/{pk}/");
    check("^users\\.(?P<format>[a-z0-9]+)/?$", "/users.{format}/");
    check("/(?P<version>(v1|v2))/x", "/{version}/x");
    check("^two/([a-z]+)/(\\d+)/$", "/two/{arg1}/{arg2}/");
    check("^static/(?P<path>.*)$", "/static/{path...}");
    check("^static/(?P<path>.*)/raw$", "/static/{path}/raw");
    check("^a\\-b\\/c$", "/a-b/c");
    check("/a b/é", "/a%20b/%C3%A9");
    check("/a{b}", "/a%7Bb%7D");
}

#[test]
fn what_a_template_cannot_express_is_left_out_with_the_reason() {
    let check = |url: &str, expected: &str| {
        let read = read(format!("{url}\tview\tname\n/ok\tview\tok\n").as_bytes()).unwrap();
        assert_eq!(read.operations.len(), 1, "{url}");
        assert_eq!(read.left_out.total, 1, "{url}");
        assert!(read.left_out.listed[0].message.contains(expected), "{url}: {:?}", read.left_out);
    };
    check("/numbers/\\d/", "`\\d` of a regular expression");
    check("/two/<var>/([a-z])/", "`(` of a regular expression");
    check("^a|b$", "`|` of a regular expression");
    check("^items?/$", "`?` of a regular expression");
    check("^[a-z]/$", "`[` of a regular expression");
    check("^(?:en|de)/about$", "is an alternative");
    check("^a(?P<x>b)?$", "may be left out");
    check("^a/(?P<x>b$", "`(` without `)`");
    check("/a/<x", "`<` without `>`");
}

#[test]
fn lines_around_the_list_are_told_and_colours_are_not_seen() {
    let text = "Loading settings\n\u{1b}[32m/a/\u{1b}[0m\tshop.\u{1b}[1mviews\u{1b}[0m\t\u{1b}[31ma-name\u{1b}[0m\t\n";
    assert!(is_list(text.as_bytes()));
    assert_eq!(routes(text), [("/a/".to_owned(), Some("a-name".to_owned()))]);
    assert_eq!(read(text.as_bytes()).unwrap().left_out.listed[0].message, "`Loading settings` is no URL");
    assert_eq!(routes("/a\n/b/<pk>\n"), [("/a".to_owned(), None), ("/b/{pk}".to_owned(), None)]);
}

#[test]
fn what_is_no_list_is_refused() {
    for text in ["", "hello", "[]", "[1, 2]", "[{\"u\": 1}]"] {
        assert!(read(text.as_bytes()).unwrap_err().contains("no URL in it"), "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn any_line_is_read_or_left_out(pieces in proptest::collection::vec(proptest::sample::select(vec![
        "/", "^", "$", "(", ")", "(?P<a>", "(?:", "<", ">", "<int:", "path", "x", "\\", "\\d", "[", "]", "|", "?", "*", "+", "{", "}", "é", "\t", "   ", " | ", "%",
    ]), 0..14)) {
        let text = format!("/{}\n", pieces.concat());
        let read = read(text.as_bytes()).unwrap();
        proptest::prop_assert_eq!(read.operations.len() as u64 + read.left_out.total, 1);
        for operation in read.operations {
            let route = telemetry::route::RouteSpec { methods: None, template: operation.template, name: None };
            proptest::prop_assert!(telemetry::route::RouteTable::build(std::slice::from_ref(&route), &telemetry::route::RouteOptions::default()).is_ok(), "{} {:?}", text, route);
        }
    }
}
