//! Meaning of the sections `facts`, `rules` and `bodies`, every mistake collected.

mod facts;
mod metrics;

use super::super::RoutesConfig;
use super::super::check::quoted;
use super::super::error::ConfigErrors;
use super::super::meaning::{is_header_name, present};
use super::names::{Names, check_form};
use super::shape;
use crate::json::Pointers;
use crate::route::EndpointId;
use crate::rule::{Burst, Condition, EventFields, EventSpec, Fact, Once, Rule, Rules, Source, StatusMatch, probe};
use metrics::Metrics;
use shape::{EventShape, OnceShape, RuleShape, RulesShape, WhenShape};

/// What the parts of a rule are read with.
struct Reading<'a> {
    routes: &'a RoutesConfig,
    facts: Vec<Fact>,
    /// The JSON pointers of facts, each once.
    pointers: Vec<String>,
    names: &'a mut Names,
    errors: &'a mut ConfigErrors,
}

/// Builds the rules.
pub(in crate::config) fn build(
    shape: RulesShape,
    routes: &RoutesConfig,
    names: &mut Names,
    errors: &mut ConfigErrors,
) -> Rules {
    let mut reading = Reading { routes, facts: Vec::new(), pointers: Vec::new(), names, errors };
    for (index, fact) in shape.facts.into_iter().enumerate() {
        let path = format!("facts[{index}]");
        let fact = fact.map_or_else(facts::unsound, |fact| reading.fact(&path, fact));
        reading.facts.push(fact);
    }
    let mut metrics = Metrics::default();
    let mut rules: Vec<Rule> = Vec::with_capacity(shape.rules.len());
    for (index, rule) in present(shape.rules) {
        let path = format!("rules[{index}]");
        if rules.iter().any(|earlier| earlier.name == rule.name) {
            reading.errors.push(format!("{path}.name"), format!("`{}` is there twice; rename one", rule.name));
        }
        rules.push(reading.rule(&path, rule, &mut metrics));
    }
    let pointers = Pointers::compile(&reading.pointers).unwrap_or_else(|error| {
        reading.errors.push("facts".to_owned(), error.to_string());
        Pointers::default()
    });
    let endpoints = routes.table().labels().len();
    let parts = crate::rule::Parts {
        facts: reading.facts,
        rules,
        metrics: metrics.into_specs(),
        pointers,
        max_body: shape.max_body,
    };
    Rules::new(parts, endpoints)
}

impl Reading<'_> {
    fn refuse(&mut self, path: &str, message: String) {
        self.errors.push(path.to_owned(), message);
    }

    fn rule(&mut self, path: &str, shape: RuleShape, metrics: &mut Metrics) -> Rule {
        self.name(&format!("{path}.name"), &shape.name);
        if shape.metric.is_none() && shape.event.is_none() {
            self.refuse(path, "makes nothing; give it a `metric` or an `event`".to_owned());
        }
        Rule {
            condition: self.condition(&format!("{path}.when"), shape.when),
            once: shape.once.map(|once| self.once(&format!("{path}.once"), once)),
            metric: shape.metric.and_then(|metric| self.metric(&format!("{path}.metric"), metric, metrics)),
            event: shape.event.map(|event| self.event(&format!("{path}.event"), event)),
            name: shape.name,
        }
    }

    fn condition(&mut self, path: &str, shape: WhenShape) -> Condition {
        let endpoints = shape.endpoints.map(|named| self.endpoints(&format!("{path}.endpoints"), named));
        let mut facts = Vec::with_capacity(shape.facts.len());
        for (name, values) in shape.facts {
            if let Some(fact) = self.fact_named(&format!("{path}.facts.{name}"), &name) {
                facts.push((fact, values.into_iter().flatten().collect()));
            }
        }
        let same = shape.same.and_then(|names| self.same(&format!("{path}.same"), names));
        for (index, name) in present(shape.request_headers.clone()) {
            if !is_header_name(&name) {
                let message = format!("{} is not a header name; use letters, digits and `-`", quoted(&name));
                self.refuse(&format!("{path}.request_headers[{index}]"), message);
            }
        }
        let except_statuses: Vec<StatusMatch> = shape.except_statuses.into_iter().flatten().collect();
        Condition {
            endpoints,
            methods: shape.methods.map(|methods| methods.into_iter().flatten().collect()),
            statuses: shape.statuses.map(|statuses| statuses.into_iter().flatten().collect()),
            except_statuses,
            grpc_statuses: shape.grpc_statuses.map(|codes| codes.into_iter().flatten().collect()),
            outcomes: shape.outcomes.map(|outcomes| outcomes.into_iter().flatten().collect()),
            request_headers: shape
                .request_headers
                .into_iter()
                .flatten()
                .map(|name| name.to_ascii_lowercase())
                .collect(),
            facts,
            details: shape.details.map(|details| details.into_iter().flatten().collect()),
            probes: shape.probes.map(|named| {
                let bit = |name: &String| probe::NAMES.iter().find(|(known, _)| known == name).map(|(_, bit)| *bit);
                named.iter().flatten().filter_map(bit).fold(0, |all, bit| all | bit)
            }),
            same,
        }
    }

    /// The endpoints of the routes with these names or templates.
    fn endpoints(&mut self, path: &str, named: Vec<Option<String>>) -> Vec<EndpointId> {
        let mut endpoints = Vec::with_capacity(named.len());
        for (index, wanted) in present(named) {
            let routes = self.routes;
            let before = endpoints.len();
            for route in routes.specs().iter().filter(|route| is_called(route, &wanted)) {
                for label in [Some(&route.template), route.name.as_ref()].into_iter().flatten() {
                    let found = routes.table().labels().iter().position(|known| **known == **label);
                    endpoints.extend(found.and_then(|at| u32::try_from(at).ok()).map(EndpointId));
                }
            }
            if endpoints.len() == before {
                let message = format!("{} is no route's name or template; add it to `routes.table`", quoted(&wanted));
                self.refuse(&format!("{path}[{index}]"), message);
            }
        }
        endpoints
    }

    fn same(&mut self, path: &str, names: Vec<Option<String>>) -> Option<(usize, usize)> {
        let names: Vec<(usize, String)> = present(names).collect();
        let [(first, a), (second, b)] = names.as_slice() else {
            self.refuse(path, "give the names of two facts".to_owned());
            return None;
        };
        let a = self.fact_named(&format!("{path}[{first}]"), a);
        let b = self.fact_named(&format!("{path}[{second}]"), b);
        Some((a?, b?))
    }

    fn once(&mut self, path: &str, shape: OnceShape) -> Once {
        let by: Vec<Source> =
            present(shape.by).filter_map(|(index, text)| self.source(&format!("{path}.by[{index}]"), &text)).collect();
        Once { by, window_seconds: shape.window_seconds, keys: shape.keys }
    }

    fn event(&mut self, path: &str, shape: EventShape) -> EventSpec {
        let well_formed = (1..=64).contains(&shape.kind.len())
            && shape.kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !well_formed {
            let message = format!("found {}; use letters, digits and `_`, at most 64", quoted(&shape.kind));
            self.refuse(&format!("{path}.type"), message);
        }
        let mut fields = EventFields::default();
        let mut with = Vec::new();
        for (index, name) in present(shape.with) {
            let Some(fact) = self.fact_named(&format!("{path}.with[{index}]"), &name) else { continue };
            match name.as_str() {
                "deployment_id" => fields.deployment_id = Some(fact),
                "decision" => fields.decision = Some(fact),
                "approved_by" => fields.approved_by = Some(fact),
                "risk_score" => fields.risk_score = Some(fact),
                _ => with.push(fact),
            }
        }
        let burst = shape.burst.map(|burst| {
            let by = present(burst.by)
                .filter_map(|(index, text)| self.source(&format!("{path}.burst.by[{index}]"), &text))
                .collect();
            Burst { by, count: burst.count, window_seconds: burst.window_seconds, senders: burst.senders }
        });
        EventSpec { kind: shape.kind, class: shape.class, severity: shape.severity, burst, fields, with }
    }

    /// The position of a fact.
    fn fact_named(&mut self, path: &str, name: &str) -> Option<usize> {
        let found = self.facts.iter().position(|fact| fact.name == name);
        if found.is_none() {
            let known: Vec<String> = self.facts.iter().map(|fact| format!("`{}`", fact.name)).collect();
            let cure = if known.is_empty() {
                "add it to `facts`".to_owned()
            } else {
                format!("facts are {}", known.join(", "))
            };
            self.refuse(path, format!("{} is no fact; {cure}", quoted(name)));
        }
        found
    }

    /// Checks the name of a fact or a rule.
    fn name(&mut self, path: &str, name: &str) {
        check_form(path, name, self.errors);
    }
}

fn is_called(route: &crate::route::RouteSpec, wanted: &str) -> bool {
    route.template == wanted || route.name.as_deref() == Some(wanted)
}
