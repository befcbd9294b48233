//! Templates that were found, put to the test: the table with them is built, and the log run again.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use anyhow::bail;
use serde::Serialize;
use serde_json::{Value, json};
use telemetry::config::Config;
use telemetry::method::Method;
use telemetry::route::{EndpointId, PlaceholderBuffer, RouteMatch};

use super::cluster::Found;
use super::log::Request;
use super::runner::{Runner, Source};
use super::segment::path_of;

/// What `metrics.series_budget` can be at most.
const MAX_BUDGET: u64 = 10_000_000;
/// Paths of a proposal that are told apart.
pub(super) const MAX_COUNTED: usize = 100_000;
/// Examples shown of each.
const EXAMPLES: usize = 3;

/// A route that the table could have.
#[derive(Debug, Clone, Serialize)]
pub struct ProposedRoute {
    /// The template.
    pub template: String,
    /// The methods seen; none where one has no name of its own, and the route is for any.
    pub methods: Vec<&'static str>,
    /// Requests that it would cover.
    pub requests: u64,
    /// Different paths among them; at most 100,000 are told apart.
    pub paths: u64,
    /// Some of those.
    pub examples: Vec<String>,
}

impl ProposedRoute {
    /// The entry for `routes.table`, in the style of the shipped profile.
    pub fn to_yaml(&self) -> String {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-' | b'.' | b'~');
        let template =
            if self.template.bytes().all(plain) { self.template.clone() } else { json!(self.template).to_string() };
        if self.methods.is_empty() {
            return format!("- {{template: {template}}}");
        }
        format!("- {{methods: [{}], template: {template}}}", self.methods.join(", "))
    }
}

/// What the table with the proposals makes of the log.
#[derive(Debug, Clone, Serialize)]
pub struct After {
    /// Requests that a template covers.
    pub covered: u64,
    /// Requests in all that were run; fewer than the log has where it could not be read twice and not all of its paths were kept.
    pub requests: u64,
    /// Series at most.
    pub series_at_most: u64,
    /// `metrics.series_budget`.
    pub series_budget: u64,
}

/// How to run the log again.
pub(super) type Again<'a> = dyn FnMut(&mut dyn FnMut(&Request<'_>, u64)) -> anyhow::Result<()> + 'a;

/// Tries the proposals, and drops those that do not stand: that conflict with the table, take a request from a template of the table, or cover
/// none.
pub(super) fn test(
    json: &str,
    before: &Config,
    mut found: Vec<Found>,
    again: &mut Again<'_>,
) -> anyhow::Result<(Vec<ProposedRoute>, Option<After>)> {
    loop {
        let Some(config) = with(json, before, &mut found)? else { return Ok((Vec::new(), None)) };
        let mut trial = Trial::new(before, config, &found);
        again(&mut |request, requests| trial.run(request, requests))?;
        if trial.thieves.is_empty() {
            let mut after = trial.after(before);
            let proposed = trial.proposed();
            // What covers nothing has no part in the cost either.
            found.retain(|found| proposed.iter().any(|proposed| proposed.template == found.template));
            let Some(config) = with(json, before, &mut found)? else { return Ok((Vec::new(), None)) };
            after.series_at_most = config.budget().total();
            return Ok((proposed, Some(after)));
        }
        let all = found.len();
        found.retain(|found| !trial.thieves.contains(&found.template));
        if found.len() == all {
            bail!(
                "a proposal changes the label of {}; please report this log",
                trial.thieves.iter().next().map_or("", |t| t)
            );
        }
    }
}

/// The configuration with these routes added, and room for their series. Those that do not go with the table are dropped. `None` without any.
fn with(text: &str, before: &Config, found: &mut Vec<Found>) -> anyhow::Result<Option<Config>> {
    while !found.is_empty() {
        let mut value: Value = serde_json::from_str(text)?;
        let first = before.routes().specs().len();
        let added = found.iter().map(|found| match names(&found.methods) {
            methods if methods.is_empty() => json!({ "template": found.template }),
            methods => json!({ "methods": methods, "template": found.template }),
        });
        let entries = section(section(Some(&mut value), "routes", || json!({})), "table", || json!([]));
        match entries.and_then(Value::as_array_mut) {
            Some(entries) => entries.extend(added),
            None => bail!("the configuration has no place for routes"),
        }
        if let Some(budget) = section(section(Some(&mut value), "metrics", || json!({})), "series_budget", || json!(0))
        {
            *budget = json!(MAX_BUDGET);
        }
        let errors = match Config::from_value(value) {
            Ok(config) => return Ok(Some(config)),
            Err(errors) => errors,
        };
        let refused: BTreeSet<usize> = errors
            .iter()
            .filter_map(|error| error.path.strip_prefix("routes.table[")?.split_once(']')?.0.parse::<usize>().ok())
            .filter_map(|index| index.checked_sub(first))
            .collect();
        if refused.is_empty() {
            // More series than any budget allows: the last half has to go.
            found.truncate(found.len() / 2);
        }
        let mut index = 0;
        found.retain(|_| {
            index += 1;
            !refused.contains(&(index - 1))
        });
    }
    Ok(None)
}

/// A field of an object, made where it is not there.
fn section<'a>(object: Option<&'a mut Value>, name: &str, new: fn() -> Value) -> Option<&'a mut Value> {
    let field = object?.as_object_mut()?.entry(name).or_insert_with(new);
    if field.is_null() {
        *field = new();
    }
    Some(field)
}

/// The names of the methods, if all have one.
fn names(methods: &[Method]) -> Vec<&'static str> {
    if methods.contains(&Method::Other) { Vec::new() } else { methods.iter().map(|method| method.as_str()).collect() }
}

struct Trial<'a> {
    before: &'a Config,
    runner: Runner,
    /// What each proposal got, by its template.
    gains: BTreeMap<String, Gain>,
    counted: usize,
    /// Labels that took a request from a template of the table.
    thieves: BTreeSet<String>,
    buffer: PlaceholderBuffer,
}

#[derive(Default)]
struct Gain {
    methods: Vec<&'static str>,
    requests: u64,
    paths: HashSet<u64>,
    examples: BTreeSet<String>,
}

impl<'a> Trial<'a> {
    fn new(before: &'a Config, config: Config, found: &[Found]) -> Self {
        let gain = |found: &Found| Gain { methods: names(&found.methods), ..Gain::default() };
        Self {
            before,
            runner: Runner::new(config),
            gains: found.iter().map(|found| (found.template.clone(), gain(found))).collect(),
            counted: 0,
            thieves: BTreeSet::new(),
            buffer: PlaceholderBuffer::default(),
        }
    }

    fn run(&mut self, request: &Request<'_>, requests: u64) {
        let table = self.before.routes().table();
        let method = Method::from_bytes(&request.method);
        let old = match table.find(method, &request.target, &mut self.buffer) {
            RouteMatch::Endpoint(id) if id != EndpointId::UNKNOWN && id != EndpointId::OVERFLOW => {
                table.labels().get(id.index()).map(|label| &**label)
            }
            RouteMatch::Endpoint(_) | RouteMatch::Placeholder => None,
        };
        let mut endpoint = EndpointId::UNKNOWN;
        for _ in 0..requests {
            endpoint = self.runner.run(request);
        }
        let new = self.runner.label(endpoint);
        if let Some(old) = old {
            if old != new {
                self.thieves.insert(new.to_owned());
            }
            return;
        }
        if self.runner.source(endpoint) != Source::Template {
            return;
        }
        let Some(gain) = self.gains.get_mut(new) else { return };
        gain.requests += requests;
        let path = path_of(&request.target);
        let mut hasher = DefaultHasher::new();
        path.hash(&mut hasher);
        if self.counted < 20 * MAX_COUNTED && gain.paths.len() < MAX_COUNTED && gain.paths.insert(hasher.finish()) {
            self.counted += 1;
            // The first in alphabetical order, whatever the order of the log.
            gain.examples.insert(path.escape_ascii().to_string());
            if gain.examples.len() > EXAMPLES {
                gain.examples.pop_last();
            }
        }
    }

    fn after(&self, before: &Config) -> After {
        After {
            covered: self.runner.covered(),
            requests: self.runner.counts().map(|(_, count)| count.requests).sum(),
            series_at_most: self.runner.config().budget().total(),
            series_budget: before.metrics().series_budget(),
        }
    }

    /// Most requests first.
    fn proposed(self) -> Vec<ProposedRoute> {
        let mut proposed: Vec<ProposedRoute> = self
            .gains
            .into_iter()
            .filter(|(_, gain)| gain.requests > 0)
            .map(|(template, gain)| ProposedRoute {
                template,
                methods: gain.methods,
                requests: gain.requests,
                paths: gain.paths.len() as u64,
                examples: gain.examples.into_iter().collect(),
            })
            .collect();
        proposed.sort_by(|a, b| b.requests.cmp(&a.requests).then_with(|| a.template.cmp(&b.template)));
        proposed
    }
}
