//! A route table in the shape of a large API, of any size, and the plugin configuration that holds it.
//!
//! Its templates have all that makes routing hard: resources below resources, static siblings of parameters (so that a router has to go back),
//! segments that are partly text, templates with another route for each method, a tail. Every static segment is a word of lower-case letters
//! without [`RARE`] (or an abbreviation with a full stop), which is what lets [`super::junk`] make paths that certainly match nothing.

use anyhow::Context as _;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use telemetry::config::Config;
use telemetry::method::Method;
use telemetry::route::{PlaceholderLimits, RouteSpec, Unmatched};

use crate::config_file::Loaded;

/// A letter that no static segment has.
pub(super) const RARE: char = 'q';

/// What comes before every resource, but for the version.
pub(super) const ROOT: &str = "/api";

/// Statuses that have a label of their own.
pub(super) const STATUSES: [u16; 12] = [200, 201, 204, 301, 304, 400, 401, 403, 404, 405, 422, 500];

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// How many status codes outside [`STATUSES`] may get a label: Envoy's own answers have some.
const EXTRA_STATUSES: u16 = 4;

const AREAS: [&str; 12] = [
    "access", "assets", "audit", "billing", "catalog", "devices", "fleet", "identity", "network", "policy", "reports",
    "storage",
];

const RESOURCES: [&str; 24] = [
    "accounts",
    "agents",
    "alerts",
    "backups",
    "branches",
    "builds",
    "campaigns",
    "clusters",
    "contracts",
    "domains",
    "events",
    "groups",
    "hosts",
    "images",
    "invoices",
    "jobs",
    "labels",
    "members",
    "orders",
    "packages",
    "projects",
    "releases",
    "tickets",
    "zones",
];

const PARTS: [&str; 10] =
    ["actions", "comments", "deployments", "grants", "keys", "notes", "rules", "runs", "tags", "variables"];

/// A static sibling of `{id}` below a resource. Nothing is below it, so what seems to be must be the parameter's.
pub(super) const SIBLING: &str = "search";

/// The routes of one resource: methods (none means any) and the template after the resource's own path; `P` stands for a part's name, `I` and
/// `J` for parameters' names.
const BLOCK: [(&[Method], &str); 16] = [
    (&[Method::Get], ""),
    (&[Method::Post], ""),
    (&[Method::Get], "/search"),
    (&[Method::Get], "/{I}"),
    (&[Method::Put, Method::Patch], "/{I}"),
    (&[Method::Delete], "/{I}"),
    (&[Method::Get], "/{I}/P"),
    (&[Method::Post], "/{I}/P"),
    (&[Method::Get, Method::Delete], "/{I}/P/{J}"),
    (&[Method::Get], "/{I}/P/{J}/history/{entry}"),
    (&[Method::Get], "/{I}/P/latest"),
    (&[Method::Get], "/{I}/compare/{base}...{head}"),
    (&[Method::Get], "/{I}/export.{format}"),
    (&[Method::Get], "/{I}/v{version}/status"),
    (&[Method::Post], "/{I}/archive/"),
    (&[], "/{I}/files/{path...}"),
];

/// The most routes that there are resources for.
pub const MAX_ROUTES: usize = 10_000;

/// The first `number` routes of the API that this seed makes.
pub(super) fn routes(number: usize, seed: u64) -> Vec<RouteSpec> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut resources: Vec<(usize, &str, &str)> = (1..=3)
        .flat_map(|version| {
            AREAS.iter().flat_map(move |area| RESOURCES.iter().map(move |name| (version, *area, *name)))
        })
        .collect();
    resources.shuffle(&mut rng);
    let mut table = Vec::with_capacity(number);
    for (version, area, name) in resources {
        let own = name.strip_suffix('s').unwrap_or(name);
        let part = *PARTS.get(rng.random_range(0..PARTS.len())).unwrap_or(&"notes");
        let (id, inner) = (format!("{own}_id"), format!("{}_id", part.strip_suffix('s').unwrap_or(part)));
        for (place, (methods, rest)) in BLOCK.iter().enumerate() {
            if table.len() == number {
                return table;
            }
            let rest = rest
                .replace("{I}", &format!("{{{id}}}"))
                .replace("{J}", &format!("{{{inner}}}"))
                .replace("/P", &format!("/{part}"));
            table.push(RouteSpec {
                methods: (!methods.is_empty()).then(|| methods.to_vec()),
                template: format!("{ROOT}/v{version}/{area}/{name}{rest}"),
                name: Some(format!("v{version}-{area}-{name}-{place}")),
            });
        }
    }
    table
}

/// The plugin configuration with these routes. Its series budget is what they come to, and not one series more.
///
/// # Errors
/// None that a test has not shown to be absent.
pub(super) fn configuration(routes: &[RouteSpec], unmatched: Unmatched) -> anyhow::Result<Loaded> {
    let table: Vec<Value> = routes.iter().map(route_json).collect();
    let mut value = json!({
        "namespace": "eucora",
        "routes": { "table": table },
        "metrics": {
            "methods": METHODS,
            "statuses": STATUSES,
            "extra_statuses": EXTRA_STATUSES,
            "series_budget": 10_000_000,
        },
    });
    if let Unmatched::Placeholders(limits) = unmatched
        && let Some(section) = value.get_mut("routes").and_then(Value::as_object_mut)
    {
        section.insert("unmatched".to_owned(), "placeholders".into());
        let PlaceholderLimits { max_endpoints, max_per_parent, min_hits } = limits;
        section.insert(
            "placeholders".to_owned(),
            json!({ "max_endpoints": max_endpoints, "max_per_parent": max_per_parent, "min_hits": min_hits }),
        );
    }
    let generous = Config::from_value(value.clone()).context("the configuration made for the run")?;
    if let Some(section) = value.get_mut("metrics").and_then(Value::as_object_mut) {
        section.insert("series_budget".to_owned(), generous.budget().total().into());
    }
    let json = value.to_string();
    let config = Config::from_value(value).context("the configuration made for the run")?;
    Ok(Loaded { config, json })
}

fn route_json(route: &RouteSpec) -> Value {
    let mut entry = json!({ "template": route.template, "name": route.name });
    if let (Some(methods), Some(entry)) = (&route.methods, entry.as_object_mut()) {
        entry.insert("methods".to_owned(), methods.iter().map(|method| method.as_str()).collect());
    }
    entry
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_size_is_a_valid_configuration_within_its_own_budget() {
        for number in [1, 16, 1_000, MAX_ROUTES] {
            let routes = routes(number, 1);
            assert_eq!(routes.len(), number);
            let loaded = configuration(&routes, Unmatched::Placeholders(PlaceholderLimits::default())).unwrap();
            assert_eq!(loaded.config.routes().specs().len(), number);
            assert_eq!(loaded.config.budget().total(), loaded.config.metrics().series_budget());
            assert_eq!(loaded.config.max_endpoints(), loaded.config.routes().table().labels().len() + 40);
        }
    }

    #[test]
    fn a_seed_is_always_the_same_table_and_another_seed_another() {
        assert_eq!(routes(500, 7), routes(500, 7));
        assert_ne!(routes(500, 7), routes(500, 8));
    }

    #[test]
    fn no_static_segment_has_the_rare_letter() {
        let statics: BTreeSet<String> = routes(MAX_ROUTES, 1)
            .iter()
            .flat_map(|route| route.template.split('/').map(str::to_owned).collect::<Vec<_>>())
            .filter(|segment| !segment.starts_with('{'))
            .collect();
        assert!(statics.iter().all(|segment| !segment.contains(RARE)), "{statics:?}");
    }
}
