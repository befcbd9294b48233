//! What an operator says of a plugin: its names, its configuration, what it may do, and what happens when it fails.

use std::time::Duration;

/// Configuration of one plugin, as Envoy's `PluginConfig` has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PluginConfig {
    /// Name of the plugin, the property `plugin_name`.
    pub name: String,
    /// Which root context of the module to use, the property `plugin_root_id`.
    pub root_id: String,
    /// Name of the VM, the property `plugin_vm_id`; VMs of one name share data and queues.
    pub vm_id: String,
    /// Bytes for `proxy_on_vm_start`.
    pub vm_configuration: Vec<u8>,
    /// Bytes for `proxy_on_configure`.
    pub configuration: Vec<u8>,
    /// Environment variables of the VM.
    pub env: Vec<(String, String)>,
    /// Capabilities that the module has: hostcalls, WASI functions and `proxy_on_…` callbacks by name. None of them named is
    /// no restriction, as in Envoy's `capability_restriction_config`.
    pub allowed_capabilities: Vec<String>,
    /// What streams and connections get after the module failed.
    pub failure_policy: FailurePolicy,
}

impl PluginConfig {
    /// Whether the module has a capability.
    #[must_use]
    pub fn allows(&self, capability: &str) -> bool {
        self.allowed_capabilities.is_empty() || self.allowed_capabilities.iter().any(|allowed| allowed == capability)
    }
}

/// What streams get after the module trapped. The stream in which it trapped gets 503 in any case; a TCP connection is closed
/// where a stream gets 503.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FailurePolicy {
    /// Later streams get 503, as Envoy does when nothing is said.
    #[default]
    FailClosed,
    /// Later streams go by without the plugin.
    FailOpen,
    /// Later streams get 503 too, until a fresh VM takes the place of the failed one: with the first stream that opens when
    /// the back-off has passed since the VM was made.
    FailReload {
        /// The shortest back-off; the longest is half as long again. [`Self::RELOAD_BACKOFF`] when Envoy is told nothing.
        backoff: Duration,
    },
}

impl FailurePolicy {
    /// Envoy's default back-off.
    pub const RELOAD_BACKOFF: Duration = Duration::from_secs(1);
}
