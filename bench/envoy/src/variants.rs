//! What is measured: an Envoy each, alike but for the filter.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use edge_observer::envoy::Delivery;
use serde_json::{Value, json};

use crate::tables::{Mode, Table, Tables};

/// The Lua filter; the line [`LUA_ROUTES`] is replaced.
const LUA: &str = include_str!("../lua/filter.lua");
const LUA_ROUTES: &str = "local ROUTES = {} -- routes";

/// Names by which the goals refer to variants.
pub(crate) mod name {
    pub(crate) const BARE: &str = "no filter";
    pub(crate) const EMPTY: &str = "empty, SDK";
    pub(crate) const NAIVE: &str = "whole job, SDK";
    pub(crate) const FLOOR: &str = "floor";
    pub(crate) const LEAN_FLOOR: &str = "lean floor";
    pub(crate) const LUA: &str = "whole job, Lua";
    pub(crate) const OURS_SMALL: &str = "ours, 10 routes";
    pub(crate) const OURS: &str = "ours, 100 routes";
    pub(crate) const OURS_LARGE: &str = "ours, all routes";
    pub(crate) const OURS_LEAN: &str = "ours, lean, 100 routes";
    pub(crate) const OURS_OTHER: &str = "ours, other build";
}

/// The header by which filters correlate.
pub(crate) const CORRELATION_HEADER: &str = "x-correlation-id";
/// The one by which Envoy does.
pub(crate) const REQUEST_ID_HEADER: &str = "x-request-id";

/// The metric in which the Wasm filters count requests, ours too.
const COUNTER: Option<&str> = Some("bench_http_requests_total");
/// That of the Lua filter, which Envoy puts into the scope of its connection manager.
const LUA_COUNTER: Option<&str> = Some("envoy_http_lua_bench_http_requests_total");

/// Who gives a response its correlation ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Correlates {
    Nobody,
    /// The filter, in [`CORRELATION_HEADER`].
    Filter,
    /// Envoy, in [`REQUEST_ID_HEADER`].
    Envoy,
}

/// One Envoy.
#[derive(Debug)]
pub(crate) struct Variant {
    pub(crate) name: &'static str,
    pub(crate) what: String,
    pub(crate) delivery: Delivery,
    /// Module and plugin configuration of what is delivered as our filter is.
    pub(crate) wasm: Option<(PathBuf, String)>,
    pub(crate) correlates: Correlates,
    /// The metric in which it counts requests.
    pub(crate) counts: Option<&'static str>,
}

/// Built modules.
#[derive(Debug)]
pub(crate) struct Modules<'a> {
    pub(crate) ours: &'a Path,
    /// Another build of ours, to be compared with it.
    pub(crate) other: Option<&'a Path>,
    pub(crate) sdk: &'a Path,
    pub(crate) floor: &'a Path,
}

/// Every variant.
pub(crate) fn all(tables: &Tables, modules: &Modules<'_>) -> Result<Vec<Variant>> {
    use Correlates::{Envoy, Filter, Nobody};

    let instead = |name, what: &str, filter: Option<Value>, correlates, counts| Variant {
        name,
        what: what.to_owned(),
        delivery: Delivery::Instead(filter.into_iter().collect()),
        wasm: None,
        correlates,
        counts,
    };
    // All of them in the same way, so that none has an advantage.
    let wasm = |name, what: &str, module: &Path, configuration: String, correlates, counts| Variant {
        name,
        what: what.to_owned(),
        delivery: Delivery::Watched,
        wasm: Some((module.to_owned(), configuration)),
        correlates,
        counts,
    };
    let ours = |name, module, table: &Table, configuration, correlates| {
        wasm(name, &format!("as it is shipped; {} routes", table.len()), module, configuration, correlates, COUNTER)
    };
    let Modules { ours: module, other, sdk, floor } = *modules;
    let Tables { small, middle, large, .. } = tables;
    let routes: String = middle.pairs().map(|(method, template)| format!("\n{method} {template}")).collect();
    let of = |what: &str| what.to_owned();
    let mut variants = vec![
        instead(name::BARE, "Envoy with its router alone", None, Nobody, None),
        wasm(name::EMPTY, "every callback of the SDK, doing nothing", sdk, of("empty"), Nobody, None),
        wasm(
            name::NAIVE,
            "ID in and out, 100 routes, a metric hostcall for each metric",
            sdk,
            format!("naive{routes}"),
            Filter,
            COUNTER,
        ),
        wasm(
            name::FLOOR,
            "no SDK, no allocation, no routes: the hostcalls that the job takes",
            floor,
            of("default"),
            Filter,
            COUNTER,
        ),
        wasm(name::LEAN_FLOOR, "the same where Envoy makes and echoes the ID", floor, of("lean"), Envoy, COUNTER),
        instead(
            name::LUA,
            "ID in and out, 100 routes, a counter and a histogram",
            Some(lua(middle)?),
            Filter,
            LUA_COUNTER,
        ),
        ours(name::OURS_SMALL, module, small, small.configuration(Mode::Default), Filter),
        ours(name::OURS, module, middle, middle.configuration(Mode::Default), Filter),
        ours(name::OURS_LARGE, module, large, large.configuration(Mode::Default), Filter),
        ours(name::OURS_LEAN, module, middle, middle.configuration(Mode::Lean), Envoy),
    ];
    variants.extend(
        other.map(|module| ours(name::OURS_OTHER, module, middle, middle.configuration(Mode::Default), Filter)),
    );
    Ok(variants)
}

fn lua(table: &Table) -> Result<Value> {
    ensure!(LUA.matches(LUA_ROUTES).count() == 1, "the Lua filter has no line `{LUA_ROUTES}`");
    let routes: Vec<String> = table.pairs().map(|(method, template)| format!("{{{method:?}, {template:?}}}")).collect();
    let code = LUA.replace(LUA_ROUTES, &format!("local ROUTES = {{{}}}", routes.join(", ")));
    Ok(json!({
        "name": "rival",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            // It changes headers that no route looks at, and the work for nothing would count against it.
            "clear_route_cache": false,
            "default_source_code": { "inline_string": code },
        },
    }))
}

impl Variant {
    /// Whether it makes an ID without a look at the one that came.
    pub(crate) fn makes_every_id(&self) -> bool {
        self.name == name::FLOOR
    }
}
