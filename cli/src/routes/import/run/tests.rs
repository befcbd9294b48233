//! The command as a whole, on files.

use super::*;

const DESCRIPTION: &str = "openapi: 3.0.3\ninfo: {title: Shop}\npaths:\n  /users: {get: {operationId: list}, post: {operationId: make}}\n  '/users/{id}': {get: {operationId: one}}\n  /users/me: {get: {operationId: me}}\n";

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(description: &str) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        place.write("api.yaml", description);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn options(&self, destination: Destination) -> ImportOptions {
        ImportOptions {
            source: self.path("api.yaml").to_str().unwrap().to_owned(),
            format: Format::Auto,
            base_paths: Vec::new(),
            destination,
            label: None,
            set_budget: false,
            section: "api".to_owned(),
            dry_run: false,
        }
    }

    fn merge(&self, name: &str) -> anyhow::Result<Imported> {
        run(&self.options(Destination::Into(self.path(name))))
    }
}

#[test]
fn the_table_goes_to_standard_output() {
    let place = Place::new(DESCRIPTION);
    let imported = run(&place.options(Destination::Stdout)).unwrap();
    let text = imported.text.unwrap();
    assert_eq!(
        text,
        "# Routes of Shop: OpenAPI 3.0.3, from api.yaml.\n\nroutes:\n  table:\n    # >>> edge-observer routes import (api): the next import replaces the lines up to its end\n    - {methods: [GET], template: /users, name: list}\n    - {methods: [POST], template: /users, name: make}\n    - {methods: [GET], template: \"/users/{id}\", name: one}\n    - {methods: [GET], template: /users/me, name: me}\n    # <<< edge-observer routes import (api)\n"
    );
    assert!(imported.good && config_file::parse(text.as_bytes()).is_ok());
    let report = imported.report;
    assert_eq!((report.description.read, report.routes, report.endpoints, report.overlaps.nested), (4, 4, 3, 1));
    let shown = report.to_text(true);
    assert!(shown.contains("operations read       4") && shown.contains("GET /users/me"), "{shown}");
    assert_eq!(report.to_json()["overlaps"]["listed"][0]["winner"]["template"], "/users/me");
    assert_eq!(report.to_json()["series"]["total"], report.budget.total());
}

#[test]
fn a_second_import_replaces_the_first_and_nothing_else() {
    let place = Place::new(DESCRIPTION);
    let by_hand = "# mine\nnamespace: shop   # theirs\nroutes:\n  table:\n    - {template: \"/users/{name}\", methods: [GET]}   # by hand\nmetrics:\n  extra_statuses: 3\n";
    place.write("c.yaml", by_hand);
    let changes = |imported: Imported| {
        let changes = imported.report.changes.unwrap();
        (
            changes.by_hand,
            changes.unchanged,
            changes.added.len(),
            changes.replaced.len(),
            changes.removed.len(),
            imported.report.by_hand.total,
        )
    };
    assert_eq!(changes(place.merge("c.yaml").unwrap()), (1, 0, 3, 0, 0, 1));
    let first = place.read("c.yaml");
    assert!(first.starts_with(by_hand.split("metrics").next().unwrap()), "{first}");
    assert!(first.ends_with("metrics:\n  extra_statuses: 3\n"), "{first}");
    assert_eq!(changes(place.merge("c.yaml").unwrap()), (1, 3, 0, 0, 0, 1));
    assert_eq!(place.read("c.yaml"), first);
    place.write(
        "api.yaml",
        &DESCRIPTION.replace("operationId: make", "operationId: create").replace("/users/me", "/users/self"),
    );
    let again = place.merge("c.yaml").unwrap();
    let text = again.report.to_text(false);
    assert!(text.contains("POST /users as create (was POST /users as make)"), "{text}");
    assert!(text.contains("GET /users/self as me") && text.contains("GET /users/me as me"), "{text}");
    assert_eq!(changes(again), (1, 1, 1, 1, 1, 1));
    assert!(!place.read("c.yaml").contains("/users/me"));
}

#[test]
fn over_the_budget_nothing_is_written_without_leave() {
    let paths: String = (0..60).map(|n| format!("  /r{n}: {{get: {{}}}}\n")).collect();
    let place = Place::new(&format!("openapi: 3.0.0\npaths:\n{paths}"));
    place.write("c.yaml", "namespace: shop\n");
    let refused = place.merge("c.yaml").unwrap();
    assert!(!refused.good && refused.text.is_none());
    let needed = refused.report.budget.total();
    let said = refused.report.outcome.join("\n");
    assert!(said.contains(&format!("can lead to {} series; give --set-budget", count(needed))), "{said}");
    assert_eq!(place.read("c.yaml"), "namespace: shop\n");
    let shown = run(&place.options(Destination::Stdout)).unwrap();
    assert!(!shown.good && shown.text.unwrap().contains("/r59"));
    let options = ImportOptions { set_budget: true, ..place.options(Destination::Into(place.path("c.yaml"))) };
    let written = run(&options).unwrap();
    assert!(written.good);
    let config = config_file::require(&place.path("c.yaml")).unwrap().config;
    assert_eq!(config.budget().total(), needed);
    assert!(config.metrics().series_budget() >= needed && config.metrics().series_budget() - needed < 1_000);
}

#[test]
fn files_are_not_overwritten_by_accident() {
    let place = Place::new(DESCRIPTION);
    let new = |force, dry_run| {
        let destination = Destination::New { file: place.path("out.yaml"), force };
        run(&ImportOptions { dry_run, label: Some(LabelStyle::Name), ..place.options(destination) })
    };
    assert!(new(false, true).unwrap().report.outcome[0].starts_with("dry run: 4 routes"));
    assert!(!place.path("out.yaml").exists());
    new(false, false).unwrap();
    assert!(place.read("out.yaml").contains("\nroutes:\n  label: name\n  table:\n"));
    new(false, false).unwrap();
    place.write("out.yaml", "dear diary\n");
    let error = new(false, false).unwrap_err();
    assert!(error.downcast_ref::<Usage>().is_some() && error.to_string().contains("give --force"), "{error}");
    assert_eq!(place.read("out.yaml"), "dear diary\n");
    new(true, false).unwrap();
    assert!(place.read("out.yaml").contains("/users/me"));
    // Nothing but the files themselves is left behind.
    assert_eq!(fs::read_dir(place.folder.path()).unwrap().count(), 2);
}

#[cfg(unix)]
#[test]
fn a_link_stays_a_link_and_a_mode_stays_a_mode() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new(DESCRIPTION);
    place.write("real.yaml", "namespace: shop\n");
    fs::set_permissions(place.path("real.yaml"), fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("real.yaml", place.path("link.yaml")).unwrap();
    place.merge("link.yaml").unwrap();
    assert!(fs::symlink_metadata(place.path("link.yaml")).unwrap().is_symlink());
    assert!(place.read("real.yaml").contains("/users/me"));
    assert_eq!(fs::metadata(place.path("real.yaml")).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn wrong_usage_is_told_from_a_bad_source() {
    let place = Place::new(DESCRIPTION);
    let usage = |options: ImportOptions, expected: &str| {
        let error = run(&options).unwrap_err();
        assert!(error.downcast_ref::<Usage>().is_some(), "{error:#}");
        assert!(error.to_string().contains(expected), "{error:#}");
    };
    usage(
        ImportOptions { base_paths: vec!["v1".to_owned()], ..place.options(Destination::Stdout) },
        "--base-path: found `v1`",
    );
    usage(ImportOptions { section: "a b".to_owned(), ..place.options(Destination::Stdout) }, "--section: found `a b`");
    usage(place.options(Destination::Into(place.path("none.yaml"))), "does not exist; give --output");
    usage(place.options(Destination::Into(PathBuf::from("-"))), "--into needs a file");
    for (text, expected) in [
        ("", "nothing in it"),
        ("<!doctype html><html>", "this is a web page"),
        ("dear diary\n", "no API description"),
        ("openapi: 3.0.0\npaths: {}\n", "without a path that could be a route"),
        ("openapi: 3.0.0\npaths: {'/{': {get: {}}}\n", "`{` without `}`"),
    ] {
        place.write("api.yaml", text);
        let error = run(&place.options(Destination::Stdout)).unwrap_err();
        assert!(error.downcast_ref::<Usage>().is_none());
        let error = format!("{error:#}");
        assert!(error.contains("api.yaml: ") && error.contains(expected), "{text}: {error}");
    }
    place.write("api.yaml", DESCRIPTION);
    place.write("c.yaml", "namespace: Shop\n");
    assert!(place.merge("c.yaml").unwrap_err().to_string().contains("c.yaml: namespace: "));
}

#[test]
fn base_paths_may_be_given_several_times() {
    let place = Place::new(DESCRIPTION);
    let options =
        ImportOptions { base_paths: vec!["/v1/".to_owned(), "/".to_owned()], ..place.options(Destination::Stdout) };
    let imported = run(&options).unwrap();
    assert_eq!((imported.report.description.read, imported.report.routes), (4, 8));
    assert_eq!(imported.report.shared_names.total, 4);
}

#[test]
fn a_table_that_is_too_long_says_so() {
    let paths: String = (0..25_001).map(|n| format!("  /r{n}: {{get: {{}}}}\n")).collect();
    let place = Place::new(&format!("openapi: 3.0.0\npaths:\n{paths}"));
    let error = run(&place.options(Destination::Stdout)).unwrap_err().to_string();
    assert!(error.contains("routes.table") && error.contains("25000"), "{error}");
}
