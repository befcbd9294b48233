//! Meaning of the section `events`, every mistake collected.

use siem::format::Observer;
use siem::sender::Sender;
use siem::settings::{Secret, Settings};

use super::super::check::quoted;
use super::super::error::ConfigErrors;
use super::super::meaning::present;
use super::shape::EventsShape;
use super::{EventsConfig, SinkConfig};

/// A secret that every protocol takes for one: base64, and a header's value.
const SAMPLE_SECRET: &str = "c2VjcmV0";

const PRODUCT: &str = "edge-observer";

/// Builds the section.
pub(in crate::config) fn build(shape: EventsShape, ring: &str, errors: &mut ConfigErrors) -> EventsConfig {
    let mut sinks: Vec<SinkConfig> = Vec::with_capacity(shape.sinks.len());
    let device = [shape.device.as_str(), ring, PRODUCT].into_iter().find(|name| !name.is_empty()).unwrap_or(PRODUCT);
    for (index, sink) in present(shape.sinks) {
        let path = format!("events.sinks[{index}]");
        let mut refuse = |field: &str, message: String| errors.push(format!("{path}{field}"), message);
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if sink.name.is_empty() || sink.name.len() > 48 || !sink.name.bytes().all(is_plain) || sink.name == "log" {
            let message = "use letters, digits, `_` and `-`, at most 48, and not `log`";
            refuse(".name", format!("found {}; {message}", quoted(&sink.name)));
        }
        if sinks.iter().any(|earlier| earlier.name == sink.name) {
            refuse(".name", format!("`{}` is there twice; rename one", sink.name));
        }
        if let Some(name) = &sink.secret_env
            && (name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
        {
            refuse(".secret_env", format!("found {}; use letters, digits and `_`", quoted(name)));
        }
        let mut protocols = sink.protocols.into_iter();
        let (Some(protocol), None) = (protocols.next(), protocols.next()) else {
            let message = "give one of `logs_ingestion`, `data_collector`, `splunk_hec` and `json`";
            refuse("", message.to_owned());
            continue;
        };
        let settings = Settings {
            cluster: sink.cluster,
            authority: sink.authority,
            format: sink.format,
            observer: Observer {
                vendor: "EUCORA".to_owned(),
                product: PRODUCT.to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                device: device.to_owned(),
            },
            protocol,
        };
        // What the sender would refuse when it begins.
        if let Err(error) = Sender::new(settings.clone(), sink.limits.clone(), Secret::new(SAMPLE_SECRET)) {
            refuse(&format!(".{}", error.field), error.problem.to_owned());
        }
        sinks.push(SinkConfig { name: sink.name, secret_env: sink.secret_env, settings, limits: sink.limits });
    }
    EventsConfig { sinks }
}
