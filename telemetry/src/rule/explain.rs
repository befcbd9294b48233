//! Rules in words, for tools.

use super::{Condition, Rules, Source, StatusMatch, probe};
use crate::config::Config;
use crate::route::EndpointId;

/// The conditions of a rule, each by itself, with what it asks for in words.
///
/// All of them hold for a stream if and only if the whole condition does.
#[must_use]
pub fn parts(config: &Config, condition: &Condition) -> Vec<(String, Condition)> {
    let Condition {
        endpoints,
        methods,
        statuses,
        except_statuses,
        grpc_statuses,
        outcomes,
        request_headers,
        facts,
        details,
        probes,
        same,
    } = condition.clone();
    let none = Condition::default;
    let fact = |index: usize| config.rules().facts().get(index).map_or("", |fact| fact.name.as_str());
    let mut parts = Vec::new();
    if let Some(named) = endpoints {
        let names = named.iter().map(|endpoint| endpoint_name(config, *endpoint));
        let words = format!("the endpoint is {}", either(names));
        parts.push((words, Condition { endpoints: Some(named), ..none() }));
    }
    if let Some(methods) = methods {
        let words = format!("the method is {}", either(methods.iter().map(|method| method.as_str())));
        parts.push((words, Condition { methods: Some(methods), ..none() }));
    }
    if let Some(statuses) = statuses {
        let words = format!("the status is {}", either(statuses.iter().copied().map(status)));
        parts.push((words, Condition { statuses: Some(statuses), ..none() }));
    }
    if !except_statuses.is_empty() {
        let words = format!("the status is not {}", either(except_statuses.iter().copied().map(status)));
        parts.push((words, Condition { except_statuses, ..none() }));
    }
    if let Some(outcomes) = outcomes {
        let words = format!("the correlation ID's outcome is {}", either(outcomes.iter()));
        parts.push((words, Condition { outcomes: Some(outcomes), ..none() }));
    }
    for name in request_headers {
        parts.push((format!("the request has `{name}`"), Condition { request_headers: vec![name], ..none() }));
    }
    if let Some(codes) = grpc_statuses {
        let words = format!("grpc-status is {}", either(codes.iter()));
        parts.push((words, Condition { grpc_statuses: Some(codes), ..none() }));
    }
    if let Some(wanted) = probes {
        let names = probe::NAMES.iter().filter(|(_, probe)| wanted & probe != 0).map(|(name, _)| name);
        parts.push((format!("the path looks for {}", either(names)), Condition { probes, ..none() }));
    }
    if let Some(details) = details {
        let words = format!("the proxy answered by itself, with {}", either(details.iter()));
        parts.push((words, Condition { details: Some(details), ..none() }));
    }
    for (index, values) in facts {
        let words = format!("{} is {}", fact(index), either(values.iter()));
        parts.push((words, Condition { facts: vec![(index, values)], ..none() }));
    }
    if let Some((a, b)) = same {
        parts.push((format!("{} and {} are there, and equal", fact(a), fact(b)), Condition { same, ..none() }));
    }
    parts
}

/// A source as a configuration writes it.
#[must_use]
pub fn source(rules: &Rules, source: &Source) -> String {
    let plain = match source {
        Source::Endpoint => "endpoint",
        Source::Method => "method",
        Source::Status => "status",
        Source::StatusClass => "status_class",
        Source::GrpcStatus => "grpc_status",
        Source::Outcome => "outcome",
        Source::CorrelationId => "correlation_id",
        Source::Address => "source",
        Source::RequestBytes => "request_bytes",
        Source::ResponseBytes => "response_bytes",
        Source::DurationSeconds => "duration_seconds",
        Source::Constant(text) => return format!("constant:{text}"),
        Source::Path(name) => return format!("path:{name}"),
        Source::RequestHeader(name) => return format!("request_header:{name}"),
        Source::ResponseHeader(name) => return format!("response_header:{name}"),
        Source::Body(pointer) => return format!("body:{}", rules.pointers().text(*pointer).unwrap_or_default()),
    };
    plain.to_owned()
}

/// The name of an endpoint's route, or its label.
#[must_use]
pub fn endpoint_name(config: &Config, endpoint: EndpointId) -> String {
    let routes = config.routes();
    let label = routes.table().labels().get(endpoint.index()).map_or("", |label| &**label);
    let named = routes.specs().iter().find(|spec| spec.template == label).and_then(|spec| spec.name.as_deref());
    named.unwrap_or(label).to_owned()
}

fn status(status: StatusMatch) -> String {
    match status {
        StatusMatch::Code(0) => "0 (no answer)".to_owned(),
        StatusMatch::Code(code) => code.to_string(),
        StatusMatch::Class(class) => format!("{class}xx"),
    }
}

/// `a`, `a or b`, `a, b or c`.
fn either<S: ToString>(words: impl Iterator<Item = S>) -> String {
    let words: Vec<String> = words.map(|word| word.to_string()).collect();
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => "nothing".to_owned(),
    }
}
