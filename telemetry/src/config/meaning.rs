//! Meaning: from the shape to a valid [`Config`], every mistake collected.

use super::budget::{Budget, Sizes};
use super::check::quoted;
use super::error::ConfigErrors;
use super::fields::{FILTER_STATE, Field, Kind, ROOT};
use super::shape::{CorrelationShape, FilterStateWord, MetricsShape, RoutesShape, Shape, StatusesShape, TrustShape};
use super::{AccessLogConfig, Config, CorrelationConfig, MetricsConfig, RoutesConfig};
use crate::correlation::{Generator, Policy, Trust};
use crate::method::Method;
use crate::metrics::{BucketError, Buckets, StatusSet};
use crate::route::{RouteField, RouteProblem, RouteSpec, RouteTable, UndeclaredMethods, Unmatched};

const MAX_RING: usize = 64;
/// The longest name of a build, in bytes.
const MAX_BUILD: usize = 64;
const MAX_HEADER_NAME: usize = 64;

/// Headers that a proxy or a connection owns; an ID in one of them would break the request.
const RESERVED_HEADERS: &[&str] = &[
    "access-control-expose-headers",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "expect",
    "host",
    "keep-alive",
    "location",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "set-cookie",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "www-authenticate",
    "x-forwarded-for",
    "x-forwarded-proto",
];

/// Builds the configuration; `errors` holds what the shape step found.
pub(super) fn build(shape: Shape, digest: String, mut errors: ConfigErrors) -> Result<Config, ConfigErrors> {
    let namespace = namespace(shape.namespace, &mut errors);
    if shape.ring.len() > MAX_RING || !shape.ring.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        errors.push("ring".to_owned(), format!("found {}; use {}", quoted(&shape.ring), form(ROOT, "ring")));
    }
    let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if shape.build.len() > MAX_BUILD || !shape.build.bytes().all(named) {
        errors.push("build".to_owned(), format!("found {}; use {}", quoted(&shape.build), form(ROOT, "build")));
    }
    let correlation = correlation(shape.correlation, &mut errors);
    let routes = routes(shape.routes, &mut errors);
    let metrics = metrics(shape.metrics, &mut errors);
    let shown = shape.access_log.facts;
    let mut access_log = access_log(shape.access_log.filter_state, &mut errors);
    let (Some(routes), Some(metrics)) = (routes, metrics) else {
        return Err(errors);
    };
    let mut names = super::rules::Names::default();
    let rules = super::rules::build(shape.rules, &routes, &mut names, &mut errors);
    access_log.facts = shown_facts(shown, &rules, &mut errors);
    let polls = super::polls::build(shape.polls, &mut names, &mut errors);
    let events = super::events::build(shape.events, &shape.ring, &mut errors);

    let table = &routes.table;
    let budget = Budget::new(
        &Sizes {
            endpoints: table.labels().len() + table.max_learned(),
            methods: metrics.methods.len(),
            pairs: table.pairs(&metrics.methods),
            statuses: metrics.statuses.len(),
            extra_statuses: metrics.extra_statuses,
            bounds: metrics.buckets.micros().len(),
            histogram: metrics.histogram,
            rules: &rules,
            polls: &polls,
            sinks: events.sinks.len(),
        },
        metrics.series_budget,
    );
    if budget.total() > budget.limit() {
        let learned = if table.max_learned() > 0 { ", `routes.placeholders.max_endpoints`" } else { "" };
        let methods = match routes.options.undeclared_methods {
            UndeclaredMethods::Template if routes.specs.iter().any(|route| route.methods.is_some()) => {
                ", set `routes.undeclared_methods: unknown`"
            }
            UndeclaredMethods::Template | UndeclaredMethods::Unknown => "",
        };
        let message = format!(
            "found {}, but this configuration can lead to {} series ({}); raise it{methods}, or shorten `routes.table`{learned}, `metrics.methods`, `metrics.statuses` or `metrics.buckets_seconds`",
            budget.limit(),
            budget.total(),
            budget.in_words(),
        );
        errors.push("metrics.series_budget".to_owned(), message);
    }
    if errors.is_empty() {
        Ok(Config {
            namespace,
            ring: shape.ring,
            correlation,
            routes,
            metrics,
            access_log,
            rules,
            polls,
            events,
            budget,
            digest,
        })
    } else {
        Err(errors)
    }
}

fn namespace(given: Option<String>, errors: &mut ConfigErrors) -> String {
    let Some(name) = given else {
        return "eucora".to_owned();
    };
    let mut bytes = name.bytes();
    let well_formed = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase())
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && name.len() <= 32;
    if !well_formed {
        errors.push("namespace".to_owned(), format!("found {}; use {}", quoted(&name), form(ROOT, "namespace")));
    }
    name
}

fn correlation(shape: CorrelationShape, errors: &mut ConfigErrors) -> CorrelationConfig {
    let header = header(shape.header, errors);
    if shape.expose && !shape.respond {
        let message = "found `true`, but `correlation.respond` is `false`; set that to `true`, or this to `false`";
        errors.push("correlation.expose".to_owned(), message.to_owned());
    }
    let trust = match shape.trust {
        TrustShape::Any => Trust::Any,
        TrustShape::None => Trust::None,
        TrustShape::Senders { networks: texts, mtls } => {
            let before = errors.len();
            let mut networks = Vec::with_capacity(texts.len());
            for (index, text) in present(texts) {
                match text.parse() {
                    Ok(network) => networks.push(network),
                    Err(error) => {
                        errors.push(format!("correlation.trust.networks[{index}]"), network_message(&text, &error))
                    }
                }
            }
            if networks.is_empty() && !mtls && errors.len() == before {
                let message = "found no `networks` and no `mtls`; give one of them, or use `none`";
                errors.push("correlation.trust".to_owned(), message.to_owned());
            }
            Trust::Senders { networks, mtls }
        }
    };
    if shape.generate == Generator::Proxy && trust != Trust::Any {
        let message = "given, but with `correlation.generate: proxy` an ID that is not trusted would stay; leave whom to trust to the proxy and remove this, or let the filter make IDs";
        errors.push("correlation.trust".to_owned(), message.to_owned());
    }
    CorrelationConfig {
        header,
        policy: Policy { trust, generator: shape.generate },
        respond: shape.respond,
        expose: shape.expose,
        trace_mode: shape.traceparent,
    }
}

/// The error names the text itself, unless that is too long or too strange to show.
fn network_message(text: &str, error: &crate::correlation::NetworkError) -> String {
    if text.len() <= 80 && !text.contains(char::is_control) {
        error.to_string()
    } else {
        format!("{} is not an IP network; write it like `10.0.0.0/8` or `2001:db8::/32`", quoted(text))
    }
}

fn header(given: Option<String>, errors: &mut ConfigErrors) -> String {
    let Some(name) = given else {
        return "x-correlation-id".to_owned();
    };
    let lower = name.to_ascii_lowercase();
    let message = if !is_header_name(&name) {
        format!("{} is not a header name; use letters, digits and `-`, at most {MAX_HEADER_NAME}", quoted(&name))
    } else if RESERVED_HEADERS.contains(&lower.as_str()) || lower.starts_with("x-envoy-") {
        format!("{} has a meaning of its own to the proxy; use another header", quoted(&name))
    } else {
        return lower;
    };
    errors.push("correlation.header".to_owned(), message);
    lower
}

/// Whether it is a token (RFC 9110 section 5.6.2) that is not too long.
pub(super) fn is_header_name(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.len() <= MAX_HEADER_NAME && name.bytes().all(token)
}

fn routes(shape: RoutesShape, errors: &mut ConfigErrors) -> Option<RoutesConfig> {
    if shape.placeholders.is_some() && shape.options.unmatched == Unmatched::Unknown {
        let message = "given, but `routes.unmatched` is `unknown`; set that to `placeholders`, or remove this";
        errors.push("routes.placeholders".to_owned(), message.to_owned());
    }
    let options = shape.options;
    let mut unsound_methods = Vec::new();
    let specs: Vec<RouteSpec> = shape
        .table
        .into_iter()
        .enumerate()
        .map(|(index, route)| match route {
            Some(route) => {
                if route.methods.iter().flatten().any(Option::is_none) {
                    unsound_methods.push(index);
                }
                RouteSpec {
                    methods: route.methods.map(|methods| methods.into_iter().flatten().collect()),
                    template: route.template,
                    name: route.name,
                }
            }
            // An unsound entry, reported already: a route of its own, so that messages about the others name the right numbers.
            None => RouteSpec { methods: None, template: format!("/.unsound/{index}"), name: None },
        })
        .collect();
    match RouteTable::build(&specs, &options) {
        Ok(table) => Some(RoutesConfig { options, specs, table }),
        Err(problems) => {
            // What is left of a list with unsound methods is not what was written.
            let written = |problem: &RouteProblem| {
                problem.field != RouteField::Methods || !unsound_methods.contains(&problem.index)
            };
            for problem in problems.into_iter().filter(written) {
                errors.push(format!("routes.table[{}].{}", problem.index, problem.field.as_str()), problem.message);
            }
            None
        }
    }
}

fn metrics(shape: MetricsShape, errors: &mut ConfigErrors) -> Option<MetricsConfig> {
    let (positions, bounds): (Vec<usize>, Vec<f64>) = present(shape.buckets_seconds).unzip();
    let buckets = match Buckets::from_seconds(&bounds) {
        Ok(buckets) => Some(buckets),
        Err(mistakes) => {
            for mistake in mistakes {
                let path = match &mistake {
                    BucketError::Bound { index, .. } => {
                        format!("metrics.buckets_seconds[{}]", positions.get(*index).copied().unwrap_or_default())
                    }
                    BucketError::Empty | BucketError::TooMany(_) => "metrics.buckets_seconds".to_owned(),
                };
                errors.push(path, mistake.to_string());
            }
            None
        }
    };
    let mut methods: Vec<Method> = Vec::with_capacity(shape.methods.len());
    for (index, method) in present(shape.methods) {
        if methods.contains(&method) {
            errors.push(format!("metrics.methods[{index}]"), format!("found `{}` twice; remove one", method.as_str()));
        } else {
            methods.push(method);
        }
    }
    let statuses = match shape.statuses {
        StatusesShape::Registered => StatusSet::registered(),
        StatusesShape::Codes(codes) => {
            let mut given: Vec<u16> = vec![0];
            for (index, code) in present(codes) {
                if given.contains(&code) {
                    errors.push(format!("metrics.statuses[{index}]"), format!("found `{code}` twice; remove one"));
                } else {
                    given.push(code);
                }
            }
            StatusSet::new(given)
        }
    };
    Some(MetricsConfig {
        series_budget: shape.series_budget,
        buckets: buckets?,
        methods,
        statuses,
        extra_statuses: shape.extra_statuses,
        histogram: shape.histogram,
        flush_interval_ms: shape.flush_interval_ms,
    })
}

fn access_log(words: Vec<Option<FilterStateWord>>, errors: &mut ConfigErrors) -> AccessLogConfig {
    let mut config = AccessLogConfig::default();
    for (index, word) in present(words) {
        let (shown, name) = match word {
            FilterStateWord::CorrelationId => (&mut config.correlation_id, "correlation_id"),
            FilterStateWord::Endpoint => (&mut config.endpoint, "endpoint"),
            FilterStateWord::Outcome => (&mut config.outcome, "outcome"),
        };
        if *shown {
            errors.push(format!("access_log.filter_state[{index}]"), format!("found `{name}` twice; remove one"));
        }
        *shown = true;
    }
    config
}

/// The facts that the access log shows.
fn shown_facts(names: Vec<Option<String>>, rules: &crate::rule::Rules, errors: &mut ConfigErrors) -> Vec<usize> {
    let mut shown = Vec::new();
    for (index, name) in present(names) {
        let mut refuse = |message| errors.push(format!("access_log.facts[{index}]"), message);
        let Some(fact) = rules.facts().iter().position(|fact| fact.name == name) else {
            refuse(format!("{} is no fact; declare it in `facts`", quoted(&name)));
            continue;
        };
        if FILTER_STATE.contains(&name.as_str()) {
            refuse(format!("`{name}` is what `access_log.filter_state` calls something else; rename the fact"));
        } else if shown.contains(&fact) {
            refuse(format!("found `{name}` twice; remove one"));
        }
        shown.push(fact);
    }
    shown
}

/// The sound items of a list, with their positions.
pub(super) fn present<T>(items: Vec<Option<T>>) -> impl Iterator<Item = (usize, T)> {
    items.into_iter().enumerate().filter_map(|(index, item)| Some((index, item?)))
}

/// The form of a text field, from the table.
fn form(fields: &[Field], name: &str) -> &'static str {
    match fields.iter().find(|field| field.name == name).map(|field| &field.kind) {
        Some(Kind::Text { form, .. }) => form,
        _ => "text",
    }
}
