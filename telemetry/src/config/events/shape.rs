//! Structs that mirror the JSON of the section `events`.

use siem::format::Format;
use siem::protocol::{Protocol, data_collector, json, logs_ingestion, splunk_hec};
use siem::settings::Limits;

use super::super::shape::Fields;
use super::super::tree::Tree;

#[derive(Debug)]
pub(in crate::config) struct EventsShape {
    pub(super) device: String,
    pub(super) sinks: Vec<Option<SinkShape>>,
}

#[derive(Debug)]
pub(super) struct SinkShape {
    pub(super) name: String,
    pub(super) cluster: String,
    pub(super) authority: String,
    pub(super) format: Format,
    pub(super) secret_env: Option<String>,
    /// Those that are given.
    pub(super) protocols: Vec<Protocol>,
    pub(super) limits: Limits,
}

/// Reads what the checker found sound.
pub(in crate::config) fn read(mut fields: Fields<'_>) -> EventsShape {
    EventsShape {
        device: fields.text("device").unwrap_or_default(),
        sinks: fields.list("sinks", sink).unwrap_or_default(),
    }
}

fn sink(tree: Tree<'_>) -> Option<SinkShape> {
    let mut fields = Fields::of(Some(tree));
    let formats = [Format::Native, Format::Ocsf, Format::Asim, Format::Cef].map(|format| (format.as_str(), format));
    let protocols = [
        fields.take("logs_ingestion").and_then(logs_ingestion),
        fields.take("data_collector").and_then(data_collector),
        fields.take("splunk_hec").map(splunk_hec),
        fields.take("json").map(json),
    ];
    Some(SinkShape {
        name: fields.text("name")?,
        cluster: fields.text("cluster")?,
        authority: fields.text("authority")?,
        format: fields.choice("format", &formats).unwrap_or_default(),
        secret_env: fields.text("secret_env"),
        protocols: protocols.into_iter().flatten().collect(),
        limits: limits(fields.section("limits")),
    })
}

fn logs_ingestion(tree: Tree<'_>) -> Option<Protocol> {
    let mut fields = Fields::of(Some(tree));
    Some(Protocol::LogsIngestion(logs_ingestion::Settings {
        rule: fields.text("rule")?,
        stream: fields.text("stream")?,
        client_id: fields.text("client_id")?,
        token_cluster: fields.text("token_cluster")?,
        token_authority: fields.text("token_authority").unwrap_or_else(|| "login.microsoftonline.com".to_owned()),
        token_path: fields.text("token_path")?,
        scope: fields.text("scope").unwrap_or_else(|| "https://monitor.azure.com/.default".to_owned()),
    }))
}

fn data_collector(tree: Tree<'_>) -> Option<Protocol> {
    let mut fields = Fields::of(Some(tree));
    Some(Protocol::DataCollector(data_collector::Settings {
        workspace_id: fields.text("workspace_id")?,
        log_type: fields.text("log_type").unwrap_or_else(|| "EUCORA_SecurityEvents".to_owned()),
    }))
}

fn splunk_hec(tree: Tree<'_>) -> Protocol {
    let mut fields = Fields::of(Some(tree));
    Protocol::SplunkHec(splunk_hec::Settings {
        host: fields.text("host"),
        source: fields.text("source"),
        sourcetype: fields.text("sourcetype"),
        index: fields.text("index"),
        acknowledge: fields.bool("acknowledge").unwrap_or(false),
    })
}

fn json(tree: Tree<'_>) -> Protocol {
    let mut fields = Fields::of(Some(tree));
    let framings = [("array", json::Framing::Array), ("lines", json::Framing::Lines)];
    let header = fields.text("header").unwrap_or_default().to_ascii_lowercase();
    let authorization = match fields.text("authorization").as_deref() {
        Some("bearer") => json::Authorization::Bearer,
        Some("header") => json::Authorization::Header(header),
        _ => json::Authorization::None,
    };
    Protocol::Json(json::Settings {
        path: fields.text("path").unwrap_or_else(|| "/".to_owned()),
        framing: fields.choice("framing", &framings).unwrap_or_default(),
        authorization,
    })
}

fn limits(mut fields: Fields<'_>) -> Limits {
    let default = Limits::default();
    Limits {
        queue_events: fields.whole("queue_events").unwrap_or(2_048),
        batch_events: fields.whole("batch_events").unwrap_or(default.batch_events),
        max_wait_ms: fields.whole("max_wait_ms").unwrap_or(default.max_wait_ms),
        timeout_ms: fields.whole("timeout_ms").unwrap_or(default.timeout_ms),
        backoff_base_ms: fields.whole("backoff_ms").unwrap_or(default.backoff_base_ms),
        backoff_cap_ms: fields.whole("backoff_cap_ms").unwrap_or(default.backoff_cap_ms),
        max_age_ms: fields.whole("max_age_ms").unwrap_or(default.max_age_ms),
        ..default
    }
}
