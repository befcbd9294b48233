//! Paths to templates: what is a parameter, what is static, and what is neither.

use super::*;
use crate::routes::coverage::paths::Paths;
use crate::routes::coverage::segment::Probe;

/// The templates of these requests, `PATH [STATUS]`, against a configured table.
fn found_with(table: &[&str], options: RouteOptions, requests: &[String]) -> Vec<String> {
    let probe = Probe::new().unwrap();
    let mut paths = Paths::new(10_000);
    for request in requests {
        let (path, status) = request.split_once(' ').unwrap_or((request, "200"));
        paths.add(&probe, Method::Get, path.as_bytes(), status.parse().unwrap());
    }
    let spec = |template: &&str| RouteSpec { methods: None, template: (*template).to_owned(), name: None };
    let specs: Vec<RouteSpec> = table.iter().map(spec).collect();
    let found = templates(paths.iter().map(|(_, known)| known), &specs, &options);
    found.into_iter().map(|found| found.template).collect()
}

/// The requests of a pattern: `{n}` is a number, `{w}` a word, `{s}` a slug, each new with every request.
fn requests(pattern: &str, times: usize) -> Vec<String> {
    let letter = |n: usize| char::from(b'a' + u8::try_from(n % 26).unwrap());
    (0..times)
        .map(|n| {
            let word: String = [letter(n), letter(n / 26), 'o', letter(n * 7), 'm'].into_iter().collect();
            let slug = format!("{word}-{n}-x");
            pattern.replace("{n}", &(100_000 + n * 37).to_string()).replace("{w}", &word).replace("{s}", &slug)
        })
        .collect()
}

fn check(patterns: &[(&str, usize)], expected: &[&str]) {
    check_with(&[], RouteOptions::default(), patterns, expected);
}

fn check_with(table: &[&str], options: RouteOptions, patterns: &[(&str, usize)], expected: &[&str]) {
    let all: Vec<String> = patterns.iter().flat_map(|(pattern, times)| requests(pattern, *times)).collect();
    assert_eq!(found_with(table, options, &all), expected, "{patterns:?}");
}

#[test]
fn typed_segments_are_parameters() {
    check(&[("/users/{n}", 3)], &["/users/{user_id}"]);
    check(&[("/users/{n}/posts/{n}", 3)], &["/users/{user_id}/posts/{post_id}"]);
    check(&[("/a/{n}/{n}", 3)], &["/a/{a_id}/{id}"]);
    check(&[("/days/2024-01-31", 1), ("/days/2024-02-01", 1)], &["/days/{date}"]);
    check(&[("/mail/ann{n}@example.org", 3)], &["/mail/{email}"]);
    check(&[("/api/v1/{n}", 3)], &["/api/v1/{id}"]);
}

#[test]
fn a_version_stays() {
    check(&[("/api/2/issue/{n}", 30)], &["/api/2/issue/{issue_id}"]);
    check(&[("/users/7/posts", 3)], &[]);
}

#[test]
fn words_are_parameters_where_they_are_many_and_rare() {
    check(&[("/tags/{w}", 30)], &["/tags/{tag}"]);
    check(&[("/tags/{s}", 8)], &["/tags/{tag}"]);
    check(&[("/tags/{w}", 4)], &[]);
    check(
        &[("/search/code", 9), ("/search/users", 9), ("/search/topics", 9)],
        &["/search/code", "/search/topics", "/search/users"],
    );
    check(&[("/{w}", 60)], &[]);
}

#[test]
fn a_static_word_beside_a_parameter_stays() {
    check(&[("/users/{n}", 9), ("/users/me", 9)], &["/users/me", "/users/{user_id}"]);
    check(
        &[("/orgs/{n}/secrets/{w}", 40), ("/orgs/{n}/secrets/public-key", 40)],
        &["/orgs/{org_id}/secrets/public-key", "/orgs/{org_id}/secrets/{secret}"],
    );
}

#[test]
fn collections_are_not_values() {
    let names =
        ["pods", "jobs", "nodes", "roles", "leases", "events", "tokens", "claims", "quotas", "limits", "routes"];
    let more = ["hosts", "zones", "teams", "rings", "ports", "plans", "hooks"];
    let patterns: Vec<String> = names.iter().chain(&more).map(|name| format!("/api/{name}/{{n}}/status")).collect();
    let all: Vec<String> = patterns.iter().flat_map(|pattern| requests(pattern, 5)).collect();
    let found = found_with(&[], RouteOptions::default(), &all);
    assert_eq!(found.len(), 18, "{found:?}");
    assert!(found.contains(&"/api/pods/{pod_id}/status".to_owned()), "{found:?}");
}

#[test]
fn values_that_lead_to_the_same_words_are_one_parameter() {
    check(
        &[("/t/{w}/users", 20), ("/t/{w}/items", 20), ("/t/{w}/items/{n}", 20)],
        &["/t/{t}/items", "/t/{t}/items/{item_id}", "/t/{t}/users"],
    );
}

#[test]
fn files_are_files() {
    check(&[("/img/{w}.png", 9)], &["/img/{name}.png"]);
    check(&[("/img/a.png", 2), ("/img/b.png", 1)], &[]);
    check(&[("/posts/{w}.html", 9), ("/posts/{w}", 4)], &["/posts/{name}.html", "/posts/{post}"]);
    check(&[("/s/{w}.css", 2), ("/s/js/{w}.js", 2), ("/s/img/a/{w}.png", 3), ("/s/font/x.woff", 1)], &["/s/{path...}"]);
}

#[test]
fn what_the_table_knows_stays() {
    let default = RouteOptions::default();
    check_with(&["/d/{id}/approve/"], default, &[("/d/{n}/reject/", 3)], &["/d/{id}/reject/"]);
    check_with(&["/t/{w}/x", "/t/new/x"], default, &[("/t/new/y", 5), ("/t/{w}/y", 3)], &["/t/new/y", "/t/{w}/y"]);
    check_with(&["/tags/popular/all"], default, &[("/tags/{w}", 30), ("/tags/popular", 1)], &["/tags/{tag}"]);
}

#[test]
fn a_slash_at_the_end_is_as_configured() {
    let strict = RouteOptions { trailing_slash: TrailingSlash::Strict, ..RouteOptions::default() };
    let both = [("/a/{n}", 3), ("/a/{n}/", 4)];
    check(&both, &["/a/{a_id}/"]);
    check_with(&[], strict, &both, &["/a/{a_id}", "/a/{a_id}/"]);
    check(&[("/", 3)], &["/"]);
}

#[test]
fn case_is_as_configured() {
    let insensitive = RouteOptions { case: Case::Insensitive, ..RouteOptions::default() };
    let both = [("/Users/{n}", 3), ("/users/{n}", 3)];
    check(&both, &["/Users/{user_id}", "/users/{user_id}"]);
    check_with(&[], insensitive, &both, &["/users/{user_id}"]);
}

#[test]
fn scanners_lead_to_nothing() {
    for junk in [
        "/wp-login.php 404",
        "/wp-login.php 301",
        "/wp-login.php 403",
        "/.env 200",
        "/.git/config 200",
        "/../../etc/passwd 200",
        "/%2e%2e/%2e%2e/etc/passwd 200",
        "/a%00b 200",
        "/a%0d%0ab 200",
        "/a//b 200",
        "/x/{w} 404",
        "/x/{n} 405",
        "/x/{n} 401",
        "/x/{n} 400",
        "/x/{n} 0",
    ] {
        check(&[(junk, 40)], &[]);
    }
    check(&[("/.well-known/x", 4)], &["/.well-known/x"]);
    check(&[("/x/{n}", 3), ("/x/{w} 404", 50)], &["/x/{x_id}"]);
}

#[test]
fn text_that_no_template_can_have_is_a_value_or_nothing() {
    check(&[("/x/{{n}}", 9)], &["/x/{x}"]);
    check(&[("/x/:{w}", 9)], &["/x/{x}"]);
    check(&[("/x/é{n}", 9)], &["/x/{x}"]);
    check(&[("/é{n}", 9)], &[]);
    check(&[(&format!("/{}", "deep/".repeat(60)), 3)], &[&format!("/{}", "deep/".repeat(60))]);
}
