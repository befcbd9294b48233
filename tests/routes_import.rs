//! The kept routes of GitHub's API: what they are, and that a fresh import of the whole document gives the same.

use edge_observer::config_file;
use edge_observer::routes::import::{self, Destination, Format, ImportOptions};

use crate::support::npm;

const KEPT: &str = include_str!("data/github.yaml");
const PACKAGE: &str = "@octokit/openapi@23.0.2";
const DOCUMENT: &str = "package/generated/api.github.com.json";

fn kept() -> config_file::Loaded {
    config_file::parse(KEPT.as_bytes()).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

#[test]
fn the_kept_routes_of_github_are_complete_and_within_their_budget() {
    let config = kept().config;
    let routes = config.routes().specs();
    assert_eq!(routes.len(), 1_223);
    assert!(
        routes
            .iter()
            .all(|route| route.name.is_some() && route.methods.as_ref().is_some_and(|methods| methods.len() == 1))
    );
    // `unknown` and `_overflow` are labels too.
    assert_eq!(config.routes().table().labels().len(), 811 + 2);
    let tails = routes.iter().filter(|route| route.template.ends_with("...}")).count();
    assert_eq!(tails, 23, "operations whose last parameter may hold slashes");
    assert!(config.budget().total() <= config.metrics().series_budget());
}

#[test]
fn a_fresh_import_gives_the_kept_routes() {
    let Some(document) = npm::member(PACKAGE, DOCUMENT) else { return };
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("github.yaml");
    std::fs::write(&into, KEPT).unwrap();
    let imported = import::run(&ImportOptions {
        source: document.to_str().unwrap().to_owned(),
        format: Format::Auto,
        base_paths: Vec::new(),
        destination: Destination::Into(into.clone()),
        label: None,
        set_budget: false,
        section: "api".to_owned(),
        dry_run: false,
    })
    .unwrap();
    let report = imported.report;
    assert_eq!((report.description.read, report.routes, report.endpoints), (1_223, 1_223, 811));
    assert_eq!(
        (report.description.left_out.total, report.duplicates.total),
        (0, 0),
        "{:?}",
        report.description.left_out
    );
    let changes = report.changes.unwrap();
    assert_eq!((changes.unchanged, changes.added.len(), changes.removed.len()), (1_223, 0, 0), "{changes:?}");
    assert_eq!(std::fs::read_to_string(&into).unwrap(), KEPT);
}
