//! What an import does to a text, and that a second one does it again.

use telemetry::method::Method;

use super::*;
use crate::config_file;

fn route(template: &str) -> RouteSpec {
    RouteSpec { methods: Some(vec![Method::Get]), template: template.to_owned(), name: None }
}

fn edit(text: &str, routes: &[RouteSpec]) -> Edited {
    let editor = Editor::new(text);
    let before = editor.before("api").unwrap_or_else(|error| panic!("{text}: {error}"));
    editor.with_routes(routes, "api", &before).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn templates(text: &str) -> Vec<String> {
    let loaded = config_file::parse(text.as_bytes()).unwrap_or_else(|mistakes| panic!("{text}\n{mistakes:?}"));
    loaded.config.routes().specs().iter().map(|spec| spec.template.clone()).collect()
}

/// Imports `/x` and `/y`, then `/z` alone.
fn check(text: &str, by_hand: &[&str], marked: bool) -> String {
    let first = edit(text, &[route("/x"), route("/y")]);
    let with = |more: &[&str]| -> Vec<String> { by_hand.iter().chain(more).map(|text| (*text).to_owned()).collect() };
    assert_eq!(templates(&first.text), with(&["/x", "/y"]), "{}", first.text);
    assert_eq!(first.marked, marked, "{text}");
    if marked {
        let [start, end] = render::markers("api");
        let (above, rest) = first.text.split_once(&start).unwrap();
        let (_, below) = rest.split_once(&end).unwrap();
        // Every line of before is there still, in its order, and nothing else.
        // (A flow list is one that cannot stay.)
        let mut lines = above.lines().chain(below.lines());
        for line in text.lines().filter(|line| !line.trim().is_empty() && !line.contains("table: [")) {
            assert!(lines.any(|kept| kept == line), "{line}: {}", first.text);
        }
        let second = edit(&first.text, &[route("/z")]);
        assert_eq!(templates(&second.text), with(&["/z"]), "{}", second.text);
        assert_eq!(edit(&second.text, &[route("/x"), route("/y")]).text, first.text);
    }
    first.text
}

#[test]
fn block_style_keeps_every_other_byte() {
    check("", &[], true);
    check("# only a comment\n", &[], true);
    check("namespace: shop\n", &[], true);
    check("namespace: shop", &[], true);
    check("routes:\n  label: template\nnamespace: shop\n", &[], true);
    check("routes:   # nothing yet\nnamespace: shop\n", &[], true);
    check("routes:\n    case: sensitive   # four\n\n# end\n", &[], true);
    check(
        "routes:\n  table:\n    - template: /a   # one\n      name: a\n    # after it\nnamespace: shop # end\n",
        &["/a"],
        true,
    );
    check(
        "routes:\n  table:\n  - {template: /a}   # one\n  - {template: /b}\n\nmetrics:\n  series_budget: 50000\n",
        &["/a", "/b"],
        true,
    );
    check("routes:\n  table:\n    - {template: /a}", &["/a"], true);
    check("---\nroutes:\n  table:\n    -   template: \"/a/{é}\"\n".replace('é', "e").as_str(), &["/a/{e}"], true);
    check("# ümläut\nroutes:\n  table:\n    - {template: /a, name: \"ü\"}\n", &["/a"], true);
    check(
        "routes:\n  table:\n    - template: >-\n        /a\n    - name: |-\n        b\n      template: /b\nring: x\n",
        &["/a", "/b"],
        true,
    );
}

#[test]
fn crlf_and_empty_lists_are_kept_readable() {
    check("routes:\r\n  table:\r\n    - {template: /a}\r\nring: x\r\n", &["/a"], true);
    let text = check("routes:\n  table: []   # none yet\nring: x\n", &[], true);
    assert!(text.contains("ring: x"), "{text}");
}

#[test]
fn a_flow_list_becomes_a_block_list_and_its_comments_are_lost() {
    let text = check(
        "routes:\n  table: [{template: /a}, {methods: [GET], template: /b}]\nring: x # kept\n",
        &["/a", "/b"],
        true,
    );
    assert!(text.contains("    - {methods: [GET], template: /b}\n"), "{text}");
    assert!(text.contains("ring: x # kept"), "{text}");
    let edited = edit("routes:\n  table: [ # why\n    {template: /a},\n  ]\n", &[route("/x")]);
    assert!(edited.comments_lost);
    assert_eq!(templates(&edited.text), ["/a", "/x"]);
}

#[test]
fn json_is_written_anew_without_markers() {
    check("{}", &[], false);
    check("{\"namespace\": \"shop\"}", &[], false);
    check("{\"routes\": {}}", &[], false);
    check("{\"routes\": {\"label\": \"template\"}}", &[], false);
    check("{\n  \"routes\": {\n    \"table\": []\n  }\n}\n", &[], false);
    let text =
        check("{\n  \"routes\": {\n    \"table\": [\n      {\"template\": \"/a\"}\n    ]\n  }\n}\n", &["/a"], false);
    assert_eq!(
        text,
        "{\n  \"routes\": {\n    \"table\": [\n      {\"template\": \"/a\"},\n      {\"methods\":[\"GET\"],\"template\":\"/x\"},\n      {\"methods\":[\"GET\"],\"template\":\"/y\"}\n    ]\n  }\n}\n"
    );
    check("routes: {table: [{template: /a}], label: template}\nring: x\n", &["/a"], false);
    check("routes: {label: template}\n", &[], false);
}

#[test]
fn sections_do_not_touch_each_other() {
    let one = edit("routes:\n  table:\n    - {template: /a}\n", &[route("/x")]).text;
    let editor = Editor::new(&one);
    let before = editor.before("two").unwrap();
    let two = editor.with_routes(&[route("/y")], "two", &before).unwrap().text;
    assert_eq!(templates(&two), ["/a", "/x", "/y"]);
    let editor = Editor::new(&two);
    let before = editor.before("api").unwrap();
    assert_eq!(before.entries, 1..2);
    let again = editor.with_routes(&[route("/z")], "api", &before).unwrap().text;
    assert_eq!(templates(&again), ["/a", "/z", "/y"]);
}

#[test]
fn what_was_imported_is_told_from_what_was_not() {
    let text = edit("routes:\n  table:\n    - {template: /a}\n", &[route("/x"), route("/y")]).text;
    let text = format!("{text}    - {{template: /b}}\n");
    assert_eq!(templates(&text), ["/a", "/x", "/y", "/b"]);
    let editor = Editor::new(&text);
    let before = editor.before("api").unwrap();
    assert_eq!(before.entries, 1..3);
    let edited = editor.with_routes(&[], "api", &before).unwrap();
    assert_eq!(templates(&edited.text), ["/a", "/b"]);
    assert_eq!(Editor::new(&edited.text).before("api").unwrap().entries, 1..1);
}

#[test]
fn broken_markers_are_refused() {
    let [start, end] = render::markers("api");
    for text in [format!("{start}\n"), format!("{end}\n{start}\n"), format!("{start}\n{start}\n{end}\n")] {
        assert!(Editor::new(&text).before("api").unwrap_err().contains("marker lines"), "{text}");
    }
    assert_eq!(Editor::new("# >>> edge-observer routes import (apis)\n").before("api").unwrap().bytes, None);
}

#[test]
fn the_budget_is_set_where_it_is_or_belongs() {
    for (text, expected) in [
        ("", "metrics:\n  series_budget: 7\n"),
        ("ring: x\n", "ring: x\n\nmetrics:\n  series_budget: 7\n"),
        ("metrics:\n  series_budget: 50000   # why\n", "metrics:\n  series_budget: 7   # why\n"),
        ("metrics:   # m\n    histogram: true\n", "metrics:   # m\n    series_budget: 7\n    histogram: true\n"),
        ("metrics: {histogram: true}\n", "metrics: {\"series_budget\": 7, histogram: true}\n"),
        ("{}", "{\"metrics\": {\"series_budget\": 7}}"),
        ("{\"metrics\": {\"series_budget\": 50000}}", "{\"metrics\": {\"series_budget\": 7}}"),
    ] {
        assert_eq!(Editor::new(text).with_budget(7).unwrap(), expected, "{text}");
    }
}
