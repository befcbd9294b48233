//! What a proxy's configuration calls what a stream meets on its way: the properties `xds.…`.

/// Names that come from configuration. At first those of the Envoy with which suites are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Xds {
    /// The proxy's own id, property `xds.node.id`.
    pub node_id: String,
    /// The group of proxies to which it belongs, property `xds.node.cluster`.
    pub node_cluster: String,
    /// The route that every request takes, property `xds.route_name`.
    pub route_name: String,
    /// The virtual host that has the route, property `xds.virtual_host_name`.
    pub virtual_host_name: String,
    /// The cluster to which requests or connections go, property `xds.cluster_name`.
    pub cluster_name: String,
    /// The listener's filter chain, property `xds.filter_chain_name`.
    pub filter_chain_name: String,
    /// Which way the listener's traffic goes, property `xds.listener_direction`.
    pub listener_direction: TrafficDirection,
}

impl Default for Xds {
    fn default() -> Self {
        Self {
            node_id: "host-harness".to_owned(),
            node_cluster: "host-harness".to_owned(),
            route_name: String::new(),
            virtual_host_name: "all".to_owned(),
            cluster_name: "host_harness_upstream".to_owned(),
            filter_chain_name: String::new(),
            listener_direction: TrafficDirection::Unspecified,
        }
    }
}

/// Which way a listener's traffic goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[repr(u64)]
pub enum TrafficDirection {
    /// Configuration does not say.
    #[default]
    Unspecified = 0,
    /// To the workload beside the proxy.
    Inbound = 1,
    /// From it.
    Outbound = 2,
}
