//! What several tests need.

use proptest::option::of;
use proptest::prelude::*;

use crate::event::{Class, Event, Number, Severity, Text};
use crate::format::{Format, Observer};
use crate::protocol::{Protocol, data_collector, logs_ingestion};
use crate::settings::Settings;

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn observer() -> Observer {
    Observer {
        vendor: "EUCORA".to_owned(),
        product: "edge-observer".to_owned(),
        version: "0.1.0".to_owned(),
        device: "edge-1".to_owned(),
    }
}

pub(crate) const CLASSES: [Class; 5] =
    [Class::Decision, Class::Authentication, Class::Authorization, Class::PrivilegedOperation, Class::Probe];

pub(crate) const SEVERITIES: [Severity; 5] =
    [Severity::Informational, Severity::Low, Severity::Medium, Severity::High, Severity::Critical];

/// Text that somebody chose who would rather be somebody else.
pub(crate) fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[\0-\x1f\"\\\\|=,:{} \u{7f}\u{85}\u{2028}\u{2029}a-c]{0,24}",
        Just("x\",\"Decision\":\"APPROVED".to_owned()),
        Just("x\r\nCEF:0|a|b|c|d|e|9|act=APPROVED".to_owned()),
        Just("x suser=root act\\=y| outcome=z\\".to_owned()),
        Just("é".repeat(300)),
    ]
}

fn text<const MAX: usize>() -> impl Strategy<Value = Text<MAX>> {
    hostile().prop_map(Text::new)
}

pub(crate) fn events() -> impl Strategy<Value = Event> {
    let score = "-?(0|[1-9][0-9]{0,2})(\\.[0-9]{1,3})?".prop_map(|text| Number::parse(&text).unwrap());
    let who = (of(text()), of(text()), of(text()), of(text()), of(score), of(text()), of(text()), of(text()));
    let how = (of(0..=999_u16), of(text()), any::<u32>(), prop::collection::vec((text(), text()), 0..10));
    let what =
        (any::<[u8; 16]>(), text(), prop::sample::select(&CLASSES), prop::sample::select(&SEVERITIES), any::<u64>());
    (what, who, how).prop_map(|((uid, kind, class, severity, time_ns), who, (status, ring, count, extra))| {
        let mut event = Event { kind, severity, status, ring, count, ..Event::new(uid, "", class, time_ns) };
        (event.correlation_id, event.deployment_id, event.decision, event.approved_by) = (who.0, who.1, who.2, who.3);
        (event.risk_score, event.source, event.method, event.endpoint) = (who.4, who.5, who.6, who.7);
        for (name, value) in extra {
            event.extra.add(name, value);
        }
        event
    })
}

pub(crate) const SHARED_KEY: &str =
    "SERsIYhgMVlJB6uPsq49gCxNiruf6v0vhMYE+lfzbSGcXjdViZdV/e5pEMTYtw9f8SkVLf4LFlLCc2KxtRZfCA==";

pub(crate) fn settings(protocol: Protocol) -> Settings {
    Settings {
        cluster: "siem".to_owned(),
        authority: "siem.example".to_owned(),
        format: Format::Native,
        observer: observer(),
        protocol,
    }
}

pub(crate) fn logs_ingestion() -> logs_ingestion::Settings {
    logs_ingestion::Settings {
        rule: "dcr-1".to_owned(),
        stream: "Custom-EUCORA_SecurityEvents_CL".to_owned(),
        token_cluster: "entra".to_owned(),
        token_authority: "login.microsoftonline.com".to_owned(),
        token_path: "/tenant/oauth2/v2.0/token".to_owned(),
        client_id: "97ce69d9-b4be-4241-8dbd-d265edcf06c4".to_owned(),
        scope: "https://monitor.azure.com/.default".to_owned(),
    }
}

pub(crate) fn data_collector() -> data_collector::Settings {
    data_collector::Settings {
        workspace_id: "97ce69d9-b4be-4241-8dbd-d265edcf06c4".to_owned(),
        log_type: "EUCORA_SecurityEvents".to_owned(),
    }
}

/// Whether no reader can take it for more than one line.
pub(crate) fn is_one_line(text: &str) -> bool {
    !text.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'))
}
