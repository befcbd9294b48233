//! A fresh VM in place of one that failed, for plugins whose policy is [`FailurePolicy::FailReload`].

use std::sync::Arc;
use std::time::Duration;

use rand_chacha::rand_core::Rng as _;

use super::Worker;
use crate::{Counter, FailurePolicy, LogLevel, Module, PluginConfig, Shared};

/// What a fresh VM is made of.
#[derive(Debug)]
pub(super) struct Reload {
    module: Module,
    pub(super) plugin: Arc<PluginConfig>,
    /// When the present VM was made, or a fresh one last failed to start.
    since_ns: u64,
    reloaded: Counter,
    failed: Counter,
    backed_off: Counter,
}

impl Reload {
    /// The stats are there from the start, and named as in Envoy.
    pub(super) fn new(module: &Module, plugin: &Arc<PluginConfig>, shared: &Shared) -> Self {
        let counter = |result: &str| shared.stats().counter(&format!("wasm.{}.vm_reload_{result}", plugin.name));
        Self {
            module: module.clone(),
            plugin: Arc::clone(plugin),
            since_ns: shared.clock().now_ns(),
            reloaded: counter("success"),
            failed: counter("failure"),
            backed_off: counter("backoff"),
        }
    }
}

impl Worker {
    /// Before a stream or a connection is opened: puts a fresh VM in place of one that has failed, if the back-off has passed.
    pub(super) fn reload_if_due(&mut self) {
        let FailurePolicy::FailReload { backoff } = self.policy else { return };
        if self.vm.failure().is_none() {
            return;
        }
        let now = self.shared.clock().now_ns();
        let wait = nanoseconds(backoff);
        let jitter = self.vm.state_mut().random.next_u64() % (wait / 2).max(1);
        if now.saturating_sub(self.reload.since_ns) < wait.saturating_add(jitter) {
            self.reload.backed_off.inc();
            return;
        }
        self.reload.since_ns = now;
        let role = self.vm.state().role;
        match Self::start(&self.reload.module, &self.reload.plugin, &self.shared, role) {
            Ok(fresh) => {
                self.reload.reloaded.inc();
                self.replace_vm(fresh);
            }
            Err(error) => {
                self.reload.failed.inc();
                let message = format!("the plugin did not start again: {error}");
                self.vm.state_mut().log(LogLevel::Critical, message.as_bytes());
            }
        }
    }

    /// Takes over the VM of a worker that has just started. Streams and connections that the failed VM left open end without the module.
    fn replace_vm(&mut self, fresh: Self) {
        let mut failed = std::mem::replace(&mut self.vm, fresh.vm);
        self.root = fresh.root;
        let old = failed.state_mut();
        let new = self.vm.state_mut();
        new.calls.generation = old.calls.generation.wrapping_add(1);
        for callout in &mut new.calls.made {
            callout.id.generation = new.calls.generation;
        }
        new.grpc.succeed(&old.grpc);
        for (id, mut stream) in old.streams.drain() {
            stream.failed = true;
            // The root context is gone.
            stream.root = 0;
            new.streams.insert(id, stream);
        }
        for (id, mut connection) in old.connections.drain() {
            connection.failed = true;
            connection.root = 0;
            new.connections.insert(id, connection);
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
