//! Azure Monitor's Logs Ingestion API.

/// Settings of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The data collection rule's immutable ID, `dcr-…`.
    pub rule: String,
    /// The stream, `Custom-<Table>` or `Microsoft-<Table>`.
    pub stream: String,
    /// The cluster that leads to the token endpoint.
    pub token_cluster: String,
    /// The token endpoint's authority, such as `login.microsoftonline.com`.
    pub token_authority: String,
    /// The token endpoint's path, such as `/<tenant>/oauth2/v2.0/token`.
    pub token_path: String,
    /// The client's ID.
    pub client_id: String,
    /// What the token is for, such as `https://monitor.azure.com/.default`.
    pub scope: String,
}
