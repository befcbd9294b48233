//! Root contexts: start, configuration, ticks and end.

use std::sync::Arc;

use super::reload::Reload;
use super::{Role, StartError, Worker};
use crate::hostcall::Expressions;
use crate::vm::Vm;
use crate::vm::filter_state::Declared;
use crate::vm::state::{Life, Root};
use crate::{Module, PluginConfig, Shared};

impl Worker {
    /// Starts the plugin in a fresh VM.
    ///
    /// # Errors
    ///
    /// When the module cannot be loaded, traps, or refuses its configuration.
    pub fn start(module: &Module, plugin: &PluginConfig, shared: &Arc<Shared>, role: Role) -> Result<Self, StartError> {
        let plugin = Arc::new(plugin.clone());
        let vm = Vm::new(module, &plugin, shared, role)?;
        let mut worker = Self {
            shared: Arc::clone(shared),
            vm,
            root: 0,
            policy: plugin.failure_policy,
            reload: Reload::new(module, &plugin, shared),
            events: Vec::new(),
            connection_events: Vec::new(),
        };
        worker.root = worker.start_root(&plugin).map_err(|(_, error)| error)?;
        Ok(worker)
    }

    /// Starts the plugin in a throw-away VM to see whether it would, as a proxy does before it gives a configuration to its
    /// workers.
    ///
    /// # Errors
    ///
    /// As for [`Self::start`].
    pub fn canary(module: &Module, plugin: &PluginConfig, shared: &Arc<Shared>) -> Result<(), StartError> {
        Self::start(module, plugin, shared, Role::Canary).map(drop)
    }

    /// Replaces the configuration: a new root context gets new streams, the old one ends after its last stream.
    ///
    /// # Errors
    ///
    /// When the module refuses; the old configuration stays then.
    pub fn reconfigure(&mut self, plugin: &PluginConfig) -> Result<(), StartError> {
        let plugin = Arc::new(plugin.clone());
        let new = match self.start_root(&plugin) {
            Ok(new) => new,
            Err((refused, error)) => {
                self.end_root(refused);
                return Err(error);
            }
        };
        let old = std::mem::replace(&mut self.root, new);
        self.policy = plugin.failure_policy;
        self.reload.plugin = plugin;
        self.retire(old);
        Ok(())
    }

    /// When the next tick is due, nanoseconds since the Unix epoch by the host's clock.
    #[must_use]
    pub fn next_tick_ns(&self) -> Option<u64> {
        if self.vm.failure().is_some() {
            return None;
        }
        self.vm.state().roots.iter().filter_map(|root| root.tick).map(|tick| tick.due_ns).min()
    }

    /// Runs the ticks that are due. A timer starts anew after its tick.
    pub fn run_due_ticks(&mut self) {
        let now = self.shared.clock().now_ns();
        let due = |root: &&Root| root.tick.is_some_and(|tick| tick.due_ns <= now);
        let due: Vec<u32> = self.vm.state().roots.iter().filter(due).map(|root| root.id).collect();
        for id in due {
            let before = self.root_of(id).and_then(|root| root.tick).map(|tick| tick.due_ns);
            self.vm.call("proxy_on_tick", id, |exports| &exports.tick, id, &[id]);
            self.settle(0);
            let now = self.shared.clock().now_ns();
            if let Some(tick) = self.root_of(id).and_then(|root| root.tick.as_mut())
                && Some(tick.due_ns) == before
            {
                tick.due_ns = now.saturating_add(tick.period_ns);
            }
        }
    }

    /// Ends the root contexts: done and delete. Says whether all have ended; one that answers false to done goes on ticking
    /// until it calls `proxy_done`.
    pub fn shutdown(&mut self) -> bool {
        let roots: Vec<u32> = self.vm.state().roots.iter().map(|root| root.id).collect();
        for id in roots {
            self.end_root(id);
        }
        self.vm.state().roots.is_empty() || self.vm.failure().is_some()
    }

    /// Makes a root context: create, VM start, configure. One that refuses is there still; the error comes with its id.
    fn start_root(&mut self, plugin: &Arc<PluginConfig>) -> Result<u32, (u32, StartError)> {
        let state = self.vm.state_mut();
        let id = state.new_context_id();
        state.roots.push(Root {
            id,
            plugin: Arc::clone(plugin),
            tick: None,
            streams: 0,
            life: Life::Active,
            declared: Declared::default(),
            expressions: Expressions::default(),
            cost: Box::default(),
        });
        state.complaints = Some(Vec::new());
        let result = self.create_root(id, plugin);
        let log = self.vm.state_mut().complaints.take().unwrap_or_default();
        self.settle(0);
        match result {
            Ok(()) => Ok(id),
            Err(callback) => {
                let error = match self.vm.failure() {
                    Some(message) => StartError::Trap { callback, message: message.to_owned() },
                    None => StartError::Refused { callback, log },
                };
                Err((id, error))
            }
        }
    }

    /// The callbacks of a new root context; the error is the name of the one that refused or trapped.
    fn create_root(&mut self, id: u32, plugin: &PluginConfig) -> Result<(), &'static str> {
        const CREATE: &str = "proxy_on_context_create";
        const START: &str = "proxy_on_vm_start";
        const CONFIGURE: &str = "proxy_on_configure";
        let size = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);

        self.vm.call(CREATE, id, |exports| &exports.context_create, (id, 0), &[id, 0]);
        self.fine(CREATE)?;
        let bytes = size(&self.vm.state().plugin.vm_configuration);
        self.vm.state_mut().vm_starting = true;
        let answer = self.vm.call(START, id, |exports| &exports.vm_start, (id, bytes), &[id, bytes]);
        self.vm.state_mut().vm_starting = false;
        self.fine(START)?;
        if answer == Some(0) {
            return Err(START);
        }
        let bytes = size(&plugin.configuration);
        self.vm.state_mut().configuring = Some(id);
        let answer = self.vm.call(CONFIGURE, id, |exports| &exports.configure, (id, bytes), &[id, bytes]);
        self.vm.state_mut().configuring = None;
        self.fine(CONFIGURE)?;
        if answer == Some(0) { Err(CONFIGURE) } else { Ok(()) }
    }

    fn fine(&self, callback: &'static str) -> Result<(), &'static str> {
        if self.vm.failure().is_some() { Err(callback) } else { Ok(()) }
    }

    /// No new streams for this root; it ends with its last one.
    fn retire(&mut self, id: u32) {
        if let Some(root) = self.root_of(id) {
            root.life = Life::Retired;
            if root.streams == 0 {
                self.end_root(id);
            }
        }
    }

    /// A stream of this root has ended.
    pub(super) fn release_root(&mut self, id: u32) {
        if let Some(root) = self.root_of(id) {
            root.streams = root.streams.saturating_sub(1);
            if root.streams == 0 && root.life == Life::Retired {
                self.end_root(id);
            }
        }
    }

    fn end_root(&mut self, id: u32) {
        match self.root_of(id) {
            Some(root) if matches!(root.life, Life::Active | Life::Retired) => root.life = Life::Finishing,
            _ => return,
        }
        let done = self.vm.call("proxy_on_done", id, |exports| &exports.done, id, &[id]);
        self.settle(0);
        // A module without the callback has nothing to wait for.
        if done != Some(0) {
            self.delete_root(id);
        }
    }

    pub(super) fn delete_root(&mut self, id: u32) {
        if self.root_of(id).is_some() {
            self.vm.call("proxy_on_delete", id, |exports| &exports.delete, id, &[id]);
            let state = self.vm.state_mut();
            state.roots.retain(|root| root.id != id);
            // Envoy cancels what a root context still waits for.
            state.calls.pending.retain(|_, pending| pending.root != id);
            state.grpc.cancel_all_of(id);
        }
    }
}
