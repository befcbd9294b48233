//! The embedded host with the probe.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use host_harness::serve::{Protocol, RunningServer, ServeOptions};
use host_harness::{FailurePolicy, LogSink, Module, PluginConfig, Role, Xds};
use tokio::runtime::Handle;

use super::cases::Group;
use super::log::Log;
use super::tcp;
use super::upstreams::{BACKEND, Upstreams};

/// The host's server in this process.
#[derive(Debug)]
pub(super) struct Harness {
    /// Where clients connect.
    pub(super) listen: SocketAddr,
    /// What the probe wrote.
    pub(super) log: Arc<Log>,
    server: RunningServer,
    runtime: Handle,
}

impl Harness {
    /// Starts it with the probe as an HTTP filter.
    pub(super) fn start(runtime: &Handle, module: &Module, upstreams: &Upstreams, group: &Group) -> Self {
        let mut plugin = plugin(group.plugin);
        plugin.vm_configuration = group.vm.into();
        Self::run(runtime, upstreams, ServeOptions::new(module.clone(), plugin, upstreams.backend.into()))
    }

    /// Starts it with the probe as a network filter.
    pub(super) fn start_tcp(
        runtime: &Handle,
        module: &Module,
        upstreams: &Upstreams,
        group: &tcp::Group,
        server: SocketAddr,
    ) -> Self {
        let mut plugin = plugin(group.plugin);
        if group.fail_open {
            plugin.failure_policy = FailurePolicy::FailOpen;
        }
        let mut options = ServeOptions::new(module.clone(), plugin, server.into());
        options.protocol = Protocol::Tcp;
        Self::run(runtime, upstreams, options)
    }

    /// Starts it with one worker.
    fn run(runtime: &Handle, upstreams: &Upstreams, mut options: ServeOptions) -> Self {
        let log = Arc::new(Log::new());
        options.clusters =
            upstreams.clusters.iter().map(|(name, address)| ((*name).to_owned(), address.map(Into::into))).collect();
        options.workers = 1;
        options.route_timeout = Duration::from_secs(5);
        options.connect_timeout = Duration::from_secs(1);
        options.drain_timeout = Duration::from_millis(100);
        options.stat_prefix = "probe".into();
        options.xds = Xds {
            node_id: "probe-node".into(),
            node_cluster: "probe-cluster".into(),
            route_name: BACKEND.into(),
            virtual_host_name: "all".into(),
            cluster_name: if options.protocol == Protocol::Tcp { "server" } else { BACKEND }.into(),
            ..Xds::default()
        };
        let lines = log.clone();
        options.log = LogSink::Function(Arc::new(move |entry| {
            // What the host itself says of a trap is not the probe's.
            if matches!(entry.role, Role::Worker(_)) && !entry.message.starts_with("proxy_on_") {
                // As in Envoy's log, where a line is a line.
                lines.push("worker", entry.message.split('\n').next().unwrap_or_default());
            }
        }));
        let server = runtime.block_on(host_harness::serve::start(options)).unwrap();
        Self { listen: server.listen, log, server, runtime: runtime.clone() }
    }

    /// Ends it.
    pub(super) fn stop(self) {
        self.runtime.block_on(self.server.shutdown());
    }
}

fn plugin(configuration: &str) -> PluginConfig {
    PluginConfig {
        name: "probe".into(),
        root_id: "probe-root".into(),
        vm_id: "probe-vm".into(),
        configuration: configuration.into(),
        ..PluginConfig::default()
    }
}
