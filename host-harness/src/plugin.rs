//! What an operator says of a plugin: its names, its configuration, and what happens when it fails.

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
    /// What streams get after the module failed.
    pub failure_policy: FailurePolicy,
}

/// What streams get after the module trapped. The stream in which it trapped gets 503 either way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FailurePolicy {
    /// Later streams get 503, as Envoy does when nothing is said.
    #[default]
    FailClosed,
    /// Later streams go by without the plugin.
    FailOpen,
}
