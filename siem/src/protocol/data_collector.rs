//! Azure Monitor's HTTP Data Collector API.

/// Settings of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The workspace's ID, a GUID.
    pub workspace_id: String,
    /// The table, to which the service adds `_CL`: letters, digits and `_`, at most 100.
    pub log_type: String,
}
