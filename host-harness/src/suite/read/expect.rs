//! Expectations: of a stream, and of the host.

use super::node::{Fields, Node};
use super::{setup, value};
use crate::suite::format::{
    Arrival, CalloutExpect, CalloutsExpect, CostItem, HostExpect, LocalReplyExpect, LogExpect, MessageExpect,
    MetricExpect, StreamExpect,
};
use crate::suite::matcher::{Number, Text};

pub(super) const STREAM_FIELDS: [&str; 6] = ["upstream", "response", "local_reply", "held", "filter_state", "cost"];
pub(super) const HOST_FIELDS: [&str; 8] =
    ["within", "log", "no_log", "metrics", "callouts", "shared_data", "failed", "start_refused"];
pub(super) const UPSTREAM_FIELDS: [&str; 5] = ["method", "path", "headers", "body", "trailers"];
pub(super) const RESPONSE_FIELDS: [&str; 4] = ["status", "headers", "body", "trailers"];
pub(super) const LOCAL_REPLY_FIELDS: [&str; 2] = ["details", "grpc_status"];
pub(super) const COST_FIELDS: [&str; 7] =
    ["hostcalls", "total_hostcalls", "callbacks", "fuel", "bytes_in", "bytes_out", "allocations"];
pub(super) const LOG_FIELDS: [&str; 2] = ["level", "count"];
pub(super) const METRIC_FIELDS: [&str; 5] = ["increase", "count", "present", "at_least", "at_most"];
pub(super) const CALLOUT_FIELDS: [&str; 2] = ["cluster", "count"];

/// Of one stream and of the host, where there is but one stream.
pub(super) fn both(node: &Node<'_>) -> (StreamExpect, HostExpect) {
    let Some(fields) = node.fields(&[&STREAM_FIELDS, &HOST_FIELDS]) else { return Default::default() };
    (stream_fields(&fields, node), host_fields(&fields, node))
}

/// Of one stream among others.
pub(super) fn stream(node: &Node<'_>) -> StreamExpect {
    let Some(fields) = node.fields(&[&STREAM_FIELDS, &HOST_FIELDS]) else { return StreamExpect::default() };
    for node in HOST_FIELDS.iter().filter_map(|name| fields.get(name)) {
        node.mistake("it is of the whole host; put it into the `expect` around `streams`");
    }
    stream_fields(&fields, node)
}

/// Of the host alone.
pub(super) fn host(node: &Node<'_>) -> HostExpect {
    let Some(fields) = node.fields(&[&STREAM_FIELDS, &HOST_FIELDS]) else { return HostExpect::default() };
    for node in STREAM_FIELDS.iter().filter_map(|name| fields.get(name)) {
        node.mistake("it is of one stream; put it into the `expect` beside a `request`");
    }
    host_fields(&fields, node)
}

fn stream_fields(fields: &Fields<'_>, node: &Node<'_>) -> StreamExpect {
    StreamExpect {
        path: node.path().to_owned(),
        upstream: fields.get("upstream").and_then(|node| arrival(&node, &UPSTREAM_FIELDS)),
        response: fields.get("response").and_then(|node| arrival(&node, &RESPONSE_FIELDS)),
        local_reply: fields.get("local_reply").and_then(|node| local_reply(&node)),
        held: fields.get("held").and_then(|node| node.flag()),
        filter_state: fields.get("filter_state").map(|node| values(&node)).unwrap_or_default(),
        cost: fields.get("cost").map(|node| cost(&node)).unwrap_or_default(),
    }
}

pub(super) fn host_fields(fields: &Fields<'_>, node: &Node<'_>) -> HostExpect {
    let lines = |name: &str, counted: bool| {
        let nodes = fields.get(name).map(|node| node.one_or_more()).unwrap_or_default();
        nodes.iter().filter_map(|node| log(node, counted)).collect()
    };
    HostExpect {
        path: node.path().to_owned(),
        within: fields.get("within").and_then(|node| value::duration(&node)).unwrap_or_default(),
        log: lines("log", true),
        no_log: lines("no_log", false),
        metrics: fields.get("metrics").map(|node| metrics(&node)).unwrap_or_default(),
        callouts: fields.get("callouts").and_then(|node| callouts(&node)),
        shared_data: fields.get("shared_data").map(|node| values(&node)).unwrap_or_default(),
        failed: fields.get("failed").and_then(|node| node.flag()),
        start_refused: fields.get("start_refused").and_then(|node| value::part(&node)),
    }
}

/// `none`, a status, or a mapping.
fn arrival(node: &Node<'_>, known: &[&str]) -> Option<Arrival> {
    if node.as_text() == Some("none") {
        return Some(Arrival::Nothing);
    }
    if node.is_mapping() {
        return Some(Arrival::Message(Box::new(message(&node.fields(&[known])?))));
    }
    if known.contains(&"status") {
        if node.value().is_number() {
            let status = Some(status(node)?);
            return Some(Arrival::Message(Box::new(MessageExpect { status, ..MessageExpect::default() })));
        }
        return node.refuse("a status, `none`, or a mapping");
    }
    node.refuse("`none` or a mapping")
}

fn status(node: &Node<'_>) -> Option<Number> {
    if node.is_mapping() { value::number(node) } else { node.whole(100..=599).map(Number::exactly) }
}

fn message(fields: &Fields<'_>) -> MessageExpect {
    let text = |name| fields.get(name).and_then(|node| value::exact(&node));
    let trailers = fields.get("trailers");
    let no_trailers = trailers.as_ref().is_some_and(|node| node.as_text() == Some("none"));
    MessageExpect {
        status: fields.get("status").and_then(|node| status(&node)),
        method: text("method"),
        path: text("path"),
        headers: fields.get("headers").map(|node| value::header_matches(&node)).unwrap_or_default(),
        body: fields.get("body").and_then(|node| value::body_match(&node)),
        trailers: trailers.filter(|_| !no_trailers).map(|node| value::header_matches(&node)).unwrap_or_default(),
        no_trailers,
    }
}

/// `true`, `false`, the details, or a mapping.
fn local_reply(node: &Node<'_>) -> Option<LocalReplyExpect> {
    if let Some(flag) = node.value().as_bool() {
        let yes = LocalReplyExpect::Yes { details: None, grpc_status: None };
        return Some(if flag { yes } else { LocalReplyExpect::No });
    }
    if node.as_text().is_some() {
        return Some(LocalReplyExpect::Yes { details: value::exact(node), grpc_status: None });
    }
    if !node.is_mapping() {
        return node.refuse("`true`, `false`, the details, or a mapping");
    }
    let fields = node.fields(&[&LOCAL_REPLY_FIELDS])?;
    let details = fields.get("details").and_then(|node| value::exact(&node));
    let grpc_status = fields.get("grpc_status").and_then(|node| value::number(&node));
    Some(LocalReplyExpect::Yes { details, grpc_status })
}

/// Names with the texts they must have, or `{present: false}`.
pub(super) fn values(node: &Node<'_>) -> Vec<(String, Option<Text>)> {
    let value = |(name, node): (String, Node<'_>)| {
        if node.is_mapping() {
            let fields = node.fields(&[&value::PRESENT_FIELDS, &value::TEXT_FIELDS])?;
            return match fields.get("present") {
                Some(node) if node.flag()? => Some((name, Some(Text::default()))),
                Some(_) => Some((name, None)),
                None => Some((name, Some(value::text_fields(&fields)?))),
            };
        }
        Some((name, Some(value::exact(&node)?)))
    };
    node.entries().unwrap_or_default().into_iter().filter_map(value).collect()
}

pub(super) fn cost(node: &Node<'_>) -> Vec<(CostItem, Number)> {
    let Some(fields) = node.fields(&[&COST_FIELDS]) else { return Vec::new() };
    let mut items = Vec::new();
    for (name, node) in fields.get("hostcalls").and_then(|node| node.entries()).unwrap_or_default() {
        if !crate::hostcall::NAMES.contains(&name.as_str()) {
            node.mistake("there is no such hostcall; use a name like `proxy_log`");
        }
        items.extend(value::number(&node).map(|number| (CostItem::Hostcall(name), number)));
    }
    for (name, item) in [
        ("total_hostcalls", CostItem::Hostcalls),
        ("callbacks", CostItem::Callbacks),
        ("fuel", CostItem::Fuel),
        ("bytes_in", CostItem::BytesIn),
        ("bytes_out", CostItem::BytesOut),
        ("allocations", CostItem::Allocations),
    ] {
        items.extend(fields.get(name).and_then(|node| value::number(&node)).map(|number| (item, number)));
    }
    items
}

/// A part of a line, or a mapping.
fn log(node: &Node<'_>, counted: bool) -> Option<LogExpect> {
    if !node.is_mapping() {
        return Some(LogExpect { level: None, text: value::part(node)?, count: None });
    }
    let fields = node.fields(&[&LOG_FIELDS, &value::TEXT_FIELDS])?;
    let level = match fields.get("level") {
        Some(node) => Some(setup::level(&node)?),
        None => None,
    };
    let count = match fields.get("count") {
        Some(node) if counted => Some(value::number(&node)?),
        Some(node) => {
            node.mistake("`no_log` is of lines that are not there; take it out, or use `log`");
            None
        }
        None => None,
    };
    Some(LogExpect { level, text: value::text_fields(&fields)?, count })
}

fn metrics(node: &Node<'_>) -> Vec<(String, MetricExpect)> {
    let entries = node.entries().unwrap_or_default();
    entries.into_iter().filter_map(|(name, node)| Some((name, metric(&node)?))).collect()
}

fn metric(node: &Node<'_>) -> Option<MetricExpect> {
    if !node.is_mapping() {
        return match node.value().as_u64() {
            Some(number) => Some(MetricExpect::Is(Number::exactly(number))),
            None => {
                node.refuse("a whole number, or a mapping with `at_least`, `at_most`, `increase`, `count` or `present`")
            }
        };
    }
    let fields = node.fields(&[&METRIC_FIELDS])?;
    fields.at_most_one(&["increase", "count", "present", "at_least"]);
    fields.at_most_one(&["increase", "count", "present", "at_most"]);
    if let Some(node) = fields.get("increase") {
        return value::number(&node).map(MetricExpect::Increase);
    }
    if let Some(node) = fields.get("count") {
        return value::number(&node).map(MetricExpect::Count);
    }
    if let Some(node) = fields.get("present") {
        let there = MetricExpect::Is(Number { least: 0, most: u64::MAX });
        return Some(if node.flag()? { there } else { MetricExpect::Absent });
    }
    value::number(node).map(MetricExpect::Is)
}

/// `none`, one callout or several.
fn callouts(node: &Node<'_>) -> Option<CalloutsExpect> {
    if node.as_text() == Some("none") {
        return Some(CalloutsExpect::Nothing);
    }
    if !node.is_mapping() && !node.is_list() {
        return node.refuse("`none`, a callout, or a list of callouts");
    }
    if node.list_is_empty() {
        return node.refuse("`none` where there must be no callout");
    }
    let callout = |node: &Node<'_>| {
        let fields = node.fields(&[&CALLOUT_FIELDS, &UPSTREAM_FIELDS])?;
        Some(CalloutExpect {
            cluster: fields.get("cluster").and_then(|node| node.text()),
            message: message(&fields),
            count: fields.get("count").and_then(|node| value::number(&node)),
        })
    };
    Some(CalloutsExpect::Some(node.one_or_more().iter().filter_map(callout).collect()))
}
