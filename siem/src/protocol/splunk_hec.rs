//! Splunk's HTTP Event Collector.

/// Settings of the protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The `host` of the events.
    pub host: Option<String>,
    /// The `source` of the events.
    pub source: Option<String>,
    /// The `sourcetype` of the events.
    pub sourcetype: Option<String>,
    /// The `index` of the events.
    pub index: Option<String>,
    /// Whether the token has indexer acknowledgement: events count as delivered when they are acknowledged.
    pub acknowledge: bool,
}
