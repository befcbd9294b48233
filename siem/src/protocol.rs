//! What goes over the wire to each kind of receiver, and what its answers mean.

pub mod data_collector;
pub mod json;
pub mod logs_ingestion;
pub mod splunk_hec;

/// A receiver's protocol and what is particular to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Azure Monitor's Logs Ingestion API.
    LogsIngestion(logs_ingestion::Settings),
    /// Azure Monitor's HTTP Data Collector API, for the clouds that still have it.
    DataCollector(data_collector::Settings),
    /// Splunk's HTTP Event Collector.
    SplunkHec(splunk_hec::Settings),
    /// Any receiver of JSON over HTTPS.
    Json(json::Settings),
}
